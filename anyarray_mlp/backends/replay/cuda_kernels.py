"""Groups of elementwise operations as CUDA code: one kernel that reads and writes every array once.

The code is what CuPy's `ElementwiseKernel` takes: parameters with types, and statements for one entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anyarray_mlp.backends.replay.recording import Node, Value

#: C types by dtype.
TYPES = {
    "float32": "float",
    "float64": "double",
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
}
#: C expressions of the standard's functions: {0}, {1}, ... are the operands, {type} is the result's type.
EXPRESSIONS = {
    "abs": "abs({0})",
    "add": "({0} + {1})",
    "bitwise_and": "({0} & {1})",
    "bitwise_left_shift": "({0} << {1})",
    "bitwise_or": "({0} | {1})",
    "bitwise_right_shift": "({0} >> {1})",
    "bitwise_xor": "({0} ^ {1})",
    "cos": "cos({0})",
    "divide": "({0} / {1})",
    "equal": "({0} == {1})",
    "erf": "erf({0})",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "log": "log({0})",
    "log1p": "log1p({0})",
    "logical_and": "({0} && {1})",
    "logical_not": "(!{0})",
    "logical_or": "({0} || {1})",
    "maximum": "({0} >= {1} || {0} != {0} ? {0} : {1})",
    "minimum": "({0} <= {1} || {0} != {0} ? {0} : {1})",
    "multiply": "({0} * {1})",
    "negative": "(-{0})",
    "not_equal": "({0} != {1})",
    "sign": "({0} != {0} ? {0} : ({type})(({0} > 0) - ({0} < 0)))",
    "sin": "sin({0})",
    "sqrt": "sqrt({0})",
    "square": "({0} * {0})",
    "subtract": "({0} - {1})",
    "tanh": "tanh({0})",
    "where": "({0} ? {1} : {2})",
}
#: Integer arithmetic that may wrap, which C defines for unsigned integers only.
WRAPPING = {"add": "+", "subtract": "-", "multiply": "*"}


@dataclass(frozen=True)
class Kernel:
    """Source of one kernel, and its operands and results in order."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    in_params: str
    out_params: str
    operation: str


def kernel(nodes: list[Node], outputs: list[Value]) -> Kernel:
    """The kernel that computes a group of nodes and stores `outputs`."""
    names: dict[Value, str] = {}
    inputs: list[Value] = []
    lines: list[str] = []

    def name(operand: Any, node: Node) -> str:
        if not isinstance(operand, Value):
            return literal(operand, node)
        if operand not in names:
            names[operand] = f"a{len(inputs)}"
            inputs.append(operand)
        return names[operand]

    for i, node in enumerate(nodes):
        kind = TYPES[dtype_name(node.out)]
        operands = [name(operand, node) for operand in node.args]
        lines.append(f"{kind} v{i} = {expression(node, operands, kind)};")
        names[node.out] = f"v{i}"
    lines += [f"r{i} = {names[value]};" for i, value in enumerate(outputs)]
    return Kernel(
        tuple(inputs),
        tuple(outputs),
        ", ".join(f"{dtype_name(value)} a{i}" for i, value in enumerate(inputs)),
        ", ".join(f"{dtype_name(value)} r{i}" for i, value in enumerate(outputs)),
        "\n".join(lines),
    )


def expression(node: Node, operands: list[str], kind: str) -> str:
    """C for one operation."""
    if node.op == "astype":
        return f"({kind}){operands[0]}"
    if node.op in WRAPPING and dtype_name(node.out) in ("int32", "int64"):
        unsigned = f"unsigned {kind}"
        a, b = (f"({unsigned}){operand}" for operand in operands)
        return f"({kind})({a} {WRAPPING[node.op]} {b})"
    return EXPRESSIONS[node.op].format(*operands, type=kind)


def literal(number: Any, node: Node) -> str:
    """A Python number as C, with the dtype of the operation's array operands."""
    dtype = next(
        (dtype_name(a) for a in reversed(node.args) if isinstance(a, Value)), dtype_name(node.out)
    )
    if isinstance(number, bool):
        return "true" if number else "false"
    if number != number or number in (float("inf"), float("-inf")):
        return {"inf": "INFINITY", "-inf": "-INFINITY"}.get(str(number), "NAN")
    return f"({TYPES[dtype]}){number!r}"


def dtype_name(value: Value) -> str:
    """NumPy's name of a value's dtype."""
    return str(value.spec.dtype)
