"""The reference: float64 values, each with a bound on its rounding error in another dtype.

`MLP.loss_and_grad` runs on this arithmetic as on any other. Besides its float64 value, every operation carries a
bound on how far a correct implementation in the tested dtype may be from it: a running error analysis (Wilkinson 1963;
Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.3). The following counts as correct:

- +, -, * to half a unit in the last place; / to 2.5 and a square root to 3 (as OpenCL requires of a GPU);
- a sum or matrix product over k terms, in any order, to gamma_k = k u / (1 - k u) times the sum of the
  terms' magnitudes (Higham, section 3.1), u the dtype's unit roundoff;
- exp, log, tanh, ... to `ULPS` units in the last place;
- results below the smallest normal number may be flushed to zero.

The reference itself is computed in float64 and rounds too, so u here is the tested dtype's plus float64's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.parity.bounded import Bounded
from anyarray_mlp.typing import Host

#: Allowed error of a function in units in the last place. OpenCL (table "ULP values for single precision") requires
#: 2 to 5, and 16 for erf; XLA's tanh was seen 6.5 off, its expm1 5.2, NumPy's float32 log 3.3.
ULPS = {"erf": 16.0, "divide": 2.5, "sqrt": 3.0}
DEFAULT_ULPS = 8.0

DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")


class RoundoffLibrary:
    """The part of an Array API namespace that the network's math needs, for `Bounded` arrays."""

    __name__ = "roundoff"

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        limits = np.finfo(self.dtype)
        self.unit = float(limits.eps) / 2 + 2.0**-53
        self.tiny = float(limits.smallest_normal)
        self.largest = float(limits.max)

    def __getattr__(self, name: str) -> Any:
        if name in DTYPES:
            return np.dtype(name)
        if name in MOVES:
            return partial(move, self, MOVES[name])
        if name in COMPARISONS:
            return partial(compare_values, self, COMPARISONS[name])
        if name in MONOTONE:
            return partial(apply_monotone, self, name)
        if name in CREATION:
            return partial(create, self, CREATION[name])
        if name in EXACT:
            return partial(exact, self, EXACT[name])
        raise AttributeError(f"The reference of parity has no error bound for {name!r}.")

    def gamma(self, k: int) -> float:
        """k u / (1 - k u)."""
        ku = k * self.unit
        return ku / (1.0 - ku) if ku < 1 else float("inf")

    def lift(self, x: Any) -> Bounded:
        """An array unchanged; a number with the error of its representation in the tested dtype."""
        if isinstance(x, Bounded):
            return x
        value = np.asarray(x)
        if value.dtype.kind != "f":
            return Bounded(self, value)
        error = abs(float(value.astype(self.dtype)) - float(value))
        return Bounded(self, value.astype(np.float64), np.asarray(error))

    def rounded(self, value: Host, propagated: Any, ulps: float = 0.5) -> Bounded:
        """A value with the error of its inputs plus its own rounding; integers are exact."""
        value = np.asarray(value)
        if value.dtype.kind != "f":
            return Bounded(self, value)
        bound = propagated + 2 * ulps * self.unit * (np.abs(value) + propagated) + self.tiny
        return Bounded(self, value, np.where(np.abs(value) + bound > self.largest, np.inf, bound))

    # --- arithmetic ---

    def add(self, a: Any, b: Any) -> Bounded:
        """a + b."""
        if is_exact(a) and is_exact(b):
            return exact(self, operator.add, a, b)
        a, b = self.lift(a), self.lift(b)
        return self.rounded(a.value + b.value, a.error + b.error)

    def subtract(self, a: Any, b: Any) -> Bounded:
        """a - b."""
        if is_exact(a) and is_exact(b):
            return exact(self, operator.sub, a, b)
        a, b = self.lift(a), self.lift(b)
        return self.rounded(a.value - b.value, a.error + b.error)

    def multiply(self, a: Any, b: Any) -> Bounded:
        """a b."""
        if is_exact(a) and is_exact(b):
            return exact(self, operator.mul, a, b)
        a, b = self.lift(a), self.lift(b)
        propagated = np.abs(a.value) * b.error + a.error * np.abs(b.value) + infinite_product(a, b)
        return self.rounded(a.value * b.value, propagated)

    def divide(self, a: Any, b: Any) -> Bounded:
        """a / b."""
        a, b = self.lift(a), self.lift(b)
        quotient = a.value / b.value
        room = np.abs(b.value) - b.error
        with np.errstate(divide="ignore", invalid="ignore"):
            propagated = np.where(room > 0, (a.error + np.abs(quotient) * b.error) / room, np.inf)
        return self.rounded(quotient, propagated, ULPS["divide"])

    def matmul(self, a: Bounded, b: Bounded) -> Bounded:
        """a @ b, with |E| <= |A| E_b + E_a (|B| + E_b) + gamma_k (|A| + E_a)(|B| + E_b)."""
        k = a.shape[-1]
        bulk_a, bulk_b = np.abs(a.value), np.abs(b.value)
        reach_b = bulk_b + b.error
        propagated = bulk_a @ b.error + a.error @ reach_b
        rounding = self.gamma(k) * ((bulk_a + a.error) @ reach_b) + k * self.tiny
        return Bounded(self, a.value @ b.value, propagated + rounding)

    def sum(
        self, x: Bounded, axis: Any = None, keepdims: bool = False, dtype: Any = None
    ) -> Bounded:
        """The sum over an axis, in any order."""
        value = np.asarray(np.sum(x.value, axis=axis, keepdims=keepdims))
        if value.dtype.kind != "f":
            return Bounded(self, value)
        terms = x.value.size // max(value.size, 1)
        propagated = np.sum(x.error, axis=axis, keepdims=keepdims)
        bulk = np.sum(np.abs(x.value), axis=axis, keepdims=keepdims) + propagated
        rounding = self.gamma(terms) * bulk + terms * self.tiny
        return Bounded(self, value, np.asarray(propagated + rounding))

    # --- selection: no rounding ---

    def maximum(self, a: Any, b: Any) -> Bounded:
        """The larger of two."""
        return self.select(np.maximum, self.lift(a), self.lift(b))

    def minimum(self, a: Any, b: Any) -> Bounded:
        """The smaller of two."""
        return self.select(np.minimum, self.lift(a), self.lift(b))

    def select(self, function: Any, a: Bounded, b: Bounded) -> Bounded:
        """A function that is monotone in both arguments and returns one of them."""
        value = function(a.value, b.value)
        high = function(a.value + a.error, b.value + b.error)
        low = function(a.value - a.error, b.value - b.error)
        return Bounded(self, value, np.maximum(high - value, value - low))

    def max(self, x: Bounded, axis: Any = None, keepdims: bool = False) -> Bounded:
        """The largest along an axis."""
        reduce = partial(np.max, axis=axis, keepdims=keepdims)
        value = np.asarray(reduce(x.value))
        high, low = reduce(x.value + x.error), reduce(x.value - x.error)
        return Bounded(self, value, np.asarray(np.maximum(high - value, value - low)))

    def abs(self, x: Bounded) -> Bounded:
        """The magnitude."""
        return Bounded(self, np.abs(x.value), x.error)

    def sign(self, x: Bounded) -> Bounded:
        """-1, 0 or 1; may be any of them if zero is within the error."""
        value = np.sign(x.value)
        unsure = (np.abs(x.value) <= x.error) & (x.error > 0)
        return Bounded(self, value, np.where(unsure, 1.0 + np.abs(value), 0.0))

    def where(self, condition: Bounded, a: Any, b: Any) -> Bounded:
        """a or b; if the condition may go either way, the error covers both."""
        a, b = self.lift(a), self.lift(b)
        value = np.where(condition.value, a.value, b.value)
        error = np.where(condition.value, a.error, b.error)
        other = np.where(condition.value, b.error, a.error)
        apart = np.abs(a.value - b.value) + other
        return Bounded(self, value, np.where(condition.error, np.maximum(error, apart), error))

    def astype(self, x: Bounded, dtype: Any, copy: bool = True) -> Bounded:
        """Another dtype; floats stay float64 with the rounding error of the tested dtype."""
        wanted = np.dtype(dtype)
        if wanted.kind != "f":
            return Bounded(self, x.value.astype(wanted))
        value = x.value.astype(np.float64)
        error = np.abs(value.astype(self.dtype).astype(np.float64) - value)
        return Bounded(self, value, error + x.error.astype(np.float64))


def is_exact(x: Any) -> bool:
    """Whether arithmetic on it is exact: integers, which wrap the same everywhere, and booleans."""
    return x.value.dtype.kind != "f" if isinstance(x, Bounded) else isinstance(x, int)


def infinite_product(a: Bounded, b: Bounded) -> Any:
    """E_a E_b, zero if either is zero (also infinity times zero)."""
    with np.errstate(invalid="ignore"):
        return np.where((a.error == 0) | (b.error == 0), 0.0, a.error * b.error)


# --- tables of functions that share one rule ---


def move(library: RoundoffLibrary, function: Any, x: Any, *args: Any, **kwargs: Any) -> Bounded:
    """A function that moves elements."""
    if isinstance(x, (list, tuple)):
        parts = [library.lift(part) for part in x]
        values, errors = [p.value for p in parts], [p.error for p in parts]
        return Bounded(
            library, function(values, *args, **kwargs), function(errors, *args, **kwargs)
        )
    plain = [a.value if isinstance(a, Bounded) else a for a in args]
    return Bounded(
        library, function(x.value, *plain, **kwargs), function(x.error, *plain, **kwargs)
    )


MOVES: dict[str, Callable[..., Any]] = {
    "reshape": np.reshape,
    "matrix_transpose": np.matrix_transpose,
    "take": np.take,
    "concat": np.concatenate,
    "stack": np.stack,
    "broadcast_to": np.broadcast_to,
    "permute_dims": np.transpose,
    "squeeze": np.squeeze,
    "expand_dims": np.expand_dims,
    "flip": np.flip,
}


def compare_values(library: RoundoffLibrary, function: Any, a: Any, b: Any) -> Bounded:
    """A comparison, uncertain if the errors are larger than the gap."""
    a, b = library.lift(a), library.lift(b)
    value = np.asarray(function(a.value, b.value))
    if a.value.dtype.kind == b.value.dtype.kind == "b":
        return Bounded(library, value)
    reach = a.error + b.error
    return Bounded(library, value, (np.abs(a.value - b.value) <= reach) & (reach > 0))


COMPARISONS: dict[str, Callable[..., Any]] = {
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
}


def apply_monotone(library: RoundoffLibrary, name: str, x: Bounded) -> Bounded:
    """A smooth function: the error times the largest slope within it, plus the function's own rounding."""
    function, slope = MONOTONE[name]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        value = function(x.value)
        propagated = np.where(x.error > 0, slope(x.value, x.error) * x.error, 0.0)
    return library.rounded(value, propagated, ULPS.get(name, DEFAULT_ULPS))


def nearest_zero(x: Host, e: Host) -> Host:
    """The point of [x - e, x + e] nearest to zero, where bell-shaped slopes are steepest."""
    return np.asarray(np.maximum(np.abs(x) - e, 0.0))


def logistic_slope(x: Host, e: Host) -> Host:
    """The largest s (1 - s) on [x - e, x + e]."""
    s = scipy.special.expit(nearest_zero(x, e))
    return np.asarray(s * scipy.special.expit(-nearest_zero(x, e)))


def reciprocal_of(room: Host) -> Host:
    """1 / room, infinite if room is not positive."""
    return np.asarray(np.where(room > 0, 1.0 / room, np.inf))


#: Functions of one variable: float64 value, and the largest slope on [x - e, x + e].
MONOTONE: dict[str, tuple[Callable[[Host], Host], Callable[[Host, Host], Host]]] = {
    "exp": (np.exp, lambda x, e: np.exp(x + e)),
    "expm1": (np.expm1, lambda x, e: np.exp(x + e)),
    "log": (np.log, lambda x, e: reciprocal_of(x - e)),
    "log1p": (np.log1p, lambda x, e: reciprocal_of(1.0 + x - e)),
    "sqrt": (np.sqrt, lambda x, e: 0.5 * np.sqrt(reciprocal_of(x - e))),
    "cos": (np.cos, lambda x, e: np.ones_like(x)),
    "sin": (np.sin, lambda x, e: np.ones_like(x)),
    "tanh": (np.tanh, lambda x, e: 1.0 / np.cosh(np.minimum(nearest_zero(x, e), 350.0)) ** 2),
    "erf": (
        scipy.special.erf,
        lambda x, e: np.exp(-(nearest_zero(x, e) ** 2)) * 2.0 / np.sqrt(np.pi),
    ),
    "logistic": (scipy.special.expit, logistic_slope),
    "softplus": (
        lambda x: np.asarray(np.logaddexp(x, 0.0)),
        lambda x, e: scipy.special.expit(x + e),
    ),
}


def create(library: RoundoffLibrary, function: Any, *args: Any, **kwargs: Any) -> Bounded:
    """A new array of exact numbers."""
    kwargs.pop("device", None)
    value = np.asarray(
        function(*(a.value if isinstance(a, Bounded) else a for a in args), **kwargs)
    )
    return Bounded(library, value.astype(np.float64) if value.dtype.kind == "f" else value)


CREATION: dict[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros")
} | {name: getattr(np, name) for name in ("zeros_like", "ones_like", "full_like")}


def exact(library: RoundoffLibrary, function: Any, *args: Any, **kwargs: Any) -> Bounded:
    """A function of integers or booleans."""
    values = [a.value if isinstance(a, Bounded) else a for a in args]
    return Bounded(library, np.asarray(function(*values, **kwargs)))


EXACT: dict[str, Callable[..., Any]] = {
    "bitwise_xor": operator.xor,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_right_shift": operator.rshift,
    "bitwise_left_shift": operator.lshift,
    "isfinite": np.isfinite,
    "logical_not": np.logical_not,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "any": np.any,
    "all": np.all,
}


class RoundoffNamespace(PlainNamespace):
    """The arithmetic of `Bounded` arrays for a tested dtype."""

    def __init__(self, dtype: str) -> None:
        library = RoundoffLibrary(dtype)
        own = ("logistic", "softplus", "erf")
        super().__init__(library, overrides={name: getattr(library, name) for name in own})

    def exact(self, host: Host) -> Bounded:
        """A host array, taken as exact."""
        host = np.asarray(host)
        library: RoundoffLibrary = self.library
        return Bounded(library, host.astype(np.float64) if host.dtype.kind == "f" else host)
