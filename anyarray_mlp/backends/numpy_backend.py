"""NumPy on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace, ReproducibleNamespace
from anyarray_mlp.backends.base import BLOCK, FEW_STEPS, Backend, Run, Step, view
from anyarray_mlp.backends.replay.numpy_library import NumpyLibrary
from anyarray_mlp.backends.replay.recording import recordable
from anyarray_mlp.backends.replay.replaying import Replay, ReplayedCall
from anyarray_mlp.typing import Host


class NumpyBackend(Backend):
    """NumPy, whose main namespace has followed the Array API since 2.0."""

    name = "numpy"

    def __init__(self, device: str, dtype: str) -> None:
        super().__init__(
            device, dtype, PlainNamespace(np, overrides={"erf": erf, "matmul": matmul})
        )

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Host:
        """A contiguous copy."""
        return np.array(host, dtype=self.host_dtype(host, dtype), order="C")

    def share(self, host: NDArray[Any], dtype: str | None = None) -> Host:
        """The array itself, unless it has to be converted."""
        return host if self.fits(host, dtype) else self.asarray(host, dtype)

    def to_host(self, array: Any) -> NDArray[Any]:
        """The array itself."""
        return np.asarray(array)

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """The step recorded and replayed into buffers allocated once, or a plain loop if it cannot be recorded."""
        plain = super().compile(step)
        xp = recordable(self.xp)
        if xp is None or (steps is not None and steps < FEW_STEPS):
            return plain
        return Replay(step, xp, NumpyLibrary(), plain)

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function; calls with few rows are recorded and replayed, which is several times as fast."""
        xp = recordable(self.xp)
        return super().jit(function) if xp is None else ReplayedCall(function, xp, NumpyLibrary())

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        """Reproducible arithmetic in blocks that fit the cache."""
        return ReproducibleNamespace(self.xp, slices, block=BLOCK, shrink=shrink, view=view)


def erf(z: Host) -> Any:
    """SciPy's error function, loaded when a network first needs it."""
    from scipy.special import erf

    return erf(z)


def shrink(y: Host, bound: float) -> Any:
    """y with zero in place of entries of at most `bound` in magnitude."""
    return np.where(np.abs(y) <= bound, y.dtype.type(0), y)


@np.errstate(all="ignore")
def matmul(a: Host, b: Host) -> Any:
    """`np.dot` of matrices: the same product with half the overhead.

    NumPy's warnings are off: a BLAS may set the processor's floating-point flags although every number is right
    (OpenBLAS and Accelerate do), and NumPy would warn of an invalid value that does not exist.
    """
    return np.dot(a, b) if a.ndim == b.ndim == 2 else np.matmul(a, b)
