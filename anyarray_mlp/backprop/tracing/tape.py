"""The tape: every operation of the user's code on recorded arrays, in order, with its place in the source."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.memory import Memory, flat_positions, owner
from anyarray_mlp.backprop.tracing.nodes import Node as Node
from anyarray_mlp.backprop.tracing.nodes import Place as Place
from anyarray_mlp.backprop.tracing.nodes import ancestors as ancestors
from anyarray_mlp.backprop.tracing.nodes import descendants as descendants
from anyarray_mlp.backprop.user.source_lines import is_checkers, is_own
from anyarray_mlp.typing import Host

#: A longer tape is given up: a loop in plain Python over a large network.
MOST_NODES = 120_000
DEEPEST_STACK = 40
#: Views of larger memories are not followed element by element.
LARGEST_MEMORY = 2_000_000
#: Elements that an array is looked up by.
SAMPLED = 256


class TraceLost(Exception):
    """The tape cannot show what the user's code did: the comparison from outside has to do."""


class TapeFull(BaseException):
    """Ends the user's code once its tape is long enough; no `except Exception` catches it."""


class Tape:
    """Records nodes, and finds the node of an operand, which may have lost its class on the way."""

    def __init__(self, limit: int = MOST_NODES) -> None:
        self.limit = limit
        #: The function of the checker's from which the user's code is called.
        self.top: CodeType | None = None
        self.when_full: Callable[[Tape], int] = give_up
        self.nodes: list[Node] = []
        self.phase = ""
        self.memories: dict[int, Memory] = {}
        # The first array seen in each memory. That it is held keeps the memory from being used again.
        self.holders: dict[int, Any] = {}
        self.plain: dict[int, tuple[Any, Node, int]] = {}
        self.by_bytes: dict[tuple[int, bytes], Node] = {}
        self.own: dict[str, bool] = {}

    def add(
        self,
        operation: str,
        function: Callable[..., Any] | None,
        operands: Sequence[Node],
        value: Any,
        elementwise: bool = False,
        moves: bool = False,
    ) -> Node:
        """A new node, with a copy of its value."""
        if len(self.nodes) >= self.limit:
            self.limit = self.when_full(self)
        node = Node(len(self.nodes), operation, function, operands, plain_copy(value))
        node.elementwise, node.moves = elementwise, moves
        node.phase, node.place = self.phase, self.here()
        self.nodes.append(node)
        if distinctive(node.value):
            self.by_bytes[bytes_of(node.value)] = node
        return node

    def leaf(self, kind: str, value: Any, name: str = "") -> Node:
        """A value that comes from outside: a parameter, a label, an input, a constant."""
        node = self.add(kind, None, (), value)
        node.kind, node.name = kind, name
        return node

    def here(self) -> Place:
        """The user's frames now."""
        frame = sys._getframe(2)
        frames: list[tuple[CodeType, int]] = []
        depth = 0
        while frame is not None and depth < DEEPEST_STACK:
            code = frame.f_code
            path = code.co_filename
            known = self.own.get(path)
            if known is None:
                known = self.own[path] = is_own(path)
            if known:
                frames.append((code, frame.f_lasti))
            elif code is self.top or (frames and is_checkers(path)):
                break  # who called the checker is not meant
            frame = frame.f_back  # type: ignore[assignment]
            depth += 1
        return tuple(frames)

    # ---- operands --------------------------------------------------------------------------------

    def node_of(self, operand: Any) -> Node:
        """The node of an operand; a new constant if none is known."""
        base = bare(operand)
        known = self.known_node(operand, base)
        if known is not None and same_value(known.value, base):
            return known
        if distinctive(base):
            found = self.by_bytes.get(bytes_of(base))
            if found is not None and same_value(found.value.reshape(-1), base.reshape(-1)):
                if found.value.shape == base.shape:
                    return found
                shape = base.shape
                return self.add(
                    "reshape", lambda v: np.reshape(v, shape), [found], base, moves=True
                )
        node = self.add("constant", None, (), base)
        if isinstance(operand, np.ndarray) and operand.ndim:
            self.remember(operand, node)
        return node

    def known_node(self, operand: Any, base: Host) -> Node | None:
        """The node of this object or of its memory, which may be out of date."""
        if not isinstance(operand, np.ndarray):
            return None
        if operand.ndim == 0:
            return getattr(operand, "node", None)
        node, version = self.remembered(operand)
        own = owner(base)
        memory = self.memories.get(id(own))
        if memory is None:
            return self.held(own, base) if node is None else node
        if node is not None and version == memory.version:
            return node
        positions = flat_positions(base)
        if positions is None:
            return node
        read = memory.read(self, positions)
        self.remember(operand, read, memory.version)
        return read

    def held(self, own: Host, base: Host) -> Node | None:
        """The node of another array object that lies at the same place."""
        holder = self.holders.get(id(own))
        if holder is None:
            return None
        node, _ = self.remembered(holder)
        if node is None:
            return None
        known = bare(holder)
        if same_layout(known, base):
            return node
        if same_layout(known.T, base):
            return self.add("T", lambda v: v.T, [node], base, moves=True)
        if own.size > LARGEST_MEMORY or known.size < base.size:
            return None
        positions = flat_positions(known)
        wanted = flat_positions(base)
        if positions is None or wanted is None:
            return None
        return Memory(own, (positions, node)).read(self, wanted)

    def remembered(self, operand: Any) -> tuple[Node | None, int]:
        if hasattr(operand, "node"):
            return operand.node, operand.version
        kept = self.plain.get(id(operand))
        return (None, 0) if kept is None else (kept[1], kept[2])

    def remember(self, operand: Any, node: Node, version: int = 0) -> None:
        """Note the node of an array, and hold its memory."""
        if hasattr(operand, "node"):
            operand.node, operand.version = node, version
        else:
            self.plain[id(operand)] = (operand, node, version)
        if operand.ndim:
            self.holders.setdefault(id(owner(bare(operand))), operand)

    def written(self, target: Any, before: Node, after: Node) -> None:
        """The memory of `target` has been written: it held `before` and now holds `after`."""
        base = bare(target)
        own = owner(base)
        memory = self.memories.get(id(own))
        if memory is None:
            memory = self.memories[id(own)] = Memory(own, self.first_content(own, target, before))
        positions = flat_positions(base)
        if positions is not None:
            memory.write(self, positions, after)
        self.remember(target, after, memory.version)

    def forget(self, target: Any) -> None:
        """What is known of the memory of `target` is out of date: it is a new constant when it is next used."""
        own = owner(bare(target))
        self.memories.pop(id(own), None)
        self.holders.pop(id(own), None)
        target.node = None

    def first_content(self, own: Host, target: Any, before: Node) -> tuple[Any, Node]:
        """(positions, node) of what a memory held before it was written for the first time."""
        holder = self.holders.get(id(own))
        if holder is not None and holder is not target:
            node, _ = self.remembered(holder)
            if node is not None:
                return flat_positions(bare(holder)), node
        return flat_positions(bare(target)), before

    # ---- after the run ---------------------------------------------------------------------------

    def replay(self, changes: Mapping[Node, Host]) -> list[Host]:
        """The values of all nodes with other values of some leaves, in the order of the nodes.

        Raises
        ------
        TraceLost
            If an operation cannot be made again.
        """
        values: list[Host] = []
        moved: list[bool] = []
        with np.errstate(all="ignore"):
            for node in self.nodes:
                if node in changes:
                    values.append(np.asarray(changes[node]))
                    moved.append(True)
                    continue
                fresh = node.function is not None and any(moved[o.index] for o in node.operands)
                moved.append(fresh)
                if not fresh:
                    values.append(node.value)
                    continue
                assert node.function is not None
                try:
                    made = node.function(*(values[o.index] for o in node.operands))
                except Exception as error:
                    raise TraceLost(f"{node!r} cannot be made again: {error}") from error
                made = np.asarray(made)
                if made.shape != node.value.shape:
                    raise TraceLost(f"{node!r} has another shape")
                values.append(made)
        return values


def give_up(tape: Tape) -> int:
    """What a full tape does unless told otherwise."""
    raise TraceLost("more operations than a tape holds")


def same_layout(a: Host, b: Host) -> bool:
    """Do two arrays lie at the same place in the same way?"""
    one, other = a.__array_interface__, b.__array_interface__
    return a.strides == b.strides and all(
        one[key] == other[key] for key in ("data", "shape", "typestr")
    )


def bare(operand: Any) -> Host:
    """A plain array; that of a recorded array shares its memory."""
    if isinstance(operand, np.ndarray):
        return operand.view(np.ndarray)
    return np.asarray(operand)


def plain_copy(value: Any) -> Host:
    """A copy as a plain array."""
    return np.array(value, subok=False)


def same_value(a: Host, b: Host) -> bool:
    """Are two arrays the same, NaN included?"""
    if a.shape != b.shape:
        return False
    return bool(np.array_equal(a, b)) or (
        b.dtype.kind == "f" and bool(np.array_equal(a, b, equal_nan=True))
    )


def distinctive(value: Host) -> bool:
    """Can an array be recognised by its bytes? Small whole numbers and even fractions cannot."""
    if value.dtype.kind != "f" or value.size == 0:
        return False
    if value.size == 1:
        number = float(value.flat[0])
        scaled = number * 720720
        return math.isfinite(number) and scaled != round(scaled) and 1e-6 < abs(number) < 1e6
    first = value.flat[:8]
    return bool((first != first[0]).any())


def bytes_of(value: Host) -> tuple[int, bytes]:
    """What an array is looked up by: its bytes, of a large one those of some elements."""
    flat = value.reshape(-1)
    step = max(1, flat.size // SAMPLED)
    return value.size, np.ascontiguousarray(flat[::step], dtype=float).tobytes()
