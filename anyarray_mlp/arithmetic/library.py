"""What reproducible arithmetic needs from an array library, and a few operations built on it.

`Library` wraps a namespace of the Array API standard. Its methods take and return the library's own
arrays. `typing.ReproducibleLibrary` names what the library must provide; docs/reproducible.md lists what
must be true of it, and `probe` checks that.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from anyarray_mlp.arithmetic.plain import Seam
from anyarray_mlp.typing import Array, ReproducibleLibrary

#: What a function gives that is applied part by part: an array, or a tuple of arrays.
Result = TypeVar("Result")

# Results smaller than this are zero. Both bounds are a little above the range where libraries differ in keeping or
# flushing subnormal numbers, so rounding does not affect the decision.
SMALLEST_FLOAT32 = 2.0**-125
SMALLEST_FLOAT64 = 2.0**-960

# The largest numbers below them.
BELOW_FLOAT32 = SMALLEST_FLOAT32 * (1.0 - 2.0**-24)
BELOW_FLOAT64 = SMALLEST_FLOAT64 * (1.0 - 2.0**-53)

# Scales are powers of two from 2**-600 to 2**600.
HIGHEST_EXPONENT = 600

#: The bits of a float64: its fraction, and its exponent, which counts from 2**-1023 on.
FRACTION_BITS = 52
FRACTION = 2**FRACTION_BITS - 1
EXPONENT = 0x7FF << FRACTION_BITS
BIAS = 1023


def bits_for(count: int) -> int:
    """How many bits a sum of `count` numbers may grow by."""
    return (count - 1).bit_length()


class Library:
    """The operations of an array library that reproducible arithmetic is built from.

    xp: the namespace. device: where constants are placed. compiled: whether a compiler sees several
    operations at once, so that products must be kept from being contracted with the addition
    they feed. block: number of array elements to process at a time (0: all at once), for libraries that run one
    operation after another through memory. shrink: shrink(y, bound) is y with zero in place of entries of at most
    `bound` in magnitude, if the library does that in one pass. view: view(x, dtype) are the bits of x read as another
    dtype of the same size, if the library can; powers of two and exponents are then read and made as integers,
    in a quarter of the operations.
    """

    def __init__(
        self,
        xp: Any,
        device: Any = None,
        *,
        compiled: bool = False,
        block: int = 0,
        shrink: Callable[[Array, float], Array] | None = None,
        view: Callable[[Array, Any], Array] | None = None,
    ) -> None:
        self.xp: ReproducibleLibrary = xp
        self.device = device
        self.compiled, self.block, self.shrink, self.view = compiled, block, shrink, view
        self.float32, self.float64, self.int64 = xp.float32, xp.float64, xp.int64
        self.zero32, self.zero64 = self.constant(0.0, xp.float32), self.constant(0.0)
        self.nan = self.constant(math.nan)
        self.powers = self.table([2.0**e for e in range(-1022, 1024)])

    def through(self, seam: Seam) -> Library:
        """The same operations, whose calls of the library go through a seam."""
        twin = copy.copy(self)
        plain: Any = self.xp
        twin.xp = plain.through(seam)
        for name in ("shrink", "view"):
            if getattr(self, name) is not None:
                setattr(twin, name, seam.function(name, getattr(self, name)))
        return twin

    # ------------------------------------------------------------ making arrays

    def table(self, values: Sequence[float]) -> Array:
        """A float64 table on the device."""
        return self.xp.asarray(list(values), dtype=self.float64, device=self.device)

    def constant(self, value: float, dtype: Any = None) -> Array:
        return self.xp.asarray(value, dtype=dtype or self.float64, device=self.device)

    def is_float(self, x: Array) -> bool:
        return bool(x.dtype == self.float32 or x.dtype == self.float64)

    # ------------------------------------------------------------ rounding

    def up(self, x: Array) -> Array:
        return self.xp.astype(x, self.float64, copy=False)

    def down(self, y: Array, dtype: Any) -> Array:
        """Round float64 once to `dtype`; what is too small becomes zero."""
        return self.flush(self.xp.astype(y, dtype, copy=False))

    def flush(self, y: Array) -> Array:
        """Zero in place of subnormal numbers and of -0."""
        xp = self.xp
        if self.shrink is not None:
            return self.shrink(y, BELOW_FLOAT32 if y.dtype == self.float32 else BELOW_FLOAT64)
        if y.dtype == self.float32:
            return xp.where(xp.abs(y) < SMALLEST_FLOAT32, self.zero32, y)
        return xp.where(xp.abs(y) < SMALLEST_FLOAT64, self.zero64, y)

    def fence(self, product: Array) -> Array:
        """The product, rounded: a compiler cannot contract it with the addition it feeds.

        A contraction fuses an addition with the product that is its operand; here the operand is a selection that
        depends on the product's size. Without a compiler, nothing is done: the sums that fenced products enter do not
        change with a term below 2**-960.
        """
        return self.flush(product) if self.compiled else product

    # ------------------------------------------------------------ powers of two

    def pick(self, table: Array, index: Array) -> Array:
        """table[index] for an index of any shape."""
        xp = self.xp
        if index.ndim == 1:
            return xp.take(table, index, axis=0)
        return xp.reshape(xp.take(table, xp.reshape(index, (-1,)), axis=0), index.shape)

    def clip(self, x: Array, low: float, high: float) -> Array:
        """x clipped to [low, high]; NaN becomes a bound, so that it never becomes an index."""
        xp = self.xp
        x = xp.where(x < high, x, xp.full_like(x, high))
        return xp.where(x > low, x, xp.full_like(x, low))

    def power_of_two(self, exponent: Array) -> Array:
        """2**exponent for integer-valued float64 from -1022 to 1023."""
        if self.view is not None:
            n: Any = self.xp.astype(exponent + float(BIAS), self.int64)
            return self.view(n << FRACTION_BITS, self.float64)
        return self.pick(self.powers, self.xp.astype(exponent + 1022.0, self.int64))

    def scale(self, largest: Array, bits: int) -> tuple[Array, Array]:
        """(s, 1/s) with s = 2**bits / (the smallest power of two at least `largest`).

        A number of magnitude at most `largest`, times s, is at most 2**bits. If `largest` is not finite, or above
        2**600, 1/s is NaN. The library's log2 only proposes an exponent.
        """
        xp = self.xp
        m = self.up(largest)
        if self.view is not None:
            return self._scale_by_bits(self.view, m, bits)
        usable = (m >= 2.0**-HIGHEST_EXPONENT) & (m <= 2.0**HIGHEST_EXPONENT)
        safe = xp.where(usable, m, xp.full_like(m, 2.0**-HIGHEST_EXPONENT))
        e = xp.floor(xp.log2(safe))
        power = self.power_of_two(e)
        up = xp.where(power < safe, xp.full_like(e, 2.0), xp.ones_like(e))
        up = xp.where(power * 2.0 < safe, xp.full_like(e, 4.0), up)
        power = power * xp.where(power * 0.5 >= safe, xp.full_like(e, 0.5), up)
        unscale = xp.where(m <= 2.0**HIGHEST_EXPONENT, power, self.nan)
        return 2.0**bits / power, unscale * 2.0**-bits

    def _scale_by_bits(
        self, view: Callable[[Array, Any], Array], m: Array, bits: int
    ) -> tuple[Array, Array]:
        """`scale` of float64: a power of two is its exponent, and products of powers are sums of exponents."""
        xp = self.xp
        power = (view(m, self.int64) + FRACTION) & EXPONENT
        lowest, highest = (
            (BIAS + e) << FRACTION_BITS for e in (-HIGHEST_EXPONENT, HIGHEST_EXPONENT)
        )
        power = xp.minimum(
            xp.maximum(power, self.constant(lowest, self.int64)),
            self.constant(highest, self.int64),
        )
        inverse = power - (bits << FRACTION_BITS)
        s = view((2 * BIAS << FRACTION_BITS) - inverse, self.float64)
        unscale = view(inverse, self.float64)
        return s, xp.where(m <= 2.0**HIGHEST_EXPONENT, unscale, self.nan)

    def mantissa(self, x: Array) -> tuple[Array, Array]:
        """(m, e), x = m 2**e with 1 <= m < 2, for normal positive float64; e as float64.

        The library's log2 only proposes e; the mantissa it leads to decides.
        """
        xp = self.xp
        if self.view is not None:
            n = self.view(x, self.int64)
            m = self.view((n & FRACTION) | (BIAS << FRACTION_BITS), self.float64)
            return m, xp.astype(n >> FRACTION_BITS, self.float64) - float(BIAS)
        e = xp.floor(xp.log2(x))
        e = xp.where(e < 1023.0, e, xp.full_like(e, 1023.0))
        m = (x * self.power_of_two(1.0 - e)) * 0.5
        over, under = m >= 2.0, m < 1.0
        m = xp.where(over, m * 0.5, xp.where(under, m * 2.0, m))
        return m, xp.where(over, e + 1.0, xp.where(under, e - 1.0, e))

    # ------------------------------------------------------------ blocks that fit a cache

    def blocked(self, f: Callable[..., Result], *arrays: Array) -> Result:
        """f(*arrays) for an elementwise f of arrays of one shape, block by block."""
        xp, first = self.xp, arrays[0]
        size = math.prod(first.shape)
        if not self.block or size <= self.block:
            return f(*arrays)
        flat = [xp.reshape(a, (-1,)) for a in arrays]
        out: list[Any] = []
        single = False
        for start in range(0, size, self.block):
            part = slice(start, min(start + self.block, size))
            results: Any = f(*(a[part] for a in flat))
            if not isinstance(results, tuple):
                single, results = True, (results,)
            if not out:
                out = [xp.empty((size,), dtype=r.dtype, device=self.device) for r in results]
            for whole, r in zip(out, results, strict=True):
                whole[part] = r
        shaped = [xp.reshape(a, first.shape) for a in out]
        return cast(Result, shaped[0] if single else tuple(shaped))

    def by_rows(self, f: Callable[..., Result], *arrays: Array, join: str = "rows") -> Result:
        """f over blocks of rows of arrays (m, n); columns (m, 1) are split too, rows (1, n) are not.

        Of stacks (k, m, n) it is over blocks of their members.

        f returns a tuple of arrays. join="rows": they are rows of the results; "max" and "sum": they are combined by
        `maximum` or by addition (exact sums only).
        """
        xp, rows = self.xp, arrays[0].shape[0]
        width = max(math.prod(a.shape[1:]) for a in arrays)
        step = max(1, self.block // max(1, width))
        if not self.block or rows <= 2 * step:
            return f(*arrays)
        out: list[Any] = []
        for start in range(0, rows, step):
            part = slice(start, min(start + step, rows))
            results: Any = f(*(a[part, ...] if a.shape[0] == rows else a for a in arrays))
            if join == "max":
                out = [xp.maximum(a, r) for a, r in zip(out or results, results, strict=True)]
            elif join == "sum":
                out = [a + r for a, r in zip(out, results, strict=True)] if out else [*results]
            else:
                if not out:
                    out = [
                        xp.empty((rows, *r.shape[1:]), dtype=r.dtype, device=self.device)
                        for r in results
                    ]
                for whole, r in zip(out, results, strict=True):
                    whole[part, ...] = r
        return cast(Result, tuple(out))
