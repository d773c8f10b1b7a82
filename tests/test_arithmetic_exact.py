"""Exact sums and matrix products by themselves, against fractions."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.arithmetic.exact_matmul import ExactMatmul, Scheme
from anyarray_mlp.arithmetic.exact_sum import ExactSum
from anyarray_mlp.arithmetic.library import Library

RATIONAL = np.vectorize(lambda v: Fraction(float(v)), otypes=[object])
SHAPES = [(5, 7, 3), (40,), (1, 6), (9, 1)]


def wide(shape: Any, dtype: str, seed: int = 0) -> Any:
    """Numbers of very different sizes and both signs."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * np.exp(rng.uniform(-6, 6, shape))).astype(dtype)


def nearest(values: Any, dtype: str) -> Any:
    """Fractions rounded to float64, then to dtype."""
    return np.vectorize(float, otypes=[float])(values).astype(dtype)


@pytest.mark.parametrize("block", [0, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_along_any_axes(shape: tuple[int, ...], dtype: str, block: int) -> None:
    exact = ExactSum(Library(np, block=block))
    x = wide(shape, dtype)
    axes: list[Any] = [None, *range(len(shape)), -1, (0,), (0, -1) if len(shape) > 1 else (0,)]
    for axis in axes:
        for keepdims in (False, True):
            found = exact.sum(x, axis, keepdims)
            truth = np.sum(RATIONAL(x), axis=axis, keepdims=keepdims)
            assert found.shape == np.shape(truth)
            assert found.dtype == dtype
            size = np.sum(np.abs(x.astype(float)), axis=axis, keepdims=keepdims)
            # Rounded once from a sum to 53 bits of its largest term, or with what that leaves to far below an ulp.
            error = np.abs(found.astype(float) - nearest(truth, "float64")) / size
            assert np.max(error) <= (2.0**-24 if dtype == "float32" else 2.0**-52)


def test_sums_of_nothing_and_of_a_number() -> None:
    exact = ExactSum(Library(np))
    number = np.array(1.5)
    assert exact.sum(number) is number
    assert exact.sum(np.zeros((0, 3)), 0).tolist() == [0.0, 0.0, 0.0]
    assert exact.sum(np.zeros((0, 3)), 0, True).shape == (1, 3)
    assert exact.sum(np.zeros((3, 0)), 1).tolist() == [0.0, 0.0, 0.0]
    assert exact.sum(np.zeros(0)) == 0.0
    assert exact.sum(np.zeros((4, 3))).tolist() == 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_use_the_bits_there_are(dtype: str) -> None:
    """1 and what is left far below it: kept where 53 bits, twice in float64, reach."""
    exact = ExactSum(Library(np))
    small = 2.0**-50
    assert exact.sum(np.array([1.0, small, -1.0], dtype)) == (
        small if dtype == "float64" else 2.0**-50
    )
    if dtype == "float64":
        assert exact.sum(np.array([1.0, 2.0**-90, -1.0])) == 2.0**-90
        assert exact.sum(np.array([2.0**-49] * 4 + [1.0])) == 1.0 + 2.0**-47


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_parts_are_the_sum_of_all(dtype: str) -> None:
    exact = ExactSum(Library(np))
    x = wide((30, 4), dtype)
    parts = (x[:1], x[1:17], x[17:])
    largest = np.maximum.reduce([exact.largest(part, (0,)) for part in parts])
    np.testing.assert_array_equal(largest, np.max(np.abs(x), axis=0, keepdims=True))
    sums = [exact.integers(part, largest, 30, (0,)) for part in parts]
    assert all(len(s) == (1 if dtype == "float32" else 2) for s in sums)
    assert all(np.array_equal(v, np.round(v)) for s in sums for v in s)
    total = tuple(sum(several) for several in zip(*sums, strict=True))
    found = exact.value(total, largest, 30, np.dtype(dtype))
    np.testing.assert_array_equal(found, exact.sum(x, 0, True))
    np.testing.assert_array_equal(exact.largest(x, (1,)), np.max(np.abs(x), axis=1, keepdims=True))


MODES = [("float32", 1), ("float32", 2), ("float64", 2)]
#: Units of the last place of sum |x| |w| by which a product may be off.
UNITS = {("float32", 1): 16.0, ("float32", 2): 1.0, ("float64", 2): 1.6}


def matmul(slices: int, block: int = 0) -> ExactMatmul:
    library = Library(np, block=block)
    return ExactMatmul(library, ExactSum(library), slices)


@pytest.mark.parametrize(
    ("terms", "dtype", "slices", "expected"),
    [
        (1, "float32", 1, Scheme(1, 26, 26, 0)),
        (50, "float32", 1, Scheme(1, 24, 23, 0)),
        (2, "float32", 2, Scheme(2, 21, 21, 8)),
        (256, "float32", 2, Scheme(2, 21, 21, 8)),
        (257, "float32", 2, Scheme(2, 21, 21, 7)),
        (4096, "float32", 2, Scheme(2, 21, 20, 6)),
        (4097, "float32", 2, Scheme(2, 20, 20, 0)),
        (1, "float64", 2, Scheme(3, 26, 26, 0)),
        (2, "float64", 2, Scheme(3, 26, 26, 0)),
        (1000, "float64", 2, Scheme(3, 22, 21, 0)),
    ],
)
def test_slices_have_as_many_bits_as_keep_products_exact(
    terms: int, dtype: str, slices: int, expected: Scheme
) -> None:
    assert matmul(slices).scheme(terms, np.dtype(dtype)) == expected
    # Whole numbers of so many bits: their products' sums stay within float64, the short ones within float32.
    assert terms * 2 ** (expected.left + expected.right) <= 2**53
    assert terms * 2 ** (2 * expected.short) <= 2**24


def test_places_and_shifts() -> None:
    assert Scheme(3, 26, 25, 0).places == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0))
    assert Scheme(3, 26, 25, 0).shifts == (0, 25, 50, 26, 51, 52)
    assert Scheme(1, 26, 25, 0).places == ((0, 0),)
    assert Scheme(2, 21, 20, 8).places == ((0, 0), (1, 2), (2, 1))
    assert Scheme(2, 21, 20, 8).shifts == (0, 17 - 21, 17 - 20)


@pytest.mark.parametrize("block", [0, 40])
@pytest.mark.parametrize(("dtype", "slices"), MODES)
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_and_its_gradients(dtype: str, slices: int, bias: bool, block: int) -> None:
    exact = matmul(slices, block)
    rng = np.random.default_rng(1)
    n, i, o = 23, 12, 7
    # Features, and so gradients of weights, differ in size by powers of ten.
    x = (rng.standard_normal((n, i)) * 10.0 ** rng.integers(-4, 5, i)).astype(dtype)
    w, dy = rng.standard_normal((i, o)).astype(dtype), rng.standard_normal((n, o)).astype(dtype)
    w[:, 2] *= 1e-6
    # And so may weights of an input, a sample, and its gradient: none must hide the others' bits.
    w[3], x[:, 3] = w[3] * 1e5, x[:, 3] * 1e-5
    w[5], x[:, 5] = w[5] * 1e-5, x[:, 5] * 1e5
    x[5], dy[5], dy[9] = x[5] * 1e4, dy[5] * 1e3, dy[9] * 1e-4
    b = rng.standard_normal(o).astype(dtype) if bias else None
    y, residual = exact.linear(x, w, b)
    dx, dw, db = exact.linear_vjp(residual, dy, True)
    without, same, _ = exact.linear_vjp(residual, dy, False)
    assert without is None
    np.testing.assert_array_equal(same, dw)
    np.testing.assert_array_equal(exact.input_gradient(residual, dy), dx)
    np.testing.assert_array_equal(exact.matmul(x, w), exact.linear(x, w, None)[0])

    def close(found: Any, left: Any, right: Any, added: Any = 0) -> None:
        truth = RATIONAL(left) @ RATIONAL(right) + added
        size = np.abs(left.astype(float)) @ np.abs(right.astype(float)) + np.abs(
            nearest(RATIONAL(added), "f8")
        )
        error = np.abs(nearest(RATIONAL(found) - truth, "f8")) / size
        assert found.dtype == dtype
        assert np.max(error) <= UNITS[dtype, slices] * (
            2.0**-24 if dtype == "float32" else 2.0**-53
        )

    close(y, x, w, RATIONAL(b) if bias else 0)
    close(dx, dy, w.T)
    close(dw, x.T, dy)
    assert (db is None) is not bias
    if bias:
        np.testing.assert_array_equal(db, exact.sums.sum(dy, 0))
    for cuts in ([0, 5, 6, n], [0, n]):
        parts = [(x[a:z], dy[a:z]) for a, z in pairwise(cuts)]
        part_dw, part_db = exact.batch_gradient(parts)
        np.testing.assert_array_equal(part_dw, dw)
        np.testing.assert_array_equal(part_db, exact.sums.sum(dy, 0))


@pytest.mark.parametrize(("dtype", "slices"), MODES)
def test_long_sums_are_exact_too(dtype: str, slices: int) -> None:
    """More terms than leave room for the short products."""
    x, w = wide((2, 5000), dtype, 2), wide((5000, 2), dtype, 3)
    found = matmul(slices).matmul(x, w)
    size = np.abs(x.astype(float)) @ np.abs(w.astype(float))
    error = np.abs(nearest(RATIONAL(found) - RATIONAL(x) @ RATIONAL(w), "f8")) / size
    units = 60 if slices == 1 else 1.6
    assert np.max(error) <= units * (2.0**-24 if dtype == "float32" else 2.0**-53)
