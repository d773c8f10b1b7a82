"""The first operation of the backward pass whose operands are right and whose result is not."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from anyarray_mlp.backprop.tracing.derivatives import is_segment
from anyarray_mlp.backprop.tracing.leftover import other_factor, turned_use
from anyarray_mlp.backprop.tracing.operands import Exchange, exchanged, exchanges
from anyarray_mlp.backprop.tracing.scene import Column
from anyarray_mlp.backprop.tracing.slopes import (
    another_layers_derivative,
    hot_right,
    unknown_derivative,
    wrong_derivative,
)
from anyarray_mlp.backprop.tracing.tape import Node, ancestors
from anyarray_mlp.backprop.tracing.terms import wrong_terms
from anyarray_mlp.backprop.tracing.verdict import Bench, Verdict
from anyarray_mlp.typing import Host

#: Operations that only show a value in another form.
VIEWS = frozenset(["T", "transpose", "copy", "in-place", "ravel", "reshape", "flatten", "squeeze", "read",
                   "flat", "array", "asarray", "astype", "expand_dims", "atleast_2d"])  # fmt: skip
#: Operations that put values side by side.
GATHERS = frozenset(["write", "read", "flat", "array", "stack", "vstack", "hstack", "concatenate"])


@dataclass
class Fault:
    """One mistake: its operation, the weights that it spoils, its cause and what would cure it.

    `also` are nodes whose lines are as likely meant: where a wrong factor was computed, for example.
    """

    node: Node | None
    verdicts: list[Verdict]
    cause: str
    why: str = ""
    exchange: Exchange | None = None
    also: list[Node] = field(default_factory=list)
    evidence: dict[str, float] = field(default_factory=dict)
    severity: str = "error"
    needed: Node | None = None
    factor_text: str = ""


def find_faults(bench: Bench) -> list[Fault]:
    """The faults behind all wrong weights, in the order of their operations."""
    groups: dict[Node, list[Verdict]] = {}
    for verdict in bench.verdicts:
        if verdict.state in ("wrong", "shape") and verdict.weight.final is not None:
            node = None
            if not is_part(bench, verdict):
                node = first_fault(bench, verdict)
            groups.setdefault(node or verdict.weight.final, []).append(verdict)
    found = [explain(bench, node, groups[node]) for node in sorted(groups, key=lambda n: n.index)]
    return sorted(found, key=partial(precedence, found))


def precedence(found: list[Fault], fault: Fault) -> tuple[bool, int]:
    """The order of their operations; what has no cause of its own after the faults that it is made of."""
    assert fault.node is not None
    before = ancestors([fault.node])
    follows = fault.cause == "unexplained" and any(
        f is not fault and f.node in before and f.cause != "unexplained" for f in found
    )
    return follows, fault.node.index


def is_part(bench: Bench, verdict: Verdict) -> bool:
    """Is a gradient that of a single sample, or of a single use of the weight?"""
    return any(m.node is verdict.weight.start for m in bench.targets.match(verdict.change))


def first_fault(bench: Bench, verdict: Verdict) -> Node | None:
    """The first value on the way to a weight that is neither right nor leads to something right."""
    final = verdict.weight.final
    assert final is not None
    way = ancestors([final])
    back = [n for n in bench.back if n in way]
    leads: set[Node] = set()
    for node in reversed(back):
        if node in bench.right:
            leads |= ancestors([node])
    gathered: set[Node] = set()
    for node in back:
        if node in bench.right or node in leads or not node.is_float or is_aside(node):
            continue
        if gathers(bench, node, gathered):
            gathered.add(node)
            continue
        source = view_of_right(bench, node)
        if source is not None:
            bench.right[node] = bench.right[source]
            continue
        return node
    return None


def is_aside(node: Node) -> bool:
    """Is an operation a mere write into shared memory, or a read of it, or a factor?"""
    return node.operation.split(" ")[0] in ("write", "read", "flat") or is_mask(node)


def gathers(bench: Bench, node: Node, gathered: set[Node]) -> bool:
    """Does an operation only put right values side by side, as the gradients of time steps?"""
    name = node.operation.split(" ")[0]
    if not (name in GATHERS or (name.startswith("[") and name.endswith("="))):
        return False
    spine = [o for o in node.operands if o in bench.picture.spine and o in bench.picture.hot]
    return bool(spine) and all(o in gathered or o in bench.right for o in spine)


def is_mask(node: Node) -> bool:
    """Is a value a comparison's result as numbers: a factor, not an error on its way?"""
    return (node.operation.startswith(("astype", "array", "where")) and bool(node.operands)
            and node.operands[0].value.dtype.kind == "b")  # fmt: skip


def view_of_right(bench: Bench, node: Node) -> Node | None:
    """The right value that a node only shows in another form; of an updated weight, a part too."""
    if node.moves and len(node.operands) == 1:
        only = node.operands[0]
        if only in bench.right and bench.right[only][0].updated:
            return only
    if node.operation.split(" ")[0] in VIEWS and len(node.operands) == 1:
        only = node.operands[0]
        return only if only in bench.right else None
    return None


def explain(bench: Bench, node: Node, verdicts: list[Verdict]) -> Fault:
    """Which change of this one operation, or of the elementwise run from it, makes it right?"""
    fault = Fault(node, verdicts, "unexplained")
    for attempt in (
        only_one_sample,
        error_summed,
        updated_weights,
        decayed,
        wrong_terms,
        bias_summed_wrongly,
        wrong_derivative,
        operand_that_cures,
        another_layers_derivative,
        wrong_operand,
        unknown_derivative,
        turned_use,
        other_factor,
        from_the_start,
    ):
        if attempt(bench, fault):
            break
    return fault


def wanted_nodes(fault: Fault) -> set[Node]:
    """The weights that a fault spoils."""
    return {v.weight.start for v in fault.verdicts}


def only_one_sample(bench: Bench, fault: Fault) -> bool:
    """Is the gradient that of one sample?"""
    if not all(is_part(bench, v) for v in fault.verdicts):
        return False
    fault.cause = "only_last_sample"
    fault.why = "the gradient of one sample is right, but it should be the sum over all"
    first = fault.verdicts[0].weight
    assert first.final is not None
    behind = ancestors([first.final])
    made = [
        n
        for n in bench.back
        if n in behind
        and any(m.node is first.start and not m.whole for m in bench.right.get(n, ()))
    ]
    fault.node = made[0] if made else fault.node
    return True


def error_summed(bench: Bench, fault: Fault) -> bool:
    """Samples summed up whose errors are right, where the gradient needs the deltas."""
    node = fault.node
    assert node is not None
    base = hot_right(bench, node)
    if node.operation not in ("add", "in-place") or len(base) < 2:
        return False
    above = [bench.right[o][0].node for o in base]
    if len({n.place for n in above}) > 1 or len(set(above)) < 2:
        return False
    uses = [u.by for u in bench.picture.columns[0].uses if u.value in wanted_nodes(fault)]
    if not any(is_segment(by, upper, bench.picture.hot) for by in uses for upper in above):
        return False
    fault.cause = "derivative_missing"
    fault.why = "the samples' errors are summed up before they are multiplied by the derivative"
    return True


def updated_weights(bench: Bench, fault: Fault) -> bool:
    """An operand that is made of a weight after its update, where the one before cures it."""
    node = fault.node
    assert node is not None
    for place, operand in enumerate(node.operands):
        for updated in sorted(ancestors([operand]) & set(bench.right), key=lambda n: n.index):
            match = bench.right[updated][0]
            if view_of_right(bench, updated) is not None:
                continue
            before = partial(remade, operand, updated, match.node)
            if match.updated and exchanges(bench, node, place, before):
                fault.cause = "weights_updated_before_use"
                fault.why = f"{match.node.name} was already updated when it is used here"
                fault.needed = match.node
                return True
    return False


def remade(operand: Node, updated: Node, start: Node, column: Column) -> Host | None:
    """The operand, made again from the weight as it was before its update."""
    new = {updated: column.of(start)}
    for node in sorted(ancestors([operand]), key=lambda n: n.index):
        if node not in new and node.function is not None and any(o in new for o in node.operands):
            new[node] = np.asarray(
                node.function(*(new.get(o, column.of(o)) for o in node.operands))
            )
    return new.get(operand)


def bias_summed_wrongly(bench: Bench, fault: Fault) -> bool:
    """A bias whose right delta is summed over another axis than the samples'."""
    node = fault.node
    assert node is not None
    biases = {v.weight.start for v in fault.verdicts if v.weight.kind == "bias"}
    if not biases or len(biases) < len(fault.verdicts):
        return False
    sources = hot_right(bench, node) or ([node] if node in bench.right else [])
    sources += [n for v in fault.verdicts if v.weight.final is not None
                for n in ancestors([v.weight.final]) if n in bench.right and n.value.ndim >= 1]  # fmt: skip
    for source in sources:
        for axis in (0, 1, None):
            if axis is not None and source.value.ndim <= axis:
                continue
            sums = [c.of(source).sum(axis=axis) for c in bench.picture.columns]
            if any(m.node in biases and m.whole for m in bench.targets.match(sums)):
                fault.cause = "bias_wrong_axis"
                over = "everything" if axis is None else f"axis {axis}"
                fault.why = f"summed over {over} it is right"
                fault.factor_text = "" if axis is None else f"axis={axis}"
                fault.needed = source
                return True
    return False


def decayed(bench: Bench, fault: Fault) -> bool:
    """A gradient with a multiple of the weights that the loss does not have."""
    from anyarray_mlp.backprop.tracing.matching import combined, joined

    for verdict in fault.verdicts:
        start = bench.targets.values(verdict.weight.start)
        if verdict.change and verdict.change[0].shape == start[0].shape:
            found = combined(joined(verdict.change), [joined(verdict.truth), joined(start)])
            if found is not None and abs(found[1]) > 1e-9:
                fault.cause = "weight_decay_differs"
                fault.why = f"the change is {found[0]:.4g} * gradient + {found[1]:.4g} * weight"
                return True
    return False


def operand_that_cures(bench: Bench, fault: Fault) -> bool:
    """Does another operand make the operation and the weights' gradients right?"""
    node = fault.node
    assert node is not None
    fault.exchange = exchanged(bench, node, hot_right(bench, node), wanted_nodes(fault))
    return fault.exchange is not None and fault.exchange.cured and wrong_operand(bench, fault)


def wrong_operand(bench: Bench, fault: Fault) -> bool:
    """Does another operand make the operation right?"""
    node, best = fault.node, fault.exchange
    assert node is not None
    if best is None:
        return False
    fault.cause, fault.why = best.cause, best.why
    if best.cause == "wrong_layers_error" and node in {v.weight.final for v in fault.verdicts}:
        fault.node = own_start(bench, fault, best.operand) or node
    if best.is_gradient and "missing" in best.cause and not is_computed(bench, best.new):
        # The error that is used here was to become the delta where it was made.
        made = through_views(best.operand)
        fault.node = made if made.place else node
    return True


def own_start(bench: Bench, fault: Fault, operand: Node) -> Node | None:
    """The first right value that only these weights are made of: there the other error was taken."""
    own = {v.weight.final for v in fault.verdicts}
    others = ancestors([n for n in bench.finals if n not in own])
    way = ancestors([operand])
    return next((n for n in bench.back if n in way and n in bench.right and n not in others), None)


def is_computed(bench: Bench, forward: Node) -> bool:
    """Has the user's code the gradient of a forward value anywhere?"""
    return any(m.node is forward and not m.updated for found in bench.right.values() for m in found)


def through_views(node: Node) -> Node:
    """What a value that is only shown in another form was made as."""
    while node.operation.split(" ")[0] in VIEWS and len(node.operands) == 1:
        node = node.operands[0]
    return node


def from_the_start(bench: Bench, fault: Fault) -> bool:
    """Is nothing before it right?"""
    node = fault.node
    assert node is not None
    if any(o in bench.right for o in ancestors([node])):
        return False
    fault.cause, fault.exchange = "wrong_error", None
    fault.why = "this is no multiple of the gradient of the loss"
    return True
