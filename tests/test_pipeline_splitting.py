"""Which rows of a table are trained on, validated on and tested on, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from anyarray_mlp import TrainedModel, train_table
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.pipeline.preparation import prepare
from anyarray_mlp.pipeline.settings import Settings

ROWS = 240
NUMBERS = np.random.default_rng(7)


def sales() -> pandas.DataFrame:
    """Sales of 40 shops over 240 days in random order, with a column of folds and a class."""
    day = NUMBERS.permutation(ROWS)
    frame = pandas.DataFrame(
        {
            "day": (np.datetime64("2021-01-01") + day.astype("timedelta64[D]")).astype(str),
            "shop": [f"s{number}" for number in day % 40],
            "size": NUMBERS.normal(size=ROWS).round(3),
            "fold": day % 4,
            "colour": NUMBERS.choice(["red", "blue", "green"], ROWS),
        }
    )
    frame["sold"] = (3 * frame["size"] + (frame["colour"] == "red") + np.arange(ROWS) / 1e6).round(
        6
    )
    return frame


TABLE = sales()


def parts(table: Any = TABLE, **options: Any) -> Any:
    """What comes of the data before anything is trained."""
    return prepare(table, Settings.of("train_table", None, {"target": "sold", **options}))


def rows_of(part: Any, table: pandas.DataFrame = TABLE) -> list[int]:
    """The rows of a table that a part holds, by their targets, which are all different."""
    place = {value: row for row, value in enumerate(table["sold"].tolist())}
    assert len(place) == len(table)
    return [place[value] for value in part.y.tolist()]


def test_the_targets_tell_rows_apart() -> None:
    assert TABLE["sold"].nunique() == ROWS


def test_by_time_the_latest_rows_are_for_testing_and_those_before_for_validation() -> None:
    found = parts(split="time:day")
    days = [
        TABLE["day"].to_numpy()[rows_of(part)]
        for part in (found.training, found.validation, found.test)
    ]
    assert [len(part) for part in days] == [173, 19, 48]
    assert days[0].max() < days[1].min() <= days[1].max() < days[2].min()
    note = found.preprocessor.notes[-1]
    assert note.startswith(
        "split by time, column 'day': 48 rows of test from 2021-07-12 on and 19 rows of validation"
    )
    # The seed draws no rows, and the form of the dates makes no difference.
    other = TABLE.assign(day=pandas.to_datetime(TABLE["day"]).dt.strftime("%d.%m.%Y"))
    for again in (parts(split="time:day", seed=3), parts(other, split="time:day")):
        assert rows_of(again.test) == rows_of(found.test)


def test_a_column_of_times_may_be_read_and_be_no_input() -> None:
    found = parts(split="time:day", drop=["day"])
    assert rows_of(found.test) == rows_of(parts(split="time:day").test)
    assert "day" not in found.preprocessor.names
    # What is said of its form is for the split alone.
    other = TABLE.assign(day=pandas.to_datetime(TABLE["day"]).dt.strftime("%d/%m/%Y"))
    again = parts(other, split="time:day", drop="day", date="day:d/m/y")
    assert rows_of(again.test) == rows_of(found.test)
    # Digits are days where somebody says so: as numbers, 311221 would be later than 010122.
    digits = TABLE.assign(day=pandas.to_datetime(TABLE["day"]).dt.strftime("%d%m%y").astype(int))
    again = parts(digits, split="time:day", date="day:ddmmyy")
    assert rows_of(again.test) == rows_of(found.test)


def test_by_group_no_group_is_in_two_parts_and_the_column_is_no_input() -> None:
    found = parts(group="shop")
    shops = [
        set(TABLE["shop"].iloc[rows_of(part)])
        for part in (found.training, found.validation, found.test)
    ]
    assert [len(part) for part in shops] == [29, 3, 8]
    assert sum(map(len, shops)) == len(set.union(*shops))
    assert "shop" not in found.preprocessor.names
    assert found.preprocessor.notes[-1] == (
        "split by group, column 'shop': 8 groups (48 rows) of test and 3 groups (18 rows) of validation, 29 groups to "
        "train on"
    )
    assert rows_of(parts(group="shop", seed=1).test) != rows_of(found.test)
    assert "shop" in parts(group="shop", keep="shop").preprocessor.names
    # A column that is to be left out can still say what belongs together.
    dropped = parts(group="shop", drop=["shop", "fold"])
    assert rows_of(dropped.test) == rows_of(found.test)


def test_a_column_of_folds_says_which_rows_are_which() -> None:
    found = parts(folds="fold")
    folds = [
        set(TABLE["fold"].iloc[rows_of(part)])
        for part in (found.training, found.validation, found.test)
    ]
    assert folds == [{0, 1}, {2}, {3}]
    assert "fold" not in found.preprocessor.names
    assert "fold 3, the highest, is test, fold 2 is validation" in found.preprocessor.notes[-1]
    words = TABLE.assign(fold=np.where(TABLE["fold"] == 3, "test", "train"))
    found = parts(words, folds="fold")
    assert (len(found.training), len(found.validation), len(found.test)) == (162, 18, 60)


def test_a_file_is_the_test_set_read_and_encoded_as_the_table(tmp_path: Path) -> None:
    train, test = TABLE.iloc[:200], TABLE.iloc[200:].assign(code="007")
    train.assign(code=np.where(train["size"] > 0, "007", "7b")).to_csv(
        tmp_path / "a.csv", index=False
    )
    columns = ["sold", "code", *TABLE.columns[:-1]]
    test = test.assign(colour=["violet", "violet", *test["colour"].iloc[2:]])[columns]
    test.to_csv(tmp_path / "b.csv", index=False)
    found = parts(tmp_path / "a.csv", test=tmp_path / "b.csv")
    assert (len(found.training), len(found.validation), len(found.test)) == (180, 20, 40)
    assert found.test.y.tolist() == test["sold"].tolist()
    place = found.preprocessor.encoded_names.index("code=7b")
    assert not found.test.x[:, place].any()
    (note,) = [note for note in found.preprocessor.notes if "violet" in note]
    assert (
        "column 'colour': 2 rows of 40 with categories that no row to train on has, 'violet', count as a gap"
        in note
    )
    frames = parts(
        *(pandas.read_csv(tmp_path / name, dtype={"code": str}) for name in ("a.csv",)), test=test
    )
    np.testing.assert_array_equal(frames.test.x, found.test.x)


def test_notes_suggest_what_the_columns_do() -> None:
    plain = TABLE.rename(columns={"shop": "shop_id"})
    notes = parts(plain).preprocessor.notes
    assert any("test on the latest with split='time:day'" in note for note in notes)
    assert any(
        "share 40 values of column 'shop_id'" in note and "group='shop_id'" in note
        for note in notes
    )
    for options in (
        {"split": "time:day"},
        {"split": "random", "group": "shop_id"},
        {"folds": "fold"},
        {"test_fraction": 0},
    ):
        notes = parts(plain, **options).preprocessor.notes
        assert not any("if later rows" in note or "if others are" in note for note in notes)


def test_a_class_that_only_held_out_rows_have_is_named() -> None:
    table = TABLE.assign(kind=np.where(TABLE["day"] > "2021-08-20", "new", TABLE["colour"])).drop(
        columns="sold"
    )
    with pytest.raises(
        DataError, match="no row to train on has a class of the test rows: the label 'new'"
    ):
        parts(table, target="kind", split="time:day")


NOTHING_TO_VALIDATE: dict[str, tuple[dict[str, Any], str]] = {
    # Two rows of each of 13 classes, one of which each is tested on: 13 rows are left, one of each class.
    "one row a class": (
        {"target": "kind", "test_fraction": 0.5, "validation_fraction": 0.2},
        "validation_fraction=0.2 of the 13 rows left after test_fraction=0.5 has held out 13 cannot be had: each of "
        "the 13 classes has a single one of the 13 rows.*; or set validation_fraction=0$",
    ),
    "one row": (
        {"target": "size", "test_fraction": 0.97},
        "validation_fraction=0.1 of the 1 row left after test_fraction=0.97 has held out 25 cannot be had: 1 row",
    ),
    "one group": (
        {"target": "size", "group": "half", "test_fraction": 0.5},
        "validation_fraction=0.1 of the 13 rows left after test_fraction=0.5 .*all 13 rows are of one group",
    ),
    "one time": (
        {"target": "size", "split": "time:half", "test_fraction": 0.5},
        "validation_fraction=0.1 of the 13 rows left after test_fraction=0.5 .*all 13 rows have the same time",
    ),
}


@pytest.mark.parametrize("case", NOTHING_TO_VALIDATE)
def test_nothing_to_validate_on_names_both_fractions(case: str) -> None:
    options, message = NOTHING_TO_VALIDATE[case]
    table = pandas.DataFrame(
        {
            "size": np.arange(26) * 1.5 % 7 + np.arange(26) / 100,
            "half": np.repeat([1, 2], 13),
            "kind": [f"k{i % 13}" for i in range(26)],
        }
    )
    with pytest.raises(DataError, match=message):
        parts(table, **options)
    if case != "one row":
        parts(table, **{**options, "validation_fraction": 0})


WRONG: dict[str, tuple[dict[str, Any], Any, str]] = {
    "no such column": ({"group": "shops"}, DataError, "group names no column: 'shops' .did you mean 'shop'"),
    "the target": ({"group": "sold"}, DataError, "group names column 'sold', which is the target"),
    "texts for times": ({"split": "time:shop"}, DataError, "'shop' holds neither numbers nor dates of one form"),
    "no prefix": ({"split": "day"}, UsageError, "split must be 'random' or 'time:COLUMN', got 'day'"),
    "no column": ({"split": "time:"}, UsageError, "split must be 'random' or 'time:COLUMN'"),
    "two ways": ({"split": "time:day", "group": "shop"}, UsageError, "split and group split the rows in two ways"),
    "folds and groups": ({"folds": "fold", "group": "shop"}, UsageError, "group and folds split the rows"),
    "folds and test": ({"folds": "fold", "test": TABLE}, UsageError, "folds and test both say"),
    "a number": ({"keep": [3]}, UsageError, "keep must be the name of a column, or several, got 3"),
    "dropped and kept": ({"drop": "shop", "keep": ["day", "shop"]}, UsageError, "drop and keep both name column"),
    "dropped and dated": ({"drop": "day", "date": "day:d/m/y"}, UsageError, "drop and date both name column 'day'"),
    "numbers and texts": ({"text": "size", "numeric": "size"}, UsageError, "numeric and text both name column 'size'"),
    "dropped and read": ({"drop": "size", "numeric": "size"}, UsageError, "drop and numeric both name column 'size'"),
    "nothing to keep": ({"keep": "colr"}, DataError, "no column 'colr' to keep .*did you mean 'colour'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_settings_that_cannot_be(case: str) -> None:
    options, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        parts(**options)


def test_the_standard_input_is_read_once() -> None:
    with pytest.raises(UsageError, match="test is the standard input, which is the data already"):
        parts("-", test="-")


def test_rows_that_do_not_say_are_named_by_their_line(tmp_path: Path) -> None:
    lines = TABLE.to_csv(index=False).splitlines()
    lines[5] = "," * 3 + lines[5].split(",", 3)[3]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    for options, text in (
        ({"split": "time:day"}, "line 6, column 'day' does not say when its row was"),
        ({"group": "shop"}, "line 6, column 'shop' does not say to which group its row belongs"),
    ):
        with pytest.raises(DataError, match=text):
            parts(path, **options)


def test_ambiguous_dates_are_no_times_until_told() -> None:
    table = TABLE.assign(day=[f"{1 + row % 12:02}/{1 + row % 11:02}/2021" for row in range(ROWS)])
    with pytest.raises(
        DataError, match=r"d/m/y as well as m/d/y; say which with date=\['day:d/m/y'\]"
    ):
        parts(table, split="time:day")
    days, months = (
        rows_of(parts(table, split="time:day", date=f"day:{form}").test)
        for form in ("d/m/y", "m/d/y")
    )
    assert days != months


def test_these_settings_are_for_tables() -> None:
    for options in (
        {"split": "time:x"},
        {"group": "x"},
        {"folds": "x"},
        {"keep": "x"},
        {"date": "x"},
    ):
        with pytest.raises(
            UsageError, match=f"{next(iter(options))} names columns of a table, and iris is none"
        ):
            prepare("iris", Settings.of("train_table", None, options))


def test_times_may_be_numbers_and_values_stay_inputs() -> None:
    table = TABLE.assign(year=2000 + np.arange(ROWS) // 12).drop(columns="day")
    found = parts(table, split="time:year")
    assert "year" in found.preprocessor.used_names
    years = table["year"].to_numpy()
    assert years[rows_of(found.training, table)].max() < years[rows_of(found.test, table)].min()


def test_a_model_remembers_what_was_decided(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="column 'site': left out"):
        trained = train_table(
            TABLE.assign(site="x"), target="sold", epochs=1, split="time:day", out=tmp_path / "run"
        )
    loaded = TrainedModel.load(tmp_path / "run")
    assert loaded.preprocessor == trained.model.preprocessor
    assert loaded.preprocessor.notes == trained.notes
    # Files of version 2 are those that hold what version 1 has no words for.
    header = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert b'"format_version":"2"' in header
    plain = train_table(TABLE[["size", "colour", "sold"]], target="sold", epochs=1)
    plain.model.save(tmp_path / "plain")
    assert b'"format_version":"1"' in (tmp_path / "plain").read_bytes()


def test_version_2_is_of_the_kinds_that_version_1_lacks() -> None:
    from typing import get_args

    from anyarray_mlp.data.encoding import Kind
    from anyarray_mlp.persistence.model_file import SINCE_VERSION_2

    assert {*get_args(Kind)} - {*SINCE_VERSION_2} == {"numeric", "binary", "categorical"}


FLAGS: dict[str, list[str]] = {
    "time": ["--split", "time:day"],
    "group": ["--group", "shop"],
    "folds": ["--folds", "fold"],
    "test": ["--test", "held.csv"],
    "keep and date": ["--keep", "shop", "--date", "year"],
}


@pytest.mark.parametrize("case", FLAGS)
def test_a_run_remembers_its_split(case: str, cli: Any, here: Path) -> None:
    TABLE.assign(year=1990 + np.arange(ROWS) // 10).to_csv(here / "t.csv", index=False)
    TABLE.assign(year=2014).iloc[:30].to_csv(here / "held.csv", index=False)
    base = ["train", "t.csv", "--target", "sold", "--epochs", 2, "--json", "--out"]
    code, whole, err = cli(*base, "whole", *FLAGS[case])
    assert code == 0, err
    assert cli(*base, "parts", *FLAGS[case], "--epochs", 1)[0] == 0
    code, resumed, err = cli("train", "--resume", "--out", "parts", "--epochs", 2, "--json")
    assert code == 0, err
    whole, resumed = json.loads(whole), json.loads(resumed)
    assert resumed["scores"] == whole["scores"]
    assert resumed["notes"] == whole["notes"]
    code, again, err = cli("evaluate", "whole", "--json")
    assert code == 0, err
    again = json.loads(again)
    assert (again["rows"], again["scored_on"]) == (whole["rows"]["test"], "test")
    assert again["r2"] == whole["scores"]["r2"]
    # As a library.
    options = {
        flag.removeprefix("--"): value
        for flag, value in zip(FLAGS[case][::2], FLAGS[case][1::2], strict=True)
    }
    made = train_table("t.csv", target="sold", epochs=2, diagnose=False, **options)
    assert made.scores["r2"] == whole["scores"]["r2"]
    code, _, err = cli(
        "train", "--resume", "--out", "whole", "--epochs", 3, "--split", "time:fold", "--quiet"
    )
    assert code == 2
    assert "--split cannot change when a run goes on" in err


def test_what_makes_no_sense_on_the_command_line(cli: Any, here: Path) -> None:
    TABLE.to_csv(here / "t.csv", index=False)
    for flags, words in (
        (["--test", "t.csv", "--test-fraction", "0.3"], "--test says which rows are the test set"),
        (["--folds", "fold", "--test-fraction", "0.3"], "--folds says which rows are the test set"),
        (["--split", "day"], "split must be 'random' or 'time:COLUMN'"),
    ):
        code, _, err = cli("train", "t.csv", *flags)
        assert code == 2
        assert words in err
    assert (
        cli("train", "t.csv", "--epochs", 1, "--out", "run", "--test-fraction", 0, "--quiet")[0]
        == 0
    )
    code, _, err = cli("evaluate", "run")
    assert (code, "held out no rows" in err) == (65, True)
    code, _, err = cli("evaluate", "run/model.safetensors")
    assert (code, "is no run's folder" in err) == (2, True)
    for flags in (["--target", "sold"], ["--drop", "day"], ["--no-header"], ["--decimal", ","]):
        code, _, err = cli("evaluate", "run", *flags)
        assert (code, f"{flags[0].replace('no-', '')} is for DATA" in err) == (2, True)
