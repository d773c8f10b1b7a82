"""PyTorch, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace, ReproducibleNamespace
from anyarray_mlp.backends.base import Backend, Run, Step, view
from anyarray_mlp.backends.replay.library import Library
from anyarray_mlp.backends.replay.recording import recordable
from anyarray_mlp.backends.replay.replaying import Replay, ReplayedCall
from anyarray_mlp.errors import BackendUnavailableError, UsageError


class TorchBackend(Backend):
    """PyTorch tensors, through array-api-compat; autograd is not used."""

    name = "torch"

    def __init__(self, device: str, dtype: str) -> None:
        import array_api_compat.torch as xp
        import torch

        check_device(device, dtype)
        self.torch_device = torch.device(device)
        overrides = {"logistic": torch.sigmoid, "erf": torch.special.erf, "affine": affine}
        super().__init__(device, dtype, PlainNamespace(xp, self.torch_device, overrides))

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the device."""
        import torch

        return torch.tensor(
            np.asarray(host, dtype=self.host_dtype(host, dtype), order="C"),
            device=self.torch_device,
        )

    def share(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """On the CPU, a tensor over the array's memory, unless it has to be converted."""
        if self.torch_device.type != "cpu" or not self.fits(host, dtype):
            return self.asarray(host, dtype)
        import torch

        return torch.from_numpy(host if host.flags.writeable else np.asarray(Writable(host)))

    def to_host(self, array: Any) -> NDArray[Any]:
        """A NumPy array; on the CPU it shares memory."""
        return np.asarray(array.cpu().numpy())

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        """Reproducible arithmetic, on the CPU in blocks that fit its cache."""
        import torch

        if self.torch_device.type != "cpu":
            return ReproducibleNamespace(self.xp, slices, view=view)
        return ReproducibleNamespace(
            self.xp, slices, block=65536, shrink=torch.hardshrink, view=view
        )

    def reduced_precision(self) -> tuple[str, ...]:
        """TF32 on a GPU, bfloat16 or TF32 inside oneDNN on a CPU."""
        if self.dtype != "float32":
            return ()
        import torch

        found: tuple[str, ...] = ()
        matmul = (
            torch.backends.cuda.matmul
            if self.torch_device.type == "cuda"
            else torch.backends.mkldnn.matmul
        )
        # PyTorch 2.9 replaced the older switches, and warns if both are read.
        setting = getattr(matmul, "fp32_precision", None)
        if setting is None:
            setting = torch.get_float32_matmul_precision()
        if setting not in ("highest", "ieee", "none"):
            found += (
                f"PyTorch's float32 matmul precision is {setting!r}; "
                "torch.set_float32_matmul_precision('highest') turns it off.",
            )
        mode = os.environ.get("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT").upper()
        if self.torch_device.type == "cpu" and mode not in ("", "STRICT"):
            found += (
                f"ONEDNN_DEFAULT_FPMATH_MODE={mode} lets oneDNN compute float32 with less precision; unset it.",
            )
        return found

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """The step recorded and replayed into buffers allocated once, or a plain loop if it cannot be recorded.

        This also holds for a few steps: the plain loop may round the last bit differently, and a run in parts should
        give the same bits as the run in one go.
        """
        plain, xp = super().compile(step), recordable(self.xp)
        # Reproducible arithmetic in a CUDA graph waits for a GPU to test it on.
        devices = ("cpu", "cuda") if isinstance(xp, PlainNamespace) else ("cpu",)
        if xp is None or self.torch_device.type not in devices:
            return plain
        return Replay(step, xp, self.replaying(), plain)

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function; on a CPU calls with few rows are recorded and replayed, which is several times as fast."""
        xp = recordable(self.xp)
        if xp is None or self.torch_device.type != "cpu":
            return super().jit(function)
        return ReplayedCall(function, xp, self.replaying())

    def replaying(self) -> Library:
        """How operations are replayed; reproducible arithmetic has none joined into one that rounds once."""
        from anyarray_mlp.backends.replay.torch_library import TorchLibrary

        return TorchLibrary(self.torch_device, fuses=isinstance(self.xp, PlainNamespace))

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.torch_device.type != "cpu":
            import torch

            getattr(torch, self.torch_device.type).synchronize()


def check_device(device: str, dtype: str) -> None:
    """Raise what is missing for a Mac's GPU ("mps") or Intel's ("xpu"); neither has been at hand to run this on."""
    import torch

    if device == "mps":
        if not torch.backends.mps.is_available():
            raise BackendUnavailableError(
                "PyTorch finds no GPU of Apple silicon here: use --device cpu."
            )
        if dtype == "float64":
            raise UsageError("Apple's GPU has no float64: use --dtype float32, or --device cpu.")
    if device == "xpu" and not torch.xpu.is_available():
        raise BackendUnavailableError(
            "PyTorch finds no Intel GPU here: install its build for XPU, or use --device cpu."
        )


class Writable:
    """Presents a read-only array as writable, because PyTorch warns of read-only ones. It must not be written to."""

    def __init__(self, host: NDArray[Any]) -> None:
        self.host = host
        self.__array_interface__ = host.__array_interface__ | {"data": (host.ctypes.data, False)}


def affine(x: Any, w: Any, b: Any) -> Any:
    """x @ w + b in one call."""
    import torch

    if w.ndim == 2:
        return torch.addmm(b, x, w)
    if w.ndim > 3:
        return torch.matmul(x, w) + b[..., None, :]
    k = len(w) if len(x) == 1 else len(x)
    return torch.baddbmm(b[:, None, :], x.expand(k, -1, -1), w.expand(k, -1, -1))
