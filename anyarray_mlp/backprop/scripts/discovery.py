"""A scene from the tape of a script: its weights, labels, samples, outputs and losses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from anyarray_mlp.backprop.scripts.meeting import DIFFERENCES, Meeting
from anyarray_mlp.backprop.scripts.weights import Found, shortest_chain
from anyarray_mlp.backprop.tracing.scene import Pair, Scene, Weight
from anyarray_mlp.backprop.tracing.source import name_of, operand_texts
from anyarray_mlp.backprop.tracing.tape import Node, Tape, TraceLost, ancestors, descendants

RATE = re.compile(
    r"(?i)(self\.)?_?(lr|learning_?rate|l_?rate|eta|alpha|rate|step_?size|learn_?rate)"
)
BIAS = re.compile(r"(?i).*(b|bias)s?(\d*|_\w+|\[.*\])$")


#: Numbers that are tried as the loss.
MOST_LOSSES = 4
#: Operations before a weight's new value in which its learning rate is looked for.
MOST_LOOKED_AT = 6


class Discovery(Meeting):
    """What the first step of a recorded script consists of."""

    def scene(self) -> Scene:
        """The scene of the first step.

        Raises
        ------
        TraceLost
            If no labels are found.
        """
        if not self.labels and not self.marks:
            raise TraceLost("nothing that looks like a target meets what the network gives")
        self.grow_numbers()
        updates, stops = self.updates_within()
        spine = descendants(self.region, [*self.labels, *self.marks])
        weights = [
            self.weight(f, i)
            for i, f in enumerate(self.found)
            if f.final in spine or f.start in self.hot
        ]
        weights += self.constant_biases(len(weights))
        pairs = self.pairs(spine)
        losses = self.losses(spine, {w.final for w in weights if w.final is not None})
        rate = self.rate(weights, spine)
        tape = Tape()
        tape.nodes = self.needed(weights)
        return Scene(
            tape,
            weights,
            pairs[0].output if pairs else None,
            None,
            self.labels,
            self.inputs,
            makes_gradients=self.makes_gradients,
            rate=None if rate is None else float(rate.value),
            rate_node=rate,
            samples=self.samples(pairs),
            pairs=pairs,
            losses=losses,
            redraw=True,
            found=True,
            marks=self.marks,
            updates=updates,
            stops=stops,
        )

    def updates_within(self) -> tuple[dict[Node, list[Node]], set[Node]]:
        """The values of weights between their first and their last update that are used, and all that are no leaves.

        Where a value comes back to the first, it was only shaken, to check a gradient.
        """
        told: dict[Node, list[Node]] = {}
        stops: set[Node] = set()
        for found in self.found:
            way = shortest_chain(found.final, found.start)[1:-1]
            if self.makes_gradients:
                continue
            own = {*way, found.final}
            used = {o for n in self.region if n not in own for o in n.operands if o in way}
            if not used:
                continue
            stops |= used
            if not np.allclose(way[-1].value, found.start.value, rtol=1e-9, atol=1e-12):
                told[found.start] = sorted(used, key=lambda n: n.index)
        return told, stops

    def grow_numbers(self) -> None:
        """A weight that starts as a single number and takes its gradient's shape has that shape from the start."""
        for place, found in enumerate(self.found):
            shape = found.final.value.shape
            if found.start.value.ndim or found.final.value.size < 2:
                continue
            own = Node(0, "broadcast_to", None, (), np.full(shape, found.start.value))
            own.name, own.place, own.phase = name_of(found.start), found.start.place, "step"
            users = [n for n in self.region if found.start in n.operands]
            for user in users:
                user.operands = tuple(own if o is found.start else o for o in user.operands)
            self.region.insert(self.region.index(users[0]), own)
            for index, node in enumerate(self.region):
                node.index = index
            self.found[place] = replace(found, start=own)
            self.starts = {f.start for f in self.found}
            self.hot = descendants(self.region, self.starts)

    def needed(self, weights: Sequence[Weight]) -> list[Node]:
        """The nodes that other weights, samples or labels change, and their operands; all others are constants."""
        roots = {n for w in weights for n in ancestors([w.start])} | self.starts
        roots |= {*self.inputs, *self.labels, *self.marks}
        moved = descendants(self.region, roots)
        kept = set(moved)
        for node in moved:
            kept.update(node.operands)
        told = [n for n in self.region if n in kept]
        for index, node in enumerate(told):
            node.index = index
            if node not in moved:
                node.operands, node.function = (), None
        return told

    # ---- the parts of the scene ------------------------------------------------------------------

    def weight(self, found: Found, index: int) -> Weight:
        name = name_of(found.start) or name_of(found.final) or f"weight {index + 1}"
        shape = found.start.value.shape
        small = len(shape) == 0 or len(shape) == 1 or 1 in shape
        bias = bool(small and (BIAS.fullmatch(name) or added_only(found)))
        kind: Literal["weight", "bias"] = "bias" if bias else "weight"
        rate = self.own_rate(found)
        return Weight(name, kind, index, found.start, found.final, name, found.is_lost, rate)

    def pairs(self, spine: set[Node]) -> list[Pair]:
        """(output, label): what a label is compared with."""
        told: dict[Node, Pair] = {}
        used = ancestors([f.final for f in self.found])
        # What is only reported, or shaken to check a gradient, is not what is trained.
        trained = [c for c in self.label_contacts if c.node in used] or self.label_contacts
        for contact in trained:
            name = contact.node.operation.split(" ")[0]
            inside = contact.inside
            if inside in spine:
                continue
            if name in DIFFERENCES or name.startswith("["):
                label = contact.outside
                output = through_copy(inside)
                if name in DIFFERENCES and label.value.size != output.value.size:
                    continue
                told.setdefault(output, Pair(output, label))
        return list(told.values()) or self.pairs_of_products(spine)

    def pairs_of_products(self, spine: set[Node]) -> list[Pair]:
        """The same where no difference is taken: y / p, y * log(p)."""
        told: dict[Node, Pair] = {}
        for contact in self.label_contacts:
            inside = contact.inside
            if inside in spine or contact.outside.value.size != inside.value.size:
                continue
            logs = inside.operation == "log"
            output = through_copy(inside.operands[0] if logs else inside)
            if output.operation != "subtract":
                told.setdefault(output, Pair(output, contact.outside))
        return list(told.values())

    def losses(self, spine: set[Node], finals: set[Node]) -> list[Node]:
        """Single numbers made of labels and outputs that no update uses."""
        used = ancestors(list(finals)) | descendants(self.region, finals)
        found = [
            n
            for n in self.region
            if (n in spine or self.marks) and n in self.hot and n.value.size == 1 and n.is_float and n not in used
            and np.isfinite(n.value).all()
        ]  # fmt: skip
        inner: set[Node] = set()
        outer: list[Node] = []
        for node in reversed(found):
            if node not in inner:
                outer.insert(0, node)
                ancestors(node.operands, inner)
        outer = outer[-40:]
        reach = {n: len(self.starts & ancestors([n])) for n in outer}
        # The loss depends on all weights; what is computed last depends on most.
        outer.sort(key=lambda n: (-reach[n], "log" not in near_operations(n), -n.index))
        return outer[:MOST_LOSSES]

    def rate(self, weights: Sequence[Weight], spine: set[Node]) -> Node | None:
        """The number from outside that multiplies what is added to a weight."""
        names: dict[Node, int] = {}
        for contact in self.contacts:
            value = contact.outside.value
            if value.ndim == 0 and value.dtype.kind in "fiu" and contact.inside in spine:
                texts = operand_texts(contact.node)[contact.place : contact.place + 1]
                if any(RATE.fullmatch(name) for name in (name_of(contact.outside), *texts)):
                    names[contact.outside] = names.get(contact.outside, 0) + 1
        return max(names, key=lambda n: names[n]) if names else None

    def constant_biases(self, count: int) -> list[Weight]:
        """What is added as a bias in every turn and never changes."""
        if self.makes_gradients:
            return []
        labels = [c.node.index for c in self.label_contacts]
        last = min(labels, default=self.end)
        again = {n.place for n in self.nodes[self.end :] if n.operation == "add"}
        told: dict[Node, Weight] = {}
        for contact in self.contacts:
            node, bias = contact.node, contact.outside
            if node.operation != "add" or node.index > last or node.place not in again:
                continue
            texts = operand_texts(node)[contact.place : contact.place + 1]
            name = next((t for t in (*texts, name_of(bias)) if BIAS.fullmatch(t)), "")
            if name and bias.is_float and bias.value.ndim and bias.index < self.first + 50:
                place = count + len(told)
                told.setdefault(bias, Weight(name, "bias", place, bias, bias, name))
        return list(told.values())

    def own_rate(self, found: Found) -> float | None:
        """The number that is called a learning rate where this weight is updated."""
        todo, seen = [found.final], {found.start}
        while todo and len(seen) < MOST_LOOKED_AT:
            node = todo.pop(0)
            seen.add(node)
            texts = operand_texts(node)
            for place, operand in enumerate(node.operands):
                names = (name_of(operand), *texts[place : place + 1])
                if operand.value.ndim == 0 and any(RATE.fullmatch(name) for name in names):
                    return float(operand.value)
            todo += [o for o in node.operands if o in self.hot and o not in seen]
        return None

    def samples(self, pairs: Sequence[Pair]) -> int:
        """How many samples a step sees."""
        if len(pairs) > 1 and all(p.output.value.size == pairs[0].output.value.size for p in pairs):
            return len(pairs)
        if not pairs:
            shapes = [c.outside.value.shape for c in self.label_contacts]
            return next((int(s[0]) for s in shapes if len(s) == 2 and s[1] > 1), 1)
        shape = pairs[0].output.value.shape
        # Of a mini-batch, the rows that are met count, not those that it was taken from.
        sizes = {size for node in (*self.met, *self.inputs) for size in node.value.shape}
        for size in shape:
            if size in sizes and size > 1:
                return int(size)
        return 1


def near_operations(node: Node) -> set[str]:
    """The operations that made a value, a few steps back."""
    told, level = set(), [node]
    for _ in range(5):
        told |= {n.operation.split(" ")[0] for n in level}
        level = [o for n in level for o in n.operands][:12]
    return told


def through_copy(node: Node) -> Node:
    """What a copy was made of."""
    while (
        node.operation.split(" ")[0] in ("copy", "array", "asarray", "in-place")
        and len(node.operands) == 1
    ):
        node = node.operands[0]
    return node


def added_only(found: Found) -> bool:
    """Is a weight read by a sum first, as a bias is?"""
    return found.reader.operation in ("add", "in-place")
