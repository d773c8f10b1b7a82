"""How values, names, counts and files are shown inside a one-line message."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SHOWN_CHARACTERS = 60
SHOWN_NAMES = 12
#: How near a name must be to be suggested, where 1 is the same. `tests/test_checking_names.py` has what people mistype
#: and what must not be guessed: 0.6 guesses three times as much of the latter, 0.8 misses some of the former.
NEAR = 0.75


def shown(value: object) -> str:
    """`value` as Python would write it, on one line, cut to 60 characters; for an array, its shape and dtype."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        if shape:
            return f"an array of shape {shape} and dtype {value.dtype}"
        value = value.item() if hasattr(value, "item") else value
    text = " ".join(repr(value).split())
    quote = text[-1:] if text[-1:] in "'\"" else ""
    kept = SHOWN_CHARACTERS - 3 - len(quote)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:kept]}...{quote}"


def listed(names: Iterable[object]) -> str:
    """The first 12 names, and how many more there are."""
    names = list(names)
    text = ", ".join(shown(name) for name in names[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return f"{text} and {more} more" if more > 0 else text


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 row", "2,000 rows", "3 classes"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def ordinal(number: int) -> str:
    """A number as a place: "1st", "2nd", "13th"."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if number % 100 in (11, 12, 13) else ending}"


def memory(size: float) -> str:
    """Bytes in the unit that suits them: 5,960 GiB, 1.5 MiB."""
    unit = "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f} {unit}" if size < 10 and unit != "bytes" else f"{size:,.0f} {unit}"


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as text that every encoding and JSON can keep: bytes that are not UTF-8 are written \\xff."""
    return os.fsencode(path).decode(errors="backslashreplace")


def from_here(path: Path) -> str:
    """The shortest form of a path from the working directory, and one that cannot be mistaken for a flag."""
    with suppress(ValueError):
        path = path.relative_to(Path.cwd())
        return f"./{shown_path(path)}" if str(path).startswith("-") else shown_path(path)
    return shown_path(path)


def suggestion(name: object, names: Iterable[object]) -> str:
    """`" (did you mean 'x'?)"` for the name that is nearest to `name`, or nothing."""
    near = nearest(name, names)
    return "" if near is None else f" (did you mean {shown(near)}?)"


def nearest(name: object, names: Iterable[T]) -> T | None:
    """The one of some names that `name` may be a misspelling of, or None."""
    return nearest_spelling(name, {str(each): each for each in names})


def nearest_spelling(name: object, spellings: Mapping[str, T]) -> T | None:
    """What the spelling that is nearest to `name` stands for, or None if none is near.

    Capitals and what stands between words count for nothing. Every "did you mean" is found here. Near is also a name
    with two neighbouring letters swapped, which counts for too much in a short one ("dgo").
    """
    by_text = {plain(spelling): value for spelling, value in spellings.items()}
    text = plain(str(name))[:200]
    found = difflib.get_close_matches(text, by_text, n=1, cutoff=NEAR)
    found = found or [other for other in by_text if is_swapped(text, other)]
    return by_text[found[0]] if found else None


def is_swapped(one: str, other: str) -> bool:
    """Whether one text is the other with two neighbouring letters in the other order."""
    apart = [k for k, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]]
    if len(one) != len(other) or len(apart) != 2:
        return False
    first, second = apart
    return second == first + 1 and one[first : second + 1] == other[second] + other[first]


def plain(name: str) -> str:
    """A name's letters and digits, or all of it if it has none."""
    return letters(name) or name


def paired(missing: Sequence[str], spare: Sequence[str]) -> dict[str, str]:
    """For each `missing` name, the `spare` name it may have been renamed to: best matches first, each used once."""
    pairs = sorted(
        ((name_likeness(one, other), one, other) for one in missing for other in spare),
        reverse=True,
    )
    found: dict[str, str] = {}
    for score, one, other in pairs:
        if score >= NEAR and one not in found and other not in found.values():
            found[one] = other
    return found


def name_likeness(one: str, other: str) -> float:
    """How similar two column names are, from 0 to 1; an abbreviation ("lat", "qty") is close to 1."""
    short, long = sorted((letters(one), letters(other)), key=len)
    if not short:
        return 0.0
    ratio = difflib.SequenceMatcher(None, short, long, autojunk=False).ratio()
    if len(short) > 1 and long.startswith(short):
        return max(ratio, 0.9)
    if len(short) > 2 and long[0] == short[0] and is_spread_over(short, long):
        return max(ratio, NEAR)
    return ratio


def letters(name: str) -> str:
    """A name in lower case, without the separators between its words."""
    return "".join(character for character in name.casefold() if character.isalnum())


def is_spread_over(short: str, long: str) -> bool:
    """Whether the letters of `short` occur in `long` in the same order."""
    rest = iter(long)
    return all(letter in rest for letter in short)
