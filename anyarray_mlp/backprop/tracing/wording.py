"""A fault in words: the line, what is right up to it, what is needed there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anyarray_mlp.backprop.causes.catalogue import CATALOGUE
from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.tracing.correcting import corrected_line
from anyarray_mlp.backprop.tracing.faults import Fault, is_mask
from anyarray_mlp.backprop.tracing.judge import Judgement
from anyarray_mlp.backprop.tracing.source import (
    Spot,
    name_of,
    operand_expressions,
    operand_texts,
    spots,
)
from anyarray_mlp.backprop.tracing.source import (
    spot as spot_at,
)
from anyarray_mlp.backprop.tracing.tape import Node


def findings_of(judgement: Judgement) -> list[BackpropFinding]:
    """All faults as findings; those of one cause on one line together."""
    found: dict[tuple[str, str], BackpropFinding] = {}
    for fault in judgement.faults:
        finding = worded(judgement, fault)
        key = (finding.cause, finding.location or "")
        known = found.get(key)
        if known is None:
            found[key] = finding
            continue
        layers = tuple(sorted({*known.layers, *finding.layers}))
        found[key] = replace(known, layers=layers)
    return list(found.values())


def worded(judgement: Judgement, fault: Fault) -> BackpropFinding:
    """One fault as a finding."""
    layers = tuple(sorted({v.weight.layer + 1 for v in fault.verdicts}))
    names = ", ".join(dict.fromkeys(v.weight.label for v in fault.verdicts))
    place = spots(fault.node) if fault.node is not None else []
    spot = guilty(place, judgement, fault)
    said = [said_of(judgement, fault), called_from(place, spot)]
    evidence: dict[str, Any] = {"wrong": names, **fault.evidence}
    severity = "error" if fault.severity == "error" else CATALOGUE[fault.cause].severity
    return BackpropFinding(
        fault.cause,
        layers,
        ", ".join(dict.fromkeys(v.weight.kind for v in fault.verdicts)),
        "; ".join(text for text in said if text),
        evidence,
        spot.place if spot is not None else None,
        spot.text if spot is not None else None,
        "warning" if fault.severity == "warning" else severity,
        corrected=corrected_line(judgement, fault),
    )


def guilty(place: list[Spot], judgement: Judgement, fault: Fault) -> Spot | None:
    """The line to name: the innermost of the user's; in an expression of several lines, that of its wrong part."""
    if not place:
        return None
    spot, node = place[0], fault.node
    expression = spot.expression
    if node is None or expression is None:
        return spot
    mask = mask_of_gradient(judgement, node)
    if mask is not None:
        own = [spot_at(*place) for place in mask.place if place[0] is node.place[0][0]]
        return own[0] if own else spot
    if expression.lineno == expression.end_lineno:  # type: ignore[attr-defined]
        return spot
    parts = operand_expressions(expression)
    for part, operand in zip(parts, node.operands, strict=False):
        if operand not in judgement.bench.picture.spine and operand.value.ndim:
            return replace(spot, line=part.lineno)
    return spot


def mask_of_gradient(judgement: Judgement, node: Node) -> Node | None:
    """A factor that is a comparison of the gradient itself, as `gradient > 0`."""
    spine = judgement.bench.picture.spine
    return next(
        (o for o in node.operands if o in spine and (is_mask(o) or o.value.dtype.kind == "b")), None
    )


def called_from(place: list[Spot], spot: Spot | None) -> str:
    """Where the helper that holds the line was called."""
    outer = [s for s in place[1:2] if spot is not None and s.place != spot.place]
    return f"called from {outer[0].place}: {outer[0].text}" if outer else ""


def said_of(judgement: Judgement, fault: Fault) -> str:
    """What is right up to the line, and what is needed there."""
    node = fault.node
    if node is None:
        return fault.why
    right = [
        text
        for text, operand in zip(operand_texts(node), node.operands, strict=False)
        if is_right(judgement, operand)
    ]
    parts = []
    if right and fault.exchange is not None:
        parts.append(f"{' and '.join(right)} {'is' if len(right) == 1 else 'are'} right")
    if fault.exchange is not None:
        change = fault.exchange
        known = called(change.new)
        what = f"the gradient of {known}" if change.is_gradient else known
        turned = " transposed" if change.turned else ""
        parts.append(f"here {what}{turned} is needed")
    if mask_of_gradient(judgement, node) is not None:
        parts.append("the factor compares the gradient itself: compare the pre-activation")
    elif fault.why:
        parts.append(fault.why)
    return "; ".join(parts)


def is_right(judgement: Judgement, operand: Node) -> bool:
    """Is an operand a right gradient, or no gradient at all?"""
    return operand in judgement.bench.right or operand not in judgement.bench.picture.spine


def called(node: Node) -> str:
    """A forward value by its name, or by its line."""
    name = name_of(node)
    if name:
        return name
    place = spots(node)
    if not place:
        return "a value of the forward pass"
    said = place[0].said
    return (
        f"{said} (line {place[0].line})"
        if 0 < len(said) < 50
        else f"the value of line {place[0].line}"
    )
