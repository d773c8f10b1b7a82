"""Elementwise functions where a small fault shows: libraries that are inexact or strict, results close to a middle."""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from anyarray_mlp.arithmetic import ReproducibleNamespace

FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "tanh", "erf", "logistic", "softplus", "sqrt", "cos", "sin",
)  # fmt: skip

#: How many units of its last place 1 is, which is where the mantissas below begin, and the digits that makes.
ONE = {"float32": 1 << 23, "float64": 1 << 52}
DIGITS = {"float32": 24, "float64": 53}


def numpy_with(**functions: Any) -> Any:
    """NumPy with some functions replaced."""
    return types.SimpleNamespace(**{**vars(np), "__name__": "altered", **functions})


# ------------------------------------------------------------ a library whose quotients and roots are off


def numpy_off_by(units: int) -> Any:
    """NumPy whose quotients and roots are so many units in the last place too large."""

    class Inexact(np.ndarray):
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
            plain = (x.view(np.ndarray) if isinstance(x, Inexact) else x for x in inputs)
            y = getattr(ufunc, method)(*plain, **options)
            if ufunc in (np.divide, np.reciprocal, np.sqrt):
                y = y + units * np.spacing(y)
            return np.asarray(y).view(Inexact)

        def __array_function__(self, *call: Any) -> Any:
            return np.asarray(super().__array_function__(*call)).view(Inexact)

    def asarray(x: Any, **options: Any) -> Any:
        return np.asarray(x, **options).view(Inexact)

    return numpy_with(asarray=asarray)


def host(x: Any) -> np.ndarray:
    """The values of an array over such a library, of NumPy's own kind."""
    return np.array(x.value)


@pytest.fixture(scope="module", params=[-2, -1, 0, 1, 2])
def inexact(request: pytest.FixtureRequest) -> ReproducibleNamespace:
    """Reproducible arithmetic over a library that is off."""
    units, xp = request.param, numpy_off_by(request.param)
    for dtype in ("float32", "float64"):
        x = np.array([1.25, 1.5, 3.0], dtype)
        y = xp.asarray(x)
        for found, right in ((1.0 / y, 1.0 / x), (x / y, x / x), (xp.sqrt(y), np.sqrt(x))):
            assert found.dtype == dtype
            assert np.all(found - right == units * np.spacing(right))
    return ReproducibleNamespace(xp)


def quotients_near_a_middle(one: int) -> Iterator[tuple[int, int]]:
    """Mantissas (a, b), from `one` to 2 `one`, whose quotient is as close as can be to the middle of two floats.

    b odd = 2 one a + s with a small s: a / b is odd / 2 units of its last place, less s / (2 b) of them.
    """
    for odd in (2 * np.random.default_rng(11).integers(one, 2 * one, 700) + 1).tolist():
        for s in (-5, -3, -2, -1, 1, 2, 3, 5):
            b = s * pow(odd, -1, 2 * one) % (2 * one)
            a = (b * odd - s) // (2 * one)
            if b >= one and (a < 2 * one or a % 2 == 0):
                yield (a if a < 2 * one else a // 2), b


#: Such quotients, found among 400,000, for which a reciprocal that is a unit too small proposes too large a one.
FROM_ABOVE = [
    (6509662322544131, 6511231419779805),
    (6048924660782778, 6374863699234669),
    (7907505107305946, 7918854489704485),
    (5472307699276211, 6020363724278453),
]


@pytest.mark.parametrize("dtype", ONE)
def test_quotients_are_correctly_rounded_where_the_librarys_are_off(
    inexact: ReproducibleNamespace, dtype: str
) -> None:
    one = ONE[dtype]
    ends = [one, one + 1, one + 2, 3 * one // 2, 2 * one - 2, 2 * one - 1]
    pairs = [*quotients_near_a_middle(one), *((a, b) for a in ends for b in ends)]
    pairs += FROM_ABOVE if dtype == "float64" else []
    units = [(a, b, one if a >= b else 2 * one) for a, b in pairs]  # so many make 1
    truth = [round(Fraction(a * n, b)) / n for a, b, n in units]
    a, b = (inexact.asarray(np.array(side, dtype)) for side in zip(*pairs, strict=True))
    np.testing.assert_array_equal(host(a / b), np.array(truth, dtype))
    np.testing.assert_array_equal(host(-a / b), -np.array(truth, dtype))


def squares_near_a_middle(one: int, reach: int = 400) -> Iterator[int]:
    """All mantissas m, from `one` to 4 `one`, whose root is close to the middle of two floats, `one` being 1.

    one m = s^2 + s + j with a small j: the root is s + 1/2 units of its last place, and (j - 1/4) / (2 s) of them. That
    makes (2 s + 1)^2 = 1 - 4 j modulo 4 one, and a root modulo 2^k leads to one modulo 2^(k + 1).
    """
    for j in range(-reach, reach + 1, 2):
        root = 1  # modulo 8
        for k in range(3, one.bit_length() + 1):
            root += (root * root - 1 + 4 * j >> k & 1) << (k - 1)
        for odd in (root, -root):
            s = one + (odd - 1) // 2 % one
            m, rest = divmod(s * s + s + j, one)
            assert rest == 0
            if one <= m < 2 * one or (m < 4 * one and m % 2 == 0):
                yield m


@pytest.mark.parametrize("dtype", ONE)
def test_roots_are_correctly_rounded_where_the_librarys_are_off(
    inexact: ReproducibleNamespace, dtype: str
) -> None:
    one = ONE[dtype]
    mantissas = [*squares_near_a_middle(one), one, 2 * one, 9 * one // 4]
    assert {one + 1, 4 * one - 2} <= set(mantissas)
    x = np.array([m / one for m in mantissas], dtype)
    truth = np.array([(math.isqrt(4 * one * m) + 1) // 2 / one for m in mantissas], dtype)
    for h in (0, -50, 40):
        found = inexact.sqrt(inexact.asarray(np.ldexp(x, 2 * h)))
        np.testing.assert_array_equal(host(found), np.ldexp(truth, h))


# ------------------------------------------------------------ a library that refuses indices beyond a table


@pytest.mark.parametrize("dtype", ONE)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_no_argument_leads_beyond_a_table(dtype: str) -> None:
    """The standard leaves negative indices of `take` undefined, too."""

    def take(table: Any, index: Any, axis: int) -> Any:
        assert index.min() >= 0
        assert index.max() < table.shape[axis]
        return np.take(table, index, axis=axis)

    strict, plain = ReproducibleNamespace(numpy_with(take=take)), ReproducibleNamespace(np)
    info = np.finfo(dtype)
    sizes = np.concatenate(
        [np.arange(0, 1200) / 16, np.geomspace(1e-30, 1e30, 61), [720.0, 1100.0]]
    )
    ends = [info.max, info.tiny, info.eps, math.inf, math.nan]
    x = np.concatenate([sizes, -sizes, ends, np.negative(ends)]).astype(dtype)
    for name in FUNCTIONS:
        found, expected = (host(getattr(xp, name)(xp.asarray(x))) for xp in (strict, plain))
        np.testing.assert_array_equal(found, expected, name)
    for a in (x, x[::-1], np.ones_like(x)):
        found, expected = (host(xp.asarray(a) / xp.asarray(x)) for xp in (strict, plain))
        np.testing.assert_array_equal(found, expected)


# ------------------------------------------------------------ results that a last bit of a constant decides

#: Arguments whose results lie so close to the middle of two floats that a unit more in a coefficient, or a term less,
#: rounds them to the wrong one. Each was found by such a change.
CLOSE = {
    ("exp", "float32"): [
        "0x1.5db4c6p-1", "0x1.624fp+0", "0x1.2a58c8p-1",
    ],
    ("logistic", "float32"): ["-0x1.86f01ep+0", "0x1.ab9a6ep-1"],
    ("log", "float32"): [
        "0x1.ea8f04p+0", "0x1.e8cac8p-1", "0x1.01ef4cp+0",  # the coefficients of f^2
        "0x1.25fea8p+0", "0x1.058e7p+0",  # and f^5
        "0x1.035934p+0", "0x1.02e7c8p+0",  # log 2 to 42 bits
    ],
    ("exp", "float64"): ["0x1.7254e4d8f6f84p+3", "0x1.4a7c747784d86p+3", "-0x1.f54dc946f23e0p+1"],
    ("expm1", "float64"): ["0x1.7254e4d8f6f84p+3", "-0x1.21afa4cb8289cp+0"],
    ("logistic", "float64"): ["-0x1.4e99957765137p+3", "-0x1.0baef63f48440p+5"],
    ("softplus", "float64"): [
        "-0x1.6e1ddee810f36p+3",  # the exponential's last term
        "-0x1.9d0b5bdb0d2cep+1", "0x1.b09c443087da8p-8", "-0x1.13190fbe3d197p+1",  # its low part
        "-0x1.3ed848e919e3bp+2", "-0x1.3991b122d62a8p+2", "-0x1.475125f698705p+2",  # the logarithm's
    ],
    ("log", "float64"): [
        "0x1.01efb853b2183p+0", "0x1.022074ff678c3p+0", "0x1.018d7556e8e33p+0",
        "0x1.024a2f244ec85p+0",
    ],
    ("log1p", "float64"): [
        "0x1.9af4658216d0bp-6", "0x1.032646a42dbedp-7", "0x1.374782210c36cp-2",
        "0x1.080ac71332be3p-7",
    ],
}  # fmt: skip


def true_value(name: str, x: float, digits: int) -> float:
    """A function of x, rounded once to so many binary digits."""
    with mpmath.workprec(200):
        argument = mpmath.mpf(x)
        if name == "logistic":
            truth = 1 / (1 + mpmath.exp(-argument))
        elif name == "softplus":
            truth = mpmath.log1p(mpmath.exp(argument))
        else:
            truth = getattr(mpmath, name)(argument)
    with mpmath.workprec(digits):
        return float(+truth)


@pytest.mark.parametrize(("name", "dtype"), CLOSE)
def test_results_close_to_a_middle_are_correctly_rounded(name: str, dtype: str) -> None:
    x = np.array([float.fromhex(text) for text in CLOSE[name, dtype]], dtype)
    xp = ReproducibleNamespace(np)
    found = host(getattr(xp, name)(xp.asarray(x)))
    truth = [true_value(name, v, DIGITS[dtype]) for v in x.tolist()]
    np.testing.assert_array_equal(found, np.array(truth, dtype))
