"""Is one operand of an operation the wrong one? Another value in its place makes the result right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from anyarray_mlp.backprop.tracing.cures import cures
from anyarray_mlp.backprop.tracing.matching import Match
from anyarray_mlp.backprop.tracing.scene import Column
from anyarray_mlp.backprop.tracing.tape import Node, ancestors
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.verdict import Bench


#: So many exchanges that make an operation right are followed to the weights.
MOST_FOLLOWED = 12


@dataclass(frozen=True)
class Exchange:
    """With the gradient of `new` (or the value of `new`) in place of `operand`, the result is right.

    `cured`: so are the gradients of the weights that the operation spoils, or some of them.
    """

    operand: Node
    new: Node
    is_gradient: bool
    turned: bool
    result: Match
    cause: str = ""
    why: str = ""
    cured: bool = False


def exchanged(bench: Bench, node: Node, base: list[Node], wanted: set[Node]) -> Exchange | None:
    """The exchange that makes an operation right, if there is one."""
    from anyarray_mlp.backprop.tracing.naming import judged

    spine = base or [
        o for o in node.operands if o in bench.picture.spine and o in bench.picture.hot
    ]
    options = []
    weights = {w.start for w in bench.scene.weights}
    updated = {i: o for i, o in enumerate(node.operands) if is_updated(bench, o)}
    for place, operand in enumerate(node.operands):
        if not operand.is_float or operand in node.operands[:place] or place in updated:
            continue
        on_spine = operand in (spine or node.operands)
        for new in replacements(bench, operand, on_spine):
            if bench.out_of_time():
                break
            for turned in (False, True):
                if turned and new.value.ndim != 2:
                    continue
                found = exchanges(bench, node, place, value_maker(new, on_spine, turned))
                if not found:
                    continue
                aim = min(
                    0 if m.node in wanted else 1 if m.node not in weights else 2 for m in found
                )
                result = next((m for m in found if m.node in wanted), found[0])
                same = operand in bench.right and bench.right[operand][0].node is new
                rank = (
                    *(aim, not on_spine and bool(base), not same),
                    *(not below(bench, operand, new), turned, -new.index),
                )
                options.append((rank, Exchange(operand, new, on_spine, turned, result)))
    if not options:
        return None
    options.sort(key=lambda option: option[0])
    return judged(bench, node, first_cure(bench, node, [o for _, o in options], wanted))


def first_cure(bench: Bench, node: Node, options: list[Exchange], wanted: set[Node]) -> Exchange:
    """The first exchange with which a weight becomes right, too; without one, the first."""
    for option in options[:MOST_FOLLOWED]:
        place = node.operands.index(option.operand)
        make = value_maker(option.new, option.is_gradient, option.turned)
        results = made_with(bench, node, place, make)
        if results is not None and cures(bench, node, results, wanted):
            return replace(option, cured=True)
    return options[0]


def is_updated(bench: Bench, operand: Node) -> bool:
    """Is an operand a weight after its update?"""
    return operand in bench.right and bench.right[operand][0].updated


def below(bench: Bench, operand: Node, new: Node) -> bool:
    """Is an operand the right gradient of an activated value, and `new` the value before its activation?"""
    from anyarray_mlp.backprop.tracing.derivatives import is_segment

    upper = [m.node for m in bench.right.get(operand, ()) if not m.updated]
    return any(is_segment(new, node, bench.picture.hot) for node in upper)


def value_maker(new: Node, gradient: bool, turned: bool) -> Callable[[Column], Host]:
    """The replacement in one run."""

    def make(column: Column) -> Host:
        value = column.cotangent(new) if gradient else column.of(new)
        return value.T if turned else value

    return make


def replacements(bench: Bench, operand: Node, gradient: bool) -> Iterator[Node]:
    """Forward values that could be meant: those with a cotangent, and the inputs."""
    known = bench.picture.columns[0].cotangents
    size = operand.value.size
    seen = set()
    for node in known:
        if node.value.size == size and node.is_float:
            told = bench.picture.columns[0].cotangent(node) if gradient else node.value
            key = (told.shape, told.tobytes())
            if key not in seen:
                seen.add(key)
                yield node
    if not gradient:
        for node in bench.scene.inputs:
            if node.value.size == size:
                yield node


def exchanges(
    bench: Bench, node: Node, place: int, make: Callable[[Column], Host | None]
) -> list[Match]:
    """Which cotangents an operation gives with another value in place of one operand."""
    results = made_with(bench, node, place, make)
    if results is None:
        return []
    start = next((o for o in node.operands if any(o is w.start for w in bench.scene.weights)), None)
    if start is not None and node.operation in ("subtract", "add"):
        before = bench.targets.values(start)
        results = [r - b if r.shape == b.shape else r for r, b in zip(results, before, strict=True)]
    return bench.targets.match(results)


def made_with(
    bench: Bench, node: Node, place: int, make: Callable[[Column], Host | None]
) -> list[Host] | None:
    """What an operation gives in each run with another value in place of one operand."""
    results = []
    assert node.function is not None
    for column in bench.picture.columns:
        operands = [
            column.of(bench.right[o][0].node if is_updated(bench, o) else o) for o in node.operands
        ]
        new = make(column)
        if new is None:
            return None
        old = operands[place]
        if new.shape != old.shape and new.size == old.size and old.ndim == new.ndim == 2:
            pass
        elif new.shape != old.shape and new.size == old.size:
            new = new.reshape(old.shape)
        for index, operand in enumerate(node.operands):
            if operand is node.operands[place]:
                operands[index] = new
        try:
            with np.errstate(all="ignore"):
                results.append(np.asarray(node.function(*operands), dtype=float))
        except (ValueError, TypeError, IndexError):
            return None
    return results


def leads_down(upper: Node, lower: Node) -> bool:
    """Was `upper` made from `lower` in the forward pass?"""
    return lower is not upper and lower in ancestors([upper])
