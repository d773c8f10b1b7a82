"""A column that says which rows are which, and splits by group and by time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyarray_mlp.data import split_by_folds, split_indices
from anyarray_mlp.errors import DataError, UsageError

READ: list[tuple[str, list[Any], str, str]] = [
    ("part", ["train", "Test", "valid", "train"], "0210", "'train' is training, 'Test' is test, 'valid' is validation"),
    ("part", ["tr", "dev", "holdout"], "012", "'holdout' is test"),
    ("is_test", [0, 1, 0], "020", "1 is test, 0 is training"),
    ("is_valid", [True, False, False], "100", "1 is validation, 0 is training"),
    ("train", [1.0, 0.0, 1.0], "020", "1 is training, 0 is test"),
    ("isTest", ["yes", "no", "No"], "200", "1 is test, 0 is training"),
    ("fold", [0, 1, 0], "020", "fold 1, the highest, is test, all others are training"),
    ("fold", [1, 2, 3, 4, 5, 1], "000120", "fold 5, the highest, is test, fold 4 is validation"),
    ("fold", [-1, 0, -1, 0], "0202", "fold 0, the highest, is test"),
    ("fold", ["1", "2", "1"], "", "'1', '2'; it must say train, validation or test"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "cells", "parts", "said"), READ)
def test_what_a_column_of_folds_says(name: str, cells: list[Any], parts: str, said: str) -> None:
    if not parts:
        with pytest.raises(DataError, match=said):
            split_by_folds(np.array(cells, object), name)
        return
    found = split_by_folds(np.array(cells, object), name)
    for rows, part in zip(found[:3], "012", strict=True):
        assert rows.tolist() == [row for row, mark in enumerate(parts) if mark == part]
    assert said in found.note
    assert f"column {name!r} says which rows are which" in found.note


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["train", None], r"does not say in which part row 1 \(from 0\) is"),
        (["train", "tset"], "holds 'tset'; it must say train, validation or test"),
        (["train", "train"], "holds out no rows"),
        (["test", "test"], "leaves no rows to train on"),
        ([3, 3, 3], "holds 3 in every row; it must tell at least two folds apart"),
        ([0, 0.5, 1], "folds are whole numbers"),
        ([-1, -1], "holds -1 in every row"),
    ],
)
def test_folds_that_cannot_be(cells: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_by_folds(np.array(cells, object))


GROUPS = st.lists(st.integers(0, 8), min_size=4, max_size=80).filter(lambda g: len(set(g)) > 1)


@given(GROUPS, st.floats(0.05, 0.6), st.integers(0, 5))
def test_no_group_is_on_both_sides(groups: list[int], fraction: float, seed: int) -> None:
    array = np.array(groups)
    train, held_out = split_indices(len(array), fraction=fraction, seed=seed, groups=array)
    assert sorted([*train, *held_out]) == list(range(len(array)))
    assert min(len(train), len(held_out)) > 0
    assert not set(array[train]) & set(array[held_out])
    again = split_indices(len(array), fraction=fraction, seed=seed, groups=array.astype(str))
    np.testing.assert_array_equal(again[1], held_out)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=30, max_size=90),
    st.integers(0, 3),
)
def test_groups_leave_every_class_a_row_to_train_on(rows: list[tuple[int, int]], seed: int) -> None:
    groups, labels = np.array(rows).T
    try:
        train, held_out = split_indices(
            len(rows), fraction=0.25, seed=seed, groups=groups, labels=labels
        )
    except DataError:
        counts = {(g, c) for g, c in rows}
        assert all(
            any({g2 for g2, c2 in counts if c2 == c} == {g} for c in set(labels))
            for g in set(groups)
        )
        return
    assert set(labels[train]) == set(labels)
    assert not set(groups[train]) & set(groups[held_out])


def test_groups_come_near_the_fraction_and_the_classes() -> None:
    groups = np.repeat(np.arange(100), 10)
    labels = (np.arange(100) < 30).astype(int)[groups]
    shares = []
    for seed in range(5):
        _, held_out = split_indices(1000, fraction=0.2, seed=seed, groups=groups, labels=labels)
        assert len(held_out) == 200
        assert labels[held_out].sum() == 60
        shares.append(tuple(np.unique(groups[held_out])))
    assert len(set(shares)) == 5


def test_the_groups_held_out_are_pinned_and_have_streams_of_their_own() -> None:
    groups = np.arange(20) // 2
    held_out = split_indices(20, fraction=0.3, seed=1, groups=groups)[1].tolist()
    other = split_indices(20, fraction=0.3, seed=1, groups=groups, stream="validation split")[1]
    assert held_out != other.tolist()
    assert held_out == [12, 13, 16, 17, 18, 19]


@given(st.lists(st.integers(0, 20), min_size=2, max_size=60), st.floats(0.05, 0.9))
def test_the_latest_rows_are_held_out(times: list[int], fraction: float) -> None:
    array = np.array(times, dtype=float)
    if len(set(times)) < 2:
        with pytest.raises(DataError, match="have the same time"):
            split_indices(len(array), fraction=fraction, seed=0, times=array)
        return
    train, held_out = split_indices(len(array), fraction=fraction, seed=0, times=array)
    assert sorted([*train, *held_out]) == list(range(len(array)))
    assert array[train].max() < array[held_out].min()
    # No other cut between two times comes nearer to the fraction.
    wanted = min(max(round(fraction * len(array)), 1), len(array) - 1)
    others = [int((array >= cut).sum()) for cut in sorted(set(times))[1:]]
    assert abs(len(held_out) - wanted) == min(abs(rows - wanted) for rows in others)
    shifted = np.datetime64("2020-01-01") + array.astype("timedelta64[D]")
    of_dates = split_indices(len(array), fraction=fraction, seed=9, times=shifted)
    np.testing.assert_array_equal(of_dates[1], held_out)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"groups": [1, 1, 1, 1]}, DataError, "all 4 rows are of one group, 1"),
        (
            {"groups": [1, 2]},
            DataError,
            r"4 rows and groups of shape \(2,\); give one group for each row",
        ),
        (
            {"groups": [1, 1, 2, 2], "labels": [0, 0, 1, 1]},
            DataError,
            "each of the 2 groups has all rows of a class",
        ),
        ({"times": [1.0, np.nan, 2.0, 3.0]}, DataError, r"time of row 1 \(from 0\) is missing"),
        ({"times": np.array(["a", "b", "c", "d"])}, DataError, "give numbers or datetime64"),
        ({"times": [1, 2]}, DataError, "give one time for each row"),
        (
            {"times": [1, 2, 3, 4], "groups": [1, 2, 3, 4]},
            UsageError,
            "groups and times split rows in two ways",
        ),
    ],
)
def test_splits_that_cannot_be(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        split_indices(4, fraction=0.5, seed=0, **options)
