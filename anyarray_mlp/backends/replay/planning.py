"""Planning: where every value of a recorded program is stored, and when each operation runs.

`plan` decides, from the program alone:

- a result reuses the buffer of an operand that has no later use, or another free buffer;
- the new state overwrites the old one;
- the parts of a concatenation are computed in place, so that no concatenation is left to do;
- consecutive elementwise operations on large arrays run block by block within the cache, or as one kernel if the
  library can;
- what depends on the data and the inputs of a step but not on the state (gathering a batch, one-hot rows) is done
  for several steps at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from anyarray_mlp.backends.replay import recording
from anyarray_mlp.backends.replay.recording import (
    Node,
    NotRecordableError,
    Program,
    Spec,
    Value,
)

Call = Callable[[], Any]

#: Elementwise operations of more than this many blocks run block by block.
LARGE = 4
#: The most steps prepared at once.
MOST_AHEAD = 64


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
    """Where a result is stored: from an entry of a memory on. `block`: only its current block is stored."""

    memory: Memory
    offset: int = 0
    block: bool = False


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


def plan(program: Program, library: Library) -> Plan:
    """Plan the replay of a program. Raises `NotRecordableError` if the new state is only an alias of the old one."""
    return Planner(program, library).plan


class Planner:
    """Makes one plan; the attributes hold what is known so far."""

    def __init__(self, program: Program, library: Library) -> None:
        self.program = program
        self.library = library
        self.plan = Plan(program, library.block)
        self.nodes = live_nodes(program)
        self.state = program.arguments["state"]
        for new, old in zip(program.state, self.state, strict=True):
            if new.root.source is not None and new is not old:
                raise NotRecordableError("A leaf of the new state is a view of an argument.")
        if len({value.root for value in program.state}) < len(program.state):
            raise NotRecordableError("Two leaves of the new state are one array.")
        self.fuse()
        for node in self.nodes:
            self.find_gather(node)
        self.choose_ahead()
        self.nodes = [node for node in self.nodes if node not in self.plan.ahead]
        self.computed = [node for node in self.nodes if node.out.base is None]
        self.find_parts()
        self.group()
        self.find_last_uses()
        self.choose_outputs()
        self.place()

    def is_elementwise(self, node: Node) -> bool:
        """Whether a node may be computed in blocks and may overwrite its operands."""
        return node.op in self.library.elementwise and not node.kwargs and node.out.base is None

    def fuse(self) -> None:
        """Replace operations by fused ones."""
        users = count_users(self.nodes, self.program)

        def only_use(value: Any) -> Node | None:
            alone = isinstance(value, Value) and value.base is None and users[value] == 1
            return value.node if alone else None

        for node in self.nodes:
            fused = self.library.fuse(node, only_use)
            if fused is not None:
                node.op, node.args = fused
        self.nodes = live_nodes(self.program)

    # --- what can be prepared for several steps ---

    def choose_ahead(self) -> None:
        ready: set[Value] = set(self.program.arguments["inputs"])
        fixed: set[Value] = set(self.program.arguments["data"])
        size = sum(nbytes(value.spec) for value in ready)
        users = count_users(self.nodes, self.program)
        for node in self.nodes:
            if not self.can_go_ahead(node, ready, fixed):
                continue
            ready.add(node.out)
            self.plan.ahead.append(node)
            if node.out.base is not None:
                continue
            over = next(
                (
                    operand
                    for operand in node.operands
                    if self.is_elementwise(node)
                    and operand.node in self.plan.ahead
                    and operand.base is None
                    and operand.spec == node.out.spec
                    and users[operand] == 1
                ),
                None,
            )
            if over is None:
                size += nbytes(node.out.spec)
            else:
                self.plan.shared[node.out] = over
        self.plan.steps = max(1, min(MOST_AHEAD, self.library.ahead_bytes // max(size, 1)))

    def can_go_ahead(self, node: Node, ready: set[Value], fixed: set[Value]) -> bool:
        operands = node.operands
        if not any(operand in ready for operand in operands) or any(
            not (operand in ready or operand in fixed or operand.constant is not None)
            for operand in operands
        ):
            return False
        spec = node.out.spec
        if nbytes(spec) > self.library.ahead_bytes // 2 or (
            node.out.base is None and not is_contiguous(spec)
        ):
            return False
        return node.op in ("gather", "getitem", "reshape") or self.is_elementwise(node)

    def find_gather(self, node: Node) -> None:
        """Mark `take(data, indices of the step, axis=0)`; its indices are checked once for all steps."""
        if node.op != "take" or len(node.args) != 2 or node.kwargs != {"axis": 0}:
            return
        source, index = node.args
        if index.source is not None and index.source[0] == "inputs" and len(index.spec.shape) == 1:
            node.op = "gather"
            check = (index.source[1], source.spec.shape[0])
            if check not in self.plan.indices:
                self.plan.indices.append(check)

    # --- parts of a concatenation ---

    def find_parts(self) -> None:
        """Parts that can be computed in place in a concatenation: value -> (concatenation, entry)."""
        self.within: dict[Value, tuple[Value, int]] = {}
        users = count_users(self.nodes, self.program)
        for node in self.computed:
            if node.op != "concat" or node.out in self.within:
                continue
            entry, taken = 0, 0
            for part in node.args[0]:
                root = part.root
                if (
                    len(part.spec.shape) == 1
                    and root.node in self.nodes
                    and root not in self.within
                    and root not in self.program.outputs
                    and root.spec.dtype == node.out.spec.dtype
                    and math.prod(root.spec.shape) == math.prod(part.spec.shape)
                    and is_contiguous(root.spec)
                    and is_reshape(part)
                ):
                    self.take_in(root, (node.out, entry), users)
                    taken += 1
                entry += math.prod(part.spec.shape)
            if taken == len(node.args[0]):
                self.plan.vanished.add(node)

    def take_in(self, value: Value, where: tuple[Value, int], users: dict[Value, int]) -> None:
        """Place a part, and the operands that it can overwrite, in the concatenation."""
        self.within[value] = where
        if value.node is not None and self.is_elementwise(value.node):
            for operand in value.node.operands:
                if (
                    operand.node in self.nodes
                    and operand.base is None
                    and operand.spec == value.spec
                    and users[operand] == 1
                    and operand not in self.within
                ):
                    self.take_in(operand, where, users)
                    return

    def owner(self, value: Value) -> Value:
        """The value whose memory holds this value; the concatenation for its parts."""
        root = value.root
        return self.within[root][0] if root in self.within else root

    # --- blocks ---

    def group(self) -> None:
        groups: list[list[Node]] = []
        closed: list[Node] = []
        for time, node in enumerate(self.computed, start=1):
            last = groups[-1] if groups and groups[-1] is not closed else []
            if (
                last
                and self.can_block(node)
                and self.can_block(last[-1])
                and node.out.spec.shape == last[-1].out.spec.shape
                and not any(
                    operand.base is not None and operand.root in {n.out for n in last}
                    for operand in node.operands
                )
            ):
                last.append(node)
            else:
                groups.append([node])
            length = self.library.kernel_length(self.computed[:time])
            if length:
                closed = self.computed[time - length : time]
                groups = [
                    rest
                    for group in groups
                    if (rest := [member for member in group if member not in closed])
                ]
                groups.append(closed)
        self.plan.groups = groups

    def can_block(self, node: Node) -> bool:
        return (
            self.is_elementwise(node)
            and is_contiguous(node.out.spec)
            and (
                self.library.fuses_groups
                or math.prod(node.out.spec.shape) > LARGE * self.plan.block
            )
        )

    # --- when a value is used for the last time ---

    def find_last_uses(self) -> None:
        self.last_use: dict[Value, int] = {}
        for time, node in enumerate(self.computed):
            for operand in node.operands:
                self.last_use[self.owner(operand)] = time
        for value in (*self.program.state, *self.program.outputs):
            self.last_use[self.owner(value)] = len(self.computed)

    def choose_outputs(self) -> None:
        state = {self.owner(value) for value in self.program.state}
        shared = {*self.within, *(whole for whole, _ in self.within.values())}
        for i, value in enumerate(self.program.outputs):
            alone = value.base is None and value not in state and value not in shared
            if alone and value.node in self.computed and value not in self.plan.direct:
                self.plan.direct[value] = i

    # --- where every value is stored ---

    def place(self) -> None:
        self.destination = self.find_destinations()
        self.slots = [
            Slot(old.spec.dtype, math.prod(old.spec.shape), i) for i, old in enumerate(self.state)
        ]
        places = self.plan.places
        free: list[Memory] = []
        time = 0
        for group in self.plan.groups:
            released: list[Memory] = []
            inner = self.inner_values(group, time)
            inner_free: list[Memory] = []
            self.plan.inner |= inner
            for node in group:
                value = node.out
                owner = self.owner(value)
                if owner not in places and value not in self.plan.direct:
                    over = self.operand_to_overwrite(node, time, group, inner)
                    if over is not None:
                        places[value] = over
                    elif value in inner:
                        spec = value.spec
                        size = block_rows(spec, self.plan.block) * math.prod(spec.shape[1:])
                        memory = allocate(inner_free, spec.dtype, size)
                        places[value] = Place(memory, block=True)
                    else:
                        size = math.prod(owner.spec.shape)
                        places[owner] = Place(allocate(free, owner.spec.dtype, size))
                if value in self.within:
                    places[value] = Place(places[owner].memory, self.within[value][1])
                for operand in {self.owner(o) for o in node.operands} | {owner}:
                    if self.last_use.get(operand, time) <= time and operand in places:
                        place = places[operand]
                        still = {
                            places[v].memory for v in places if self.last_use.get(v, -1) > time
                        }
                        if place.memory not in still and not isinstance(place.memory, Slot):
                            (inner_free if place.block else released).append(place.memory)
                time += 1
            free += [m for m in dict.fromkeys(released) if m not in free]

    def find_destinations(self) -> dict[Value, int]:
        """Values on the way to a leaf of the new state, which may overwrite the old one."""
        destination: dict[Value, int] = {}
        for slot, new in enumerate(self.program.state):
            value = new
            while value.base is None and value not in destination and value.node in self.computed:
                destination[value] = slot
                assert value.node is not None
                if not self.is_elementwise(value.node):
                    break
                same = [o for o in value.node.operands if o.spec == value.spec and o.base is None]
                if not same:
                    break
                value = same[0]
        return destination

    def operand_to_overwrite(
        self, node: Node, time: int, group: list[Node], inner: set[Value]
    ) -> Place | None:
        """The place of an operand that fits the result and has no use after this node."""
        if not self.is_elementwise(node):
            return None
        for operand in node.operands:
            if operand.base is not None or operand.spec != node.out.spec or operand in self.within:
                continue
            if self.last_use.get(operand, -1) != time or operand in self.plan.direct:
                continue
            in_group = [o for member in group for o in member.operands if o.root is operand]
            if any(o is not operand for o in in_group):
                continue
            if operand.source is not None and operand.source[0] == "state":
                slot = operand.source[1]
                if self.destination.get(node.out) == slot and node.out.base is None:
                    return Place(self.slots[slot])
                continue
            place = self.plan.places.get(operand)
            if place is None or (place.block and node.out not in inner):
                continue
            if (
                isinstance(place.memory, Slot)
                and self.destination.get(node.out) != place.memory.index
            ):
                continue
            return place
        return None

    def inner_values(self, group: list[Node], time: int) -> set[Value]:
        """Results used only within the same group: storing one block of them is enough."""
        if len(group) == 1:
            return set()
        end = time + len(group)
        return {
            node.out
            for node in group
            if self.last_use.get(node.out, time) < end
            and node.out not in self.within
            and node.out not in self.plan.direct
        }


def live_nodes(program: Program) -> list[Node]:
    """The nodes that the new state or an output depends on."""
    wanted = set(program.state) | set(program.outputs)
    nodes = []
    for node in reversed(program.nodes):
        if node.out in wanted:
            wanted.update(node.operands)
            nodes.append(node)
    return nodes[::-1]


def count_users(nodes: Iterable[Node], program: Program) -> dict[Value, int]:
    """How many nodes use each value; the end of the step counts as one."""
    users: dict[Value, int] = {}
    for value in [operand for node in nodes for operand in node.operands] + [
        *program.state,
        *program.outputs,
    ]:
        users[value] = users.get(value, 0) + 1
    return users


def allocate(free: list[Memory], dtype: Any, size: int) -> Memory:
    """A free memory of the dtype that fits without wasting more than half of it, or a new one."""
    fits = [m for m in free if m.dtype == dtype and size <= m.size <= 2 * size]
    if not fits:
        return Memory(dtype, size)
    best = min(fits, key=lambda m: m.size)
    free.remove(best)
    return best


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


def is_reshape(value: Value) -> bool:
    """Whether a value is the root of its memory, or a reshape of it."""
    while value.base is not None:
        if value.node is None or value.node.op != "reshape":
            return False
        value = value.base
    return True


def block_rows(spec: Spec, block: int) -> int:
    """Rows of one block of `block` entries."""
    return max(1, block // max(1, math.prod(spec.shape[1:])))
