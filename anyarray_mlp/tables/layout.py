"""Where a table lies in a text: found on the first lines, by rules that say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.dialect import Dialect, Record
from anyarray_mlp.tables.fits import (
    COMMENT,
    JUDGED_CELLS,
    Fit,
    Sample,
    best_fit,
    refuse_markdown,
    say_quotes,
)
from anyarray_mlp.tables.header import Header, has_header
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.tables.styles import is_number, tells_decimal_commas
from anyarray_mlp.tables.text import TextFile

TITLE_ROWS = 12
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
