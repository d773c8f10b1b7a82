"""JSON: a list of objects, one for each row, or JSON lines, one object a line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.markers import GAPS
from anyarray_mlp.tables.places import find_columns
from anyarray_mlp.tables.reading import ColumnReading, Reading
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.styles import PLAIN, is_number
from anyarray_mlp.tables.table import Known, Table, nothing_in
from anyarray_mlp.tables.text import text_file

BEGINS = re.compile(rb"\A(\xef\xbb\xbf)?\s*[\[{]\s*[\"{\[\]}]")
CURE = "write one object of numbers and texts for each row, or save it as CSV"


def is_json(head: bytes, path: Path) -> bool:
    """Whether a file begins as a list or an object does."""
    return BEGINS.match(head) is not None


def read_json(source: Source, reading: Reading, known: Known) -> Table:
    """The table in a file of JSON; its numbers are numbers and its texts texts, whatever they look like."""
    path, notes = source.path, list[str]()
    text = text_file(source, notes)
    rows, lines = records_of("".join(text.lines()), path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    dropped, numeric, texts = (
        find_columns(names, wanted, path)
        for wanted in (reading.drop, reading.numeric, reading.text)
    )
    how = known(names)
    kept, columns, readings, empty = [], [], {}, []
    for place, name in enumerate(names):
        asked = how.get(name)
        if place in dropped or (asked is not None and asked.kind == "none"):
            continue
        cells = [without_markers(row.get(name), reading) for row in rows]
        kind = None if asked is None else str(asked.kind)
        kind = "number" if place in numeric else "text" if place in texts else kind
        if kind == "number" and place not in numeric:
            check_numbers(cells, name, lines, path)
        column = column_of(cells, kind, name, lines, path)
        if asked is None and all(cell is None for cell in cells):
            empty.append(name)
            continue
        if column.dtype.kind != "f" and kind is None and all_numbers(cells):
            notes.append(
                f"column {name!r} holds numbers that are written as texts, and is read as texts"
            )
        kept.append(name)
        columns.append(column)
        readings[name] = ColumnReading("number" if column.dtype.kind == "f" else "text")
    if empty:
        notes.append(nothing_in(empty))
    found = Reading(**{**reading.__dict__, "columns": readings})
    return Table(tuple(kept), tuple(columns), tuple(notes), lines, tuple(names), found)


def records_of(text: str, path: Path) -> tuple[list[dict[str, Any]], NDArray[np.int64]]:
    """The objects in a text, and the line of each; in a list, its place from 1."""
    try:
        rows = json.loads(text)
        lines = np.arange(1, 1 + len(rows)) if isinstance(rows, list) else np.ones(1)
    except (ValueError, RecursionError):
        rows, numbers = [], []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                rows.append(parsed_line(line, number, path))
                numbers.append(number)
        lines = np.array(numbers)
    if (
        not isinstance(rows, list)
        or not rows
        or not all(isinstance(row, dict) and row for row in rows)
    ):
        raise DataError(f"{path}: is JSON, but no list of objects; {CURE}")
    return rows, lines.astype(np.int64)


def parsed_line(line: str, number: int, path: Path) -> Any:
    """The value in one line of JSON lines."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: line {number} is no JSON ({error}); {CURE}") from None


def without_markers(cell: Any, reading: Reading) -> Any:
    """A cell, None if it is a gap."""
    if isinstance(cell, str):
        cell = cell.strip()
        return None if cell in GAPS or cell in (reading.missing or ()) else cell
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        named = any(PLAIN.number(marker) == cell for marker in reading.missing or ())
        return None if named or np.isnan(cell) else cell
    return cell


def column_of(
    cells: list[Any], kind: str | None, name: str, lines: NDArray[np.int64], path: Path
) -> NDArray[Any]:
    """The cells as numbers, if all are, or as texts; `DataError` for others and for both in one column."""
    nested = next((row for row, cell in enumerate(cells) if isinstance(cell, (dict, list))), None)
    if nested is not None:
        raise DataError(
            f"{path}: row {lines[nested]}, column {shown(name)} holds a list or an object; {CURE}"
        )
    held = [cell for cell in cells if cell is not None]
    numbers = [isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in held]
    if kind == "text" or (kind is None and held and not any(numbers)):
        texts = np.empty(len(cells), dtype=object)
        texts[:] = [None if cell is None else str(cell) for cell in cells]
        return texts
    if kind is None and not all(numbers):
        raise DataError(
            f"{path}: column {shown(name)} holds numbers and texts such as {shown(held[numbers.index(False)])}; "
            f"write all in one form, or read the column as numbers with gaps, numeric={[name]}, or as texts, "
            f"text={[name]}"
        )
    return np.array([as_float(cell, name, path) for cell in cells], dtype=np.float64)


def check_numbers(cells: list[Any], name: str, lines: NDArray[np.int64], path: Path) -> None:
    """`DataError` for a text that is no number in a column that held numbers in training."""
    for line, cell in zip(lines, cells, strict=True):
        if isinstance(cell, str) and PLAIN.number(cell) is None:
            raise DataError(
                f"{path}: row {line}, column {shown(name)}: {shown(cell)} is not a number, and the column must hold "
                "numbers; correct it, or write null for a missing value"
            )


def as_float(cell: Any, name: str, path: Path) -> float:
    """A number, NaN for anything else."""
    if isinstance(cell, (int, float)):
        try:
            number = float(cell)
        except OverflowError:
            number = np.inf
        if np.isinf(number):
            raise DataError(
                f"{path}: column {shown(name)} holds a number that is not finite; correct it"
            )
        return number
    found = PLAIN.number(cell) if isinstance(cell, str) else None
    return np.nan if found is None else found


def all_numbers(cells: list[Any]) -> bool:
    """Whether every cell is a text that looks like a number."""
    return all(cell is None or (isinstance(cell, str) and is_number(cell)) for cell in cells)
