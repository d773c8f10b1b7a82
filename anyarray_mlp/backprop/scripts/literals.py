"""Numbers that a script writes down are recorded too: weights, learning rates and data given as literals."""

from __future__ import annotations

import ast
import os
from collections.abc import Collection
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.tracer import Recorder, traced

#: What a literal is wrapped in, and a list of literals that is repeated.
NAME = "__recorded__"
REPEATED = "__repeated__"
#: Libraries whose functions take recorded numbers, and those whose own arrays are no place for them.
RECORDED = frozenset(["numpy", "math", "random", "cupy", "scipy", "decimal"])
DIFFERENTIATING = frozenset(["torch", "jax", "tensorflow", "keras"])


class Literals(ast.NodeTransformer):
    """Wraps floats that are assigned, listed, or given by name, and whole numbers in tables."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if any(ast.unparse(target) in self.updated for target in node.targets):
            node.value = as_float(node.value)
        node.value = self.value(node.value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None:
            node.value = self.value(node.value)
        return node

    def visit_List(self, node: ast.List) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and (
            is_table(node) or (self.integers and numbers_in(node))
        ):
            return self.table(node)
        self.generic_visit(node)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        self.generic_visit(node)
        node.elt = self.value(node.elt)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """`[0.0] * n` makes n numbers of their own."""
        if (
            isinstance(node.op, ast.Mult)
            and isinstance(node.left, ast.List)
            and numbers_in(node.left)
        ):
            self.visit(node.right)
            call = ast.Call(ast.Name(REPEATED, ast.Load()), [node.left, node.right], [])
            return ast.fix_missing_locations(ast.copy_location(call, node))
        self.generic_visit(node)
        return node

    def __init__(
        self,
        foreign: Collection[str] = (),
        libraries: Collection[str] = (),
        integers: bool = False,
        updated: Collection[str] = (),
    ) -> None:
        self.updated = updated
        self.foreign, self.libraries, self.integers = foreign, libraries, integers

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Arguments by name; a library's functions get plain numbers."""
        self.generic_visit(node)
        name = first_name(node.func)
        if name in self.foreign:
            return node
        for keyword in node.keywords:
            if is_float(keyword.value) or name not in self.libraries:
                keyword.value = self.value(keyword.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        self.generic_visit(node)
        node.defaults = [self.value(d) for d in node.defaults]
        return node

    def value(self, node: ast.expr) -> ast.expr:
        """A float literal, with a sign perhaps, recorded."""
        if isinstance(node, ast.Tuple):
            node.elts = [self.value(e) for e in node.elts]
            return node
        whole = self.integers and type(number_in(node)) is int
        return wrapped(as_float(node)) if is_float(node) or whole else node

    def table(self, node: ast.expr) -> ast.expr:
        if isinstance(node, (ast.List, ast.Tuple)):
            node.elts = [self.table(e) for e in node.elts]
            return node
        return wrapped(as_float(node) if self.integers else node)


def as_float(node: ast.expr) -> ast.expr:
    """A whole number as a float."""
    number = number_in(node)
    return node if number is None else ast.copy_location(ast.Constant(float(number)), node)


def is_update(node: ast.AST) -> bool:
    """`w -= rate * gradient`, `w -= step`, or `w = w - ...`: no counter's `i += 1`."""
    if isinstance(node, ast.AugAssign):
        if isinstance(node.op, ast.Sub):
            return number_in(node.value) is None
        products = (n for n in ast.walk(node.value) if isinstance(n, ast.BinOp))
        return isinstance(node.op, ast.Add) and any(isinstance(n.op, ast.Mult) for n in products)
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
        same = ast.unparse(node.targets[0]) == ast.unparse(node.value.left)
        changes = isinstance(node.value.op, (ast.Sub, ast.Add))
        return same and changes and number_in(node.value.right) is None
    return False


def updated_in(tree: ast.AST) -> set[str]:
    """What a source updates as weights are updated."""
    told = set()
    for node in ast.walk(tree):
        if is_update(node):
            target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]  # type: ignore[attr-defined]
            told.add(ast.unparse(target))
    return told


def first_name(node: ast.expr) -> str:
    """`a` of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def imported(tree: ast.AST) -> dict[str, str]:
    """The names that a source imports, with the library that each comes from."""
    told: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                told[alias.asname or top] = top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                told[alias.asname or alias.name] = node.module.partition(".")[0]
    return told


def wrapped(node: ast.expr) -> ast.expr:
    """A literal in the call that records it."""
    call = ast.Call(ast.Name(NAME, ast.Load()), [node], [])
    return ast.fix_missing_locations(ast.copy_location(call, node))


def number_in(node: ast.expr) -> Any:
    """The number that a literal is; None if it is none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        inner = number_in(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    return None


def is_float(node: ast.expr) -> bool:
    """Is an expression a float literal?"""
    return isinstance(number_in(node), float)


def is_table(node: ast.expr) -> bool:
    """Floats, rows of numbers, or a list of zeros and ones: data, not the sizes of layers."""
    leaves = numbers_in(node)
    if leaves is None or not leaves:
        return False
    nested = any(isinstance(e, (ast.List, ast.Tuple)) for e in getattr(node, "elts", ()))
    if nested or any(isinstance(v, float) for v in leaves):
        return True
    return len(leaves) > 2 and set(leaves) == {0, 1}


def numbers_in(node: ast.expr) -> list[Any] | None:
    """The numbers of nested lists; None if there is anything else in them."""
    if isinstance(node, (ast.List, ast.Tuple)):
        told: list[Any] = []
        for element in node.elts:
            inside = numbers_in(element)
            if inside is None:
                return None
            told += inside
        return told
    number = number_in(node)
    return None if number is None else [number]


def recorded(value: Any) -> Any:
    """A literal as a recorded number."""
    tape = Recorder.tape
    if tape is None:
        return value
    return traced(np.array(value), tape.leaf("literal", np.array(value)))


def repeated(numbers: list[Any], times: Any) -> Any:
    """A list of literals, repeated, each number recorded by itself."""
    return [recorded(number) for number in numbers * int(times)]


def compiled(source: str, path: str, integers: bool = False) -> Any:
    """The code of a script with its literals recorded; positions stay those of the source.

    Raises
    ------
    SyntaxError
        If it is no Python.
    """
    tree = ast.parse(source, path)
    names = imported(tree)
    if not DIFFERENTIATING & set(names.values()):
        folder = os.path.dirname(os.path.abspath(path))
        foreign = {
            n for n, top in names.items() if top not in RECORDED and not is_beside(top, folder)
        }
        tree = Literals(foreign, names, integers, updated_in(tree)).visit(tree)
    return compile(ast.fix_missing_locations(tree), path, "exec")


def is_beside(module: str, folder: str) -> bool:
    """Is a module one of the user's own, beside the script?"""
    return any(os.path.exists(os.path.join(folder, module + end)) for end in (".py", ""))
