"""Division and square root, correctly rounded, of a library's own that are off by an ulp or two.

float32 values are divided in float64, where any faithful result rounds correctly; float64 results are corrected by
their exact remainders, whole numbers whose products are exact. The methods take and return the library's arrays.
"""

from __future__ import annotations

import math

from anyarray_mlp.arithmetic.library import Library
from anyarray_mlp.typing import Array


class CorrectlyRounded:
    """Division and square root over a `Library`."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.xp = library.xp

    def divide(self, a: Array, b: Array) -> Array:
        """a / b, correctly rounded, if the library's quotient is within 2 ulp.

        float32: the float64 quotient of float32 values is never near the middle between two float32
        numbers, so any faithful quotient rounds correctly. A compiler that knows this too would divide in
        float32, which GPUs do with an error of 2 ulp; the fence hides from it where the quotient goes. float64: the
        library's quotient is corrected by its exact remainder.
        """
        lib = self.library
        if a.dtype == lib.float32:
            return lib.down(lib.fence(lib.up(a) / lib.up(b)), lib.float32)
        return lib.flush(self._divide_long(a, b))

    def _divide_long(self, a: Array, b: Array) -> Array:
        """Whole-number division of mantissas: Q = round(A 2^52 / B), every product exact."""
        xp, lib = self.xp, self.library
        usable = xp.isfinite(a) & xp.isfinite(b) & (a != 0.0) & (b != 0.0)
        ma, ea = lib.mantissa(xp.where(usable, xp.abs(a), xp.ones_like(a + b)))
        mb, eb = lib.mantissa(xp.where(usable, xp.abs(b), xp.ones_like(a + b)))
        less = ma < mb
        ma, e = xp.where(less, ma * 2.0, ma), xp.where(less, ea - eb - 1.0, ea - eb)
        dividend, divisor = ma * 2.0**52, mb * 2.0**52
        inverse = 1.0 / mb
        q = xp.round((ma * inverse) * 2.0**52)
        q_high, d_high = xp.round(q * 2.0**-27), xp.round(divisor * 2.0**-27)
        q_low, d_low = q - q_high * 2.0**27, divisor - d_high * 2.0**27
        # remainder of A 2^52 by q, kept as t 2^27 - q_low d_low
        t = dividend * 2.0**25 - (q_high * d_high) * 2.0**27
        t = t - (q_high * d_low + q_low * d_high)
        below = q_low * d_low
        step = xp.round(((t * 2.0**27 - below) * inverse) * 2.0**-52)
        # step times the whole divisor would have more bits than a float64
        rest = (t - step * d_high) * 2.0**27 - (below + step * d_low)
        q = q + step
        q = xp.where(rest * 2.0 > divisor, q + 1.0, xp.where(rest * 2.0 < -divisor, q - 1.0, q))
        e = lib.clip(e, -1000.0, 1024.0)
        y = ((q * 2.0**-52) * lib.power_of_two(e - 1.0)) * 2.0
        y = xp.where((a < 0.0) != (b < 0.0), -y, y)
        return xp.where(usable, y, self._quotient_ends(a, b))

    def _quotient_ends(self, a: Array, b: Array) -> Array:
        """Quotients with zeros, infinities and NaN as in IEEE 754, but without -0."""
        xp = self.xp
        sign = xp.where((a < 0.0) != (b < 0.0), -xp.ones_like(a + b), xp.ones_like(a + b))
        infinite, nan = sign * math.inf, xp.full_like(sign, math.nan)
        y = xp.where(xp.isfinite(a), xp.zeros_like(sign), infinite)
        y = xp.where((b == 0.0) & (a != 0.0), infinite, y)
        undefined = ((a == 0.0) & (b == 0.0)) | (~xp.isfinite(a) & ~xp.isfinite(b))
        return xp.where(undefined | (a != a) | (b != b), nan, y)

    def sqrt(self, x: Array) -> Array:
        """The square root, correctly rounded, if the library's root is within 2 ulp."""
        lib, xp = self.library, self.xp

        def kernel(x: Array) -> Array:
            safe = xp.where(x > 0.0, x, xp.zeros_like(x))
            if x.dtype == lib.float32:
                y = lib.down(lib.fence(xp.sqrt(lib.up(safe))), lib.float32)
            else:
                y = lib.flush(self._sqrt_long(safe))
            # Not x >= 0: XLA evaluates |NaN| >= 0 as true.
            return xp.where((x < 0.0) | (x != x), xp.full_like(x, math.nan), y)

        return lib.blocked(kernel, x)

    def _sqrt_long(self, x: Array) -> Array:
        """x = m 4**h, 1 <= m < 4: the integer nearest to sqrt(m) 2^52, found by its remainder."""
        xp, lib = self.xp, self.library
        usable = (x > 0.0) & (x < math.inf)
        m, e = lib.mantissa(xp.where(usable, x, xp.ones_like(x)))
        half = xp.floor(e * 0.5)
        m = xp.where(e - half * 2.0 == 1.0, m * 2.0, m)
        root = xp.sqrt(m)
        s = xp.round(root * 2.0**52)
        high = xp.round(s * 2.0**-27)
        low = s - high * 2.0**27
        # m 2^104 - s^2 = t 2^27 - low^2
        t = (m * 2.0**77 - (high * high) * 2.0**27) - (high * low) * 2.0
        below = low * low
        step = xp.round(((t * 2.0**27 - below) / root) * 2.0**-53)
        # (s + d)^2 = s^2 + 2 d s + d^2
        rest = (t * 2.0**27 - step * s * 2.0) - (below + step * step)
        s = s + step
        s = xp.where(rest > s, s + 1.0, xp.where(rest < 1.0 - s, s - 1.0, s))
        y = (s * 2.0**-52) * lib.power_of_two(half)
        return xp.where(usable, y, x)
