"""CuPy on an NVIDIA GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace, ReproducibleNamespace
from anyarray_mlp.backends.base import FEW_STEPS, Arrays, Backend, Run, Step, view


class CupyBackend(Backend):
    """CuPy arrays. Work runs inside `with cupy.cuda.Device(i)`, because array-api-compat ignores `device=`."""

    name = "cupy"

    def __init__(self, device: str, dtype: str) -> None:
        import array_api_compat.cupy as xp
        import cupy
        import cupyx.scipy.special

        self.cuda_device = cupy.cuda.Device(int(device.partition(":")[2] or 0))
        # compat's sign uses boolean assignment, which waits for the device.
        overrides = {"erf": cupyx.scipy.special.erf, "sign": cupy.sign}
        super().__init__(device, dtype, PlainNamespace(xp, overrides=overrides))

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the device."""
        import cupy

        with self.cuda_device:
            return cupy.asarray(np.asarray(host, dtype=self.host_dtype(host, dtype), order="C"))

    def to_host(self, array: Any) -> NDArray[Any]:
        """A NumPy copy; waits for the device."""
        import cupy

        with self.cuda_device:
            return np.asarray(cupy.asnumpy(array))

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """Steps captured in a CUDA graph on this device, or a plain loop if they cannot be captured."""
        run = super().compile(step)
        if type(self.xp) is PlainNamespace and (steps is None or steps >= FEW_STEPS):
            from anyarray_mlp.backends.replay.cupy_library import CupyLibrary
            from anyarray_mlp.backends.replay.replaying import Replay

            with self.cuda_device:
                run = Replay(step, self.xp, CupyLibrary(), run)

        def on_device(state: Any, data: Any, inputs: Arrays) -> tuple[Any, Arrays]:
            with self.cuda_device:
                return run(state, data, inputs)

        return on_device

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` on this device."""

        def on_device(*arrays: Any) -> Any:
            with self.cuda_device:
                return function(self.xp, *arrays)

        return on_device

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        """Reproducible arithmetic on this device, whole arrays at a time."""
        with self.cuda_device:
            return ReproducibleNamespace(self.xp, slices, view=view)

    def on_device(self) -> AbstractContextManager[Any]:
        """CuPy's current device."""
        context: AbstractContextManager[Any] = self.cuda_device
        return context

    def reduced_precision(self) -> tuple[str, ...]:
        """TF32, which CuPy enables from the environment before its first matrix product."""
        if self.dtype != "float32" or os.environ.get("CUPY_TF32", "0") in ("", "0"):
            return ()
        return ("CUPY_TF32 is set: CuPy multiplies float32 matrices in TF32; unset it.",)

    def synchronize(self) -> None:
        """Wait for the device."""
        self.cuda_device.synchronize()
