"""NumPy on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends.base import Array, Backend


class NumpyBackend(Backend):
    """NumPy, whose main namespace follows the Array API since 2.0."""

    name = "numpy"

    def __init__(self, device: str, dtype: str) -> None:
        super().__init__(device, dtype, PlainNamespace(np, overrides={"erf": erf}))

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Array:
        """A contiguous copy."""
        return np.array(host, dtype=self.host_dtype(host, dtype), order="C")

    def to_host(self, array: Array) -> NDArray[Any]:
        """The array itself."""
        return np.asarray(array)


def erf(z: Array) -> Array:
    """SciPy's error function, loaded when a network first asks for it."""
    from scipy.special import erf

    return erf(z)
