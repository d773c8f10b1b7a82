"""HTML as a tree of elements: what is text is escaped, and what is opened is closed, by the standard library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = Element | object
#: Characters that no page may hold.
REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def clean(value: object) -> str:
    """A text that a page can hold: control characters as question marks, bytes of a path that are no UTF-8 escaped."""
    text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return REFUSED.sub("\N{REPLACEMENT CHARACTER}", text)


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """An element with texts and elements in it. `class_` is the attribute of that name; `_` in a name becomes `-`."""
    named = {
        name.rstrip("_").replace("_", "-"): clean(value)
        for name, value in attributes.items()
        if value is not None
    }
    made = Element(tag, named)
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif last is None:
            made.text = (made.text or "") + clean(child)
        else:
            last.tail = (last.tail or "") + clean(child)
    return made


def table(head: Sequence[Child], rows: Iterable[Sequence[Child]], **attributes: object) -> Element:
    """A table with a line of headings; cells that hold figures are aligned as such."""
    return element(
        "table",
        element("thead", element("tr", *(element("th", cell, scope="col") for cell in head))),
        element("tbody", *(element("tr", *map(cell_of, row)) for row in rows)),
        **attributes,
    )


def cell_of(value: Child) -> Element:
    """A cell; of figures, of the class `figure`."""
    is_figure = isinstance(value, (int, float)) or bool(FIGURE.fullmatch(str(value)))
    return element("td", value, class_="figure" if is_figure else None)


FIGURE = re.compile(r"[-+\u2212]?[\d.,]+(e[-+]?\d+)?\s?%?(\s\(.*\))?|nan|inf|\u2013")


def listed(facts: Mapping[str, object]) -> Element:
    """Facts by what each is called, as a table without headings."""
    rows = [
        element("tr", element("th", name), element("td", value)) for name, value in facts.items()
    ]
    return element("table", element("tbody", *rows))


#: How severe a finding is, as a colour that can be read on light and dark.
SEVERITIES = {"error": "#d0443b", "warning": "#b87a1a"}


def remark(severity: str, title: str, *said: str) -> Element:
    """A finding: its title in the colour of its severity, and what is said of it."""
    style = f"color: {SEVERITIES[severity]}" if severity in SEVERITIES else None
    lines = [part for text in said if text for part in (element("br"), text)]
    return element("li", element("strong", f"{severity}: {title}", style=style), *lines)


def html(*parts: Element) -> str:
    """Elements as HTML."""
    return "".join(tostring(part, encoding="unicode", method="html") for part in parts)
