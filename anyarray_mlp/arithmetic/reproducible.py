"""Reproducible arithmetic: an Array API namespace in which every operation has exactly one possible result.

`ReproducibleNamespace` is a layer between the formulas and an array library. Its arrays (`reproducible_array.Array`)
wrap the library's; what is exact (comparisons, selections, shapes, indices, integers) passes through, and every
operation that rounds is done in a way that gives the same result on any library, device, number of threads or compiler:

- + - * round once, and results so small that libraries treat them differently become zero;
- / and sqrt are correctly rounded, even if the library's are not (`rounded`);
- sums and matrix products add integers, which is exact (`exact_sum`, `exact_matmul`);
- exp, log, tanh, ... come from tables and polynomials (`elementary`).

Python numbers combined with an array are rounded to its dtype first. So a formula written against this namespace is
reproducible without any special care. docs/reproducible.md says what is guaranteed and why.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from anyarray_mlp.arithmetic.elementary import Elementary
from anyarray_mlp.arithmetic.exact_matmul import ExactMatmul, Residual
from anyarray_mlp.arithmetic.exact_sum import ExactSum
from anyarray_mlp.arithmetic.library import Library
from anyarray_mlp.arithmetic.plain import Seam
from anyarray_mlp.arithmetic.reproducible_array import Array, Raw, unwrap
from anyarray_mlp.arithmetic.rounded import CorrectlyRounded
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.typing import Axes

#: The resulting bits depend on tables, slices and the order of steps; any change to them needs a new version.
VERSION = "1"

Number = bool | int | float

#: Constants and dtypes taken from the library.
NAMES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
    "float64", "e", "inf", "nan", "newaxis", "pi", "finfo", "iinfo",
)  # fmt: skip

#: Functions that do not round: they pass through.
EXACT = frozenset({
    "abs", "all", "any", "arange", "argmax", "argmin", "argsort", "bitwise_and", "bitwise_invert",
    "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "broadcast_arrays",
    "broadcast_to", "clip", "concat", "empty", "empty_like", "equal", "expand_dims", "flip", "floor",
    "greater", "greater_equal", "isdtype", "isfinite", "isinf", "isnan", "less", "less_equal",
    "logical_and", "logical_not", "logical_or", "logical_xor", "matrix_transpose", "max", "maximum",
    "min", "minimum", "moveaxis", "nonzero", "not_equal", "ones", "ones_like", "permute_dims",
    "repeat", "reshape", "roll", "searchsorted", "sign", "sort", "squeeze", "stack", "take",
    "take_along_axis", "tile", "tril", "triu", "unstack", "where", "zeros", "zeros_like",
})  # fmt: skip

CREATION = frozenset({"arange", "empty", "ones", "zeros"})


def rounded(number: float, dtype: Any, float32: Any) -> float:
    """A Python number rounded to the dtype."""
    if dtype != float32:
        return float(number)
    return float(struct.unpack("f", struct.pack("f", number))[0])


class ReproducibleNamespace:
    """Reproducible arithmetic over an array library.

    Parameters
    ----------
    xp : the library's Array API namespace.
    slices : number of slices of float32 operands in a matrix product: 2 keeps more bits than float32 has; 1 is faster
        and keeps 21 bits of each row's largest entry.
    device, compiled, block, shrink, view : as in `Library`.
    barrier : keeps a compiler from computing an array again wherever it is used.

    Raises `BackendUnavailableError` if the library has no float64.
    """

    def __init__(
        self,
        xp: Any,
        slices: int = 2,
        *,
        device: Any = None,
        compiled: bool = False,
        block: int = 0,
        shrink: Callable[[Raw, float], Raw] | None = None,
        view: Callable[[Raw, Any], Raw] | None = None,
        barrier: Callable[[Raw], Raw] | None = None,
    ) -> None:
        if slices not in (1, 2):
            raise UsageError(f"slices must be 1 (fast) or 2 (accurate), got {slices!r}.")
        if xp.asarray(1.0, dtype=xp.float64).dtype != xp.float64:
            raise BackendUnavailableError(
                "Reproducible arithmetic needs float64, which this library turns into float32: "
                "enable it (for JAX, jax_enable_x64)."
            )
        self.library = Library(xp, device, compiled=compiled, block=block, shrink=shrink, view=view)
        self.slices = slices
        self.barrier = barrier or (lambda value: value)
        self.functions = Elementary(self.library)
        self.rounded = CorrectlyRounded(self.library)
        self.sums = ExactSum(self.library)
        self.products = ExactMatmul(self.library, self.sums, slices)
        self.__name__ = f"reproducible {xp.__name__}"
        for name in NAMES:
            if hasattr(xp, name):
                setattr(self, name, getattr(xp, name))

    def through(self, seam: Seam) -> ReproducibleNamespace:
        """The same arithmetic, whose calls of the library go through a seam."""
        twin = object.__new__(ReproducibleNamespace)
        # What `__getattr__` has kept calls the library itself.
        vars(twin).update({name: v for name, v in vars(self).items() if name not in EXACT})
        twin.library = self.library.through(seam)
        twin.functions = self.functions.over(twin.library)
        twin.rounded = CorrectlyRounded(twin.library)
        twin.sums = ExactSum(twin.library)
        twin.products = ExactMatmul(twin.library, twin.sums, self.slices)
        return twin

    def __repr__(self) -> str:
        return f"ReproducibleNamespace({self.library.xp.__name__}, slices={self.slices})"

    def __getattr__(self, name: str) -> Any:
        """The library's function if it does not round; `AttributeError` if there is no replacement for it."""
        if name not in EXACT:
            raise AttributeError(
                f"Reproducible arithmetic has no {name!r}: its bits would depend on the library. "
                "Write it with the operations that are there."
            )
        function = getattr(self.library.xp, name)

        def exact(*args: Any, **kwargs: Any) -> Any:
            if name in CREATION and self.library.device is not None:
                kwargs.setdefault("device", self.library.device)
            if name in ("where", "maximum", "minimum", "clip"):
                args = self._same_dtype(args)
            return self._wrapped(function(*map(_unwrapped, args), **kwargs))

        object.__setattr__(self, name, exact)
        return exact

    # ------------------------------------------------------------ in and out

    def _wrapped(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(map(self._wrapped, value))
        return self.wrap(value) if hasattr(value, "dtype") else value

    def wrap(self, value: Raw) -> Array:
        """A library's array, unchanged, as an array of this arithmetic."""
        return Array(value, self)

    def asarray(
        self, obj: Any, dtype: Any = None, device: Any = None, copy: bool | None = None
    ) -> Array:
        """An array of numbers, rounded to dtype; what is too small becomes zero."""
        lib = self.library
        value = lib.xp.asarray(unwrap(obj), dtype=dtype, copy=copy, device=device or lib.device)
        return self.wrap(lib.flush(value) if lib.is_float(value) else value)

    def full(self, shape: Any, fill_value: Any, dtype: Any = None, device: Any = None) -> Array:
        lib = self.library
        value = lib.xp.full(shape, unwrap(fill_value), dtype=dtype, device=device or lib.device)
        return self.wrap(lib.flush(value) if lib.is_float(value) else value)

    def full_like(self, x: Array, fill_value: Number, dtype: Any = None) -> Array:
        return self.full(x.shape, fill_value, dtype=dtype or x.dtype)

    def astype(self, x: Array, dtype: Any, *, copy: bool = True) -> Array:
        """x as dtype; rounded once from float64 to float32."""
        lib = self.library
        value = lib.xp.astype(x.value, dtype, copy=copy)
        return self.wrap(lib.flush(value) if lib.is_float(value) else value)

    def operand(self, other: Any, like: Array) -> Any:
        """The other operand for the library: Python numbers rounded to the array's dtype."""
        if isinstance(other, Array):
            return other.value
        if isinstance(other, float) or (isinstance(other, int) and self._is_float(like)):
            return rounded(other, like.dtype, self.library.float32)
        return other

    def _is_float(self, x: Array) -> bool:
        return self.library.is_float(x.value)

    def _same_dtype(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Python numbers as 0-d arrays of the other operands' floating dtype."""
        like = next((a for a in args[::-1] if isinstance(a, Array)), None)
        if like is None:
            return args
        return tuple(
            self.library.constant(rounded(a, like.dtype, self.library.float32), like.dtype)
            if isinstance(a, (int, float)) and not isinstance(a, bool)
            else a
            for a in args
        )

    # ------------------------------------------------------------ operations that round once

    def _binary(self, f: Callable[[Raw, Raw], Raw], a: Any, b: Any) -> Array:
        """f of two arrays, or of an array and a number: rounded once and flushed; integers unchanged."""
        lib = self.library
        like = a if isinstance(a, Array) else b
        x, y = self.operand(a, like), self.operand(b, like)
        if not lib.is_float(like.value):
            return self.wrap(f(x, y))
        if isinstance(a, Array) and isinstance(b, Array):
            if x.shape == y.shape:
                return self.wrap(lib.blocked(lambda x, y: lib.flush(f(x, y)), x, y))
            return self.wrap(lib.flush(f(x, y)))
        if isinstance(a, Array):
            return self.wrap(lib.blocked(lambda x: lib.flush(f(x, y)), x))
        return self.wrap(lib.blocked(lambda y: lib.flush(f(x, y)), y))

    def add(self, x1: Any, x2: Any) -> Array:
        return self._binary(lambda x, y: x + y, x1, x2)

    def subtract(self, x1: Any, x2: Any) -> Array:
        return self._binary(lambda x, y: x - y, x1, x2)

    def multiply(self, x1: Any, x2: Any) -> Array:
        return self._binary(lambda x, y: x * y, x1, x2)

    def square(self, x: Array) -> Array:
        return x * x

    def negative(self, x: Array) -> Array:
        value = -x.value
        return self.wrap(self.library.flush(value) if self._is_float(x) else value)

    def divide(self, a: Any, b: Any) -> Array:
        """a / b, correctly rounded."""
        lib = self.library
        like = a if isinstance(a, Array) else b
        x, y = (
            v if isinstance(p, Array) else lib.constant(v, like.dtype)
            for p, v in ((a, self.operand(a, like)), (b, self.operand(b, like)))
        )
        if x.shape == y.shape:
            return self.wrap(lib.blocked(self.rounded.divide, x, y))
        return self.wrap(self.rounded.divide(x, y))

    # ------------------------------------------------------------ elementwise functions

    def sqrt(self, x: Array) -> Array:
        """The square root, correctly rounded."""
        return self.wrap(self.rounded.sqrt(x.value))

    def exp(self, x: Array) -> Array:
        return self.wrap(self.barrier(self.functions.exp(x.value)))

    def expm1(self, x: Array) -> Array:
        return self.wrap(self.barrier(self.functions.expm1(x.value)))

    def log(self, x: Array) -> Array:
        return self.wrap(self.barrier(self.functions.log(x.value)))

    def log1p(self, x: Array) -> Array:
        return self.wrap(self.barrier(self.functions.log1p(x.value)))

    def tanh(self, x: Array) -> Array:
        return self.wrap(self.barrier(self.functions.tanh(x.value)))

    def logistic(self, x: Array) -> Array:
        """1 / (1 + exp(-x))."""
        return self.wrap(self.barrier(self.functions.logistic(x.value)))

    def softplus(self, x: Array) -> Array:
        """log(1 + exp x)."""
        return self.wrap(self.barrier(self.functions.softplus(x.value)))

    def erf(self, x: Array) -> Array:
        """The error function."""
        return self.wrap(self.barrier(self.functions.erf(x.value)))

    def cos(self, x: Array) -> Array:
        return self.wrap(self.barrier(self.functions.cos(x.value)))

    def sin(self, x: Array) -> Array:
        return self.wrap(self.barrier(self.functions.sin(x.value)))

    def elementwise(self, f: Callable[..., tuple[Array, ...]], *arrays: Array) -> tuple[Array, ...]:
        """f(*arrays) for an elementwise f of arrays of one shape, in blocks that fit a cache."""

        def raw(*values: Raw) -> tuple[Raw, ...]:
            return tuple(map(unwrap, f(*map(self.wrap, values))))

        return tuple(map(self.wrap, self.library.blocked(raw, *map(unwrap, arrays))))

    # ------------------------------------------------------------ sums and products

    def sum(self, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
        """The sum, independent of the order: exact before its single rounding."""
        if not self._is_float(x):
            value = self.library.xp.sum(x.value, axis=axis, keepdims=keepdims)
            return self.wrap(value)
        return self.wrap(self.sums.sum(x.value, axis, keepdims))

    def mean(self, x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
        total = self.sum(x, axis, keepdims)
        return total / (x.size // max(1, total.size))

    def matmul(self, x1: Array, x2: Array) -> Array:
        """x1 (n, k) @ x2 (k, m), or of stacks of these."""
        return self.wrap(self.products.matmul(x1.value, x2.value))

    def linear(self, x: Array, w: Array, b: Array | None) -> tuple[Array, Residual]:
        """x @ w + b, and what its vjp needs."""
        y, residual = self.products.linear(x.value, w.value, unwrap(b))
        return self.wrap(self.barrier(y)), residual

    def linear_vjp(
        self, residual: Residual, dy: Array, need_dx: bool
    ) -> tuple[Array | None, Array, Array | None]:
        """Gradients with respect to x (None unless needed), w and b (None without bias)."""
        dx, dw, db = self.products.linear_vjp(residual, dy.value, need_dx)
        return (
            None if dx is None else self.wrap(self.barrier(dx)),
            self.wrap(dw),
            None if db is None else self.wrap(db),
        )

    def linear_input_gradient(self, residual: Residual, dy: Array) -> Array:
        """The gradient with respect to x only."""
        return self.wrap(self.barrier(self.products.input_gradient(residual, dy.value)))

    def linear_batch_gradient(
        self, parts: list[tuple[Residual, Array]]
    ) -> tuple[Array, Array | None]:
        """Gradients with respect to w and b of a batch in parts (residual, dy), bit for bit as for the whole."""
        dw, db = self.products.batch_gradient([(residual.x, dy.value) for residual, dy in parts])
        return self.wrap(dw), self.wrap(db) if parts[0][0].bias else None


def _unwrapped(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)(map(_unwrapped, x))
    return unwrap(x)
