"""How well classes are told apart: who is taken for whom, ROC curves, and whether probabilities mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.metrics import predicted_labels, true_labels
from anyarray_mlp.reporting.answers import Answers
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.typing import Host

#: Curves of so many classes are drawn, the most frequent ones, each with so many points.
MOST_CURVES, MOST_POINTS = 10, 200
#: Classes of a confusion matrix that can be read.
MOST_CLASSES = 40
BINS = 10


@dataclass(frozen=True)
class ClassFigures:
    """How a class fares: of the rows that are called it, and of the rows that are it, the share that is right."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


@dataclass(frozen=True)
class Roc:
    """The ROC curve of one class against the others, and the area under it."""

    label: str
    area: float
    false_positive: tuple[float, ...]
    true_positive: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """In each bin of predicted probabilities: their mean, the share of rows that came true, and how many rows.

    `what` says what the probability is of; `error` is the mean distance of the two, weighted by the rows.
    """

    what: str
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    rows: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class Classes:
    """What there is to say of the classes, or of the labels of a multilabel model, each by itself.

    `confusion` has a line for each true class and a column for each that was predicted.
    """

    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...] | Missing
    by_class: tuple[ClassFigures, ...]
    roc: tuple[Roc, ...] | Missing
    calibration: tuple[Calibration, ...] | Missing
    left_out: int


def classes_of(answers: Answers) -> Classes | Missing:
    """The figures of classes of a model that predicts them."""
    if answers.task == "regression":
        return Missing("the model predicts numbers, not classes")
    labels, truth, probabilities = answers.labels, answers.truth, answers.probabilities
    if np.isnan(probabilities).any():
        return Missing("the network's outputs are not numbers")
    shown = np.sort(np.argsort(-truth.sum(axis=0), kind="stable")[:MOST_CURVES])
    if answers.task == "classification" and len(labels) == 2:
        shown = np.array([1])
    return Classes(
        labels,
        confusion_of(answers, len(labels)),
        by_class(answers, truth, labels),
        roc_curves(truth, probabilities, labels, shown),
        calibrations(answers, truth, probabilities, labels, shown),
        0 if len(labels) == 2 else len(labels) - len(shown),
    )


def confusion_of(answers: Answers, k: int) -> tuple[tuple[int, ...], ...] | Missing:
    """Rows by true and by predicted class."""
    from sklearn.metrics import confusion_matrix

    if answers.task == "multilabel":
        return Missing("a row may have several labels, so none is taken for another")
    if k > MOST_CLASSES:
        return Missing(f"a matrix of {k} classes cannot be read; the figures by class are below")
    predicted = predicted_labels(answers.outputs)
    counts = confusion_matrix(true_labels(answers.encoded), predicted, labels=np.arange(k))
    return tuple(tuple(map(int, row)) for row in counts)


def by_class(
    answers: Answers, truth: NDArray[np.bool_], labels: tuple[str, ...]
) -> tuple[ClassFigures, ...]:
    """Precision, recall and F1 of each class; 0 where they are not defined."""
    from sklearn.metrics import precision_recall_fscore_support

    if answers.task == "multilabel":
        predicted = answers.outputs >= 0.5
    else:
        predicted = predicted_labels(answers.outputs)[:, None] == np.arange(len(labels))
    figures = precision_recall_fscore_support(truth, predicted, average=None, zero_division=0.0)
    return tuple(
        ClassFigures(label, float(precision), float(recall), float(f1), int(rows))
        for label, precision, recall, f1, rows in zip(labels, *figures, strict=True)
    )


def roc_curves(
    truth: NDArray[np.bool_], scores: Host, labels: tuple[str, ...], shown: NDArray[np.int64]
) -> tuple[Roc, ...] | Missing:
    """The curves of some classes that have rows on both sides."""
    from sklearn.metrics import auc, roc_curve

    found = []
    for place in shown.tolist():
        if truth[:, place].all() or not truth[:, place].any():
            continue
        false, true, _ = roc_curve(truth[:, place], scores[:, place])
        area = float(auc(false, true))
        some = np.unique(np.linspace(0, len(false) - 1, MOST_POINTS).round().astype(int))
        found.append(Roc(labels[place], area, as_floats(false[some]), as_floats(true[some])))
    return tuple(found) if found else Missing("all rows are of one class")


def calibrations(
    answers: Answers,
    truth: NDArray[np.bool_],
    probabilities: Host,
    labels: tuple[str, ...],
    shown: NDArray[np.int64],
) -> tuple[Calibration, ...] | Missing:
    """Of two classes, how often the second comes true; of more, how often the answer is right; of labels, each."""
    if answers.model.mlp.output not in ("softmax", "logistic"):
        return Missing(f"outputs of {answers.model.mlp.output} are no probabilities")
    if answers.task == "classification" and len(labels) > 2:
        right = truth[np.arange(len(truth)), probabilities.argmax(axis=1)]
        return (calibration("the answer is right", right, probabilities.max(axis=1)),)
    return tuple(
        calibration(labels[place], truth[:, place], probabilities[:, place])
        for place in shown.tolist()
    )


def calibration(what: str, truth: NDArray[np.bool_], predicted: Host) -> Calibration:
    """Predicted probabilities (n,) beside what came true, in bins of equal width."""
    from sklearn.calibration import calibration_curve

    bounded = np.clip(predicted.astype(np.float64), 0.0, 1.0)
    observed, mean = calibration_curve(truth, bounded, n_bins=BINS)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    rows = np.bincount(np.searchsorted(edges[1:-1], bounded), minlength=BINS)
    rows = rows[rows > 0]
    error = float(np.abs(observed - mean) @ rows / rows.sum())
    return Calibration(what, as_floats(mean), as_floats(observed), tuple(map(int, rows)), error)


def as_floats(values: Host) -> tuple[float, ...]:
    """As Python's numbers."""
    return tuple(map(float, values))
