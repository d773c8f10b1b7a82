"""What a backend is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import ReproducibleNamespace
from anyarray_mlp.typing import Array, Namespace

Arrays = tuple[Array, ...]
#: State, data and per-step inputs are nests of tuples of arrays. A step maps
#: (xp, state, data, inputs of this step) to (new state, outputs): 0-d arrays or small statistics.
Step = Callable[[Any, Any, Any, Arrays], tuple[Any, Arrays]]
#: A compiled step: (state, data, inputs of K steps, each with a leading axis K) to (state, outputs, stacked).
Run = Callable[[Any, Any, Arrays], tuple[Any, Arrays]]


#: Fewer steps than this take less time in a plain loop than recording them and replaying them does.
FEW_STEPS = 32


class Backend(ABC):
    """One array library on one device with one dtype.

    Attributes
    ----------
    name : the library, as `select_backend` knows it.
    device : "cpu", "cuda:0", ...
    dtype : "float32" or "float64", of parameters and data.
    xp : the arithmetic, an Array API namespace bound to the device.
    arithmetic : "plain", or which reproducible arithmetic it is.
    flat : whether parameters are one flat leaf, of which weights are views, or a leaf each.
    """

    name: ClassVar[str]
    arithmetic: str = "plain"
    flat: ClassVar[bool] = True

    def __init__(self, device: str, dtype: str, xp: Namespace) -> None:
        self.device = device
        self.dtype = dtype
        self.xp: Namespace = xp

    def __repr__(self) -> str:
        return f"<{self.name} backend, {self.device}, {self.dtype}>"

    @abstractmethod
    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Array:
        """A copy of a host array on the device; floats take the backend's dtype unless one is named."""

    def share(self, host: NDArray[Any], dtype: str | None = None) -> Array:
        """`asarray` for what is only read: the host's own memory, where the library can compute on it as it lies.

        The caller neither writes to the result nor changes `host` for as long as the result is in use. Here: a copy.
        """
        return self.asarray(host, dtype)

    def owns(self, array: Any) -> bool:
        """Whether this is an array of the library's own."""
        return isinstance(array, self._array_type)

    @cached_property
    def _array_type(self) -> type:
        return type(self.asarray(np.zeros(1)))

    def streams(self, host: NDArray[Any]) -> bool:
        """Whether batches of a host array are better gathered there than from a copy on the device. Here: never."""
        return False

    def gather(self, host: NDArray[Any], index: NDArray[Any], dtype: str | None = None) -> Array:
        """Rows host[index] on the device, as `asarray` would give them."""
        return self.share(host[index], dtype)

    @abstractmethod
    def to_host(self, array: Array) -> NDArray[Any]:
        """An array of this backend as a NumPy array; waits for it."""

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """A function that runs K steps in a row on the device, without a host sync in between.

        The state passed in is used up. `steps` is how many it will run in all, where that is known: a few are not
        worth preparing for. Here: a plain loop, which libraries without a compiler share.
        """
        xp = self.xp

        def run(state: Any, data: Any, inputs: Arrays) -> tuple[Any, Arrays]:
            outputs = []
            for k in range(inputs[0].shape[0]):
                state, output = step(xp, state, data, tuple(array[k, ...] for array in inputs))
                outputs.append(output)
            return state, tuple(xp.stack(column) for column in zip(*outputs, strict=True))

        return run

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function(xp, *arrays)` as a function of arrays alone, compiled where the library can."""
        xp = self.xp
        return lambda *arrays: function(xp, *arrays)

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        """Reproducible arithmetic over this library. Here: in blocks that fit a CPU's cache."""
        return ReproducibleNamespace(self.xp, slices, block=32768)

    def on_device(self) -> AbstractContextManager[Any]:
        """A context in which operations outside `jit` and `compile` run on this device."""
        return nullcontext()

    def reduced_precision(self) -> tuple[str, ...]:
        """Settings, one sentence each, under which this library computes more coarsely than `dtype`."""
        return ()

    def synchronize(self) -> None:  # noqa: B027
        """Wait until the device has finished; nothing to do where work is done when a call returns."""

    def fits(self, host: NDArray[Any], dtype: str | None) -> bool:
        """Whether a host array has the dtype and the order that `asarray` would give it."""
        return bool(host.flags.c_contiguous and host.dtype == self.host_dtype(host, dtype))

    def host_dtype(self, host: NDArray[Any], dtype: str | None) -> np.dtype[Any]:
        """The dtype that `asarray` gives: the backend's for floats, int64 for integers, else unchanged."""
        if dtype is not None:
            return np.dtype(dtype)
        if host.dtype.kind == "f":
            return np.dtype(self.dtype)
        return np.dtype(np.int64) if host.dtype.kind in "iu" else host.dtype
