"""Gradients in the right direction: their signs, their lengths, and what an optimiser makes of them."""

from __future__ import annotations

from anyarray_mlp.backprop.tracing.faults import Fault
from anyarray_mlp.backprop.tracing.optimisers import adds_itself, memories, optimiser_faults
from anyarray_mlp.backprop.tracing.source import spots
from anyarray_mlp.backprop.tracing.tape import Node, ancestors
from anyarray_mlp.backprop.tracing.verdict import Bench, Verdict

#: Factors that differ by less are the same: a learning rate that decays from layer to layer.
NEAR = 0.01


#: These make the whole gradient longer or shorter, which a learning rate can hide.
CONSTANTS = frozenset(["mean_missing", "mean_twice", "factor_two", "wrong_scale"])


def find_factors(bench: Bench) -> list[Fault]:
    """Faults of sign and length."""
    found = optimiser_faults(bench)
    right = [v for v in bench.verdicts if v.state == "right"]
    if not right:
        return found
    scene = bench.scene
    sign = 1.0 if scene.makes_gradients else -1.0
    rate = scene.rate or 1.0
    relative = {id(v): v.factor * sign / (v.weight.rate or rate) for v in right}
    usual = usual_factor(bench, right, relative)
    for verdict in right:
        ratio = relative[id(verdict)] / usual
        if abs(ratio - 1) > NEAR:
            cause = factor_cause(bench, ratio)
            node = verdict.weight.final
            if cause != "learning_rate_missing":
                node = own_first(bench, verdict, ratio)
            if cause == "wrong_scale" and node is not None and adds_itself(bench, node):
                cause = "momentum_misapplied"
            fault = Fault(node, [verdict], cause)
            if cause == "learning_rate_missing" and scene.found:
                fault.severity = "warning"  # a layer may have a rate of its own
            fault.evidence = {"factor against the others": ratio}
            found.append(fault)
    if usual < 0:
        fault = Fault(start_of_sign(bench, right), right, "sign_flipped")
        fault.evidence = {"factor": usual}
        found.append(fault)
    elif (
        (scene.exact or factor_cause(bench, usual) == "mean_twice")
        and scene.rate is not None
        and abs(usual - 1) > NEAR
        and not any(memories(bench, v) for v in right)
    ):
        cause = factor_cause(bench, usual)
        if (cause in CONSTANTS and cause != "wrong_scale") or not scene.found:
            severity = "warning" if cause in CONSTANTS else "error"
            fault = Fault(comes_in(bench, right, usual), right, cause, severity=severity)
            fault.evidence = {"factor": usual}
            found.append(fault)
    return merged(found)


def merged(faults: list[Fault]) -> list[Fault]:
    """Faults of one cause on one line together."""
    kept: list[Fault] = []
    for fault in faults:
        for other in kept:
            if other.cause == fault.cause and other.node is fault.node:
                other.verdicts = [*other.verdicts, *fault.verdicts]
                break
        else:
            kept.append(fault)
    return kept


def usual_factor(bench: Bench, right: list[Verdict], relative: dict[int, float]) -> float:
    """The factor of most, or that of the layer nearest to the loss."""
    values = list(relative.values())
    groups: list[float] = []
    for value in values:
        if not any(abs(value / g - 1) < NEAR for g in groups):
            groups.append(value)

    def size(g: float) -> int:
        return sum(abs(v / g - 1) < NEAR for v in values)

    known = bench.scene.exact and (bench.scene.rate is not None or bench.scene.makes_gradients)
    if known and any(abs(g - 1) < NEAR for g in groups):
        return 1.0
    usual = max(groups, key=lambda g: (size(g), abs(g - 1) < NEAR, g > 0))
    if abs(usual - 1) < NEAR and bench.scene.rate is not None:
        return usual
    weights = [relative[id(v)] for v in right if v.weight.kind == "weight"]
    if weights and 2 * size(weights[-1]) >= len(values) - 1:
        usual = weights[-1]
    return usual


def factor_cause(bench: Bench, factor: float) -> str:
    """The cause that a factor stands for."""
    scene = bench.scene
    if factor < 0:
        return "sign_flipped"
    n, rate = scene.samples, scene.rate or 0.0
    shown = scene.output or next(iter(scene.labels), None)
    outputs = max(1, shown.value.size // max(1, n)) if shown is not None else 1
    table = [
        ("mean_missing", n),
        ("mean_twice", 1 / n),
        ("factor_two", 2.0),
        ("factor_two", 0.5),
        ("mean_missing", outputs),
        ("mean_twice", 1 / outputs),
        ("mean_missing", n * outputs),
        ("mean_twice", 1 / (n * outputs)),
        ("mean_twice", outputs / n),
        ("mean_twice", 2 / n if scene.loss is None else 0.0),
        ("learning_rate_twice", rate),
        ("learning_rate_missing", 1 / rate if rate else 0.0),
    ]
    for cause, value in table:
        if value and value != 1 and abs(factor / value - 1) < NEAR:
            return cause
    return "wrong_scale"


def own_first(bench: Bench, verdict: Verdict, ratio: float) -> Node | None:
    """Where a weight's factor comes in: the operation that multiplies by it, else the first that only it uses."""
    final = verdict.weight.final
    assert final is not None
    others = ancestors(
        [v.weight.final for v in bench.verdicts if v is not verdict and v.weight.final is not None]
    )
    way = ancestors([final])
    own = [n for n in bench.back if n in way and n not in others]
    if ratio < 0:
        minus = [
            n for n in own if any(m.factor < 0 and not m.updated for m in bench.right.get(n, ()))
        ]
        upwards = sum(v.factor < 0 for v in bench.verdicts) if bench.scene.makes_gradients else 0
        return minus[0] if minus and not upwards else final
    for node in own:
        before = [o for o in node.operands if o in bench.right and o in bench.picture.spine]
        if not before or node not in bench.right or node.operation in ("sum", "add.reduce"):
            continue
        made = bench.right[node][0].factor
        if any(abs(made / bench.right[o][0].factor / ratio - 1) < NEAR for o in before):
            return node
    return (own or [final])[0]


def comes_in(bench: Bench, right: list[Verdict], factor: float) -> Node | None:
    """The last operation that multiplies all gradients by a factor; else the first value of the backward pass."""
    way = ancestors([v.weight.final for v in right if v.weight.final is not None])
    known = [
        n for n in bench.back if n in way and n in bench.right and not bench.right[n][0].updated
    ]
    for node in reversed(known):
        made = bench.right[node][0].factor
        before = [bench.right[o][0].factor for o in node.operands if o in known]
        if any(b and abs(made / b / factor - 1) < NEAR for b in before):
            return node
    return known[0] if known else None


def start_of_sign(bench: Bench, right: list[Verdict]) -> Node | None:
    """The first right value with a negative factor; where that is `label - output`, the update.

    Whoever takes that difference means to add.
    """
    way = ancestors([v.weight.final for v in right if v.weight.final is not None])
    minus = [
        n
        for n in bench.back
        if n in way
        and n in bench.right
        and all(m.factor < 0 and not m.updated for m in bench.right[n])
    ]
    if not minus:
        return right[0].weight.final
    first = minus[0]
    is_error = first.operation == "subtract" and first.operands[0] not in bench.picture.hot
    return first if not is_error or is_slope(bench, first, way) else right[0].weight.final


def is_slope(bench: Bench, error: Node, way: set[Node]) -> bool:
    """Is `label - output` doubled or divided where it is taken, as a loss's derivative is?"""
    return any(
        same_line(n, error)
        for n in way
        if error in n.operands and n.operation in ("multiply", "divide", "true_divide")
        and any(not o.operands and o.value.size == 1 for o in n.operands)
    )  # fmt: skip


def same_line(a: Node, b: Node) -> bool:
    """Are two operations on one line?"""
    one, other = next(iter(spots(a)), None), next(iter(spots(b)), None)
    return one is not None and other is not None and one.place == other.place
