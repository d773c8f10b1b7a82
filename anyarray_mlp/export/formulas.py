"""The formula of an elementwise function, found by calling it on a symbol: steps that a writer turns into its code.

The functions of a network are written against a namespace (`network.functional`). `Symbols` is one whose arrays note
what is done with them, so that every activation has its formula, a user's own among them, and nobody writes it twice.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.arithmetic.plain import CREATION
from anyarray_mlp.errors import UsageError, in_a_line
from anyarray_mlp.network.functional import Activation


class Number(NamedTuple):
    """A number in a formula, as its dtype has it."""

    value: float


#: What a step takes: the place of a value, 0 for the argument and k for what the k-th step gives, or a number.
Operand = int | Number

#: The operations that a formula may be made of, and how many operands each has.
OPERATIONS = {
    "add": 2, "subtract": 2, "multiply": 2, "divide": 2, "maximum": 2, "minimum": 2, "negative": 1, "abs": 1,
    "sqrt": 1, "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "tanh": 1, "erf": 1, "floor": 1, "where": 3,
    "less": 2, "less_equal": 2, "greater": 2, "greater_equal": 2, "equal": 2, "not_equal": 2,
    "logical_and": 2, "logical_or": 2, "logical_not": 1,
}  # fmt: skip
#: Those whose value is true or false.
CONDITIONS = frozenset(name for name in OPERATIONS if "equal" in name or "logical" in name) | {
    "less",
    "greater",
}


class Step(NamedTuple):
    """An operation and what it takes."""

    operation: str
    operands: tuple[Operand, ...]


class Formula(NamedTuple):
    """Steps, each of the argument and of what earlier ones give, and the value that is the result."""

    steps: tuple[Step, ...]
    result: Operand

    @property
    def operations(self) -> frozenset[str]:
        """What it is made of."""
        return frozenset(step.operation for step in self.steps)


class Symbol:
    """A value in a formula."""

    __array_ufunc__ = None
    __slots__ = ("dtype", "place", "symbols")
    ndim = 2  # what a function of one's own is given: rows (n, units)

    def __init__(self, symbols: Symbols, place: Operand, dtype: Any) -> None:
        self.symbols, self.place, self.dtype = symbols, place, dtype

    def __bool__(self) -> bool:
        raise TypeError("what follows depends on a value")

    def __pow__(self, other: Any) -> Symbol:
        if other != 2:
            raise UsageError(f"the power {other!r}, of which only 2 is known here")
        return self.symbols.step("multiply", self, self)

    def __abs__(self) -> Symbol:
        return self.symbols.step("abs", self)

    def __neg__(self) -> Symbol:
        return self.symbols.step("negative", self)

    def __invert__(self) -> Symbol:
        return self.symbols.step("logical_not", self)


def binary(name: str, swap: bool) -> Callable[[Symbol, Any], Symbol]:
    """An operator of `Symbol`."""

    def method(self: Symbol, other: Any) -> Symbol:
        operands = (other, self) if swap else (self, other)
        return self.symbols.step(name, *operands)

    return method


#: Python's operators and the operations that they are.
OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "lt": "less", "le": "less_equal",
    "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal", "and": "logical_and",
    "or": "logical_or",
}  # fmt: skip
for symbol, operation in OPERATORS.items():
    setattr(Symbol, f"__{symbol}__", binary(operation, swap=False))
    if hasattr(operator, f"i{symbol}"):
        setattr(Symbol, f"__r{symbol}__", binary(operation, swap=True))


class Symbols:
    """A namespace of `Symbol`s of a dtype, which keeps the steps."""

    __name__ = "symbols"
    float32, float64 = np.dtype("float32"), np.dtype("float64")
    bool = np.dtype("bool")

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.steps: dict[Step, int] = {}

    def __getattr__(self, name: str) -> Any:
        if name in OPERATIONS:
            return lambda *operands: self.step(name, *operands)
        if name in CREATION:
            return lambda *_, **__: self.refuse(name)
        return self.refuse(name)

    def refuse(self, name: str) -> Any:
        """There is no such operation."""
        raise UsageError(f"{name!r}, which is no elementwise operation that is known here")

    def step(self, name: str, *operands: Any) -> Symbol:
        """What an operation gives; the same one again gives the same value."""
        if len(operands) != OPERATIONS[name]:
            self.refuse(name)
        step = Step(name, tuple(map(self.operand, operands)))
        place = self.steps.setdefault(step, len(self.steps) + 1)
        return Symbol(self, place, self.bool if name in CONDITIONS else self.dtype)

    def operand(self, value: Any) -> Operand:
        """The place of a symbol; a number as the dtype has it."""
        if isinstance(value, Symbol):
            return value.place
        return Number(float(self.dtype.type(value)))

    def square(self, x: Symbol) -> Symbol:
        """x^2."""
        return self.step("multiply", x, x)

    def sign(self, x: Symbol) -> Symbol:
        """-1, 0 or 1."""
        negative = self.step("where", self.step("less", x, 0.0), -1.0, 0.0)
        return self.step("where", self.step("greater", x, 0.0), 1.0, negative)

    def clip(self, x: Symbol, low: Any = None, high: Any = None) -> Symbol:
        """x within bounds."""
        x = x if low is None else self.step("maximum", x, low)
        return x if high is None else self.step("minimum", x, high)

    def astype(self, x: Symbol, dtype: Any, copy: Any = True) -> Symbol:
        """Truths as numbers; numbers of the dtype as they are."""
        if x.dtype == self.bool and dtype == self.dtype:
            return self.step("where", x, 1.0, 0.0)
        return x if x.dtype == dtype else self.refuse(f"astype {dtype}")

    def full_like(self, x: Symbol, value: float) -> Symbol:
        """A number."""
        return Symbol(self, self.operand(value), self.dtype)

    def zeros_like(self, x: Symbol) -> Symbol:
        """0."""
        return self.full_like(x, 0.0)

    def ones_like(self, x: Symbol) -> Symbol:
        """1."""
        return self.full_like(x, 1.0)


def formula_of(name: str, function: Activation, dtype: str, given: Collection[str] = ()) -> Formula:
    """The formula of an activation or an output in a dtype.

    given: what the writer has of `erf`, which is otherwise made of exponentials and products.
    Raises `UsageError`, which names the function, where it is not elementwise.
    """
    symbols = Symbols(dtype)
    overrides = {name: getattr(symbols, name) for name in given}
    xp: Any = PlainNamespace(symbols, overrides=overrides)
    argument: Any = Symbol(symbols, 0, symbols.dtype)
    try:
        value, _ = function(xp, argument)
    except UsageError as error:
        raise UsageError(f"the activation {name!r} cannot be exported: it uses {error}.") from None
    except Exception as error:
        raise UsageError(
            f"the activation {name!r} cannot be exported, as it is not a formula of single numbers: {in_a_line(error)}."
        ) from error
    return without_unused(Formula(tuple(symbols.steps), symbols.operand(value)))


def without_unused(formula: Formula) -> Formula:
    """The steps that the result needs, counted anew."""
    needed = {formula.result}
    for place in range(len(formula.steps), 0, -1):
        if place in needed:
            needed |= set(formula.steps[place - 1].operands)
    places: dict[Operand, Operand] = {0: 0}
    steps: list[Step] = []
    for place, (name, operands) in enumerate(formula.steps, 1):
        if place in needed:
            steps.append(Step(name, tuple(places.get(each, each) for each in operands)))
            places[place] = len(steps)
    return Formula(tuple(steps), places.get(formula.result, formula.result))
