"""The layout of a text table: its separator, and whether it has a header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from anyarray_mlp.tables.files import Source
from anyarray_mlp.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
BLANKS = " "
SAMPLE_RECORDS = 50
HEADER_RECORDS = 1000

# "None" is not included: real tables use it as a category.
MISSING = frozenset(
    ["", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "NULL", "null"]
)

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+")


def records(source: Source, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the number of the line (from 1) where it starts.

    Raises `DataError` for unclosed quotes and for fields over 128 KiB (a sign of them).
    """
    end = 0
    try:
        with io.TextIOWrapper(source.open(), encoding="utf-8-sig", newline="") as text:
            lines: Iterable[str] = text
            if separator == BLANKS:
                lines = (line.strip().replace("\t", " ") for line in text)
            reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
            for fields in reader:
                start, end = end + 1, reader.line_num
                if len(fields) > 1 or (fields and fields[0].strip()):
                    yield start, fields
    except csv.Error as error:
        raise DataError(
            f"{source.path}: line {end + 1}: {error}; close the quotes that open there, and double any quotes inside"
        ) from error


def find_separator(source: Source, *, one_column: bool = False) -> str:
    """The separator on which most of the first 50 records agree: one of `, ; tab |`, else blanks.

    If no candidate gives two columns, returns the comma if `one_column` is true, else raises `DataError`.
    """
    agreement: dict[str, float] = {}
    for separator in (*SEPARATORS, BLANKS):
        try:
            sample = list(islice(records(source, separator), SAMPLE_RECORDS))
        except DataError:
            # Quotes that close under one separator may not close under another; reading the whole file with
            # the chosen one reports those that never close.
            sample = list(islice(unquoted(source, separator), SAMPLE_RECORDS))
        widths = Counter(len(fields) for _, fields in sample)
        if not widths:
            raise DataError(
                f"{source.path}: holds no data, only blank lines; give a table with rows"
            )
        width, agreeing = max(widths.items(), key=lambda item: (item[1], item[0]))
        if width == 1 and len(widths) > 1:
            width, agreeing = max(
                (item for item in widths.items() if item[0] > 1), key=lambda i: i[1]
            )
        agreement[separator] = agreeing / len(sample) if width > 1 else 0.0
    best = max(SEPARATORS, key=lambda separator: agreement[separator])
    # Blanks also occur inside texts and dates, so they are the separator only if nothing else is.
    if agreement[best] < 0.5 and agreement[BLANKS] > agreement[best]:
        best = BLANKS
    if one_column and agreement[best] < 0.5:
        return ","
    if agreement[best] == 0.0:
        raise DataError(
            f"{source.path}: has only one column; give features besides the target, "
            "separated by a comma, semicolon, tab, | or blanks"
        )
    return best


def unquoted(source: Source, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not blank, split at every separator even within quotes."""
    with io.TextIOWrapper(source.open(), encoding="utf-8-sig", newline=None) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                fields = line.split() if separator == BLANKS else line.rstrip("\n").split(separator)
                yield number, fields


def to_number(cell: str, decimal: str = ".") -> float | None:
    """The number that a cell holds, or None; `1_000` is not a number here, though Python accepts it."""
    try:
        return None if "_" in cell else float(cell.replace(decimal, ".", 1))
    except ValueError:
        return None


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number, with a decimal point or comma."""
    return to_number(cell, ",") is not None


def has_header(sample: list[list[str]]) -> bool:
    """Whether the first record names the columns, judged from it and the records below.

    It does in two cases. One: it numbers the columns (0, 1, 2, ..., as pandas writes), except perhaps for names at
    the end (a named target, say) that do not occur again below. Two: none of its cells is a number or missing (apart
    from an unnamed first column) and either some column below holds numbers or, in a table of texts only, none of its
    cells occurs again below.
    """
    first, below = [cell.strip() for cell in sample[0]], sample[1:]
    named = first[1:] if first[0] == "" else first
    columns = [[cell.strip() for cell in column] for column in zip(*below, strict=False)]
    if counts_columns(named, columns[len(first) - len(named) :]):
        return True
    if any(cell in MISSING or is_number(cell) for cell in named):
        return False
    if not below:
        return True
    present = [[cell for cell in column if cell not in MISSING] for column in columns]
    if any(column and all(map(is_number, column)) for column in present):
        return True
    return len(set(first)) == len(first) and not any(
        cell in column for cell, column in zip(first, columns, strict=False)
    )


def counts_columns(named: list[str], below: list[list[str]]) -> bool:
    """Whether a record numbers the columns from 0: all of them, or all but some names at the end that occur once."""
    counted = next((place for place, cell in enumerate(named) if cell != str(place)), len(named))
    if len(named) < 3 or counted < 2 or (counted < len(named) and not below):
        return False
    return all(
        not (cell in MISSING or is_number(cell) or cell in column)
        for cell, column in zip(named[counted:], below[counted:], strict=False)
    )


def has_decimal_comma(sample: list[list[str]], separator: str) -> bool:
    """Whether numbers are written 1,5: some cells are, and none has a decimal point."""
    if separator == ",":
        return False
    cells = [cell.strip() for fields in sample for cell in fields]
    return any(map(DECIMAL_COMMA.fullmatch, cells)) and not any(map(DECIMAL_POINT.fullmatch, cells))
