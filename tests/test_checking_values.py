"""The checks of values that every entrance shares: what passes, at its ends, and how the rest is refused."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.checking import values
from anyarray_mlp.checking.messages import nearest, nearest_spelling, suggestion
from anyarray_mlp.errors import DataError, UsageError

NAN, INF = math.nan, math.inf


def test_kinds_of_numbers() -> None:
    whole = [0, -3, 2**70, np.int8(3), np.uint64(2**63)]
    real = [*whole, 0.5, -INF, np.float32(2), Fraction(1, 3)]
    neither = [True, np.False_, "1", None, 1j, [1], np.array([1])]
    assert all(map(values.is_whole, whole))
    assert not any(map(values.is_whole, [0.0, np.float64(1), *neither]))
    assert all(map(values.is_real, real))
    assert not any(map(values.is_real, [NAN, np.float32("nan"), 10**400, *neither]))
    assert values.is_true(True)
    assert values.is_true(np.True_)
    assert not any(map(values.is_true, [False, np.False_, 1, "yes", np.array(True), None]))


def whole(value: Any) -> int:
    return values.check_whole("n", value, 2)


def from_two_to_four(value: Any) -> int:
    return values.check_whole("n", value, 2, 4)


def below_one(value: Any) -> float:
    return values.check_real("n", value, "below 1", lambda v: v < 1)


def positive(value: Any) -> float:
    return values.check_positive("n", value)


def not_negative(value: Any) -> float:
    return values.check_not_negative("n", value)


def boolean(value: Any) -> bool:
    return values.check_boolean("n", value)


def called(value: Any) -> None:
    values.check_callable("n", value)


def scheduled(value: Any) -> None:
    values.check_callable("n", value, "a schedule")


def text(value: Any) -> None:
    values.check_instance("n", value, str, "a text")


def items(value: Any) -> tuple[Any, ...]:
    return values.items("n", value, "a list of sizes")


def path(value: Any) -> None:
    values.check_path("n", value)


NAME = "x" * 255
#: 16 names and their separators: 4,096 bytes, as many as a path may have.
LONG = f"{NAME}/" * 16


@pytest.mark.parametrize(
    ("check", "value", "kept"),
    [
        (whole, 2, 2),
        (whole, np.int64(10**9), 10**9),
        (from_two_to_four, 2, 2),
        (from_two_to_four, np.uint8(4), 4),
        (below_one, -5, -5),
        (positive, 5e-324, 5e-324),
        (positive, np.float32(1.5), 1.5),
        (not_negative, 0, 0),
        (not_negative, 1e308, 1e308),
        (boolean, np.True_, True),
        (boolean, False, False),
        (called, len, None),
        (text, "", None),
        (items, [3, 4], (3, 4)),
        (items, (3,), (3,)),
        (items, range(2), (0, 1)),
        (items, np.array([3, 4]), (3, 4)),
        (items, [], ()),
        (path, "a", None),
        (path, Path("a/b"), None),
        (path, "/", None),
        (path, NAME, None),
        (path, LONG, None),
        (path, "é" * 127, None),
    ],
)
def test_what_fits_is_kept(check: Any, value: Any, kept: Any) -> None:
    found = check(value)
    assert found == kept
    if kept is not None and check not in (below_one, positive, not_negative):
        assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("check", "allowed", "refused"),
    [
        (whole, "a whole number of at least 2", [1, 2.0, True, None, "3", -INF]),
        (from_two_to_four, "a whole number from 2 to 4", [1, 5, 3.0, "3"]),
        (below_one, "below 1", [1, NAN, "0", None]),
        (positive, "positive and finite", [0, -1, INF, NAN, True, "1"]),
        (not_negative, "at least 0 and finite", [-5e-324, INF, NAN, None]),
        (boolean, "True or False", [0, 1, "True", None, np.array(True)]),
        (called, "a function", [3, None, "len", int]),
        (scheduled, "a schedule", [0.1]),
        (text, "a text", [3, None, b"a"]),
        (items, "a list of sizes", ["34", b"34", {3: 4}, {3}, 3, None, np.array(3)]),
        (
            path,
            "a path, of names of at most 255 bytes",
            ["", "a\0b", NAME + "x", "é" * 128, LONG + "x", 3, None, b"a"],
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_its_name(
    check: Any, allowed: str, refused: list[Any]
) -> None:
    for value in refused:
        with pytest.raises(
            UsageError, match=f"^n must be {allowed}, got {re.escape(values.shown(value))}\\.$"
        ):
            check(value)


WEIGHT = np.array([0.5, 0.0, -2.0])


def test_weights_of_samples() -> None:
    assert values.checked_weight(None, 3) is None
    for kind in (np.float32, np.float64):
        given = WEIGHT.astype(kind)
        assert values.checked_weight(given, 3) is given
    for kind in (np.int8, np.uint8, bool):
        found = values.checked_weight(np.array([1, 0, 1], kind), 3)
        assert found.dtype == np.float64
        assert found.tolist() == [1.0, 0.0, 1.0]

    other = SimpleNamespace(shape=[3])  # of another library
    assert values.checked_weight(other, 3) is other


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, 2.0, 3.0], r"must have shape (3,), one for each row of x, got [1.0, 2.0, 3.0]."),
        (np.ones(2), "must have shape (3,), one for each row of x, got (2,)."),
        (np.ones((3, 1)), "got (3, 1)."),
        (np.array(["a", "b", "c"]), "must hold numbers, got dtype <U1."),
        (np.ones(3, complex), "must hold numbers, got dtype complex128."),
        (np.array([1.0, NAN, INF]), "holds nan in row 1: give finite numbers."),
    ],
)
def test_what_is_no_weight_of_each_sample_is_refused(weight: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"^sample_weight .*{re.escape(message)}$"):
        values.checked_weight(weight, 3)


def test_arrays_of_lists() -> None:
    assert values.as_array("labels", [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match=r"^labels must be an array, got rows of different length"):
        values.as_array("labels", [[1, 2], [3]])


def test_the_nearest_name() -> None:
    assert nearest("alhpa", ["alpha", "beta"]) == "alpha"
    assert nearest("Batch-Size", {"batch_size": 1}) == "batch_size"  # a name, though it has a value
    assert nearest_spelling("sigmiod", {"sigmoid": "logistic"}) == "logistic"
    assert nearest("soft", ["softplus"]) is None
    assert nearest("%%", ["%%%", "a"]) == "%%%"  # of no letters
    assert nearest("x", []) is None
    assert suggestion("rde", {"red": 0, "blue": 1}) == " (did you mean 'red'?)"
    assert suggestion("green", ["red"]) == ""
