"""Buffers for `anyarray_mlp.backends.replay.binding`, made by NumPy or by CuPy, which has the same interface."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from anyarray_mlp.backends.replay.recording import Node, Spec, Value

Call = Callable[[], Any]


class NumpyBuffers:
    """The part of `library.Library` that NumPy and CuPy share; `module` is either of them."""

    module: Any

    def spec(self, array: Any) -> Spec:
        """Shape, dtype and strides in entries."""
        return Spec(array.shape, array.dtype, tuple(s // array.itemsize for s in array.strides))

    def fuse(self, node: Node, only_use: Callable[[Any], Node | None]) -> None:
        """Neither has fused operations."""

    def empty(self, spec: Spec, steps: int | None = None) -> Any:
        """Zeros, so that an index that has not been filled in yet is in range."""
        return self.module.zeros(spec.shape if steps is None else (steps, *spec.shape), spec.dtype)

    def memory(self, size: int, dtype: Any) -> Any:
        """A flat array (size,)."""
        return self.module.empty(size, dtype)

    def lay_out(self, memory: Any, offset: int, spec: Spec) -> Any:
        """The view of a flat array that has a spec."""
        strides = tuple(stride * memory.itemsize for stride in spec.strides)
        return self.module.lib.stride_tricks.as_strided(memory[offset:], spec.shape, strides)

    def copy(self, source: Any, out: Any) -> Call:
        """A call that copies."""
        return partial(self.module.copyto, out, source)

    def copy_now(self, source: Any, out: Any) -> None:
        """Copy."""
        self.module.copyto(out, source)

    def copied(self, array: Any) -> Any:
        """A copy."""
        return array.copy()

    def kernel_length(self, nodes: list[Node]) -> int:
        """There are no kernels for several nodes."""
        return 0

    def emit_whole(
        self, nodes: list[Node], outputs: list[Value], array: Callable[[Value], Any]
    ) -> list[Call] | None:
        """See `kernel_length`."""
        return None
