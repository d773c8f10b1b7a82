"""From a scene to faults: the loss that explains most, the verdicts, the first wrong operations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from anyarray_mlp.backprop.tracing.factors import find_factors
from anyarray_mlp.backprop.tracing.faults import Fault, find_faults
from anyarray_mlp.backprop.tracing.scene import Picture, Scene
from anyarray_mlp.backprop.tracing.tape import Node, TraceLost, ancestors
from anyarray_mlp.backprop.tracing.verdict import Bench, Verdict

NAMED = ("squared_error", "cross_entropy", "binary_cross_entropy")

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
        return sum(v.state in ("wrong", "transposed", "shape") for v in self.bench.verdicts)


def judge(scene: Scene, named: str | None = None) -> Judgement:
    """The judgement with the user's own loss; without one, with the usual loss that explains most."""
    options: list[tuple[Node | None, str | None]] = [(scene.loss, None)]
    if scene.loss is None:
        options = [(None, name) for name in ([named] if named else NAMED)]
        options = [(node, None) for node in scene.losses] + options
    best: tuple[tuple[float, ...], Judgement] | None = None
    problem: Exception | None = None
    for node, loss in options:
        try:
            judgement = judge_with(replace(scene, loss=node, exact=node is not None), loss)
        except TraceLost as error:
            problem = error
            continue
        score = badness(judgement)
        if best is None or score < best[0]:
            best = score, judgement
        if judgement.wrong == 0:
            break
    if best is None:
        raise problem or TraceLost("no loss fits")
    return best[1]


def badness(judgement: Judgement) -> tuple[float, ...]:
    """How little a loss explains."""
    last = [v for v in judgement.bench.verdicts if v.weight.kind == "weight"][-1:]
    wrong = ("wrong", "transposed", "shape")
    return (
        float(bool(last) and last[0].state in wrong),
        float(judgement.wrong),
        float(len(judgement.faults)),
        -float(len(judgement.bench.right)),
    )


def liveliest(scene: Scene, loss: str | None) -> Bench:
    """All verdicts, from weights with which as few units as possible are dead."""
    best: Bench | None = None
    for seed in range(MOST_DRAWS):
        bench = Bench(Picture(scene, loss, seed))
        if best is None or dead(bench) < dead(best):
            best = bench
        if not dead(best):
            break
    assert best is not None
    return best


def dead(bench: Bench) -> int:
    """How many weights get no gradient in any run."""
    return sum(v.state == "dead" for v in bench.verdicts)


def judge_with(scene: Scene, loss: str | None) -> Judgement:
    """The judgement with one loss."""
    bench = liveliest(scene, loss)
    faults = find_faults(bench)
    for verdict in bench.verdicts:
        if verdict.state == "transposed":
            faults.append(Fault(turned_at(bench, verdict), [verdict], "transposed"))
    faults += find_factors(bench)
    for verdict in bench.verdicts:
        if verdict.state == "not updated" or verdict.weight.is_lost:
            kind = "bias_not_updated" if verdict.weight.kind == "bias" else "weights_not_updated"
            fault = Fault(verdict.weight.final if verdict.weight.is_lost else None, [verdict], kind)
            if verdict.weight.is_lost:
                fault.why = "the next step reads the old value again: the new one is kept under a name of its own"
            faults.append(fault)
    return Judgement(bench, faults, loss)


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
