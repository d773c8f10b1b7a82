"""The constants of reproducible arithmetic, computed from integers only.

Every value is computed in fixed point with Python's integers (220 bits below the point) and then
rounded once to float64, so the tables are the same on every machine: no libm is involved.

A *dyadic Taylor table* holds, for each node N/64, the Taylor coefficients of a function there. The
distance of an argument from its nearest node is then computed without error, and a short
polynomial does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

NODES_PER_UNIT = 64
FRACTION_BITS = 220
ONE = 1 << FRACTION_BITS
SERIES_TERMS = 32

Row = list[float]
Series = list[int]
Expansion = Callable[[list[int], int], list[Series]]


def to_float(value: int) -> float:
    """The float64 nearest to a fixed-point number: Python's integer division rounds correctly."""
    return value / ONE


def to_pair(value: int) -> tuple[float, float]:
    """A fixed-point number as the sum of two float64, the second far below the first."""
    high = to_float(value)
    numerator, denominator = high.as_integer_ratio()
    return high, to_float(value - numerator * (ONE // denominator))


def on_grid(value: int, bits: int) -> int:
    """The number rounded to a multiple of 2**-bits."""
    step = 1 << (FRACTION_BITS - bits)
    return (value + step // 2) // step * step


def times(a: int, b: int) -> int:
    """The product of two fixed-point numbers."""
    return (a * b) >> FRACTION_BITS


@lru_cache(maxsize=1)
def ln2() -> int:
    """log 2 = sum of 1 / (k 2^k)."""
    return sum((ONE >> k) // k for k in range(1, FRACTION_BITS + 8))


def log_of_ratio(p: int, q: int) -> int:
    """log(p / q) for p >= q, by 2 atanh((p - q) / (p + q))."""
    z = ((p - q) * ONE) // (p + q)
    square, power, total, k = times(z, z), z, 0, 1
    while power:
        total += power // k
        power, k = times(power, square), k + 2
    return 2 * total


def exp_of_small(x: int) -> int:
    """exp of a fixed-point number of magnitude at most 1, by its series."""
    term, total, k = ONE, ONE, 1
    while term not in (0, -1):
        term = times(term, x) // k
        total, k = total + term, k + 1
    return total


@lru_cache(maxsize=1)
def pi() -> int:
    """Machin's formula, 16 atan(1/5) - 4 atan(1/239)."""

    def atan_of_reciprocal(n: int) -> int:
        power, total, k = ONE // n, 0, 1
        while power:
            total += power // k if k % 4 == 1 else -(power // k)
            power, k = power // (n * n), k + 2
        return total

    return 16 * atan_of_reciprocal(5) - 4 * atan_of_reciprocal(239)


# ---------------------------------------------------------------- functions by their differential equations


def tanh_series(state: list[int], node: int) -> list[Series]:
    """t' = 1 - t^2."""
    c = [state[0]]
    for k in range(SERIES_TERMS):
        square = sum(c[i] * c[k - i] for i in range(k + 1)) >> FRACTION_BITS
        c.append(((ONE if k == 0 else 0) - square) // (k + 1))
    return [c]


def logistic_series(state: list[int], node: int) -> list[Series]:
    """s' = s - s^2."""
    c = [state[0]]
    for k in range(SERIES_TERMS):
        square = sum(c[i] * c[k - i] for i in range(k + 1)) >> FRACTION_BITS
        c.append((c[k] - square) // (k + 1))
    return [c]


def erf_series(state: list[int], node: int) -> list[Series]:
    """f' = g, g' = -2 x g; the state is (erf x, its derivative)."""
    a = node * (ONE // NODES_PER_UNIT)
    g = [state[1]]
    for k in range(SERIES_TERMS):
        before = g[k - 1] if k else 0
        g.append(-2 * (times(a, g[k]) + before) // (k + 1))
    f = [state[0], *(g[k] // (k + 1) for k in range(SERIES_TERMS))]
    return [f, g]


def expm1_series(state: list[int], node: int) -> list[Series]:
    """f' = f + 1."""
    c = [state[0]]
    for k in range(SERIES_TERMS):
        c.append((c[k] + (ONE if k == 0 else 0)) // (k + 1))
    return [c]


def erf_slope_at_zero() -> int:
    """2 / sqrt(pi), in fixed point."""
    return 2 * ONE * ONE // math.isqrt(pi() * ONE)


def taylor_nodes(
    series: Expansion,
    start: list[int],
    last: int,
    direction: int = 1,
) -> list[Series]:
    """Taylor coefficients of a function at 0, 1/64, ... last/64 (or the same below zero).

    `series(state, node)` expands each of the state's functions around the node; the state at the next node is the sum
    of the expansion there.
    """
    step = direction * (ONE // NODES_PER_UNIT)
    state, rows = start, []
    for j in range(last + 1):
        expansions = series(state, direction * j)
        rows.append(expansions[0])
        state = []
        for coefficients in expansions:
            total = 0
            for c in reversed(coefficients):
                total = times(total, step) + c
            state.append(total)
    return rows


def pair_columns(rows: list[Series], degree: int) -> list[Row]:
    """Columns for float64 work: c0 as a high and a low part, then c1 ... c_degree."""
    pairs = [to_pair(row[0]) for row in rows]
    columns = [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
    return columns + [[to_float(row[k]) for row in rows] for k in range(1, degree + 1)]


def integer_columns(rows: list[Series], bits: int) -> list[Row]:
    """Columns for float32 work, times 2**bits: c0 in float64, c1 ... c3 rounded to integers."""
    return [
        [to_float(row[0] << bits) for row in rows],
        *([to_float(on_grid(row[k] << bits, 0)) for row in rows] for k in (1, 2, 3)),
    ]


@lru_cache(maxsize=1)
def tanh_nodes() -> list[Series]:
    """Taylor coefficients of tanh at 0, 1/64, ... 20."""
    return taylor_nodes(tanh_series, [0], 20 * NODES_PER_UNIT)


@lru_cache(maxsize=1)
def erf_nodes() -> list[Series]:
    """Taylor coefficients of erf at 0, 1/64, ... 6."""
    return taylor_nodes(erf_series, [0, erf_slope_at_zero()], 6 * NODES_PER_UNIT)


def both_sides(series: Expansion, start: list[int], last: int) -> list[Series]:
    """Taylor coefficients at -last/64 ... last/64."""
    below = taylor_nodes(series, start, last, direction=-1)
    return below[:0:-1] + taylor_nodes(series, start, last)


@lru_cache(maxsize=1)
def expm1_nodes() -> list[Series]:
    """Nodes from -1 to 1."""
    return both_sides(expm1_series, [0], NODES_PER_UNIT)


@lru_cache(maxsize=1)
def logistic_nodes() -> list[Series]:
    """Nodes from -8 to 8."""
    return both_sides(logistic_series, [ONE // 2], 8 * NODES_PER_UNIT)


@lru_cache(maxsize=1)
def exp_at_nodes(lowest: int, highest: int) -> Row:
    """exp(N/64) for N/64 from lowest to highest, float64."""
    step = exp_of_small(ONE // NODES_PER_UNIT)
    inverse = exp_of_small(-ONE // NODES_PER_UNIT)
    # The tiny values need more bits below the binary point than the large ones have above it.
    guard = 160
    up, down = [ONE << guard], [ONE << guard]
    for _ in range(highest * NODES_PER_UNIT):
        up.append(times(up[-1], step))
    for _ in range(-lowest * NODES_PER_UNIT):
        down.append(times(down[-1], inverse))
    return [v / (ONE << guard) for v in down[:0:-1] + up]


@lru_cache(maxsize=1)
def powers_of_root() -> tuple[Row, Row]:
    """2^(j/64) for j = 0 ... 63, high and low parts."""
    root = 2 * ONE
    for _ in range(6):
        root = math.isqrt(root * ONE)
    value, pairs = ONE, []
    for _ in range(64):
        pairs.append(to_pair(value))
        value = times(value, root)
    return [p[0] for p in pairs], [p[1] for p in pairs]


def split_ln2(high_bits: int, low_bits: int, divisor: int = 1) -> tuple[float, float]:
    """log 2 / divisor as a multiple of 2**-high_bits plus a multiple of 2**-low_bits."""
    value = ln2() // divisor
    high = on_grid(value, high_bits)
    return to_float(high), to_float(on_grid(value - high, low_bits))


@lru_cache(maxsize=1)
def quarter_turn() -> tuple[float, ...]:
    """pi / 2 in four parts of 33 bits at most, the first a multiple of 2**-32: by whole numbers of up to 20 bits each
    is multiplied without error.
    """
    rest, parts = pi() // 2, []
    for bits in (32, 65, 98, 120):
        part = on_grid(rest, bits)
        parts.append(to_float(part))
        rest -= part
    return tuple(parts)


@lru_cache(maxsize=1)
def reciprocals() -> Row:
    """For m near N/64, N = 64 ... 128: about 64/N, with 9 bits below the point."""
    return [((2 * 64 * 512 + n) // (2 * n)) / 512 for n in range(64, 129)]


@lru_cache(maxsize=1)
def minus_log_of_reciprocals() -> list[int]:
    """-log of each reciprocal, so that log m = log(m R) + this; at m = 2 it is log 2."""
    return [log_of_ratio(512, round(r * 512)) for r in reciprocals()]


def log_columns(high_bits: int, low_bits: int) -> tuple[Row, Row]:
    """-log R in two parts, split like `split_ln2`, so that at m = 2 it cancels -log 2 exactly."""
    values = minus_log_of_reciprocals()
    highs = [on_grid(v, high_bits) for v in values]
    lows = [on_grid(v - h, low_bits) for v, h in zip(values, highs, strict=True)]
    return [to_float(h) for h in highs], [to_float(low) for low in lows]
