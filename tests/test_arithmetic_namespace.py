"""The namespace of reproducible arithmetic: operators, functions that pass through, and what it refuses."""

from __future__ import annotations

import operator
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.arithmetic.library import SMALLEST_FLOAT32
from anyarray_mlp.arithmetic.probe import GOLDEN
from anyarray_mlp.arithmetic.reproducible import (
    EXACT,
    VERSION,
    ReproducibleNamespace,
    rounded,
)
from anyarray_mlp.arithmetic.reproducible_array import Array, unwrap
from anyarray_mlp.errors import BackendUnavailableError, UsageError

XP = ReproducibleNamespace(np)
A, B = (
    np.array([[1.5, -2.0, 3.0], [0.5, 4.0, -0.25]]),
    np.array([[2.0, 4.0, -8.0], [1.0, 0.5, 2.0]]),
)
WHOLE_A, WHOLE_B = (
    np.array([[6, -7, 12], [1, 0, 3]], np.int32),
    np.array([[3, 2, 1], [5, 1, 2]], np.int32),
)
TENTH = np.float32(0.1)


def numpy_with(**functions: Any) -> Any:
    return types.SimpleNamespace(**{**vars(np), "__name__": "altered", **functions})


def check(found: Any, expected: Any) -> None:
    """The value, dtype and shape of a result of this arithmetic."""
    assert isinstance(found, Array)
    assert found.xp is XP
    assert found.value.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.value, expected)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, name)
    for name in ("add", "sub", "mul", "truediv", "eq", "ne", "lt", "le", "gt", "ge")
}
WHOLE = {name: getattr(operator, name) for name in ("and_", "or_", "xor", "lshift", "rshift")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_operators_of_floats(name: str, dtype: str) -> None:
    """Of two arrays of one shape, of others, and of a number on either side; all results are exact here."""
    f, a, b = BINARY[name], A.astype(dtype), B.astype(dtype)
    x, y = XP.asarray(a), XP.asarray(b)
    check(f(x, y), f(a, b))
    check(f(x, x), f(a, a))
    check(f(x, y[:1, ...]), f(a, b[:1]))
    check(f(x[:1, ...], y), f(a[:1], b))
    for number in (2.0, 2, -0.5, 3):
        check(f(x, number), f(a, np.array(number, dtype)))
        check(f(number, y), f(np.array(number, dtype), b))


@pytest.mark.parametrize("name", [*WHOLE, "add", "sub", "mul", "eq", "lt"])
def test_operators_of_whole_numbers(name: str) -> None:
    f = {**BINARY, **WHOLE}[name]
    check(f(XP.asarray(WHOLE_A), XP.asarray(WHOLE_B)), f(WHOLE_A, WHOLE_B))
    check(f(XP.asarray(WHOLE_B), 3), f(WHOLE_B, 3))
    if name not in ("lshift", "rshift"):
        check(f(3, XP.asarray(WHOLE_B)), f(3, WHOLE_B))


def test_unary_operators_and_what_an_array_is() -> None:
    x = XP.asarray(A)
    check(-x, -A)
    check(XP.negative(XP.asarray(WHOLE_A)), -WHOLE_A)
    check(abs(x), abs(A))
    check(~XP.asarray(WHOLE_A), ~WHOLE_A)
    check(x**2, A * A)
    check(x.mT, A.T)
    check(x @ XP.asarray(B.T.copy()), A @ B.T)
    check(x[1, 1:], A[1, 1:])
    check(x[XP.asarray(np.array([1, 0]))], A[[1, 0]])
    check(x[XP.asarray(np.array([1, 0])), :2], A[[1, 0], :2])
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((2, 3), 2, 6, 2, np.float64)
    assert x.__array_namespace__() is XP
    assert repr(x) == f"reproducible {A!r}"
    one, zero = XP.asarray(np.array(7)), XP.asarray(np.array(0))
    assert (bool(one), bool(zero), int(one), float(one), operator.index(one)) == (
        True,
        False,
        7,
        7.0,
        7,
    )
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    with pytest.raises(UsageError, match="has no power 3: write products"):
        x**3
    assert unwrap(x) is x.value
    assert unwrap(5) == 5
    # NumPy leaves operators to the array.
    check(A + x, A + A) if isinstance(A + x, Array) else pytest.fail("NumPy took the operator")


def test_numbers_are_rounded_to_the_arrays_dtype_first() -> None:
    x = XP.asarray(np.full(2, TENTH))
    assert (x == 0.1).value.all()
    assert (x - 0.1).value.tolist() == [0.0, 0.0]
    assert (x / 0.1).value.tolist() == [1.0, 1.0]
    assert XP.maximum(x, 0.1).value.tolist() == [TENTH] * 2
    assert XP.where(x > 1.0, 0.1, x).value.dtype == np.float32
    assert rounded(0.1, np.float32, np.float32) == float(TENTH)
    assert rounded(0.1, np.float64, np.float32) == 0.1
    assert rounded(1e300, np.float32, np.float32) == np.inf
    assert rounded(-1e300, np.float32, np.float32) == -np.inf
    assert rounded(np.inf, np.float32, np.float32) == np.inf
    assert np.isnan(rounded(np.nan, np.float32, np.float32))
    assert isinstance(rounded(3, np.float64, np.float32), float)
    assert XP.operand(0.1, x) == float(TENTH)
    assert isinstance(XP.operand(3, x), float)
    assert isinstance(XP.operand(3, XP.asarray(WHOLE_A)), int)
    assert XP.operand(x, x) is x.value
    assert float(XP.maximum(1.0, 2.0)) == 2.0


def test_functions_of_several_arrays_are_given_no_python_numbers() -> None:
    """Other libraries refuse them, or make a number one of float64."""
    asked: list[Any] = []

    def strict(name: str) -> Any:
        def f(*args: Any) -> Any:
            asked.append([(a.dtype.name, float(a)) for a in args if a.ndim == 0])
            return getattr(np, name)(*args)

        return f

    names = ("where", "maximum", "minimum", "clip")
    xp = ReproducibleNamespace(numpy_with(**{name: strict(name) for name in names}))
    x = xp.asarray(np.full(2, TENTH))
    asked.clear()
    tenth = ("float32", float(TENTH))
    for call, numbers in {
        lambda: xp.where(x > 1.0, 0.1, x): [tenth],
        lambda: xp.where(x > 1.0, x, 0.1): [tenth],
        lambda: xp.maximum(x, 0.1): [tenth],
        lambda: xp.minimum(0.1, x): [tenth],
        lambda: xp.clip(x, 0, 0.1): [("float32", 0.0), tenth],
    }.items():
        asked.clear()
        call()
        assert asked == [numbers]


def test_blocks_are_of_arrays_of_one_shape() -> None:
    xp = ReproducibleNamespace(np, block=2)
    x, y = xp.asarray(A), xp.asarray(B)
    for f in (operator.add, operator.truediv):
        for left, right, expected in (
            (x, y, f(A, B)),
            (x, y[:1, ...], f(A, B[:1])),
            (x[:, :1], y, f(A[:, :1], B)),
        ):
            np.testing.assert_array_equal(f(left, right).value, expected)


def test_small_results_are_zero_however_they_come_about() -> None:
    tiny = np.float32(SMALLEST_FLOAT32)
    x = XP.asarray(np.array([tiny, -1.0], np.float32))
    half = np.array([0.0, -0.5], np.float32)
    for found in (
        x * 0.5,
        0.5 * x,
        x * XP.asarray(np.full(2, 0.5, np.float32)),
        x / 2.0,
        XP.multiply(x, 0.5),
    ):
        check(found, half)
    check(x[:1] * XP.asarray(np.full((2, 1), 0.5, np.float32)), np.zeros((2, 1), np.float32))
    for made in (
        XP.asarray(np.array([tiny / 2, -0.0], np.float32)),
        XP.full((2,), float(tiny) / 2, dtype=np.float32),
        XP.full_like(XP.zeros(2, dtype=np.float32), float(tiny) / 2),
        XP.astype(XP.asarray(np.array([1e-40, -1e-40])), np.float32),
        XP.negative(XP.zeros(2, dtype=np.float32)),
    ):
        check(made, np.zeros(2, np.float32))
        assert not np.signbit(made.value).any()


FUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda xp, a, b: xp.add(a, b),
    "subtract": lambda xp, a, b: xp.subtract(a, b),
    "multiply": lambda xp, a, b: xp.multiply(a, b),
    "divide": lambda xp, a, b: xp.divide(a, b),
    "square": lambda xp, a, b: xp.square(a),
    "sum": lambda xp, a, b: xp.sum(a),
    "sum of rows": lambda xp, a, b: xp.sum(a, axis=1, keepdims=True),
    "sum of columns": lambda xp, a, b: xp.sum(a, axis=0),
    "mean": lambda xp, a, b: xp.mean(b),
    "mean of rows": lambda xp, a, b: xp.mean(b[:, :2], axis=1, keepdims=True),
    "mean of columns": lambda xp, a, b: xp.mean(a, axis=0),
    "matmul": lambda xp, a, b: xp.matmul(a, xp.matrix_transpose(b)),
    "maximum": lambda xp, a, b: xp.maximum(a, 1.0),
    "minimum": lambda xp, a, b: xp.minimum(1, a),
    "clip": lambda xp, a, b: xp.clip(a, -1.0, 1.0),
    "where": lambda xp, a, b: xp.where(a > b, a, b),
    "where, a number": lambda xp, a, b: xp.where(a > 0.0, 1.0, b),
    "concat": lambda xp, a, b: xp.concat([a, b], axis=1),
    "stack": lambda xp, a, b: xp.stack((a, b)),
    "sign": lambda xp, a, b: xp.sign(a),
    "take": lambda xp, a, b: xp.take(a, xp.argmax(b, axis=1), axis=1),
    "any": lambda xp, a, b: xp.any(a > 3.5, axis=0),
    "reshape": lambda xp, a, b: xp.reshape(a, (3, 2)),
    "max": lambda xp, a, b: xp.max(a, axis=0),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    found = FUNCTIONS[name](XP, XP.asarray(A), XP.asarray(B))
    check(found, np.asarray(FUNCTIONS[name](np, A, B)))


def test_functions_of_whole_numbers() -> None:
    check(XP.sum(XP.asarray(WHOLE_A)), np.sum(WHOLE_A))
    check(
        XP.sum(XP.asarray(WHOLE_A), axis=0, keepdims=True), np.sum(WHOLE_A, axis=0, keepdims=True)
    )
    check(
        XP.where(XP.asarray(WHOLE_A) > 2, XP.asarray(WHOLE_A), XP.asarray(WHOLE_B)),
        np.where(WHOLE_A > 2, WHOLE_A, WHOLE_B),
    )
    check(XP.asarray(np.array([True, False])), np.array([True, False]))
    check(XP.full((2,), 7, dtype=np.int32), np.full(2, 7, np.int32))
    check(XP.astype(XP.asarray(A), np.int64), A.astype(np.int64))


def test_several_results_are_several_arrays() -> None:
    for part, expected in zip(XP.unstack(XP.asarray(A)), A, strict=True):
        check(part, expected)
    assert XP.isdtype(np.dtype("f4"), "real floating") is True
    x = XP.asarray(A)
    total, difference = XP.elementwise(lambda a, b: (a + b, a - b), x, XP.asarray(B))
    check(total, A + B)
    check(difference, A - B)


def test_arrays_may_be_copied_or_shared() -> None:
    host = A.copy()
    assert XP.asarray(host, copy=True).value is not host
    whole = WHOLE_A.copy()
    assert XP.asarray(whole).value is whole
    assert XP.asarray(whole, copy=True).value is not whole
    assert XP.astype(XP.asarray(whole), np.int32).value is not whole
    assert XP.astype(XP.asarray(whole), np.int32, copy=False).value is whole
    assert not np.shares_memory(XP.astype(XP.asarray(A), np.float64).value, A)
    assert XP.asarray(XP.asarray(A)).value.tolist() == A.tolist()
    assert XP.asarray([1, 2], dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer(dtype: str, bias: bool) -> None:
    x, w = A.astype(dtype), np.array([[1.0, 2.0], [-1.0, 0.5], [0.0, 4.0]], dtype)
    b, dy = np.array([0.5, 8.0], dtype), np.array([[1.0, -2.0], [0.5, 3.0]], dtype)
    y, residual = XP.linear(XP.asarray(x), XP.asarray(w), XP.asarray(b) if bias else None)
    check(y, x @ w + b if bias else x @ w)
    for need in (True, False):
        dx, dw, db = XP.linear_vjp(residual, XP.asarray(dy), need)
        check(dx, dy @ w.T) if need else None
        assert need or dx is None
        check(dw, x.T @ dy)
        check(db, dy.sum(axis=0)) if bias else None
        assert bias or db is None
    check(XP.linear_input_gradient(residual, XP.asarray(dy)), dy @ w.T)
    parts = [
        (
            XP.linear(XP.asarray(x[k : k + 1]), XP.asarray(w), XP.asarray(b) if bias else None)[1],
            XP.asarray(dy[k : k + 1]),
        )
        for k in (0, 1)
    ]
    dw, db = XP.linear_batch_gradient(parts)
    check(dw, x.T @ dy)
    check(db, dy.sum(axis=0)) if bias else None
    assert bias or db is None


def test_a_barrier_stands_after_what_a_compiler_may_work_out_twice() -> None:
    seen: list[Any] = []

    def barrier(value: Any) -> Any:
        seen.append(value)
        return value

    xp = ReproducibleNamespace(np, barrier=barrier)
    x = xp.asarray(A)
    for name in ("exp", "expm1", "log1p", "tanh", "logistic", "softplus", "erf", "cos", "sin"):
        getattr(xp, name)(x + 2.5)
    xp.log(abs(x))
    assert len(seen) == 10
    _, residual = xp.linear(x, xp.asarray(B.T.copy()), None)
    xp.linear_vjp(residual, x[:, :2], True)
    xp.linear_input_gradient(residual, x[:, :2])
    assert len(seen) == 13


def test_new_arrays_are_put_on_the_device() -> None:
    def on(name: str) -> Any:
        function = getattr(np, name)

        def create(*args: Any, device: Any = None, **options: Any) -> Any:
            asked.append((name, device))
            return function(*args, **options)

        return create

    asked: list[Any] = []
    names = ("arange", "empty", "ones", "zeros", "asarray", "full", "zeros_like")
    xp = ReproducibleNamespace(numpy_with(**{name: on(name) for name in names}), device="gpu")
    asked.clear()
    xp.arange(3), xp.empty(2), xp.ones(2), xp.zeros(2), xp.asarray([1.0]), xp.full((2,), 1.0)
    assert asked == [
        (name, "gpu") for name in ("arange", "empty", "ones", "zeros", "asarray", "full")
    ]
    asked.clear()
    xp.zeros(2, device="cpu"), xp.asarray(1.0, device="cpu"), xp.full((1,), 1.0, device="cpu")
    xp.zeros_like(xp.ones(2, device="cpu"))
    assert asked == [
        ("zeros", "cpu"),
        ("asarray", "cpu"),
        ("full", "cpu"),
        ("ones", "cpu"),
        ("zeros_like", None),
    ]
    asked.clear()
    XP.zeros(2)
    assert asked == []


def test_what_the_namespace_has_and_has_not() -> None:
    kinds = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
    for name in (
        *kinds,
        "float32",
        "float64",
        "e",
        "inf",
        "nan",
        "newaxis",
        "pi",
        "finfo",
        "iinfo",
    ):
        assert vars(XP)[name] is getattr(np, name)
    assert any(version == VERSION for version, _, _ in GOLDEN)
    for name in EXACT:
        assert name in ("isdtype",) or callable(getattr(XP, name))
    assert XP.flip is XP.flip  # made once
    with pytest.raises(
        AttributeError, match=r"has no 'sinh': its bits would depend on the library\. Write"
    ):
        XP.sinh  # noqa: B018
    assert XP.__name__ == "reproducible numpy"
    assert repr(ReproducibleNamespace(np, 1)) == "ReproducibleNamespace(numpy, slices=1)"
    assert (XP.slices, XP.products.slices, ReproducibleNamespace(np, 1).products.slices) == (
        2,
        2,
        1,
    )
    for slices in (0, 3):
        with pytest.raises(
            UsageError, match=rf"slices must be 1 \(fast\) or 2 \(accurate\), got {slices}"
        ):
            ReproducibleNamespace(np, slices)


def test_a_library_without_float64_is_refused() -> None:
    single = numpy_with(asarray=lambda x, dtype=None, device=None: np.asarray(x, np.float32))
    with pytest.raises(
        BackendUnavailableError, match="needs float64, which this library turns into float32"
    ):
        ReproducibleNamespace(single)


def test_a_library_that_makes_float32_unless_told_is_taken() -> None:
    modest = lambda x, dtype=None, device=None: np.asarray(x, dtype or np.float32)  # noqa: E731
    assert ReproducibleNamespace(numpy_with(asarray=modest)).slices == 2


def test_settings_reach_the_library() -> None:
    shrink = lambda y, bound: np.where(np.abs(y) > bound, y, 0)  # noqa: E731
    library = ReproducibleNamespace(np, compiled=True, block=7, shrink=shrink).library
    assert (library.compiled, library.block, library.shrink) == (True, 7, shrink)
    assert (XP.library.compiled, XP.library.block, XP.library.shrink) == (False, 0, None)
