"""What a column of a table is good for: what is left out, grouped or kept, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from anyarray_mlp.data import Preprocessor, without_unknown
from anyarray_mlp.data.roles import identifies, words_of
from anyarray_mlp.errors import DataError

ROWS = 60
SIZES = np.random.default_rng(3).normal(size=ROWS).round(3)


def fitted(name: str, cells: Any, **options: Any) -> Preprocessor:
    """The encoding of a table with a column of numbers and another one."""
    return Preprocessor.fit(pandas.DataFrame({name: cells, "size": SIZES[: len(cells)]}), **options)


LEFT_OUT: dict[str, tuple[str, Any, str]] = {
    "a constant number": ("v", [3] * ROWS, "every row to train on has the same value"),
    "a constant text": ("v", ["eu"] * ROWS, "every row to train on has the same value"),
    "no value": ("v", [np.nan] * ROWS, "no row has a value"),
    "no text": ("v", np.array([None] * ROWS, object), "no row has a value"),
    "a counter from 0": ("v", range(ROWS), "numbers the rows"),
    "a counter from 1": ("Unnamed: 0", range(1, ROWS + 1), "numbers the rows"),
    "numbers named id": ("customerId", np.arange(ROWS)[::-1] * 17 + 5, "identifies what the rows are of"),
    "a key that recurs": ("patient_id", np.arange(ROWS) // 2 + 100, "identifies what the rows are of"),
    "UUIDs": ("v", [f"{i:08x}-1234-1234-1234-123456789abc" for i in range(ROWS)], "hardly ever recur"),
    "names": ("v", [f"Mr. {i}" for i in range(ROWS)], "hardly ever recur"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_tells_nothing_of_a_new_row_is_left_out_aloud(case: str) -> None:
    name, cells, reason = LEFT_OUT[case]
    size = np.random.default_rng(0).normal(size=len(cells))
    table = pandas.DataFrame({name: cells, "size": size})
    found = Preprocessor.fit(table)
    assert found.encoded_names == ("size",)
    (note,) = found.notes
    assert note.startswith(f"column {name!r}: left out: ")
    assert reason in note
    # Nothing can be kept of a column without a value.
    assert note.endswith(f"(keep=[{name!r}])") == (not case.startswith("no "))
    # A table without the column is as good, and what stands in it does not matter.
    expected = found.transform(table)
    np.testing.assert_array_equal(found.transform(table[["size"]]), expected)
    np.testing.assert_array_equal(found.transform(table.assign(**{name: "?"})), expected)
    if not case.startswith("no "):
        kept = Preprocessor.fit(table, keep=[name])
        assert kept.notes == ()
        assert kept.n_features_out > 1


KEPT: dict[str, tuple[str, Any]] = {
    "years in order": ("year", range(1971, 1971 + ROWS)),
    "years from 1": ("year", range(1, ROWS + 1)),
    "a counter of few rows": ("v", range(20)),
    "an unordered permutation": ("v", np.random.default_rng(0).permutation(ROWS)),
    "a counter with a gap": ("v", [*range(ROWS - 1), np.nan]),
    "all different, by another name": ("population", np.arange(ROWS) ** 2 * 1000),
    "words that end in id": ("paid", np.arange(ROWS)[::-1] * 3),
    "a number of things": ("number of rooms", np.arange(ROWS)[::-1]),
    "fractions named id": ("id", SIZES),
    "an id of few values": ("school_id", np.arange(ROWS) % 6),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_only_looks_like_an_identifier_is_kept(case: str) -> None:
    name, cells = KEPT[case]
    found = fitted(name, list(cells))
    assert found.encoded_names == (name, "size")
    assert found.notes == ()


def test_names_of_identifiers() -> None:
    yes = (
        "id",
        "ID",
        "userId",
        "user_id",
        "User ID",
        "id_student",
        "RespondentID",
        "row id",
        "uuid",
        "team.key",
        "#",
        "Kundennummer",
        "identifiant_client",
        "Identificador",
    )
    no = (
        "paid",
        "grid",
        "identity",
        "key figures",
        "refractive index",
        "idle",
        "hybrid",
        "no of rooms",
        "",
        "é",
    )
    assert [name for name in (*yes, *no) if identifies(name)] == list(yes)
    assert words_of("customerId_2") == ["customer", "id", "2"]


def test_one_sentence_tells_of_all_columns_with_the_same_reason() -> None:
    table = pandas.DataFrame({f"c{i}": [1.0] * ROWS for i in range(15)} | {"size": SIZES})
    (note,) = Preprocessor.fit(table).notes
    assert note.startswith("columns 'c0', 'c1', ")
    assert "'c11' and 3 more: left out: every row" in note


def test_as_many_texts_as_there_are_countries_are_told_apart() -> None:
    names = [f"country {i % 249}" for i in range(249 * 5)]
    table = pandas.DataFrame({"country": names, "size": np.arange(len(names)) ** 0.5})
    found = Preprocessor.fit(table)
    assert found.n_features_out == 249 + 1
    assert found.notes == ()
    names = [f"town {i % 300}" for i in range(300 * 5)] + ["town 0"] * 9
    table = pandas.DataFrame({"town": names, "size": np.arange(len(names)) ** 0.5})
    found = Preprocessor.fit(table)
    assert found.n_features_out == 250 + 1 + 1
    assert "50 rare texts count as one category" in found.notes[0]


def test_one_value_or_none_says_whether_it_is_there() -> None:
    cells = np.where(np.arange(ROWS) % 3 == 0, 1.0, np.nan)
    found = fitted("thunder", cells)
    assert found.encoded_names == ("thunder=1", "thunder=(the rest)", "size")
    np.testing.assert_array_equal(
        found.transform(pandas.DataFrame({"thunder": cells, "size": SIZES}))[:, 0],
        np.arange(ROWS) % 3 == 0,
    )
    assert "becomes 1 where it is there" in found.notes[0]
    # Another value, which only held-out rows have, is neither an error nor that one.
    other = pandas.DataFrame({"thunder": [2.0, np.nan, 1.0], "size": SIZES[:3]})
    np.testing.assert_array_equal(found.transform(other)[:, :2], [[0, 1], [0, 0], [1, 0]])


def test_the_last_column_is_taken_though_it_numbers_the_rows() -> None:
    table = pandas.DataFrame({"n": range(ROWS), "same": [1] * ROWS})
    found = Preprocessor.fit(table)
    assert found.encoded_names == ("n",)
    taken = "column 'n': taken although it numbers or identifies the rows"
    assert any(note.startswith(taken) for note in found.notes)
    with pytest.raises(DataError, match="no column tells anything: column 'same': left out"):
        Preprocessor.fit(table[["same"]])


def test_texts_that_recur_in_other_rows_alone_are_left_out() -> None:
    everything = pandas.DataFrame(
        {"v": [f"k{i // 3}" for i in range(75)], "size": np.arange(75.0) % 11}
    )
    found = Preprocessor.fit(everything.iloc[::3], vocabulary=everything)
    assert found.encoded_names == ("size",)
    assert "holds no text that recurs in the rows to train on" in found.notes[0]
    assert len(Preprocessor.fit(everything).encoded_names) == 26


def test_rare_texts_count_as_one_and_so_do_new_ones() -> None:
    common = [f"town {i}" for i in range(6) for _ in range(8)]
    rare = [f"village {i}" for i in range(20)]
    towns = pandas.DataFrame({"place": common + rare, "size": np.arange(68.0) % 11})
    found = Preprocessor.fit(towns)
    assert found.columns[0].kind == "grouped"
    assert found.encoded_names == (
        *(f"place=town {i}" for i in range(6)),
        "place=(the rest)",
        "size",
    )
    assert found.notes == (
        "column 'place': 20 rare texts count as one category, the rest, in 20 rows to train on; "
        "6 others are told apart",
    )
    met = pandas.DataFrame({"place": ["town 2", "village 3", "elsewhere", None], "size": [1.0] * 4})
    np.testing.assert_array_equal(found.transform(met)[:, :7].argmax(axis=1)[:3], [2, 6, 6])
    assert not found.transform(met)[3, :7].any()
    known, unknown = without_unknown(found, met)
    assert unknown == {"place": ["village 3", "elsewhere"]}
    np.testing.assert_array_equal(found.transform(known), found.transform(met))
    kept = Preprocessor.fit(towns, keep=["place"])
    assert kept.n_features_out == 27
    assert Preprocessor.from_json(found.to_json()) == found


def test_texts_of_at_most_twenty_are_all_told_apart() -> None:
    cells = [f"k{i}" for i in range(20)] + ["k0"] * 40
    assert fitted("v", cells).n_features_out == 21


def test_few_dates_among_other_texts_are_named() -> None:
    days = [
        f"2020-01-{1 + i % 28:02} {i:02}:00" if i < 24 else f"2021-02-{i - 23:02}"
        for i in range(50)
    ]
    found = Preprocessor.fit(pandas.DataFrame({"when": ["soon", *days], "size": np.arange(51) % 5}))
    assert "hardly ever recur (dates, but not 'soon')" in found.notes[0]


def test_rows_to_train_on_decide_and_all_rows_say_what_numbers_them() -> None:
    table = pandas.DataFrame(
        {"n": range(ROWS), "flag": [0.0] * 50 + [1.0] * 10, "size": SIZES, "kind": ["a", "b"] * 30}
    )
    part = table.iloc[np.random.default_rng(1).permutation(50)[:40]]
    found = Preprocessor.fit(part, vocabulary=table)
    assert [column.kind for column in found.columns] == [
        "left_out",
        "left_out",
        "numeric",
        "binary",
    ]


def test_columns_without_names_are_found_by_place_with_and_without_those_left_out() -> None:
    table = pandas.DataFrame(
        {"column_1": range(ROWS), "column_2": SIZES, "column_3": ["a", "b", "c"] * 20}
    )
    found = Preprocessor.fit(table)
    expected = found.transform(table)
    assert expected.shape == (ROWS, 4)
    named = table.set_axis(["row", "size", "kind"], axis=1)
    np.testing.assert_array_equal(found.transform(named), expected)
    np.testing.assert_array_equal(found.transform(named[["size", "kind"]]), expected)
    np.testing.assert_array_equal(found.transform(table.to_numpy(object)), expected)
    np.testing.assert_array_equal(found.transform(table.to_numpy(object)[:, 1:]), expected)
    assert found.text_columns(["row", "size", "kind"]) == ["row", "kind"]
    assert found.text_columns(["size", "kind"]) == ["kind"]


def test_nothing_is_decided_of_arrays() -> None:
    array = np.stack([np.arange(ROWS), np.ones(ROWS), SIZES], axis=1)
    found = Preprocessor.fit(array)
    assert (found.n_features_out, found.notes) == (3, ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "date"}, r"preprocessing\.columns\[0\]\.form is missing"),
        ({"kind": "date", "form": "d/m/y"}, r"\.parts is missing"),
        ({"kind": "date", "form": "x", "parts": []}, r"\.form is 'x'"),
        ({"kind": "date", "form": "d/m/y", "parts": []}, r"\.parts is \[\]"),
        (
            {"kind": "date", "form": "d/m/y", "parts": [{"name": "days", "mean": 0, "scale": 0}]},
            r"\.parts\[0\]\.scale is 0",
        ),
        (
            {
                "kind": "date",
                "form": "d/m/y",
                "parts": [{"name": "hour", "mean": 0, "scale": 1}] * 2,
            },
            r"\.parts holds a part twice",
        ),
        ({"kind": "grouped"}, r"\.categories holds 0 and the column is grouped"),
        (
            {"kind": "left_out", "categories": ["a"]},
            r"\.categories holds 1 and the column is left_out",
        ),
    ],
)
def test_altered_records_are_refused(change: dict[str, Any], message: str) -> None:
    from anyarray_mlp.errors import ModelFileError

    record = Preprocessor.fit(pandas.DataFrame({"a": SIZES})).to_json()
    record["columns"][0] |= change
    with pytest.raises(ModelFileError, match=message):
        Preprocessor.from_json(record)
