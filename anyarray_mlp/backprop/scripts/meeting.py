"""What meets the weights in the first step of a recorded script: inputs and labels."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from anyarray_mlp.backprop.scripts.gradients import named_gradients
from anyarray_mlp.backprop.scripts.weights import Found, find_weights
from anyarray_mlp.backprop.tracing.source import is_literal, spots
from anyarray_mlp.backprop.tracing.tape import Node, Tape, TraceLost, ancestors, descendants

#: How a label meets what the network gives.
DIFFERENCES = frozenset(["subtract"])
PRODUCTS = frozenset(
    ["multiply", "divide", "true_divide", "dot", "matmul", "outer", "einsum", "inner", "vdot"]
)
COMPARED = frozenset(["equal", "not_equal", "where", "less", "greater", "choose"])


@dataclass
class Contact:
    """Where a value from outside meets one that depends on the weights."""

    outside: Node
    inside: Node
    node: Node
    place: int


class Meeting:
    """The weights of the first step that trains, and the values from outside that meet them."""

    def __init__(self, tape: Tape) -> None:
        self.tape, self.nodes = tape, tape.nodes
        every = find_weights(self.nodes)
        self.makes_gradients = not every
        every = every or named_gradients(self.nodes)
        if not every:
            raise TraceLost("no value is updated in a loop")
        while every:
            self.look(every)
            if self.labels or self.marks:
                break
            every = [f for f in every if f.reader.index > self.first]

    def look(self, found: list[Found]) -> None:
        """The first step, with these values as the weights."""
        self.found = found
        self.end = min((f.next_reader.index for f in self.found if f.is_read_again),
                       default=self.next_reading())  # fmt: skip
        self.found = [f for f in self.found if f.final.index < self.end]
        self.region = self.nodes[: self.end]
        self.starts = {f.start for f in self.found}
        self.hot = descendants(self.region, self.starts)
        self.first = min(f.reader.index for f in self.found)
        self.contacts = list(self.find_contacts())
        self.inputs = self.find_inputs()
        self.label_contacts = self.find_labels()
        self.split_shared()
        self.labels = self.sources([c.outside for c in self.label_contacts], self.inputs)
        self.marks = [] if self.labels else self.find_marks()

    def next_reading(self) -> int:
        """Where the first new value is read after the last update, if no place reads both."""
        finals = {f.final for f in self.found}
        last = max(n.index for n in finals)
        later = (n.index for n in self.nodes[last + 1 :] if any(o in finals for o in n.operands))
        return next(later, len(self.nodes))

    # ---- what meets the weights ------------------------------------------------------------------

    def find_contacts(self) -> Iterator[Contact]:
        """Where something from outside is combined with what depends on the weights."""
        for node in self.region[self.first :]:
            if node not in self.hot:
                continue
            inside = [o for o in node.operands if o in self.hot]
            if not inside:
                continue
            for place, operand in enumerate(node.operands):
                if operand in self.hot or node.index < operand.index:
                    continue
                yield Contact(operand, inside[0], node, place)

    def is_data(self, contact: Contact) -> bool:
        """Not a number written in the expression, nor an array of zeros or of running numbers."""
        value = contact.outside.value
        if value.ndim == 0:
            return not is_literal(contact.node, contact.place)
        flat = value.ravel()
        if (
            flat.size > 2
            and value.dtype.kind in "iu"
            and np.array_equal(flat, np.arange(flat.size))
        ):
            return False
        if flat.size == 1 or not np.any(flat != flat[0]):  # part of a larger array of data, perhaps
            source = self.trail(contact.outside)[-1].value
            return bool(np.any(source)) and (
                flat.size == 1 or bool(np.any(source != source.flat[0]))
            )
        return True

    def is_weight(self, node: Node) -> bool:
        """A weight itself, in whatever form."""
        while (
            node not in self.starts
            and (node.moves or node.operation == "negative")
            and node.operands
        ):
            node = next((o for o in node.operands if o in self.hot), node.operands[0])
        return node in self.starts

    def find_inputs(self) -> list[Node]:
        """What is multiplied with the weights themselves before any label comes in."""
        met = []
        for contact in self.contacts:
            name = contact.node.operation.split(" ")[0]
            if name in DIFFERENCES and self.is_data(contact) and not self.is_weight(contact.inside):
                break
            if name in PRODUCTS and self.is_weight(contact.inside) and self.is_data(contact):
                met.append(contact.outside)
        self.met = met
        found = self.sources(met, [])
        # A number beside arrays is a rate or a momentum.
        return [n for n in found if n.value.ndim] or found

    def find_labels(self) -> list[Contact]:
        known = descendants(self.region, self.inputs)
        direct: list[Contact] = []
        weak: list[Contact] = []
        for contact in self.contacts:
            if not self.is_data(contact) or self.is_weight(contact.inside):
                continue
            name = contact.node.operation.split(" ")[0]
            array = contact.outside.value.ndim > 0
            if name in DIFFERENCES or (
                name.startswith("[")
                and contact.outside.value.dtype.kind in "iu"
                and contact.place > contact.node.operation.endswith("=")
            ):
                direct.append(contact)
            elif (
                (name in PRODUCTS and array) or name in COMPARED
            ) and contact.outside not in known:
                weak.append(contact)
        direct = [c for c in direct if not self.is_state(c.outside)]
        differences = [c for c in direct if c.node.operation == "subtract" and c.outside.value.ndim]
        if differences:  # then an index is a position, not a label
            direct = differences
        elif any(c.outside.value.ndim for c in direct):
            direct = [c for c in direct if c.outside.value.ndim or c.node.operation.startswith("[")]
        found = direct or [c for c in weak if not self.is_mask(c)]
        sources = set(self.sources([c.outside for c in found], self.inputs))
        more = [c for c in weak if c not in found and set(self.trail(c.outside)) & sources]
        return sorted([*found, *more], key=lambda c: c.node.index)

    def find_marks(self) -> list[Node]:
        """The 1 in `p[label] -= 1`, where the label is a plain number that no tape shows."""
        return [
            c.outside
            for c in self.contacts
            if c.node.operation == "subtract"
            and c.place == 1
            and c.outside.value.size == 1
            and float(c.outside.value.flat[0]) == 1.0
            and c.inside.operation.startswith("[")
            and changes_element(c.node)
        ]

    def is_state(self, node: Node) -> bool:
        """Something that an optimiser keeps: made of zeros."""
        return node.value.ndim > 0 and not np.any(self.trail(node)[-1].value)

    def is_mask(self, contact: Contact) -> bool:
        """Random numbers drawn during the step: a dropout mask."""
        leaves = [n for n in ancestors([contact.outside]) if n.kind == "random"]
        return any(n.index > self.first for n in leaves)

    def split_shared(self) -> None:
        """Where samples are their own targets, as in an autoencoder: the target becomes a node of its own."""
        barred = {n for node in self.inputs for n in self.trail(node)} | ancestors(self.inputs)
        changed = False
        for contact in self.label_contacts:
            if any(n not in barred for n in self.trail(contact.outside)):
                continue
            own = Node(0, "target", np.asarray, (contact.outside,), contact.outside.value)
            own.moves, own.phase = True, "step"
            operands = list(contact.node.operands)
            operands[contact.place] = contact.outside = own
            contact.node.operands = tuple(operands)
            self.region.insert(self.region.index(contact.node), own)
            changed = True
        if changed:
            for index, node in enumerate(self.region):
                node.index = index

    # ---- where it comes from ---------------------------------------------------------------------

    def trail(self, node: Node) -> list[Node]:
        """A value from outside and what it was made of, as far as there is a single source."""
        told = [node]
        while True:
            arrays = [o for o in node.operands if o.value.ndim > 0 and np.any(o.value)]
            if len(arrays) > 1:  # beside a column of ones
                arrays = [o for o in arrays if np.any(o.value != o.value.flat[0])] or arrays
            if not arrays:
                arrays = [
                    o for o in node.operands if len(node.operands) == 1 or o.kind != "constant"
                ]
            if len(arrays) != 1:
                return told
            node = arrays[0]
            told.append(node)

    def sources(self, met: Sequence[Node], apart: Sequence[Node]) -> list[Node]:
        """The first values that these come from, none of which is one of `apart` or made into it."""
        barred = {n for node in apart for n in self.trail(node)} | ancestors(apart)
        found: dict[Node, None] = {}
        for node in met:
            own = [n for n in self.trail(node) if n not in barred]
            if own:
                found.setdefault(own[-1])
        return list(found)


def changes_element(node: Node) -> bool:
    """Is an operation the `-=` of a statement like `p[k] -= 1`?"""
    found = next(iter(spots(node)), None)
    statement = None if found is None else found.statement
    return isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Subscript)
