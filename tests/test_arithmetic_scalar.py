"""Functions of Python floats from + - * / alone, and what is drawn with them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from anyarray_mlp.arithmetic import scalar
from anyarray_mlp.metrics import mean_squared_error, r2
from anyarray_mlp.network.initializers import orthonormal_columns, standard_normal

draw = random.Random(0)
CASES: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "exp": (mpmath.exp, [draw.uniform(-60, 60) for _ in range(500)]),
    "log": (mpmath.log, [math.exp(draw.uniform(-60, 60)) for _ in range(500)]),
    "cos_pi": (mpmath.cospi, [draw.random() for _ in range(500)]),
}


@pytest.mark.parametrize("name", CASES)
def test_accuracy(name: str) -> None:
    truth, arguments = CASES[name]
    with mpmath.workprec(120):
        for x in arguments:
            t = truth(mpmath.mpf(x))
            assert abs(mpmath.mpf(getattr(scalar, name)(x)) - t) <= 4 * 2.0**-53 * abs(t), x


def test_ends() -> None:
    assert [scalar.cos_pi(x) for x in (0.0, 0.5, 1.0)] == [1.0, 0.0, -1.0]
    assert [scalar.exp(x) for x in (0.0, -800.0, 800.0)] == [1.0, 0.0, math.inf]
    assert [scalar.exp(x) for x in (709.78, 710.0, -745.0, -746.0)] == [
        math.inf,
        math.inf,
        0.0,
        0.0,
    ]
    for x in (709.7, 709.77, -700.0, 1.0, -1.0, 1e-300):
        assert scalar.exp(x) == pytest.approx(math.exp(x), rel=1e-15)
    assert scalar.log(1.0) == 0.0
    assert scalar.power(0.1, 3) == 0.1 * (0.1 * 0.1)
    assert scalar.power(2.0, -2) == 0.25
    assert scalar.power(0.0, 0.5) == 0.0


def test_powers_are_accurate() -> None:
    """Whole powers by products, others to a few ulp of exponent times logarithm."""
    with mpmath.workprec(120):
        for base in (0.05, 0.7, 0.999, 1.0, 3.5):
            for exponent in (-3, -1, 0, 1, 2, 7, 100, 0.5, -0.5, 0.01, 12.25, -7.75):
                t = mpmath.mpf(base) ** mpmath.mpf(exponent)
                units = 4 + 2 * abs(exponent) * (1 + abs(math.log(base)))
                assert abs(scalar.power(base, exponent) - t) <= units * 2.0**-53 * t, (
                    base,
                    exponent,
                )
    assert scalar.power(0.0, 3) == scalar.power(0.0, 0.3) == 0.0
    assert scalar.power(2.0, 0) == scalar.power(0.0, 0) == 1.0
    assert scalar.integer_power(0.1, 5) == 0.1 * ((0.1 * 0.1) * (0.1 * 0.1))


@pytest.mark.parametrize("count", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("first", [0, 1, 12345])
def test_many_powers_have_the_bits_of_single_ones(first: int, count: int) -> None:
    exponents = np.arange(first, first + count)
    powers = scalar.integer_powers(0.999, exponents)
    assert powers.dtype == np.float64
    assert powers.tolist() == [scalar.integer_power(0.999, e) for e in exponents.tolist()]
    np.testing.assert_allclose(powers, 0.999**exponents, rtol=1e-12)


def test_no_libm_decides_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that any libm could give differently are worked out without it."""

    def refuse(*_: Any) -> float:
        raise AssertionError("libm was asked")

    for name in ("exp", "log", "cos", "sin", "pow"):
        monkeypatch.setattr(math, name, refuse)
    assert scalar.power(0.3, 0.7) > 0
    assert scalar.cos_pi(0.3) > 0


def test_normal_draws_are_fixed() -> None:
    """The first draws of seed 0: a change of them changes every network that starts from them."""
    z = standard_normal(np.random.Generator(np.random.PCG64(0)), 2, 2)
    assert [v.hex() for v in z.ravel()] == EXPECTED_DRAWS
    assert standard_normal(np.random.Generator(np.random.PCG64(0)), 3, 1).shape == (3, 1)


EXPECTED_DRAWS = [
    "0x1.f1b9a01e85097p-2",
    "0x1.9efa2a2e7f72ap-1",
    "0x1.306985c8713bdp-2",
    "0x1.b80254c50aa93p+0",
]


@pytest.mark.parametrize("shape", [(9, 5), (6, 6), (4, 1)])
def test_orthonormal_columns_span_the_same(shape: tuple[int, int]) -> None:
    a = standard_normal(np.random.Generator(np.random.PCG64(1)), *shape)
    q, r = np.linalg.qr(a)
    np.testing.assert_allclose(orthonormal_columns(a), q * np.sign(np.diagonal(r)), atol=1e-14)


def test_scores_do_not_depend_on_the_order_of_samples() -> None:
    rng = np.random.default_rng(3)
    outputs, targets = (rng.standard_normal((400, 3)).astype(np.float32) for _ in range(2))
    order = rng.permutation(400)
    for score in (mean_squared_error, r2):
        assert score(outputs, targets) == score(outputs[order], targets[order])


@pytest.mark.parametrize("weighted", [False, True])
def test_r2_is_scikit_learns(weighted: bool) -> None:
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(4)
    targets = rng.standard_normal((50, 3))
    if not weighted:  # scikit-learn's weighted mean of equal numbers can differ from them
        targets[:, 1] = 2.0
    outputs = targets + 0.1 * rng.standard_normal((50, 3)) * [1, 1, 0]
    weights = rng.random(50) if weighted else None
    assert r2(outputs, targets, weights) == pytest.approx(
        r2_score(targets, outputs, sample_weight=weights), abs=1e-12
    )
