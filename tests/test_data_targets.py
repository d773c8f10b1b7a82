"""Encoding of targets: labels, numbers and sets of labels, and back."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyarray_mlp.data import TargetEncoder
from anyarray_mlp.errors import DataError, ModelFileError, UsageError


@pytest.mark.parametrize(
    ("target", "classes", "codes"),
    [
        (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
        (np.array(["b", "a", "b"], dtype=object), ["a", "b"], [1, 0, 1]),
        ([7, -3, 7], [-3, 7], [1, 0, 1]),
        ([2.0, 1.0, 2.0], [1, 2], [1, 0, 1]),
        ([0.5, 0.25, 0.5], [0.25, 0.5], [1, 0, 1]),
        ([True, False, True], [False, True], [1, 0, 1]),
        ([[0, 1], [1, 0], [0, 1]], [0, 1], [1, 0, 1]),
        ([[4], [3], [4]], [3, 4], [1, 0, 1]),
    ],
)
def test_classification(target: Any, classes: list[Any], codes: list[int]) -> None:
    fitted = TargetEncoder.fit(target, "classification")
    assert fitted.classes is not None
    assert fitted.classes.tolist() == classes
    assert fitted.width == 2
    encoded = fitted.encode(target)
    assert encoded.dtype == np.int64
    assert encoded.tolist() == codes
    assert fitted.decode(encoded).tolist() == [classes[code] for code in codes]


def test_labels_match_across_number_types() -> None:
    assert TargetEncoder.fit([1, 2], "classification").encode([2.0, 1.0]).tolist() == [1, 0]
    assert TargetEncoder.fit(["1", "3+"], "classification").encode([1, 1]).tolist() == [0, 0]
    assert TargetEncoder.fit([0, 1], "classification").encode([True, False]).tolist() == [1, 0]


def test_multilabel() -> None:
    target = [[0, 1, 1], [1, 0, 0]]
    fitted = TargetEncoder.fit(target, "multilabel")
    assert fitted.width == 3
    encoded = fitted.encode(target)
    assert encoded.dtype == np.float64
    assert fitted.decode(encoded).tolist() == target


@pytest.mark.parametrize("target", [[1.0, 2, 6], [[1.0, 0.1], [2, 0.2], [6, 0.3]]])
@pytest.mark.parametrize("scale_target", [False, True])
def test_regression(target: Any, scale_target: bool) -> None:
    fitted = TargetEncoder.fit(target, "regression", scale_target=scale_target)
    encoded = fitted.encode(target)
    assert encoded.shape == (3, fitted.width)
    if scale_target:
        np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-15)
        np.testing.assert_allclose(encoded.std(axis=0), 1)
    else:
        np.testing.assert_array_equal(encoded.ravel(), np.ravel(target))
    decoded = fitted.decode(encoded)
    assert decoded.shape == np.shape(target)
    np.testing.assert_allclose(decoded, target, rtol=1e-15)


UNFIT: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "one class": (["yes", "yes"], "classification", ("only one class", "'yes'", "at least two")),
    "empty": ([], "classification", ("empty",)),
    "nan label": ([1.0, math.nan], "classification", ("row 1", "nan", "leave that row out")),
    "missing label": (["a", None], "classification", ("row 1", "missing")),
    "mixed objects": (np.array(["a", 1], dtype=object), "classification", ("mixes", "1")),
    "labels of two dimensions": ([[1, 2], [3, 4]], "classification", ("(2, 2)", "multilabel")),
    "text as regression": (["a", "b"], "regression", ("'a'", "text", "classification")),
    "nan": ([1.0, math.nan, 2], "regression", ("row 1, column 0", "nan", "finite")),
    "infinite": ([[1.0, 2], [3, -math.inf]], "regression", ("row 1, column 1", "-inf")),
    "complex": ([1j], "regression", ("complex128",)),
    "two in a set of labels": ([[0, 2]], "multilabel", ("row 0, column 1", "2.0", "0 or 1")),
    "labels in one column": ([0, 1], "multilabel", ("(2,)", "(n, k)")),
}


@pytest.mark.parametrize("case", UNFIT)
def test_target_that_cannot_be_fitted(case: str) -> None:
    target, task, parts = UNFIT[case]
    with pytest.raises(DataError) as caught:
        TargetEncoder.fit(target, task)
    for part in parts:
        assert part in str(caught.value)


def test_options_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="scale_target"):
        TargetEncoder.fit([0, 1], "classification", scale_target=True)
    with pytest.raises(UsageError, match="'ranking'"):
        TargetEncoder.fit([0, 1], "ranking")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "given_target", "task", "parts"),
    [
        (["cat", "dog"], ["dog", "cow"], "classification", ("'cow'", "row 1", "'cat', 'dog'")),
        (["cat", "dog"], ["dgo"], "classification", ("did you mean 'dog'",)),
        ([1, 2], ["1"], "classification", ("'1' is text", "1, 2")),
        ([1, 2], [3], "classification", ("the label 3", "1, 2")),
        ([1.0, 2.5], [[1.0, 2.0]], "regression", ("2 column(s)", "trained on 1")),
        ([[0, 1]], [[0, 1, 1]], "multilabel", ("3 column(s)", "trained on 2")),
    ],
)
def test_target_unlike_that_of_training(
    known: Any, given_target: Any, task: Any, parts: tuple[str, ...]
) -> None:
    fitted = TargetEncoder.fit(known, task)
    with pytest.raises(DataError) as caught:
        fitted.encode(given_target)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("codes", [[2], [-1], [0.5], [[0, 1]]])
def test_codes_that_are_none(codes: Any) -> None:
    with pytest.raises(DataError, match="codes"):
        TargetEncoder.fit(["a", "b"], "classification").decode(codes)


LABELS = st.one_of(
    st.lists(st.integers(-(2**40), 2**40), min_size=2, unique=True),
    st.lists(st.text(st.characters(exclude_characters="\0"), max_size=5), min_size=2, unique=True),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, unique=True),
)


@given(LABELS)
def test_json_round_trip_of_labels(labels: list[Any]) -> None:
    fitted = TargetEncoder.fit(labels, "classification")
    restored = TargetEncoder.from_json(json.loads(json.dumps(fitted.to_json())))
    codes = fitted.encode(labels)
    assert sorted(codes.tolist()) == list(range(len(labels)))
    np.testing.assert_array_equal(restored.encode(labels), codes)
    assert restored.decode(codes).tolist() == labels


@given(st.lists(st.floats(-1e100, 1e100), min_size=1), st.booleans())
def test_json_round_trip_of_numbers(numbers: list[float], scale_target: bool) -> None:
    fitted = TargetEncoder.fit(numbers, "regression", scale_target=scale_target)
    restored = TargetEncoder.from_json(json.loads(json.dumps(fitted.to_json())))
    encoded = fitted.encode(numbers)
    assert restored.encode(numbers).tobytes() == encoded.tobytes()
    assert restored.decode(encoded).tobytes() == fitted.decode(encoded).tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"task": "ranking"},
        {"classes": None},
        {"classes": []},
        {"classes": ["a", "a"]},
        {"classes": ["a", 1]},
        {"classes": [["a"], ["b"]]},
        {"flat": None},
        {"task": "regression"},
        {"task": "regression", "mean": [0.0], "scale": [0.0]},
        {"task": "regression", "mean": [math.nan], "scale": [1.0]},
        {"task": "regression", "mean": [0.0, 0.0], "scale": [1.0]},
    ],
)
def test_altered_json_is_refused(change: dict[str, Any]) -> None:
    record = TargetEncoder.fit(["a", "b"], "classification").to_json() | change
    with pytest.raises(ModelFileError, match="cannot be used: targets"):
        TargetEncoder.from_json(record)


@pytest.mark.parametrize("target", [np.array([1.0, 2.0]), np.array([[1.0, 2.0], [3.0, 5.0]])])
def test_no_rows_are_encoded_and_decoded_as_no_rows(target: Any) -> None:
    encoder = TargetEncoder.fit(target, "regression", scale_target=True)
    assert encoder.encode(target[:0]).shape == (0, encoder.width)
    assert encoder.decode(np.zeros((0, encoder.width))).shape == target[:0].shape


def test_decimals_are_numbers_and_pandas_na_is_missing() -> None:
    encoder = TargetEncoder.fit(np.array([Decimal("1.5"), 2], dtype=object), "regression")
    assert encoder.encode(np.array([Decimal("0.5")], dtype=object)).tolist() == [[0.5]]
    with pytest.raises(DataError, match=r"row 1 \(from 0\) is missing"):
        TargetEncoder.fit(np.array(["a", pandas.NA, "b"], dtype=object), "classification")
