"""What was multiplied onto a right error, and is not the derivative that belongs there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from anyarray_mlp.backprop.tracing.derivatives import derivative_fault
from anyarray_mlp.backprop.tracing.tape import Node

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.faults import Fault
    from anyarray_mlp.backprop.tracing.verdict import Bench


def hot_right(bench: Bench, node: Node) -> list[Node]:
    """The operands that are right cotangents."""
    return [o for o in node.operands if o in bench.right and not bench.right[o][0].updated]


def wrong_derivative(bench: Bench, fault: Fault, definite: bool = True) -> bool:
    """What was multiplied onto a right error is not the derivative; `definite`: a mistake that is known."""
    node = fault.node
    assert node is not None
    base = hot_right(bench, node)
    elementwise = node.elementwise or node.operation.startswith("[")
    if not base or not elementwise or node.operation in ("add", "subtract"):
        return False
    told = None
    for start in [base[0], *earlier_right(bench, base[0])]:
        told = derivative_fault(bench, start, node, fault.verdicts)
        if told is not None and not (definite and told.is_guess):
            break
    if told is None or (definite and told.is_guess):
        return False
    fault.cause, fault.why, fault.exchange = told.cause, told.why, None
    fault.factor_text = told.right_text
    if told.cause == "mask_missing" and only_scaled(bench, base[0]):
        fault.node = base[0]  # there the mask was to come in
    spine = bench.picture.spine
    fault.also = [o for o in node.operands if o not in spine]
    return True


def unknown_derivative(bench: Bench, fault: Fault) -> bool:
    """Is what was multiplied onto a right error no derivative at all?"""
    return wrong_derivative(bench, fault, definite=False)


def another_layers_derivative(bench: Bench, fault: Fault) -> bool:
    """Is what was multiplied onto a right error the derivative at another layer?"""
    found = replace(fault)
    if not unknown_derivative(bench, found) or found.cause != "wrong_layers_derivative":
        return False
    fault.cause, fault.why, fault.exchange = found.cause, found.why, None
    fault.also = found.also
    return True


def only_scaled(bench: Bench, node: Node) -> bool:
    """Is a right value a multiple of a right value of the same meaning?"""
    if node.operation not in ("multiply", "divide", "true_divide"):
        return False
    return any(
        m.node is bench.right[node][0].node for o in hot_right(bench, node) for m in bench.right[o]
    )


def earlier_right(bench: Bench, node: Node) -> list[Node]:
    """Right values from which a right value was made by products element by element, as p * error is."""
    found = []
    while node.elementwise and node.operation not in ("add", "subtract"):
        before = [o for o in hot_right(bench, node) if o.value.shape == node.value.shape]
        if not before:
            break
        node = before[0]
        found.append(node)
    return found
