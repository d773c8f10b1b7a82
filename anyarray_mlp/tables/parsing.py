"""The strict parser: every row of a text, in parts, as one gathering for each column."""

from __future__ import annotations

import csv
import re
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import counted, shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.dialect import Lines, Record, misquoted, records
from anyarray_mlp.tables.fits import COMMENT, MOST_FOOTERS
from anyarray_mlp.tables.layout import Layout
from anyarray_mlp.tables.quick import UncutRow, block_size, blocks, columns_of, is_quick
from anyarray_mlp.tables.styles import PLAIN, Style, amount, is_number
from anyarray_mlp.tables.text import TextFile

CELLS_AT_ONCE = 400_000
#: So many different texts among numbers are too many for markers.
MOST_ODD = 50
#: How much more room there is than seems to be needed, and than there was where nobody knows.
SLACK, GROWTH = 1.02, 1.5
#: The rows that are remembered of each.
ROWS_KEPT = 64
#: The first and the last rows that are looked at as they stand.
ROWS_SEEN = 20

PLAIN_CHARACTERS = b"0123456789+-.eE \t\n"
DIGITS = b"0123456789 \t\n"
PADDED = re.compile(rb"(?:^|\n)[ \t]*0[0-9]")


class Gathering(Protocol):
    """What collects the cells of one column.

    wants: "number" if it would have plain numbers, "text" for texts, "" for nothing.
    """

    @property
    def wants(self) -> str:
        """What it would have of the next rows."""

    def take(self, cells: Sequence[str], first: int) -> None:
        """The cells of some rows, of which the first has this number from 0."""

    def take_texts(self, texts: CodedTexts, first: int) -> None:
        """The same as texts that are told apart already."""


class Skipped:
    """A column that is not kept."""

    wants = ""

    def take(self, cells: Sequence[str], first: int) -> None:
        """Nothing."""

    def take_texts(self, texts: CodedTexts, first: int) -> None:
        """Nothing."""


@dataclass(slots=True)
class Odd:
    """How often a text is met among numbers, and in which rows first."""

    times: int = 0
    rows: list[int] = field(default_factory=list)


class Grid:
    """The numbers of all columns of a table in one array, each column in a row of it, with room for more."""

    def __init__(self, width: int) -> None:
        self.cells = np.empty((width, 0))
        self.rows = 0

    def make_room(self, rows: int, expected: float) -> None:
        """Room for so many rows of the table; for as many as are expected if there is too little."""
        self.rows = rows
        if rows > self.cells.shape[1]:
            old = self.cells
            self.cells = np.empty((len(old), max(rows, int(expected))))
            self.cells[:, : old.shape[1]] = old


NOWHERE = Grid(0)


@dataclass(slots=True)
class Numbers:
    """A column of numbers of one style, and what in it is none.

    grid, place: where the numbers are. padded: whether a cell has digits with a zero before them; whole: whether every
    cell is of digits alone.
    """

    style: Style
    markers: frozenset[str] = frozenset()
    grid: Grid = NOWHERE
    place: int = 0
    odd: dict[str, Odd] = field(default_factory=dict)
    units: Counter[str] = field(default_factory=Counter)
    padded: bool = False
    whole: bool = True

    def take(self, cells: Sequence[str], first: int) -> None:
        """Most cells are plain numbers or empty, which needs no look at each."""
        values = self.plain(cells)
        if values is None:
            self.take_texts(CodedTexts.of(cells), first)
        else:
            self.keep(values, first)

    def keep(self, values: NDArray[np.float64], first: int) -> None:
        """The numbers of some rows."""
        self.grid.cells[self.place, first : first + len(values)] = values

    def plain(self, cells: Sequence[str]) -> NDArray[np.float64] | None:
        """The cells as plain numbers, NaN where they are empty; None if one is, or may be, anything else."""
        if self.style is not PLAIN or any(
            PLAIN.number(marker) is not None for marker in self.markers
        ):
            return None
        text = "\n".join(cells)
        if not text.isascii():
            return None
        raw = text.encode()
        if raw.translate(None, PLAIN_CHARACTERS):
            return None
        self.padded = self.padded or PADDED.search(raw) is not None
        try:
            values = np.fromiter(
                map(float, [cell or "nan" for cell in cells]), np.float64, len(cells)
            )
        except ValueError:
            return None
        self.whole = self.whole and not raw.translate(None, DIGITS)
        return values

    @property
    def wants(self) -> str:
        """Numbers, unless texts among them must be counted or they are written otherwise."""
        return "number" if self.style is PLAIN and not self.odd and not self.markers else "text"

    def take_texts(self, texts: CodedTexts, first: int) -> None:
        """Texts as numbers, NaN for gaps and for what is none, which is remembered."""
        texts = texts.tidy()
        numbers = self.numbers_of(texts)
        for code, (text, number) in enumerate(zip(texts.levels, numbers, strict=True)):
            if number is None:
                self.note_odd(text, np.flatnonzero(texts.codes == code) + first)
        self.keep(spread(texts, numbers), first)

    def numbers_of(self, texts: CodedTexts) -> list[float | None]:
        """The number of each of some texts, NaN for markers, None for what is none."""
        numbers: list[float | None] = []
        for text in texts.levels:
            if text in self.markers:
                numbers.append(np.nan)
                continue
            numbers.append(self.style.number(text))
            self.whole = self.whole and text.isdigit()
            self.padded = self.padded or (len(text) > 1 and text[0] == "0" and text.isdigit())
        held = {
            text
            for text, number in zip(texts.levels, numbers, strict=True)
            if number is not None and not np.isnan(number)
        }
        self.note_units({text: times for text, times in texts.counts().items() if text in held})
        return numbers

    def note_units(self, counts: Mapping[str, int]) -> None:
        """Count the currencies and the like that stand beside numbers, none beside some if they do beside others."""
        beside = {text: amount(text).unit for text in counts}
        if any(beside.values()):
            for text, times in counts.items():
                self.units[beside[text]] += times

    def note_odd(self, text: str, rows: NDArray[np.int64]) -> None:
        """Remember a text among the numbers, and where it is."""
        if text not in self.odd and len(self.odd) > MOST_ODD:
            return
        met = self.odd.setdefault(text, Odd())
        met.times += len(rows)
        met.rows += rows[: ROWS_KEPT - len(met.rows)].tolist()

    @property
    def is_padded(self) -> bool:
        """Whether the column is of digits, some with zeros before them, as codes have."""
        return self.padded and self.whole

    def values(self) -> NDArray[np.float64]:
        """All cells so far."""
        return self.grid.cells[self.place, : self.grid.rows]


def spread(texts: CodedTexts, numbers: Sequence[float | None]) -> NDArray[np.float64]:
    """Numbers (n,) from one for each different text, NaN where there is none."""
    known = [np.nan if number is None else number for number in numbers]
    return texts.spread(known, np.float64, np.nan)


@dataclass(slots=True)
class Texts:
    """A column of texts; `known` has the code of each."""

    wants: ClassVar[str] = "text"
    parts: list[NDArray[np.int32]] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def take(self, cells: Sequence[str], first: int) -> None:
        """Every cell without the blanks around it."""
        self.take_texts(CodedTexts.of(cells), first)

    def take_texts(self, texts: CodedTexts, first: int) -> None:
        """Texts that are told apart already."""
        self.parts.append(texts.replaced(self.known))

    def texts(self) -> CodedTexts:
        """All cells so far, those of every part."""
        if len(self.parts) != 1:
            self.parts = [np.concatenate(self.parts) if self.parts else np.empty(0, np.int32)]
        return CodedTexts(self.parts[0], tuple(self.known))


#: One of the first or last rows, which hardly anybody looks at: of many columns it takes long to cut.
SeenRow = list[str] | UncutRow


def cells_of(row: SeenRow) -> list[str]:
    """The cells of a row."""
    return row.fields if isinstance(row, UncutRow) else row


@dataclass
class Parsed:
    """What was met on the way: the line of each row, the first and the last rows, and the lines that are no rows."""

    lines: array[int] = field(default_factory=lambda: array("q"))
    first: Sequence[SeenRow] = ()
    last: deque[SeenRow] = field(default_factory=lambda: deque(maxlen=ROWS_SEEN))
    empty: int = 0
    comments: int = 0
    footers: list[Record] = field(default_factory=list)

    def text_of(self, row: int) -> str:
        """The cells of one of the first or last rows in one text; of another, nothing."""
        from_end = row - len(self.lines)
        if row < len(self.first):
            fields = cells_of(self.first[row])
        elif -from_end <= len(self.last):
            fields = cells_of(self.last[from_end])
        else:
            return ""
        return " ".join(filter(None, map(str.strip, fields)))

    def notes(self) -> Iterator[str]:
        """What is said of the lines that are no rows."""
        if self.empty:
            yield f"{counted(self.empty, 'row')} without any value left out"
        if self.comments:
            yield f"{counted(self.comments, 'comment')}, which begin with {COMMENT}, left out"
        if self.footers:
            line, fields = self.footers[0]
            last = self.footers[-1][0]
            where = f"line {line} is" if line == last else f"lines {line} to {last} are"
            yield f"{where} no part of the table: {shown(' '.join(filter(None, map(str.strip, fields))))}"


def parse(text: TextFile, layout: Layout, gatherings: Sequence[Gathering]) -> Parsed:
    """Give every cell of the table to its column's gathering.

    Raises `DataError`, with the line, for a row of another width and for quotes that do not fit.
    """
    path = text.source.path
    grid = grid_for(gatherings)
    parsed = Parsed()
    done = parse_quickly(text, layout, gatherings, parsed, grid)
    lines = Lines(text.lines(done.end), layout.skip, layout.dialect.comment, done.lines)
    at_once = max(16, CELLS_AT_ONCE // layout.width)
    rows: list[list[str]] = []
    try:
        for line, fields in records(lines, layout.dialect):
            if len(fields) != layout.width:
                fields = trimmed(fields, layout.width)
                if len(fields) != layout.width:
                    beside_the_table(parsed, line, fields)
                    continue
            if not fields[0] and not any(map(str.strip, fields)):
                parsed.empty += 1
                continue
            if parsed.footers:
                raise unequal(path, parsed.footers[0], layout)
            parsed.lines.append(line)
            rows.append(fields)
            if len(rows) == at_once:
                give(rows, gatherings, parsed, grid)
                rows = []
    except csv.Error as error:
        raise misquoted(path, lines, error) from None
    give(rows, gatherings, parsed, grid)
    check_footers(path, parsed, layout)
    # The comments before the table were told with its layout.
    parsed.comments += lines.comments
    return parsed


def grid_for(gatherings: Sequence[Gathering]) -> Grid:
    """The place for the numbers of all columns that hold some."""
    numbers = [each for each in gatherings if isinstance(each, Numbers)]
    grid = Grid(len(numbers))
    for place, each in enumerate(numbers):
        each.grid, each.place = grid, place
    return grid


class Done(NamedTuple):
    """How much of a file is read: so many lines, so many bytes."""

    lines: int = 0
    end: int = 0


def parse_quickly(
    text: TextFile, layout: Layout, gatherings: Sequence[Gathering], parsed: Parsed, grid: Grid
) -> Done:
    """Give the rows that are plainly cut to the columns."""
    done, dialect = Done(), layout.dialect
    if not is_quick(dialect, text.encoding) or not layout.unix_lines:
        return done
    size, width = text.source.size, layout.width
    with text.source.open() as stream:
        for block in blocks(stream, dialect, width, layout.skip, block_size(size, width)):
            kinds = [each.wants for each in gatherings]
            found = columns_of(block, dialect, text.encoding, kinds)
            if found is None:
                kinds = [kind and "text" for kind in kinds]
                found = columns_of(block, dialect, text.encoding, kinds)
            if found is None:
                return done
            n, first = len(block.ends), len(parsed.lines)
            if first == 0:
                parsed.first = block.rows(dialect, text.encoding, 0, min(n, ROWS_SEEN))
            parsed.last.extend(block.rows(dialect, text.encoding, max(0, n - ROWS_SEEN), n))
            parsed.lines.frombytes(block.lines.astype(np.int64).tobytes())
            grid.make_room(first + n, SLACK * (first + n) * size / block.end)
            numbers = [
                each
                for each, kind in zip(gatherings, kinds, strict=True)
                if kind == "number" and isinstance(each, Numbers)
            ]
            grid.cells[[each.place for each in numbers], first : first + n] = found.numbers
            for place, each in zip(found.places, numbers, strict=True):
                each.padded = each.padded or place in block.padded
            for place, texts in found.texts.items():
                gatherings[place].take_texts(texts, first)
            done = Done(block.after, block.end)
    return done


def give(
    rows: list[list[str]], gatherings: Sequence[Gathering], parsed: Parsed, grid: Grid
) -> None:
    """Hand some rows, the latest of those that are counted, to the columns."""
    if not rows:
        return
    n = len(parsed.lines)
    first = n - len(rows)
    if first == 0:
        parsed.first = rows[:ROWS_SEEN]
    parsed.last.extend(rows[-ROWS_SEEN:])
    grid.make_room(n, GROWTH * n if first else n)
    for gathering, cells in zip(gatherings, zip(*rows, strict=True), strict=True):
        gathering.take(cells, first)


def trimmed(fields: list[str], width: int) -> list[str]:
    """A longer row without the empty cells at its end, which separators there leave."""
    if len(fields) > width and not any(map(str.strip, fields[width:])):
        return fields[:width]
    return fields


def beside_the_table(parsed: Parsed, line: int, fields: list[str]) -> None:
    """Take note of a line that is no row."""
    if fields[0].lstrip().startswith(COMMENT):
        parsed.comments += 1
    elif any(map(str.strip, fields)):
        parsed.footers.append((line, fields))


def check_footers(path: Path, parsed: Parsed, layout: Layout) -> None:
    """Raise `DataError` if the last lines of another width look like rows that are cut short."""
    most = max(1, layout.width // 2)
    for record in parsed.footers:
        held = [cell for cell in record[1] if cell.strip()]
        row = (len(held) > 1 and len(record[1]) > most) or all(map(is_number, held))
        if row or len(parsed.footers) > MOST_FOOTERS:
            raise unequal(path, record, layout)


def cell_at(text: TextFile, layout: Layout, line: int, place: int) -> str:
    """The cell of the row that starts on a line, in the column of this place; the file is read again for it."""
    lines = Lines(text.lines(), layout.skip, layout.dialect.comment)
    return next(fields[place] for start, fields in records(lines, layout.dialect) if start == line)


def unequal(path: Path, record: Record, layout: Layout) -> DataError:
    """The error for a row of another width."""
    line, fields = record
    return DataError(
        f"{path}: line {line} has {len(fields)} column(s) and the table {layout.width}: {shown(' '.join(fields))}; "
        "give every line the same number"
    )
