"""The cause that an exchange of operands stands for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from anyarray_mlp.backprop.tracing.operands import Exchange, is_updated
from anyarray_mlp.backprop.tracing.tape import Node, ancestors

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.verdict import Bench


def judged(bench: Bench, node: Node, option: Exchange) -> Exchange:
    """An exchange with its cause."""
    cause = (
        gradient_cause(bench, node, option) if option.is_gradient else value_cause(bench, option)
    )
    return replace(option, cause=cause)


def gradient_cause(bench: Bench, node: Node, option: Exchange) -> str:
    """The cause, where another error is needed."""
    known = bench.right.get(option.operand)
    if known is None or known[0].updated:
        return "wrong_error"
    present = known[0].node
    if present is option.new or (option.turned and same_cotangent(bench, present, option.new)):
        return "transposed"
    # The same cotangent may belong to several forward values, as to a sum and its terms.
    alike = {m.node for m in bench.targets.match(bench.targets.cotangents(option.new))} | {
        option.new
    }
    if any(m.node in alike for m in known):
        return "transposed"
    passed = [
        m.node for m in known if m.node not in alike and alike & (ancestors([m.node]) - {m.node})
    ]
    if passed:
        computed = any(
            m.node in alike and not m.updated for found in bench.right.values() for m in found
        )
        if goes_down(bench, node) and computed:
            return "error_not_delta"
        if any(is_output(bench, upper) for upper in passed):
            return "output_derivative_missing"
        return "derivative_missing"
    behind = ancestors(alike)
    above = any(m.node in behind for m in known)
    return "derivative_twice" if above else "wrong_layers_error"


def goes_down(bench: Bench, node: Node) -> bool:
    """Is an operation the product with a weight that carries the error to the layer below?"""
    weights = {w.start for w in bench.scene.weights}
    if node.operation in ("add", "subtract"):
        return False
    near = set(node.operands)
    for operand in node.operands:
        near |= set(operand.operands) if operand.moves else set()
    return any(n in weights or is_updated(bench, n) for n in near)


def value_cause(bench: Bench, option: Exchange) -> str:
    """The cause, where another forward value is needed."""
    operand, new = option.operand, option.new
    while operand.operation in ("T", "transpose", "reshape") and operand.operands:
        operand = operand.operands[0]
    value = new.value.T if option.turned else new.value
    if value.T.shape == option.operand.value.shape and np.allclose(value.T, option.operand.value):
        return "transposed"
    hot = bench.picture.hot
    # The step may have a forward pass of its own: the same value is then another node.
    below = (
        new in hot
        and operand in hot
        and any(
            n in hot and n is not new and np.array_equal(n.value, operand.value)
            for n in ancestors([new])
        )
    )
    if below and same_shape_run(operand, new):
        return "preactivation_as_input"
    return "wrong_operand"


def same_shape_run(lower: Node, upper: Node) -> bool:
    """Are two values the ends of an activation?"""
    return lower.value.size == upper.value.size


def same_cotangent(bench: Bench, a: Node, b: Node) -> bool:
    """Do two values have the same elements in their gradients?"""
    return all(
        x.size == y.size and np.allclose(np.sort(x.ravel()), np.sort(y.ravel()))
        for x, y in zip(bench.targets.cotangents(a), bench.targets.cotangents(b), strict=True)
    )


def is_output(bench: Bench, node: Node) -> bool:
    """Does a value equal the output?"""
    output = bench.scene.output
    if output is None:
        return False
    a, b = np.sort(node.value.ravel()), np.sort(output.value.ravel())
    if a.size == 1 < b.size:
        return bool(np.isclose(a, b).any())
    return a.size == b.size and bool(np.allclose(a, b))
