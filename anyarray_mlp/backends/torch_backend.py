"""PyTorch, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace
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

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.torch_device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.torch_device)
