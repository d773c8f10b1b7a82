"""`read_table`: a text table (CSV and similar) as a DataFrame, checked cell by cell."""

from __future__ import annotations

import codecs
import io
import warnings
from array import array
from collections.abc import Callable, Collection, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.tables.files import CHUNK, Source, unreadable
from anyarray_mlp.data.separators import (
    BLANKS,
    HEADER_RECORDS,
    MISSING,
    find_separator,
    has_decimal_comma,
    has_header,
    is_number,
    records,
    to_number,
)
from anyarray_mlp.errors import AnyArrayMLPError, DataError

if TYPE_CHECKING:
    import pandas

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
MAX_COLUMNS = 100_000

# A text column in which nine of ten cells are numbers is taken for a numeric column with a mistake, unless it has so
# few different numbers that they may be categories ("0", "1", "2", "3+").
NEARLY_NUMERIC = 0.9
FEW_CATEGORIES = 20

UNNAMED = "column_"


# pandas' messages if its C parser runs out of memory; the second also if the file cannot be read.
NO_MEMORY = ("C error: out of memory", "C error: Calling read(nbytes) on source failed")

TextColumns = Callable[[list[str]], Collection[str]]


@within_memory
def read_table(
    path: Path,
    *,
    header: bool | None = None,
    texts: TextColumns | None = None,
    one_column: bool = False,
) -> pandas.DataFrame:
    """Read a table of numbers and texts; the index holds each row's line in the file.

    Separator (`, ; tab |` or blanks), header, decimal comma and missing values (`?`, empty, NA,
    nan, NULL) are detected; `header` overrides the detection of a header. Columns without a name are `column_1`,
    `column_2`, ... Numeric columns are integers or floats (parsed to the nearest double, so the same bits
    everywhere), texts are objects without surrounding blanks. `texts` takes all names and returns the columns that
    are texts even if every cell is a number; `one_column` allows a table with one column.

    Raises `DataError` naming file, line, column and value; `OutOfMemoryError` if it does not fit in memory.
    """
    source = Source.of(path)
    try:
        return table_from(source, header, texts or no_columns, one_column)
    except AnyArrayMLPError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def no_columns(names: list[str]) -> Collection[str]:
    """No text columns."""
    return ()


def table_from(
    source: Source, header: bool | None, text_columns: TextColumns, one_column: bool
) -> pandas.DataFrame:
    """The table in `source`, streamed in several passes: first its layout, then its values."""
    import pandas

    check_text(source)
    separator = find_separator(source, one_column=one_column)
    sample = [fields for _, fields in islice(records(source, separator), HEADER_RECORDS)]
    with_header = has_header(sample) if header is None else header
    names = column_names(sample[0], with_header, source.path)
    lines = line_numbers(source, separator, len(names), with_header)
    options = {
        "sep": r"\s+" if separator == BLANKS else separator,
        "header": 0 if with_header else None,
        "names": names,
        "index_col": False,
        "na_values": sorted(MISSING),
        "keep_default_na": False,
        "skipinitialspace": True,
        "decimal": "," if has_decimal_comma(sample, separator) else ".",
        **exact_floats(pandas.__version__),
    }
    body = sample[1:] if with_header else sample
    known = frozenset(text_columns(names))
    texts = [
        name
        for name, *cells in zip(names, *body, strict=False)
        if name in known or not are_numbers(cells)
    ]
    table = parsed(source, texts, options)
    late = [name for name in names if name not in texts and table[name].dtype.kind not in "iuf"]
    if late:
        table = parsed(source, texts + late, options)
    if len(table) != len(lines):
        raise DataError(
            f"{source.path}: has {len(lines)} rows by its line ends and {len(table)} by its quotes; "
            "remove the quotes from cells that do not need them"
        )
    table.index = pandas.Index(np.frombuffer(lines, dtype=np.int64), name="line")
    for name in texts + late:
        table[name] = stripped(table[name])
        if name not in known:
            table[name] = numbers_or_texts(table[name], str(options["decimal"]), source.path)
    for position, name in enumerate(names):
        check_finite(table[name], source, separator, position)
    return table


class Text(io.TextIOWrapper):
    """A text stream that keeps the error that stopped it, because pandas reports only that it failed."""

    failure: OSError | None = None

    def read(self, size: int | None = -1, /) -> str:
        """As the base class does."""
        try:
            return super().read(size)
        except OSError as error:
            self.failure = error
            raise


def parsed(source: Source, texts: list[str], options: dict[str, Any]) -> pandas.DataFrame:
    """The table as pandas parses it, with the columns `texts` as text.

    pandas parses in chunks. A column with text only in later chunks comes out as objects, and the caller parses
    again; pandas' warning of that case adds nothing.
    """
    import pandas

    # Line ends are unified first: pandas before 3 misreads bare carriage returns.
    text = Text(source.open(), encoding="utf-8-sig", newline=None)
    with text as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore", pandas.errors.DtypeWarning)
        try:
            table: pandas.DataFrame = pandas.read_csv(
                stream, dtype=dict.fromkeys(texts, str), **options
            )
        except pandas.errors.ParserError as error:
            if text.failure is not None:
                raise text.failure from None
            if any(words in str(error) for words in NO_MEMORY):
                raise MemoryError from None
            reason = " ".join(str(error).split())
            raise DataError(
                f"{source.path}: {reason}; check the quotes and separators there"
            ) from error
    return table


def are_numbers(cells: Iterable[str]) -> bool:
    """Whether every cell that is not missing reads as a number."""
    stripped = (cell.strip() for cell in cells)
    return all(cell in MISSING or is_number(cell) for cell in stripped)


def exact_floats(version: str) -> dict[str, Any]:
    """The option that makes pandas parse to the nearest double; from 3.1 on it always does."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return {} if (major, minor) >= (3, 1) else {"float_precision": "round_trip"}


def check_text(source: Source) -> None:
    """Raise `DataError` if the file is empty or not UTF-8 text."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line, blank = 0, 1, True
    with source.open() as stream:
        for chunk in iter(lambda: stream.read(CHUNK), b""):
            if offset == 0 and chunk[:2] in UTF16_MARKS:
                raise DataError(
                    f"{source.path}: is UTF-16 text; save it as UTF-8 (iconv -f utf-16 -t utf-8)"
                )
            zero = chunk.find(b"\0")
            if zero >= 0:
                line += chunk.count(b"\n", 0, zero)
                raise DataError(
                    f"{source.path}: line {line}, byte {offset + zero}: "
                    "a NUL byte, so this is a binary file or UTF-16 text without a mark; save it as UTF-8 text"
                )
            check_utf8(decoder, chunk, False, source.path, line, offset)
            blank = blank and not chunk.removeprefix(codecs.BOM_UTF8).strip()
            offset, line = offset + len(chunk), line + chunk.count(b"\n")
    check_utf8(decoder, b"", True, source.path, line, offset)
    if blank:
        raise DataError(f"{source.path}: is empty; give a table with rows")


def check_utf8(
    decoder: codecs.IncrementalDecoder,
    chunk: bytes,
    final: bool,
    path: Path,
    line: int,
    offset: int,
) -> None:
    """Decode `chunk`, which starts at byte `offset` in `line`; raises `DataError` if it cannot be decoded."""
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        # The decoder keeps the start of a character from the previous chunk and prepends it to this one.
        kept = len(error.object) - len(chunk)
        line += error.object.count(b"\n", 0, error.start)
        raise DataError(
            f"{path}: line {line}, byte {offset + error.start - kept}: 0x{error.object[error.start]:02x} "
            "is not UTF-8; save the file as UTF-8 (from Latin-1: iconv -f latin1 -t utf-8)"
        ) from None


def column_names(first: list[str], with_header: bool, path: Path) -> list[str]:
    """The columns' names: from the header, or `column_N` for columns without one."""
    if len(first) > MAX_COLUMNS:
        raise DataError(
            f"{path}: has {len(first):,} columns, more than {MAX_COLUMNS:,}; save it as .npz"
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


def line_numbers(source: Source, separator: str, width: int, with_header: bool) -> array[int]:
    """The line on which each row starts; raises `DataError` for a row with another number of columns."""
    lines = array("q")
    for line, fields in records(source, separator):
        if len(fields) != width:
            raise DataError(
                f"{source.path}: line {line} has {len(fields)} column(s) and the first line has {width}; "
                "give every line the same number"
            )
        lines.append(line)
    rows = lines[1:] if with_header else lines
    if not rows:
        raise DataError(f"{source.path}: holds a header but no rows; give at least one row of data")
    return rows


def check_finite(column: pandas.Series[Any], source: Source, separator: str, position: int) -> None:
    """Raise `DataError` for an infinite value, with its line and text."""
    if column.dtype.kind != "f":
        return
    infinite = np.isinf(column.to_numpy())
    if infinite.any():
        line = int(column.index[infinite][0])
        cell = next(
            fields[position] for start, fields in records(source, separator) if start == line
        )
        raise DataError(
            f"{source.path}: line {line}, column {shown(column.name)}: {shown(cell.strip())} is not a finite number; "
            "correct it, or write ? for a missing value"
        )


def stripped(column: pandas.Series[Any]) -> pandas.Series[Any]:
    """Texts without surrounding blanks; missing cells are nan."""
    import pandas

    present = column.notna().to_numpy(dtype=bool)
    cells = [cell.strip() for cell in column.to_numpy(dtype=object)[present]]
    values = np.full(len(column), np.nan, dtype=object)
    values[present] = [np.nan if cell in MISSING else cell for cell in cells]
    return pandas.Series(values, index=column.index, name=column.name, dtype=object)


def numbers_or_texts(texts: pandas.Series[Any], decimal: str, path: Path) -> pandas.Series[Any]:
    """A column of texts, converted to numbers if every cell is a number once its blanks are stripped."""
    import pandas

    known = texts.dropna()
    numbers = [to_number(cell, decimal) for cell in known]
    slips = [line for line, number in zip(known.index, numbers, strict=True) if number is None]
    if not slips:
        parsed_numbers = pandas.Series(
            numbers, index=known.index, name=texts.name, dtype=np.float64
        )
        return parsed_numbers.reindex(texts.index)
    correct = len(known) - len(slips)
    if correct >= NEARLY_NUMERIC * len(known) and len(set(numbers)) > FEW_CATEGORIES:
        raise DataError(
            f"{path}: line {slips[0]}, column {shown(texts.name)}: {shown(known[slips[0]])} is not a number "
            f"but {correct} others are; correct it, or write ? for a missing value"
        )
    return texts
