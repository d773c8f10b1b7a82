"""Whether the first line of a table names its columns, and what the columns are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from anyarray_mlp.tables.markers import MOST_MARKERS, has_digit, is_common_marker, is_gap
from anyarray_mlp.tables.styles import PLAIN, is_number

UNNAMED = "column_"
#: As many rows are looked at.
ROWS = 300
#: A name as programs like it.
WORD = re.compile(r"[^\W\d][\w.]*")
#: So many cells must be in a column for whole numbers over decimals, or a text that is met once, to tell something.
ENOUGH = 4


class Header(NamedTuple):
    """Whether the first row names the columns, and whether the rows below leave no doubt."""

    found: bool
    sure: bool = True


def has_header(body: Sequence[Sequence[str]]) -> Header:
    """Whether the first row is unlike those below: names over numbers, evenly spaced numbers, texts that never recur.

    A text over numbers says yes, a number with decimals over numbers and a text that recurs in its column say no; the
    majority has it. Numbers that are evenly spaced, as years and places are, or whole numbers over decimals in every
    column say yes. So do, with a doubt, different texts none of which recurs, in a table of texts.
    """
    top, below = [cell.strip() for cell in body[0]], body[1 : ROWS + 1]
    if not below:
        return Header(not any(map(is_number, top)) and any(top))
    if counts_columns(top, below) or (
        is_evenly_spaced(top) and not any(map(is_evenly_spaced, below[:ENOUGH]))
    ):
        return Header(True)
    # A header that stands once more among the rows is no marker there.
    below = [fields for fields in below if [cell.strip() for cell in fields] != top] or below
    votes: Counter[str] = Counter(
        evidence(name, [cell.strip() for cell in cells])
        for name, *cells in zip(top, *below, strict=True)
    )
    if votes["name"]:
        return Header(votes["name"] > votes["value"])
    if votes["value"] or votes["recurs"]:
        return Header(False)
    if votes["fresh"]:
        return Header(True)
    if votes["whole over decimals"]:
        return Header(not votes["whole"], False)
    different = len(set(top)) == len(top) and not any(
        is_gap(cell) or is_number(cell) for cell in top
    )
    return Header(different and not votes["whole"], False)


def evidence(name: str, cells: Sequence[str]) -> str:
    """What one column says of the first row.

    Of numbers: "name", "value", "whole over decimals", "whole"; of texts: "recurs", "fresh"; and "" for nothing.
    """
    known = [cell for cell in cells if not is_gap(cell)]
    texts = Counter(cell for cell in known if not is_number(cell))
    numbers = len(known) - texts.total()
    if not known or is_gap(name):
        return ""
    few = len(texts) <= MOST_MARKERS and numbers >= 0.3 * len(known)
    if numbers and (few or numbers > 0.9 * len(known)):
        if name in texts or is_common_marker(name):
            return ""
        if not is_number(name):
            return "name"
        if not re.fullmatch(r"\d+", name):
            return "value"
        decimals = all(re.search(r"\d[.,]\d", cell) for cell in known if is_number(cell))
        return "whole over decimals" if decimals and len(known) >= ENOUGH else "whole"
    if is_number(name):
        return ""
    counts = Counter(known)
    if name in counts or name.strip("\"'") in counts:
        return "recurs"
    if is_unlike(name, known):
        return "fresh"
    recurring = sum(times for times in counts.values() if times > 1)
    return "fresh" if recurring > 0.9 * len(known) and len(known) >= 2 * ENOUGH else ""


def is_unlike(name: str, known: Sequence[str]) -> bool:
    """Whether a text is a plain word or has no digit, and nearly all of the texts below are otherwise."""
    digits = sum(map(has_digit, known))
    if not has_digit(name) and digits >= 0.9 * len(known):
        return True
    words = sum(WORD.fullmatch(cell) is not None for cell in known)
    return WORD.fullmatch(name) is not None and words <= 0.1 * len(known) and len(known) >= ENOUGH


def counts_columns(top: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row numbers the columns from 0: all of them, or all but names at the end that do not recur."""
    first = 1 if top[0] == "" else 0
    named, columns = top[first:], list(zip(*below, strict=True))[first:]
    counted = next((place for place, cell in enumerate(named) if cell != str(place)), len(named))
    if len(named) < 3 or counted < 2:
        return False
    return not any(
        is_gap(cell) or is_number(cell) or cell in map(str.strip, column)
        for cell, column in zip(named[counted:], columns[counted:], strict=True)
    )


def is_evenly_spaced(cells: Sequence[str]) -> bool:
    """Whether the numbers of a row, at least four and nearly all of its cells, grow in equal steps."""
    named = [cell.strip() for cell in cells]
    numbers = [float(cell) for cell in named if PLAIN.pattern.fullmatch(cell)]
    if len(numbers) < ENOUGH or len(numbers) < len(named) - 2:
        return False
    steps = {round(after - before, 9) for before, after in pairwise(numbers)}
    return len(steps) == 1 and min(steps) > 0


def column_names(given: Sequence[str] | None, width: int, notes: list[str]) -> list[str]:
    """A name for every column, each its own: `column_N` where there is none, numbered where one is there already."""
    cells = given or [""] * width
    names = [" ".join(cell.split()) or f"{UNNAMED}{place}" for place, cell in enumerate(cells, 1)]
    taken, twice = set(names), Counter(names)
    met: Counter[str] = Counter()
    for place, name in enumerate(names):
        if twice[name] == 1:
            continue
        met[name] += 1
        if met[name] == 1:
            continue
        number = met[name] - 1
        while f"{name}_{number}" in taken:
            number += 1
        names[place] = f"{name}_{number}"
        taken.add(names[place])
    for name, times in twice.items():
        if times > 1:
            notes.append(
                f"{times} columns are named {name!r}: the later ones are read as {name + '_1'!r} and so on"
            )
    return names
