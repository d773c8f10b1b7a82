"""What the user's source says about a node: its line, its operands' texts, the name it was given."""

from __future__ import annotations

import ast
import functools
import linecache
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from anyarray_mlp.backprop.tracing.tape import Node


@dataclass(frozen=True)
class Spot:
    """An expression in the user's source."""

    path: str
    line: int
    expression: ast.AST | None
    statement: ast.stmt | None

    @property
    def text(self) -> str:
        """The whole line."""
        return linecache.getline(self.path, self.line).strip()

    @property
    def place(self) -> str:
        return f"{Path(self.path).name}:{self.line}"

    @property
    def said(self) -> str:
        """The expression's own text."""
        return "" if self.expression is None else written(self.expression)


def written(tree: ast.AST) -> str:
    """The text of an expression."""
    return ast.unparse(tree)


@functools.lru_cache(maxsize=64)
def parsed(path: str) -> dict[tuple[int, int, int, int], list[tuple[ast.AST, ast.stmt | None]]]:
    """Every expression of a file by its position, with its statement."""
    try:
        tree = ast.parse("".join(linecache.getlines(path)))
    except SyntaxError:
        return {}
    found: dict[tuple[int, int, int, int], list[tuple[ast.AST, ast.stmt | None]]] = {}

    def walk(node: ast.AST, statement: ast.stmt | None) -> None:
        statement = node if isinstance(node, ast.stmt) else statement
        if isinstance(node, (ast.expr, ast.stmt)):
            place = (node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0)
            found.setdefault(place, []).append((node, statement))
        for child in ast.iter_child_nodes(node):
            walk(child, statement)

    walk(tree, None)
    return found


@functools.lru_cache(maxsize=4096)
def positions(
    code: CodeType, path: str
) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    """Where each instruction comes from. Codes of two files may be equal: the path keeps them apart."""
    return tuple(code.co_positions())


def spot(code: CodeType, instruction: int) -> Spot:
    """Where an instruction comes from."""
    return spot_in(code, instruction, code.co_filename)


@functools.lru_cache(maxsize=65536)
def spot_in(code: CodeType, instruction: int, path: str) -> Spot:
    """Where an instruction of a file comes from."""
    table = positions(code, path)
    at = table[instruction // 2] if instruction // 2 < len(table) else (None,) * 4
    line = at[0] or code.co_firstlineno
    if None in at:
        return Spot(path, line, None, None)
    known = parsed(path).get((at[0], at[1], at[2], at[3]))  # type: ignore[arg-type]
    if not known:
        return Spot(path, line, None, None)
    expression, statement = known[-1]
    return Spot(path, line, expression, statement)


def spots(node: Node) -> list[Spot]:
    """The user's expressions that made a node, the innermost first."""
    return [spot(code, instruction) for code, instruction in node.place]


def target_of(found: Spot) -> str:
    """The name that the expression's value is assigned to; empty if it is not assigned as it is."""
    statement, expression = found.statement, found.expression
    if isinstance(statement, ast.AugAssign):
        return written(statement.target) if expression in (statement, statement.value) else ""
    if isinstance(statement, ast.Assign) and statement.value is expression:
        target = statement.targets[0]
        return "" if isinstance(target, ast.Tuple) else written(target)
    if isinstance(statement, ast.AnnAssign) and statement.value is expression:
        return written(statement.target)
    return ""


def name_of(node: Node) -> str:
    """The name under which the user's code knows a node; empty if it has none."""
    if node.name:
        return node.name
    for found in spots(node):
        name = target_of(found)
        if name:
            return name
        returned = isinstance(found.statement, ast.Return) and (
            found.statement.value is found.expression
        )
        if not returned:
            return ""
    return ""


def operand_texts(node: Node) -> list[str]:
    """The source of each operand, as far as the expression shows them."""
    found = next(iter(spots(node)), None)
    if found is None or found.expression is None:
        return []
    return [written(part) for part in operand_expressions(found.expression)]


def operand_expressions(expression: ast.AST) -> list[ast.expr]:
    """An operation's operands in the source."""
    if isinstance(expression, ast.BinOp):
        return [expression.left, expression.right]
    if isinstance(expression, ast.AugAssign):
        return [expression.target, expression.value]
    if isinstance(expression, ast.Compare):
        return [expression.left, *expression.comparators]
    if isinstance(expression, ast.UnaryOp):
        return [expression.operand]
    if isinstance(expression, ast.Attribute):
        return [expression.value]
    if isinstance(expression, ast.Call):
        function = expression.func
        own = isinstance(function, ast.Attribute) and method_call(expression)
        first = [function.value] if own and isinstance(function, ast.Attribute) else []
        return [*first, *expression.args]
    return []


def method_call(call: ast.Call) -> bool:
    """`a.dot(b)`, not `np.dot(a, b)`."""
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    return not (
        isinstance(function.value, ast.Name) and function.value.id in ("np", "numpy", "xp", "math")
    )


def is_literal(node: Node, place: int) -> bool:
    """Is an operand a number that is written in the expression?"""
    found = next(iter(spots(node)), None)
    if found is None or found.expression is None:
        return False
    operands = operand_expressions(found.expression)
    if place >= len(operands):
        return False
    operand = operands[place]
    if isinstance(operand, ast.UnaryOp):
        operand = operand.operand
    return isinstance(operand, ast.Constant)
