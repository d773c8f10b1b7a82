"""A value with a bound on its error; its operators ask the arithmetic that it belongs to (`roundoff`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.parity.roundoff import RoundoffLibrary


class Bounded:
    """Float64 values (or exact integers, or booleans) with a bound on their error in the tested dtype.

    `error` is zero if a value is exact. For booleans it is True if the comparison may go either way.
    """

    __array_ufunc__ = None
    __slots__ = ("error", "library", "value")

    def __init__(self, library: RoundoffLibrary, value: Host, error: Host | None = None) -> None:
        self.library = library
        self.value = value
        self.error = np.zeros(value.shape, error_dtype(value)) if error is None else error

    @property
    def dtype(self) -> np.dtype[Any]:
        """The tested dtype for floats."""
        return self.library.dtype if self.value.dtype.kind == "f" else self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self.value.ndim

    def __getitem__(self, key: Any) -> Bounded:
        return Bounded(
            self.library, np.asarray(self.value[key]), np.asarray(np.asarray(self.error)[key])
        )

    def __invert__(self) -> Bounded:
        return Bounded(self.library, ~self.value, self.error)

    def __neg__(self) -> Bounded:
        return Bounded(self.library, -self.value, self.error)


def binary(name: str, swap: bool = False) -> Callable[[Bounded, Any], Bounded]:
    """An operator of `Bounded` that calls the library's function of that name."""

    def method(self: Bounded, other: Any) -> Bounded:
        left, right = (other, self) if swap else (self, other)
        result: Bounded = getattr(self.library, name)(left, right)
        return result

    return method


#: Python's operators and the standard's functions that they call.
OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
    "xor": "bitwise_xor",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "rshift": "bitwise_right_shift",
    "lshift": "bitwise_left_shift",
}
REFLECTED = ("add", "sub", "mul", "truediv", "xor", "and", "or")

for symbol, function_name in OPERATORS.items():
    setattr(Bounded, f"__{symbol}__", binary(function_name))
    if symbol in REFLECTED:
        setattr(Bounded, f"__r{symbol}__", binary(function_name, swap=True))


def error_dtype(value: Host) -> type:
    """The dtype of an error: bool for booleans (certain or not), float64 for everything else."""
    return np.bool_ if value.dtype == np.bool_ else np.float64
