"""Tables of formats whose columns have types: what becomes of each, by what was asked for and what is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.header import column_names
from anyarray_mlp.tables.judging import taken_for_gaps
from anyarray_mlp.tables.layout import MAX_COLUMNS
from anyarray_mlp.tables.markers import GAPS, is_common_marker
from anyarray_mlp.tables.places import find_columns
from anyarray_mlp.tables.reading import ColumnReading, Reading
from anyarray_mlp.tables.styles import BY_NAME, PLAIN, Style, fitting, is_number
from anyarray_mlp.tables.table import Columns, Known, Table, nothing_in

#: Columns by their places: float64 with NaN for gaps, datetime64 with NaT, or texts (objects) with None.
Load = Callable[[list[int]], Iterable[NDArray[Any]]]
#: The whole numbers up to here are all doubles.
LARGEST_WHOLE = 2**53


@dataclass(frozen=True)
class Typed:
    """A table before anything of its columns is read.

    names: as the file has them. lines: what errors call each row. has_gaps: whether the format tells gaps from texts,
    so that NA is a text. of_texts: the places of columns whose texts are no numbers, whatever they look like.
    keep: brings a column to where it is kept.
    """

    path: Path
    names: Sequence[str]
    load: Load
    lines: NDArray[np.int64]
    has_gaps: bool = False
    of_texts: frozenset[int] = frozenset()
    keep: Callable[[NDArray[Any]], Any] = lambda column: column


def typed_table(typed: Typed, reading: Reading, known: Known, notes: list[str]) -> Table:
    """The table, without columns that hold nothing; raises `DataError` for what cannot be as it is asked for."""
    path = typed.path
    if len(typed.names) > MAX_COLUMNS:
        raise DataError(
            f"{path}: has {len(typed.names):,} columns, more than {MAX_COLUMNS:,}; save it as .npz"
        )
    if not len(typed.lines):
        raise DataError(f"{path}: holds no rows; give at least one row of data")
    names = column_names(typed.names, len(typed.names), notes)
    dropped, numeric, texts = (
        find_columns(names, wanted, path)
        for wanted in (reading.drop, reading.numeric, reading.text)
    )
    if numeric & texts:
        raise DataError(
            f"{path}: column {shown(names[min(numeric & texts)])} is asked for as numbers and as texts; choose one"
        )
    how = known(names)
    unread = {place for place, name in enumerate(names) if name in how and how[name].kind == "none"}
    wanted = [place for place in range(len(names)) if place not in dropped | unread]
    kept, columns, readings, empty = [], [], {}, []
    for place, values in zip(wanted, typed.load(wanted), strict=True):
        name = names[place]
        column = Column(typed, name, reading, notes, place in typed.of_texts)
        asked = how.get(name)
        if place in numeric:
            values = column.numbers(values)
        elif place in texts:
            values = column.texts(as_texts(values))
        else:
            values = column.values(values, asked)
        if asked is None and bool(is_missing(values).all()):
            empty.append(name)
            continue
        kept.append(name)
        columns.append(typed.keep(values))
        readings[name] = ColumnReading("number" if values.dtype.kind == "f" else "text")
    if empty:
        notes.append(nothing_in(empty))
    if not columns:
        raise DataError(f"{path}: holds no column with a value; give a table with values")
    found = replace(reading, columns=readings)
    return Table(
        tuple(kept), Columns(columns), tuple(notes), typed.keep(typed.lines), tuple(names), found
    )


@dataclass(frozen=True)
class Column:
    """One column of it."""

    typed: Typed
    name: str
    reading: Reading
    notes: list[str]
    is_text: bool

    def values(self, values: NDArray[Any], asked: ColumnReading | None) -> NDArray[Any]:
        """As they are, or as another table has them."""
        kind = None if asked is None else asked.kind
        if values.dtype.kind == "f":
            values = self.without_markers(values)
            return as_texts(values) if kind == "text" else values
        if values.dtype.kind == "M":
            return values
        if asked is not None and kind == "number":
            return self.numbers_as_known(values, asked)
        found = self.texts(values)
        # Of whole numbers beyond 2**53, and of bytes, it is said already.
        told = self.is_text or any(note.startswith(self.subject) for note in self.notes)
        if kind is None and not told and all(map(is_number, set(found.tolist()) - {None})):
            self.say("holds numbers that are written as texts, and is read as texts")
        return found

    def texts(self, values: NDArray[Any]) -> NDArray[Any]:
        """Texts without the blanks around them, None for gaps."""
        clean = {cell: cell and cell.strip() for cell in set(values.tolist())}
        values = replaced(values, clean)
        markers = (frozenset() if self.typed.has_gaps else GAPS) | frozenset(
            self.reading.missing or ()
        )
        counts = Counter(values.tolist())
        met = {cell: counts[cell] for cell in markers if counts[cell]}
        if not met:
            return values
        if any(met.keys() - {""}):
            self.say(taken_for_gaps({cell: times for cell, times in met.items() if cell}))
        return replaced(values, dict.fromkeys(met))

    def without_markers(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Finite numbers, NaN for those that somebody says are gaps."""
        numbers = (PLAIN.number(marker) for marker in self.reading.missing or ())
        markers = [number for number in numbers if number is not None]
        if markers:
            values = np.where(np.isin(values, markers), np.nan, values)
        self.check_finite(values)
        return values

    def numbers(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Numbers, gaps for everything else, as somebody asked for."""
        if values.dtype.kind == "M":
            raise DataError(
                f"{self.typed.path}: column {shown(self.name)} holds dates and is asked for as numbers; leave it out "
                "of numeric"
            )
        if values.dtype.kind == "f":
            return self.without_markers(values)
        values = self.texts(values)
        counts = Counter(cell for cell in values.tolist() if cell is not None)
        style, _ = fitting(counts.items(), False)
        odd = {cell: times for cell, times in counts.items() if style.number(cell) is None}
        if odd:
            self.say(taken_for_gaps(odd))
        return self.checked(values, style)

    def numbers_as_known(self, values: NDArray[Any], asked: ColumnReading) -> NDArray[np.float64]:
        """Texts as the numbers that another table has in this column; `DataError` for a text that is none."""
        style = BY_NAME[asked.style]
        markers = {*asked.markers, *(self.reading.missing or ())}
        values = self.texts(values)
        for row, cell in enumerate(values.tolist()):
            if cell is None or cell in markers or is_common_marker(cell):
                continue
            if style.number(cell) is None:
                raise DataError(
                    f"{self.where(row)}: {shown(cell)} is not a number, and the column must hold numbers; correct it, "
                    "or leave it empty"
                )
        return self.checked(values, style, markers)

    def checked(
        self, values: NDArray[Any], style: Style, markers: Iterable[str] = ()
    ) -> NDArray[np.float64]:
        """Texts as finite numbers, NaN for what is none."""
        of_text: dict[str | None, float] = {}
        for cell in set(values.tolist()):
            number = None if cell is None or cell in markers else style.number(cell)
            of_text[cell] = np.nan if number is None else number
        numbers = np.array([of_text[cell] for cell in values.tolist()], dtype=np.float64)
        self.check_finite(numbers)
        return numbers

    def check_finite(self, values: NDArray[np.float64]) -> None:
        """Raise `DataError` for a number that is infinite."""
        infinite = np.isinf(values)
        if infinite.any():
            row = int(infinite.argmax())
            raise DataError(
                f"{self.where(row)}: {values[row]} is not a finite number; correct it, or leave it empty"
            )

    def where(self, row: int) -> str:
        """A row of the column, in an error."""
        return f"{self.typed.path}: line {self.typed.lines[row]}, column {shown(self.name)}"

    def say(self, what: str) -> None:
        """Note something about the column."""
        self.notes.append(f"{self.subject} {what}")

    @property
    def subject(self) -> str:
        """What a note on the column begins with."""
        return f"column {self.name!r}:"


def replaced(values: NDArray[Any], others: Mapping[Any, Any]) -> NDArray[Any]:
    """Texts, some of them with others in their place."""
    found = np.empty(len(values), dtype=object)
    found[:] = [others.get(cell, cell) for cell in values.tolist()]
    return found


def as_texts(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers and dates as texts, None for gaps: 3.0 as "3", midnight as the date alone."""
    if values.dtype.kind == "O":
        return values
    found = np.empty(len(values), dtype=object)
    missing = is_missing(values)
    if values.dtype.kind == "f":
        found[:] = [
            None if gone else number_text(value)
            for value, gone in zip(values.tolist(), missing, strict=True)
        ]
        return found
    known = values[~missing]
    by_day = bool((known == known.astype("datetime64[D]")).all())
    texts = np.datetime_as_string(values, unit="D" if by_day else "s")
    found[:] = [
        None if gone else text.replace("T", " ")
        for text, gone in zip(texts.tolist(), missing, strict=True)
    ]
    return found


def number_text(value: float) -> str:
    """A number as people write it: whole ones without a point."""
    return str(int(value)) if value.is_integer() and abs(value) <= LARGEST_WHOLE else repr(value)


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells hold no value."""
    if values.dtype.kind in "fM":
        return np.asarray(values != values)
    return np.array([cell is None for cell in values], dtype=bool)
