"""The line as it should be, where an exchange of operands or another axis says it."""

from __future__ import annotations

import ast
import copy

import numpy as np

from anyarray_mlp.backprop.tracing.derivatives import Segment, derivative, is_segment
from anyarray_mlp.backprop.tracing.faults import Fault
from anyarray_mlp.backprop.tracing.judge import Judgement
from anyarray_mlp.backprop.tracing.operands import Exchange
from anyarray_mlp.backprop.tracing.source import name_of, operand_expressions, spots, written
from anyarray_mlp.backprop.tracing.tape import Node


def corrected_line(judgement: Judgement, fault: Fault) -> str:
    """The statement with what is needed in it; empty if it cannot be written from the user's own names.

    It is written only from names that the user's code gives to the values.
    """
    node = fault.node
    place = spots(node)[:1] if node is not None else []
    if not place or place[0].statement is None or place[0].expression is None:
        return ""
    assert node is not None
    change = fault.exchange
    if change is None:
        return ""
    if change.operand in node.operands:
        return with_operand(judgement, node, change)
    if not change.is_gradient:
        return ""
    # The error that was to become the delta was made here.
    whole = place[0].expression
    new = times_derivative(judgement, node, change, whole)
    return replaced(place[0].statement, whole, new) if new else ""


def with_operand(judgement: Judgement, node: Node, change: Exchange) -> str:
    """The statement with another operand."""
    spot = spots(node)[0]
    assert spot.statement is not None
    assert spot.expression is not None
    operands = operand_expressions(spot.expression)
    places = [i for i, operand in enumerate(node.operands) if operand is change.operand]
    if len(operands) != len(node.operands) or len(places) != 1:
        return ""
    old = operands[places[0]]
    if change.is_gradient:
        new = own_name(judgement, change.new, node) or times_derivative(
            judgement, node, change, old
        )
    else:
        new = name_of(change.new)
    if not new or not is_known(new, node):
        return ""
    return replaced(spot.statement, old, f"{new}.T" if change.turned else new)


def own_name(judgement: Judgement, forward: Node, before: Node) -> str:
    """The name under which the user's code keeps the gradient of a forward value, before an operation."""
    for node, matches in judgement.bench.right.items():
        whole = any(m.node is forward and m.whole and not m.turned for m in matches)
        if whole and node.index < before.index and name_of(node):
            return name_of(node)
    return ""


def times_derivative(judgement: Judgement, node: Node, change: Exchange, old: ast.AST) -> str:
    """The error times its activation's derivative, from the activated value's name."""
    bench = judgement.bench
    for match in bench.right.get(change.operand, ()):
        segment = Segment(change.new, match.node)
        if match.turned or not is_segment(segment.z, segment.a, bench.picture.hot):
            continue
        column = bench.picture.columns[-1]
        a = column.of(segment.a)
        slope = derivative(column, segment, column.of(segment.z))
        named = [
            n for n in bench.picture.nodes
            if n.phase == "step" and name_of(n) and is_known(name_of(n), node)
            and n.value.shape == a.shape and np.array_equal(column.of(n), a)
        ]  # fmt: skip
        for name in dict.fromkeys(name_of(n) for n in named):
            for values, text in (
                (a * (1 - a), f"{name} * (1 - {name})"),
                (1 - a**2, f"(1 - {name}**2)"),
                (1.0 * (a > 0), f"({name} > 0)"),
            ):
                if np.allclose(slope, values, atol=1e-6):
                    return f"({written(old)}) * {text}"
    return ""


def is_known(text: str, node: Node) -> bool:
    """Does the function that holds an operation use the names in a text?"""
    code = node.place[0][0]
    known = {*code.co_varnames, *code.co_names, *code.co_freevars, *code.co_cellvars}
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:  # the name of a place, as weights.0, is none of the code's
        return False
    return all(n.id in known for n in ast.walk(tree) if isinstance(n, ast.Name))


def replaced(statement: ast.stmt, old: ast.AST, new: str) -> str:
    """The statement's text with one expression replaced."""
    try:
        other = ast.parse(new, mode="eval").body
    except SyntaxError:
        return ""
    marks = {id(part): index for index, part in enumerate(ast.walk(statement))}
    if id(old) not in marks:
        return ""
    fresh = copy.deepcopy(statement)
    target = list(ast.walk(fresh))[marks[id(old)]]

    class Swap(ast.NodeTransformer):
        def visit(self, found: ast.AST) -> ast.AST:
            return other if found is target else self.generic_visit(found)

    text = written(Swap().visit(fresh))
    single = "\n" not in text and text != written(statement)
    return text if single else ""
