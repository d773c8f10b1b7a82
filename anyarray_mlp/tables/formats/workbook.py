"""Workbooks (.xlsx), by openpyxl: an extra, loaded when such a file is met.

A sheet is read by the rules of text: its rows become lines, numbered as in the sheet, so that titles, headers, units,
notes and gaps are found alike and a model takes the same table from a workbook and from CSV.
"""

from __future__ import annotations

import csv
import datetime
import io
import statistics
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyarray_mlp.checking.messages import counted, listed, shown, suggestion
from anyarray_mlp.errors import AnyArrayMLPError, DataError
from anyarray_mlp.tables.dialect import Dialect
from anyarray_mlp.tables.files import check_expansion, imported
from anyarray_mlp.tables.formats.delimited import Delimited
from anyarray_mlp.tables.formats.typed import number_text
from anyarray_mlp.tables.header import column_names
from anyarray_mlp.tables.layout import layout_of
from anyarray_mlp.tables.reading import ColumnReading, Reading
from anyarray_mlp.tables.source import ZIP, Source
from anyarray_mlp.tables.styles import PLAIN
from anyarray_mlp.tables.table import Known, Table
from anyarray_mlp.tables.text import TextFile

#: The rows that a sheet can have.
MOST_ROWS = 1 << 20
NOT_AVAILABLE = "#N/A"
A_DAY = datetime.timedelta(days=1)

#: What an archive that holds such a file is, and what to do.
OTHERS: tuple[tuple[str, str], ...] = (
    (".npy", "an archive of NumPy arrays (.npz); name it so"),
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb); save it as .xlsx, or the sheet as CSV"),
    ("content.xml", "an OpenDocument file (.ods); save it as .xlsx, or the sheet as CSV"),
)


def is_archive(head: bytes, path: Path) -> bool:
    """Whether a file begins as a workbook does; other archives are told by what they hold."""
    return head.startswith(ZIP)


def read_workbook(source: Source, reading: Reading, known: Known) -> Table:
    """The table in a sheet of a workbook: the one that is named, or the only one that holds anything."""
    check_archive(source)
    openpyxl = imported("openpyxl", "xlsx", source.path, "an Excel workbook")
    notes: list[str] = []
    with understood(source), opened(openpyxl, source, values=True) as book:
        name = chosen_sheet(book, reading.sheet, source.path, notes)
        sheet = Sheet.of(book[name])
    if not sheet.rows:
        raise DataError(f"{source.path}: sheet {shown(name)} is empty; give a table with rows")
    if has_formulas(source):
        with understood(source), opened(openpyxl, source, values=False) as book:
            sheet.say_formulas(book[name], notes)
    sheet.say_errors(notes)
    sheet.trim()
    width, rows = max(map(len, sheet.rows)), sum(map(bool, sheet.rows))
    check_expansion(source.path, len('"",') * width * rows, source.size)
    text = TextFile(Source(source.path, sheet.as_csv().encode()), "utf-8")
    layout = layout_of(text, Dialect(","), reading, notes)
    names = column_names(layout.names, layout.width, notes)
    numbers = sheet.columns_of_numbers(layout.skip)
    how = known(names)
    readings = {
        name: as_numbers(how[name], place in numbers)
        for place, name in enumerate(names)
        if name in how
    }
    table = Delimited(text, layout, names, reading, notes, readings).table()
    return replace(table, notes=(*table.notes, *written_as_texts(table, names, numbers)))


def as_numbers(found: ColumnReading, is_number: bool) -> ColumnReading:
    """How a known column is read: one that holds numbers here has no other style."""
    if found.kind == "number" and is_number:
        return ColumnReading("number", PLAIN.name, found.markers)
    return found


def written_as_texts(table: Table, names: list[str], numbers: set[int]) -> Iterator[str]:
    """The note on columns whose numbers are all texts in the sheet."""
    of_numbers = {names[place] for place in numbers if place < len(names)}
    for name, values in table.by_name.items():
        if values.dtype.kind == "f" and name not in of_numbers:
            yield f"column {name!r}: its numbers are written as texts, and are read as numbers (text={[name]})"


def check_archive(source: Source) -> None:
    """Raise `DataError` for an archive that is no workbook, is damaged, or expands out of all proportion."""
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise DataError(
            f"{source.path}: the zip archive is damaged ({error}); fetch it again"
        ) from error
    for end, what in OTHERS:
        if any(entry.filename.endswith(end) for entry in entries):
            raise DataError(f"{source.path}: is {what}")
    check_expansion(source.path, sum(entry.file_size for entry in entries), source.size)


def has_formulas(source: Source) -> bool:
    """Whether a sheet holds a formula."""
    with source.open() as stream, zipfile.ZipFile(stream) as archive:
        return any(
            b"<f>" in sheet or b"<f " in sheet or b":f>" in sheet
            for name in archive.namelist()
            if "worksheets/" in name and (sheet := archive.read(name))
        )


@contextmanager
def understood(source: Source) -> Iterator[None]:
    """Whatever openpyxl raises for a workbook that it cannot read, as one error."""
    try:
        with warnings.catch_warnings():
            # Of what has no bearing on cells: styles, validations, extensions.
            warnings.simplefilter("ignore")
            yield
    except (AnyArrayMLPError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{source.path}: the Excel workbook could not be read ({said}); open it in a spreadsheet program and "
            "save it again"
        ) from error


@contextmanager
def opened(openpyxl: Any, source: Source, values: bool) -> Iterator[Any]:
    """The workbook, of its values or of its formulas."""
    with source.open() as stream:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=values, keep_links=False)
        try:
            yield book
        finally:
            book.close()


def chosen_sheet(book: Any, asked: str | None, path: Path, notes: list[str]) -> str:
    """The name of the sheet to read; `DataError` where several hold something and none is named."""
    names = [sheet.title for sheet in book.worksheets]
    if asked is not None:
        found = [name for name in names if name.strip() == asked.strip()]
        if found:
            return str(found[0])
    visible = [each for each in book.worksheets if each.sheet_state == "visible"]
    held = [each.title for each in visible if holds_something(each)]
    if asked is not None and len(held) != 1:
        raise DataError(
            f"{path}: no sheet {shown(asked)}{suggestion(asked, names)}; the sheets are {listed(names)}"
        )
    if asked is not None:
        notes.append(f"there is no sheet {asked!r}: {held[0]!r}, the only one, is read")
    if len(held) > 1:
        raise DataError(
            f"{path}: has {len(held)} sheets, {listed(held)}; name one of them (--sheet NAME, sheet=)"
        )
    if not held:
        raise DataError(f"{path}: is a workbook without a cell that holds anything; give a table")
    return str(held[0])


def holds_something(sheet: Any) -> bool:
    """Whether a cell of a sheet has a value."""
    return any(cell.value is not None for row in rows_of(sheet) for cell in row)


def rows_of(sheet: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a sheet as far as they go, whatever size the file says that it has."""
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows()):
        if number >= MOST_ROWS:
            raise ValueError(f"more than {MOST_ROWS:,} rows")
        yield row


@dataclass
class Sheet:
    """The cells of a sheet.

    rows: as texts. typed: for each row, the columns of its numbers. blank: the cells, by row and column from 0, that
    hold an empty text. errors: where each error is met.
    """

    rows: list[list[str]] = field(default_factory=list)
    typed: list[set[int]] = field(default_factory=list)
    blank: set[tuple[int, int]] = field(default_factory=set)
    errors: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, cells: Any) -> Sheet:
        """The cells of a sheet of openpyxl."""
        sheet = cls()
        for number, row in enumerate(rows_of(cells)):
            found: list[str] = []
            typed: set[int] = set()
            for place, cell in enumerate(row):
                value = cell.value
                if value is None:
                    if cell.data_type != "n":
                        sheet.blank.add((number, place))
                    found.append("")
                    continue
                if cell.data_type == "e":
                    sheet.errors.setdefault(str(value), []).append(cell.coordinate)
                    value = NOT_AVAILABLE
                elif isinstance(value, (int, float)) and not isinstance(value, bool):
                    typed.add(place)
                found.append(cell_text(value))
            while found and not found[-1]:
                found.pop()
            sheet.rows.append(found)
            sheet.typed.append(typed)
        while sheet.rows and not sheet.rows[-1]:
            sheet.rows.pop()
        return sheet

    def trim(self) -> None:
        """Take off the empty columns before the first that holds anything."""
        first = min(
            (next(place for place, cell in enumerate(row) if cell) for row in self.rows if row),
            default=0,
        )
        self.rows = [row[first:] for row in self.rows]
        self.typed = [{place - first for place in typed} for typed in self.typed]

    def as_csv(self) -> str:
        """The rows as lines: empty where nothing is, and all as wide as the sheet but for titles before the table."""
        width = max(map(len, self.rows))
        titles = self.titles()
        written = io.StringIO()
        writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for number, row in enumerate(self.rows):
            if not row:
                written.write("\n")
            else:
                writer.writerow(row if number < titles else row + [""] * (width - len(row)))
        return written.getvalue()

    def titles(self) -> int:
        """How many rows are above the table: of less than half as many cells as most rows have, and not only numbers.

        So is a lone text in the first column, above a row of more texts, which is the header.
        """
        filled = [sum(map(bool, row)) for row in self.rows]
        usual = statistics.median([count for count in filled if count > 1] or [1])
        for number, (count, typed) in enumerate(zip(filled, self.typed, strict=True)):
            below = next((each for each in range(number + 1, len(filled)) if filled[each]), None)
            alone = count == 1 and self.rows[number][0] and below is not None
            titled = alone and filled[below or 0] > 1 and not self.typed[below or 0]
            if 0 < count == len(typed) or (2 * count >= usual and not titled):
                return number
        return 0

    def columns_of_numbers(self, skip: int) -> set[int]:
        """The columns that hold a number below so many rows."""
        return set().union(*self.typed[skip:])

    def say_errors(self, notes: list[str]) -> None:
        """Note the cells whose formulas failed; #N/A is how people write a gap."""
        for error, places in self.errors.items():
            if error != NOT_AVAILABLE:
                notes.append(
                    f"{error} in {counted(len(places), 'cell')}, first in {places[0]}, is taken for a gap"
                )

    def say_formulas(self, cells: Any, notes: list[str]) -> None:
        """Note the formulas whose values the file does not have."""
        without: list[str] = []
        for number, (row, found) in enumerate(zip(rows_of(cells), self.rows, strict=False)):
            for place, cell in enumerate(row):
                empty = place >= len(found) or not found[place]
                if cell.data_type == "f" and empty and (number, place) not in self.blank:
                    without.append(cell.coordinate)
        if without:
            notes.append(
                f"{counted(len(without), 'formula has', 'formulas have')} no value in the file, first in {without[0]}: "
                "they count as gaps; open it in a spreadsheet program and save it to have them computed"
            )


def cell_text(value: Any) -> str:
    """A cell as its CSV would have it, on one line; dates and times in the form that has no doubt."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        return number_text(value / A_DAY)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return " ".join(str(value).splitlines()).strip()
