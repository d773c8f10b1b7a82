"""Charts of the data, of what the columns do, and of the network."""

from __future__ import annotations

from anyarray_mlp.reporting.columns import TargetFigures
from anyarray_mlp.reporting.effects import Dependence, Effects
from anyarray_mlp.reporting.inside import Histogram, Inside
from anyarray_mlp.reporting.vega import (
    COLOURS,
    FIRST,
    INK,
    Rows,
    Spec,
    bars_between,
    bars_of,
    chart,
    coloured,
    layer,
    name,
    number,
    tips,
)
from anyarray_mlp.reporting.words import in_words


def target_chart(target: TargetFigures) -> Spec:
    """How many rows a target's classes or numbers have."""
    y = number("rows", "rows", format=",")
    if target.edges:
        return bars_between(bars_of(target.edges, target.counts, "rows"), target.name, y)
    bars: Rows = [
        {"class": label, "rows": count}
        for label, count in zip(target.labels, target.counts, strict=True)
    ]
    angle = 0 if len(bars) <= 10 else -60
    x = name("class", target.name, axis={"labelAngle": angle, "labelLimit": 90})
    return chart([layer(bars, {"type": "bar", "color": FIRST}, x=x, y=y, tooltip=tips(x, y))])


def importance_chart(effects: Effects, most: int = 15) -> Spec:
    """By how much the loss rises without a column, and how far the repeats lie apart."""
    rows = [
        {"column": each.column, "loss": each.loss, "score": each.score,
         "low": each.loss - each.loss_deviation, "high": each.loss + each.loss_deviation}
        for each in effects.importance[:most]
    ]  # fmt: skip
    y = name("column", None, axis={"labelLimit": 130})
    x = number("loss", "rise of the loss", format=".4~g")
    fall = number("score", f"fall of {in_words(effects.score)}", format=".4~g")
    shown = tips(name("column", "column"), x, fall)
    return chart(
        [
            layer(rows, {"type": "bar", "color": FIRST}, y=y, x=x, tooltip=shown),
            layer(rows, {"type": "rule", "color": INK}, y=y, x=number("low", x["title"]), x2={"field": "high"},
                  tooltip=shown),
        ],
        24 * len(rows),
    )  # fmt: skip


def dependence_chart(found: Dependence, title: str, is_value: bool) -> Spec:
    """The mean answer along a column, a value or a probability."""
    rows = [
        {"value": value, "answer": answer, "of": of}
        for of, answers in found.answers.items()
        for value, answer in zip(found.values, answers, strict=True)
    ]
    of_texts = any(isinstance(value, str) for value in found.values)
    x = (
        name("value", found.column, axis={"labelAngle": -40, "labelLimit": 90})
        if of_texts
        else number(
            "value",
            found.column,
            scale={"zero": False},
            axis={"grid": False, "format": "~s"},
            format=",.5~g",
        )
    )
    written = {"format": "~s" if is_value else ".2~f"}
    y = number("answer", title, scale={"zero": False}, format=",.5~g", axis=written)
    mark = {"type": "line", "point": {"size": 25}}
    colour = coloured("of", list(found.answers))
    return chart(
        [layer(rows, mark, x=x, y=y, color=colour, tooltip=tips(name("of", "of"), x, y))], 190
    )


def histogram_chart(found: Histogram, title: str) -> Spec:
    """Where weights or activations lie."""
    bars = bars_of(found.edges, found.shares, "share")
    y = number("share", None, format=".1%", axis={"format": ".0%", "tickCount": 3})
    return bars_between(bars, title, y, 90)


def network_chart(inside: Inside) -> Spec:
    """Units as points, the larger the more they vary, and the largest weights between them as lines."""
    largest = max((abs(edge.weight) for edge in inside.edges), default=1.0) or 1.0
    lines = [
        {"x": edge.start.layer, "y": edge.start.height, "x2": edge.stop.layer, "y2": edge.stop.height,
         "from": edge.start.name, "to": edge.stop.name, "weight": edge.weight,
         "size": abs(edge.weight) / largest, "sign": "negative" if edge.weight < 0 else "positive"}
        for edge in inside.edges
    ]  # fmt: skip
    last = len(inside.sizes) - 1
    points = [
        {"x": unit.layer, "y": unit.height, "name": unit.name, "mean": unit.mean, "std": unit.std,
         "state": "the same for all rows" if unit.layer and unit.std == 0.0 else "varies"}
        for unit in inside.units
    ]  # fmt: skip
    x = number("x", None, axis=None, scale={"domain": [-0.45, last + 0.45], "nice": False})
    y = number("y", None, axis=None, scale={"domain": [1, 0]})
    sign = name(
        "sign", "weight",
        scale={"domain": ["positive", "negative"], "range": COLOURS[:2]},
        legend={"orient": "top", "title": None},
    )  # fmt: skip
    size = number("size", None, legend=None, scale={"domain": [0, 1], "range": [0.1, 4]})
    strength = number("size", None, legend=None, scale={"domain": [0, 1], "range": [0.15, 0.9]})
    weight = number("weight", "weight", format=".4~g")
    figures = number("mean", "mean", format=".4~g"), number("std", "deviation", format=".4~g")
    state = name("state", None, legend=None,
                 scale={"domain": ["varies", "the same for all rows"], "range": [INK, "var(--page)"]})  # fmt: skip
    at_ends = [
        (0, "right", -9), *([(last, "left", 9)] if last else []),
    ]  # fmt: skip
    return chart(
        [
            layer(lines, "rule", x=x, y=y, x2={"field": "x2"}, y2={"field": "y2"}, color=sign, strokeWidth=size,
                  opacity=strength, tooltip=tips(name("from", "from"), name("to", "to"), weight)),
            layer(points, {"type": "point", "filled": True, "size": 90, "stroke": INK, "strokeWidth": 1.5,
                  "opacity": 1},
                  x=x, y=y, fill=state, tooltip=tips(name("name", "unit"), *figures, name("state", "over the rows"))),
            *(
                layer([point for point in points if point["x"] == at],
                      {"type": "text", "align": align, "dx": shift, "color": INK, "limit": 110, "fontSize": 11},
                      x=x, y=y, text=name("name", None))
                for at, align, shift in at_ends
            ),
        ],
        max(200, 26 * max(sum(unit.layer == layer_ for unit in inside.units) for layer_ in range(last + 1))),
    )  # fmt: skip
