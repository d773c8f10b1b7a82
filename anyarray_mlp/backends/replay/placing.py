"""Placing: where every value of a planned program is stored.

- A result reuses the buffer of an operand that has no later use, or another free buffer;
- the new state overwrites the old one;
- the parts of a concatenation are computed in place, so that no concatenation is left to do;
- an output is written where the caller reads it.
"""

from __future__ import annotations

import math
from typing import Any

from anyarray_mlp.backends.replay.library import Library, is_elementwise
from anyarray_mlp.backends.replay.plans import (
    Memory,
    Place,
    Plan,
    Slot,
    block_rows,
    count_users,
    is_contiguous,
)
from anyarray_mlp.backends.replay.recording import Node, Value


class Placer:
    """Gives the values of a plan whose groups are made their places; the attributes hold what is known so far."""

    def __init__(self, plan: Plan, library: Library, nodes: list[Node]) -> None:
        self.plan = plan
        self.library = library
        self.program = plan.program
        self.nodes = nodes
        self.computed = [node for node in nodes if node.out.base is None]
        self.find_parts()
        self.find_last_uses()
        self.choose_outputs()
        self.place()

    def is_elementwise(self, node: Node) -> bool:
        """Whether a node may overwrite its operands."""
        return is_elementwise(node, self.library)

    # --- parts of a concatenation ---

    def find_parts(self) -> None:
        """Parts that can be computed in place in a concatenation of vectors, or of the rows of matrices side by side:
        value -> (concatenation, entry).
        """
        self.within: dict[Value, tuple[Value, int]] = {}
        users = count_users(self.nodes, self.program)
        for node in self.computed:
            if node.op != "concat" or node.out in self.within:
                continue
            entry, taken = 0, 0
            for part in node.args[0]:
                root = part.root
                if (
                    are_joined_by_rows(node, part, root)
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
                entry += part.spec.shape[-1]
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

    def part_of(self, memory: Memory, value: Value) -> Place:
        """The place of a part within the memory of its concatenation."""
        whole, entry = self.within[value]
        strides = None
        if len(whole.spec.shape) == 2:
            strides = (whole.spec.shape[1], *value.spec.strides[1:])
        return Place(memory, entry, strides=strides)

    def owner(self, value: Value) -> Value:
        """The value whose memory holds this value; the concatenation for its parts."""
        root = value.root
        return self.within[root][0] if root in self.within else root

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
            Slot(old.spec.dtype, math.prod(old.spec.shape), i)
            for i, old in enumerate(self.program.arguments["state"])
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
                    places[value] = self.part_of(places[owner].memory, value)
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
        if not self.is_elementwise(node) or node.out in self.within:
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


def allocate(free: list[Memory], dtype: Any, size: int) -> Memory:
    """A free memory of the dtype that fits without wasting more than half of it, or a new one."""
    fits = [m for m in free if m.dtype == dtype and size <= m.size <= 2 * size]
    if not fits:
        return Memory(dtype, size)
    best = min(fits, key=lambda m: m.size)
    free.remove(best)
    return best


def are_joined_by_rows(node: Node, part: Value, root: Value) -> bool:
    """Whether a concatenation lays a part's entries one after the other: a vector's, or each row's of a matrix."""
    shape = part.spec.shape
    if len(shape) == 1:
        return True
    along_rows = node.kwargs.get("axis", 0) in (-1, 1)
    return len(shape) == 2 and along_rows and root.spec.shape[:1] == shape[:1]


def is_reshape(value: Value) -> bool:
    """Whether a value is the root of its memory, or a reshape of it."""
    while value.base is not None:
        if value.node is None or value.node.op != "reshape":
            return False
        value = value.base
    return True
