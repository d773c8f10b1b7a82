"""A sum that lacks a term, or has one that is in it already: the error of a value that is used several times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from anyarray_mlp.backprop.tracing.cures import cures
from anyarray_mlp.backprop.tracing.matching import combined, joined
from anyarray_mlp.backprop.tracing.source import spots
from anyarray_mlp.backprop.tracing.tape import Node
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.faults import Fault
    from anyarray_mlp.backprop.tracing.verdict import Bench

#: Of a value that is used more often, no single uses are looked at.
MOST_USES = 6
#: How near a term's coefficient is to 0, 1 or 2.
NEAR = 1e-4


def wrong_terms(bench: Bench, fault: Fault) -> bool:
    """Is an error the sum over some uses of a value only, or is a use counted twice?"""
    node = fault.node
    assert node is not None
    wanted = {v.weight.start for v in fault.verdicts}
    return one_too_many(bench, fault, wanted) or uses_missing(bench, fault, wanted)


def one_too_many(bench: Bench, fault: Fault, wanted: set[Node]) -> bool:
    """Is one of two terms all that is needed?"""
    node = fault.node
    assert node is not None
    for total in (node, *(n for n in bench.back if node in n.operands)):
        if total.operation not in ("add", "subtract") or len(total.operands) != 2:
            continue
        for kept, other in (total.operands, total.operands[::-1]):
            whole = any(m.whole and not m.updated for m in bench.right.get(kept, ()))
            if not whole or other is kept or other not in bench.picture.spine:
                continue
            if kept.value.shape == total.value.shape and cures(
                bench, total, bench.targets.values(kept), wanted
            ):
                fault.node, fault.cause = total, "error_twice"
                fault.why = "one of the two terms is right alone: the other one is in it already"
                return True
    return False


def uses_missing(bench: Bench, fault: Fault, wanted: set[Node]) -> bool:
    """Does a term of the sum over all uses of a value miss, or is one doubled?"""
    node = fault.node
    assert node is not None
    spine = bench.picture.spine
    near = [node, *(o for o in node.operands if o in spine)]
    near += [o for n in near[1:] if n.moves for o in n.operands if o in spine]
    for made in near:
        for value, uses in several_uses(bench, made.value.size):
            if bench.out_of_time():
                return False
            found = combined(joined(bench.targets.values(made)), uses_of(bench, value, uses))
            if found is None:
                continue
            size = next((k for k in found if abs(k) > NEAR * np.abs(found).max()), 0.0)
            times = found / size
            off = np.abs(times[:, None] - [0, 1, 2]).min(axis=1)
            if off.max() > NEAR or np.abs(times - 1).max() < NEAR:
                continue
            right = [
                size * c.cotangent(value).reshape(made.value.shape) for c in bench.picture.columns
            ]
            if not cures(bench, made, right, wanted):
                continue
            missing = [by for by, k in zip(uses, times, strict=True) if abs(k) < NEAR]
            fault.node = made
            fault.cause = "error_incomplete" if missing else "error_twice"
            doubled = [by for by, k in zip(uses, times, strict=True) if k > 1.5]
            fault.why = said(missing or doubled, bool(missing))
            return True
    return False


def several_uses(bench: Bench, size: int) -> Iterator[tuple[Node, list[Node]]]:
    """The forward values of a size that are used more than once, with what uses them."""
    uses: dict[Node, list[Node]] = {}
    for use in bench.picture.columns[0].uses:
        if use.value.value.size == size:
            known = uses.setdefault(use.value, [])
            if use.by not in known:
                known.append(use.by)
    for value in sorted(uses, key=lambda n: n.index):
        # Uses on one line are the parts of an activation.
        lines = {spots(by)[0].place for by in uses[value] if spots(by)}
        if 2 <= len(uses[value]) <= MOST_USES and len(lines) > 1:
            yield value, uses[value]


def uses_of(bench: Bench, value: Node, uses: list[Node]) -> list[Host]:
    """What each use adds to a value's cotangent, all runs together."""
    parts = []
    for by in uses:
        rows = []
        for column in bench.picture.columns:
            own = [u.cotangent for u in column.uses if u.value is value and u.by is by]
            rows.append(np.sum(own, axis=0) if own else np.zeros(value.value.shape))
        parts.append(joined(rows))
    return parts


def said(uses: list[Node], missing: bool) -> str:
    """Which uses of the value, by their lines."""
    lines = [next(iter(spots(by))) for by in uses if spots(by)]
    places = ", ".join(dict.fromkeys(f"line {spot.line} ({spot.text[:60]})" for spot in lines))
    if missing:
        return f"the value is used in {places}, too: the error that comes from there is missing"
    return f"the error that comes from {places} is counted twice"
