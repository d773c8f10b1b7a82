"""exp, log, tanh and related functions, with the same bits on every array library.

The functions that networks use most have two kernels each: a short one for float32 (computed in float64; every
product that feeds an addition is exact, so contraction to a fused multiply-add changes nothing) and a long one for
float64 (products are fenced, see `Library.fence`). The others have only the float64 kernel, and float32 rounds its
result. Tables at dyadic nodes come from `tables`; of the library, only + - * / round, comparisons, `where` and `take`
are used, and nothing else whose rounding could differ.

The methods take and return the library's arrays; float32 in, float32 out, and the same for float64.
Errors measured against mpmath: `benchmarks/reproducible_elementwise.py`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

from anyarray_mlp.arithmetic import tables
from anyarray_mlp.arithmetic.library import SMALLEST_FLOAT32, SMALLEST_FLOAT64, Library
from anyarray_mlp.typing import Array

# float32 kernels
EXP_LOW, EXP_HIGH = -88, 89
TANH_END = 9.125  # tanh rounds to 1 in float32 from 9.02
ERF_END = 4.0  # erf from 3.92
TAYLOR_BITS = 28
# float64 kernels
TAYLOR_DEGREE = 9
LN2_BITS = 42
#: Of the series of cos and sin, from the highest term down, with its sign.
EVEN_FACTORIALS = tuple((-1.0) ** k * math.factorial(2 * k) for k in range(8, 0, -1))
ODD_FACTORIALS = tuple((-1.0) ** k * math.factorial(2 * k + 1) for k in range(8, 0, -1))


class Elementary:
    """Elementwise functions over a `Library`."""

    def __init__(self, library: Library) -> None:
        self.library = lib = library
        self.xp = library.xp
        self.exp_nodes = lib.table([v * 2.0**-26 for v in tables.exp_at_nodes(EXP_LOW, EXP_HIGH)])
        self.tanh_short = self._columns(tables.integer_columns(tables.tanh_nodes(), TAYLOR_BITS))
        self.erf_short = self._columns(tables.integer_columns(tables.erf_nodes(), TAYLOR_BITS))
        self.tanh_long = self._columns(tables.pair_columns(tables.tanh_nodes(), TAYLOR_DEGREE))
        self.erf_long = self._columns(tables.pair_columns(tables.erf_nodes(), TAYLOR_DEGREE))
        self.expm1_long = self._columns(tables.pair_columns(tables.expm1_nodes(), TAYLOR_DEGREE))
        self.logistic_long = self._columns(
            tables.pair_columns(tables.logistic_nodes(), TAYLOR_DEGREE)
        )
        self.root_high, self.root_low = self._columns(tables.powers_of_root())
        self.reciprocals = lib.table(tables.reciprocals())
        self.log_high, self.log_low = self._columns(tables.log_columns(LN2_BITS, 2 * LN2_BITS))
        self.ln2_high, self.ln2_low = tables.split_ln2(LN2_BITS, 2 * LN2_BITS)
        self.per_64th = tables.to_float(64 * tables.ONE * tables.ONE // tables.ln2())
        self.ln2_64th_high, self.ln2_64th_low = tables.split_ln2(42, 78, divisor=64)
        self.quarter_turn = tables.quarter_turn()
        self.per_quarter = tables.to_float(2 * tables.ONE * tables.ONE // tables.pi())

    def over(self, library: Library) -> Elementary:
        """The same functions, with these tables, over another view of the library."""
        twin = copy.copy(self)
        twin.library, twin.xp = library, library.xp
        return twin

    def _columns(self, columns: Sequence[Sequence[float]]) -> list[Array]:
        return [self.library.table(column) for column in columns]

    # ------------------------------------------------------------ the public functions

    def _by_dtype(
        self, short: Callable[[Array], Array] | None, long: Callable[[Array], Array], x: Array
    ) -> Array:
        """The kernel for x's dtype; NaN in, NaN out."""
        lib = self.library

        def kernel(x: Array) -> Array:
            f = short if short is not None and x.dtype == lib.float32 else long
            y = lib.down(f(lib.up(x)), x.dtype)
            return lib.xp.where(x == x, y, x)

        return lib.blocked(kernel, x)

    def exp(self, x: Array) -> Array:
        return self._by_dtype(self._exp_short, self._exp_long, x)

    def log(self, x: Array) -> Array:
        """log x; -inf at 0, NaN below 0."""
        return self._by_dtype(self._log_short, self._log_long, x)

    def tanh(self, x: Array) -> Array:
        return self._by_dtype(
            lambda x: self._odd_short(x, self.tanh_short, TANH_END),
            lambda x: self._odd_long(x, self.tanh_long, 20.0),
            x,
        )

    def erf(self, x: Array) -> Array:
        return self._by_dtype(
            lambda x: self._odd_short(x, self.erf_short, ERF_END),
            lambda x: self._odd_long(x, self.erf_long, 6.0),
            x,
        )

    def logistic(self, x: Array) -> Array:
        """1 / (1 + exp(-x))."""
        return self._by_dtype(self._logistic_short, self._logistic_long, x)

    def expm1(self, x: Array) -> Array:
        return self._by_dtype(None, self._expm1_long, x)

    def log1p(self, x: Array) -> Array:
        return self._by_dtype(None, self._log1p_long, x)

    def softplus(self, x: Array) -> Array:
        """log(1 + exp x)."""
        return self._by_dtype(None, self._softplus_long, x)

    def cos(self, x: Array) -> Array:
        """cos x, exact to an ulp for |x| up to a million; beyond, some value from -1 to 1, NaN at infinity."""
        return self._by_dtype(None, lambda x: self._wave(x, 0.0), x)

    def sin(self, x: Array) -> Array:
        """sin x, as `cos`: a quarter of a turn, or three, before it."""
        return self._by_dtype(None, lambda x: self._wave(x, 3.0), x)

    # ------------------------------------------------------------ float32: every product is exact

    def _node(self, x: Array) -> tuple[Array, Array]:
        """(N, r): x = N/64 + r without error, |r| <= 1/128."""
        n = self.xp.round(x * 64.0)
        return n, x - n * 0.015625

    def _index(self, n: Array) -> Array:
        return self.xp.astype(n, self.library.int64)

    def _exp_short(self, x: Array) -> Array:
        """exp of float32 values, in float64 to 2**-32: T[N] (1 + r + r^2/2 + r^3/6).

        Coefficients are integers over 2**26, r has at most 24 bits: the products are exact.
        """
        xp = self.xp
        n, r = self._node(self.library.clip(x, float(EXP_LOW), float(EXP_HIGH)))
        t = self.library.pick(self.exp_nodes, self._index(n - 64.0 * EXP_LOW))
        u = xp.round(r * 11184811.0 + 33554432.0)  # 2^26 (1/6, 1/2)
        w = xp.round(r * u + 67108864.0)  # 2^26
        return t * (r * w + 67108864.0)

    def _odd_short(self, x: Array, columns: list[Array], end: float) -> Array:
        """A bounded odd function: a cubic at the nearest node, coefficients over 2**28."""
        xp, pick = self.xp, self.library.pick
        n, r = self._node(self.library.clip(xp.abs(x), -1.0, end))
        index = self._index(n)
        c0, c1, c2, c3 = (pick(column, index) for column in columns)
        u = xp.round(r * c3 + c2)
        w = xp.round(r * u + c1)
        y = (r * w + c0) * 2.0**-TAYLOR_BITS
        return y * xp.sign(x)

    def _logistic_short(self, x: Array) -> Array:
        xp = self.xp
        e = self._exp_short(-xp.abs(x))
        d = 1.0 + xp.round(e * 2.0**50) * 2.0**-50  # the rounding keeps e's product out of this sum
        return xp.where(x < 0.0, e, xp.ones_like(e)) / d

    def _log_short(self, x: Array) -> Array:
        """e log 2 + L[N] + log1p(f), with f = m R[N] - 1 exact and a quintic in f for log1p.

        e log 2 + L is a sum of multiples of 2**-42 below 2**10: exact.
        """
        xp, lib = self.xp, self.library
        usable = (x >= SMALLEST_FLOAT32) & (x < math.inf)
        m, e = lib.mantissa(xp.where(usable, x, xp.ones_like(x)))
        n = self._index(xp.round(m * 64.0) - 64.0)
        f = m * lib.pick(self.reciprocals, n) - 1.0
        v = xp.round(f * 13421773.0 - 16777216.0)  # 2^26 (1/5, -1/4)
        v = xp.round(f * v + 22369621.0)  # 2^26 / 3
        v = xp.round(f * v - 33554432.0)
        v = xp.round(f * v + 67108864.0)
        whole = (e * self.ln2_high + lib.pick(self.log_high, n)) * 2.0**26
        return self._log_ends(x, usable, (whole + f * v) * 2.0**-26)

    def _log_ends(self, x: Array, usable: Array, y: Array) -> Array:
        """The values of log at 0, at infinity and below zero."""
        xp = self.xp
        nan, inf = xp.full_like(y, math.nan), xp.full_like(y, math.inf)
        ends = xp.where(x == math.inf, inf, xp.where(x < 0.0, nan, -inf))
        return xp.where(usable, y, xp.where(x == x, ends, nan))

    # ------------------------------------------------------------ float64: products are fenced

    def _polynomial(self, x: Array, *coefficients: Any) -> Array:
        """Horner's rule from the highest coefficient down, each step rounded twice."""
        y: Array = coefficients[0]
        for c in coefficients[1:]:
            y = self.library.fence(x * y) + c
        return y

    def _exp_terms(self, x: Array) -> tuple[Array, Array, Array]:
        """(e, high, low): exp x = (high + low) 2**e, low below 2**-7."""
        xp, lib = self.xp, self.library
        k = xp.round(x * self.per_64th)
        # k has at most 17 bits and each part of log(2)/64 at most 36: exact products
        r = (x - k * self.ln2_64th_high) - k * self.ln2_64th_low
        e = xp.floor(k * 0.015625)
        j = self._index(k - e * 64.0)
        tail = self._polynomial(r, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5)
        p = r + lib.fence(lib.fence(r * r) * tail)
        high = lib.pick(self.root_high, j)
        return e, high, lib.pick(self.root_low, j) + lib.fence(high * p)

    def _exp_long(self, x: Array) -> Array:
        e, high, low = self._exp_terms(self.library.clip(x, -700.0, 710.0))
        return ((high + low) * self.library.power_of_two(e - 1.0)) * 2.0

    def _expm1_long(self, x: Array) -> Array:
        xp, lib = self.xp, self.library
        near = self.library.clip(x, -1.0, 1.0)
        n, r = self._node(near)
        small = self._taylor(r, self._index(n + 64.0), self.expm1_long)
        e, high, low = self._exp_terms(self.library.clip(x, -700.0, 710.0))
        power = lib.power_of_two(e - 1.0)
        high, low = lib.fence((high * power) * 2.0), lib.fence((low * power) * 2.0)
        # low may matter if high is not large: keep what high - 1 loses
        whole = lib.fence(high - 1.0)
        lost = xp.where(high > 1.0, (high - whole) - 1.0, high - (whole + 1.0))
        lost = xp.where(xp.isfinite(whole), lost, xp.zeros_like(lost))
        return xp.where(xp.abs(x) < 1.0, small, whole + (lost + low))

    def _taylor(self, r: Array, index: Array, columns: list[Array]) -> Array:
        """c0 + c1 r + r^2 (c2 + r (c3 + ...)) at a node, c0 in two parts."""
        lib = self.library
        high, low, slope, *rest = (lib.pick(column, index) for column in columns)
        curve = lib.fence(lib.fence(r * r) * self._polynomial(r, *reversed(rest)))
        return high + (lib.fence(r * slope) + (curve + low))

    def _odd_long(self, x: Array, columns: list[Array], end: float) -> Array:
        xp = self.xp
        y = self.library.clip(xp.abs(x), -1.0, end)
        n = xp.round(y * 64.0)
        n = xp.where(
            n == 1.0, xp.zeros_like(n), n
        )  # c0 would not be larger than what is added to it
        y = self._taylor(y - n * 0.015625, self._index(n), columns)
        return y * xp.sign(x)

    def _logistic_long(self, x: Array) -> Array:
        """A table up to |x| = 8; beyond, with e = exp(-|x|), e - e^2 + e^3 - e^4 or 1 minus that."""
        xp, lib = self.xp, self.library
        n, r = self._node(self.library.clip(x, -8.0, 8.0))
        middle = self._taylor(r, self._index(n + 512.0), self.logistic_long)
        e = self._exp_long(-xp.abs(x))
        tail = e - lib.fence(e * lib.fence(e * self._polynomial(e, -1.0, 1.0, -1.0, 1.0)))
        ends = xp.where(x < 0.0, tail, 1.0 - tail)
        return xp.where(xp.abs(x) < 8.0, middle, ends)

    def _wave(self, x: Array, quarters: float) -> Array:
        """cos(x + quarters pi / 2): with x = n pi / 2 + r, by the series of sin r or cos r, |r| at most pi / 4."""
        xp, lib = self.xp, self.library
        finite = xp.isfinite(x)
        x = xp.where(finite, x, xp.zeros_like(x))
        n = xp.round(x * self.per_quarter)
        first, second, *small = (lib.fence(n * part) for part in self.quarter_turn)
        high = x - first
        near = high - second
        rest = (((high - near) - second) - small[0]) - small[1]  # what near lacks
        r = self.library.clip(near + rest, -1.0, 1.0)  # for an n of too many bits
        lost = self.library.clip((near - r) + rest, -1e-9, 1e-9)
        square = lib.fence(r * r)
        even = self._polynomial(square, *(1 / f for f in EVEN_FACTORIALS))
        odd = self._polynomial(square, *(1 / f for f in ODD_FACTORIALS))
        cosine = 1.0 + lib.fence(square * even)
        sine = r + (lost + lib.fence(lib.fence(r * square) * odd))
        n = n + quarters
        turned = n - xp.floor(n * 0.25) * 4.0  # 0, 1, 2 or 3
        y = xp.where(xp.abs(turned - 2.0) == 1.0, sine, cosine)
        y = xp.where(xp.abs(turned - 1.5) < 1.0, -y, y)
        return xp.where(finite, y, xp.full_like(y, math.nan))

    def _softplus_long(self, x: Array) -> Array:
        """max(x, 0) + log1p(exp(-|x|)), the exponential in two parts."""
        xp, lib = self.xp, self.library
        e, high, low = self._exp_terms(self.library.clip(-xp.abs(x), -700.0, 0.0))
        power = lib.power_of_two(e)
        value = lib.fence(high + low)
        rest = lib.fence(((high - value) + low) * power)
        tail = self._log1p_long(lib.fence(value * power), rest)
        return xp.where(x > 0.0, x, xp.zeros_like(x)) + lib.fence(tail)

    def _log_terms(self, x: Array, correction: Array | None) -> Array:
        """log(x + correction) for normal positive x and a correction below x's last bit."""
        xp, lib = self.xp, self.library
        m, e = lib.mantissa(x)
        n = self._index(xp.round(m * 64.0) - 64.0)
        reciprocal = lib.pick(self.reciprocals, n)
        upper = xp.round(m * 2.0**26) * 2.0**-26
        f = (upper * reciprocal - 1.0) + (m - upper) * reciprocal
        if correction is not None:
            shift = (lib.power_of_two(1.0 - e)) * 0.5
            f = f + lib.fence(lib.fence(correction * reciprocal) * shift)
        high = e * self.ln2_high + lib.pick(self.log_high, n)
        low = e * self.ln2_low + lib.pick(self.log_low, n)
        total = lib.fence(high + f)
        lost = f - (total - high)
        tail = self._polynomial(f, 1 / 9, -1 / 8, 1 / 7, -1 / 6, 1 / 5, -1 / 4, 1 / 3, -1 / 2)
        return total + (lost + (low + lib.fence(lib.fence(f * f) * tail)))

    def _log_long(self, x: Array) -> Array:
        xp = self.xp
        usable = (x >= SMALLEST_FLOAT64) & (x < math.inf)
        y = self._log_terms(xp.where(usable, x, xp.ones_like(x)), None)
        return self._log_ends(x, usable, y)

    def _log1p_long(self, x: Array, rest: Array | None = None) -> Array:
        """log(1 + x + rest), rest below x's last bit."""
        xp, lib = self.xp, self.library
        usable = (x > -1.0) & (x < math.inf)
        safe = xp.where(usable, x, xp.zeros_like(x))
        one = xp.ones_like(x)
        whole = lib.fence(one + safe)
        lost = xp.where(xp.abs(safe) < 1.0, safe - (whole - one), one - (whole - safe))
        lost = lost if rest is None else lost + rest
        return self._log_ends(x + one, usable, self._log_terms(whole, lost))
