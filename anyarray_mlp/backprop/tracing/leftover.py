"""What is left where no exchange of operands explains a wrong operation: its result turned, or its other factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.backprop.tracing.source import operand_texts
from anyarray_mlp.backprop.tracing.tape import Node

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.faults import Fault
    from anyarray_mlp.backprop.tracing.verdict import Bench

#: Products of matrices.
PRODUCTS = frozenset(["dot", "matmul", "outer", "einsum", "tensordot", "inner", "vdot"])


def turned_use(bench: Bench, fault: Fault) -> bool:
    """Is the result what a weight's gradient is made of, but transposed?"""
    node = fault.node
    assert node is not None
    if node.value.ndim != 2 or node.operation not in PRODUCTS:
        return False
    wanted = {v.weight.start for v in fault.verdicts}
    turned = bench.targets.match([v.T for v in bench.targets.values(node)])
    if not any(m.node in wanted and not m.turned for m in turned):
        return False
    fault.cause, fault.exchange = "transposed", None
    fault.why = "the result is right if it is transposed"
    return True


def other_factor(bench: Bench, fault: Fault) -> bool:
    """A right error times something that is not what belongs there."""
    node = fault.node
    assert node is not None
    spine, hot = bench.picture.spine, bench.picture.hot
    name = node.operation.split(" ")[0]
    if name not in PRODUCTS and name not in ("multiply", "divide", "true_divide"):
        return False
    right = [o for o in node.operands if any(not m.updated for m in bench.right.get(o, ()))]
    others = [o for o in node.operands if o not in spine and o.is_float and o.operands]
    if len(right) != 1 or len(others) != 1:
        return False
    said = text_of(node, others[0])
    if name in PRODUCTS:
        fault.cause = "wrong_operand"
        fault.why = f"{said} is not what the error is multiplied by in the gradient"
    elif others[0] in hot:
        fault.cause = "derivative_formula_wrong"
        fault.why = f"{said} is not the derivative that the gradient has here"
        fault.node = others[0] if others[0].place else node
    else:
        return False
    fault.exchange = None
    return True


def text_of(node: Node, operand: Node) -> str:
    """An operand as the source has it."""
    texts = operand_texts(node)
    place = node.operands.index(operand)
    return texts[place] if place < len(texts) else "the other factor"
