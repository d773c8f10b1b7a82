"""Formats besides text: what is read, in which types, what is said of it, and what is refused."""

from __future__ import annotations

import datetime
import io
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas
import polars
import pyarrow
import pytest
import zstandard
from click.testing import CliRunner
from pyarrow import feather, parquet

from anyarray_mlp.cli import cli
from anyarray_mlp.data import Table, load, load_features, read_table
from anyarray_mlp.errors import DataError
from anyarray_mlp.pipeline import TrainedModel, train_table

N = 60
DAY = datetime.datetime(2021, 3, 1)
#: The columns of one table, as every format has them.
COLUMNS: dict[str, list[Any]] = {
    "size": [None if i % 7 == 3 else i / 4 for i in range(N)],
    "count": [i % 11 for i in range(N)],
    "colour": [None if i % 9 == 2 else ["red", "blue", "green"][i % 3] for i in range(N)],
    "day": [DAY + datetime.timedelta(days=5 * i) for i in range(N)],
    "y": ["no" if i % 11 < 5 else "yes" for i in range(N)],
}
HEAD = "size,count,colour,day,y\n"


def rows() -> list[tuple[Any, ...]]:
    return list(zip(*COLUMNS.values(), strict=True))


def as_csv(path: Path) -> None:
    pandas.DataFrame(COLUMNS).to_csv(path, index=False)


def as_parquet(path: Path) -> None:
    parquet.write_table(pyarrow.table(COLUMNS), path)


def as_feather(path: Path) -> None:
    feather.write_feather(pyarrow.table(COLUMNS), str(path))


def as_stream(path: Path) -> None:
    table = pyarrow.table(COLUMNS)
    with path.open("wb") as file, pyarrow.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def as_workbook(path: Path, sheet: str = "data", above: int = 0) -> None:
    book = openpyxl.Workbook()
    book.active.title = sheet
    for _ in range(above):
        book.active.append(["Export of sizes"])
    for row in (list(COLUMNS), *rows()):
        book.active.append(list(row))
    book.save(path)


def as_arff(path: Path) -> None:
    kinds = ["numeric", "INTEGER", "{red,blue,green}", 'date "yyyy-MM-dd"', "{no,yes}"]
    head = "".join(
        f"@attribute '{name}' {kind}\n" for name, kind in zip(COLUMNS, kinds, strict=True)
    )
    cells = (["?" if cell is None else str(cell).split(" ")[0] for cell in row] for row in rows())
    body = "".join(",".join(row) + "\n" for row in cells)
    path.write_text(f"% of a test\n@RELATION 'a test'\n\n{head}\n@data\n{body}")


WRITERS: dict[str, Callable[[Path], None]] = {
    "csv": as_csv,
    "parquet": as_parquet,
    "feather": as_feather,
    "stream": as_stream,
    "xlsx": as_workbook,
    "arff": as_arff,
}


def written(folder: Path, name: str, writer: Callable[[Path], None]) -> Path:
    writer(folder / name)
    return folder / name


def column(table: Table, name: str) -> Any:
    return table.columns[table.names.index(name)]


def days(values: Any) -> list[Any]:
    return np.array(values.tolist(), dtype="datetime64[D]").tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_holds_the_same_table(name: str, tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "table.of", WRITERS[name]))
    assert table.names == tuple(COLUMNS)
    size = column(table, "size")
    assert [None if np.isnan(value) else value for value in size] == COLUMNS["size"]
    assert column(table, "count").tolist() == COLUMNS["count"]
    assert column(table, "colour").tolist() == COLUMNS["colour"]
    assert days(column(table, "day")) == [day.date() for day in COLUMNS["day"]]
    assert column(table, "y").tolist() == COLUMNS["y"]
    assert table.notes == ()
    first = {"csv": 2, "xlsx": 2, "arff": 11}.get(name, 1)
    assert table.lines.tolist() == list(range(first, first + N))


@pytest.mark.parametrize("name", WRITERS)
def test_a_model_of_any_format_takes_every_other(name: str, tmp_path: Path) -> None:
    files = {each: written(tmp_path, f"t.{each}", writer) for each, writer in WRITERS.items()}
    made = train_table(
        files[name], test=str(files["csv"]), epochs=2, hidden_layer_sizes=(4,), diagnose=False
    )
    made.model.save(tmp_path / "model.safetensors")
    model = TrainedModel.load(tmp_path / "model.safetensors")
    expected = made.model.predict(load_features(files[name], schema=model.schema)).tolist()
    for file in files.values():
        assert model.predict(load_features(file, schema=model.schema)).tolist() == expected
        assert model.scores(load(file, schema=model.schema)) == made.scores


@pytest.mark.parametrize("name", ["parquet", "stream", "xlsx", "arff"])
def test_formats_come_packed_and_from_standard_input(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = written(tmp_path, "t.of", WRITERS[name]).read_bytes()
    (tmp_path / "t.packed").write_bytes(zstandard.compress(content))
    assert column(read_table(tmp_path / "t.packed"), "y").tolist() == COLUMNS["y"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert column(read_table("-"), "y").tolist() == COLUMNS["y"]


def test_zstandard_in_several_frames_is_one_text(tmp_path: Path) -> None:
    content = b"".join(zstandard.compress(part) for part in (b"a,b\n", b"1,2\n", b"3,4\n"))
    (tmp_path / "t.csv.zst").write_bytes(content)
    assert column(read_table(tmp_path / "t.csv.zst"), "b").tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("module", "writer", "extra"),
    [("pyarrow", as_parquet, "parquet"), ("pyarrow", as_stream, "parquet"), ("openpyxl", as_workbook, "xlsx")],
)  # fmt: skip
def test_a_library_that_is_missing_is_named_with_its_extra(
    module: str, writer: Any, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "t.of", writer)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=rf"{module}; pip install 'anyarray-mlp\[{extra}\]'"):
        read_table(path)


def test_zstandard_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_bytes(zstandard.compress(b"a,b\n1,2\n"))
    for module in ("zstandard", "compression.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=r"pip install 'anyarray-mlp\[zstd\]'"):
        read_table(tmp_path / "t.csv")


# --- Parquet and Arrow ---


def arrow_of(tmp_path: Path, **columns: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_the_types_of_arrow(tmp_path: Path) -> None:
    clock = datetime.datetime(2020, 6, 1, 12, tzinfo=datetime.UTC)
    cells = {
        "whole": pyarrow.array([1, None, 3], pyarrow.int16()),
        "half": pyarrow.array(np.array([0.5, 1.5, 2.5], np.float16)),
        "truth": pyarrow.array([True, False, None]),
        "money": pyarrow.array([Decimal("0.1"), Decimal("12345678901.23"), None]),
        "coded": pyarrow.array(["a", None, " b "]).dictionary_encode(),
        "date": pyarrow.array([datetime.date(1960, 1, 2), None, datetime.date(2020, 1, 1)]),
        "zoned": pyarrow.array([clock] * 3, pyarrow.timestamp("ms", "Europe/Berlin")),
        "time": pyarrow.array([datetime.time(13, 5)] * 3),
        "took": pyarrow.array([datetime.timedelta(minutes=2)] * 3),
        "bytes": pyarrow.array([b"x", b"y", None]),
        "nothing": pyarrow.nulls(3),
    }
    table = read_table(arrow_of(tmp_path, **cells))
    np.testing.assert_array_equal(column(table, "whole"), [1, np.nan, 3])
    assert column(table, "half").tolist() == [0.5, 1.5, 2.5]
    np.testing.assert_array_equal(column(table, "truth"), [1, 0, np.nan])
    np.testing.assert_array_equal(column(table, "money"), [0.1, 12345678901.23, np.nan])
    assert column(table, "coded").tolist() == ["a", None, "b"]
    assert days(column(table, "date")) == [
        datetime.date(1960, 1, 2),
        None,
        datetime.date(2020, 1, 1),
    ]
    assert str(column(table, "zoned")[0]) == "2020-06-01T14:00:00.000000"  # by the clock of Berlin
    assert column(table, "time")[0].startswith("13:05:00")
    assert column(table, "took").tolist() == [120.0] * 3
    assert column(table, "bytes").tolist() == ["x", "y", None]
    assert "nothing" not in table.names
    said = "; ".join(table.notes)
    for part in ("'nothing': left out", "'took': durations", "'bytes': holds bytes"):
        assert part in said


def test_whole_numbers_that_no_double_holds_are_texts(tmp_path: Path) -> None:
    ids = [2**53 + 1, 2**53 + 2, None]
    path = arrow_of(tmp_path, id=pyarrow.array(ids), small=pyarrow.array([2**53, 1, 2]))
    table = read_table(path)
    assert column(table, "id").tolist() == ["9007199254740993", "9007199254740994", None]
    assert column(table, "small").tolist() == [2.0**53, 1.0, 2.0]
    assert any("'id': holds whole numbers beyond 2**53" in note for note in table.notes)
    rounded = column(read_table(path, numeric=["id"]), "id")
    np.testing.assert_array_equal(rounded, [2.0**53, 2.0**53 + 2, np.nan])


def test_columns_of_lists_are_refused_unless_they_are_dropped(tmp_path: Path) -> None:
    path = arrow_of(tmp_path, a=[1, 2], b=[[1], [2, 3]], y=[0.5, 1.5])
    with pytest.raises(DataError, match=r"column 'b'.*list<.*--drop b, drop=\['b'\]"):
        read_table(path)
    assert read_table(path, drop=["b"]).names == ("a", "y")
    # A model that has not seen the column does not read it.
    plain = pandas.DataFrame({"a": range(30), "y": np.arange(30) / 3})
    model = train_table(plain, keep=["a"], epochs=1, hidden_layer_sizes=(2,)).model
    assert load_features(path, schema=model.schema)["a"].tolist() == [1.0, 2.0]


def test_texts_that_mean_a_gap_are_gaps_and_are_said(tmp_path: Path) -> None:
    table = read_table(arrow_of(tmp_path, a=["x", "NA", ""], b=["1", "2", "-"], c=["1", "2", "3"]))
    assert column(table, "a").tolist() == ["x", None, None]
    assert "column 'a': 'NA' in 1 row is taken for a gap" in table.notes
    assert any("'c': holds numbers that are written as texts" in note for note in table.notes)
    as_numbers = read_table(tmp_path / "t.parquet", numeric=["b", "c"])
    np.testing.assert_array_equal(column(as_numbers, "b"), [1, 2, np.nan])
    assert column(as_numbers, "c").tolist() == [1, 2, 3]
    assert column(read_table(tmp_path / "t.parquet", missing=["1"]), "c").tolist() == [
        None,
        "2",
        "3",
    ]


@pytest.mark.parametrize("name", ["csv", "parquet", "xlsx", "arff", "json"])
def test_numbers_that_somebody_says_are_gaps(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{name}"
    if name == "json":
        pandas.DataFrame(COLUMNS).to_json(path, orient="records", date_format="iso")
    else:
        WRITERS[name](path)
    found = column(read_table(path, missing=["4", "no"]), "count")
    assert np.flatnonzero(np.isnan(found)).tolist() == [i for i in range(N) if i % 11 == 4]


def test_the_index_of_a_frame_is_left_out_and_equal_names_are_numbered(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"a": [1.0, 2.0], "y": [0.0, 1.0]}, index=[7, 9])
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.names == ("a", "y")
    assert "the index of the DataFrame, which has no name, is left out" in table.notes
    twice = pyarrow.Table.from_arrays([[1], [2], [3]], names=["a", "a", ""])
    parquet.write_table(twice, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").names == ("a", "a_1", "column_3")


@pytest.mark.parametrize("writer", [as_parquet, as_feather, as_stream])
def test_a_damaged_file_of_arrow_is_one_clear_error(writer: Any, tmp_path: Path) -> None:
    whole = written(tmp_path, "t.of", writer).read_bytes()
    for size in (40, 80, len(whole) // 2, len(whole) - 9):
        (tmp_path / "cut.of").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"cut\.of: .*; .*again") as caught:
            read_table(tmp_path / "cut.of")
        assert "\n" not in str(caught.value)


def test_a_column_that_declares_far_too_many_rows_is_refused(tmp_path: Path) -> None:
    nothing = pyarrow.nulls(3_000_000_00 // 2)
    parquet.write_table(pyarrow.table({"a": nothing}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 1 << 20
    with pytest.raises(DataError, match="declares 150,000,000 rows of 1 columns"):
        read_table(tmp_path / "t.parquet")


def test_infinity_names_its_row(tmp_path: Path) -> None:
    path = arrow_of(tmp_path, a=[1.0, float("inf")], y=[1.0, 2.0])
    with pytest.raises(DataError, match="line 2, column 'a': inf is not a finite number"):
        read_table(path)


# --- workbooks ---


def book_of(path: Path, *sheets: tuple[str, list[list[Any]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, cells in sheets:
        sheet = book.create_sheet(name)
        for row in cells:
            sheet.append(row)
    book.save(path)
    return path


def numbered(*head: str, rows: int = 30) -> list[list[Any]]:
    return [list(head), *([i + j / 8 for j in range(len(head))] for i in range(rows))]


def test_a_sheet_is_laid_out_as_text_is(tmp_path: Path) -> None:
    cells = [
        [None, "Sales, read on", datetime.datetime(2024, 5, 1)],
        [],
        [None, "region", "sum", "share", "open", "size"],
        *([None, "ab"[i % 2], 1000 + i, i / 40, i % 3 == 0, i % 5] for i in range(30)),
        [],
        [None, "Source: us"],
    ]
    table = read_table(book_of(tmp_path / "t.xlsx", ("data", cells)))
    assert table.names == ("region", "sum", "share", "open", "size")
    assert column(table, "sum").tolist() == [1000.0 + i for i in range(30)]
    assert column(table, "open").tolist()[:2] == ["TRUE", "FALSE"]
    assert table.lines.tolist() == list(range(4, 34))
    assert any("line 1 is no part of the table: 'Sales, read on 2024" in n for n in table.notes)
    assert any("line 35" in note and "Source: us" in note for note in table.notes)


def test_titles_above_a_narrow_sheet(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["Table 1"], ["A", "B"], *([i, i / 2] for i in range(30))]
    table = read_table(book_of(tmp_path / "t.xlsx", ("data", rows)))
    assert table.names == ("A", "B")
    assert "line 1 is no part of the table: 'Table 1'" in table.notes
    unnamed = [[None, "B"], *rows[2:]]
    assert read_table(book_of(tmp_path / "t.xlsx", ("data", unnamed))).names == ("column_1", "B")
    numbers = [[1.5], *rows[2:]]
    assert len(read_table(book_of(tmp_path / "t.xlsx", ("data", numbers)))) == 31


def test_one_sheet_of_several_has_to_be_named(tmp_path: Path) -> None:
    path = book_of(
        tmp_path / "t.xlsx", ("A", numbered("x", "y")), ("B", numbered("u", "v")), ("empty", [])
    )
    with pytest.raises(DataError, match=r"has 2 sheets, 'A', 'B'; name one of them \(--sheet NAME"):
        read_table(path)
    assert read_table(path, sheet="B").names == ("u", "v")
    with pytest.raises(DataError, match=r"no sheet 'C'.*the sheets are 'A', 'B', 'empty'"):
        read_table(path, sheet="C")
    with pytest.raises(DataError, match="sheet 'empty' is empty"):
        read_table(path, sheet="empty")
    two = [["u", "v"], *([i % 7, i % 2] for i in range(40))]
    path = book_of(tmp_path / "t.xlsx", ("A", [["z"]]), ("B", two))
    made = train_table(path, sheet="B", epochs=1, hidden_layer_sizes=(2,))
    assert made.model.reading.sheet == "B"
    only = book_of(tmp_path / "new.xlsx", ("rows", [["u"], [3], [4]]))
    assert load_features(only, schema=made.model.schema)["u"].tolist() == [3.0, 4.0]
    assert (
        "there is no sheet 'B': 'rows', the only one, is read" in read_table(only, sheet="B").notes
    )


def test_the_command_line_takes_a_sheet_and_remembers_it(tmp_path: Path) -> None:
    two = [["u", "v"], *([i % 7, i % 2] for i in range(40))]
    path = book_of(tmp_path / "t.xlsx", ("A", [["z"], [1]]), ("B", two), ("C", [["u"], [5]]))

    def run(*words: str) -> Any:
        return CliRunner().invoke(cli, list(words))

    out = str(tmp_path / "run")
    refused = run("train", str(path), "--out", out, "--epochs", "1")
    assert "--sheet NAME" in str(refused.exception)
    assert run("train", str(path), "--sheet", "B", "--out", out, "--epochs", "1").exit_code == 0
    assert 'sheet = "B"' in (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
    assert len(run("predict", out, str(path)).output.splitlines()) == 41
    assert len(run("predict", out, str(path), "--sheet", "C").output.splitlines()) == 2
    assert run("evaluate", out).exit_code == 0


def test_cells_of_a_sheet_keep_their_values(tmp_path: Path) -> None:
    start = datetime.datetime(2020, 1, 1, 6, 30)
    cells = [
        ["exact", "code", "price", "when", "at", "text"],
        *(
            [
                0.1 + i,
                f"0{i % 4}",
                f"${i + 1000:,}.50",
                start + datetime.timedelta(days=i),
                datetime.time(i % 24, 15),
                f'said "{i % 3}", \\ and\nmore',
            ]
            for i in range(30)
        ),
    ]
    table = read_table(book_of(tmp_path / "t.xlsx", ("data", cells)))
    assert column(table, "exact").tolist() == [0.1 + i for i in range(30)]
    assert column(table, "code").tolist()[:3] == ["00", "01", "02"]
    assert column(table, "price").tolist() == [i + 1000.5 for i in range(30)]
    assert column(table, "when")[0] == "2020-01-01 06:30:00"
    assert column(table, "at")[3] == "03:15:00"
    assert column(table, "text")[1] == 'said "1", \\ and more'
    assert any("'price': its numbers are written as texts" in note for note in table.notes)


def test_errors_and_formulas_without_values_are_gaps_and_are_said(tmp_path: Path) -> None:
    cells = numbered("a", "b", "c")
    cells[3][1], cells[5][0], cells[6][0] = "=A4*2", "#DIV/0!", "#N/A"
    table = read_table(book_of(tmp_path / "t.xlsx", ("data", cells)))
    assert np.flatnonzero(np.isnan(column(table, "b"))).tolist() == [2]
    assert np.flatnonzero(np.isnan(column(table, "a"))).tolist() == [4, 5]
    said = "; ".join(table.notes)
    assert "1 formula has no value in the file, first in B4" in said
    assert "#DIV/0! in 1 cell, first in A6, is taken for a gap" in said
    assert "#N/A in" not in said


def test_a_model_of_text_with_decimal_commas_takes_the_numbers_of_a_sheet(tmp_path: Path) -> None:
    lines = (f"{1 + i}.{i:03},5;{i % 5},25;{i % 2}\n" for i in range(60))
    (tmp_path / "d.csv").write_text("big;small;y\n" + "".join(lines))
    model = train_table(tmp_path / "d.csv", epochs=1, hidden_layer_sizes=(2,)).model
    path = book_of(tmp_path / "t.xlsx", ("data", [["big", "small"], [1.234, 0.5], [5000, 2]]))
    found = load_features(path, schema=model.schema)
    assert found["big"].tolist() == [1.234, 5000.0]
    assert found["small"].tolist() == [0.5, 2.0]


def rewritten(path: Path, **parts: bytes) -> Path:
    """A workbook with other content in some of its files; the marks in their names are blanks."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {name.replace("__", "/"): part for name, part in parts.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    return path


SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
LAUGHS = b"".join(b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 20) for i in range(1, 12))


END = b"</sheetData></worksheet>"
FAR_BELOW = b'<row r="2000000000"><c r="A2000000000"><v>1</v></c></row>'
LAUGH = b'<row r="1"><c r="A1" t="inlineStr"><is><t>&a11;</t></is></c></row>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (SHEET + b" " * (120 << 20), "expands to at least"),
        (SHEET + FAR_BELOW + END, "1,048,576"),
        (SHEET + b'<row r="1"><c r="A1"><v>', "could not be read"),
        (
            b'<!DOCTYPE x [<!ENTITY a0 "ha">' + LAUGHS + b"]>" + SHEET + LAUGH + END,
            "could not be read",
        ),
    ],
    ids=["blanks", "row far below", "cut", "entities"],
)
def test_workbooks_made_to_do_harm(content: bytes, said: str, tmp_path: Path) -> None:
    path = book_of(tmp_path / "t.xlsx", ("data", numbered("a", "b")))
    rewritten(path, **{"xl__worksheets__sheet1.xml": content})
    with pytest.raises(DataError, match=said) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_archives_that_are_no_workbooks(tmp_path: Path) -> None:
    path = tmp_path / "t.of"
    for name, said in (
        ("content.xml", "OpenDocument"),
        ("xl/workbook.bin", "xlsb"),
        ("x.npy", "npz"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, b"")
        with pytest.raises(DataError, match=said):
            read_table(path)
    book_of(path, ("data", numbered("a", "b")))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="zip archive is damaged"):
        read_table(path)


# --- ARFF ---

ARFF = """\
% made by hand
@relation 'of all kinds'
@ATTRIBUTE 'a name' REAL
@attribute "it\\'s" {low,'very high', "a,b"}
@attribute note string
@attribute when date "dd.MM.yyyy HH:mm"

@attribute class {yes,no}
@Data
1.5, low, 'two words, and a comma', "01.02.2020 13:45", yes
% between
?,'very high',?,?,no
 -2e3 ,"a,b",'it\\'s "so"',"31.12.1999 00:00",yes
{0 4, 2 'x y', 4 no}
"""


def test_arff_dense_and_sparse(tmp_path: Path) -> None:
    (tmp_path / "t.arff").write_text(ARFF)
    table = read_table(tmp_path / "t.arff")
    assert table.names == ("a name", "it's", "note", "when", "class")
    np.testing.assert_array_equal(table.columns[0], [1.5, np.nan, -2000, 4])
    assert table.columns[1].tolist() == ["low", "very high", "a,b", "low"]
    assert table.columns[2].tolist() == ["two words, and a comma", None, 'it\'s "so"', "x y"]
    assert days(table.columns[3])[:3] == [datetime.date(2020, 2, 1), None, datetime.date(1999, 12, 31)]  # fmt: skip
    assert table.columns[4].tolist() == ["yes", "no", "yes", "no"]
    assert table.lines.tolist() == [10, 12, 13, 14]


def test_arff_levels_that_look_like_numbers_are_texts(tmp_path: Path) -> None:
    body = "".join(f"{i % 3},{'07'[i % 2]},{i % 2}\n" for i in range(40))
    head = "@relation r\n@attribute a {0,1,2}\n@attribute b {0,7,'?'}\n@attribute y {0,1}\n@data\n"
    (tmp_path / "t.arff").write_text(head + body + "1,'?',1\n2 7 0\n")
    data = load(tmp_path / "t.arff")
    assert data.target.tolist()[-2:] == ["1", "0"]
    assert data.features["b"].tolist()[-2:] == ["?", "7"]
    assert data.notes == ()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1,low\n", "line 10 has 2 values and the header 5 attributes"),
        ("x,low,a,?,no\n", "line 10, column 'a name': 'x' is no number"),
        ("1,lo,a,?,no\n", r"line 10, column \"it's\": 'lo' \(did you mean 'low'\?\) is none of"),
        ("1,low,a,2020-01-01,no\n", "line 10, column 'when': '2020-01-01' is no date"),
        ("{9 1}\n", "line 10: '{9 1}' is no sparse row"),
        ("{0 1, 0 2}\n", "line 10: .* each once"),
        ("{0 ', 4" + " " * 300_000 + "x\n", "line 10: .* no sparse row"),
        ("'" + " " * 300_000 + "x', ',,\n", "line 10 has 4 values"),
        ("", "holds no rows"),
    ],
)
def test_arff_that_does_not_fit_its_header(body: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.arff").write_text(ARFF.partition("1.5")[0] + body)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "t.arff")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("@attribute a relational\n", "line 2: attribute 'a' is of type 'relational'"),
        ("@attribute a date 'QQ'\n", "line 2: the dates of 'a' have the form 'QQ'"),
        ("@attribute\n", "line 2: '@attribute' is no attribute"),
        ("@attribut a real\n", "line 2: '@attribut a real' is none of"),
        ("@attribute a real\n", "no @data"),
        ("@data\n", "before any @attribute"),
        ("".join(f"@attribute a{i} real\n" for i in range(100_001)) + "@data\n{0 1}\n", "100,001"),
    ],
    ids=["relational", "date", "empty", "misspelt", "no data", "no attribute", "wide"],
)
def test_arff_headers_that_cannot_be(head: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.arff").write_text("@relation r\n" + head)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "t.arff")


# --- LIBSVM ---


def test_libsvm_is_a_table_with_zeros_and_its_label_last(tmp_path: Path) -> None:
    (tmp_path / "t.svm").write_text("# made\n+1 1:0.5 4:-2 # why\n-1 2:1e3 3:nan\n\n1\n")
    table = read_table(tmp_path / "t.svm")
    assert table.names == ("feature_1", "feature_2", "feature_3", "feature_4", "label")
    expected = [[0.5, 0, 0, -2], [0, 1000, np.nan, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(np.stack(table.columns[:-1], 1), expected)
    assert table.columns[-1].tolist() == [1, -1, 1]
    assert table.lines.tolist() == [2, 3, 5]


def test_libsvm_for_a_model_needs_no_column_that_holds_zeros(tmp_path: Path) -> None:
    lines = [f"{i % 2} 0:{i % 2} 2:{i % 5} 5:{i % 3}\n" for i in range(60)]
    (tmp_path / "t.txt").write_text("".join(lines))
    with pytest.warns(UserWarning, match="left out"):
        model = train_table(tmp_path / "t.txt", epochs=2, hidden_layer_sizes=(4,)).model
    assert "feature_0" in model.preprocessor.names
    (tmp_path / "new.txt").write_text("1 2:3 4:0\n0 9:1 11:2\n")
    (tmp_path / "full.txt").write_text("1 0:0 2:3 5:0\n0 0:0 2:0 5:0\n")
    new, full = (load(tmp_path / name, schema=model.schema) for name in ("new.txt", "full.txt"))
    assert new.target.tolist() == [1, 0]
    assert model.outputs(new.features).tolist() == model.outputs(full.features).tolist()


def test_lines_of_many_numbers_are_told_apart_at_once(tmp_path: Path) -> None:
    """A pattern that matches digits or blanks in several ways would try all of them, which takes for ever."""
    path = tmp_path / "d.csv"
    codes = ",".join(f"{code:08}" for code in range(60))
    lists = "1   " * 60
    path.write_text("\n".join(f"{codes},{lists}{'xy'[i % 2]},U.S." for i in range(40)))
    assert len(read_table(path, header=False).names) == 62


def test_libsvm_with_several_labels_and_with_queries(tmp_path: Path) -> None:
    lines = [f"{'1,3' if i % 3 else '2'} 1:{i} 2:{i % 4}\n" for i in range(30)]
    (tmp_path / "t.svm").write_text("".join(lines))
    data = load(tmp_path / "t.svm")
    assert data.task == "multilabel"
    assert data.target_name == ("label=1", "label=2", "label=3")
    assert data.target[:2].tolist() == [[0, 1, 0], [1, 0, 1]]
    (tmp_path / "q.svm").write_text("2 qid:7 1:1 2:1\n1 qid:8 2:3\n")
    table = read_table(tmp_path / "q.svm")
    assert table.names == ("feature_1", "feature_2", "qid", "label")
    assert column(table, "qid").tolist() == [7, 8]
    assert any("--group qid" in note for note in table.notes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1 1:1 2:2\n1 1:x 2:1\n", "line 2: 'x' is no number"),
        ("1 1:1 2:2\n1 1:1 1:2\n", "line 2: '1:2' is no pair"),
        ("1 1:1 2:2\n1 qid:1 1:1\n", "line 2: some lines have a qid"),
        ("1 1:1 2000000:2\n", "2,000,000 columns"),
        ("1 1:1 99999999999999999999999:2\n", "columns, which take"),
    ],
)
def test_libsvm_that_cannot_be(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.svm").write_text(content)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "t.svm")


@pytest.mark.parametrize("line", ["{} {}:30", "{} {}:30 23:45"])
def test_times_of_day_are_no_libsvm(line: str, tmp_path: Path) -> None:
    lines = [line.format(i % 3, i % 24) + "\n" for i in range(30)]
    (tmp_path / "t.txt").write_text("".join(lines))
    assert read_table(tmp_path / "t.txt").columns[1][1] == "1:30"


# --- .npy ---


def test_arrays_and_structured_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.arange(12.0, dtype=np.float32).reshape(4, 3))
    table = read_table(tmp_path / "t.npy")
    assert table.names == ("column_1", "column_2", "column_3")
    assert column(table, "column_3").tolist() == [2, 5, 8, 11]
    kinds = [("a", "<i8"), ("b", "U3"), ("day", "M8[D]"), ("y", "?")]
    rows = np.array([(1, "x", "2020-01-01", True), (2, "", "NaT", False)], dtype=kinds)
    np.save(tmp_path / "t.npy", rows)
    table = read_table(tmp_path / "t.npy")
    assert table.names == ("a", "b", "day", "y")
    assert column(table, "b").tolist() == ["x", None]
    assert days(column(table, "day")) == [datetime.date(2020, 1, 1), None]
    assert column(table, "y").tolist() == [1, 0]


def test_a_model_of_pictures_takes_an_array_of_them(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "t.npz", x=x, y=(x[:, 0, 0] > 127).astype(int))
    np.save(tmp_path / "x.npy", x)
    model = train_table(tmp_path / "t.npz", epochs=1, hidden_layer_sizes=(4,)).model
    named, array = (load_features(tmp_path / name, schema=model.schema) for name in ("t.npz", "x.npy"))  # fmt: skip
    np.testing.assert_allclose(model.outputs(array), model.outputs(named), rtol=1e-5)
    with pytest.raises(DataError, match=r"without their target; save both with np\.savez"):
        load(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([{}]), "objects, which are never read"),
        (np.float64(3), r"shape \(\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros((2, 3), complex), "complex128"),
        (np.zeros(2, [("a", "f8", (3,))]), r"float64 of shape \(3,\)"),
        (np.zeros((1, 100_001)), "100,001 columns"),
    ],
    ids=["objects", "scalar", "empty", "complex", "nested", "wide"],
)
def test_arrays_that_are_no_table(array: Any, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", array)
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "t.npy")


def test_damaged_and_forged_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.zeros((4, 3)))
    content = (tmp_path / "t.npy").read_bytes()
    for forged in (
        content[:7],
        content[:30],
        content[:-8],
        content.replace(b"(4, 3)", b"(9**9,3)"),
        content.replace(b"(4, 3), }", b"(10**9,)}  ")[: len(content)],
        content.replace(b"'<f8'", b"'zz8'"),
    ):
        (tmp_path / "t.npy").write_bytes(forged)
        with pytest.raises(DataError, match=r"damaged or cut short .*again"):
            read_table(tmp_path / "t.npy")


def as_array_file(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(40.0).reshape(10, 4))


def as_libsvm(path: Path) -> None:
    path.write_text("".join(f"{i % 2} 1:{i} 3:{i % 5} 7:2\n" for i in range(40)))


@pytest.mark.parametrize("writer", [as_workbook, as_arff, as_array_file, as_libsvm])
def test_damage_anywhere_is_one_clear_error_or_none(writer: Any, tmp_path: Path) -> None:
    whole = written(tmp_path, "t.of", writer).read_bytes()
    draw = np.random.default_rng(1)
    refused: list[str] = []
    for _ in range(60):
        content = bytearray(whole)
        for place in draw.integers(0, len(whole), draw.integers(1, 6)):
            content[place] = draw.integers(0, 256)
        (tmp_path / "t.of").write_bytes(content)
        try:
            read_table(tmp_path / "t.of")
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not any("\n" in message for message in refused)


# --- options, and frames of other libraries ---


def test_a_sheet_can_be_read_otherwise(tmp_path: Path) -> None:
    path = book_of(tmp_path / "t.xlsx", ("data", [["made", "today"], [1, 2], *numbered("a", "b")]))
    table = read_table(path, skip=2)
    assert (table.names, table.lines[0], len(table)) == (("a", "b"), 4, 30)
    assert read_table(path, skip=3, header=False).names == ("column_1", "column_2")
    assert column(read_table(path, skip=2, drop=["a"], text=["b"]), "b")[1] == "1.125"
    with pytest.raises(DataError, match="no rows below the 99 to skip"):
        read_table(path, skip=99)


def test_a_date_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the target 'day'.*cannot be a target"):
        load(written(tmp_path, "t.parquet", as_parquet), target="day")


def test_options_that_a_format_has_not_are_said(tmp_path: Path) -> None:
    for name, unfit in (("parquet", "separator skip sheet"), ("csv", "sheet"), ("xlsx", "separator")):  # fmt: skip
        path = written(tmp_path, f"t.{name}", WRITERS[name])
        given: dict[str, Any] = {"separator": ",", "skip": 0, "sheet": "data"}
        notes = read_table(path, **{key: given[key] for key in unfit.split()}).notes
        for option in unfit.split():
            assert any(note.startswith(f"{option} is not for ") for note in notes)


def frames() -> dict[str, Any]:
    table = pyarrow.table(COLUMNS)
    return {
        "pandas": pandas.DataFrame(COLUMNS),
        "pandas over Arrow": table.to_pandas(types_mapper=pandas.ArrowDtype),
        "polars": polars.DataFrame(COLUMNS),
        "lazy polars": polars.LazyFrame(COLUMNS),
        "pyarrow": table,
        "batch": table.to_batches()[0],
    }


@pytest.mark.parametrize("name", frames())
def test_frames_of_other_libraries_train_and_are_predicted_alike(name: str) -> None:
    options: dict[str, Any] = {"epochs": 2, "hidden_layer_sizes": (4,), "diagnose": False}
    expected = train_table(frames()["pandas"], **options)
    made = train_table(frames()[name], test=frames()["polars"], **options)
    again = train_table(frames()[name], **options)
    assert again.scores == expected.scores
    encoded = made.model.preprocessor.transform(frames()[name])
    assert encoded.tolist() == made.model.preprocessor.transform(frames()["pandas"]).tolist()
    assert made.model.predict(frames()[name]).tolist() == made.model.predict(
        frames()["pandas"]
    ).tolist()  # fmt: skip


def test_columns_of_frames_with_types_of_their_own() -> None:
    clock = datetime.datetime(2020, 6, 1, 12, tzinfo=datetime.UTC)
    frame = polars.DataFrame(
        {
            "zoned": [clock + datetime.timedelta(hours=i) for i in range(30)],
            "money": [Decimal(i) / 4 for i in range(30)],
            "pair": [[i, i] for i in range(30)],
            "y": [i % 2 for i in range(30)],
        }
    ).with_columns(polars.col("zoned").dt.convert_time_zone("Asia/Tokyo"))
    for each in (frame, frame.to_arrow(), frame.to_pandas()):
        with pytest.raises(DataError, match="column 'pair' holds values of type"):
            train_table(each, epochs=1)
        found = load(each, drop=["pair"]).features
        assert str(found["zoned"].iloc[0])[:16] == "2020-06-01 21:00"
        assert [float(cell) for cell in found["money"]] == [i / 4 for i in range(30)]


def test_dates_as_objects_are_dates() -> None:
    table = pandas.DataFrame(
        {"day": [datetime.date(2020, 1, 1 + i) for i in range(30)], "y": [0, 1] * 15}
    )
    dates = load(table).features["day"]
    assert dates.dtype == object
    made = train_table(table, epochs=1, hidden_layer_sizes=(2,))
    assert any("'day': dates (datetime)" in note for note in made.model.notes)
    numbers = pandas.DataFrame({"day": range(0, 60, 2), "y": [0, 1] * 15})
    model = train_table(numbers, keep=["day"], epochs=1, hidden_layer_sizes=(2,)).model
    with pytest.raises(DataError, match="column 'day' holds dates; the column must be numeric"):
        model.predict(table)
