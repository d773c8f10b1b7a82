"""The pieces that a page is built of: charts with their data, tables that scroll, words for figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from anyarray_mlp.markup import Child, element, table
from anyarray_mlp.persistence.plain_json import plain
from anyarray_mlp.reporting.missing import Missing


class Charts:
    """The charts of a page, whose data stand at its end."""

    def __init__(self) -> None:
        self.specs: list[dict[str, Any]] = []

    def draw(self, spec: dict[str, Any], caption: str, *, wide: bool = False) -> Element:
        """The place of a chart, with its caption."""
        self.specs.append(spec)
        return element(
            "figure",
            element("figcaption", caption),
            element("div", class_="chart", data_chart=self.id_of(len(self.specs) - 1), aria_label=caption, role="img"),
            class_="wide" if wide else None,
        )  # fmt: skip

    @staticmethod
    def id_of(place: int) -> str:
        """What a chart's data are found by."""
        return f"chart-{place + 1}"

    def data(self) -> list[Element]:
        """The data of all charts, as scripts that are not run."""
        return [
            element("script", as_json(spec), type="application/json", id=self.id_of(place))
            for place, spec in enumerate(self.specs)
        ]


def as_json(value: Any) -> str:
    """JSON that can stand in a script: nothing in it ends that."""
    text = json.dumps(plain(value, "chart", null_for_nonfinite=True), separators=(",", ":"))
    return text.replace("<", "\\u003c")


def scrolled(head: Sequence[Child], rows: Iterable[Sequence[Child]]) -> Element:
    """A table that scrolls by itself where the page is narrow."""
    return element("div", table(head, rows), class_="scroll")


def side_by_side(*charts: Element) -> Element:
    """Charts beside each other as the page's width allows."""
    return element("div", *charts, class_="charts")


def quiet(text: str) -> Element:
    """What is said beside."""
    return element("p", text, class_="quiet")


def missing(what: Missing) -> Element:
    """What is said in place of a part."""
    return element("p", f"Not shown: {what.reason}.", class_="missing")
