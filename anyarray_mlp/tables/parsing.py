"""The strict parser: every row of a text, in parts, as one gathering for each column."""

from __future__ import annotations

import csv
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anyarray_mlp.checking.messages import counted, shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.dialect import Lines, Record, misquoted, records
from anyarray_mlp.tables.fits import COMMENT, MOST_FOOTERS
from anyarray_mlp.tables.gathering import Gathering, Grid, Numbers
from anyarray_mlp.tables.layout import Layout
from anyarray_mlp.tables.quick import UncutRow, block_size, blocks, columns_of, is_quick
from anyarray_mlp.tables.shelf import Shelf
from anyarray_mlp.tables.styles import is_number
from anyarray_mlp.tables.text import TextFile

CELLS_AT_ONCE = 400_000
#: How much more room there is than seems to be needed, and than there was where nobody knows.
SLACK, GROWTH = 1.02, 1.5
#: The first and the last rows that are looked at as they stand.
ROWS_SEEN = 20
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
    grid = grid_for(gatherings, text.source.shelf)
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


def grid_for(gatherings: Sequence[Gathering], shelf: Shelf | None) -> Grid:
    """The place for the numbers of all columns that hold some."""
    numbers = [each for each in gatherings if isinstance(each, Numbers)]
    grid = Grid(len(numbers), shelf)
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
