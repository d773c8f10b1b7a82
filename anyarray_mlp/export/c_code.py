"""Numbers, tables, texts and formulas as C99 has them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from anyarray_mlp.export.formulas import Formula, Number, Operand
from anyarray_mlp.typing import Host

#: How each operation is written. `larger` and `smaller` are functions of `helpers`: those of libm are slow.
TEMPLATES = {
    "add": "({} + {})", "subtract": "({} - {})", "multiply": "({} * {})", "divide": "({} / {})",
    "negative": "(-{})", "maximum": "larger({}, {})", "minimum": "smaller({}, {})", "where": "({} ? {} : {})",
    "less": "({} < {})", "less_equal": "({} <= {})", "greater": "({} > {})", "greater_equal": "({} >= {})",
    "equal": "({} == {})", "not_equal": "({} != {})", "logical_and": "({} && {})",
    "logical_or": "({} || {})", "logical_not": "(!{})",
}  # fmt: skip
#: Functions of libm by their names there.
FUNCTIONS = {
    "abs": "fabs", "sqrt": "sqrt", "exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "tanh": "tanh",
    "erf": "erf", "floor": "floor",
}  # fmt: skip
HELPERS = {
    "maximum": "static real larger(real a, real b)\n{\n    return a > b ? a : b;\n}\n",
    "minimum": "static real smaller(real a, real b)\n{\n    return a < b ? a : b;\n}\n",
}
#: Characters of a line of a table at most.
LINE = 110


def number(value: float, dtype: str = "float64") -> str:
    """A number to the bit, in hexadecimal digits."""
    if math.isnan(value):
        return "NAN"
    mantissa, exponent = float(value).hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}{'f' if dtype == 'float32' else ''}"


def table(kind: str, name: str, cells: Iterable[str]) -> str:
    """A constant array of cells that are written already."""
    lines, line = [], ""
    for cell in cells:
        if line and len(line) + len(cell) > LINE:
            lines.append(line)
            line = ""
        line += f"{cell}, "
    lines.append(line)
    rows = "\n".join(f"    {line.rstrip()}" for line in lines)
    return f"{kind} {name}[] = {{\n{rows}\n}};\n"


def numbers(name: str, values: Host | Sequence[float], dtype: str = "float64") -> str:
    """A constant array of numbers in C order."""
    flat = values if isinstance(values, (list, tuple)) else values.ravel().tolist()  # type: ignore[union-attr]
    kind = "static const real" if dtype == "float32" else "static const double"
    return table(kind, name, (number(value, dtype) for value in flat))


def text(value: str) -> str:
    """A text as a literal of bytes in UTF-8."""
    written = ""
    for byte in value.encode("utf-8", "surrogatepass"):
        character = chr(byte)
        # An escape of three digits ends there; a question mark may begin a trigraph.
        plain = 32 <= byte < 127 and character not in '"\\?'
        written += character if plain else f"\\{byte:03o}"
    return f'"{written}"'


def texts(name: str, values: Iterable[object], *, static: bool) -> str:
    """A constant array of texts."""
    kind = f"{'static ' if static else ''}const char *const"
    return table(kind, name, (text(str(value)) for value in values))


def function(name: str, formula: Formula, dtype: str) -> str:
    """`static real NAME(real z)` of a formula; what is used once stands where it is used."""
    uses = Counter(each for step in formula.steps for each in step.operands)
    suffix = "f" if dtype == "float32" else ""
    written: dict[Operand, str] = {0: "z"}
    lines = []

    def of(operand: Operand) -> str:
        return number(operand.value, dtype) if isinstance(operand, Number) else written[operand]

    for place, step in enumerate(formula.steps, 1):
        operands = [of(each) for each in step.operands]
        if step.operation in FUNCTIONS:
            inner = operands[0]
            bare = inner[1:-1] if is_wrapped(inner) else inner
            expression = f"{FUNCTIONS[step.operation]}{suffix}({bare})"
        else:
            expression = TEMPLATES[step.operation].format(*operands)
        if uses[place] > 1:
            lines.append(f"    const real v{place} = {expression};")
            expression = f"v{place}"
        written[place] = expression
    result = of(formula.result)
    lines.append(f"    return {result[1:-1] if is_wrapped(result) else result};")
    return f"static real {name}(real z)\n{{\n" + "\n".join(lines) + "\n}\n"


def is_wrapped(expression: str) -> bool:
    """Whether the first parenthesis of an expression is closed by its last character."""
    depth = 0
    for place, character in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return character == ")" and place == len(expression) - 1
    return False
