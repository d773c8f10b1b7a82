"""Numbers by robust scale, smooth clip and pieces: the formulas to the bit, gaps, dates, what is saved and refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyarray_mlp import TrainedModel, train_table
from anyarray_mlp.data import Preprocessor
from anyarray_mlp.data.inputs import CACHED_ENTRIES
from anyarray_mlp.data.pieces import MOST_CUT_COLUMNS, edges_of, quantiles
from anyarray_mlp.diagnosis.columns import RawColumns
from anyarray_mlp.diagnosis.data_summary import Inputs
from anyarray_mlp.errors import DataError, ModelFileError, UsageError

#: Sorted: 0, 1, 2, 3, 10; the quartiles are 1 and 3, the thirds 1 and 3.
FIVE = np.array([[3.0], [0.0], [10.0], [1.0], [2.0]])


def smooth(value: float) -> float:
    """The clip in Python's own floats."""
    return value / math.sqrt(1.0 + (value / 3.0) * (value / 3.0))


def test_quantiles_are_values_of_the_column() -> None:
    values = np.arange(100.0)[::-1].copy()
    assert quantiles(values, 4).tolist() == [0, 25, 50, 74, 99]
    assert quantiles(np.array([7.0]), 3).tolist() == [7, 7, 7, 7]
    # A piece for each 60 rows, 3 to 16 of them.
    pieces = {10: 3, 239: 3, 240: 4, 600: 10, 960: 16, 5000: 16}
    assert {n: len(edges_of(np.arange(float(n)))) - 1 for n in pieces} == pieces
    zeros = np.array([-0.0, 0.0, -0.0, 0.0, -0.0])
    assert not np.signbit(quantiles(zeros, 4)).any()  # whichever of them comes first
    assert edges_of(np.array([0.0, 1.0, 1.0, 2.0] * 50)) == ()


def test_a_number_is_scaled_clipped_and_cut() -> None:
    fitted = Preprocessor.fit(FIVE, numbers="pieces", names=["size"])
    assert fitted.encoded_names == ("size", "size (0 to 1)", "size (1 to 3)", "size (3 to 10)")
    assert fitted.sources == (0, 0, 0, 0)
    assert fitted.n_features_out == 4
    encoded = fitted.transform(np.array([[2.0], [-5.0], [2.5], [6.5], [100.0]]))
    assert encoded[:, 0].tolist() == [smooth((x - 2.0) / 2.0) for x in (2, -5, 2.5, 6.5, 100)]
    assert encoded[:, 1:].tolist() == [
        [1, 0.5, 0],
        [0, 0, 0],
        [1, 0.75, 0],
        [1, 1, 0.5],
        [1, 1, 1],
    ]
    alone = Preprocessor.fit(FIVE, numbers="robust", names=["size"])
    assert alone.encoded_names == ("size",)
    np.testing.assert_array_equal(alone.transform(FIVE), fitted.transform(FIVE)[:, :1])


def test_many_rows_have_the_bits_of_each_row_alone() -> None:
    random = np.random.default_rng(3)
    rows = CACHED_ENTRIES // 18 * 2 + 5
    numbers = random.lognormal(size=(rows, 2))
    numbers[::9, 1] = np.nan
    fitted = Preprocessor.fit(numbers, numbers="pieces")
    encoded = fitted.transform(numbers)
    assert encoded.shape == (rows, 17 + 18)
    column = fitted.columns[1]
    for row in (0, 1, rows // 2, rows - 1):
        number = numbers[row, 1]
        filled = column.mean if math.isnan(number) else float(number)
        shares = [
            min(max((filled - low) / (high - low), 0.0), 1.0)
            for low, high in zip(column.edges, column.edges[1:], strict=False)
        ]
        found = [smooth((filled - column.mean) / column.scale), *shares, float(math.isnan(number))]
        assert encoded[row, 17:].tolist() == found
    # Rounded once; a table gives what an array gives.
    single = fitted.transform(numbers, dtype=np.float32)
    np.testing.assert_array_equal(single, encoded.astype(np.float32))
    table = pandas.DataFrame(numbers, columns=["feature_1", "feature_2"])
    np.testing.assert_array_equal(fitted.transform(table), encoded)


def test_gaps_are_the_median_and_are_marked_where_training_has_them() -> None:
    rows = np.vstack([FIVE, [[np.nan]]])
    fitted = Preprocessor.fit(rows, numbers="pieces", names=["size"])
    assert fitted.encoded_names[-1] == "size (missing)"
    encoded = fitted.transform(np.array([[np.nan], [2.0]]))
    assert encoded.tolist() == [[0, 1, 0.5, 0, 1], [0, 1, 0.5, 0, 0]]
    unmarked = Preprocessor.fit(FIVE, numbers="pieces")
    assert unmarked.transform(np.array([[np.nan]])).tolist() == [[0, 1, 0.5, 0]]


def test_columns_that_cannot_be_cut_or_scaled() -> None:
    table = np.column_stack([np.full(8, 5.0), np.arange(8) % 2, [0.0] * 7 + [1e300]])
    fitted = Preprocessor.fit(table, numbers="pieces")
    assert [column.edges for column in fitted.columns] == [(), (), ()]
    # A constant has scale 1; of a column that hardly varies half the range counts.
    assert [column.scale for column in fitted.columns] == [1.0, 1.0, 5e299]
    far = fitted.transform(np.array([[1e308, -1e308, -1e308], [6.0, 0.0, 0.0]]))
    assert far[0].tolist() == [3.0, -3.0, smooth(-1e308 / 5e299)]
    assert np.isfinite(fitted.transform(np.full((1, 3), 1.7e308), dtype=np.float16)).all()
    with pytest.raises(
        DataError, match=r"column 'feature_1': values up to 1.7e\+308 are too large"
    ):
        Preprocessor.fit(np.array([[-1.7e308], [0.0], [1.7e308]]), numbers="robust")
    with pytest.raises(DataError, match=r"row 1 .* inf is not finite"):
        fitted.transform(np.array([[0.0] * 3, [0.0, np.inf, 0.0]]))


def test_very_wide_tables_are_not_cut_and_say_so() -> None:
    wide = np.arange(5.0)[:, None] * np.ones(MOST_CUT_COLUMNS + 1)
    fitted = Preprocessor.fit(wide, numbers="pieces")
    assert fitted.n_features_out == MOST_CUT_COLUMNS + 1
    assert fitted.notes == (
        "columns of numbers are not cut into pieces, as there are more than 1,000 columns",
    )


def dates() -> pandas.DataFrame:
    days = pandas.date_range("2021-01-01", periods=300).strftime("%Y-%m-%d").tolist()
    return pandas.DataFrame({"day": [*days, None], "size": np.arange(301) % 7})


def test_days_of_dates_are_numbers() -> None:
    table = dates()
    fitted = Preprocessor.fit(table, numbers="pieces")
    names = [name for name in fitted.encoded_names if name.startswith("day")]
    assert names[:2] == ["day (days)", "day (days) (18628 to 18688)"]
    assert names[-3:] == ["day (weekday, sine)", "day (weekday, cosine)", "day (missing)"]
    encoded = fitted.transform(table)[:, : len(names)]
    days = 18628.0 + np.arange(300)
    (part, _) = fitted.columns[0].parts
    assert part.edges is not None
    assert part.edges[0] == days[0]
    assert part.edges[-1] == days[-1]
    assert encoded[7, 0] == smooth((days[7] - part.mean) / part.scale)
    assert encoded[7, 1] == 7.0 / (part.edges[1] - part.edges[0])
    assert encoded[:, -1].tolist() == [0.0] * 300 + [1.0]
    assert encoded[-1, 1:6].tolist() == encoded[149, 1:6].tolist()  # the middle day
    assert not encoded[-1, 6:8].any()


@pytest.mark.parametrize("numbers", ["robust", "pieces"])
def test_json_keeps_every_bit(numbers: str) -> None:
    table = dates().assign(price=np.random.default_rng(0).normal(size=301))
    table.loc[3, "price"] = np.nan
    fitted = Preprocessor.fit(table, numbers=numbers)
    restored = Preprocessor.from_json(json.loads(json.dumps(fitted.to_json())))
    assert restored == fitted
    np.testing.assert_array_equal(restored.transform(table), fitted.transform(table))

    plain = Preprocessor.fit(table)
    assert not any({"edges", "marks_gaps"} & set(each) for each in plain.to_json()["columns"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": [0.0, 1.0, 1.0, 2.0]}, "columns\\[0\\].edges must ascend"),
        ({"edges": [0.0, 1.0, 2.0]}, "columns\\[0\\].edges must be none or at least 4"),
        ({"edges": [-1.7e308, 0.0, 1.0, 1.7e308]}, "of a finite range"),
        ({"edges": [0.0, "1", 2.0, 3.0]}, "edges\\[1\\]"),
        ({"edges": None}, "edges"),
        ({"marks_gaps": 1}, "marks_gaps"),
        ({"median": None}, "median is null"),
        ({"categories": ["a"]}, "categories holds 1 and the column is robust"),
    ],
)
def test_files_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    record = Preprocessor.fit(FIVE, numbers="pieces").to_json()
    record["columns"][0] |= change
    with pytest.raises(ModelFileError, match=message):
        Preprocessor.from_json(record)


def test_edges_that_are_missing_or_lie_on_a_circle_are_refused() -> None:
    record = Preprocessor.fit(FIVE, numbers="pieces").to_json()
    del record["columns"][0]["edges"]
    with pytest.raises(ModelFileError, match="edges is missing and the column is robust"):
        Preprocessor.from_json(record)
    record = Preprocessor.fit(dates(), numbers="pieces").to_json()
    record["columns"][0]["parts"][1]["edges"] = [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(ModelFileError, match=r"parts\[1\].edges is there and weekday lies on a c"):
        Preprocessor.from_json(record)


def test_what_numbers_cannot_be() -> None:
    with pytest.raises(UsageError, match="numbers"):
        Preprocessor.fit(FIVE, numbers="peices")
    with pytest.raises(UsageError, match="leave standardize=False out"):
        Preprocessor.fit(FIVE, numbers="robust", standardize=False)


finite = st.floats(-1e200, 1e200) | st.integers(-3, 3).map(float) | st.just(math.nan)


@given(rows=st.lists(finite, min_size=1, max_size=40), others=st.lists(finite, max_size=5))
def test_any_column_becomes_numbers_within_bounds(rows: list[float], others: list[float]) -> None:
    if all(map(math.isnan, rows)):
        rows = [*rows, 1.0]
    fitted = Preprocessor.fit(np.array(rows)[:, None], numbers="pieces")
    (column,) = fitted.columns
    encoded = fitted.transform(np.array([*rows, *others])[:, None])
    assert encoded.shape == (len(rows) + len(others), column.width)
    assert len(set(fitted.encoded_names)) == column.width == len(fitted.sources)
    assert np.abs(encoded).max() <= 3.0
    shares = encoded[:, 1 : len(column.edges)]
    assert ((shares >= 0) & (shares <= 1)).all()
    # No piece begins before the one below it is full.
    assert (np.diff(shares, axis=1) <= 0).all()
    assert column.marks_gaps == any(map(math.isnan, rows))


def test_a_table_is_trained_saved_and_answered_in_pieces(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    x = random.uniform(-3, 3, size=(300, 2))
    table = pandas.DataFrame({"a": x[:, 0], "b": x[:, 1], "y": np.sin(3 * x[:, 0]) + x[:, 1]})
    table.loc[::50, "b"] = np.nan
    options = {"target": "y", "hidden_layer_sizes": 8, "epochs": 2, "diagnose": False}
    trained = train_table(table, numbers="pieces", out=tmp_path / "run", **options)
    preprocessor = trained.model.preprocessor
    assert [column.kind for column in preprocessor.columns] == ["robust", "robust"]
    assert trained.model.mlp.sizes[0] == preprocessor.n_features_out > 8
    loaded = TrainedModel.load(tmp_path / "run")
    assert loaded.preprocessor == preprocessor
    np.testing.assert_array_equal(loaded.outputs(table), trained.model.outputs(table))
    assert trained.model.to_file().format_version == 2


def test_pieces_are_not_judged_beside_their_number() -> None:
    random = np.random.default_rng(5)
    n = 400
    # A few values far out make pieces that look like placeholders or, of one class, give the target away.
    skewed = np.exp(2.0 * random.normal(size=(n, 3)))
    skewed[::7, 1] = np.nan
    kind = np.array(["a", "b", "c"])[random.integers(0, 3, size=n)]
    table = pandas.DataFrame(skewed, columns=["p", "q", "r"]).assign(kind=kind)
    fitted = Preprocessor.fit(table, numbers="pieces")
    encoded = fitted.transform(table)
    raw = RawColumns(fitted.sources, encoded.shape[1]).without_pieces(encoded)
    judged = [name for name, counts in zip(fitted.encoded_names, raw.counts, strict=True) if counts]
    assert judged == ["p", "q", "q (missing)", "r", "kind=a", "kind=b", "kind=c"]
    assert raw.is_alone[0]
    assert raw.inputs(3).tolist() == list(range(encoded.shape[1] - 3, encoded.shape[1]))


def test_a_piece_gives_no_target_away_and_holds_no_placeholders() -> None:
    random = np.random.default_rng(6)
    # One class lies far off in one column, and a few values close to 0 in another: the piece below is 1 and 0.
    sky = np.arange(960) >= 690
    blue = np.where(sky, random.uniform(100, 200, 960), random.uniform(0, 1, 960))
    low = np.where(np.arange(960) % 80 == 0, 0.0, random.uniform(50, 51, 960))
    x = np.column_stack([blue, low, random.normal(size=960)])
    classes = np.where(sky, 2, random.integers(0, 2, size=960))
    for numbers in ("robust", "pieces"):
        fitted = Preprocessor.fit(x, numbers=numbers)
        inputs = Inputs(fitted.transform(x), 1.0, fitted.sources)
        assert inputs.leaking(classes, classes) == []
        found = inputs.oddities(whole=True)["sentinels"]
        assert {fitted.encoded_names[place] for place, *_ in found} <= {"feature_2"}
