"""array-api-strict: the standard and nothing else, with simulated devices. For tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends.base import Backend


class StrictBackend(Backend):
    """array-api-strict on "cpu" or on one of its simulated devices ("device1", "device2")."""

    name = "array_api_strict"

    def __init__(self, device: str, dtype: str) -> None:
        import array_api_strict as xp

        self.strict_device = xp.Device("CPU_DEVICE" if device == "cpu" else device)
        super().__init__(device, dtype, PlainNamespace(xp, self.strict_device))

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the device."""
        return self.xp.asarray(np.array(host, dtype=self.host_dtype(host, dtype), order="C"))

    def to_host(self, array: Any) -> NDArray[Any]:
        """A NumPy copy, through the library's CPU device."""
        import array_api_strict as xp

        return np.array(array.to_device(xp.Device("CPU_DEVICE")))
