"""exp, log, powers and cosines of Python floats, with the same bits on every machine.

libm differs between systems in the last place. These functions use only + - * / and integer powers of two, one
operation at a time, whose results IEEE 754 and Python define. So learning rates computed with them are the same
everywhere. Errors stay within 4 ulp.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import tables

LN2_HIGH, LN2_LOW = tables.split_ln2(32, 84)
PI = tables.to_float(tables.pi())
SQRT_HALF = 0.7071067811865476


def exp(x: float) -> float:
    """e^x = 2^k e^r with |r| <= log(2)/2, by the series of e^r."""
    if not -745.0 < x < 709.78:
        return 0.0 if x < 0 else math.inf
    k = round(x / (LN2_HIGH + LN2_LOW))
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    y = 1.0
    for n in range(17, 0, -1):
        y = 1.0 + r * y / n
    return math.ldexp(y, k)


def log(x: float) -> float:
    """log x for positive x = m 2^e: log m = 2 atanh((m - 1) / (m + 1)), by its series."""
    m, e = math.frexp(x)
    if m < SQRT_HALF:
        m, e = m * 2.0, e - 1
    f = (m - 1.0) / (m + 1.0)
    square, series = f * f, 0.0
    for n in range(25, 1, -2):
        series = (series + 1.0 / n) * square
    return e * LN2_HIGH + (2.0 * f * (1.0 + series) + e * LN2_LOW)


def power(base: float, exponent: float) -> float:
    """base^exponent for base >= 0: by products if the exponent is an integer, else exp(exponent log base)."""
    if exponent == int(exponent):
        whole = integer_power(base, abs(int(exponent)))
        return whole if exponent >= 0 else 1.0 / whole
    return exp(exponent * log(base)) if base > 0 else 0.0


def integer_power(base: float, exponent: int) -> float:
    """base^exponent by repeated squaring, exponent >= 0."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


#: Fewer powers than this are faster one by one.
FEW_POWERS = 32


def integer_powers(base: float, exponents: NDArray[np.int64]) -> NDArray[np.float64]:
    """`integer_power` of each exponent (n,), by the same products."""
    if len(exponents) < FEW_POWERS:
        return np.array([integer_power(base, exponent) for exponent in exponents.tolist()])
    results = np.ones(exponents.shape)
    while exponents.any():
        results = np.where(exponents & 1, results * base, results)
        base *= base
        exponents = exponents >> 1
    return results


def cos_pi(x: float) -> float:
    """cos(pi x) for 0 <= x <= 1."""
    if x > 0.5:
        return -cos_pi(1.0 - x)
    if x > 0.25:
        t = PI * (0.5 - x)
        return t * _alternating(t * t, 1)
    t = PI * x
    return _alternating(t * t, 0)


def _alternating(square: float, first: int) -> float:
    """1 - s / ((f + 1)(f + 2)) (1 - s / ((f + 3)(f + 4)) (...)): cos for f = 0, sin(t) / t for f = 1."""
    y = 1.0
    for n in range(first + 18, first, -2):
        y = 1.0 - square * y / (n * (n - 1))
    return y
