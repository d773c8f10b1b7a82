"""Encoding of features: standardised numbers, one-hot texts, pixels; the same on every machine."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyarray_mlp.data import Preprocessor, load, load_features, without_unknown
from anyarray_mlp.errors import DataError, ModelFileError, UnknownCategoryError
from tests.datasets import shared_data

TABLE = pandas.DataFrame(
    {
        "age": [20.0, np.nan, 40.0, 70.0],
        "colour": ["red", "blue", None, "red"],
        "member": [True, False, True, True],
    }
)


def test_columns_of_each_kind() -> None:
    fitted = Preprocessor.fit(TABLE)
    assert fitted.names == ("age", "colour", "member")
    assert fitted.encoded_names == ("age", "colour=blue", "colour=red", "member")
    assert (fitted.n_features_in, fitted.n_features_out) == (3, 4)
    encoded = fitted.transform(TABLE)
    # The gap counts as the median, 40: mean 42.5.
    scale = math.sqrt((22.5**2 + 2.5**2 + 2.5**2 + 27.5**2) / 4)
    np.testing.assert_array_equal(encoded[:, 0], np.array([-22.5, -2.5, -2.5, 27.5]) / scale)
    np.testing.assert_array_equal(encoded[:, 1:3], [[0, 1], [1, 0], [0, 0], [0, 1]])
    np.testing.assert_allclose(encoded[:, 3], (np.array([1, 0, 1, 1]) - 0.75) / math.sqrt(3 / 16))


SEXES = pandas.DataFrame(
    {"age": [20.0, 40.0, 60.0, 80.0], "sex": ["male", "female", "male", "male"]}
)


@pytest.mark.parametrize("standardize", [True, False])
def test_two_categories_are_one_column(standardize: bool) -> None:
    fitted = Preprocessor.fit(SEXES, standardize=standardize)
    assert fitted.encoded_names == ("age", "sex=male")
    assert fitted.columns[1].categories == ("female", "male")
    encoded = fitted.transform(SEXES)
    np.testing.assert_array_equal(encoded[:, 1], [1, 0, 1, 1])
    # A gap, which no training row had, lies between the two as the training rows do.
    met = pandas.DataFrame({"sex": [None, "female", "?"], "age": [40.0, 40.0, 40.0]})
    known, unknown = without_unknown(fitted, met)
    assert unknown == {"sex": ["?"]}
    np.testing.assert_array_equal(fitted.transform(known)[:, 1], [0.75, 0, 0.75])
    with pytest.raises(UnknownCategoryError, match="column 'sex': '\\?' was not seen"):
        fitted.transform(met)


def test_two_categories_and_a_gap_are_three_states() -> None:
    gap = pandas.DataFrame({"age": [50.0], "sex": [None]})
    table = pandas.concat([SEXES, gap], ignore_index=True)
    fitted = Preprocessor.fit(table)
    assert fitted.encoded_names == ("age", "sex=female", "sex=male")
    np.testing.assert_array_equal(fitted.transform(table)[-1, 1:], [0, 0])
    # Which rows are trained on does not change the encoding, where all are known.
    of_part = Preprocessor.fit(SEXES, vocabulary=table)
    assert of_part.encoded_names == fitted.encoded_names
    part = SEXES.iloc[[0, 1]]
    rare = Preprocessor.fit(part, vocabulary=SEXES)
    assert rare.encoded_names == ("age", "sex=male")
    np.testing.assert_array_equal(rare.transform(SEXES)[:, 1], [1, 0, 1, 1])


def test_numbers_of_two_values_stay_numbers() -> None:
    table = pandas.DataFrame(
        {"flag": [0, 1, 1, 1], "code": [1, 2, 2, 2], "member": [False, True, True, True]}
    )
    fitted = Preprocessor.fit(table)
    assert fitted.encoded_names == ("flag", "code", "member")
    assert {column.kind for column in fitted.columns} == {"numeric"}
    np.testing.assert_allclose(fitted.transform(table).std(axis=0), 1.0)


def test_texts_of_two_numbers_are_met_as_numbers_too() -> None:
    fitted = Preprocessor.fit(pandas.DataFrame({"n": ["1", "2+"]}))
    np.testing.assert_array_equal(
        fitted.transform(pandas.DataFrame({"n": [1.0, np.nan]})), [[0], [0.5]]
    )
    np.testing.assert_array_equal(fitted.transform(np.array([[1.0], [1.0]])), [[0], [0]])


def test_sources_say_what_each_input_was_made_of() -> None:
    table = SEXES.assign(colour=["red", "blue", "green", "red"], size=[1, 2, 3, 5])
    fitted = Preprocessor.fit(table)
    assert fitted.encoded_names[2:5] == ("colour=blue", "colour=green", "colour=red")
    assert fitted.sources == (0, 1, 2, 2, 2, 3)


def test_without_standardising() -> None:
    encoded = Preprocessor.fit(TABLE, standardize=False).transform(TABLE)
    np.testing.assert_array_equal(encoded[:, 0], [20, 40, 40, 70])
    np.testing.assert_array_equal(encoded[:, 3], [1, 0, 1, 1])


@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_encoded_training_rows_have_mean_0_and_deviation_1(dtype: Any) -> None:
    features = load("wine").features
    encoded = Preprocessor.fit(features).transform(features, dtype=dtype)
    assert encoded.dtype == dtype
    assert encoded.flags.c_contiguous
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(encoded.std(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e300, 7])
def test_constant_column_becomes_zero(constant: float) -> None:
    features = np.full((7, 1), constant)
    fitted = Preprocessor.fit(features)
    assert fitted.columns[0].scale == 1.0
    assert not fitted.transform(features).any()


@pytest.mark.parametrize("order", ["C", "F"])
def test_moments_are_the_exact_sums_rounded(order: Any) -> None:
    # Sums in another order, or by vectors, differ from these in the last bits.
    features = np.asarray(np.random.default_rng(5).lognormal(0, 4, (1000, 3)), order=order)
    fitted = Preprocessor.fit(features)
    for place, column in enumerate(fitted.columns):
        values = features[:, place].tolist()
        mean = float(sum(map(Fraction, values))) / 1000
        squares = [Fraction((value - mean) * (value - mean)) for value in values]
        assert column.mean == mean
        assert column.scale == math.sqrt(float(sum(squares)) / 1000)


def test_moments_do_not_depend_on_the_rows_order() -> None:
    features = load("breast_cancer").features
    shuffled = features[np.random.default_rng(1).permutation(len(features))]
    assert Preprocessor.fit(features) == Preprocessor.fit(shuffled)


def test_pixels_are_divided_by_255() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(16, 16)
    fitted = Preprocessor.fit(images)
    assert fitted.pixels
    for dtype in (np.float32, np.float64):
        expected = (images.astype(np.float64) / 255).astype(dtype)
        np.testing.assert_array_equal(fitted.transform(images, dtype=dtype), expected)
        np.testing.assert_array_equal(fitted.transform(images.astype(float), dtype=dtype), expected)
    with pytest.raises(DataError, match=r"-1\.0 is not a pixel; .* from 0 to 255"):
        fitted.transform(np.full((1, 16), -1.0))


def test_table_at_predict_is_matched_by_name() -> None:
    fitted = Preprocessor.fit(TABLE)
    other = TABLE[["member", "colour", "age"]].assign(ill="yes")
    np.testing.assert_array_equal(fitted.transform(other), fitted.transform(TABLE))
    assert fitted.transform(TABLE[:0]).shape == (0, 4)


def test_table_without_names_is_matched_by_position(tmp_path: Any) -> None:
    whole = tmp_path / "train.data"
    whole.write_text("A,1,2.5\nB,3,4.5\nA,5,0.5\n")
    bare = tmp_path / "predict.data"
    bare.write_text("1,2.5\n3,4.5\n5,0.5\n")
    dataset = load(whole, target=0)
    fitted = Preprocessor.fit(dataset.features)
    expected = fitted.transform(dataset.features)
    np.testing.assert_array_equal(fitted.transform(load_features(whole)), expected)
    np.testing.assert_array_equal(fitted.transform(load_features(bare)), expected)
    by_array = Preprocessor.fit(load_features(bare).to_numpy())
    named = pandas.DataFrame({"width": [1.0], "height": [2.5]})
    assert by_array.transform(named).shape == (1, 2)


def test_numbers_where_training_had_texts() -> None:
    fitted = Preprocessor.fit(pandas.DataFrame({"n": ["0", "1", "2", "3+"]}))
    encoded = fitted.transform(pandas.DataFrame({"n": [2, 0]}))
    np.testing.assert_array_equal(encoded, [[0, 0, 1, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(fitted.transform(pandas.DataFrame({"n": [2.0, np.nan]}))[1], 0)


@pytest.mark.parametrize(
    "series",
    [
        pandas.Series([1, None, 3], dtype="Int64"),
        pandas.Series([1, None, 3], dtype=object),
        pandas.Series([1, np.nan, 3], dtype="float32"),
    ],
)
def test_numeric_types_of_pandas(series: Any) -> None:
    encoded = Preprocessor.fit(series.to_frame("a"), standardize=False).transform(
        series.to_frame("a")
    )
    np.testing.assert_array_equal(encoded[:, 0], [1, 2, 3])


@pytest.mark.parametrize("dtype", ["category", "string", object])
def test_text_types_of_pandas(dtype: Any) -> None:
    table = pandas.DataFrame({"a": pandas.Series(["x", None, "y"], dtype=dtype)})
    np.testing.assert_array_equal(
        Preprocessor.fit(table).transform(table), [[1, 0], [0, 0], [0, 1]]
    )


UNFIT: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no rows": (np.ones((0, 3)), ("(0, 3)",)),
    "one dimension": (np.ones(3), ("(3,)", "(n, i)")),
    "complex": (np.ones((2, 1), dtype=complex), ("complex128", "give numbers")),
    "infinite": (np.array([[1.0, 2], [3, -np.inf]]), ("row 1 (from 0)", "'feature_2'", "-inf")),
    "no value": (
        np.array([[1.0, np.nan]]),
        ("'feature_2'", "no values at all", "drop"),
    ),
    "nothing that varies": (
        pandas.DataFrame({"a": [1.0, 1.0], "b": [np.nan, np.nan]}),
        ("no column tells anything", "'a': left out: every row", "'b': left out: no row"),
    ),
    "one date": (
        pandas.DataFrame({"d": pandas.to_datetime(["2020-01-01"])}),
        ("'d': left out", "the same date"),
    ),
    "spans of time": (
        pandas.DataFrame({"d": pandas.to_timedelta([1, 2], unit="D")}),
        ("'d'", "timedelta64"),
    ),
    "names of every row": (
        pandas.DataFrame({"id": [f"k{i}" for i in range(1001)]}),
        ("'id'", "left out", "keep=['id']"),
    ),
    "too large to square": (np.array([[1e300], [2e300]]), ("'feature_1'", "2e+300", "larger unit")),
    "too large to add": (np.array([[1.7e308], [1.7e308], [0]]), ("larger unit",)),
}


@pytest.mark.parametrize("case", UNFIT)
def test_features_that_cannot_be_fitted(case: str) -> None:
    features, parts = UNFIT[case]
    with pytest.raises(DataError) as caught:
        Preprocessor.fit(features)
    for part in parts:
        assert part in str(caught.value)


UNLIKE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "missing column": (
        TABLE.rename(columns={"colour": "color"}),
        ("'colour' is missing", "did you mean 'color'", "'age', 'color', 'member'"),
    ),
    "unseen category": (
        TABLE.assign(colour=["red", "blue", "rde", "red"]),
        ("row 2 (from 0)", "'colour'", "'rde'", "did you mean 'red'", "'blue', 'red'"),
    ),
    "text among numbers": (
        TABLE.assign(age=[1, "old", 2, 3]),
        ("row 1 (from 0)", "'age'", "'old'", "numeric"),
    ),
    "infinite": (TABLE.assign(age=[1, 2, np.inf, 3]), ("row 2", "'age'", "inf")),
    "too few columns": (
        np.ones((2, 2)),
        ("2 feature(s)", "trained on 3", "'age', 'colour', 'member'"),
    ),
    "no names and other width": (
        pandas.DataFrame(np.ones((2, 5)), columns=[f"column_{i}" for i in range(1, 6)]),
        ("5 columns without names", "trained on 3"),
    ),
    "line of a file": (
        TABLE.assign(colour="pink").set_index(pandas.Index([2, 3, 5, 8], name="line")),
        ("line 2, column 'colour': 'pink'",),
    ),
    "one dimension": (np.ones(3), ("(3,)",)),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_features_unlike_those_of_training(case: str) -> None:
    features, parts = UNLIKE[case]
    with pytest.raises(DataError) as caught:
        Preprocessor.fit(TABLE).transform(features)
    for part in parts:
        assert part in str(caught.value)


def test_overflow_in_float32_is_refused() -> None:
    features = np.array([[1.0], [1e39]])
    fitted = Preprocessor.fit(features, standardize=False)
    assert fitted.transform(features)[1, 0] == 1e39
    with pytest.raises(DataError, match=r"row 1 .*1e\+39 is too large for float32"):
        fitted.transform(features, dtype=np.float32)


NUMBERS = st.floats(-1e100, 1e100) | st.just(math.nan)
CELLS = st.text(max_size=4)


@given(
    st.lists(st.tuples(NUMBERS, NUMBERS, CELLS), min_size=1, max_size=12),
    st.booleans(),
)
def test_json_round_trip_keeps_every_bit(
    rows: list[tuple[float, float, str]], standardize: bool
) -> None:
    table = pandas.DataFrame(rows, columns=["a", "b", "c"]).assign(d=1)
    table.loc[len(table)] = [0.5, -0.0, "last", 2]
    fitted = Preprocessor.fit(table, standardize=standardize)
    restored = Preprocessor.from_json(json.loads(json.dumps(fitted.to_json())))
    assert restored == fitted
    assert restored.transform(table).tobytes() == fitted.transform(table).tobytes()


def test_json_of_pixels() -> None:
    fitted = Preprocessor.fit(np.zeros((2, 3), dtype=np.uint8), names=["a", "b", "c"])
    assert Preprocessor.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 0.0},
        {"scale": -1.0},
        {"scale": math.nan},
        {"mean": math.inf},
        {"median": "x"},
        {"mean": None},
        {"kind": "other"},
        {"name": 3},
        {"categories": None},
        {"categories": ["a"]},
        {"kind": "categorical", "categories": []},
        {"kind": "categorical", "categories": ["a", "a"]},
        {"kind": "categorical", "categories": [1]},
        {"kind": "binary", "categories": []},
        {"kind": "binary", "categories": ["a"]},
        {"kind": "binary", "categories": ["a", "a"]},
        {"kind": "binary", "categories": ["a", "b", "c"]},
    ],
)
def test_altered_json_is_refused(change: dict[str, Any]) -> None:
    record = Preprocessor.fit(TABLE).to_json()
    record["columns"][0] |= change
    with pytest.raises(ModelFileError, match="cannot be used: preprocessing"):
        Preprocessor.from_json(record)


@pytest.mark.parametrize(
    "record", [{}, {"pixels": False, "columns": []}, {"pixels": 1, "columns": [{}]}, [], None]
)
def test_json_of_something_else_is_refused(record: Any) -> None:
    with pytest.raises(ModelFileError):
        Preprocessor.from_json(record)


def test_public_table_with_gaps_and_texts() -> None:
    dataset = load(shared_data("california_housing/housing.csv"), target="median_house_value")
    fitted = Preprocessor.fit(dataset.features)
    encoded = fitted.transform(dataset.features)
    assert encoded.shape == (20640, 13)
    assert np.isfinite(encoded).all()
    assert fitted.encoded_names[-1] == "ocean_proximity=NEAR OCEAN"
    assert (encoded[:, -5:].sum(axis=1) == 1).all()


def test_decimals_and_fractions_are_numbers_and_pandas_na_a_gap() -> None:
    plain = Preprocessor.fit(np.array([[1.5], [2.0], [0.5], [np.nan]]))
    mixed = np.array([[Decimal("1.5")], [2], [Fraction(1, 2)], [pandas.NA]], dtype=object)
    assert Preprocessor.fit(mixed) == plain
    np.testing.assert_array_equal(
        plain.transform(mixed), plain.transform(np.array([[1.5], [2.0], [0.5], [np.nan]]))
    )


def test_bytes_among_numbers_are_refused_by_row_and_column() -> None:
    numbers = Preprocessor.fit(np.array([[1.0], [2.0]]))
    with pytest.raises(DataError, match=r"row 1 .*'feature_1': b'2' is not a number"):
        numbers.transform(np.array([[1.0], [b"2"]], dtype=object))


def test_the_vocabulary_gives_categories_and_nothing_else() -> None:
    table = pandas.DataFrame(
        {"size": [1.0, 3.0, 100.0], "colour": ["red", "blue", "rare"], "grade": ["1", "2", "3+"]}
    )
    fitted = Preprocessor.fit(table.iloc[:2], vocabulary=table)
    assert fitted.columns[0] == Preprocessor.fit(table[["size"]].iloc[:2]).columns[0]
    assert fitted.columns[1].categories == ("blue", "rare", "red")
    assert fitted.columns[1].kind == "categorical"
    assert fitted.transform(table)[2, 1:4].tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="'rare' was not seen"):
        Preprocessor.fit(table.iloc[:2]).transform(table)


def test_unknown_categories_become_gaps() -> None:
    table = pandas.DataFrame({"size": [1.0, 2.0], "grade": ["1", "2"], "colour": ["red", "blue"]})
    fitted = Preprocessor.fit(table)
    met = pandas.DataFrame(
        {"colour": ["red", "pink", None], "grade": ["1.0", "9", "2"], "size": [1.0, 2.0, 3.0]}
    )
    as_given = met.copy()
    known, unknown = without_unknown(fitted, met)
    assert unknown == {"grade": ["9"], "colour": ["pink"]}
    pandas.testing.assert_frame_equal(met, as_given)
    gaps = met.assign(colour=["red", None, None], grade=["1", None, "2"])
    np.testing.assert_array_equal(fitted.transform(known), fitted.transform(gaps))
    with pytest.raises(UnknownCategoryError, match="'9' was not seen"):
        fitted.transform(met)

    array = met[["size", "grade", "colour"]].to_numpy(dtype=object)
    of_array, unknown = without_unknown(fitted, array)
    assert unknown == {"grade": ["9"], "colour": ["pink"]}
    assert array[1, 2] == "pink"
    np.testing.assert_array_equal(fitted.transform(of_array), fitted.transform(gaps))

    numbers = np.ones((2, 1))
    same, unknown = without_unknown(Preprocessor.fit(np.array([[1.0], [2.0]])), numbers)
    assert same is numbers
    assert unknown == {}
