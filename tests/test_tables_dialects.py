"""A known table, written in a random dialect and read back: the same names, gaps, texts and numbers, bit for bit."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from anyarray_mlp.data import Table, read_table

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4) + 0.0)
WORDS = ["red", "light blue", "Wien, AT", "a;b", "it's", 'say "x"', "été", "Zürich", "x|y"]


@dataclass(frozen=True)
class Dialect:
    separator: str
    comma: bool
    header: bool
    quoted: bool
    encoding: str
    end: str
    marker: str
    title: bool
    trailing: bool
    grouped: bool
    zipped: bool


DIALECTS = st.builds(
    Dialect,
    separator=st.sampled_from([",", ";", "\t", "|"]),
    comma=st.booleans(),
    header=st.booleans(),
    quoted=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    marker=st.sampled_from(["", "NA", "?", "-", ".", "n.a."]),
    title=st.booleans(),
    trailing=st.booleans(),
    grouped=st.booleans(),
    zipped=st.booleans(),
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[float | str | None]]:
    """Columns of numbers and texts with gaps, long enough that the rules have something to judge."""
    n = draw(st.integers(30, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    columns: list[list[float | str | None]] = []
    for _ in range(draw(st.integers(1, 3))):
        numbers: list[float | str | None] = [round(float(v), 3) for v in rng.normal(0, 3000, n)]
        for row in rng.choice(n, 3, replace=False):
            numbers[row] = None
        columns.append(numbers)
    columns.append(list(draw(st.lists(NUMBERS, min_size=n, max_size=n, unique=True))))
    words = draw(st.lists(st.sampled_from(WORDS), min_size=2, max_size=5, unique=True))
    columns.append([words[i % len(words)] for i in range(n)])
    return columns


def as_number(value: float, dialect: Dialect) -> str:
    if dialect.grouped and dialect.separator not in (",", "\t"):
        text = f"{value:,.4f}"
        return text.translate(str.maketrans(",.", ".,")) if dialect.comma else text
    return repr(value).replace(".", ",") if dialect.comma else repr(value)


def written(columns: list[list[float | str | None]], names: list[str], dialect: Dialect) -> bytes:
    """The table as the dialect has it."""
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if dialect.quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(
        text, delimiter=dialect.separator, lineterminator=dialect.end, quoting=quoting
    )
    if dialect.title:
        text.write(f"Report of today{dialect.end}")
    end = [""] if dialect.trailing else []
    if dialect.header:
        writer.writerow(names + end)
    for row in zip(*columns, strict=True):
        cells = [
            dialect.marker if v is None else v if isinstance(v, str) else as_number(v, dialect)
            for v in row
        ]
        writer.writerow(cells + end)
    return text.getvalue().encode(dialect.encoding)


def assert_same(
    table: Table, columns: list[list[float | str | None]], names: list[str] | None
) -> None:
    assert len(table.columns) == len(columns)
    if names is not None:
        assert list(table.names) == names
    for found, given_values in zip(table.columns, columns, strict=True):
        if isinstance(given_values[0], str) or isinstance(given_values[-1], str):
            assert found.tolist() == given_values
        else:
            expected = [np.nan if value is None else value for value in given_values]
            np.testing.assert_array_equal(found, np.array(expected, dtype=float))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(columns=tables(), dialect=DIALECTS)
@example(
    columns=[[None, *[i + 0.5 for i in range(39)]], ["red", "blue"] * 20],
    dialect=Dialect(",", False, False, False, "utf-8", "\n", "-", False, False, False, False),
)
def test_a_table_survives_every_dialect(
    tmp_path: Path, columns: list[list[float | str | None]], dialect: Dialect
) -> None:
    names = [f"name {letter}" for letter in "abcdefg"[: len(columns)]]
    content = written(columns, names, dialect)
    path = tmp_path / "d.csv"
    path.write_bytes(gzip.compress(content) if dialect.zipped else content)
    table = read_table(path)
    assert_same(table, columns, names if dialect.header else None)
    if dialect.marker in ("-", ".", "n.a.") and any(None in column for column in columns):
        assert any("taken for a gap" in note for note in table.notes)
    if dialect.title:
        assert any("no part of the table" in note for note in table.notes)
    if dialect.encoding == "cp1252" and not content.isascii():
        assert any("Windows-1252" in note for note in table.notes)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.lists(
            st.sampled_from(["1", "-2.5", "03", "x", '"a,b"', '"q""q"', "", " 7", "1e3", "NA"]),
            min_size=3,
            max_size=3,
        ),
        min_size=8,
        max_size=40,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_quick_and_strict_parsing_agree(tmp_path: Path, rows: list[list[str]], end: str) -> None:
    # Blank lines between rows, which are nothing, leave a file to the strict parser.
    lines = ["a,b,c", *(",".join(row) for row in rows if any(row))]
    quick, strict = tmp_path / "quick.csv", tmp_path / "strict.csv"
    quick.write_bytes((end.join(lines) + end).encode())
    strict.write_bytes((end + (end + end).join(lines) + end).encode())
    results = []
    for path in (quick, strict):
        try:
            table = read_table(path, header=True)
            results.append((table.names, [column.tolist() for column in table.columns]))
        except Exception as error:
            results.append((type(error), str(error).split(", column")[-1]))
    assert repr(results[0]) == repr(results[1])
