"""From a scene to faults: the loss that explains most, the verdicts, the first wrong operations."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from anyarray_mlp.backprop.tracing.factors import find_factors
from anyarray_mlp.backprop.tracing.faults import Fault, find_faults
from anyarray_mlp.backprop.tracing.outputs import softmax_over_samples
from anyarray_mlp.backprop.tracing.scene import Picture, Scene
from anyarray_mlp.backprop.tracing.tape import Node, TraceLost, ancestors
from anyarray_mlp.backprop.tracing.verdict import Bench, Verdict

WRONG = ("wrong", "transposed", "shape")
NAMED = ("squared_error", "cross_entropy", "binary_cross_entropy")

#: After so many seconds of work no further loss is tried.
SECONDS = 4.0
#: The search for causes has so many seconds at least.
LEAST = 1.0
#: Weights are drawn so often, if units are dead.
MOST_DRAWS = 5


@dataclass
class Judgement:
    """What a scene shows, with the loss that it was compared with."""

    bench: Bench
    faults: list[Fault]
    loss: str | None

    @property
    def wrong(self) -> int:
        return sum(v.state in WRONG for v in self.bench.verdicts)


def judge(scene: Scene, named: str | None = None, kept: list[Judgement] | None = None) -> Judgement:
    """The judgement with the user's own loss; without one, with the usual loss that explains most.

    If given, `kept` holds the best so far, for who ends this before it is done.
    """
    options: list[tuple[Node | None, str | None]] = [(scene.loss, None)]
    if scene.loss is None:
        names = [named] if named else [n for n in NAMED if is_meant(scene, n)]
        options = [(None, name) for name in names]
        options = [(node, None) for node in scene.losses] + options
    best: tuple[tuple[float, ...], Judgement] | None = None
    problem: Exception | None = None
    deadline = time.process_time() + SECONDS
    for node, loss in options:
        if best is not None and time.process_time() > deadline:
            break
        try:
            own = replace(scene, loss=node, exact=node is not None)
            judgement = judge_with(own, loss, deadline)
        except (TraceLost, ValueError, TypeError, IndexError, ArithmeticError) as error:
            problem = error
            continue
        score = badness(judgement)
        if best is None or score < best[0]:
            best = score, judgement
            if kept is not None:
                kept[:] = [judgement]
        if judgement.wrong == 0 and not dead(judgement.bench):
            break
    if best is None:
        raise TraceLost(str(problem or "no loss fits")) from problem
    chosen = best[1]
    if chosen.loss == "squared_error" and not chosen.faults:
        chosen.faults += reported(scene, chosen)
    return chosen


def logs_shown(scene: Scene) -> tuple[Node | None, list[Node]]:
    """The loss that the code computes from all weights, and the logarithms in it."""
    shown = next(iter(scene.losses), None)
    if shown is None or not {w.start for w in scene.weights} <= ancestors([shown]):
        return None, []
    return shown, [n for n in ancestors([shown]) if n.operation == "log"]


def is_meant(scene: Scene, name: str) -> bool:
    """Not the squared error of logits, where the code's own loss takes the logarithm of their softmax."""
    _, logs = logs_shown(scene)
    outputs = {pair.output for pair in scene.pairs}
    if name != "squared_error" or not logs or not outputs:
        return True
    near = set(logs)
    for _ in range(4):  # through a clip, a guard, an index, 1 - p
        near |= {
            o
            for n in near
            if n.moves or n.operation in ("log", "clip", "add", "subtract", "maximum", "minimum")
            for o in n.operands
        }
    return bool(outputs & near)


def reported(scene: Scene, judgement: Judgement) -> list[Fault]:
    """A cross-entropy that is computed beside a network whose gradients are all those of the squared error."""
    shown, logs = logs_shown(scene)
    outputs = {pair.output for pair in scene.pairs}
    if shown is None or not any(outputs & ancestors([n]) for n in logs):
        return []
    why = "this is a cross-entropy, and the gradients are those of the squared error"
    verdicts = list(judgement.bench.verdicts)
    return [Fault(shown, verdicts, "loss_reported_differs", why, severity="warning")]


#: How little it explains that a weight is wrong for a cause; a cause that is known in full counts 1.
UNEXPLAINED = {
    "wrong_error": 4.0,
    "unexplained": 3.0,
    "wrong_operand": 2.2,
    "wrong_layers_error": 2.0,
    "wrong_layers_derivative": 2.0,
    "derivative_formula_wrong": 2.0,
}

#: The same where the loss is one that the source does not show: then another loss was meant.
UNLIKELY = {"derivative_on_fused": 3.5, "output_derivative_missing": 1.5}


def badness(judgement: Judgement) -> tuple[float, ...]:
    """How little a loss explains: the wrong weights by their causes, the layer nearest to the loss a little more."""
    verdicts = judgement.bench.verdicts
    last = [v for v in verdicts if v.weight.kind == "weight"][-1:]
    costs = {id(v): 1.0 for v in verdicts if v.state in WRONG}
    for fault in judgement.faults:
        for verdict in fault.verdicts:
            if id(verdict) in costs:
                named = {} if judgement.loss is None else UNLIKELY
                cost = UNEXPLAINED.get(fault.cause, named.get(fault.cause, 1.0))
                costs[id(verdict)] = max(costs[id(verdict)], cost)
    wrong = bool(last and last[0].state in WRONG)
    cost = sum(costs.values()) + 0.5 * wrong
    # The user's own loss holds, if the layer nearest to it is right by it.
    own = judgement.loss is None and last and last[0].state in ("right", "optimiser")
    return (
        float(not own),
        cost + 2.0 * dead(judgement.bench),
        float(len(judgement.faults)),
        float(judgement.loss is not None),
        -float(len(judgement.bench.right)),
    )


def liveliest(scene: Scene, loss: str | None, deadline: float) -> Bench:
    """All verdicts, from weights with which as few units as possible are dead."""
    best: Bench | None = None
    for seed in range(MOST_DRAWS):
        if best is not None and time.process_time() > deadline:
            break
        bench = Bench(Picture(scene, loss, seed))
        if best is None or unfit(bench) < unfit(best):
            best = bench
        if not any(unfit(best)):
            break
    assert best is not None
    return best


def unfit(bench: Bench) -> tuple[int, int]:
    """How badly weights show the gradients: dead ones, and guards of the loss that cut something off."""
    loss = bench.scene.loss
    if loss is None:
        return dead(bench), 0
    cut = 0
    for node in ancestors([loss]) - ancestors(bench.finals):
        if node.operation in ("clip", "maximum", "minimum") and node.operands:
            first = node.operands[0]
            cut += any(
                v.shape == o.shape and not np.array_equal(v, o)
                for v, o in zip(
                    bench.targets.values(node), bench.targets.values(first), strict=True
                )
            )
    return dead(bench), cut


def dead(bench: Bench) -> int:
    """How many weights get no gradient in any run; a bias before a batch norm has none in right networks too."""
    return sum(v.state == "dead" and v.weight.kind == "weight" for v in bench.verdicts)


def judge_with(scene: Scene, loss: str | None, deadline: float) -> Judgement:
    """The judgement with one loss."""
    bench = liveliest(scene, loss, deadline)
    bench.deadline = max(time.process_time() + LEAST, min(bench.deadline, deadline))
    softmax = softmax_over_samples(bench)
    if softmax is not None:  # what is wrong below follows from it
        return Judgement(bench, [softmax], loss)
    faults = find_faults(bench)
    for verdict in bench.verdicts:
        if verdict.state == "transposed":
            faults.append(Fault(turned_at(bench, verdict), [verdict], "transposed"))
    faults += find_factors(bench)
    for verdict in bench.verdicts:
        if verdict.state == "not updated" or verdict.weight.is_lost:
            kind = "bias_not_updated" if verdict.weight.kind == "bias" else "weights_not_updated"
            updates = [
                v.weight.final for v in bench.verdicts if v.weight.final is not v.weight.start
            ]
            node = verdict.weight.final if verdict.weight.is_lost else next(iter(updates), None)
            node = zeros_met(bench, verdict) or node
            fault = Fault(node, [verdict], kind)
            if verdict.weight.is_lost:
                fault.why = "the next step reads the old value again: the new one is kept under a name of its own"
            faults.insert(0 if verdict.weight.is_lost else len(faults), fault)
    return Judgement(bench, faults, loss)


def zeros_met(bench: Bench, verdict: Verdict) -> Node | None:
    """Where zeros come into a step that changes nothing: the operation that they are an operand of."""
    node, met = verdict.weight.final, None
    while node is not None and node is not verdict.weight.start:
        zeros = [
            o
            for o in node.operands
            if o.is_float and o is not verdict.weight.start and not any(np.any(v) for v in bench.targets.values(o))
        ]  # fmt: skip
        met = node if zeros and node is not verdict.weight.final else met
        node = zeros[0] if zeros else None
    return met


def turned_at(bench: Bench, verdict: Verdict) -> Node | None:
    """The first value that is the weight's gradient, transposed."""
    weight = verdict.weight
    assert weight.final is not None
    way = ancestors([weight.final])
    for node in bench.back:
        if node in way and any(
            m.turned and m.node is weight.start for m in bench.right.get(node, ())
        ):
            return node
    return weight.final
