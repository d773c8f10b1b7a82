"""Each weight's gradient or update: right, right up to a factor, an optimiser's step, or wrong."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from anyarray_mlp.backprop.tracing.matching import Match, Targets, combined, fitted, joined
from anyarray_mlp.backprop.tracing.scene import Picture, Weight
from anyarray_mlp.backprop.tracing.tape import Node, ancestors, descendants
from anyarray_mlp.typing import Host

#: The search for the causes of what is wrong may take so long.
SEARCH_SECONDS = 4.0
#: A gradient that is smaller by this than the largest cotangent is zero.
NOTHING = 1e-7

State = Literal[
    "right", "dead", "optimiser", "wrong", "transposed", "not updated", "not seen", "shape"
]


@dataclass
class Verdict:
    """What became of one weight.

    `change` is its gradient, or what a step adds to it, in each run; `truth` its true gradient.
    """

    weight: Weight
    state: State
    change: list[Host] = field(default_factory=list)
    truth: list[Host] = field(default_factory=list)
    factor: float = 0.0
    decay: tuple[float, float] | None = None
    source: Node | None = None


class Bench:
    """All verdicts, and the nodes of the backward pass that are right."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.scene = picture.scene
        self.targets = Targets(picture)
        self.finals = [w.final for w in self.scene.weights if w.final is not None]
        way = ancestors(self.finals)
        self.back = [
            n for n in picture.nodes if n in picture.spine and n in picture.hot and n in way
        ]
        self.right: dict[Node, list[Match]] = {}
        for node in self.back:
            if node.is_float:
                found = self.targets.match(self.targets.values(node))
                if found:
                    self.right[node] = found
        self.scale = max(
            (
                float(np.abs(c).max(initial=0.0))
                for col in picture.columns
                for c in col.cotangents.values()
            ),
            default=0.0,
        )
        self.verdicts = [self.judge(w) for w in self.scene.weights]
        self.deadline = time.process_time() + SEARCH_SECONDS

    def out_of_time(self) -> bool:
        """Has the search for causes taken too long? What is found by then counts."""
        return time.process_time() > self.deadline

    def judge(self, weight: Weight) -> Verdict:
        columns = self.picture.columns
        if weight.final is None:
            return Verdict(weight, "not seen")
        starts = [c.of(weight.start) for c in columns]
        ends = [c.of(weight.final) for c in columns]
        truth = [c.cotangent(weight.start) for c in columns]
        if self.scene.makes_gradients:
            change = ends
        elif ends[0].size == starts[0].size:
            change = [e.reshape(s.shape) - s for e, s in zip(ends, starts, strict=True)]
        else:
            return Verdict(weight, "shape", ends, truth)
        verdict = Verdict(weight, "wrong", change, truth)
        largest = max(float(np.abs(t).max(initial=0.0)) for t in truth)
        moved = max(float(np.abs(c).max(initial=0.0)) for c in change)
        nothing = largest < NOTHING * self.scale
        if nothing and (moved < NOTHING * self.scale or self.is_nothing(weight)):
            verdict.state = "dead"
        elif moved == 0:
            verdict.state = "not updated"
        else:
            self.compare(verdict)
        return verdict

    def is_nothing(self, weight: Weight) -> bool:
        """Is a weight's gradient as computed nothing but rounding, which an optimiser makes larger?"""
        assert weight.final is not None
        way = ancestors([weight.final])
        made = [n for n in self.back if n in way and n.value.size == weight.start.value.size]
        return any(
            all(float(np.abs(v).max()) < NOTHING * self.scale for v in self.targets.values(n))
            for n in made
        )

    def compare(self, verdict: Verdict) -> None:
        weight, change = verdict.weight, verdict.change
        whole = joined(verdict.truth)
        if change[0].size != verdict.truth[0].size:
            verdict.state = "shape" if self.scene.makes_gradients else "wrong"
            return
        factor = fitted(joined(change), whole)
        if factor is not None and change[0].shape in (weight.start.value.shape, *loose(weight)):
            verdict.state, verdict.factor = "right", factor
            self.note_updates(weight)
            return
        if change[0].ndim == 2:
            turned = fitted(joined([c.T for c in change]), whole)
            if turned is not None:
                verdict.state, verdict.factor = "transposed", turned
                return
        self.as_optimiser(verdict)
        if verdict.state == "wrong" and self.scene.exact and not self.scene.makes_gradients:
            self.as_decay(verdict)

    def as_decay(self, verdict: Verdict) -> None:
        """Is a step the gradient and a multiple of the weight, which the loss has another multiple of?"""
        weights = joined(self.targets.values(verdict.weight.start))
        found = combined(joined(verdict.change), [joined(verdict.truth), weights])
        if found is not None and abs(found[1]) > 1e-9:
            verdict.state, verdict.factor = "optimiser", float(np.sign(found[0]))
            verdict.decay = (float(found[0]), float(found[1]))

    def note_updates(self, weight: Weight) -> None:
        """The updated weight is right wherever it is used."""
        if self.scene.makes_gradients or weight.final is None:
            return
        starts = self.targets.values(weight.start)
        for node in ancestors([weight.final]) & set(self.back):
            if node.value.shape == weight.start.value.shape and node not in self.right:
                change = [v - s for v, s in zip(self.targets.values(node), starts, strict=True)]
                if (
                    fitted(joined(change), joined(self.targets.cotangents(weight.start)))
                    is not None
                ):
                    self.right[node] = [Match(weight.start, False, 1.0, updated=True)]

    def takes_more(self, node: Node, known: set[Node]) -> bool:
        """Is a step multiplied by something else of the network, as no optimiser does?"""
        if node.operation.split(" ")[0] in ("add", "subtract") or node.moves:
            return False
        return any(o in self.picture.hot and o not in known for o in node.operands)

    def as_optimiser(self, verdict: Verdict) -> None:
        """Is a step an elementwise function of the right gradient, as Adam's is?"""
        weight = verdict.weight
        if weight.final is None or self.scene.makes_gradients:
            return
        way = ancestors([weight.final])
        sources = [
            n
            for n in self.back
            if n in way
            and any(
                m.node is weight.start and m.whole and not m.turned for m in self.right.get(n, ())
            )
            and n.value.size == weight.start.value.size
        ]
        after: list[Node] = []
        for source in sources:
            after = [n for n in descendants(self.picture.nodes, [source]) & way if n is not source]
            known = {source, *after}
            if all((n.elementwise or n.moves) and not self.takes_more(n, known) for n in after):
                break
        else:
            return
        verdict.state, verdict.source = "optimiser", source
        truth, change = joined(verdict.truth), joined(verdict.change)
        towards = float(np.sum(truth * change))
        verdict.factor = 1.0 if towards > 0 else -1.0
        found = combined(change, [truth, joined(self.targets.values(weight.start))])
        if found is not None:
            verdict.decay = (float(found[0]), float(found[1]))
        for node in after:
            self.right.setdefault(node, [Match(weight.start, False, 1.0, updated=True)])


def loose(weight: Weight) -> list[tuple[int, ...]]:
    """Shapes that mean the same for a vector: (n,), (1, n), (n, 1)."""
    shape = weight.start.value.shape
    size = weight.start.value.size
    if len(shape) <= 1 or 1 in shape:
        return [(size,), (1, size), (size, 1), *([()] if size == 1 else [])]
    return []
