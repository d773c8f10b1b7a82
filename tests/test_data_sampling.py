"""Which examples train, in which order, with which weight; the same bits everywhere."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyarray_mlp.data import Shuffler, class_weights, sampling, split_indices
from anyarray_mlp.data.sampling import bell, permutation, stratified, uniform
from anyarray_mlp.errors import DataError, ModelFileError, OutOfMemoryError, UsageError
from anyarray_mlp.streams import bit_generator


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 2**70))
def test_split_is_a_partition(n: int, fraction: float, seed: int) -> None:
    train, held_out = split_indices(n, fraction=fraction, seed=seed)
    assert sorted([*train, *held_out]) == list(range(n))
    assert len(held_out) == min(max(round(fraction * n), 1), n - 1)
    again = split_indices(n, fraction=fraction, seed=seed)
    np.testing.assert_array_equal(again[1], held_out)


@given(st.lists(st.integers(0, 5), min_size=12, max_size=200), st.floats(0.05, 0.95))
def test_stratified_split_keeps_proportions(labels: list[int], fraction: float) -> None:
    array = np.array(labels)
    train, held_out = split_indices(len(array), fraction=fraction, seed=3, labels=array)
    assert sorted([*train, *held_out]) == list(range(len(array)))
    for label in set(labels):
        count = int((array == label).sum())
        taken = int((array[held_out] == label).sum())
        assert taken < count
        assert abs(taken - fraction * count) <= 1 + (taken == count - 1)


def test_stratified_split_of_texts_is_exact_where_it_can_be() -> None:
    labels = np.array(["a"] * 80 + ["b"] * 15 + ["c"] * 5)
    _, held_out = split_indices(100, fraction=0.2, seed=0, labels=labels)
    assert dict(zip(*np.unique(labels[held_out], return_counts=True), strict=True)) == {
        "a": 16,
        "b": 3,
        "c": 1,
    }


@pytest.mark.parametrize(
    ("counts", "fraction", "held_out"),
    [
        (
            [7, 5, 3],
            0.3,
            [2, 1, 1],
        ),  # shares 2.1, 1.5, 0.9 of 4: the largest remainder gets one more
        ([9, 5], 0.3, [3, 1]),  # 2.7 and 1.5 of 4
        ([5, 6, 7] * 100, 0.3, [2, 2, 2] * 40 + [1, 2, 2] * 60),  # 1.5, 1.8 and 2.1 of 540
        ([5, 5, 5, 5], 0.3, [2, 2, 1, 1]),  # of equal remainders the first ones, 1.5 each of 6
        ([5] * 40, 0.3, [2] * 20 + [1] * 20),
        ([2, 2], 0.9, [1, 1]),  # one row of each is left to train on
        ([3, 3], 0.6, [2, 2]),
        ([3, 3], float(np.nextafter(1.0, 0.0)), [2, 2]),
        (
            [1, 9],
            0.5,
            [0, 5],
        ),  # a class of one row is never held out, the other gives what is missing
        ([10], 0.24, [2]),
        ([10, 10], 0.02, [1, 0]),  # at least one row
    ],
)
def test_classes_give_their_share(counts: list[int], fraction: float, held_out: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    _, rows = split_indices(len(labels), fraction=fraction, seed=5, labels=labels)
    assert np.bincount(labels[rows], minlength=len(counts)).tolist() == held_out


def test_the_first_rows_of_each_class_are_held_out() -> None:
    labels, order = np.arange(60) % 3, np.arange(60)[::-1]
    found = stratified(labels, order, 0.2, 12)
    assert found.tolist() == [57, 54, 51, 48, 58, 55, 52, 49, 59, 56, 53, 50]


def test_rows_are_ascending_and_one_at_least_is_on_either_side() -> None:
    for fraction, held_out in ((0.001, 1), (0.25, 2), (0.999, 9)):
        train, rows = split_indices(10, fraction=fraction, seed=1)
        assert (len(rows), len(train)) == (held_out, 10 - held_out)
        for indices in (train, rows):
            assert indices.dtype == np.int64
            assert np.all(np.diff(indices) > 0)
    assert [len(part) for part in split_indices(2, fraction=0.5, seed=0)] == [1, 1]


def test_generated_numbers_have_their_moments() -> None:
    generator = bit_generator("shuffle", 3)
    u = uniform(generator, 40_000)
    assert 0.0 <= u.min() < 1e-3
    assert 1 - 1e-3 < u.max() < 1.0
    assert u.mean() == pytest.approx(0.5, abs=0.01)
    assert np.all(u * 2.0**53 == np.floor(u * 2.0**53))
    assert np.any(u * 2.0**52 != np.floor(u * 2.0**52))
    z = bell(generator, 40_000)
    assert z.shape == (40_000,)
    assert [np.mean(z**k) for k in (1, 2, 3, 4)] == pytest.approx([0.0, 1.0, 0.0, 2.9], abs=0.08)
    assert abs(np.mean(z[1:] * z[:-1])) < 0.02
    many = permutation(generator, 1000)
    assert many.dtype == np.int64
    assert sorted(many.tolist()) == list(range(1000))
    assert abs(np.corrcoef(many, np.arange(1000))[0, 1]) < 0.15


def test_equal_numbers_keep_their_order() -> None:
    raw = np.random.Generator(np.random.PCG64(0)).integers(0, 3, 1000).astype(np.uint64)
    order = permutation(SimpleNamespace(random_raw=lambda n: raw[:n]), 1000)
    assert order.tolist() == sorted(range(1000), key=raw.tolist().__getitem__)


def test_seeds_give_different_splits() -> None:
    held_out = [split_indices(1000, fraction=0.1, seed=seed)[1] for seed in range(3)]
    assert len({tuple(indices) for indices in held_out}) == 3


PINNED_ORDER = [3, 6, 2, 1, 4, 5, 0, 7]
PINNED_SPLIT = [0, 3, 13, 15, 19]


def test_order_is_pinned() -> None:
    # Raw PCG64 integers and a stable sort: these change with the version of the streams alone.
    assert Shuffler(0).permutation(8).tolist() == PINNED_ORDER
    assert split_indices(20, fraction=0.25, seed=1)[1].tolist() == PINNED_SPLIT


@pytest.mark.parametrize(
    ("n", "options", "error", "text"),
    [
        (10, {"fraction": 0.0}, UsageError, "between 0 and 1"),
        (10, {"fraction": 1.0}, UsageError, "between 0 and 1"),
        (10, {"fraction": float("nan")}, UsageError, "nan"),
        (10, {"fraction": True}, UsageError, "True"),
        (10, {"fraction": 0.5, "seed": -1}, UsageError, "seed must .* got -1"),
        (10, {"fraction": 0.5, "seed": 1.5}, UsageError, "seed must .* got 1.5"),
        (-1, {"fraction": 0.5}, UsageError, "^n must be a whole number of at least 0, got -1"),
        (2.0, {"fraction": 0.5}, UsageError, "^n must be a whole number of at least 0, got 2.0"),
        (0, {"fraction": 0.5}, DataError, r"^0 row\(s\) cannot be split"),
        (1, {"fraction": 0.5}, DataError, "at least two"),
        (
            2**62,
            {"fraction": 0.5},
            OutOfMemoryError,
            "^4611686018427387904 rows do not fit in memory",
        ),
        (2, {"fraction": 0.5, "labels": [[1], [2, 3]]}, DataError, "^labels must be an array, got"),
        (
            3,
            {"fraction": 0.5, "labels": np.array([1, "a", 2], object)},
            DataError,
            "cannot be compared",
        ),
        (10, {"fraction": 0.5, "stream": "split"}, UsageError, "^stream must be one of"),
        (3, {"fraction": 0.5, "labels": [1, 2]}, DataError, r"3 rows and labels of shape \(2,\)"),
        (
            3,
            {"fraction": 0.5, "labels": [1, 2, 3]},
            DataError,
            "each of the 3 classes has a single one of the 3 rows",
        ),
    ],
)
def test_split_that_cannot_be(n: int, options: dict[str, Any], error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        split_indices(n, **{"seed": 0, **options})


@given(st.integers(0, 2**64), st.integers(1, 100), st.integers(0, 3))
def test_shuffler_takes_up_where_it_stood(seed: int, n: int, epochs: int) -> None:
    shuffler = Shuffler(seed)
    for _ in range(epochs):
        assert sorted(shuffler.permutation(n)) == list(range(n))
    state = json.loads(json.dumps(shuffler.state()))
    following = [shuffler.permutation(n).tolist() for _ in range(3)]
    other = Shuffler(0)
    other.restore(state)
    assert [other.permutation(n).tolist() for _ in range(3)] == following


def test_epochs_differ() -> None:
    shuffler = Shuffler(0)
    assert shuffler.permutation(100).tolist() != shuffler.permutation(100).tolist()
    with pytest.raises(UsageError, match="n is 0"):
        shuffler.permutation(0)
    for n in (-1, 1.0):
        with pytest.raises(UsageError, match=f"^n must be a whole number of at least 0, got {n}"):
            shuffler.permutation(n)


@pytest.mark.parametrize(
    "change",
    [
        {"bit_generator": "MT19937"},
        {"state": "xyz"},
        {"state": 5},
        {"state": "-0x1"},
        {"state": hex(1 << 128)},
        {"inc": "0x2"},
        {"inc": None},
        {"inc": hex((1 << 128) + 1)},
        {"inc": "-0x1"},
    ],
)
def test_altered_state_is_refused(change: dict[str, Any]) -> None:
    shuffler = Shuffler(0)
    with pytest.raises(ModelFileError, match="another checkpoint"):
        shuffler.restore(shuffler.state() | change)


def test_states_at_their_ends_are_taken_and_others_are_named() -> None:
    shuffler = Shuffler(0)
    state = {"bit_generator": "PCG64", "state": "0x0", "inc": "0x1"}
    shuffler.restore(state)
    assert shuffler.state() == state
    fresh = Shuffler(5)
    shuffler.restore(fresh.state())
    assert shuffler.generator.state == fresh.generator.state
    with pytest.raises(ModelFileError, match=r"bit generator 'MT19937'\); resume from another"):
        shuffler.restore(state | {"bit_generator": "MT19937"})


def test_balanced_class_weights() -> None:
    labels = np.array(["a", "b", "a", "a"])
    weights = class_weights(labels, "balanced")
    np.testing.assert_allclose(weights, [2 / 3, 2, 2 / 3, 2 / 3])


@pytest.mark.parametrize("given_weights", [{1: 3.0}, {"1": 3}, {1: 3.0, 0: 1}])
def test_class_weights_by_label(given_weights: Any) -> None:
    assert class_weights(np.array([0, 1, 0]), given_weights).tolist() == [1, 3, 1]


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ("balance", "'balance'; give 'balanced'"),
        ({"dgo": 1.0}, "'dgo'.*did you mean 'dog'.*'cat', 'dog'"),
        ({"dog": -1.0}, "'dog' is -1.0"),
        ({"dog": float("nan")}, "nan"),
        ({"dog": float("inf")}, "inf"),
        ({"dog": "2"}, "'2'; give a number"),
        ({"dog": True}, "True; give a number"),
        ({"dog": 0, "cat": 0}, "every class weight is 0"),
    ],
)
def test_class_weights_that_cannot_be(weights: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        class_weights(np.array(["cat", "dog"]), weights)


def test_class_weights_need_labels() -> None:
    with pytest.raises(DataError, match=r"\(0,\)"):
        class_weights(np.array([]), "balanced")


def test_rows_that_do_not_fit_in_memory_are_refused_before_and_while_they_are_ordered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def exceeds(size: int) -> bool:
        asked.append(size)
        return len(asked) == 2

    def fails(*_: Any) -> Any:
        raise MemoryError

    refused = pytest.raises(OutOfMemoryError, match=r"^100 rows do not fit in memory; give fewer")
    monkeypatch.setattr(sampling, "exceeds_memory", exceeds)
    assert len(split_indices(100, fraction=0.5, seed=0)[0]) == 50
    with refused:
        split_indices(100, fraction=0.5, seed=0)
    monkeypatch.setattr(sampling, "permutation", fails)
    with refused:
        split_indices(100, fraction=0.5, seed=0)
    assert asked == [800] * 3  # the bytes of the rows' places


def test_labels_of_different_lengths_are_named() -> None:
    with pytest.raises(DataError, match=r"^labels must be an array, got rows of different"):
        class_weights([[1, 2], [3]], "balanced")
