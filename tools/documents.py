"""What in the documents is written from the code.

Each part stands between two comments, `<!-- NAME -->` and `<!-- end of NAME -->`. Neither may begin a line within a
paragraph, which Markdown would end there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tools import architecture, lists

CLONE = Path(__file__).parent.parent

#: By page: the name of each part, and what writes it.
PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"activations": lists.activations},
    "docs/design.md": {"picture": architecture.picture},
    "docs/backends.md": {"backends": lists.backends, "driver": lists.driver_states},
    "docs/scikit-learn.md": {"activations": lists.further_activations},
}


def written(page: str) -> str:
    """A page with its parts as they should be."""
    text = (CLONE / page).read_text(encoding="utf-8")
    for name, part in PARTS[page].items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = before + begin + part() + end + after
    return text


def write() -> Iterator[Path]:
    """Write the parts of each page anew."""
    for page in PARTS:
        (CLONE / page).write_text(written(page), encoding="utf-8")
        yield CLONE / page
