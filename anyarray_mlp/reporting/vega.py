"""Pieces of charts in the words of Vega-Lite: layers, fields, colours.

Colours are names of the page's style (`var(--...)`), so that a chart is light, dark or printed as the page is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

#: As many as the style names; they repeat.
COLOURS = [f"var(--series-{place})" for place in range(1, 11)]
INK, QUIET, FIRST = "var(--ink)", "var(--quiet)", COLOURS[0]
HEIGHT = 240


def chart(layers: Sequence[Spec], height: int = HEIGHT, **more: Any) -> Spec:
    """Layers over each other in the width that the page has."""
    return {
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "layer": list(layers),
        **more,
    }


def layer(rows: Rows, mark: str | Spec, **encoding: Any) -> Spec:
    """One layer: rows, what is drawn for each, and how."""
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": encoding}


def number(field: str, title: str | None, **more: Any) -> Spec:
    """A field of numbers."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def name(field: str, title: str | None, **more: Any) -> Spec:
    """A field of names, in the order of the rows."""
    return {"field": field, "type": "nominal", "title": title, "sort": None, **more}


def tips(*fields: Spec) -> list[Spec]:
    """What is shown where one hovers."""
    return [
        {key: each[key] for key in ("field", "type", "title", "format") if key in each}
        for each in fields
    ]


def coloured(field: str, names: Sequence[str]) -> Spec:
    """Colours of some names, with a legend above the chart if there are several."""
    columns = 5 if max(map(len, names), default=0) < 6 else 3
    legend = {"orient": "top", "title": None, "columns": columns, "labelLimit": 160}
    return name(
        field,
        None,
        scale={
            "domain": list(names),
            "range": [COLOURS[k % len(COLOURS)] for k in range(len(names))],
        },
        legend=legend if len(names) > 1 else None,
    )


def bars_of(edges: Sequence[float], heights: Sequence[float], of: str) -> Rows:
    """The bars of a histogram from their bounds and heights."""
    return [
        {"from": low, "to": high, of: height}
        for (low, high), height in zip(pairwise(edges), heights, strict=True)
    ]


def bars_between(bars: Rows, title: str, y: Spec, height: int = HEIGHT) -> Spec:
    """A histogram of bars that have their bounds."""
    axis = {"grid": False, "labelOverlap": True}
    x = number("from", title, bin="binned", scale={"zero": False, "nice": False}, axis=axis)
    return chart(
        [
            layer(bars, {"type": "bar", "color": FIRST, "stroke": "var(--page)", "strokeWidth": 0.5},
                  x=x, x2={"field": "to"}, y=y,
                  tooltip=tips(number("from", "from", format=",.4~g"), number("to", "to", format=",.4~g"), y)),
        ],
        height,
    )  # fmt: skip


def diagonal(x: Spec, y: Spec, low: float, high: float) -> Spec:
    """The line on which both fields are the same."""
    ends = [{x["field"]: end, y["field"]: end} for end in (low, high)]
    return layer(ends, DASHED | {"type": "line"}, x=x, y=y)


#: Lines to compare with.
DASHED = {"strokeDash": [4, 3], "color": QUIET}
