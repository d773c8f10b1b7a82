"""Reproducible arithmetic: the same bits on every library, as close to the truth as its dtype allows."""

from __future__ import annotations

import importlib.util
import math
import types
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from anyarray_mlp.arithmetic import ReproducibleNamespace
from anyarray_mlp.arithmetic.library import SMALLEST_FLOAT32, SMALLEST_FLOAT64
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.errors import UsageError

LIBRARIES = ("numpy", "torch", "array_api_strict", "jax")
DTYPES = ("float32", "float64")
FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "tanh", "erf", "logistic", "softplus", "sqrt", "cos", "sin",
)  # fmt: skip
PARTIAL = {"log", "sqrt"}  # defined above zero


#: Reproducible JAX switches float64 on for the process.
pytestmark = pytest.mark.usefixtures("x64_as_before")


def make(library: str, dtype: str, reproducible: Any = True) -> Backend:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return select_backend(library, dtype=dtype, reproducible=reproducible)


def edges(dtype: str) -> np.ndarray:
    """Zeros, subnormals, the smallest and largest numbers, infinities, ties, and NaN."""
    info = np.finfo(dtype)
    values = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, math.inf, -math.inf, math.nan]
    values += [info.tiny, -info.tiny, info.tiny / 8, info.max, -info.max, info.eps, 1 + info.eps]
    values += [2.0**-125, 2.0**-126 * 1.5, 2.0**-127, 2.0**-130, 1e-30, 87.3, -87.4, 88.8, 709.7]
    values += [-745.0, 9.0, 9.125, -9.1251, 20.0, 4.0, 3.9192, 1 / 128, 3 / 128, -1 / 64]
    return np.array(values).astype(dtype)


def arguments(dtype: str, count: int, seed: int = 0) -> np.ndarray:
    """Edges, and numbers of both signs over many magnitudes."""
    rng = np.random.default_rng(seed)
    wide = rng.standard_normal(count) * np.exp(rng.uniform(-25, 5, count))
    with np.errstate(over="ignore"):
        return np.concatenate(
            [edges(dtype), wide.astype(dtype), rng.uniform(-12, 12, count).astype(dtype)]
        )


def bits(x: np.ndarray) -> np.ndarray:
    """The bits of floats, all NaN alike."""
    x = np.where(np.isnan(x), np.array(np.nan, x.dtype), x)
    return x.view(np.int32 if x.dtype == np.float32 else np.int64)


def assert_same_bits(expected: np.ndarray, found: np.ndarray, what: str) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    different = np.flatnonzero(np.ravel(bits(expected)) != np.ravel(bits(found)))
    assert not different.size, (
        f"{what}: {different.size} of {expected.size} differ, first {np.ravel(expected)[different[0]]!r} "
        f"and {np.ravel(found)[different[0]]!r}"
    )


def everything(
    xp: ReproducibleNamespace, x: Any, y: Any, a: Any, w: Any, b: Any, dy: Any
) -> tuple[Any, ...]:
    """Every operation that rounds, and chains of them that compilers like to rewrite."""
    out = [getattr(xp, name)(x) for name in FUNCTIONS]
    out += [x + y, x - y, x * y, x / y, 3.3 - x, 0.7 / x, x / 3.0, -x, x * 0.1 + 0.2, xp.square(x)]
    out += [
        x * y + a[0, 0],
        (x + 1e4) - 1e4,
        x / xp.sqrt(xp.abs(y)),
        x / y / 7.0,
        xp.maximum(x, 0.1),
    ]
    out += [
        xp.where(x > 0.0, x, 0.3 * x),
        xp.sign(x),
        xp.min(x),
        xp.floor(a),
        xp.astype(a > 0, a.dtype),
    ]
    out += [xp.sum(a), xp.sum(a, axis=0), xp.sum(a, axis=1, keepdims=True), xp.mean(a, axis=0)]
    out += [a / xp.sum(a * a, axis=1, keepdims=True), xp.matmul(a, w), a @ w]
    z, residual = xp.linear(a, w, b)
    return (*out, z, *xp.linear_vjp(residual, dy, True))


def operands(dtype: str) -> list[np.ndarray]:
    x = arguments(dtype, 300)
    rng = np.random.default_rng(1)
    y = rng.permutation(x)
    scale = np.exp(rng.uniform(-8, 8, 37))
    a = (rng.standard_normal((29, 37)) * scale).astype(dtype)
    w = rng.standard_normal((37, 11)).astype(dtype)
    return [
        x,
        y,
        a,
        w,
        rng.standard_normal(11).astype(dtype),
        rng.standard_normal((29, 11)).astype(dtype),
    ]


@pytest.mark.parametrize("reproducible", [True, "fast"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_every_operation_has_the_same_bits(library: str, dtype: str, reproducible: Any) -> None:
    reference, backend = make("numpy", dtype, reproducible), make(library, dtype, reproducible)
    hosts = operands(dtype)
    expected = everything(reference.xp, *map(reference.asarray, hosts))
    arrays = [backend.asarray(h) for h in hosts]
    ways: dict[str, Callable[..., Any]] = {"eager": lambda *a: everything(backend.xp, *a)}
    if library == "jax":
        ways["jitted"] = backend.jit(everything)
    for way, run in ways.items():
        for k, (e, f) in enumerate(zip(expected, run(*arrays), strict=True)):
            assert_same_bits(reference.to_host(e), backend.to_host(f), f"{way}, result {k}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_blocks_do_not_change_bits(dtype: str) -> None:
    import numpy

    whole, cut = (ReproducibleNamespace(numpy, block=block) for block in (0, 50))
    hosts = operands(dtype)
    results = [everything(xp, *map(xp.asarray, hosts)) for xp in (whole, cut)]
    for k, (e, f) in enumerate(zip(*results, strict=True)):
        assert_same_bits(e.value, f.value, f"result {k}")


def exact(name: str, x: float) -> Any:
    x = mpmath.mpf(x)
    formulas = {
        "logistic": lambda: 1 / (1 + mpmath.exp(-x)),
        "softplus": lambda: mpmath.log1p(mpmath.exp(x)),
    }
    return formulas[name]() if name in formulas else getattr(mpmath, name)(x)


def largest_error(name: str, x: np.ndarray, y: np.ndarray) -> float:
    """In ulp of the true value; results that are too small to be kept do not count."""
    digits = 24 if y.dtype == np.float32 else 53
    smallest = 2.0**-124 if y.dtype == np.float32 else 2.0**-959
    worst = 0.0
    with mpmath.workprec(160):
        for argument, value in zip(x.tolist(), y.tolist(), strict=True):
            truth = exact(name, argument)
            if abs(truth) < smallest or abs(truth) > float(np.finfo(y.dtype).max):
                continue
            ulp = mpmath.ldexp(1, mpmath.frexp(truth)[1] - digits)
            worst = max(worst, float(abs(mpmath.mpf(value) - truth) / ulp))
    return worst


#: Largest errors in ulp seen with benchmarks/reproducible_elementwise.py, rounded up.
ERRORS = {
    "float32": {"log": 0.63, "tanh": 0.57, "erf": 0.57},
    "float64": {
        "tanh": 1.25,
        "erf": 1.35,
        "softplus": 1.25,
        "logistic": 1.05,
        "expm1": 0.95,
        "log1p": 0.7,
        "cos": 1.3,
        "sin": 1.3,
    },
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_functions_are_accurate(name: str, dtype: str) -> None:
    x = arguments(dtype, 400, seed=3)
    x = x[np.isfinite(x) & (np.abs(x) > 2.0**-120)]
    if name in PARTIAL:
        x = np.abs(x)
    if name == "log1p":
        x = x[x > -1]
    if name in ("cos", "sin"):
        x = x[np.abs(x) < 2.0**20]
        turns = np.arange(-40.0, 40.0) * (
            math.pi / 4
        )  # where a value is near zero, or two series meet
        x = np.concatenate([x, turns.astype(dtype), x * np.array(1000, dtype)])
        x = x[np.abs(x) < 2.0**20]
    backend = make("numpy", dtype)
    y = backend.to_host(getattr(backend.xp, name)(backend.asarray(x)))
    assert largest_error(name, x, y) <= ERRORS[dtype].get(name, 0.52)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ends_of_the_functions(dtype: str) -> None:
    backend = make("numpy", dtype)
    xp, inf, nan = backend.xp, math.inf, math.nan
    expected = {
        "exp": {0.0: 1.0, inf: inf, -inf: 0.0, 1000.0: inf, -1000.0: 0.0},
        "expm1": {0.0: 0.0, inf: inf, -inf: -1.0, -1000.0: -1.0},
        "log": {1.0: 0.0, 0.0: -inf, -1.0: nan, inf: inf},
        "log1p": {0.0: 0.0, -1.0: -inf, -2.0: nan, inf: inf},
        "tanh": {0.0: 0.0, inf: 1.0, -inf: -1.0},
        "erf": {0.0: 0.0, inf: 1.0, -inf: -1.0},
        "logistic": {0.0: 0.5, inf: 1.0, -inf: 0.0},
        "softplus": {inf: inf, -inf: 0.0, 1000.0: 1000.0},
        "sqrt": {0.0: 0.0, 4.0: 2.0, inf: inf, -1.0: nan},
        "cos": {0.0: 1.0, inf: nan, -inf: nan},
        "sin": {0.0: 0.0, inf: nan, -inf: nan},
    }
    for name, values in expected.items():
        x = np.array([*values, nan], dtype=dtype)
        with np.errstate(all="ignore"):
            y = backend.to_host(getattr(xp, name)(backend.asarray(x)))
        np.testing.assert_array_equal(
            y, np.array([*values.values(), nan], dtype=dtype), err_msg=name
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_waves_of_large_arguments_stay_within_their_bounds(dtype: str) -> None:
    backend = make("numpy", dtype)
    x = np.ldexp(np.array(1.37, dtype), np.arange(20, np.finfo(dtype).maxexp))
    for name in ("cos", "sin"):
        y = backend.to_host(getattr(backend.xp, name)(backend.asarray(np.concatenate([x, -x]))))
        assert np.all(np.abs(y) <= 1.0)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_division_and_root_are_ieee() -> None:
    """The corrected float64 quotient and root equal the processor's own."""
    rng = np.random.default_rng(2)
    a, b = (
        rng.standard_normal(100_000) * np.exp(rng.uniform(-200, 200, 100_000)) for _ in range(2)
    )
    ends = np.array([0.0, 1.0, -3.0, math.inf, -math.inf, math.nan])
    a = np.concatenate([a, np.repeat(ends, 6)])
    b = np.concatenate([b, np.tile(ends, 6)])
    for dtype in DTYPES:
        backend = make("numpy", dtype)
        x, y = a.astype(dtype), b.astype(dtype)
        q = backend.to_host(backend.asarray(x) / backend.asarray(y))
        smallest = 2.0**-125 if dtype == "float32" else 2.0**-960
        x, y = (np.where(np.abs(v) < smallest, np.array(0, dtype), v) for v in (x, y))
        expected = x / y
        kept = ~(np.abs(expected) < 2.0 * smallest)
        assert_same_bits(expected[kept], q[kept], dtype)
        s = backend.to_host(backend.xp.sqrt(backend.asarray(np.abs(x))))
        assert_same_bits(np.sqrt(np.abs(x)), s, dtype)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("dtype", DTYPES)
def test_quotients_of_zeros_infinities_and_nan_are_those_of_ieee(dtype: str) -> None:
    ends = np.array([0.0, 0.5, 1.0, -3.0, math.inf, -math.inf, math.nan], dtype)
    a, b = np.repeat(ends, len(ends)), np.tile(ends, len(ends))
    backend = make("numpy", dtype)
    found = backend.to_host(backend.asarray(a) / backend.asarray(b))
    np.testing.assert_array_equal(found, a / b)


@pytest.mark.parametrize("units", [-2, -1, 1, 2])
def test_roots_are_corrected_where_the_librarys_are_off(units: int) -> None:
    altered = types.SimpleNamespace(
        **{**vars(np), "__name__": "altered", "sqrt": lambda x: np.sqrt(x) * (1 + units * 2.0**-52)}
    )
    xp = ReproducibleNamespace(altered)
    rng = np.random.default_rng(8)
    m = rng.integers(2**26, 2**27, 20_000).astype(np.float64)
    # Squares and their neighbours, whose roots lie close to a number or to the middle of two, and any numbers.
    x = np.concatenate(
        [m * m, np.nextafter(m * m, 0), np.nextafter(m * m, np.inf), rng.uniform(1, 4, 20_000)]
    )
    for values in (x, x.astype(np.float32)):
        np.testing.assert_array_equal(xp.sqrt(xp.asarray(values)).value, np.sqrt(values))


def test_the_smallest_numbers_have_logarithms() -> None:
    for dtype, smallest in (("float32", SMALLEST_FLOAT32), ("float64", SMALLEST_FLOAT64)):
        backend = make("numpy", dtype)
        edge = np.array(smallest, dtype)
        x = np.array([edge, np.nextafter(edge, edge.dtype.type(0))])
        found = backend.to_host(backend.xp.log(backend.asarray(x)))
        assert found[0] == pytest.approx(math.log(smallest), rel=1e-6)
        assert found[1] == -math.inf


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
def test_float32_rounds_to_nearest(operation: str) -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal(500).astype(np.float32) for _ in range(2))
    backend = make("numpy", "float32")
    found = backend.to_host(getattr(backend.xp, operation)(backend.asarray(a), backend.asarray(b)))
    operators: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
        "add": lambda u, v: u + v,
        "subtract": lambda u, v: u - v,
        "multiply": lambda u, v: u * v,
        "divide": lambda u, v: u / v,
    }
    for u, v, r in zip(a, b, found, strict=True):
        truth = operators[operation](Fraction(float(u)), Fraction(float(v)))
        neighbours = [r, np.nextafter(r, np.float32(-np.inf)), np.nextafter(r, np.float32(np.inf))]
        assert min(abs(Fraction(float(n)) - truth) for n in neighbours) == abs(
            Fraction(float(r)) - truth
        )


def test_no_subnormals_and_no_negative_zero() -> None:
    backend = make("numpy", "float32")
    x = backend.asarray(np.array([1e-20, -1e-20, 0.0, -0.0, 1e-39, -1e-39, 3.0]))
    for result in (x * 1e-20, x * -1e-19, -x, x - x, x / -1e25, backend.xp.exp(x * 1.0 - 88.0)):
        host = backend.to_host(result)
        assert not np.any(np.signbit(host) & (host == 0))
        assert not np.any((host != 0) & (np.abs(host) < np.finfo(np.float32).tiny))


@pytest.mark.parametrize("dtype", DTYPES)
def test_pytorch_flushes_as_numpy_does(dtype: str) -> None:
    smallest = {"float32": SMALLEST_FLOAT32, "float64": SMALLEST_FLOAT64}[dtype]
    edge = np.array(smallest, dtype)
    kept = [edge, np.nextafter(edge, edge.dtype.type(1)), 1.0, np.inf, np.nan]
    gone = [0.0, np.nextafter(edge, edge.dtype.type(0)), np.finfo(dtype).tiny, 0.5 * smallest]
    x = np.array([*kept, *gone], dtype)
    x = np.concatenate([x, -x])
    found = []
    for library in ("numpy", "torch"):
        backend = make(library, dtype)
        found.append(backend.to_host(backend.asarray(x) * 1.0))
    assert found[0].tobytes() == found[1].tobytes()
    assert (found[0] != 0).sum() == 2 * len(kept)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_do_not_depend_on_the_order(dtype: str) -> None:
    rng = np.random.default_rng(5)
    x = (rng.standard_normal(3000) * np.exp(rng.uniform(-10, 10, 3000))).astype(dtype)
    backend = make("numpy", dtype)
    sums = {
        float(backend.xp.sum(backend.asarray(order)))
        for order in (x, x[::-1], np.sort(x), rng.permutation(x))
    }
    assert len(sums) == 1
    truth = math.fsum(x.tolist())
    assert sums.pop() == pytest.approx(truth, rel=2.0**-23 if dtype == "float32" else 2.0**-51)


@pytest.mark.parametrize("reproducible", [True, "fast"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_computed_alone(dtype: str, reproducible: Any) -> None:
    """A sample's outputs and its gradient do not depend on what else is in the batch."""
    backend = make("numpy", dtype, reproducible)
    _, _, a, w, b, dy = operands(dtype)
    xp = backend.xp
    y, residual = xp.linear(*map(backend.asarray, (a, w, b)))
    dx = xp.linear_vjp(residual, backend.asarray(dy), True)[0]
    for rows in (slice(0, 1), slice(5, 12), slice(12, 29)):
        part, residual = xp.linear(*map(backend.asarray, (a[rows], w, b)))
        assert_same_bits(backend.to_host(y)[rows], backend.to_host(part), "y")
        dx_part = xp.linear_vjp(residual, backend.asarray(dy[rows]), True)[0]
        assert_same_bits(backend.to_host(dx)[rows], backend.to_host(dx_part), "dx")


@pytest.mark.parametrize("reproducible", [True, "fast"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weight_gradients_of_parts_add_up_to_the_whole(dtype: str, reproducible: Any) -> None:
    backend = make("numpy", dtype, reproducible)
    products = backend.xp.products
    _, _, a, _, _, dy = operands(dtype)
    cuts = (slice(0, 3), slice(3, 20), slice(20, 29))
    whole = products.batch_gradient([(a, dy)])
    for order in (cuts, cuts[::-1]):
        parts = products.batch_gradient([(a[c], dy[c]) for c in order])
        for e, f in zip(whole, parts, strict=True):
            assert_same_bits(e, f, "gradient")


@pytest.mark.parametrize(("dtype", "reproducible", "units"), [
    ("float32", True, 0.7), ("float32", "fast", 16.0), ("float64", True, 0.7),
])  # fmt: skip
def test_products_are_accurate(dtype: str, reproducible: Any, units: float) -> None:
    """Errors in units of the last place of sum |x| |w|."""
    backend = make("numpy", dtype, reproducible)
    rng = np.random.default_rng(6)
    a = rng.standard_normal((20, 60)).astype(dtype)
    w = rng.standard_normal((60, 7)).astype(dtype)
    y = backend.to_host(backend.asarray(a) @ backend.asarray(w))
    rational = np.vectorize(Fraction, otypes=[object])
    truth = rational(a.astype(float)) @ rational(w.astype(float))
    scale = np.abs(a.astype(float)) @ np.abs(w.astype(float))
    error = np.abs((rational(y.astype(float)) - truth).astype(float)) / scale
    assert error.max() <= units * (2.0**-24 if dtype == "float32" else 2.0**-53)


def test_what_is_not_covered_is_refused() -> None:
    backend = make("numpy", "float32")
    with pytest.raises(AttributeError, match="no 'sinh'"):
        backend.xp.sinh(backend.asarray(np.ones(3)))
    with pytest.raises(UsageError, match=r"power 1\.5"):
        backend.asarray(np.ones(3)) ** 1.5
    with pytest.raises(UsageError, match="slices"):
        ReproducibleNamespace(np, 3)
    with pytest.raises(UsageError, match="'quick'"):
        select_backend("numpy", reproducible="quick")  # type: ignore[arg-type]
