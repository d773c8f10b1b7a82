"""The constants of reproducible arithmetic against mpmath at 80 digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import pytest

from anyarray_mlp.arithmetic import tables
from anyarray_mlp.arithmetic.tables import FRACTION_BITS, ONE

#: Fixed-point numbers may be off by this much: far below the bits of any table.
NEAR = mpmath.mpf(2) ** -190


@pytest.fixture(autouse=True)
def many_digits() -> Any:
    with mpmath.workdps(80):
        yield


def value(fixed: int) -> Any:
    return mpmath.mpf(fixed) / ONE


def fixed(x: Any) -> int:
    return int(mpmath.nint(mpmath.mpf(x) * ONE))


def exact_sum(pair: tuple[float, float]) -> Any:
    return mpmath.mpf(pair[0]) + mpmath.mpf(pair[1])


def test_constants() -> None:
    assert abs(value(tables.ln2()) - mpmath.log(2)) < NEAR
    assert abs(value(tables.pi()) - mpmath.pi) < NEAR
    assert abs(value(tables.erf_slope_at_zero()) - 2 / mpmath.sqrt(mpmath.pi)) < NEAR
    for p, q in ((512, 509), (512, 257), (1, 1)):
        assert abs(value(tables.log_of_ratio(p, q)) - mpmath.log(mpmath.mpf(p) / q)) < NEAR
    for x in (0.0, 1 / 64, -1 / 64, 1.0, -1.0):
        assert abs(value(tables.exp_of_small(fixed(x))) - mpmath.exp(x)) < NEAR


def test_fixed_point() -> None:
    assert (ONE, FRACTION_BITS) == (1 << 220, 220)
    third = ONE // 3
    assert tables.to_float(third) == 1 / 3
    assert tables.to_float(-5 * ONE) == -5.0
    high, low = tables.to_pair(third)
    assert high == 1 / 3
    assert 0 < abs(low) < 2.0**-54
    assert abs(exact_sum((high, low)) - mpmath.mpf(1) / 3) < mpmath.mpf(2) ** -107
    assert tables.to_pair(0) == (0.0, 0.0)
    # On a grid, to the nearest, halves up.
    for x, bits, expected in (
        (0.3, 2, 0.25),
        (0.375, 2, 0.5),
        (0.374, 2, 0.25),
        (-0.3, 3, -0.25),
        (2.6, 0, 3.0),
    ):
        assert value(tables.on_grid(fixed(x), bits)) == expected
    assert value(tables.times(fixed(0.75), fixed(-2.5))) == -1.875


FUNCTIONS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], int, int]] = {
    "tanh": (tables.tanh_nodes, mpmath.tanh, 0, 20),
    "erf": (tables.erf_nodes, mpmath.erf, 0, 6),
    "expm1": (tables.expm1_nodes, mpmath.expm1, -1, 1),
    "logistic": (tables.logistic_nodes, lambda x: 1 / (1 + mpmath.exp(-x)), -8, 8),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_taylor_coefficients_at_the_nodes(name: str) -> None:
    make, function, first, last = FUNCTIONS[name]
    nodes = make()
    assert len(nodes) == (last - first) * 64 + 1
    for k in {0, 1, 63, 64, 65, 100, len(nodes) // 2, len(nodes) - 1} & set(range(len(nodes))):
        x = mpmath.mpf(first) + mpmath.mpf(k) / 64
        for found, expected in zip(nodes[k], mpmath.taylor(function, x, 9), strict=False):
            assert abs(value(found) - expected) < mpmath.mpf(2) ** -110, (k, expected)
    assert make() is nodes  # built once


def test_columns_of_a_table() -> None:
    third, rows = ONE // 3, [[ONE // 3, ONE // 2, 3 * ONE // 4, ONE // 8], [ONE, 2 * ONE, -ONE, 0]]
    high, low = tables.to_pair(third)
    assert tables.pair_columns(rows, 2) == [[high, 1.0], [low, 0.0], [0.5, 2.0], [0.75, -1.0]]
    # Times 4: c0 as it is, the others to whole numbers.
    assert tables.integer_columns(rows, 2) == [[4 / 3, 4.0], [2.0, 8.0], [3.0, -4.0], [1.0, 0.0]]


def test_exponentials_at_the_nodes() -> None:
    found = tables.exp_at_nodes(-3, 2)
    assert len(found) == 5 * 64 + 1
    assert found == [float(mpmath.exp(mpmath.mpf(k) / 64 - 3)) for k in range(len(found))]
    wide = tables.exp_at_nodes(-88, 89)
    assert wide[0] == float(mpmath.exp(-88))
    assert wide[-1] == float(mpmath.exp(89))


def test_a_quarter_turn_in_four_parts() -> None:
    parts = tables.quarter_turn()
    for part, bits in zip(parts, (32, 65, 98, 120), strict=True):
        scaled = math.ldexp(part, bits)
        assert scaled == int(scaled)
        assert abs(scaled) < 2**33
    with mpmath.workprec(200):
        assert abs(mpmath.fsum(map(mpmath.mpf, parts)) - mpmath.pi / 2) < mpmath.mpf(2) ** -120


def test_powers_of_the_64th_root_of_two() -> None:
    high, low = tables.powers_of_root()
    assert len(high) == len(low) == 64
    for j, pair in enumerate(zip(high, low, strict=True)):
        truth = mpmath.mpf(2) ** (mpmath.mpf(j) / 64)
        assert pair[0] == float(truth)
        assert abs(exact_sum(pair) - truth) < mpmath.mpf(2) ** -104


def test_split_logarithms() -> None:
    for high_bits, low_bits, divisor in ((42, 84, 1), (42, 78, 64), (32, 84, 1)):
        high, low = tables.split_ln2(high_bits, low_bits, divisor)
        assert abs(exact_sum((high, low)) - mpmath.log(2) / divisor) <= mpmath.mpf(2) ** -(
            low_bits + 1
        )
        assert (high * 2.0**high_bits).is_integer()
        assert abs(low) <= 2.0 ** -(high_bits + 1)
    assert tables.split_ln2(42, 84) == tables.split_ln2(42, 84, 1)


def test_reciprocals_and_their_logarithms() -> None:
    reciprocals = tables.reciprocals()
    assert len(reciprocals) == 65
    for n, r in zip(range(64, 129), reciprocals, strict=True):
        assert (r * 512).is_integer()
        assert abs(r - 64 / n) <= 1 / 1024
    assert (reciprocals[0], reciprocals[-1]) == (1.0, 0.5)
    logs = tables.minus_log_of_reciprocals()
    highs, lows = tables.log_columns(42, 84)
    for r, log, high, low in zip(reciprocals, logs, highs, lows, strict=True):
        truth = -mpmath.log(mpmath.mpf(r))
        assert abs(value(log) - truth) < NEAR
        assert (high * 2.0**42).is_integer()
        assert abs(exact_sum((high, low)) - truth) <= mpmath.mpf(2) ** -85
    # At m = 2 it cancels log 2 exactly.
    assert (highs[-1], lows[-1]) == tables.split_ln2(42, 84)
