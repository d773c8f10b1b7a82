"""The tricks of reproducible arithmetic by themselves: scales, mantissas, zeros for what is small, blocks."""

from __future__ import annotations

import math
import types
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.arithmetic.library import (
    BELOW_FLOAT32,
    BELOW_FLOAT64,
    SMALLEST_FLOAT32,
    SMALLEST_FLOAT64,
    Library,
    bits_for,
)
from anyarray_mlp.backends.base import view

LIB = Library(np)


def numpy_with(**functions: Any) -> Any:
    """NumPy with some functions replaced."""
    return types.SimpleNamespace(**{**vars(np), **functions})


def test_bits_that_a_sum_grows_by() -> None:
    assert [bits_for(n) for n in (1, 2, 3, 4, 5, 8, 9, 1024, 1025)] == [0, 1, 2, 2, 3, 3, 4, 10, 11]


def test_limits_are_neighbours() -> None:
    assert (SMALLEST_FLOAT32, SMALLEST_FLOAT64) == (2.0**-125, 2.0**-960)
    assert np.float32(BELOW_FLOAT32) == np.nextafter(np.float32(SMALLEST_FLOAT32), np.float32(0))
    assert np.nextafter(SMALLEST_FLOAT64, 0) == BELOW_FLOAT64


@pytest.mark.parametrize(
    ("dtype", "smallest"), [("float32", SMALLEST_FLOAT32), ("float64", SMALLEST_FLOAT64)]
)
def test_what_is_too_small_becomes_zero(dtype: str, smallest: float) -> None:
    edge = np.array(smallest, dtype)
    below = np.nextafter(edge, np.array(0, dtype))
    x = np.array([edge, -edge, below, -below, -0.0, 1.0, -np.inf], dtype)
    kept = np.array([edge, -edge, 0, 0, 0, 1.0, -np.inf], dtype)
    assert LIB.flush(x).dtype == dtype
    assert LIB.flush(x).tobytes() == kept.tobytes()
    assert LIB.down(x.astype(np.float64), np.dtype(dtype)).tobytes() == kept.tobytes()
    # A library that does it in one pass is told what to drop.
    asked = Library(np, shrink=lambda y, bound: (y, bound)).flush(x)
    assert asked[0] is x
    assert asked[1] == float(below)


def test_a_fence_stands_only_where_a_compiler_looks() -> None:
    tiny = np.array([1e-300])
    assert LIB.fence(tiny) is tiny
    assert Library(np, compiled=True).fence(tiny).tolist() == [0.0]


def test_constants_and_tables_are_on_the_device() -> None:
    made: list[Any] = []

    def asarray(values: Any, dtype: Any = None, device: Any = None) -> Any:
        made.append((dtype, device))
        return np.asarray(values, dtype=dtype)

    lib = Library(numpy_with(asarray=asarray), "gpu")
    assert lib.constant(1.5, np.float32).dtype == np.float32
    assert lib.constant(1.5).dtype == lib.table([1, 2]).dtype == np.float64
    assert {device for _, device in made} == {"gpu"}
    assert lib.zero32.dtype == np.float32
    assert (lib.zero32, lib.zero64) == (0.0, 0.0)
    assert [lib.is_float(np.zeros(1, t)) for t in ("f4", "f8", "i4", "?")] == [
        True,
        True,
        False,
        False,
    ]
    assert (lib.block, lib.compiled, LIB.device) == (0, False, None)
    double = np.ones(2)
    assert lib.up(np.ones(2, np.float32)).dtype == np.float64
    assert lib.up(double) is double
    assert Library(np, shrink=lambda y, bound: y).down(double, np.dtype("f8")) is double


def test_results_of_blocks_are_gathered_on_the_device() -> None:
    made: list[Any] = []

    def empty(shape: Any, dtype: Any = None, device: Any = None) -> Any:
        made.append(device)
        return np.empty(shape, dtype)

    asarray = lambda values, dtype=None, device=None: np.asarray(values, dtype)  # noqa: E731
    lib = Library(numpy_with(empty=empty, asarray=asarray), "gpu", block=2)
    lib.blocked(lambda a: a, np.ones(5))
    lib.by_rows(lambda a: (a,), np.ones((5, 1)))
    assert made == ["gpu", "gpu"]


@pytest.mark.parametrize("lib", [LIB, Library(np, view=view)])
def test_powers_of_two_of_any_shape(lib: Library) -> None:
    exponents = np.array([[-1022.0, -1.0, 0.0], [1.0, 600.0, 1023.0]])
    expected = np.array([[2.0**-1022, 0.5, 1.0], [2.0, 2.0**600, 2.0**1023]])
    np.testing.assert_array_equal(lib.power_of_two(exponents), expected)
    np.testing.assert_array_equal(lib.power_of_two(exponents[0]), expected[0])
    assert lib.power_of_two(np.array(3.0)).shape == ()


def test_picks_of_any_shape() -> None:

    def take(table: Any, index: Any, axis: int) -> Any:
        """As the standard has it: indices of one dimension."""
        assert index.ndim == 1
        asked.append(index.base)
        return np.take(table, index, axis=axis)

    asked: list[Any] = []
    lib = Library(numpy_with(take=take))
    index = np.array([[3, 1], [0, 2]])
    np.testing.assert_array_equal(lib.pick(lib.powers, index), lib.powers[index])
    np.testing.assert_array_equal(lib.pick(lib.powers, index[0].copy()), lib.powers[index[0]])
    assert asked[1] is None  # what has one dimension is taken as it is


def off_by(difference: float) -> Library:
    """A library whose log2 is off by so much from the exponent."""
    return Library(numpy_with(log2=lambda x: np.frexp(x)[1] - 1.0 + difference))


#: What a library's log2 may do at worst, and one that reads the bits instead.
LIBRARIES = {
    "right": off_by(0.0),
    "too small": off_by(-1.0),
    "too large": off_by(1.0),
    "bits": Library(numpy_with(log2=None), view=view),
}


@pytest.mark.parametrize("lib", LIBRARIES.values(), ids=LIBRARIES)
def test_a_scale_is_of_the_smallest_power_of_two_that_is_no_smaller(lib: Library) -> None:
    exponents = np.array([-600.0, -599, -3, 0, 1, 24, 599])
    powers = 2.0**exponents
    above = np.nextafter(powers, np.inf)
    for largest, power in ((powers, powers), (above, 2 * powers), (1.5 * powers, 2 * powers)):
        for bits in (0, 21):
            s, inverse = lib.scale(largest, bits)
            np.testing.assert_array_equal(s, 2.0**bits / power)
            np.testing.assert_array_equal(inverse, power * 2.0**-bits)
    assert lib.scale(np.array(2.0**600), 1) == (2.0**-599, 2.0**599)
    # Nothing to scale: the smallest that there is. Too large, or no number: the values become NaN.
    s, inverse = lib.scale(np.array([0.0, 2.0**-700, 2.0**601, np.inf, np.nan]), 3)
    assert s.tolist()[:2] == [2.0**603] * 2
    assert np.isfinite(s).all()
    np.testing.assert_array_equal(inverse, [2.0**-603, 2.0**-603, np.nan, np.nan, np.nan])
    negative_nan = np.copysign(np.array([np.nan]), -1.0)
    assert np.isnan(lib.scale(negative_nan, 3)[1]).all()
    assert lib.scale(np.float32([4.0]), 2)[0].dtype == np.float64


@pytest.mark.parametrize("lib", LIBRARIES.values(), ids=LIBRARIES)
def test_mantissas_and_exponents(lib: Library) -> None:
    exponents = np.array([-1021.0, -30, -1, 0, 1, 52, 1022, 1023])
    for m in (1.0, 1.0 + 2.0**-52, 1.5, 2.0 - 2.0**-52):
        found, e = lib.mantissa(m * 2.0**exponents)
        np.testing.assert_array_equal(e, exponents)
        np.testing.assert_array_equal(found, np.full(8, m))


@pytest.mark.parametrize("block", [0, 1, 3, 6, 7])
def test_blocks_are_put_together(block: int) -> None:
    lib, shapes = Library(np, block=block), list[Any]()

    def f(a: Any, b: Any) -> tuple[Any, Any]:
        shapes.append(a.shape)
        return a + b, (a > b).astype(np.int8)

    a, b = np.arange(6.0).reshape(2, 3), np.array([[3.0, 0, 5], [1, 4, 2]])
    total, more = lib.blocked(f, a, b)
    np.testing.assert_array_equal(total, a + b)
    np.testing.assert_array_equal(more, a > b)
    assert more.dtype == np.int8
    assert shapes == {1: [(1,)] * 6, 3: [(3,), (3,)]}.get(block, [(2, 3)])
    single = lib.blocked(lambda a: a * 2, a)
    np.testing.assert_array_equal(single, a * 2)
    np.testing.assert_array_equal(Library(np, block=4).blocked(lambda a: a * 2, a), a * 2)


@pytest.mark.parametrize("block", [0, 1, 6, 9, 12, 100])
def test_blocks_of_rows_are_put_together(block: int) -> None:
    lib, heights = Library(np, block=block), list[int]()
    a, column, row = (
        np.arange(21.0).reshape(7, 3) % 5,
        np.arange(7.0)[:, None],
        np.array([[1.0, 2.0, 3.0]]),
    )

    def f(a: Any, column: Any, row: Any) -> tuple[Any, Any]:
        heights.append(a.shape[0])
        return a * column + row, np.sum(a, axis=1, keepdims=True).astype(np.float32)

    y, sums = lib.by_rows(f, a, column, row)
    np.testing.assert_array_equal(y, a * column + row)
    np.testing.assert_array_equal(sums, a.sum(axis=1, keepdims=True))
    assert sums.dtype == np.float32
    # Whole where there is no block, or the rows make up two blocks at most.
    assert heights == {1: [1] * 7, 6: [2, 2, 2, 1], 9: [3, 3, 1]}.get(block, [7])
    both = lambda a: (np.max(a, axis=0, keepdims=True), np.max(-a, axis=0, keepdims=True))  # noqa: E731
    for found, expected in zip(lib.by_rows(both, a, join="max"), both(a), strict=True):
        np.testing.assert_array_equal(found, expected)
    (total,) = lib.by_rows(lambda a: (np.sum(a, axis=0, keepdims=True),), a, join="sum")
    np.testing.assert_array_equal(total, a.sum(axis=0, keepdims=True))


def test_rows_of_several_axes_or_of_nothing_are_cut_by_their_size() -> None:
    heights: list[int] = []

    def f(a: Any, wide: Any) -> tuple[Any]:
        heights.append(a.shape[0])
        return (a[:, 0, :] + wide,)

    a, wide = np.arange(24.0).reshape(6, 2, 2), np.ones((6, 2))
    (y,) = Library(np, block=8).by_rows(f, a, wide)
    np.testing.assert_array_equal(y, a[:, 0, :] + 1)
    assert heights == [2, 2, 2]
    heights.clear()
    Library(np, block=12).by_rows(f, a, wide)
    assert heights == [6]  # two blocks
    heights.clear()
    Library(np, block=2).by_rows(lambda c: (heights.append(len(c)) or c,), np.ones((7, 1)))
    assert heights == [2, 2, 2, 1]
    assert math.prod(Library(np, block=1).by_rows(lambda a: (a,), np.ones((6, 0)))[0].shape) == 0
