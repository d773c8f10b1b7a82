"""What stands in each section of a report about one run."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from anyarray_mlp.markup import element
from anyarray_mlp.reporting import charts, insides
from anyarray_mlp.reporting.classes import Classes
from anyarray_mlp.reporting.contents import Contents, FindingText
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


def repeat(found: Contents, page: Charts) -> list[Element]:
    """What to type to have the run again."""
    return [element("pre", found.command)]


SECTIONS = {
    "Scores": scores,
    "Diagnosis": diagnosis,
    "Learning curves": learning,
    "Answers and truth": answers,
    "What the columns do": insides.columns,
    "Inside the network": insides.network,
    "Data as read": insides.data,
    "To repeat it": repeat,
}
