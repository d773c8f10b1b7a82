"""What a plan is: when each node of a program runs and where its result is stored, and the sizes behind both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from anyarray_mlp.backends.replay.recording import Node, Program, Spec, Value


@dataclass(eq=False)
class Memory:
    """A flat piece of memory that values share over time."""

    dtype: Any
    size: int


@dataclass(eq=False)
class Slot(Memory):
    """The memory of a leaf of the state."""

    index: int


@dataclass(frozen=True)
class Place:
    """Where a result is stored: from an entry of a memory on. `block`: only its current block is stored.

    strides : those of a part of a concatenation of rows; None for those of its spec.
    """

    memory: Memory
    offset: int = 0
    block: bool = False
    strides: tuple[int, ...] | None = None


@dataclass
class Plan:
    """When each node of a program runs, and where its result is stored."""

    program: Program
    #: Entries of one block.
    block: int
    #: Nodes that are computed for several steps at once.
    ahead: list[Node] = field(default_factory=list)
    #: The other nodes, in groups; a group of more than one runs in blocks of `rows` rows.
    groups: list[list[Node]] = field(default_factory=list)
    places: dict[Value, Place] = field(default_factory=dict)
    #: Concatenations whose parts are all computed in place.
    vanished: set[Node] = field(default_factory=set)
    #: Values that only the group that computes them uses.
    inner: set[Value] = field(default_factory=set)
    #: Values prepared ahead that share another value's array.
    shared: dict[Value, Value] = field(default_factory=dict)
    #: The output that a result is written to directly.
    direct: dict[Value, int] = field(default_factory=dict)
    #: (input, n): indices into n rows, to be checked before they are used.
    indices: list[tuple[int, int]] = field(default_factory=list)
    steps: int = 1


def count_users(nodes: Iterable[Node], program: Program) -> dict[Value, int]:
    """How many nodes use each value; the end of the step counts as one."""
    users: dict[Value, int] = {}
    for value in [operand for node in nodes for operand in node.operands] + [
        *program.state,
        *program.outputs,
    ]:
        users[value] = users.get(value, 0) + 1
    return users


def nbytes(spec: Spec) -> int:
    """Bytes of an array."""
    return math.prod(spec.shape) * int(spec.dtype.itemsize)


def is_contiguous(spec: Spec) -> bool:
    """Whether the entries are in C order without gaps."""
    step = 1
    for n, stride in zip(reversed(spec.shape), reversed(spec.strides), strict=True):
        if n > 1 and stride != step:
            return False
        step *= n
    return True


def block_rows(spec: Spec, block: int) -> int:
    """Rows of one block of `block` entries."""
    return max(1, block // max(1, math.prod(spec.shape[1:])))
