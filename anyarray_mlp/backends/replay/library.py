"""What a replay needs of an array library, beyond what recording needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from anyarray_mlp.backends.replay import recording
from anyarray_mlp.backends.replay.recording import Node, Spec, Value

Call = Callable[[], Any]


class Library(recording.Library, Protocol):
    """What a replay needs of an array library, beyond what recording needs."""

    #: Operations that are elementwise and broadcast, by their names in the standard.
    elementwise: frozenset[str]

    #: Whether consecutive elementwise operations of any size become one kernel, by `emit_group`.
    fuses_groups: bool
    #: The most bytes to prepare for several steps at once.
    ahead_bytes: int

    @property
    def block(self) -> int:
        """Entries of one block of a large elementwise operation, so that a few operands fit the cache."""

    def fuse(
        self, node: Node, only_use: Callable[[Any], Node | None]
    ) -> tuple[str, tuple[Any, ...]] | None:
        """The fused operation, with its operands, for a node and others before it, if the library has one.

        `only_use(value)` is the node that computes a value if nothing else uses the value, else None.
        """

    def empty(self, spec: Spec, steps: int | None = None) -> Any:
        """An array of a spec; with `steps`, C-ordered with an axis of that length in front."""

    def memory(self, size: int, dtype: Any) -> Any:
        """A flat array (size,)."""

    def lay_out(self, memory: Any, offset: int, spec: Spec) -> Any:
        """The view of a flat array with a spec, from an entry on."""

    def emit(
        self, op: str, function: Callable[..., Any], args: Any, kwargs: Any, out: Any
    ) -> list[Call]:
        """Calls that compute function(*args, **kwargs) into `out`."""

    def emit_group(
        self, nodes: list[Node], outputs: list[Value], array: Callable[[Value], Any]
    ) -> list[Call]:
        """Calls that compute a group of elementwise nodes, if the library fuses groups."""

    def kernel_length(self, nodes: list[Node]) -> int:
        """How many of the last nodes, all elementwise, the library computes with one kernel; 0 if none."""

    def emit_whole(
        self, nodes: list[Node], outputs: list[Value], array: Callable[[Value], Any]
    ) -> list[Call] | None:
        """Calls that compute a group in one pass instead of block by block, if the library has a kernel for it."""

    #: Whether `capture` does anything.
    captures: bool

    def capture(self, calls: list[Call]) -> Call:
        """One call that does what all of `calls` do. They may be called to warm up."""

    def copy(self, source: Any, out: Any) -> Call:
        """A call that copies."""

    def running(self) -> AbstractContextManager[Any]:
        """A context in which the calls of a replay are made."""

    def is_writable(self, array: Any) -> bool:
        """Whether an array may be written to."""

    def copy_now(self, source: Any, out: Any) -> None:
        """Copy."""

    def copied(self, array: Any) -> Any:
        """A copy."""

    def out_of_range(self, index: Any, n: int) -> bool:
        """Whether an integer array holds anything outside 0 ... n - 1."""


def is_elementwise(node: Node, library: Library) -> bool:
    """Whether a node may be computed in blocks and may overwrite its operands."""
    return node.op in library.elementwise and not node.kwargs and node.out.base is None
