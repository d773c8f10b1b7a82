"""ARFF, the format of Weka and OpenML: attributes with types, and rows that are dense or sparse.

scipy.io.arff knows neither texts nor sparse rows, so this is a reader of its own.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.files import check_expansion
from anyarray_mlp.tables.formats.typed import Typed, typed_table
from anyarray_mlp.tables.places import find_columns
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.styles import PLAIN
from anyarray_mlp.tables.table import Known, Table
from anyarray_mlp.tables.text import text_file

#: What the first line of the file says that is neither empty nor a comment.
BEGINS = re.compile(rb"@(relation|attribute)\b", re.IGNORECASE)
#: One value: in quotes of either kind, where a backslash stands before a quote within, or bare.
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
ATTRIBUTE = re.compile(
    rf"@attribute\s+({QUOTED}|[^\s'\"{{][^\s{{]*)\s*(\{{.*\}}|\S+)\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)
CELL = re.compile(rf"\s*((?:{QUOTED})\s*|[^,]*)(,|$)", re.DOTALL)
WORD = re.compile(rf"({QUOTED}|[^\s,]+)(?:\s*,\s*|\s+|$)", re.DOTALL)
SPARSE = re.compile(rf"(\d+)\s+((?:{QUOTED})\s*|[^,]*)(?:,\s*|$)", re.DOTALL)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
NUMERIC = ("numeric", "real", "integer")

#: Letters of Java's dates and what Python calls them; the longer first.
JAVA = (
    ("yyyy", "%Y"), ("yy", "%y"), ("MMMM", "%B"), ("MMM", "%b"), ("MM", "%m"), ("M", "%m"), ("dd", "%d"), ("d", "%d"),
    ("HH", "%H"), ("H", "%H"), ("hh", "%I"), ("h", "%I"), ("mm", "%M"), ("ss", "%S"), ("SSS", "%f"), ("EEEE", "%A"),
    ("EEE", "%a"), ("a", "%p"), ("XXX", "%z"), ("Z", "%z"), ("''", "'"),
)  # fmt: skip
ISO = "yyyy-MM-dd'T'HH:mm:ss"


@dataclass(frozen=True)
class Attribute:
    """A column: numbers, texts, one of some levels, or dates of a form as `datetime.strptime` takes it."""

    name: str
    kind: Literal["number", "text", "nominal", "date"]
    levels: tuple[str, ...] = ()
    form: str = ""


#: The cells of a row, or those of a sparse one by the place of the attribute; None for gaps.
Row = list[str | None] | dict[int, str | None]


def is_arff(head: bytes, path: Path) -> bool:
    """Whether a file begins as ARFF does, after comments and empty lines."""
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    first = next(
        (line for line in map(bytes.strip, lines) if line and not line.startswith(b"%")), None
    )
    if first is None:
        return path.suffix.lower() == ".arff" and head.lstrip().startswith(b"%")
    return BEGINS.match(first) is not None


def read_arff(source: Source, reading: Reading, known: Known) -> Table:
    """The table in an ARFF file; raises `DataError`, with the line, for what does not fit its header."""
    notes: list[str] = []
    reader = Reader(source, enumerate(text_file(source, notes).lines(), 1))
    attributes = reader.header()
    rows = reader.rows()
    names = [each.name for each in attributes]
    unchecked = find_columns(names, reading.text, source.path)

    def load(places: list[int]) -> Iterator[NDArray[Any]]:
        for place in places:
            yield reader.column(place, rows, check=place not in unchecked)

    lines = np.array(reader.lines, dtype=np.int64)
    of_texts = frozenset(place for place, each in enumerate(attributes) if each.kind != "number")
    typed = Typed(source.path, names, load, lines, has_gaps=True, of_texts=of_texts)
    return typed_table(typed, reading, known, notes)


class Reader:
    """An ARFF file on the way to its columns."""

    def __init__(self, source: Source, lines: Iterator[tuple[int, str]]) -> None:
        self.path = source.path
        self.size = source.size
        self.source = lines
        self.attributes: list[Attribute] = []
        self.lines: list[int] = []

    def error(self, line: int, what: str) -> DataError:
        return DataError(f"{self.path}: line {line}{what}")

    def statements(self) -> Iterator[tuple[int, str]]:
        """The lines that are neither empty nor comments, with their numbers."""
        for number, line in self.source:
            text = line.lstrip("\ufeff").strip()
            if text and not text.startswith("%"):
                yield number, text

    def header(self) -> list[Attribute]:
        """The attributes, up to the line of @data."""
        for number, text in self.statements():
            word = text.split(None, 1)[0].lower()
            if word == "@data":
                if not self.attributes:
                    raise self.error(number, ": @data comes before any @attribute; give the header")
                return self.attributes
            if word == "@attribute":
                self.attributes.append(self.attribute(number, text))
            elif word != "@relation":
                raise self.error(
                    number,
                    f": {shown(text)} is none of @relation, @attribute and @data; correct the header",
                )
        raise DataError(f"{self.path}: the ARFF file has no @data; it is cut short, fetch it again")

    def attribute(self, number: int, text: str) -> Attribute:
        """The attribute that a line of the header declares."""
        found = ATTRIBUTE.fullmatch(text)
        if found is None:
            raise self.error(
                number,
                f": {shown(text)} is no attribute; write @attribute NAME TYPE, and the name in quotes",
            )
        name, kind, rest = unquoted(found[1]), found[2], found[3].partition("%")[0].strip()
        if kind.startswith("{"):
            inner = kind[1:-1].strip()
            levels = [unquoted(cell) for cell in cells_of(inner)] if inner else []
            return Attribute(name, "nominal", tuple(levels))
        word = kind.lower()
        if word in NUMERIC:
            return Attribute(name, "number")
        if word == "string":
            return Attribute(name, "text")
        if word == "date":
            form = python_form(unquoted(rest) or ISO)
            if form is not None:
                return Attribute(name, "date", form=form)
            raise self.error(
                number,
                f": the dates of {shown(name)} have the form {rest}, which is not known; declare them as string",
            )
        cure = (
            "write one row for each instance"
            if word == "relational"
            else "give numeric, string, date or {levels}"
        )
        raise self.error(
            number, f": attribute {shown(name)} is of type {shown(kind)}, which is not read; {cure}"
        )

    def rows(self) -> list[Row]:
        """The cells of each row, or those that a sparse one holds; None for gaps."""
        rows: list[Row] = []
        width = len(self.attributes)
        for number, text in self.statements():
            if text.startswith("{"):
                rows.append(self.sparse(number, text))
            else:
                cells = cells_of(text)
                if len(cells) < width and "," not in text:
                    cells = [found[1] for found in WORD.finditer(text)]
                if len(cells) != width:
                    raise self.error(
                        number,
                        f" has {len(cells)} values and the header {width} attributes: {shown(text)}; give one for each",
                    )
                rows.append([value_of(cell) for cell in cells])
            self.lines.append(number)
        check_expansion(self.path, 8 * width * len(rows), self.size)
        return rows

    def sparse(self, number: int, text: str) -> dict[int, str | None]:
        """What a row in braces holds, by the place of the attribute."""
        cells: dict[int, str | None] = {}
        inner, at = text[1:-1].strip(), 0
        while text.endswith("}") and at < len(inner):
            found = SPARSE.match(inner, at)
            place = -1 if found is None else int(found[1])
            if found is None or not 0 <= place < len(self.attributes) or place in cells:
                break
            cells[place] = value_of(found[2].strip())
            at = found.end()
        if at < len(inner) or not text.endswith("}"):
            raise self.error(
                number,
                f": {shown(text)} is no sparse row; write {{PLACE VALUE, ...}}, places from 0 and each once",
            )
        return cells

    def column(self, place: int, rows: list[Row], check: bool) -> NDArray[Any]:
        """The cells of a column as its type has them."""
        attribute = self.attributes[place]
        absent = self.absent(attribute)
        cells = [row.get(place, absent) if isinstance(row, dict) else row[place] for row in rows]
        known = {cell: self.value(attribute, cell, check) for cell in dict.fromkeys(cells)}
        if any(value is REFUSED for value in known.values()):
            row = next(row for row, cell in enumerate(cells) if known[cell] is REFUSED)
            raise self.refusal(attribute, cells[row], self.lines[row])
        values = [known[cell] for cell in cells]
        if attribute.kind == "number":
            return np.array(values, dtype=np.float64)
        if attribute.kind == "date":
            return np.array(values, dtype="datetime64[us]")
        found = np.empty(len(values), dtype=object)
        found[:] = values
        return found

    def absent(self, attribute: Attribute) -> str | None:
        """What a sparse row means where it says nothing: zero, or the first level."""
        if attribute.kind == "number":
            return "0"
        if attribute.kind == "nominal" and attribute.levels:
            return attribute.levels[0]
        return None

    def value(self, attribute: Attribute, cell: str | None, check: bool) -> Any:
        """A cell as the type of its column has it; `REFUSED` for one that does not fit."""
        if attribute.kind == "number":
            number = np.nan if cell is None else PLAIN.number(cell)
            return REFUSED if number is None else number
        if attribute.kind == "date":
            return date_of(cell, attribute.form)
        fits = cell is None or attribute.kind == "text" or cell in attribute.levels
        return cell if fits or not check else REFUSED

    def refusal(self, attribute: Attribute, cell: Any, line: int) -> DataError:
        """The error for a cell that does not fit its column's type."""
        name = attribute.name
        if attribute.kind == "nominal":
            return self.error(
                line,
                f", column {shown(name)}: {shown(cell)}{suggestion(cell, attribute.levels)} is none of "
                f"{listed(attribute.levels)}, which the header lists; add it there, or read the column as texts, "
                f"text={[name]}",
            )
        what = "number" if attribute.kind == "number" else "date of the form that the header says"
        return self.error(
            line,
            f", column {shown(name)}: {shown(cell)} is no {what}; correct it, or write ? for a missing value",
        )


#: What becomes of a cell that does not fit.
REFUSED = object()


def cells_of(text: str) -> list[str]:
    """The values between commas, as they stand."""
    if not any(mark in text for mark in "'\"\\"):
        return [cell.strip() for cell in text.split(",")]
    cells = []
    for found in CELL.finditer(text):
        cells.append(found[1].strip())
        if not found[2]:
            break
    return cells


def value_of(cell: str) -> str | None:
    """A value without its quotes, None for the ? of a gap and for nothing at all."""
    return None if cell in ("?", "") else unquoted(cell)


def unquoted(cell: str) -> str:
    """A value without quotes around it, and what stands after backslashes within."""
    if len(cell) < 2 or cell[0] not in "'\"" or cell[-1] != cell[0]:
        return cell
    return re.sub(
        r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), cell[1:-1], flags=re.DOTALL
    )


def python_form(java: str) -> str | None:
    """A form of Java's dates as `datetime.strptime` takes it; None for one that has other letters."""
    form, at = "", 0
    while at < len(java):
        letters = next((pair for pair in JAVA if java.startswith(pair[0], at)), None)
        if letters is not None:
            form += letters[1]
            at += len(letters[0])
            continue
        if java[at] == "'":
            end = java.find("'", at + 1)
            if end < 0:
                return None
            form += java[at + 1 : end].replace("%", "%%")
            at = end + 1
            continue
        if java[at].isalpha():
            return None
        form += java[at].replace("%", "%%")
        at += 1
    return form


def date_of(cell: str | None, form: str) -> Any:
    """A date as datetime64 without its zone; `REFUSED` for a text of another form."""
    if cell is None:
        return np.datetime64("NaT")
    try:
        return np.datetime64(datetime.datetime.strptime(cell, form).replace(tzinfo=None))
    except ValueError:
        return REFUSED
