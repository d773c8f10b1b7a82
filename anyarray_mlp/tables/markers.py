"""Gaps: what stands in a cell that has no value."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Never a value, in any column. "None" is not among them: real tables use it as a category.
GAPS = frozenset(
    ["", "?", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NAN", "-nan", "NULL", "null", "\\N"]
)  # fmt: skip
#: Words that stand for a gap among numbers even where there are few different numbers.
WORDS = frozenset(
    ["na", "n.a.", "n.a", "n/d", "nd", "n.d.", "none", "nil", "missing", "unknown", "unk", "nat", "not available"]
)  # fmt: skip
SIGNS = re.compile(r"[^\w\s]{1,3}|#[A-Z/0!?]+|-?1\.#(IND|QNAN|INF)|\((NA|X|D|S|B|Z)\)")

#: No number that anything can be learned from.
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)

#: So many different texts among numbers may be markers of gaps; and so few different numbers may be categories.
MOST_MARKERS = 3
FEW_NUMBERS = 20


def is_gap(cell: str) -> bool:
    """Whether a cell has no value, whatever its column holds."""
    return cell.strip() in GAPS


def is_common_marker(cell: str) -> bool:
    """Whether a cell is what people write for a missing number: -, ., n.a., missing."""
    return cell.casefold() in WORDS or SIGNS.fullmatch(cell) is not None


def are_markers(texts: Iterable[str], numbers: int) -> bool:
    """Whether the texts of a column with so many different numbers stand for gaps.

    They do where they are few, hold no digit, and the numbers are too many for categories; or where each is a sign or
    a word that is known for it.
    """
    texts = list(texts)
    if len(texts) > MOST_MARKERS or not numbers:
        return False
    if all(map(is_common_marker, texts)):
        return True
    return numbers > FEW_NUMBERS and not any(
        has_digit(text) or INFINITE.fullmatch(text) for text in texts
    )


def has_digit(text: str) -> bool:
    """Whether a text holds a digit."""
    return any(character.isdigit() for character in text)
