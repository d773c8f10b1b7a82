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
    """Units as points, and the largest weights between them as lines, the wider the larger."""
    last = len(inside.sizes) - 1
    x = number("x", None, axis=None, scale={"domain": [-0.45, last + 0.45], "nice": False})
    y = number("y", None, axis=None, scale={"domain": [1, 0]})
    names = [(0, "right", -9), *([(last, "left", 9)] if last else [])]
    tallest = max(sum(unit.layer == at for unit in inside.units) for at in range(last + 1))
    return chart(
        [
            weight_lines(inside, x, y),
            unit_points(inside, x, y),
            *(unit_names(inside, x, y, *each) for each in names),
        ],
        max(200, 26 * tallest),
    )


#: What weights and units are told apart by.
SIGNS, STATES = ("positive", "negative"), ("varies", "the same for all rows")


def weight_lines(inside: Inside, x: Spec, y: Spec) -> Spec:
    """A line for each weight that is drawn."""
    largest = max((abs(edge.weight) for edge in inside.edges), default=1.0) or 1.0
    rows = [
        {"x": edge.start.layer, "y": edge.start.height, "x2": edge.stop.layer, "y2": edge.stop.height,
         "from": edge.start.name, "to": edge.stop.name, "weight": edge.weight,
         "size": abs(edge.weight) / largest, "sign": SIGNS[edge.weight < 0]}
        for edge in inside.edges
    ]  # fmt: skip
    legend = {"orient": "top", "title": None}
    scale = {"domain": list(SIGNS), "range": COLOURS[:2]}
    of_size = {"legend": None, "scale": {"domain": [0, 1], "range": [0.1, 4]}}
    of_strength = {"legend": None, "scale": {"domain": [0, 1], "range": [0.15, 0.9]}}
    weight = number("weight", "weight", format=".4~g")
    return layer(
        rows,
        "rule",
        x=x,
        y=y,
        x2={"field": "x2"},
        y2={"field": "y2"},
        color=name("sign", "weight", scale=scale, legend=legend),
        strokeWidth=number("size", None, **of_size),
        opacity=number("size", None, **of_strength),
        tooltip=tips(name("from", "from"), name("to", "to"), weight),
    )


def unit_points(inside: Inside, x: Spec, y: Spec) -> Spec:
    """A point for each unit that is drawn, hollow if it answers the same for all rows."""
    rows = [
        {"x": unit.layer, "y": unit.height, "name": unit.name, "mean": unit.mean, "std": unit.std,
         "state": STATES[bool(unit.layer) and unit.std == 0.0]}
        for unit in inside.units
    ]  # fmt: skip
    mark = {"type": "point", "filled": True, "size": 90, "stroke": INK, "strokeWidth": 1.5}
    scale = {"domain": list(STATES), "range": [INK, "var(--page)"]}
    figures = number("mean", "mean", format=".4~g"), number("std", "deviation", format=".4~g")
    return layer(
        rows,
        mark | {"opacity": 1},
        x=x,
        y=y,
        fill=name("state", None, legend=None, scale=scale),
        tooltip=tips(name("name", "unit"), *figures, name("state", "over the rows")),
    )


def unit_names(inside: Inside, x: Spec, y: Spec, at: int, align: str, shift: int) -> Spec:
    """The names of the units of a layer, beside them."""
    rows = [
        {"x": at, "y": unit.height, "name": unit.name} for unit in inside.units if unit.layer == at
    ]
    mark = {"type": "text", "align": align, "dx": shift, "color": INK, "limit": 110, "fontSize": 11}
    return layer(rows, mark, x=x, y=y, text=name("name", None))
