"""True cotangents: one pass back over the tape, operation by operation.

Matrix products, sums and moves have rules; every other operation is differentiated numerically by
itself, elementwise ones all elements at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.rules import RULES, unbroadcast
from anyarray_mlp.backprop.tracing.tape import Node, TraceLost, ancestors
from anyarray_mlp.typing import Host

#: Elements of an operand that are differentiated one by one, at most.
MOST_ELEMENTS = 4000
#: Elements that are followed are numbered from here: no constant of an operation is as large.
FIRST_NUMBER = 2.0**40
#: The weights of the four-point stencil, at these multiples of the step.
STENCIL = ((1, 8.0), (-1, -8.0), (2, -1.0), (-2, 1.0))


@dataclass(frozen=True)
class Use:
    """What one use of a value adds to its cotangent."""

    value: Node
    by: Node
    cotangent: Host


def pullback(
    nodes: Sequence[Node],
    values: Sequence[Host],
    seeds: Mapping[Node, Host],
    wanted: Collection[Node],
    uses: list[Use] | None = None,
    stops: Collection[Node] = (),
) -> dict[Node, Host]:
    """The cotangents of all wanted nodes that the seeds were made from.

    Parameters
    ----------
    nodes, values
        The tape's nodes, and the values that they have in this run.
    seeds
        Cotangents of some nodes, in the shapes of their values.
    wanted
        The nodes that are differentiated: what does not depend on them is left out.
    uses
        If given, what every single use adds is put here.
    stops
        Nodes that are not followed to what they were made of.
    """
    cotangents = {node: np.asarray(c, dtype=float) for node, c in seeds.items()}
    order = sorted(ancestors(seeds, among=wanted), key=lambda node: -node.index)
    with np.errstate(all="ignore"):
        for node in order:
            cotangent = cotangents.get(node)
            if cotangent is None or node.function is None or not np.any(cotangent) or node in stops:
                continue
            aims = [i for i, o in enumerate(node.operands) if o in wanted and o.is_float]
            if not aims:
                continue
            given = [values[o.index] for o in node.operands]
            for index, part in parts(node, given, aims, values[node.index], cotangent):
                operand = node.operands[index]
                before = cotangents.get(operand)
                cotangents[operand] = part if before is None else before + part
                if uses is not None:
                    uses.append(Use(operand, node, part))
    return cotangents


def parts(
    node: Node, given: list[Host], aims: list[int], value: Host, cotangent: Host
) -> list[tuple[int, Host]]:
    """(operand's place, cotangent) through one operation."""
    assert node.function is not None
    if node.moves:
        return moved(node.function, given, aims, cotangent)
    rule = RULES.get(node.operation.split(" ")[0])
    if rule is not None:
        found = rule(node, given, aims, value, cotangent)
        if found is not None:
            return found
    told = []
    for aim in aims:
        call = only(node.function, given, aim)
        if node.elementwise:
            told.append((aim, elementwise_part(call, given[aim], cotangent)))
        else:
            told.append((aim, slope(call, given[aim], cotangent)))
    return told


def only(function: Callable[..., Any], given: list[Host], aim: int) -> Callable[[Host], Host]:
    """The operation as a function of one operand."""

    def call(value: Host) -> Host:
        operands = list(given)
        operands[aim] = value
        return np.asarray(function(*operands), dtype=float)

    return call


def width(value: Host) -> Host:
    """The step of the stencil for each element."""
    return 1e-4 * np.abs(value) + 1e-6


def elementwise_part(call: Callable[[Host], Host], value: Host, cotangent: Host) -> Host:
    """All elements at once: each result depends on its own element only."""
    value = value.astype(float)
    step = width(value)
    at = {multiple: call(value + multiple * step) for multiple, _ in STENCIL}
    derivative = sum(weight * at[k] for k, weight in STENCIL) / (12 * step)
    right, left = at[2] - at[1], at[-1] - at[-2]
    bent = np.abs(right - left) > 1e-2 * (np.abs(right) + np.abs(left))
    if np.any(bent):  # a kink within the step: one as narrow as the distance to zero
        near = 1e-4 * np.abs(value) + 1e-300
        narrow = (call(value + near) - call(value - near)) / (2 * near)
        derivative = np.where(bent & (np.abs(value) < 1e-3), narrow, derivative)
    return unbroadcast(np.where(cotangent == 0, 0.0, cotangent * derivative), value.shape)


def slope(call: Callable[[Host], Host], value: Host, cotangent: Host) -> Host:
    """Element by element.

    Raises
    ------
    TraceLost
        If there are too many.
    """
    if value.size > MOST_ELEMENTS:
        raise TraceLost(f"an operation on {value.size} values without a rule")
    value = value.astype(float)
    found = np.zeros_like(value)
    for index in np.ndindex(value.shape):
        step = width(value[index])
        total = 0.0
        for multiple, weight in STENCIL:
            moved_value = value.copy()
            moved_value[index] += multiple * step
            total += weight * float(np.sum(cotangent * call(moved_value)))
        found[index] = total / (12 * step)
    return found


def moved(
    function: Callable[..., Any], given: list[Host], aims: list[int], cotangent: Host
) -> list[tuple[int, Host]]:
    """Through an operation that only moves elements: numbered elements show where each went."""
    numbered: list[Any] = []
    starts: dict[int, int] = {}
    count = 0
    for index, value in enumerate(given):
        if index in aims:
            starts[index] = count
            numbers = np.arange(count, count + value.size, dtype=float) + FIRST_NUMBER
            numbered.append(numbers.reshape(value.shape))
            count += value.size
        else:
            numbered.append(np.zeros(value.shape) if value.dtype.kind == "f" else value)
    places = np.asarray(function(*numbered)).ravel() - FIRST_NUMBER
    here = (places >= 0) & (places < count)
    spread = np.broadcast_to(cotangent, np.shape(cotangent)).ravel()
    sums = np.bincount(places[here].astype(int), spread[here], minlength=count)
    return [
        (index, sums[start : start + given[index].size].reshape(given[index].shape))
        for index, start in starts.items()
    ]
