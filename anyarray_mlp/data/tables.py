"""`read_table`: a text table (CSV and its kin) as a DataFrame, checked cell by cell."""

from __future__ import annotations

import io
from array import array
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .files import read_bytes
from .messages import shown
from .separators import (
    BLANKS,
    HEADER_RECORDS,
    MISSING,
    find_separator,
    has_decimal_comma,
    has_header,
    records,
)

if TYPE_CHECKING:
    import pandas

UTF8_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
MAX_COLUMNS = 100_000

# A column of texts where nine cells of ten are numbers is taken for a numeric one with a slip in
# it, unless the numbers are so few that they may be categories ("0", "1", "2", "3+").
NEARLY_NUMERIC = 0.9
FEW_CATEGORIES = 20

UNNAMED = "column_"


def read_table(path: Path, *, header: bool | None = None) -> pandas.DataFrame:
    """Read a table of numbers and texts; the index holds each row's line in the file.

    Separator (`, ; tab |` or blanks), header, decimal comma and missing values (`?`, empty, NA,
    nan, NULL) are detected; `header` overrides the second. Columns without a name are `column_1`,
    `column_2`, ... Numeric columns are integers or floats (parsed to the nearest double, so the
    same bits everywhere), texts are objects without surrounding blanks.

    Raises `DataError` naming file, line, column and value.
    """
    import pandas

    raw = checked_text(read_bytes(path), path)
    separator = find_separator(raw, path)
    sample = [fields for _, fields in islice(records(raw, separator, path), HEADER_RECORDS)]
    with_header = has_header(sample) if header is None else header
    names = column_names(sample[0], with_header, path)
    lines = line_numbers(raw, separator, len(names), with_header, path)
    table: pandas.DataFrame = pandas.read_csv(
        io.BytesIO(raw),
        sep=r"\s+" if separator == BLANKS else separator,
        header=0 if with_header else None,
        names=names,
        index_col=False,
        na_values=sorted(MISSING),
        keep_default_na=False,
        skipinitialspace=True,
        low_memory=False,
        **exact_floats(pandas.__version__),
        decimal="," if has_decimal_comma(sample, separator) else ".",
        encoding="utf-8",
    )
    if len(table) != len(lines):
        raise DataError(
            f"{path}: {len(lines)} rows by its line ends and {len(table)} by its quotes; "
            "remove the quotes from cells that do not need them"
        )
    table.index = pandas.Index(np.frombuffer(lines, dtype=np.int64), name="line")
    for name in names:
        table[name] = checked_column(table[name], raw, separator, names.index(name), path)
    return table


def exact_floats(version: str) -> dict[str, Any]:
    """The option that makes pandas parse to the nearest double; from 3.1 on it always does."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}


def checked_text(raw: bytes | bytearray, path: Path) -> bytes | bytearray:
    """`raw` without its UTF-8 mark, or the reason why it is no UTF-8 text."""
    if raw[:2] in UTF16_MARKS:
        raise DataError(f"{path}: is UTF-16 text; save it as UTF-8 (iconv -f utf-16 -t utf-8)")
    raw = raw.removeprefix(UTF8_MARK)
    if not raw.strip():
        raise DataError(f"{path}: is empty; give a table with rows")
    zero = raw.find(b"\0")
    if zero >= 0:
        raise DataError(
            f"{path}: line {line_at(raw, zero)}, byte {zero}: a NUL byte, so this is a binary "
            "file or "
            "UTF-16 text without a mark; save it as UTF-8 text"
        )
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: line {line_at(raw, error.start)}, byte {error.start}: "
            f"0x{raw[error.start]:02x} is "
            "not UTF-8; save the file as UTF-8 (from Latin-1: iconv -f latin1 -t utf-8)"
        ) from None
    return raw


def line_at(raw: bytes | bytearray, position: int) -> int:
    """The number (from 1) of the line that holds byte `position`."""
    return raw.count(b"\n", 0, position) + 1


def column_names(first: list[str], with_header: bool, path: Path) -> list[str]:
    """The columns' names: those of the header, `column_N` where there is none."""
    if len(first) > MAX_COLUMNS:
        raise DataError(
            f"{path}: has {len(first):,} columns, more than {MAX_COLUMNS:,}; use an .npz"
        )
    unnamed = [f"{UNNAMED}{number}" for number in range(1, len(first) + 1)]
    if not with_header:
        return unnamed
    names = [cell.strip() or default for cell, default in zip(first, unnamed, strict=True)]
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if name in seen:
            raise DataError(
                f"{path}: columns {seen[name]} and {number} are both named {shown(name)}; "
                "give every column its own name"
            )
        seen[name] = number
    return names


def line_numbers(
    raw: bytes | bytearray, separator: str, width: int, with_header: bool, path: Path
) -> array[int]:
    """The line where each row starts; raises `DataError` for a row of another width."""
    lines = array("q")
    for line, fields in records(raw, separator, path):
        if len(fields) != width:
            raise DataError(
                f"{path}: line {line} has {len(fields)} column(s) and the first has {width}; "
                "give every line the same number"
            )
        lines.append(line)
    rows = lines[1:] if with_header else lines
    if not rows:
        raise DataError(f"{path}: holds a header and no rows; give at least one row of data")
    return rows


def checked_column(
    column: pandas.Series[Any], raw: bytes | bytearray, separator: str, position: int, path: Path
) -> pandas.Series[Any]:
    """The column as numbers or tidy texts, free of infinities and of slips among numbers."""
    import pandas

    if column.dtype.kind in "OTU" or isinstance(column.dtype, pandas.StringDtype):
        column = tidy_texts(column, path)
    if column.dtype.kind == "f" and np.isinf(column.to_numpy()).any():
        line = int(column.index[np.isinf(column.to_numpy())][0])
        cell = next(
            fields[position] for start, fields in records(raw, separator, path) if start == line
        )
        raise DataError(
            f"{path}: line {line}, column {shown(column.name)}: {shown(cell.strip())} is not a "
            "finite "
            "number; correct it, or write ? for a missing value"
        )
    return column


def tidy_texts(column: pandas.Series[Any], path: Path) -> pandas.Series[Any]:
    """Texts without surrounding blanks; numbers where, but for those blanks, all cells are."""
    import pandas

    present = column.notna()
    cells = [
        cell.strip() if isinstance(cell, str) else str(cell)
        for cell in column.to_numpy(dtype=object)[present]
    ]
    values = np.full(len(column), np.nan, dtype=object)
    values[present.to_numpy()] = [np.nan if cell in MISSING else cell for cell in cells]
    texts = pandas.Series(values, index=column.index, name=column.name, dtype=object)
    known = texts.dropna()
    numbers = pandas.to_numeric(known, errors="coerce")
    numeric = numbers.notna()
    if numeric.all():
        return texts.map(float, na_action="ignore").astype(float)
    if numeric.mean() >= NEARLY_NUMERIC and numbers.nunique() > FEW_CATEGORIES:
        line = int(known.index[~numeric][0])
        raise DataError(
            f"{path}: line {line}, column {shown(column.name)}: {shown(known[line])} is not a "
            "number "
            f"and {int(numeric.sum())} others are; correct it, or write ? for a missing value"
        )
    return texts
