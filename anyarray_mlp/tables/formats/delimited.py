"""Text with a separator between columns: CSV and its kin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.dialect import QuoteError
from anyarray_mlp.tables.gathering import MOST_ODD, Gathering, Numbers, Skipped, Texts, spread
from anyarray_mlp.tables.header import column_names
from anyarray_mlp.tables.judging import Verdict, judge, taken_for_gaps
from anyarray_mlp.tables.layout import Layout, find_layout
from anyarray_mlp.tables.markers import FEW_NUMBERS, GAPS, are_markers, is_common_marker
from anyarray_mlp.tables.parsing import (
    Parsed,
    cell_at,
    parse,
)
from anyarray_mlp.tables.places import find_columns
from anyarray_mlp.tables.reading import ColumnReading, Reading
from anyarray_mlp.tables.rows import rows_that_are_none
from anyarray_mlp.tables.shelf import Shelf
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.styles import BY_NAME, COMMA, PLAIN, Style, fitting, is_plain
from anyarray_mlp.tables.table import Column, Columns, Known, Table, nothing_in
from anyarray_mlp.tables.text import TextFile, text_file

#: Texts among the numbers of the first rows that may yet be markers, units or a header.
MOST_IN_SAMPLE = 5
#: What stands between the cells of most texts.
SEPARATORS = (b",", b";", b"\t", b"|", b" ")


def cells_of_text(source: Source) -> int:
    """About how many cells a text has, by those in its first lines."""
    head = source.head()
    in_head = head.count(b"\n") + max(map(head.count, SEPARATORS))
    return source.size * in_head // max(1, len(head))


def read_delimited(source: Source, reading: Reading, known: Known) -> Table:
    """The table in a text file; raises `DataError`, with line and column, for what cannot be told."""
    notes: list[str] = []
    text = text_file(source, notes)
    found = find_layout(text, reading, notes)
    names = column_names(found.names, found.width, notes)
    plan = Delimited(text, found, names, reading, notes, known(names))
    # The plan lets go of the first rows, which of many columns take more memory than all the numbers.
    del found
    return plan.table()


@dataclass
class Delimited:
    """A table on the way from its text to its columns."""

    text: TextFile
    layout: Layout
    names: list[str]
    reading: Reading
    notes: list[str]
    known: Mapping[str, ColumnReading]

    def __post_init__(self) -> None:
        path, names = self.text.source.path, self.names
        self.dropped = find_columns(names, self.reading.drop, path)
        self.numeric = find_columns(names, self.reading.numeric, path)
        self.texts = find_columns(names, self.reading.text, path)
        both = self.numeric & self.texts
        if both:
            raise DataError(
                f"{path}: column {shown(names[min(both)])} is asked for as numbers and as texts; choose one"
            )

    def table(self) -> Table:
        """The table: all rows once, and those columns once more that turn out to be other than their first rows."""
        gatherings, parsed = self.gathered()
        if not parsed.lines:
            raise DataError(
                f"{self.text.source.path}: holds a header but no rows; give at least one row of data"
            )
        self.notes += parsed.notes()
        gone = rows_that_are_none(gatherings, self.names, parsed, self.notes)
        closer = {
            place
            for place, each in enumerate(gatherings)
            if self.needs_a_closer_look(place, each, gone)
        }
        if closer:
            again: list[Gathering] = [
                Texts(self.shelf) if place in closer else Skipped()
                for place in range(self.layout.width)
            ]
            parse(self.text, self.layout, again)
            for place in closer:
                gatherings[place] = again[place]
        return self.assembled(gatherings, parsed, gone)

    def gathered(self) -> tuple[list[Gathering], Parsed]:
        """All rows, and the columns of them.

        Quotes that are first met below the first lines, and do not fit there, are part of texts if all rows fit so.
        """
        gatherings = [self.planned(place) for place in range(self.layout.width)]
        self.layout = replace(self.layout, sample=())
        try:
            return gatherings, parse(self.text, self.layout, gatherings)
        except QuoteError as error:
            if self.layout.quoted or not error.within:
                raise
            plain = replace(self.layout, dialect=replace(self.layout.dialect, quote=""))
            gatherings = list(map(fresh, gatherings))
            try:
                parsed = parse(self.text, plain, gatherings)
            except DataError:
                raise error from None
            self.layout = plain
            self.notes.append(
                "quotes are read as part of texts: some do not close or stand within a text"
            )
            return gatherings, parsed

    @property
    def shelf(self) -> Shelf | None:
        """Where columns are kept on the way."""
        return self.text.source.shelf

    @cached_property
    def markers(self) -> frozenset[str]:
        """The texts that are asked to be gaps: one set for all columns."""
        return frozenset(self.reading.missing or ())

    def planned(self, place: int) -> Gathering:
        """How a column is gathered, by what was asked for, what is known of it, or its first rows."""
        if place in self.dropped:
            return Skipped()
        if place in self.texts:
            return Texts(self.shelf)
        markers = self.markers
        known = self.known.get(self.names[place])
        if known is not None and known.kind != "number":
            return Texts(self.shelf) if known.kind == "text" else Skipped()
        if known is not None and self.reading.decimal is None:
            return Numbers(BY_NAME[known.style], markers | frozenset(known.markers))
        if known is not None:
            markers |= frozenset(known.markers)
        sample = [row[place] for row in self.layout.sample]
        if sample and not self.layout.decimal_commas and all(map(is_plain, sample)):
            return Numbers(PLAIN, markers)
        cells = Counter(map(str.strip, sample))
        for gap in GAPS | markers:
            cells.pop(gap, None)
        if not cells:
            return Numbers(COMMA if self.layout.decimal_commas else PLAIN, markers)
        style = self.style_of(cells)
        odd = sum(style.number(cell) is None for cell in cells)
        if (
            known is not None
            or place in self.numeric
            or (odd <= MOST_IN_SAMPLE and odd < len(cells))
        ):
            return Numbers(style, markers)
        return Texts(self.shelf)

    def style_of(self, cells: Counter[str]) -> Style:
        """The style of most of some cells."""
        return fitting(cells.items(), self.layout.decimal_commas)[0]

    def needs_a_closer_look(self, place: int, each: Gathering, gone: Collection[int]) -> bool:
        """Whether a column that was planned to be numbers has to be judged by all of its texts."""
        if (
            not isinstance(each, Numbers)
            or place in self.numeric
            or self.names[place] in self.known
        ):
            return False
        if each.is_padded:
            return True
        odd = remaining(each, gone)
        if not odd:
            return False
        return (
            len(each.odd) > MOST_ODD
            or self.reading.missing is not None
            or not are_markers(odd, distinct(each))
        )

    def assembled(self, gatherings: Sequence[Gathering], parsed: Parsed, gone: set[int]) -> Table:
        """The columns of what was gathered, without the rows that are none and the columns that hold nothing."""
        kept = np.ones(len(parsed.lines), dtype=bool)
        kept[list(gone)] = False
        names, columns, readings = [], [], {}
        empty = []
        for place, (name, each) in enumerate(zip(self.names, gatherings, strict=True)):
            if isinstance(each, Skipped):
                continue
            values, reading = self.column(place, each, gone, parsed)
            if gone:
                values = without_rows(values, kept)
            if name not in self.known and is_empty(values):
                empty.append(name)
                continue
            names.append(name)
            columns.append(self.text.source.kept(values))
            readings[name] = reading
        if empty:
            self.notes.append(nothing_in(empty))
        if not columns:
            raise DataError(
                f"{self.text.source.path}: holds no column with a value; give a table with values"
            )
        lines = self.text.source.kept(np.frombuffer(parsed.lines, dtype=np.int64)[kept])
        found = Reading(**{**self.reading.__dict__, "columns": readings})
        return Table(
            tuple(names), Columns(columns), tuple(self.notes), lines, tuple(self.names), found
        )

    def column(
        self, place: int, each: Gathering, gone: set[int], parsed: Parsed
    ) -> tuple[Column, ColumnReading]:
        """A column's values, and how they were read."""
        if isinstance(each, Numbers):
            return self.numbers(place, each, gone, parsed)
        assert isinstance(each, Texts)
        if place in self.texts or self.names[place] in self.known:
            texts = each.texts().tidy()
            return texts.without(self.reading.missing or ()), ColumnReading("text")
        return self.judged(place, each, gone, parsed)

    def numbers(
        self, place: int, each: Numbers, gone: set[int], parsed: Parsed
    ) -> tuple[Column, ColumnReading]:
        """A column of numbers in which the few texts are gaps."""
        odd = remaining(each, gone)
        markers = tuple(sorted(odd))
        if self.names[place] in self.known and place not in self.numeric:
            for text in odd:
                if not is_common_marker(text):
                    raise self.no_number(place, text, each.odd[text].rows[0], parsed)
        if odd:
            self.say(place, taken_for_gaps(odd))
        self.say_style(place, each.style, each.units, parsed)
        values = each.values()
        self.check_finite(place, values, parsed)
        return values, ColumnReading(
            "number", each.style.name, markers if place not in self.numeric else ()
        )

    def judged(
        self, place: int, each: Texts, gone: set[int], parsed: Parsed
    ) -> tuple[Column, ColumnReading]:
        """A column of which all texts are known."""
        texts = each.texts().tidy()
        counts = texts.counts()
        for text, times in texts.rows(np.array(sorted(gone), np.int64)).counts().items():
            counts[text] -= times
        verdict: Verdict = judge(
            {text: times for text, times in counts.items() if times},
            self.layout.decimal_commas,
            self.reading.missing,
        )
        if verdict.mistake is not None:
            row = int((texts.codes == texts.levels.index(verdict.mistake)).argmax())
            raise self.no_number(place, verdict.mistake, row, parsed, verdict.others)
        if verdict.said:
            self.say(place, verdict.said)
        if verdict.style is None:
            return texts.without(self.reading.missing or ()), ColumnReading("text")
        numbers = Numbers(verdict.style, frozenset(verdict.markers) | self.markers)
        values = spread(texts, numbers.numbers_of(texts))
        self.say_style(place, numbers.style, numbers.units, parsed)
        self.check_finite(place, values, parsed)
        return values, ColumnReading("number", verdict.style.name, verdict.markers)

    def say(self, place: int, what: str) -> None:
        """Note something about a column."""
        self.notes.append(f"column {self.names[place]!r}: {what}")

    def say_style(self, place: int, style: Style, units: Mapping[str, int], parsed: Parsed) -> None:
        """Note how the numbers of a column were written; `DataError` for amounts in several currencies."""
        if len(units) > 1:
            raise DataError(
                f"{self.text.source.path}: column {shown(self.names[place])} holds amounts in {listed(sorted(units))}; "
                "write them in one unit, or read the column as texts"
            )
        without = f"without {next(iter(units))}" if units else ""
        said = "" if style is COMMA and self.layout.decimal_commas else style.said
        if without or said:
            self.say(place, " ".join(filter(None, ["is read as numbers", without, said])))

    def check_finite(self, place: int, values: NDArray[np.float64], parsed: Parsed) -> None:
        """Raise `DataError` for a number that is too large to be one."""
        infinite = np.isinf(values)
        if infinite.any():
            row = int(infinite.argmax())
            raise DataError(
                f"{self.text.source.path}: line {parsed.lines[row]}, column {shown(self.names[place])}: "
                f"{shown(cell_at(self.text, self.layout, parsed.lines[row], place))} is not a finite number; "
                "correct it, or write ? for a missing value"
            )

    def no_number(
        self, place: int, text: str, row: int, parsed: Parsed, others: int = 0
    ) -> DataError:
        """The error for a text among numbers."""
        name = self.names[place]
        where = f"{self.text.source.path}: line {parsed.lines[row]}, column {shown(name)}"
        if not others:
            return DataError(
                f"{where}: {shown(text)} is not a number, and the column must hold numbers; correct it, or write ? for "
                "a missing value"
            )
        return DataError(
            f"{where}: {shown(text)} is not a number but {others} others are; correct it, write ? for a missing value, "
            f"or read the column as numbers with gaps, numeric={[name]}, or as texts, text={[name]}"
        )


def fresh(each: Gathering) -> Gathering:
    """What gathers a column in the same way, and has nothing yet."""
    if isinstance(each, Texts):
        return Texts(each.shelf)
    return Numbers(each.style, each.markers) if isinstance(each, Numbers) else Skipped()


def remaining(each: Numbers, gone: Collection[int]) -> dict[str, int]:
    """The texts among numbers, and how often they occur outside rows that are none."""
    if not each.odd:
        return {}
    counts = {
        text: met.times - sum(row in gone for row in met.rows) for text, met in each.odd.items()
    }
    return {text: times for text, times in counts.items() if times}


def distinct(each: Numbers) -> int:
    """How many different numbers a column holds, counted to a few more than matters."""
    values = each.values()
    head = np.unique(values[: 1 << 14])
    if np.isnan(head).sum() + FEW_NUMBERS < len(head):
        return len(head)
    return int((~np.isnan(np.unique(values))).sum())


def without_rows(values: Column, kept: NDArray[np.bool_]) -> Column:
    """A column with those rows alone that are kept."""
    return values.rows(kept).tidy() if isinstance(values, CodedTexts) else values[kept]


def is_empty(values: Column) -> bool:
    """Whether a column holds no value."""
    return not values.levels if isinstance(values, CodedTexts) else bool(np.isnan(values).all())
