"""What gathers the cells of a column while a table is parsed: numbers, texts, or nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.shelf import Shelf
from anyarray_mlp.tables.styles import PLAIN, Style, amount

#: The rows that are remembered of each.
ROWS_KEPT = 64
#: So many different texts among numbers are too many for markers.
MOST_ODD = 50
#: Texts of a column that are gathered before they go to disk.
TEXTS_AT_ONCE = 1 << 20
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


#: What most columns of numbers have of odd texts and units, one for all: dicts take as much memory as eight cells.
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Odd:
    """How often a text is met among numbers, and in which rows first."""

    times: int = 0
    rows: list[int] = field(default_factory=list)


class Grid:
    """The numbers of all columns of a table in one array, each column in a row of it, with room for more.

    shelf: where the array is if it is to be on disk.
    """

    def __init__(self, width: int, shelf: Shelf | None = None) -> None:
        self.cells = np.empty((width, 0))
        self.rows = 0
        self.shelf = shelf

    def make_room(self, rows: int, expected: float) -> None:
        """Room for so many rows of the table; for as many as are expected if there is too little."""
        self.rows = rows
        if rows > self.cells.shape[1]:
            old = self.cells
            shape = len(old), max(rows, int(expected))
            self.cells = np.empty(shape) if self.shelf is None else self.shelf.room(shape, float)
            for place, column in enumerate(old):
                self.cells[place, : old.shape[1]] = column
        if self.shelf is not None:
            self.shelf.release()


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
    odd: Mapping[str, Odd] = field(default_factory=lambda: NOTHING)
    units: Mapping[str, int] = field(default_factory=lambda: NOTHING)
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
            units = Counter(self.units)
            for text, times in counts.items():
                units[beside[text]] += times
            self.units = units

    def note_odd(self, text: str, rows: NDArray[np.int64]) -> None:
        """Remember a text among the numbers, and where it is."""
        met = self.odd.get(text)
        if met is None:
            if len(self.odd) > MOST_ODD:
                return
            met = Odd()
            self.odd = {**self.odd, text: met}
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
    """A column of texts; `known` has the code of each. Its parts are on a shelf if there is one."""

    wants: ClassVar[str] = "text"
    shelf: Shelf | None = None
    parts: list[NDArray[np.int32]] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    met: int = 0

    def take(self, cells: Sequence[str], first: int) -> None:
        """Every cell without the blanks around it."""
        self.take_texts(CodedTexts.of(cells), first)

    def take_texts(self, texts: CodedTexts, first: int) -> None:
        """Texts that are told apart already."""
        codes = texts.replaced(self.known)
        self.parts.append(codes)
        self.met += len(codes)
        if self.shelf is not None and self.met >= TEXTS_AT_ONCE:
            self.parts, self.met = [self.shelf.moved(np.concatenate(self.parts))], 0

    def texts(self) -> CodedTexts:
        """All cells so far, those of every part."""
        if len(self.parts) != 1:
            self.parts = [np.concatenate(self.parts) if self.parts else np.empty(0, np.int32)]
        return CodedTexts(self.parts[0], tuple(self.known))
