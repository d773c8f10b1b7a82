"""Where a table lies in a text, and how its lines are cut: found on the first lines, by rules that say so."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.dialect import BLANKS, TABS, Dialect, Lines, Record, records
from anyarray_mlp.tables.header import Header, has_header
from anyarray_mlp.tables.markers import is_gap
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.tables.styles import is_number, tells_decimal_commas
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
TITLE_ROWS = 12
COMMENT = "#"
#: Several numbers in one cell, as pixels are.
NUMBERS = re.compile(r"\d+(?:\.\d+)?(?: \d+(?:\.\d+)?){2,}")
MAX_COLUMNS = 100_000


@dataclass(frozen=True)
class Layout:
    """A table's place and form.

    skip: the lines before its first row. names: as its header has them, None without one. quoted: whether there are
    quotes in its first lines. unix_lines: whether each of these ends with a line feed.
    """

    dialect: Dialect
    skip: int
    names: tuple[str, ...] | None
    width: int
    decimal_commas: bool
    sample: tuple[tuple[str, ...], ...]
    quoted: bool = False
    unix_lines: bool = False


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


def find_layout(text: TextFile, reading: Reading, notes: list[str]) -> Layout:
    """The layout of the table in a text; raises `DataError` where no rule finds one."""
    path = text.source.path
    sample = Sample.of(text)
    skip, separator = reading.skip or 0, reading.separator
    named = (
        re.fullmatch(r'"?sep=(.)"?\s*', sample.lines[skip]) if skip < len(sample.lines) else None
    )
    if named:
        skip, separator = skip + 1, separator or named[1]
    fit = best_fit(sample, skip, separator, path)
    check_width(fit, path)
    refuse_markdown(fit, path)
    say_quotes(fit, sample, notes)
    return lay_out(fit, sample, skip, reading, notes, path)


def layout_of(text: TextFile, dialect: Dialect, reading: Reading, notes: list[str]) -> Layout:
    """The layout of the table in a text that is cut as a dialect says."""
    sample, skip, path = Sample.of(text), reading.skip or 0, text.source.path
    fit = Fit.of(dialect, sample.records(dialect, skip) or [])
    check_width(fit, path)
    if not fit.rows:
        raise DataError(f"{path}: has no rows below the {skip} to skip; give at least one")
    return lay_out(fit, sample, skip, reading, notes, path)


def check_width(fit: Fit, path: object) -> None:
    """Raise `DataError` for a table of very many columns."""
    if fit.width > MAX_COLUMNS:
        raise DataError(
            f"{path}: has {fit.width:,} columns, more than {MAX_COLUMNS:,}; save it as .npz"
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


def lay_out(
    fit: Fit, sample: Sample, skip: int, reading: Reading, notes: list[str], path: object
) -> Layout:
    """Where the rows begin, and what names their columns."""
    rows, width = fit.rows, fit.width
    start, names = (0, None) if reading.skip is not None else find_start(fit, reading, notes)
    body = [fields for _, fields in rows[start:] if len(fields) == width]
    if names is None and body:
        names, taken = find_names(fit, body, sample, reading, notes, rows[start][0])
        types = rows_of_types(body[taken:])
        if types:
            notes.append(
                f"lines {rows[start + taken][0]} and the next give types and roles of the columns, as Orange has them"
            )
        start += taken + types
        body = body[taken + types :]
    if not body:
        raise DataError(f"{path}: holds a header but no rows; give at least one row of data")
    judged = islice((cell for fields in body for cell in fields), JUDGED_CELLS)
    commas = fit.dialect.separator != "," and tells_decimal_commas(judged)
    if reading.decimal is not None:
        commas = reading.decimal == ","
    first = rows[start][0] if start < len(rows) else len(sample.lines)
    return Layout(
        fit.dialect,
        first - 1,
        None if names is None else tuple(names),
        width,
        commas,
        tuple(map(tuple, body)),
        fit.dialect.quote in sample.text,
        re.search(r"\r(?!\n)", sample.text) is None,
    )


def find_start(fit: Fit, reading: Reading, notes: list[str]) -> tuple[int, list[str] | None]:
    """The place of the first record of the table, and its names where the header has another width than the rows."""
    rows, width = fit.rows, fit.width
    lone = sum(is_lone(fields) for _, fields in rows) > len(rows) / 10 + TITLE_ROWS
    start, names = 0, None
    while start < len(rows) - 1:
        fields = rows[start][1]
        if len(fields) == width and (lone or not is_title(rows, start, width)):
            break
        names = unequal_header(fit, start)
        start += 1
        if names is not None and reading.header is not False:
            break
        names = None
    titles = rows[: start - (names is not None)]
    if titles:
        said = shown(" ".join(filter(None, map(str.strip, titles[0][1]))))
        what = (
            f"line {titles[0][0]} is" if len(titles) == 1 else f"the first {len(titles)} lines are"
        )
        notes.append(f"{what} no part of the table: {said}{'' if len(titles) == 1 else ', ...'}")
    if names is not None and names[0] == "" and rows[start - 1][1][0].strip():
        notes.append(
            f"line {rows[start - 1][0]} has one name fewer than the rows have columns: the first column has none"
        )
    return start, names


def is_lone(fields: Sequence[str]) -> bool:
    """Whether at most one of several cells holds anything."""
    return len(fields) > 2 and sum(bool(cell.strip()) for cell in fields) <= 1


def is_title(rows: Sequence[Record], place: int, width: int) -> bool:
    """Whether a record of the right width is a title: one text, of another form than what its column holds."""
    fields = rows[place][1]
    if not is_lone(fields) or place >= TITLE_ROWS:
        return False
    column = next((j for j, cell in enumerate(fields) if cell.strip()), None)
    if column is None:
        return True
    below = [
        cells[column]
        for _, cells in rows[place + 1 :]
        if len(cells) == width and not is_lone(cells)
    ]
    form = form_of(fields[column])
    return not is_number(fields[column]) and not any(form_of(cell) == form for cell in below)


def form_of(cell: str) -> str:
    """What kinds of characters a cell holds: digits, letters and others, each run of a kind once."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell.strip()))


def unequal_header(fit: Fit, place: int) -> list[str] | None:
    """The names in a record that is one short of the rows below, or longer by empty cells; None if it is no header."""
    rows, width = fit.rows, fit.width
    fields = rows[place][1]
    following = [cells for _, cells in rows[place + 1 : place + 4]]
    if not following or any(len(cells) != width for cells in following):
        return None
    body = [cells for _, cells in rows[place + 1 :] if len(cells) == width]
    if len(fields) > width and not any(cell.strip() for cell in fields[width:]):
        return fields[:width]
    missing = width - len(fields)
    if (len(fields) < 2 and width > 2) or missing < 1 or all(map(is_number, fields)):
        return None
    if all(not cell.strip() for cells in body for cell in cells[len(fields) :]):
        return [*fields, *[""] * missing]
    if missing == 1 and not has_header(body).found:
        return ["", *fields]
    return None


def find_names(
    fit: Fit, body: list[list[str]], sample: Sample, reading: Reading, notes: list[str], line: int
) -> tuple[list[str] | None, int]:
    """The names of the columns, and how many rows they take: of the first row, of a comment before it, or none."""
    header = reading.header
    if header is None and reading.columns:
        header = knows(body[0], reading) or None
    guess = has_header(body) if header is None else Header(header)
    if guess.found:
        numbers = [cell.strip() for cell in body[0] if is_number(cell)]
        if header is None and numbers:
            notes.append(
                f"line {line} is the header although it holds numbers, such as {shown(numbers[0])}"
            )
        elif not guess.sure:
            notes.append(f"line {line} is taken for the header: no text of it is met below")
        return body[0], 1
    commented = names_in_comment(fit, sample, line) if header is None else None
    if commented is not None:
        notes.append(f"the columns have the names in the comment before line {line}")
    elif header is None:
        notes.append(f"line {line} is no header: the columns are named by their place")
    return commented, 0


ORANGE_TYPES = re.compile(
    r"c|d|s|t|m|continuous|discrete|string|time|basket|\S+( \S+)+|", re.IGNORECASE
)
ORANGE_ROLES = re.compile(
    r"(class|meta|ignore|i|m|c|\w+=\S*)( (class|meta|ignore|\w+=\S*))*|", re.IGNORECASE
)


def rows_of_types(body: Sequence[Sequence[str]]) -> int:
    """How many rows below a header give types and roles, as in the tables of Orange: two or none."""
    if len(body) < 3:
        return 0
    types, roles = ([re.sub(r"\\ ", "_", cell).strip() for cell in fields] for fields in body[:2])
    are_roles = any(roles) and all(ORANGE_ROLES.fullmatch(role) for role in roles)
    return 2 if are_roles and all(types) and all(map(ORANGE_TYPES.fullmatch, types)) else 0


def knows(fields: Sequence[str], reading: Reading) -> bool:
    """Whether a row holds most of the names of a table that is known."""
    present = {" ".join(cell.split()) for cell in fields}
    return sum(name in present for name in reading.columns) * 2 > len(reading.columns)


def names_in_comment(fit: Fit, sample: Sample, line: int) -> list[str] | None:
    """The names in the last comment before a line, if it has one for every column."""
    before = [each for each in sample.lines[: line - 1] if each.startswith(COMMENT)]
    if not before:
        return None
    dialect = replace(fit.dialect, quote="")
    for text in (before[-1], before[-1].lstrip(COMMENT + " \t")):
        names = [cell.strip() for cell in next(dialect.cut([text]), [])]
        if len(names) == fit.width and not any(map(is_number, names)):
            return [names[0].lstrip(COMMENT + " \t") or names[0], *names[1:]]
    return None
