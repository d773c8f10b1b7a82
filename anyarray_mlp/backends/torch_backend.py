"""PyTorch, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace, ReproducibleNamespace
from anyarray_mlp.backends.base import Array, Backend


class TorchBackend(Backend):
    """PyTorch tensors, through array-api-compat; autograd is not used."""

    name = "torch"

    def __init__(self, device: str, dtype: str) -> None:
        import array_api_compat.torch as xp
        import torch

        self.torch_device = torch.device(device)
        overrides = {"logistic": torch.sigmoid, "erf": torch.special.erf}
        super().__init__(device, dtype, PlainNamespace(xp, self.torch_device, overrides))

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Array:
        """A copy on the device."""
        import torch

        return torch.tensor(
            np.ascontiguousarray(host, dtype=self.host_dtype(host, dtype)), device=self.torch_device
        )

    def to_host(self, array: Array) -> NDArray[Any]:
        """A NumPy array; on the CPU it shares memory."""
        return np.asarray(array.cpu().numpy())

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        """Reproducible arithmetic, on the CPU in blocks that fit its cache."""
        on_cpu = self.torch_device.type == "cpu"
        return ReproducibleNamespace(self.xp, slices, block=65536 if on_cpu else 0)

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.torch_device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.torch_device)
