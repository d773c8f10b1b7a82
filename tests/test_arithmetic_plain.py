"""Plain arithmetic: what the standard lacks, and where new arrays are put."""

from __future__ import annotations

import types
from typing import Any

import mpmath
import numpy as np
import pytest

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.arithmetic.plain import CREATION, erf

XP = PlainNamespace(np)
DTYPES = ["float32", "float64"]
#: Arguments of both signs, large and small, and where a formula gives way to another.
POINTS = [-800.0, -100.0, -89.0, -30.0, -5.9, -2.0, -1.0, -0.99, -0.4, -1e-3, -1e-300, 0.0]
X = np.array([*POINTS, *(-p for p in POINTS), 0.5, 1.5, 3.0, 4.5, 5.5, 6.5])
EXACT = {
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "erf": mpmath.erf,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.filterwarnings("ignore:underflow:RuntimeWarning")
def test_functions_are_accurate_and_do_not_overflow(name: str, dtype: str) -> None:
    x = X.astype(dtype)
    with mpmath.workdps(40):
        expected = np.array([float(EXACT[name](mpmath.mpf(float(v)))) for v in x])
    with np.errstate(all="raise", under="ignore"):
        found = getattr(XP, name)(x.copy())
    assert found.dtype == dtype
    info = np.finfo(dtype)
    # Below the limit of the exponential, 88 and 709, values stay at its smallest.
    np.testing.assert_allclose(
        found, expected, rtol=8 * info.eps, atol=1e-38 if dtype == "float32" else 2e-308
    )


def test_erf_at_its_ends() -> None:
    found = erf(XP, np.array([-np.inf, np.inf, np.nan, -0.0, 40.0]))
    np.testing.assert_array_equal(found, [-1.0, 1.0, np.nan, 0.0, 1.0])
    assert not np.signbit(erf(XP, np.zeros(1)))[0]
    dense = np.linspace(-6.2, 6.2, 400)
    expected = [float(mpmath.erf(v)) for v in dense.tolist()]
    np.testing.assert_allclose(erf(XP, dense), expected, rtol=4e-16)
    # Just above 1, the last coefficients still count.
    above = np.linspace(1.0, 1.4, 400)
    expected = [float(mpmath.erf(v)) for v in above.tolist()]
    np.testing.assert_allclose(erf(XP, above), expected, rtol=3.5e-16)


BY_HAND = {
    "x": np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 4.0]]),
    "w": np.array([[1.0, 0.0], [-1.0, 2.0]]),
    "dy": np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]]),
    "y": np.array([[-1.0, 4.0], [4.0, -2.0], [-4.0, 8.0]]),
    "dx": np.array([[1.0, 3.0], [0.0, -2.0], [3.0, -1.0]]),
    "dw": np.array([[1.0, -1.0], [14.0, 9.0]]),
}
B, DB = np.array([0.5, 10.0]), [4.0, 2.0]


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_by_hand(bias: bool) -> None:
    x, w, dy = (BY_HAND[name] for name in ("x", "w", "dy"))
    y, residual = XP.linear(x, w, B if bias else None)
    np.testing.assert_array_equal(y, BY_HAND["y"] + B if bias else BY_HAND["y"])
    for need_dx in (True, False):
        dx, dw, db = XP.linear_vjp(residual, dy, need_dx)
        assert (dx is None) is not need_dx
        np.testing.assert_array_equal(dw, BY_HAND["dw"])
        assert (db.tolist() if bias else db) == (DB if bias else None)
        if need_dx:
            np.testing.assert_array_equal(dx, BY_HAND["dx"])
    np.testing.assert_array_equal(XP.linear_input_gradient(residual, dy), BY_HAND["dx"])
    parts = [
        (XP.linear(x[a:b], w, B if bias else None)[1], dy[a:b]) for a, b in ((0, 1), (1, 2), (2, 3))
    ]
    for some in (parts, [(residual, dy)]):
        dw, db = XP.linear_batch_gradient(some)
        np.testing.assert_array_equal(dw, BY_HAND["dw"])
        assert (db.tolist() if bias else db) == (DB if bias else None)


def test_no_product_is_worked_out_for_nothing() -> None:
    products: list[Any] = []
    xp = PlainNamespace(np, overrides={"matmul": lambda a, b: products.append(a.shape) or a @ b})
    x, w, dy = (BY_HAND[name] for name in ("x", "w", "dy"))
    _, residual = xp.linear(x, w, None)
    products.clear()
    xp.linear_vjp(residual, dy, False)
    xp.linear_batch_gradient([(residual, dy), (residual, dy)])
    assert products == [(2, 3)] * 3


def test_elementwise_is_the_function_itself() -> None:
    assert XP.elementwise(lambda a, b: (a + b, a - b), 5.0, 3.0) == (8.0, 2.0)


def library(name: str = "fake") -> Any:
    """A library whose creation functions tell what they were asked for."""
    module = types.ModuleType(name)
    for function in CREATION:
        setattr(
            module, function, lambda *args, function=function, **options: (function, args, options)
        )
    module.sqrt = module.exp = lambda x: ("library", x)  # type: ignore[attr-defined]
    return module


def test_new_arrays_are_put_on_the_device() -> None:
    for function in ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros"):
        on_device = getattr(PlainNamespace(library(), "gpu"), function)
        assert on_device(3) == on_device(3, device=None) == (function, (3,), {"device": "gpu"})
        assert on_device(3, device="cpu") == (function, (3,), {"device": "cpu"})
        assert on_device(3, dtype="int8")[2] == {"device": "gpu", "dtype": "int8"}
        assert getattr(PlainNamespace(library()), function)(3) == (function, (3,), {})


def test_a_librarys_own_functions_and_what_replaces_them() -> None:
    xp = PlainNamespace(
        library(), overrides={"exp": lambda x: ("better", x), "erf": lambda x: ("own", x)}
    )
    assert (xp.sqrt(2), xp.exp(2), xp.erf(2)) == (("library", 2), ("better", 2), ("own", 2))
    assert xp.sqrt is xp.sqrt
    assert vars(xp)["sqrt"] is xp.library.sqrt  # looked up once
    assert xp.overrides.keys() == {"exp", "erf"}
    assert PlainNamespace(library(), "gpu").target == "gpu"
    assert repr(xp) == "PlainNamespace(fake)"
    with pytest.raises(AttributeError, match="cbrt"):
        xp.cbrt(8)
