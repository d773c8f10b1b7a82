"""What stands in each section of a report about one run."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.markup import element
from anyarray_mlp.reporting import charts, pictures
from anyarray_mlp.reporting.classes import Classes
from anyarray_mlp.reporting.columns import DataFigures
from anyarray_mlp.reporting.contents import Contents, FindingText
from anyarray_mlp.reporting.inside import Inside, LayerState
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.reporting.parts import Charts, missing, quiet, scrolled, side_by_side
from anyarray_mlp.reporting.scores import Scores
from anyarray_mlp.reporting.words import figure, in_words

#: The rows that a model is judged on, in words.
WHICH = {
    "test": "test rows, which took no part in training",
    "held-out": "training rows, each answered by those networks alone that have not seen it",
    "validation": "validation rows; training looked at them where it keeps the best epoch, so new rows may score lower",
    "training": "rows that it was trained on: no rows were held out, so new rows will score lower",
}


def facts(found: Contents, page: Charts) -> list[Element]:
    """What the run is."""
    pairs = [(element("dt", key), element("dd", value)) for key, value in found.facts.items()]
    return [element("dl", *(part for pair in pairs for part in pair))]


def scores(found: Contents, page: Charts) -> list[Element]:
    """The scores with their intervals."""
    if isinstance(found.scores, Missing):
        return [missing(found.scores)]
    judged: Scores = found.scores
    rows = [
        (in_words(each.name), figure(each.value), span(each.low, each.high), figure(each.constant))
        for each in judged.scores
    ]
    head = ("score", "model", f"{judged.level:.0%} interval", "constant answer")
    return [
        quiet(f"On {judged.rows:,} {WHICH[judged.which]}."),
        scrolled(head, rows),
        quiet(
            f"Intervals: percentiles of {judged.resamples:,} bootstrap resamples of the rows; too narrow where rows "
            "belong together. The constant answer is the mean of the training targets."
        ),
    ]


def span(low: float | None, high: float | None) -> str:
    """An interval in words."""
    return "\N{EN DASH}" if low is None or high is None else f"{figure(low)} to {figure(high)}"


def diagnosis(found: Contents, page: Charts) -> list[Element]:
    """The findings of the diagnosis."""
    if isinstance(found.findings, Missing):
        return [missing(found.findings)]
    if not found.findings:
        return [element("p", "Nothing suspicious.", class_="fine")]
    return [element("ul", *map(finding, found.findings), class_="findings")]


def finding(each: FindingText) -> Element:
    """One finding with its cure."""
    parts = [
        element("span", f"{each.severity}: {each.title}", class_="severity"),
        element("div", f"{each.evidence[:1].upper()}{each.evidence[1:]}."),
    ]
    if each.cure:
        parts.append(element("div", f"{each.cure}."))
    if each.to_try:
        tried = [part for change in each.to_try for part in ("; ", element("code", change))][1:]
        parts.append(element("div", "To try: ", *tried))
    return element("li", *parts, class_=each.severity)


def learning(found: Contents, page: Charts) -> list[Element]:
    """The learning curves."""
    if isinstance(found.curves, Missing):
        return [missing(found.curves)]
    curves = found.curves
    drawn = [
        page.draw(charts.learning_curves({found.name: curves}, "loss"), "Loss by epoch"),
        *(
            page.draw(charts.learning_curves({found.name: curves}, each), f"Validation {in_words(each)} by epoch")
            for each in curves.figures
            if each not in ("loss", "validation_loss")
        ),
    ]  # fmt: skip
    kept = ", ".join(map(str, curves.kept))
    whose = "The model is of epoch" if len(curves.kept) == 1 else "The networks are of epochs"
    return [
        quiet(
            f"{whose} {kept} of {len(curves.epochs)} (the dashed line); {curves.seconds:.3g} s of training."
        ),
        side_by_side(*drawn),
    ]


def answers(found: Contents, page: Charts) -> list[Element]:
    """How answers compare with the truth: of classes, or of numbers."""
    if not isinstance(found.classes, Missing):
        return of_classes(found.classes, page)
    if isinstance(found.residuals, Missing):
        # Where both are missing for one reason, it is not that of the task.
        return [missing(found.residuals)]
    parts: list[Element] = []
    for each in found.residuals:
        low, lower, _, upper, high = each.quantiles
        parts += [
            side_by_side(
                page.draw(
                    charts.predicted_chart(each), f"{each.name}: predicted beside true values"
                ),
                page.draw(charts.residual_chart(each), "Residuals along the predicted values"),
                page.draw(charts.residual_bars(each), "Residuals of all rows"),
            ),
            quiet(
                f"Half of the residuals lie between {figure(lower)} and {figure(upper)}, nine in ten between "
                f"{figure(low)} and {figure(high)}; their mean is {figure(each.mean)}."
            ),
        ]
    return parts


def of_classes(found: Classes, page: Charts) -> list[Element]:
    """Confusion, figures by class, ROC and calibration."""
    drawn = []
    said = []
    if isinstance(found.confusion, Missing):
        said.append(missing(found.confusion))
    else:
        drawn.append(
            page.draw(
                charts.confusion_chart(found),
                "Confusion matrix: rows by true and by predicted class",
            )
        )
    if isinstance(found.roc, Missing):
        said.append(missing(found.roc))
    else:
        drawn.append(
            page.draw(
                charts.roc_chart(found.roc), "ROC curves, each class against the others (area)"
            )
        )
    if isinstance(found.calibration, Missing):
        said.append(missing(found.calibration))
    else:
        errors = ", ".join(f"{each.error:.3f}" for each in found.calibration)
        of = f" of \N{LEFT DOUBLE QUOTATION MARK}{found.calibration[0].what}\N{RIGHT DOUBLE QUOTATION MARK}"
        title = f"Calibration{of if len(found.calibration) == 1 else ''} (mean distance {errors})"
        drawn.append(page.draw(charts.calibration_chart(found.calibration), title))
    if found.left_out:
        said.append(
            quiet(
                f"Curves are those of the most frequent classes; {found.left_out} others are left out."
            )
        )
    rows = [
        (
            element("span", each.label),
            f"{each.precision:.3f}",
            f"{each.recall:.3f}",
            f"{each.f1:.3f}",
            f"{each.rows:,}",
        )
        for each in found.by_class
    ]
    return [
        side_by_side(*drawn),
        *said,
        scrolled(("class", "precision", "recall", "F1", "rows"), rows),
    ]


def columns(found: Contents, page: Charts) -> list[Element]:
    """Which columns the answers rest on, and how."""
    if isinstance(found.effects, Missing):
        return [missing(found.effects)]
    effects = found.effects
    answered = {name for each in effects.dependence for name in each.answers}
    is_value = effects.score == "r2"
    of = (
        next(iter(answered)) if len(answered) == 1 else ("the answer" if is_value else "each class")
    )
    title = f"mean {of}" if is_value else f"mean probability of {of}"
    said = [
        quiet(
            f"Importance: the rise of the loss where the cells of a column are shuffled among {effects.rows:,} "
            f"{effects.which} rows, five times; columns that tell the same share it."
        )
    ]
    if effects.left_out:
        said.append(
            quiet(
                f"{effects.left_out:,} further columns, with smaller weights, were not looked at."
            )
        )
    if effects.dates:
        said.append(missing(Missing(f"the dependence on dates ({', '.join(effects.dates)})")))
    return [
        *said,
        side_by_side(page.draw(pictures.importance_chart(effects), "Permutation importance")),
        element("h3", "Partial dependence of the strongest columns"),
        quiet(f"The {title} over the rows, if all had the same value of one column."),
        side_by_side(
            *(page.draw(pictures.dependence_chart(each, title, is_value), each.column) for each in effects.dependence)
        ),
    ]  # fmt: skip


def network(found: Contents, page: Charts) -> list[Element]:
    """The network as a picture, and the state of its layers."""
    if isinstance(found.inside, Missing):
        return [missing(found.inside)]
    inside: Inside = found.inside
    drawn = len(inside.units)
    of = f" Of {inside.networks} networks, the first." if inside.networks > 1 else ""
    caption = f"The {drawn} of {sum(inside.sizes):,} units with the largest weights, and the largest of these weights."
    return [
        quiet(f"Over {inside.rows:,} rows.{of} A hollow unit answers the same for all of them."),
        page.draw(pictures.network_chart(inside), caption, wide=True),
        scrolled(
            ("layer", "units", "weights", "activations", "dead units", "saturated", "gradient", "update"),
            map(layer_row, inside.layers),
        ),
        side_by_side(
            *(
                page.draw(pictures.histogram_chart(part, ""), f"Layer {layer.number}: {what}")
                for layer in inside.layers
                for part, what in ((layer.weights, "weights"), (layer.activations, f"activations, {layer.activation}"))
            )
        ),
    ]  # fmt: skip


def layer_row(layer: LayerState) -> tuple[str, ...]:
    """The figures of a layer."""
    return (
        f"{layer.number}, {layer.activation}",
        f"{layer.units:,}",
        f"{figure(layer.weight_mean)} \N{PLUS-MINUS SIGN} {figure(layer.weight_std)}",
        f"{figure(layer.mean)} \N{PLUS-MINUS SIGN} {figure(layer.std)}",
        f"{layer.dead:.1%}",
        f"{layer.saturated:.1%}",
        figure(layer.gradient),
        figure(layer.update),
    )


def data(found: Contents, page: Charts) -> list[Element]:
    """The data as they were read."""
    if isinstance(found.data, Missing):
        return [missing(found.data)]
    about: DataFigures = found.data
    parts = [
        f"{rows:,} {'to train on' if name == 'training' else name}"
        for name, rows in about.rows.items()
    ]
    what = about.what or counted(about.width, "column")
    return [
        quiet(
            f"{what[:1].upper()}{what[1:]}, {about.inputs:,} inputs of the network; rows: {', '.join(parts)}."
        ),
        *([element("ul", *(element("li", note) for note in about.notes))] if about.notes else []),
        side_by_side(
            *(
                page.draw(pictures.target_chart(each), f"Target: {each.name}")
                for each in about.targets
            )
        ),
        *(column_table(about) if about.columns else []),
    ]


def column_table(about: DataFigures) -> list[Element]:
    """The columns, one in each line."""
    total = sum(about.rows.values())
    rows = [
        (
            element("span", each.name), each.kind,
            f"{each.gaps:,} ({each.gaps / total:.1%})" if each.gaps else "0",
            f"{each.different:,}", element("span", each.values), f"{each.inputs}", element("span", each.note),
        )
        for each in about.columns
    ]  # fmt: skip
    head = ("column", "taken as", "gaps", "different", "least \N{MIDDLE DOT} median \N{MIDDLE DOT} most",
            "inputs", "note")  # fmt: skip
    left = about.width - len(about.columns)
    return [scrolled(head, rows), *([quiet(f"And {left:,} further columns.")] if left else [])]


def repeat(found: Contents, page: Charts) -> list[Element]:
    """What to type to have the run again."""
    return [element("pre", found.command)]


SECTIONS = {
    "Scores": scores,
    "Diagnosis": diagnosis,
    "Learning curves": learning,
    "Answers and truth": answers,
    "What the columns do": columns,
    "Inside the network": network,
    "Data as read": data,
    "To repeat it": repeat,
}
