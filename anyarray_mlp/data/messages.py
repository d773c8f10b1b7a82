"""How values and names are shown inside a one-line error message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ..values import shown as shown

SHOWN_NAMES = 12


def listed(names: Iterable[object]) -> str:
    """The first 12 names, and how many more there are."""
    names = list(names)
    text = ", ".join(shown(name) for name in names[:SHOWN_NAMES])
    more = len(names) - SHOWN_NAMES
    return f"{text} and {more} more" if more > 0 else text


def suggestion(name: object, names: Iterable[object]) -> str:
    """`" (did you mean 'x'?)"` for the name that is nearest to `name`, or nothing."""
    by_text = {str(candidate).casefold(): candidate for candidate in names}
    near = difflib.get_close_matches(str(name).casefold(), by_text, n=1, cutoff=0.6)
    return f" (did you mean {shown(by_text[near[0]])}?)" if near else ""
