"""How the lines of a text are cut: the dialect that fits the first of them best."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.dialect import BLANKS, TABS, Dialect, Lines, Record, records
from anyarray_mlp.tables.markers import is_gap
from anyarray_mlp.tables.styles import is_number
from anyarray_mlp.tables.text import TextFile

SEPARATORS = (",", ";", "\t", "|", "^", "~", "::", TABS, BLANKS)
SAMPLE_LINES = 1000
SAMPLE_CHARACTERS = 1 << 20
#: As many lines are looked at however long they are.
FEWEST_LINES = 5
JUDGED_CELLS = 10_000
#: Such a share of lines agrees on a separator that is one.
AGREEMENT = 0.9
#: Lines before a table; more are no title.
MOST_TITLES = 30
#: Lines of another width at the end of a file that may be notes below a table.
MOST_FOOTERS = 10
COMMENT = "#"
#: Several numbers in one cell, as pixels are.
NUMBERS = re.compile(r"\d+(?:\.\d+)?(?: \d+(?:\.\d+)?){2,}")


@dataclass(frozen=True)
class Sample:
    """The first lines of a text; `whole`: it has no more."""

    lines: list[str]
    whole: bool

    @classmethod
    def of(cls, text: TextFile) -> Sample:
        """Up to 1,000 lines, fewer if they are long."""
        lines: list[str] = []
        size = 0
        source = text.lines()
        for line in islice(source, SAMPLE_LINES):
            lines.append(line)
            size += len(line)
            if size > SAMPLE_CHARACTERS and len(lines) >= FEWEST_LINES:
                break
        return cls(lines, next(source, None) is None)

    @cached_property
    def text(self) -> str:
        """The lines in one."""
        return "".join(self.lines)

    def records(self, dialect: Dialect, skip: int) -> list[Record] | None:
        """The records, or None if a quote does not fit; the last one only if it is whole."""
        lines = Lines(self.lines, skip, dialect.comment)
        found: list[Record] = []
        try:
            found.extend(records(lines, dialect))
        except csv.Error:
            if self.whole or lines.number < len(self.lines):
                return None
        return found if self.whole else found[:-1] or found


@dataclass(frozen=True)
class Fit:
    """How well a dialect cuts the lines of a sample.

    width: the number of cells that most lines have. agreement: their share, from the first such line on.
    numbers: the share of numbers among the cells. titled: whether other lines are before the first such line.
    """

    dialect: Dialect
    rows: list[Record]
    width: int
    agreement: float
    numbers: float
    titled: bool = False

    @classmethod
    def of(cls, dialect: Dialect, rows: list[Record]) -> Fit:
        """Judged on all lines but titles before the first of the common width and notes after the last."""
        widths = Counter(len(fields) for _, fields in rows if len(fields) > 1)
        if not widths:
            return cls(dialect, rows, 1, 0.0, 0.0)
        width = max(widths.items(), key=lambda item: (item[1], item[0]))[0]
        first = next(place for place, (_, fields) in enumerate(rows) if len(fields) == width)
        first = min(first, MOST_TITLES)
        wider = sum(len(fields) > width for _, fields in rows[:first])
        titled = first > 1 or (first == 1 and abs(len(rows[0][1]) - width) > 1)
        notes = next(
            place for place, (_, fields) in enumerate(reversed(rows)) if len(fields) == width
        )
        if notes > MOST_FOOTERS or notes >= widths[width]:
            notes = 0
        agreement = widths[width] / (len(rows) - first + wider - notes)
        below = (cell for _, fields in rows[first + 1 :] if len(fields) == width for cell in fields)
        known = [cell for cell in islice(below, JUDGED_CELLS) if not is_gap(cell)]
        numeric = sum(is_number(cell) or NUMBERS.fullmatch(cell) is not None for cell in known)
        numbers = numeric / max(1, len(known))
        return cls(dialect, rows, width, min(1.0, agreement), numbers, titled)

    @property
    def is_loose(self) -> bool:
        """Whether any number of blanks stands between columns."""
        return self.dialect.separator in (BLANKS, TABS)

    @property
    def rank(self) -> tuple[object, ...]:
        """What makes one dialect better than another: lines that agree, cells that are numbers, in this order."""
        order = (
            SEPARATORS.index(self.dialect.separator) if self.dialect.separator in SEPARATORS else 0
        )
        return (
            self.agreement >= AGREEMENT,
            self.agreement >= 0.5,
            round(self.numbers, 2)
            + 0.05 * (self.agreement > 0.97)
            - 0.2 * self.is_loose
            - 0.6 * self.titled,
            round(self.agreement, 2),
            self.width if self.numbers else -order,
        )


def best_fit(sample: Sample, skip: int, separator: str | None, path: object) -> Fit:
    """The dialect that cuts the lines best."""
    separators = (
        [separator] if separator else [each for each in SEPARATORS if each in marks(sample.text)]
    )
    comments = ["", COMMENT] if any(line.startswith(COMMENT) for line in sample.lines) else [""]
    found = None
    for comment in reversed(comments):
        fits = [fit for each in separators for fit in fits_of(sample, skip, each, comment)]
        found = max(without_loose(fits), key=lambda fit: fit.rank, default=None)
        if found is not None and (not comment or are_comments(sample, found)):
            break
    if found is not None and (found.agreement >= 0.5 or separator):
        return found
    return one_column(sample, skip, found, separator, path)


def without_loose(fits: list[Fit]) -> list[Fit]:
    """The fits without those at blanks, where another separator cuts all lines alike and leaves as many numbers."""
    strict = [fit for fit in fits if not fit.is_loose and fit.agreement == 1.0]
    most = max((fit.numbers for fit in strict), default=-1.0)
    return [fit for fit in fits if not fit.is_loose or fit.numbers > most + 0.05]


def marks(text: str) -> set[str]:
    """The separators that occur in a text."""
    present = {each for each in SEPARATORS if each in text}
    if "\t" in text:
        present |= {BLANKS} | ({TABS} if "\t\t" in text else set())
    return present


def fits_of(sample: Sample, skip: int, separator: str, comment: str) -> Iterator[Fit]:
    """The best way to quote cells between some separators, if there is one."""
    tried: list[Fit] = []
    for dialect in quotings(sample.text, separator, comment):
        rows = sample.records(dialect, skip)
        if not rows:
            continue
        fit = Fit.of(dialect, rows)
        if fit.width > 1 and (dialect.quote or has_quotes_within(fit)):
            tried.append(fit)
            if fit.agreement > 0.97 and not leaves_single_quotes(fit):
                break
    if tried:
        yield max(tried, key=lambda fit: (round(fit.agreement, 2), fit.dialect.quote == "'"))


SINGLE_QUOTED = re.compile(r"(?:^|[,;\t| ]) ?'[^'\n]*'(?:[,;\t| \r\n]|$)", re.MULTILINE)


def quotings(text: str, separator: str, comment: str) -> Iterator[Dialect]:
    """The ways to quote that a text may have, the most usual first."""
    if '\\"' in text or "\\" + separator in text:
        yield Dialect(separator, '"', escaped=True, comment=comment)
    yield Dialect(separator, comment=comment)
    if SINGLE_QUOTED.search(text):
        yield Dialect(separator, "'", comment=comment)
    yield Dialect(separator, "", comment=comment)


def has_quotes_within(fit: Fit) -> bool:
    """Whether texts have quotes within them; one that only opens is a mistake."""
    cells = (cell.strip() for _, fields in fit.rows for cell in fields)
    return any('"' in cell[1:-1].replace('""', "") for cell in cells)


def leaves_single_quotes(fit: Fit) -> bool:
    """Whether cells keep single quotes around them in more than a tenth of the rows."""
    if fit.dialect.quote != '"':
        return False
    quoted = sum(
        any(cell.lstrip()[:1] == "'" for cell in fields)
        and any(cell.rstrip()[-1:] == "'" for cell in fields)
        for _, fields in fit.rows
    )
    return quoted > len(fit.rows) / 10


def are_comments(sample: Sample, fit: Fit) -> bool:
    """Whether the lines that begin with # are no rows: none below the table's first line has its width."""
    start = next((line for line, fields in fit.rows if len(fields) == fit.width), 1)
    plain = replace(fit.dialect, quote="")
    below = [line for line in sample.lines[start:] if line.startswith(COMMENT)]
    return all(len(fields) != fit.width for fields in plain.cut(below))


def one_column(
    sample: Sample, skip: int, found: Fit | None, separator: str | None, path: object
) -> Fit:
    """A table of one column, where no line has a separator, or the one that was asked for; else `DataError`."""
    dialect = Dialect(separator or "\t")
    lines = [line for line in sample.lines[skip:] if line.strip()]
    values = [line.strip().strip('"') for line in lines if not line.startswith(COMMENT)]
    elsewhere = re.compile(r"[,;\t|]" if separator is None else re.escape(separator))
    if values and all(is_number(value) or not elsewhere.search(value) for value in values):
        rows = sample.records(replace(dialect, comment=COMMENT), skip)
        if rows:
            return Fit(replace(dialect, comment=COMMENT), rows, 1, 1.0, 0.0)
    raise DataError(
        f"{path}: no separator (, ; tab | blanks) gives every line the same number of columns{why(sample, found)}"
    )


def why(sample: Sample, found: Fit | None) -> str:
    """What may be wrong with lines that no separator cuts alike."""
    for number, line in enumerate(sample.lines, 1):
        if line.count('"') % 2:
            return f"; line {number} has a quote that does not close: close it, and double any quotes inside"
    if found is None:
        return "; give separator if it is another"
    odd = next((line for line, fields in found.rows if len(fields) != found.width), 1)
    return (
        f": between {shown(found.dialect.separator)}, most have {found.width} and line {odd} has not; mend it, or "
        "give separator"
    )


def refuse_markdown(fit: Fit, path: object) -> None:
    """Raise `DataError` for a table of Markdown, whose lines begin and end with |."""
    rows = [fields for _, fields in fit.rows if len(fields) == fit.width]
    framed = all(not fields[0].strip() and not fields[-1].strip() for fields in rows)
    ruled = any(re.fullmatch(r"[-: ]*-[-: ]*", "".join(fields)) for fields in rows[:3])
    if fit.dialect.separator == "|" and framed and ruled:
        raise DataError(
            f"{path}: is a Markdown table; take off the outer | and the line of dashes, or save it as CSV"
        )


def say_quotes(fit: Fit, sample: Sample, notes: list[str]) -> None:
    """Note where quotes were found to be part of texts."""
    if fit.dialect.quote == "" and '"' in sample.text:
        odd = next((line for line, fields in fit.rows if any('"' in cell for cell in fields)), None)
        if odd is not None:
            notes.append(
                f"line {odd} has a quote that does not close or stands within a text, so quotes are part of texts"
            )
