"""Data as users have them: tables of pandas and polars, columns and lists train to the bits of the arrays they hold."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas
import pytest

from anyarray_mlp.backends import select_backend
from anyarray_mlp.diagnosis import RunMonitor, fit
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.pipeline import TrainedModel, train_table
from anyarray_mlp.training import Recipe, predict, train
from anyarray_mlp.training.given import as_rows, column_names

NUMPY = select_backend("numpy", dtype="float64")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3))
LABELS = (X[:, 0] > 0).astype(np.int64)
VALUES = X[:, :1] - X[:, 1:2]
NAMES = ["a", "b", "c"]
CLASSES, NUMBERS = MLP((3, 5, 2), "tanh"), MLP((3, 5, 1), "tanh", output="identity")


def table(x=X):
    return pandas.DataFrame(x, columns=NAMES)


def polars_table():
    polars = pytest.importorskip("polars")
    return polars.DataFrame({name: X[:, place] for place, name in enumerate(NAMES)})


@pytest.mark.needs("values", "writable")
def test_tables_and_lists_train_to_the_bits_of_arrays(backend):
    options = {"epochs": 2, "backend": backend}
    expected = fit(
        CLASSES, X, LABELS, sample_weight=X[:, 0] ** 2, validation=(X, LABELS), **options
    )
    column = pandas.Series(LABELS, index=range(100, 160))  # its index is of no account
    for x, targets, weight in (
        (table(), column, pandas.Series(X[:, 0] ** 2)),
        (X.tolist(), LABELS.tolist(), (X[:, 0] ** 2).tolist()),
        (list(X), tuple(LABELS), list(X[:, 0] ** 2)),
    ):
        found = fit(CLASSES, x, targets, sample_weight=weight, validation=(x, targets), **options)
        assert found.hash == expected.hash


def test_polars_tables_and_columns_train_to_the_bits_of_arrays():
    polars = pytest.importorskip("polars")
    expected = fit(NUMBERS, X, VALUES, epochs=2)
    for targets in (polars.Series("t", VALUES[:, 0]), polars.DataFrame({"t": VALUES[:, 0]})):
        assert fit(NUMBERS, polars_table(), targets, epochs=2).hash == expected.hash


@pytest.mark.parametrize("options", [{}, {"optimizer": "lbfgs"}, {"diagnose": True}])
def test_one_number_for_each_row_is_a_column_of_one_output(options):
    expected = fit(NUMBERS, X, VALUES, backend=NUMPY, epochs=2, **options)
    for targets in (VALUES[:, 0], VALUES[:, 0].tolist(), pandas.Series(VALUES[:, 0])):
        found = fit(NUMBERS, table(), targets, backend=NUMPY, epochs=2, **options)
        assert found.hash == expected.hash
        assert found.diagnosis == expected.diagnosis


def test_the_other_doors_take_them_too():
    recipe = Recipe(epochs=1)
    (one,) = train(NUMBERS, table(), VALUES[:, 0], recipe)
    (other,) = train(NUMBERS, X, VALUES, recipe)
    assert one.loss == other.loss
    parameters = NUMBERS.initialize(0)
    outputs = predict(NUMBERS, parameters, X)
    assert np.array_equal(predict(NUMBERS, parameters, table()), outputs)
    assert np.array_equal(predict(NUMBERS, parameters, X.tolist()), outputs)
    monitor = RunMonitor(NUMBERS, table(), VALUES[:, 0].tolist(), recipe)
    watched = fit(NUMBERS, X, VALUES, recipe, callbacks=monitor)
    assert monitor.finish(watched) == fit(NUMBERS, X, VALUES, recipe, diagnose=True).diagnosis


def test_arrays_stay_as_they_are():
    for array in (X, np.zeros((2, 3), np.uint8), np.zeros((2, 0)), np.zeros(2, bool)):
        assert as_rows("x", array) is array


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        ({"a": np.array([1, 2], np.uint8), "b": np.array([3, 4], np.uint8)}, "uint8"),
        ({"a": np.array([1, 2], np.float32), "b": np.array([True, False])}, "float32"),
        ({"a": [1, 2], "b": [0.5, 1.5]}, "float64"),
        ({"a": [True, False], "b": [0.5, 1.5]}, "float64"),
        ({"a": [2**53 + 1, 2], "b": [3, 4]}, "int64"),
        ({"a": pandas.array([1, 2], dtype="Int64"), "b": pandas.array([1, 2], dtype="Float64")}, "float64"),
        ({"a": pandas.array([True, False], dtype="boolean"), "b": [1, 2]}, "int64"),
        ({"a": np.array([1, 2.5], object), "b": [1, 2]}, "float64"),
    ],
)  # fmt: skip
def test_a_table_comes_to_the_type_that_its_columns_share(columns, dtype):
    found = as_rows("x", pandas.DataFrame(columns))
    assert found.dtype == dtype
    assert found.tolist() == [list(row) for row in zip(*map(list, columns.values()), strict=True)]


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["red", "blue"], "x must hold numbers, got .*'red' in row 0 of column 'b': .*use train_table"),
        ([1.0, "blue"], "'blue' in row 1 of column 'b': .*use train_table"),
        ([Decimal("1.5"), Decimal(2)], r"Decimal\('1.5'\) in row 0 of column 'b'"),
        ([1 + 2j, 0], "got dtype complex128"),
        ([2**70, 1], "got dtype object, such as 1180591620717411303424"),
        (pandas.Categorical([1, 2]), "x holds categories of column 'b': .*use train_table"),
        (pandas.to_datetime(["2020-01-01", "2020-01-02"]), r"datetime.* in row 0 of column 'b'"),
        ([1.0, None], "x has no value in row 1 of column 'b': fill the gaps, or use train_table, which does"),
        (pandas.array([None, 2], dtype="Int64"), "x has no value in row 0 of column 'b'"),
        (pandas.array([True, None], dtype="boolean"), "x has no value in row 1 of column 'b'"),
        ([float("inf"), 0.0], "x holds inf in row 0, column 1"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_row_and_column(column, words):
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": column, "c": [0, 1]})
    with pytest.raises(DataError, match=words):
        fit(CLASSES, frame, [0, 1])


def test_what_is_no_number_is_refused_in_polars():
    polars = pytest.importorskip("polars")
    for column, words in (
        (["red", "blue"], "'red' in row 0 of column 'b': .*use train_table"),
        ([None, "blue"], "no value in row 0 of column 'b'"),
        ([1, None], "no value in row 1 of column 'b'"),
        ([True, None], "no value in row 1 of column 'b'"),
    ):
        frame = polars.DataFrame({"a": [1.0, 2.0], "b": column, "c": [0, 1]})
        with pytest.raises(DataError, match=words):
            fit(CLASSES, frame, [0, 1])
    with pytest.raises(DataError, match="x must be an array, a table or a list of rows"):
        fit(CLASSES, frame.lazy(), [0, 1])


@pytest.mark.parametrize(
    ("x", "targets", "words"),
    [
        ([[1, 2, 3], [1, 2]], [0, 1], "x has rows of different lengths"),
        ([[1, 2, "3"]], [0], "'3' in row 0: turn it into numbers, or use train_table"),
        ([[1, 2, None]], [0], "x has no value in row 0: fill the gaps"),
        (X, ["no", "yes"] * 30, "targets must hold numbers, .*'no' in row 0: .*use train_table, which takes labels"),
        (X, pandas.Series(["no", "yes"] * 30), "'no' in row 0: .*train_table"),
        ("abc", LABELS, "x must be an array, a table or a list of rows, got 'abc'"),
        (7, LABELS, "x must be an array, a table or a list of rows, got 7"),
        (iter(X), LABELS, "got a .*iterator: to train on batches give these alone, without targets"),
        (table().iloc[:, :0], LABELS, "x has no columns"),
        (table(), LABELS[:9], "x has 60 rows and targets has 9"),
        (table().iloc[:, :2], LABELS, r"x must have shape \(n, 3\)"),
        ([], [], "x must have shape"),
    ],
)  # fmt: skip
def test_lists_and_targets_that_cannot_be_trained_on_are_refused(x, targets, words):
    with pytest.raises(DataError, match=words):
        fit(CLASSES, x, targets)


def test_a_validation_table_has_the_columns_of_x():
    with pytest.raises(
        DataError, match="validation set has the columns 'c', 'b', 'a' and x has 'a', 'b', 'c'"
    ):
        fit(CLASSES, table(), LABELS, validation=(table()[["c", "b", "a"]], LABELS))
    gap = table()
    gap.loc[3, "b"] = np.nan
    with pytest.raises(
        DataError, match="The validation set: x has no value in row 3 of column 'b'"
    ):
        fit(CLASSES, table(), LABELS, validation=(gap, LABELS))
    with pytest.raises(UsageError, match=r"validation must be a pair \(x, targets\)"):
        fit(CLASSES, table(), LABELS, validation=(X, LABELS, LABELS))
    assert fit(CLASSES, table(), LABELS, validation=(X, LABELS), epochs=1).validation_curve


def test_names_are_those_of_a_table_unless_one_comes_twice():
    assert column_names(table()) == ("a", "b", "c")
    assert column_names(pandas.DataFrame(X)) == ("0", "1", "2")
    assert column_names(pandas.DataFrame(X, columns=["a", "a", "b"])) == ()
    assert column_names(pandas.Series([1], name="t")) == ("t",)
    assert column_names(pandas.Series([1])) == column_names(X) == column_names([1]) == ()


def test_train_table_and_trained_models_take_polars():
    polars = pytest.importorskip("polars")
    raw = {"colour": ["red", "blue", None] * 20, "size": X[:, 0], "price": VALUES[:, 0]}
    recipe = Recipe(epochs=1)
    expected = train_table(pandas.DataFrame(raw), recipe=recipe, diagnose=False).model
    model = train_table(polars.DataFrame(raw), recipe=recipe, diagnose=False).model
    assert np.array_equal(model.parameters, expected.parameters)
    turned = polars.DataFrame(raw).select("size", "colour")  # found by name
    assert isinstance(model, TrainedModel)
    assert np.array_equal(model.predict(turned), expected.predict(pandas.DataFrame(raw)))
