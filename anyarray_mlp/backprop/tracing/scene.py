"""A scene: one forward pass, one loss and one backward pass of the user's on a tape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from anyarray_mlp.backprop.tracing.branching import branches
from anyarray_mlp.backprop.tracing.nodes import fingerprint, leaves_of
from anyarray_mlp.backprop.tracing.pullback import Use, pullback
from anyarray_mlp.backprop.tracing.redrawing import (
    TINY,
    fitting,
    guards,
    other_labels,
    redrawn,
    stirred,
)
from anyarray_mlp.backprop.tracing.tape import Node, Tape, TraceLost, ancestors, descendants
from anyarray_mlp.streams import generator
from anyarray_mlp.typing import Host


@dataclass
class Weight:
    """A parameter: the node of its value before the step, and of its gradient or its value after.

    `label` is what messages call it; `path` and `layer` are the adapter's.
    """

    label: str
    kind: Literal["weight", "bias"]
    layer: int
    start: Node
    final: Node | None = None
    path: str = ""
    #: The next step reads the old value again.
    is_lost: bool = False
    #: The learning rate of its own update, where the source shows one.
    rate: float | None = None


@dataclass(frozen=True)
class Pair:
    """An output and the label that it is compared with."""

    output: Node
    label: Node


@dataclass
class Scene:
    """What a tape shows.

    `makes_gradients`: the weights' final nodes are gradients, not new values. `exact`: the loss is
    the user's own, so that its factor counts. `rate` is the learning rate's node or its value.
    """

    tape: Tape
    weights: list[Weight]
    output: Node | None
    loss: Node | None
    labels: list[Node]
    inputs: list[Node]
    makes_gradients: bool
    rate: float | None = None
    rate_node: Node | None = None
    samples: int = 1
    layout: str = "rows"
    exact: bool = False
    targets: Any = None
    states: list[Node] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    #: Single numbers that may be the loss.
    losses: list[Node] = field(default_factory=list)
    #: The weights as recorded are the user's own, which may be zero or saturate: they are not used.
    redraw: bool = False
    #: Numbers that stand where a label says, as the 1 in `p[label] -= 1`: other ones show what depends on labels.
    marks: list[Node] = field(default_factory=list)
    #: Weights, labels and losses were found on the tape, not told.
    found: bool = False
    #: Nodes whose values differ with other labels although no label is on the tape.
    other_labels: dict[Node, Host] = field(default_factory=dict)
    #: Weights that are updated several times in the step, with their values in between.
    updates: dict[Node, list[Node]] = field(default_factory=dict)
    #: Values of weights within the step that are not differentiated further.
    stops: set[Node] = field(default_factory=set)


class Column:
    """The values of all nodes in one run, and the true cotangents in it."""

    def __init__(self, values: list[Host]) -> None:
        self.values = values
        self.cotangents: dict[Node, Host] = {}
        self.uses: list[Use] = []

    def of(self, node: Node) -> Host:
        return self.values[node.index]

    def cotangent(self, node: Node) -> Host:
        """A node's true cotangent; zero if the loss does not depend on it."""
        found = self.cotangents.get(node)
        return np.zeros(self.of(node).shape) if found is None else found


class Picture:
    """A scene in several runs: other weights, other labels, other samples.

    A value that looks right in all of them is right: even a single number is compared.
    `hot` nodes depend on the weights, `spine` nodes on the labels too, and `back` is the spine of the
    backward pass, in order.
    """

    def __init__(self, scene: Scene, loss: str | None, seed: int = 0) -> None:
        self.scene = scene
        self.tape = scene.tape
        self.nodes = scene.tape.nodes
        self.starts = [w.start for w in scene.weights]
        self.hot = descendants(self.nodes, leaves_of(self.starts))
        self.guards = guards(self.nodes)
        rng = generator("recorded code", seed)
        if scene.marks:
            drawn = [self.drawn(rng) for _ in range(3)]
            self.columns = [Column(self.tape.replay(base)) for base in drawn]
            marks = {n: n.value * 0.6 for n in scene.marks}
            first, second = self.columns[0].values, self.tape.replay({**drawn[0], **marks})
        else:
            self.columns = [Column(values) for values in self.runs(rng)]
            first, second = self.columns[0].values, self.columns[1].values
            self.keep_branches(rng)
        self.spine = {n for n in self.nodes if differs(first[n.index], second[n.index])}
        self.add_uneven(first, rng)
        self.loss = loss
        for column in self.columns:
            self.differentiate(column)
        self.back = [
            n for n in self.nodes if n in self.spine and n in self.hot and n.phase == "step"
        ]

    def add_uneven(self, first: list[Host], rng: np.random.Generator) -> None:
        """What labels of no usual size change: zeros and ones exchanged may have the same sum."""
        uneven = {
            n: n.value + 0.3 * rng.random(n.value.shape)
            for n in self.scene.labels
            if n.value.dtype.kind in "fiu"
        }
        starts = {n: first[n.index] for n in [*leaves_of(self.starts), *self.scene.inputs]}
        try:
            values = self.tape.replay({**starts, **uneven})
        except TraceLost:  # labels that are indices
            return
        self.spine |= {n for n in self.nodes if differs(first[n.index], values[n.index])}

    # ---- the runs --------------------------------------------------------------------------------

    def runs(self, rng: np.random.Generator) -> Iterator[list[Host]]:
        """As recorded; with other labels; with other weights and samples; with everything other."""
        scene = self.scene
        labels = {n: other_labels(n.value) for n in scene.labels} | scene.other_labels
        for own in (scene.redraw, True):
            base = self.drawn(rng) if own else {n: n.value * TINY for n in self.guards}
            yield self.tape.replay(base)
            yield self.tape.replay({**base, **labels})

    def leaves(self) -> list[Node]:
        """What the weights are made of, in the order of the tape: a set has another order in each run."""
        return sorted(leaves_of(self.starts), key=lambda node: node.index)

    def drawn(self, rng: np.random.Generator) -> dict[Node, Host]:
        """Other weights and samples."""
        fresh = {leaf: redrawn(leaf.value, rng) for leaf in self.leaves()}
        fresh |= {n: n.value * TINY for n in self.guards}
        inputs = {n: stirred(n.value, rng) for n in self.scene.inputs}
        try:
            self.tape.replay({**fresh, **inputs})
        except TraceLost:
            return fresh
        return {**fresh, **inputs}

    def keep_branches(self, rng: np.random.Generator) -> None:
        """Runs in which the code would have gone another way are made again, near the recorded values."""
        asked = branches(self.nodes, [w.final for w in self.scene.weights if w.final is not None])
        for place, column in enumerate(self.columns):
            for size in (0.1, 0.01, 0.001):
                if not any(n.value != column.of(n) for n in asked):
                    break
                near = {
                    leaf: leaf.value + size * redrawn(leaf.value, rng)
                    for leaf in self.leaves()
                    if leaf.is_float
                }
                column = Column(self.tape.replay(near | {n: n.value * TINY for n in self.guards}))
                self.columns[place] = column

    # ---- the true cotangents ---------------------------------------------------------------------

    def differentiate(self, column: Column) -> None:
        scene = self.scene
        if self.loss is None:
            if scene.loss is None:
                raise TraceLost("no loss")
            seeds = {scene.loss: np.ones(column.of(scene.loss).shape)}
        else:
            seeds = self.named_seeds(column)
        found = pullback(self.nodes, column.values, seeds, self.hot, column.uses, scene.stops)
        for start, between in scene.updates.items():
            own = [found[n] for n in (start, *between) if n in found]
            if own:
                found[start] = np.sum(own, axis=0)
        column.cotangents = found
        if self.loss is None and scene.output is not None and scene.output in found:
            self.output_cotangent = found[scene.output]
        more = self.twins(column)
        if more:
            region = (
                {
                    n
                    for n in ancestors(list(more))
                    if n in self.hot and (n not in found or n in more)
                }
                | set(self.starts)
                | leaves_of(self.starts)
            )
            second = pullback(self.nodes, column.values, more, region, column.uses)
            for node, cotangent in second.items():
                found.setdefault(node, cotangent)

    def named_seeds(self, column: Column) -> dict[Node, Host]:
        """The cotangents of the outputs for a loss that is known by name."""
        scene = self.scene
        if scene.pairs:
            return {
                pair.output: self.named_seed(
                    column.of(pair.output), fitting(column.of(pair.label), column.of(pair.output))
                )
                for pair in scene.pairs
            }
        if scene.output is None:
            raise TraceLost("no output")
        output = column.of(scene.output)
        return {scene.output: self.named_seed(output, fitting(scene.targets(column), output))}

    def named_seed(self, output: Host, target: Host) -> Host:
        n = max(1, self.scene.samples)
        if self.loss == "squared_error":
            seed = (output - target) / n
        elif self.loss == "cross_entropy":
            with np.errstate(all="ignore"):
                seed = -target / output / n
        elif self.loss == "cross_entropy_of_logits":
            raised = np.exp(output - output.max())
            axis = 0 if self.scene.layout == "columns" else -1
            seed = (raised / raised.sum(axis=axis, keepdims=True) - target) / n
        elif self.loss == "binary_cross_entropy_of_logits":
            seed = (0.5 + 0.5 * np.tanh(0.5 * output) - target) / n
        else:
            with np.errstate(all="ignore"):
                seed = (output - target) / (output * (1 - output)) / n
        return np.asarray(seed)

    def twins(self, column: Column) -> dict[Node, Host]:
        """Values of the step's own forward pass that equal ones whose cotangent is known."""
        if not hasattr(self, "twin_of"):
            self.twin_of = self.find_twins(column)
        seeds: dict[Node, Host] = {}
        for node, source, key in self.twin_of:
            cotangent = column.cotangents.get(source)
            if cotangent is not None:
                seeds[node] = cotangent[key].reshape(column.of(node).shape)
        return seeds

    def find_twins(self, column: Column) -> list[tuple[Node, Node, Any]]:
        """(node in the step, node with a cotangent, which part of it)."""
        known = column.cotangents
        own = [n for n in self.nodes if n.phase == "step" and n in self.hot and n not in known
               and n not in self.spine and n.is_float]  # fmt: skip
        if not own:
            return []
        table: dict[tuple[int, bytes], list[Node]] = {}
        for node in own:
            table.setdefault(fingerprint(column.of(node)), []).append(node)
        ends = sorted((n for n in known if n not in self.spine and n.phase != "step"),
                      key=lambda n: -n.index)  # fmt: skip
        if self.scene.output is not None and self.scene.output in known:
            ends.insert(0, self.scene.output)
        every = leaves_of(self.starts)
        for end in ends:
            if end.value.ndim == 0 and self.scene.samples > 1:
                continue
            if not every & ancestors([end]):
                continue
            found = self.pieces(end, column, table)
            if found:
                return found
        return []

    def pieces(
        self, end: Node, column: Column, table: Mapping[tuple[int, bytes], list[Node]]
    ) -> list[tuple[Node, Node, Any]]:
        """The step's nodes that hold a value as a whole, or its rows or columns one by one."""
        value = column.of(end)
        keys: list[list[Any]] = [[...]]
        if value.ndim == 2:
            keys += [[(i,) for i in range(len(value))], [(..., i) for i in range(value.shape[1])]]
            keys.append([(i, j) for i in range(len(value)) for j in range(value.shape[1])])
        elif value.ndim == 1 and value.size > 1:
            keys.append([(i,) for i in range(value.size)])
        for ways in keys:
            told = []
            for key in ways:
                same = table.get(fingerprint(value[key]), [])
                alike = [
                    n for n in same if n.operation == end.operation and n.place[:1] == end.place[:1]
                ]
                if same:
                    told.append(((alike or same)[0], end, key))
            if told:
                return told
        return []


def differs(a: Host, b: Host) -> bool:
    """Do two values differ?"""
    return a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
