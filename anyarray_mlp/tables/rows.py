"""Rows that are none: units or types below a header, a header once more, totals and notes at the end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.tables.coded import GAP
from anyarray_mlp.tables.gathering import Gathering, Numbers, Texts
from anyarray_mlp.tables.markers import is_common_marker, is_gap
from anyarray_mlp.tables.parsing import (
    Parsed,
    SeenRow,
    cells_of,
)

#: Rows below the header that may hold units or types, and at the end that may hold totals or notes.
MOST_ABOVE = 3
MOST_BELOW = 5
FEWEST_ROWS = 5
TOTAL = re.compile(
    r"((grand|sub|all|overall)[ -]?)?(total|sum|summe|gesamt|insgesamt|totale|somme|suma|totaal)s?\b.{0,20}",
    re.IGNORECASE,
)


def rows_that_are_none(
    gatherings: Sequence[Gathering], names: Sequence[str], parsed: Parsed, notes: list[str]
) -> set[int]:
    """The rows, by number from 0, that are no data, each kind told in a note."""
    gone: set[int] = set()
    if len(parsed.lines) < FEWEST_ROWS:
        return gone
    for kind, rows in (
        ("holds units or types of the columns", units(gatherings, parsed)),
        ("holds the names of the columns once more", headers(gatherings, names)),
        ("holds a total or a note", endings(gatherings, parsed)),
    ):
        found = sorted(rows)
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            text = parsed.text_of(found[0])
            said = f": {shown(text)}" if text else ""
            notes.append(f"line {parsed.lines[found[0]]}{more} {kind} and is left out{said}")
        gone.update(found)
    return gone


def units(gatherings: Sequence[Gathering], parsed: Parsed) -> Iterator[int]:
    """The first rows in which every column of numbers has a text that it has nowhere below, or nothing."""
    numbers = [(place, each) for place, each in enumerate(gatherings) if isinstance(each, Numbers)]
    for row, fields in enumerate(map(cells_of, parsed.first[:MOST_ABOVE])):
        cells = [(each, fields[place].strip()) for place, each in numbers]
        texts = [(each, cell) for each, cell in cells if cell in each.odd]
        alone = all(max(each.odd[cell].rows) < MOST_ABOVE for each, cell in texts)
        others = all(cell in each.odd or is_gap(cell) for each, cell in cells)
        if len(texts) < 2 or not alone or not others:
            return
        if all(is_common_marker(cell) for _, cell in texts):
            return
        yield row


def headers(gatherings: Sequence[Gathering], names: Sequence[str]) -> Iterator[int]:
    """The rows that hold the names of the columns."""
    found: set[int] | None = None
    for name, each in zip(names, gatherings, strict=True):
        if isinstance(each, Numbers):
            rows = set(each.odd[name].rows) if name in each.odd else set()
        elif isinstance(each, Texts):
            texts = each.texts()
            # A column may have the name of a gap, of which nobody knows how it is written.
            code = GAP if is_gap(name) else each.known.get(name)
            rows = set() if code is None else set(np.flatnonzero(texts.codes == code).tolist())
        else:
            continue
        found = rows if found is None else found & rows
        if not found:
            return
    yield from found or ()


def endings(gatherings: Sequence[Gathering], parsed: Parsed) -> Iterator[int]:
    """The last rows that hold one text and nothing else, or a total."""
    rows, n = list(parsed.last), len(parsed.lines)
    for row in range(n - 1, max(0, n - 1 - MOST_BELOW), -1):
        fields = cells_of(rows[row - n])
        held = [place for place, cell in enumerate(fields) if cell.strip()]
        text = next(
            (fields[place].strip() for place in held if is_text(gatherings[place], fields[place])),
            None,
        )
        if text is None:
            return
        note = len(held) == 1 and len(fields) > 2 and not any(map(is_sparse, rows[:-MOST_BELOW]))
        if not note and not is_total(gatherings, fields, row, text):
            return
        yield row


def is_sparse(row: SeenRow) -> bool:
    """Whether a row holds no more than one cell."""
    return sum(bool(cell.strip()) for cell in cells_of(row)) <= 1


def is_text(each: Gathering, cell: str) -> bool:
    """Whether a cell holds a text."""
    if isinstance(each, Numbers):
        return cell.strip() in each.odd
    return isinstance(each, Texts) and not is_gap(cell)


def is_total(gatherings: Sequence[Gathering], fields: Sequence[str], row: int, text: str) -> bool:
    """Whether a row says that it holds totals, and does: among numbers it says so, or one is the sum of those above."""
    if TOTAL.fullmatch(text) is None:
        return False
    for each, cell in zip(gatherings, fields, strict=True):
        if isinstance(each, Numbers):
            value = each.values()[row]
            if cell.strip() == text or (
                value != 0 and np.isclose(value, np.nansum(each.values()[:row]), rtol=1e-6)
            ):
                return True
    return False
