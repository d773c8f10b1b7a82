"""`Backend`, the interface of every backend."""

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
#: State, data and per-step inputs are nested tuples of arrays. A step maps
#: (xp, state, data, inputs of this step) to (new state, outputs); outputs are 0-d arrays or small statistics.
Step = Callable[[Any, Any, Any, Arrays], tuple[Any, Arrays]]
#: A compiled step: (state, data, inputs of K steps, each with a leading axis K) to (state, outputs, stacked).
Run = Callable[[Any, Any, Arrays], tuple[Any, Arrays]]


#: For fewer steps than this, a plain loop is faster than recording and replaying.
FEW_STEPS = 32
#: Entries of an array that reproducible arithmetic works on at a time on a CPU, so that a few fit its cache.
BLOCK = 32_768


class Backend(ABC):
    """One array library on one device in one dtype.

    Attributes
    ----------
    name : the library, by its name in `select_backend`.
    device : "cpu", "cuda:0", ...
    dtype : "float32" or "float64", of parameters and data.
    xp : the arithmetic, an Array API namespace bound to the device.
    arithmetic : "plain", or the name and version of the reproducible arithmetic.
    flat : True if the parameters are one flat leaf with weights as views of it, False if each is its own leaf.
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
        """A copy of a host array on the device; floats get the backend's dtype unless `dtype` is given."""

    def share(self, host: NDArray[Any], dtype: str | None = None) -> Array:
        """`asarray` for data that is only read: shares the host's memory if the library can compute on it directly.

        The caller must neither write to the result nor change `host` while the result is in use. Default: a copy.
        """
        return self.asarray(host, dtype)

    def owns(self, array: Any) -> bool:
        """Whether this is one of the library's own arrays."""
        return isinstance(array, self._array_type)

    @cached_property
    def _array_type(self) -> type:
        return type(self.asarray(np.zeros(1)))

    def streams(self, host: NDArray[Any]) -> bool:
        """Whether to gather batches on the host instead of copying the whole array to the device. Default: never."""
        return False

    def gather(self, host: NDArray[Any], index: NDArray[Any], dtype: str | None = None) -> Array:
        """Rows host[index] on the device, as from `asarray`."""
        return self.share(host[index], dtype)

    @abstractmethod
    def to_host(self, array: Array) -> NDArray[Any]:
        """An array of this backend as a NumPy array; waits for it."""

    def settled(self, array: Array, host: NDArray[Any]) -> Array:
        """The array, worked out to these values; without what leads to it, where a library only plans its work."""
        return array

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """A function that runs K steps in a row on the device without synchronising with the host in between.

        It consumes the state that is passed in. `steps` is the total number it will run, if known: compiling is not
        worth it for a few. Default: a plain loop, for libraries without a compiler.
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
        """`function(xp, *arrays)` as a function of the arrays only, compiled if the library can compile."""
        xp = self.xp
        return lambda *arrays: function(xp, *arrays)

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        """Reproducible arithmetic over this library. Default: in blocks that fit a CPU's cache."""
        return ReproducibleNamespace(self.xp, slices, block=BLOCK)

    def on_device(self) -> AbstractContextManager[Any]:
        """A context in which operations outside `jit` and `compile` run on this device."""
        return nullcontext()

    def reduced_precision(self) -> tuple[str, ...]:
        """The settings, one sentence each, that make this library compute with less precision than `dtype`."""
        return ()

    def synchronize(self) -> None:  # noqa: B027
        """Wait until the device has finished. Default: nothing, for libraries that work synchronously."""

    def fits(self, host: NDArray[Any], dtype: str | None) -> bool:
        """Whether a host array already has the dtype and memory order that `asarray` would give it."""
        return bool(host.flags.c_contiguous and host.dtype == self.host_dtype(host, dtype))

    def host_dtype(self, host: NDArray[Any], dtype: str | None) -> np.dtype[Any]:
        """The dtype that `asarray` gives: the backend's for floats, int64 for integers, else unchanged."""
        if dtype is not None:
            return np.dtype(dtype)
        if host.dtype.kind == "f":
            return np.dtype(self.dtype)
        return np.dtype(np.int64) if host.dtype.kind in "iu" else host.dtype


def view(x: Any, dtype: Any) -> Any:
    """The bits of an array, or of NumPy's scalar in place of one, read as another dtype of the same size."""
    return x.view(dtype)
