"""The nodes of a tape: values, with the operation and the line that made each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from types import CodeType
from typing import Any

import numpy as np

from anyarray_mlp.typing import Host

#: The user's frames around an operation, the innermost first: their code and the instruction within it.
Place = tuple[tuple[CodeType, int], ...]


class Node:
    """One value: the operation that made it, of which other values, and where in the user's source.

    `function(*values of operands)` makes the value again. `moves` is true if every element of the
    result is one element of an operand, or a constant: a reshape, an index, a list made an array.
    `arguments` are those of the call, the operands replaced by slots.
    """

    __slots__ = (
        "arguments",
        "elementwise",
        "function",
        "index",
        "kind",
        "moves",
        "name",
        "operands",
        "operation",
        "phase",
        "place",
        "value",
    )

    def __init__(
        self,
        index: int,
        operation: str,
        function: Callable[..., Any] | None,
        operands: Sequence[Node],
        value: Host,
    ) -> None:
        self.index = index
        self.operation = operation
        self.function = function
        self.operands = tuple(operands)
        self.value = value
        self.arguments: tuple[Any, dict[str, Any]] = ((), {})
        self.elementwise = self.moves = False
        self.kind = "operation" if function is not None else "constant"
        self.name = ""
        self.phase = ""
        self.place: Place = ()

    @property
    def is_float(self) -> bool:
        return bool(self.value.dtype.kind == "f")

    def __repr__(self) -> str:
        operands = ",".join(str(o.index) for o in self.operands)
        return f"<{self.index} {self.operation}({operands}) {self.value.shape} {self.name}>"


def ancestors(
    nodes: Iterable[Node],
    seen: set[Node] | None = None,
    among: Collection[Node] | None = None,
) -> set[Node]:
    """These nodes and all that they were made from, beside what was `seen` before; of those `among`, if given."""
    seen = set() if seen is None else seen
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(o for o in node.operands if among is None or o in among)
    return seen


def descendants(nodes: Sequence[Node], roots: Iterable[Node]) -> set[Node]:
    """The roots and all of `nodes` that were made from them."""
    seen = set(roots)
    for node in nodes:
        if node not in seen and any(operand in seen for operand in node.operands):
            seen.add(node)
    return seen


def leaves_of(nodes: Sequence[Node]) -> set[Node]:
    """What weights are, or the memory that they are views of."""
    found = set()
    for node in nodes:
        while node.operation in ("read", "flat") and node.operands:
            node = node.operands[0]
        found.add(node)
    return found


def fingerprint(value: Host) -> tuple[int, bytes]:
    """Equal for values that are the same to nine digits, in whatever shape."""
    with np.errstate(all="ignore"):
        rounded = np.array([float(f"{v:.9g}") for v in np.ravel(value)[:64]])
    return int(np.size(value)), (rounded + 0.0).tobytes()
