"""The factor between a right error and what was made of it, against the derivative that belongs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anyarray_mlp.backprop.tracing.matching import Match, fitted, joined
from anyarray_mlp.backprop.tracing.scene import Column
from anyarray_mlp.backprop.tracing.tape import Node, ancestors
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.verdict import Bench, Verdict

#: Operations within an activation that are not elementwise.
SUMS = frozenset(["sum", "add.reduce", "max", "amax", "maximum.reduce", "copy", "in-place", "mean"])
NEAR = 1e-5


@dataclass(frozen=True)
class Segment:
    """An activation on the tape: from `z` to `a`."""

    z: Node
    a: Node


@dataclass(frozen=True)
class Told:
    """A cause, in words, and the text of the factor that belongs there."""

    cause: str
    why: str
    right_text: str = ""
    is_guess: bool = False


def derivative_fault(bench: Bench, base: Node, node: Node, verdicts: list[Verdict]) -> Told | None:
    """What was multiplied onto the right cotangent `base` from `node` on."""
    end = run_end(bench, node, verdicts)
    if base.value.shape != end.value.shape:
        return None
    given = bench.targets.values(base)
    told = factor_fault(bench, given, bench.right[base], end)
    if told is not None and not told.is_guess:
        return told
    # Of an activation with a column of ones, the derivative is that of the rest.
    for part in bench.back:
        if part.operands[:1] == (end,) and part.operation.startswith("[") and part.moves:
            assert part.function is not None
            some = [np.asarray(part.function(v, *(c.of(o) for o in part.operands[1:])))
                    for c, v in zip(bench.picture.columns, given, strict=True)]  # fmt: skip
            return factor_fault(bench, some, bench.targets.match(some), part) or told
    return told


def factor_fault(bench: Bench, given: list[Host], matches: list[Match], end: Node) -> Told | None:
    """What the factor between right cotangents, which match these forward values, and `end` is."""
    before, made = joined(given), joined(bench.targets.values(end))
    live = np.abs(before) > 1e-9 * np.abs(before).max()
    factor = made[live] / before[live]
    if not np.isfinite(factor).all() or np.ptp(factor) < 1e-9:
        return None
    elementwise: Segment | None = None
    for match in matches:
        for segment in segments_to(bench, match.node):
            if bench.out_of_time():
                return None
            told = Values(bench, segment, match.turned, live, before.size)
            if not told.fits:
                continue
            named = told.named(factor)
            if named is not None:
                return named
            if told.is_elementwise:
                elementwise = elementwise or segment
    for match in matches:
        told_twice = applied_twice(bench, match.node, factor, live, before.size)
        if told_twice is not None:
            return told_twice
    if elementwise is None:
        return of_linear(bench, matches, factor, live)
    other = of_another_layer(bench, elementwise, factor, live, before.size)
    guess = "this is not the derivative of the activation"
    return other or Told("derivative_formula_wrong", guess, is_guess=True)


def of_linear(bench: Bench, matches: list[Match], factor: Host, live: Host) -> Told | None:
    """Is a linear output's error multiplied by the derivative of an activation?"""
    from anyarray_mlp.backprop.tracing.naming import is_output

    for match in matches:
        if not is_output(bench, match.node):
            continue
        a = joined([v.T if match.turned else v for v in bench.targets.values(match.node)])[live]
        for values, said in (
            (a * (1 - a), "a sigmoid's"),
            (1 - a**2, "a tanh's"),
            (1.0 * (a > 0), "a relu's"),
        ):
            if np.ptp(values) > 1e-9 and like(factor, values):
                why = f"the output is linear: its derivative is 1, not {said}"
                return Told("derivative_of_another_activation", why)
    return None


class Values:
    """A segment's values and derivatives in all runs, where the error is not zero."""

    def __init__(self, bench: Bench, segment: Segment, turned: bool, live: Host, size: int) -> None:
        columns = bench.picture.columns
        z, a = bench.targets.values(segment.z), bench.targets.values(segment.a)
        self.fits = sum(v.size for v in z) == size
        if not self.fits:
            return

        def laid(arrays: list[Host]) -> Host:
            return joined([v.T if turned else v for v in arrays])[live]

        self.z, self.a = laid(z), laid(a)
        self.at_z = laid([derivative(c, segment, v) for c, v in zip(columns, z, strict=True)])
        self.at_minus = laid([derivative(c, segment, -v) for c, v in zip(columns, z, strict=True)])
        self.at_a = laid([derivative(c, segment, v) for c, v in zip(columns, a, strict=True)])
        self.masks = [laid([c.of(m) for c in columns]) for m in masks(bench, segment)]
        upper = laid([c.cotangent(segment.a) for c in columns])
        lower = laid([c.cotangent(segment.z) for c in columns])
        largest = float(np.abs(upper).max(initial=0.0))
        self.is_elementwise = bool(
            np.allclose(lower, upper * self.at_z, rtol=1e-4, atol=1e-7 * largest)
        )

    def named(self, factor: Host) -> Told | None:
        """The mistake that gives this factor."""
        z, a = self.z, self.a
        if not self.is_elementwise:
            if like(factor, a * (1 - a)):
                return Told(
                    "softmax_elementwise", "a softmax's derivative is no elementwise factor"
                )
            return None
        table = [
            ("derivative_of_activated", self.at_a, "it is taken at the activated value"),
            ("derivative_of_preactivation", z * (1 - z), "z * (1 - z) of the pre-activation z"),
            ("derivative_of_preactivation", 1 - z**2, "1 - z**2 of the pre-activation z"),
            ("derivative_twice", self.at_z**2, "it is applied twice"),
            (
                "derivative_twice",
                self.at_z * (1 - self.at_z),
                "s * (1 - s) of the derivative s itself",
            ),
            ("derivative_twice", 1 - self.at_z**2, "1 - s**2 of the derivative s itself"),
            ("derivative_formula_wrong", 1 - a, "1 - a"),
            ("derivative_formula_wrong", a, "a"),
            ("derivative_formula_wrong", a * (1 + a), "a * (1 + a)"),
            ("derivative_formula_wrong", 1 + a**2, "1 + a**2"),
            ("derivative_formula_wrong", self.at_minus, "f'(-z), the other side of zero"),
            ("derivative_of_another_activation", a * (1 - a), "a * (1 - a), a sigmoid's"),
            ("derivative_of_another_activation", 1 - a**2, "1 - a**2, a tanh's"),
            ("derivative_of_another_activation", 1.0 * (z > 0), "z > 0, a relu's"),
        ]
        for mask in self.masks:
            if like(factor * mask, self.at_z):
                return Told("mask_missing", "the values are multiplied by a mask, the error is not")
        linear = np.allclose(z, a)
        steps = len(np.unique(np.round(self.at_z, 9))) <= 3
        for cause, values, said in table:
            if linear and cause == "derivative_of_preactivation":
                continue
            if steps and cause == "derivative_twice":
                continue
            if np.ptp(values) > 1e-9 and like(factor, values):
                return Told(cause, f"the factor is {said}")
        return None


def masks(bench: Bench, segment: Segment) -> list[Node]:
    """What drops some of the values of a segment: factors with zeros that do not depend on the weights."""
    told = [
        o for n in inside(segment.z, segment.a) for o in n.operands if n.operation == "multiply"
    ]
    return [
        o
        for o in dict.fromkeys(told)
        if o not in bench.picture.hot and o.value.shape == segment.z.value.shape
        and np.any(o.value == 0) and np.any(o.value)
    ]  # fmt: skip


def like(factor: Host, values: Host) -> bool:
    """Are two factors the same up to a constant?"""
    return fitted(factor, values, NEAR) is not None


def run_end(bench: Bench, node: Node, verdicts: list[Verdict]) -> Node:
    """The end of the run of elementwise products that starts with `node`."""
    finals = [v.weight.final for v in verdicts if v.weight.final is not None]
    way = ancestors(finals) & set(bench.back)
    while True:
        users = [m for m in way if node in m.operands and is_product(m)]
        if len(users) != 1 or users[0].value.shape != node.value.shape:
            return node
        node = users[0]


def is_product(node: Node) -> bool:
    """Is an operation an elementwise product?"""
    name = node.operation.split(" ")[0]
    if name in ("multiply", "divide", "true_divide", "negative", "in-place", "where"):
        return True
    return name.startswith("[") and name.endswith("=")


def segments_to(bench: Bench, end: Node) -> list[Segment]:
    """Activations of the forward tape that end in a value, the widest first."""
    if end in bench.picture.spine:
        return []
    found = [
        Segment(start, end)
        for start in bench.picture.columns[0].cotangents
        if is_start(start) and is_segment(start, end, bench.picture.hot)
    ]
    found.sort(key=lambda s: s.z.index)
    return found[:6]


def segments_from(bench: Bench, start: Node) -> list[Segment]:
    """Activations of the forward tape that start at a value, the widest first."""
    found = [
        Segment(start, end)
        for end in bench.picture.columns[0].cotangents
        if end.value.shape == start.value.shape
        and end not in bench.picture.spine
        and is_segment(start, end, bench.picture.hot)
    ]
    found.sort(key=lambda s: -s.a.index)
    return found[:8]


def is_start(node: Node) -> bool:
    """May a value be a pre-activation?"""
    return node.operation.split(" ")[0] in ("add", "dot", "matmul", "einsum", "tensordot", "in-place", "sum",
                                            "inner", "vdot", "convolve",
                                            "add.reduce", "multiply", "array", "read")  # fmt: skip


def is_segment(start: Node, end: Node, hot: set[Node]) -> bool:
    """Is `end` made of `start` and of no other weights, element by element (or row by row, as a softmax)?"""
    if start is end or start.value.shape != end.value.shape:
        return False
    way = ancestors([end])
    if start not in way:
        return False
    between = inside(start, end, way)
    reached = {start, *between}
    if any(o in hot and o not in reached for n in between for o in n.operands):
        return False
    return all(n.elementwise or n.moves or n.operation.split(" ")[0] in SUMS for n in between)


def inside(start: Node, end: Node, way: set[Node] | None = None) -> list[Node]:
    """The nodes between two values, the end included, in order."""
    way = ancestors([end]) if way is None else way
    reached = {start}
    told = []
    for node in sorted((n for n in way if n.index > start.index), key=lambda n: n.index):
        if any(o in reached for o in node.operands):
            reached.add(node)
            told.append(node)
    return told


def derivative(column: Column, segment: Segment, at: Host) -> Host:
    """The segment's derivative, element by element, at other values of z."""
    between = inside(segment.z, segment.a)
    at = np.asarray(at, dtype=float)

    def run(value: Host) -> Host:
        new = {segment.z: value}
        for node in between:
            assert node.function is not None
            new[node] = np.asarray(
                node.function(*(new.get(o, column.of(o)) for o in node.operands)), dtype=float
            )
        return new[segment.a]

    step = 1e-6 * np.maximum(1, np.abs(at))
    try:
        with np.errstate(all="ignore"):
            return (run(at + step) - run(at - step)) / (2 * step)
    except (ValueError, TypeError, IndexError):
        return np.full(at.shape, np.nan)


def applied_twice(bench: Bench, node: Node, factor: Host, live: Host, size: int) -> Told | None:
    """Is the right cotangent that of a pre-activation already, so that nothing was to be multiplied?"""
    from anyarray_mlp.backprop.tracing.naming import is_output

    found = []
    for segment in segments_from(bench, node):
        told = Values(bench, segment, False, live, size)
        if not told.fits:
            continue
        usual = (told.at_z, told.a * (1 - told.a), told.at_a)
        if any(np.isfinite(v).all() and np.ptp(v) > 1e-9 and like(factor, v) for v in usual):
            found.append(segment)
    if not found:
        return None
    fused = any(is_output(bench, segment.a) for segment in found)
    cause = "derivative_on_fused" if fused else "derivative_twice"
    return Told(cause, "the derivative is in it already")


def of_another_layer(
    bench: Bench, own: Segment, factor: Host, live: Host, size: int
) -> Told | None:
    """The derivative of another layer's activation of the same shape."""
    columns = bench.picture.columns
    for start in bench.picture.columns[0].cotangents:
        if start is own.z or not is_start(start) or start.value.shape != own.z.value.shape:
            continue
        for segment in segments_from(bench, start):
            if bench.out_of_time():
                return None
            if segment.a is own.a or own.z in inside(segment.z, segment.a):
                continue
            values = [derivative(c, segment, c.of(start)) for c in columns]
            vector = joined(values)
            if (
                vector.size == size
                and np.isfinite(vector[live]).all()
                and like(factor, vector[live])
            ):
                said = "this is the derivative at another layer"
                return Told("wrong_layers_derivative", said, is_guess=True)
    return None
