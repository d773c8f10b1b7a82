"""What a column is: numbers of a style, with markers for gaps, or texts; judged on all of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.tables.markers import (
    FEW_NUMBERS,
    INFINITE,
    MOST_MARKERS,
    are_markers,
    has_digit,
)
from anyarray_mlp.tables.styles import Style, fitting

#: So many different texts tell whether a column holds texts.
JUDGED_TEXTS = 2000


@dataclass(frozen=True)
class Verdict:
    """What a column is.

    style: of its numbers; None for texts. markers: the texts among the numbers that stand for gaps. mistake: the text
    among numbers that is taken for a slip. others: how many cells are numbers there. said: what a note says of it.
    """

    style: Style | None
    markers: tuple[str, ...] = ()
    mistake: str | None = None
    others: int = 0
    said: str = ""


def judge(cells: Mapping[str, int], decimal_commas: bool, given: Iterable[str] | None) -> Verdict:
    """The verdict on a column, from its different texts and how often each occurs; gaps are not among them.

    given: the markers that somebody named, besides which there are none.
    """
    named = frozenset(given or ())
    known = {cell: times for cell, times in cells.items() if cell not in named}
    if not known:
        return Verdict(None)
    if all(cell.isdigit() for cell in known) and any(
        cell[0] == "0" and len(cell) > 1 for cell in known
    ):
        padded = next(cell for cell in known if cell[0] == "0" and len(cell) > 1)
        return Verdict(
            None,
            said=f"holds digits with zeros before them, such as {padded!r}, which are read as texts",
        )
    head = dict(islice(known.items(), JUDGED_TEXTS))
    style, _ = fitting(head.items(), decimal_commas)
    odd = [cell for cell in head if style.number(cell) is None]
    if len(odd) > MOST_MARKERS:
        return texts(head, odd)
    style, fitted = fitting(known.items(), decimal_commas)
    odd = [cell for cell in known if style.number(cell) is None]
    if not fitted or len(odd) > MOST_MARKERS:
        return texts(known, odd)
    numbers = len({style.number(cell) for cell in known} - {None})
    if not odd:
        return Verdict(style)
    if given is None and are_markers(odd, numbers):
        return Verdict(
            style,
            markers=tuple(sorted(odd)),
            said=taken_for_gaps({cell: known[cell] for cell in odd}),
        )
    if numbers > FEW_NUMBERS or any(map(INFINITE.fullmatch, odd)):
        slips = [cell for cell in odd if has_digit(cell) or INFINITE.fullmatch(cell)]
        return Verdict(style, mistake=(slips or odd)[0], others=fitted)
    return texts(known, odd)


def texts(known: Mapping[str, int], odd: list[str]) -> Verdict:
    """The verdict on a column of texts, which is said where numbers, or some texts in quotes, are among them."""
    quoted = [cell for cell in odd if len(cell) > 2 and cell[0] == cell[-1] == "'"]
    if quoted and len(quoted) < len(odd):
        return Verdict(None, said=f"some texts keep the quotes around them, such as {quoted[0]}")
    among = sum(known.values()) - sum(known[cell] for cell in odd)
    if among * 2 <= sum(known.values()):
        return Verdict(None)
    return Verdict(None, said=f"holds numbers and texts such as {odd[0]!r}: it is read as texts")


def taken_for_gaps(markers: Mapping[str, int]) -> str:
    """What is said of the markers of a column, the most frequent first."""
    counts = Counter(markers).most_common()
    listed = " and ".join(f"{cell!r} in {counted(times, 'row')}" for cell, times in counts)
    return f"{listed} {'is' if len(counts) == 1 else 'are'} taken for a gap"
