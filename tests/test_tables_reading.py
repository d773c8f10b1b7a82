"""Tables as people write them: what is read, what is said of it, and what is refused."""

from __future__ import annotations

import bz2
import doctest
import io
import json
import lzma
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.data import ColumnReading, Reading, Table, load, read_table
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables import parsing
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.quick import block_size

N = 40
A = [round(0.25 * i - 3, 2) for i in range(N)]
B = [round(1000 + 137.5 * i, 2) for i in range(N)]
WORDS = ["red", "blue", "green", "blue"] * (N // 4)


def grid(*columns: Any, head: str = "a,b,c\n", separator: str = ",", end: str = "\n") -> str:
    """Columns as lines under a header."""
    rows = (separator.join(map(str, row)) for row in zip(*columns, strict=True))
    return head + "".join(row + end for row in rows)


def read(tmp_path: Path, content: str | bytes, **options: Any) -> Table:
    path = tmp_path / "d.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, **options)


def numbers(table: Table, name: str) -> list[float | None]:
    values = table.columns[table.names.index(name)]
    assert values.dtype == np.float64, f"{name} holds texts"
    return [None if np.isnan(value) else float(value) for value in values]


def with_gaps(values: list[float], marker: str) -> list[Any]:
    return [marker if i % 7 == 3 else value for i, value in enumerate(values)]


def gaps_in(values: list[float]) -> list[float | None]:
    return [None if i % 7 == 3 else value for i, value in enumerate(values)]


@pytest.mark.parametrize("marker", ["-", "--", ".", "n.a.", "missing", "unknown", "ND", "#DIV/0!"])
def test_a_marker_among_numbers_is_a_gap_and_is_said(marker: str, tmp_path: Path) -> None:
    table = read(tmp_path, grid(with_gaps(A, marker), B, WORDS))
    assert numbers(table, "a") == gaps_in(A)
    assert f"column 'a': {marker!r} in 6 rows is taken for a gap" in table.notes
    assert table.reading.columns["a"] == ColumnReading("number", "plain", (marker,))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (lambda v: f"${v:,.2f}", "without $"),
        (lambda v: f"{v:,.2f} €", "without €"),
        (lambda v: f"USD {v:.2f}", "without USD"),
        (lambda v: f"{v:.2f}%", "without %"),
        (lambda v: f"{v:,.2f}", "commas between thousands"),
        (lambda v: f"{v:,.2f}".replace(",", " "), "blanks between thousands"),
        (lambda v: f"{v:.3e}".replace("e", "D"), "exponents written D"),
        (lambda v: f"\u00a0{v}\u00a0", ""),
    ],
)
def test_numbers_as_people_write_them(form: Any, said: str, tmp_path: Path) -> None:
    table = read(tmp_path, grid(A, map(form, B), WORDS, separator=";", head="a;b;c\n"))
    np.testing.assert_allclose(numbers(table, "b"), B, rtol=1e-3)
    assert any("'b'" in note and said in note for note in table.notes) or not said


def test_negative_numbers_in_parentheses_and_with_the_sign_for_minus(tmp_path: Path) -> None:
    accounting = [f"({-v})" if v < 0 else str(v) for v in A]
    minus = [str(v).replace("-", "\u2212") for v in A]
    table = read(tmp_path, grid(accounting, minus, WORDS))
    assert numbers(table, "a") == A
    assert numbers(table, "b") == A


def test_decimal_commas_with_dots_between_thousands(tmp_path: Path) -> None:
    european = [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in B]
    table = read(
        tmp_path,
        grid([str(v).replace(".", ",") for v in A], european, WORDS, separator=";", head="a;b;c\n"),
    )
    assert numbers(table, "a") == A
    assert numbers(table, "b") == B


def test_codes_with_leading_zeros_stay_texts(tmp_path: Path) -> None:
    codes = [f"{i:03}" for i in range(N)]
    table = read(tmp_path, grid(codes, B, WORDS))
    assert table.columns[0].tolist() == codes
    assert any("'a'" in note and "zeros" in note for note in table.notes)
    assert numbers(read(tmp_path, grid(codes, B, WORDS), numeric=["a"]), "a") == list(range(N))


@pytest.mark.parametrize(
    ("header", "is_one"),
    [
        ("region,2001,2002", True),
        ("0,1,2", True),
        ("1990,1995,2000", True),
        ("a,,3", True),
        ("Wien,1.25,1125.0", False),
        ("red,-,1000", False),
    ],
)
def test_headers_that_hold_numbers(header: str, is_one: bool, tmp_path: Path) -> None:
    table = read(tmp_path, grid(WORDS, A, B, head=header + "\n"))
    assert len(table) == N + (not is_one)
    assert any("header" in note for note in table.notes)


def test_a_header_can_be_overruled(tmp_path: Path) -> None:
    text = grid(WORDS, A, B, head="region,2001,2002\n")
    assert len(read(tmp_path, text, header=False)) == N + 1
    assert read(tmp_path, grid(WORDS, A, B, head=""), header=True).names[0] == "red"


@pytest.mark.parametrize(
    ("before", "after", "skipped"),
    [
        ("My table\n\n", "", 2),
        ("Report: sales;;\nDate: 2020;;\n;;\n", "", 3),
        ("sep=;\n", "", 0),
        ("# made today\n# a, b: metres\n", "# the end\n", 0),
        ("", "Source: the office\n", 0),
        ("", "Total;;39000\n", 0),
    ],
)
def test_lines_around_a_table_are_left_out_and_said(
    before: str, after: str, skipped: int, tmp_path: Path
) -> None:
    if after.startswith("Total"):
        after = f"Total;{sum(A)};{sum(B)}\n"
    text = before + grid(WORDS, A, B, head="w;a;b\n", separator=";") + after
    table = read(tmp_path, text)
    assert table.names == ("w", "a", "b")
    assert numbers(table, "a") == A
    assert len(table.notes) == (not before.startswith("sep"))
    if skipped:
        assert len(read(tmp_path, text, skip=skipped)) == N


def test_units_and_headers_among_the_rows(tmp_path: Path) -> None:
    rows = grid(A, B, WORDS, head="a,b,c\nm,kg,colour\n").splitlines()
    rows.insert(20, "a,b,c")
    table = read(tmp_path, "\n".join(rows))
    assert numbers(table, "b") == B
    assert [note.split(" and")[0] for note in table.notes] == [
        "line 2 holds units or types of the columns",
        "line 21 holds the names of the columns once more",
    ]


def test_row_names_of_r_and_separators_at_the_end(tmp_path: Path) -> None:
    names = [f'"{i}"' for i in range(N)]
    table = read(tmp_path, grid(names, A, B, head='"a","b"\n'))
    assert table.names == ("column_1", "a", "b")
    table = read(tmp_path, grid(A, B, [""] * N, head="a,b,\n"))
    assert table.names == ("a", "b")
    assert table.all_names == ("a", "b", "column_3")
    assert table.notes == ("column 'column_3': left out: no row has a value",)


def test_equal_and_empty_names(tmp_path: Path) -> None:
    table = read(tmp_path, grid(A, B, A, WORDS, head="a,,a,c\n"))
    assert table.names == ("a", "column_2", "a_1", "c")
    assert any("2 columns are named 'a'" in note for note in table.notes)


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ('"x, ""y"""', 'x, "y"'),
        ('"x, \\"y\\""', 'x, "y"'),
        ("'x, y'", "x, y"),
        ('12" pipe', '12" pipe'),
        ('"x\ny"', "x\ny"),
    ],
)
def test_quotes_of_every_kind(cell: str, found: str, tmp_path: Path) -> None:
    table = read(tmp_path, grid(A, B, [cell] * N))
    assert table.columns[2].tolist() == [found] * N
    assert table.lines[1] - table.lines[0] == cell.count("\n") + 1


def test_encodings_that_are_no_utf8_are_said(tmp_path: Path) -> None:
    text = grid(A, B, ["café"] * N)
    for encoding in ("utf-16", "utf-8-sig", "utf-32"):
        assert read(tmp_path, text.encode(encoding)).notes == ()
    table = read(tmp_path, text.encode("cp1252"))
    assert table.columns[2][0] == "café"
    assert "Windows-1252" in table.notes[0]
    assert "line 2" in table.notes[0]


def test_compressed_files_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = grid(A, B, WORDS).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("folder/d.csv", content)
    for packed in (bz2.compress(content), lzma.compress(content), archive.getvalue()):
        assert numbers(read(tmp_path, packed), "b") == B
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("e.csv", content)
    with pytest.raises(DataError, match=r"zip archive of 2 files.*e\.csv"):
        read(tmp_path, archive.getvalue())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert numbers(read_table("-"), "a") == A


@pytest.mark.parametrize(
    ("content", "options", "parts"),
    [
        (grid([*A[:-1], "1o"], B, WORDS), {}, ("line 41", "'a'", "'1o'", "39 others")),
        (grid(A, B, WORDS) + "1,2\n" + "1,2,x\n", {}, ("line 42", "2 column(s)")),
        (grid(A, B, WORDS) + "1,2\n", {}, ("line 42",)),
        (grid(A, B, WORDS) + '1,2,"x\n', {}, ("line 42", "quotes")),
        (
            grid([f"${v}" if v < 0 else f"{v} €" for v in A], B, WORDS),
            {},
            ("'a'", "'$', '€'", "one unit"),
        ),
        (grid(A, B, WORDS), {"text": ["z"]}, ("'z'", "'a', 'b', 'c'")),
        (grid(A, B, WORDS), {"text": ["a"], "numeric": [0]}, ("'a'", "choose one")),
        ("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n", {}, ("Markdown",)),
        ("<!DOCTYPE html><table></table>", {}, ("HTML", "CSV")),
        ("version https://git-lfs.github.com/spec/v1\n", {}, ("LFS", "git lfs pull")),
        ('[{"a": [1]}]', {}, ("row 1", "'a'", "a list or an object")),
        ('{"a": 1}\n{"a": \n', {}, ("line 2", "JSON")),
        ('[{"a": 1}, {"a": "x"}]', {}, ("'a'", "numbers and texts", "'x'")),
        ('{"a": {"0": 1}}', {}, ("no list of objects",)),
        (b"PAR1xxxx", {}, ("Parquet",)),
        (bytes(range(128, 256)), {}, ("0x80", "UTF-8")),
        ("name,y\n\x8eric,1\n\x8fva,2\n".encode("latin1"), {}, ("0x8e", "iconv -f macintosh")),
        (bytes(range(1, 32)) * 20, {}, ("binary",)),
    ],
)
def test_what_cannot_be_told_is_refused(
    content: str | bytes, options: dict[str, Any], parts: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("d.csv", "; ", *parts):
        assert part in message


def test_every_decision_can_be_overruled(tmp_path: Path) -> None:
    text = grid(with_gaps(A, "none"), [f"{v:.3f}" for v in A], WORDS, separator=";", head="a;b;c\n")
    assert read(tmp_path, text, text=["a"]).columns[0][3] == "none"
    assert read(tmp_path, text, drop=[0]).names == ("b", "c")
    assert read(tmp_path, text, separator="\t", header=True).names == ("a;b;c",)
    gaps = read(tmp_path, text, missing=["none", "red"])
    assert numbers(gaps, "a") == gaps_in(A)
    assert gaps.columns[2][0] is None
    with pytest.raises(DataError, match="'none' is not a number"):
        read(tmp_path, text, missing=["x"])
    mixed = grid([*A[:-4], "p1", "q2", "r3", "s4"], B, WORDS)
    assert read(tmp_path, mixed).columns[0].dtype == object
    assert numbers(read(tmp_path, mixed, numeric=["a"]), "a") == [*A[:-4], *[None] * 4]
    thousands = read(
        tmp_path, grid(A, ["1.234"] * N, WORDS, separator=";", head="a;b;c\n"), decimal=","
    )
    assert numbers(thousands, "b") == [1234.0] * N


def test_text_far_down_a_column_of_numbers_is_kept(tmp_path: Path) -> None:
    n = 120_000
    cells = [str(i % 1000) for i in range(n)]
    late = [*cells, "x1", "x2", "x3", "x4", "x5"]
    table = read(tmp_path, grid(late, late, head="a,b\n"))
    assert table.columns[0].tolist() == late
    assert any("'a'" in note and "texts" in note for note in table.notes)


def test_money_is_no_class(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text(grid(A, [f'"${v:,.2f}"' for v in B], head="a,price\n"))
    dataset = load(path)
    assert dataset.task == "regression"
    assert dataset.target.tolist() == B
    assert dataset.notes
    path.write_text(grid(A, [f"about {v:.0f}k" for v in B], head="a,price\n"))
    with pytest.raises(DataError, match=r"'price'.*40 different texts.*no classes"):
        load(path)
    assert load(path, task="classification").task == "classification"


def test_json_of_objects_and_of_lines(tmp_path: Path) -> None:
    records = [{"a": 1.5, "b": "07", "c": None}, {"a": None, "c": True, "b": "x, y"}]
    for text in (json.dumps(records), "\n\n".join(map(json.dumps, records))):
        table = read(tmp_path, text)
        assert table.names == ("a", "b", "c")
        assert numbers(table, "a") == [1.5, None]
        assert [column.tolist() for column in table.columns[1:]] == [["07", "x, y"], [None, "True"]]
    digits = read(tmp_path, '[{"a": "1"}, {"a": "2"}]')
    assert digits.columns[0].tolist() == ["1", "2"]
    assert "written as texts" in digits.notes[0]
    assert numbers(read(tmp_path, '[{"a": "1"}, {"a": "2"}]', numeric=["a"]), "a") == [1, 2]


def test_a_reading_is_remembered_in_json() -> None:
    reading = Reading(
        header=False,
        separator=";",
        missing=("x",),
        skip=2,
        columns={
            "a": ColumnReading("number", "comma", ("-",)),
            "b": ColumnReading("number"),
            "c": ColumnReading("text"),
        },
    )
    again = Reading.from_json(reading.to_json(), "the reading")
    assert again.columns == {"a": reading.columns["a"]}
    assert (again.header, again.separator, again.missing, again.skip) == (False, ";", ("x",), 2)


def test_the_rules_do_what_the_document_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = Path(__file__).parents[1] / "docs" / "data.md"
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(document), module_relative=False)
    assert (failed, tried > 5) == (0, True)


@pytest.mark.parametrize("separator", [",", " "])
def test_a_number_that_is_named_as_missing_is_a_gap_of_a_column_of_plain_numbers(
    tmp_path: Path, separator: str
) -> None:
    """By blocks and cell by cell alike: -999 was read as a number where nothing else was odd in its column."""
    rows = [["a", "b"], *([str(i), "-999" if i % 5 == 0 else str(i + 50)] for i in range(30))]
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{separator.join(row)}\n" for row in rows), encoding="utf-8")
    b = read_table(path, missing=["-999"]).columns[1]
    assert np.flatnonzero(np.isnan(b)).tolist() == list(range(0, 30, 5))


def test_zeros_before_digits_are_seen_behind_blanks_in_quotes(tmp_path: Path) -> None:
    """Also in a block that pandas cannot take for numbers, as another column has a text late."""
    path = tmp_path / "t.csv"
    path.write_text('a,b\n" 06",1\n"1",2\n" 03",late\n"5",3\n', encoding="utf-8")
    assert read_table(path, text=["b"]).columns[0].tolist() == ["06", "1", "03", "5"]
    assert read_table(path, missing=["late"]).columns[0].tolist() == ["06", "1", "03", "5"]


def test_as_many_rows_as_tell_something_are_looked_at_however_wide_they_are(tmp_path: Path) -> None:
    """The first lines of a table of 100,000 columns were cut off below its header."""
    width = 60_000
    lines = [
        ",".join(f"column number {i}" for i in range(width)),
        *[",".join(["0.25"] * width)] * 6,
    ]
    path = tmp_path / "wide.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    table = read_table(path)
    assert len(table) == 6
    assert len(table.names) == width
    assert table.names[7] == "column number 7"


def test_coded_texts_keep_what_occurs_in_the_order_in_which_it_does() -> None:
    """Gaps are no text, blanks around texts and levels without rows go, and every row keeps its text."""
    texts = CodedTexts(np.array([2, 0, -1, 3, 2, 1]), ("b ", "NA", " a", "b", "unused")).stripped()
    assert texts.texts().tolist() == ["a", "b", None, "b", "a", None]
    tidy = texts.tidy()
    assert tidy.levels == ("a", "b")
    assert tidy.texts().tolist() == ["a", "b", None, "b", "a", None]
    assert tidy.counts() == {"a": 2, "b": 2}
    assert tidy.without({"a"}).texts().tolist() == [None, "b", None, "b", None, None]
    assert [tidy[row] for row in (1, 2)] == ["b", None]


@pytest.mark.parametrize("size", [16, 300, 1 << 20])
def test_blocks_of_any_size_read_the_same(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    rows = [f'{n},{n / 7:.3f},"a {n % 5}, b",{"" if n % 9 else "NA"}{n % 3}' for n in range(400)]
    path.write_text("\n".join(["number,share,text,code", *rows]))
    monkeypatch.setattr(parsing, "block_size", lambda *_: size)
    table = read_table(path)
    assert table.lines.tolist() == list(range(2, 402))
    np.testing.assert_array_equal(table.columns[0], np.arange(400.0))
    np.testing.assert_array_equal(table.columns[1], [float(f"{n / 7:.3f}") for n in range(400)])
    assert table.columns[2].tolist() == [f"a {n % 5}, b" for n in range(400)]
    assert table.columns[3].tolist() == [f"{'' if n % 9 else 'NA'}{n % 3}" for n in range(400)]


def test_blocks_of_small_files_are_small_and_those_of_wide_ones_have_some_rows() -> None:
    small, large = block_size(0, 3), block_size(1 << 40, 3)
    assert small < block_size(1 << 25, 3) < large == block_size(1 << 41, 3)
    assert small < block_size(0, 50_000) <= large


def test_quotes_far_down_that_fit_nowhere_leave_nothing_of_the_first_try(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{n},x{n % 3}" for n in range(3000)]
    rows[2000] = 'unknown,5"'
    rows[2500] = '7,"5" x'
    path.write_text("\n".join(["number,text", *rows]))
    table = read_table(path)
    assert len(table) == 3000
    assert table.columns[1][2500] == '"5" x'
    assert any("'unknown' in 1 row is taken for a gap" in note for note in table.notes)
