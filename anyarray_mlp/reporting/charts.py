"""Charts of a run's curves, scores and answers: what is drawn of the contents of a report, and nothing that is worked
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anyarray_mlp.reporting.classes import Calibration, Classes, Roc
from anyarray_mlp.reporting.curves import Curves
from anyarray_mlp.reporting.residuals import Residuals
from anyarray_mlp.reporting.vega import (
    DASHED,
    FIRST,
    INK,
    Rows,
    Spec,
    bars_between,
    bars_of,
    chart,
    coloured,
    diagonal,
    layer,
    name,
    number,
    tips,
)
from anyarray_mlp.reporting.words import in_words


def learning_curves(curves: Mapping[str, Curves], figure: str) -> Spec:
    """A figure of each epoch, of one run beside that of its validation rows, or of several runs; the kept epochs."""
    wanted = [figure, f"validation_{figure}"] if figure == "loss" else [figure]
    several = len(curves) > 1
    rows: list[dict[str, Any]] = [
        {"epoch": epoch, "value": value, "of": run if several else in_words(each)}
        for run, found in curves.items()
        for each in (wanted[-1:] if several else wanted)
        if each in found.figures
        for epoch, value in zip(found.epochs, found.figures[each], strict=True)
        if value is not None
    ]
    kept = [
        {"epoch": epoch, "of": run}
        for run, each in curves.items()
        for epoch in dict.fromkeys(each.kept)
    ]
    names = list(dict.fromkeys(row["of"] for row in rows))
    values = [row["value"] for row in rows]
    wide = figure == "loss" and bool(values) and min(values) > 0 and max(values) > 20 * min(values)
    y = number(
        "value", in_words(figure), scale={"zero": False, "type": "log" if wide else "linear"}
    )
    x = number(
        "epoch",
        "epoch",
        scale={"zero": False},
        axis={"tickMinStep": 1, "format": "d", "grid": False},
    )
    colour = coloured("of", names)
    mark = {
        "type": "line",
        "point": len(values) <= 60 * max(len(names), 1),
        "interpolate": "linear",
    }
    return chart(
        [
            layer(rows, mark, x=x, y=y, color=colour, tooltip=tips(name("of", "of"), x, y)),
            layer(
                kept,
                DASHED | {"type": "rule"},
                x=x,
                tooltip=tips(name("of", "run"), number("epoch", "kept epoch")),
            ),
        ]
    )


def score_chart(rows: Rows, title: str) -> Spec:
    """A score of several runs with its interval."""
    y = name("run", None, axis={"labelLimit": 140})
    x = number("value", title, scale={"zero": False}, format=".4g")
    low, high = number("low", "95% from", format=".4g"), number("high", "to", format=".4g")
    shown = tips(name("run", "run"), x, low, high)
    return chart(
        [
            layer(rows, {"type": "rule", "strokeWidth": 2, "color": FIRST}, y=y,
                  x=number("low", title, scale={"zero": False}), x2={"field": "high"}, tooltip=shown),
            layer(rows, {"type": "point", "filled": True, "size": 80, "color": FIRST}, y=y, x=x, tooltip=shown),
        ],
        34 * len(rows),
    )  # fmt: skip


def confusion_chart(classes: Classes) -> Spec:
    """Rows by true and by predicted class; the darker, the larger the share of the true class."""
    assert isinstance(classes.confusion, tuple)
    cells = [
        {"true": true, "predicted": predicted, "rows": count, "share": count / max(sum(line), 1)}
        for true, line in zip(classes.labels, classes.confusion, strict=True)
        for predicted, count in zip(classes.labels, line, strict=True)
    ]
    k = len(classes.labels)
    x = name(
        "predicted", "predicted class", axis={"labelAngle": 0 if k <= 10 else -60, "labelLimit": 80}
    )
    y = name("true", "true class", axis={"labelLimit": 90})
    share, rows = (
        number("share", "share of the true class", format=".1%"),
        number("rows", "rows", format=","),
    )
    shown = tips(y, x, rows, share)
    layers = [
        layer(cells, {"type": "rect", "color": FIRST, "stroke": "var(--line)", "strokeWidth": 0.5}, x=x, y=y,
              opacity=number("share", None, legend=None, scale={"domain": [0, 1], "range": [0, 0.75]}),
              tooltip=shown),
    ]  # fmt: skip
    if k <= 12:
        text = {"type": "text", "color": INK, "fontSize": 12}
        layers.append(layer(cells, text, x=x, y=y, text=rows, tooltip=shown))
    return chart(layers, max(220, min(26 * k, 560)))


def roc_chart(curves: Sequence[Roc]) -> Spec:
    """ROC curves, and the diagonal of an answer by chance."""
    label = {each.label: f"{each.label} ({each.area:.3f})" for each in curves}
    rows = [
        {"of": label[each.label], "false": false, "true": true, "order": order}
        for each in curves
        for order, (false, true) in enumerate(
            zip(each.false_positive, each.true_positive, strict=True)
        )
    ]
    x = number("false", "false positive rate", format=".3f")
    y = number("true", "true positive rate", format=".3f")
    return chart(
        [
            diagonal(x, y, 0.0, 1.0),
            layer(rows, {"type": "line", "interpolate": "linear"}, x=x, y=y, color=coloured("of", list(label.values())),
                  order={"field": "order", "type": "quantitative"}, tooltip=tips(name("of", "class (area)"), x, y)),
        ],
        300,
    )  # fmt: skip


def calibration_chart(found: Sequence[Calibration]) -> Spec:
    """What came true beside what was predicted."""
    rows = [
        {"of": each.what, "predicted": predicted, "observed": observed, "rows": count}
        for each in found
        for predicted, observed, count in zip(each.predicted, each.observed, each.rows, strict=True)
    ]
    x = number("predicted", "predicted probability", scale={"domain": [0, 1]}, format=".3f")
    y = number("observed", "share that came true", scale={"domain": [0, 1]}, format=".3f")
    size = number("rows", "rows", legend=None, scale={"range": [20, 250]}, format=",")
    colour = coloured("of", [each.what for each in found])
    shown = tips(name("of", "of"), x, y, number("rows", "rows", format=","))
    return chart(
        [
            diagonal(x, y, 0.0, 1.0),
            layer(rows, {"type": "line"}, x=x, y=y, color=colour),
            layer(rows, {"type": "point", "filled": True, "opacity": 0.9}, x=x, y=y, color=colour, size=size,
                  tooltip=shown),
        ],
        300,
    )  # fmt: skip


def predicted_chart(found: Residuals) -> Spec:
    """Predicted beside true values."""
    rows = [
        {"true": true, "predicted": predicted}
        for true, predicted in zip(found.true, found.predicted, strict=True)
    ]
    x = number(
        "true", f"true {found.name}", scale={"zero": False}, format=",.5~g", axis={"format": "~s"}
    )
    y = number(
        "predicted", "predicted", scale={"zero": False}, format=",.5~g", axis={"format": "~s"}
    )
    low, high = min(found.true), max(found.true)
    return chart(
        [
            layer(rows, POINTS, x=x, y=y, tooltip=tips(x, y)),
            diagonal(x, y, low, high),
        ],
        300,
    )


POINTS = {"type": "point", "filled": True, "size": 22, "opacity": 0.45, "color": FIRST}


def residual_chart(found: Residuals) -> Spec:
    """Residuals along the predicted values."""
    rows = [
        {"predicted": predicted, "residual": true - predicted}
        for true, predicted in zip(found.true, found.predicted, strict=True)
    ]
    x = number(
        "predicted",
        f"predicted {found.name}",
        scale={"zero": False},
        format=",.5~g",
        axis={"format": "~s"},
    )
    y = number("residual", "true less predicted", format=",.5~g", axis={"format": "~s"})
    zero = layer([{"residual": 0}], DASHED | {"type": "rule"}, y=y)
    return chart([layer(rows, POINTS, x=x, y=y, tooltip=tips(x, y)), zero], 300)


def residual_bars(found: Residuals) -> Spec:
    """The histogram of residuals."""
    bars = bars_of(found.edges, found.counts, "rows")
    return bars_between(bars, "true less predicted", number("rows", "rows", format=","), 200)
