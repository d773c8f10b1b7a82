"""Scores of predictions, computed on the host: what early stopping can monitor and `evaluate` prints.

A score depends on the task, which a few rows of targets cannot tell: "classification" (each row has
one class: labels (n,), one-hot rows (n, k) or a column of 0 and 1), "multilabel" (k yes-or-no answers per row) or
"regression". A probability of at least 0.5 counts as yes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import NamedTuple

import numpy as np

from anyarray_mlp.arithmetic import host_sum
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import TASKS, find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import checked_weight
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Host

__all__ = [
    "METRICS",
    "Metric",
    "Score",
    "accuracy",
    "balanced_accuracy",
    "exact_match",
    "f1",
    "mean_absolute_error",
    "mean_squared_error",
    "multilabel_f1",
    "multilabel_roc_auc",
    "r2",
    "roc_auc",
]

#: (outputs (n, k), targets, sample_weight (n,) or None) to a float.
Score = Callable[[Host, Host, Host | None], float]


def of_arrays(score: Score) -> Score:
    """A score that raises `DataError` unless its arguments are arrays of numbers with equally many rows."""

    @wraps(score)
    def checked(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
        for name, array in (("outputs", outputs), ("targets", targets)):
            if (
                not isinstance(array, np.ndarray)
                or array.dtype.kind not in "fiub"
                or not array.ndim
            ):
                raise DataError(f"{name} must be a NumPy array of numbers, got {shown(array)}.")
        n = len(outputs)
        if outputs.ndim != 2 or n < 1 or outputs.shape[1] < 1:
            raise DataError(f"outputs must have shape (n, k), n and k > 0, got {outputs.shape}.")
        if targets.shape != outputs.shape and targets.shape != (n,):
            raise DataError(
                f"targets must have shape ({n},) or {outputs.shape} as outputs have, got {targets.shape}."
            )
        if not np.all(np.isfinite(targets)):
            raise DataError("targets hold numbers that are not finite.")
        weight = checked_weight(sample_weight, n)
        # A network that overflowed has no score: argmax of NaN would call its first class right.
        return math.nan if np.any(np.isnan(outputs)) else score(outputs, targets, weight)

    return with_known_options(checked)


@dataclass(frozen=True)
class Metric:
    """The score for each task that it fits, and whether higher is better."""

    scores: dict[str, Score]
    greater_is_better: bool


def default_task(mlp: MLP) -> str:
    """The task that a network's output layer is for."""
    if mlp.output == "softmax":
        return "classification"
    if mlp.output == "logistic":
        return "classification" if mlp.sizes[-1] == 1 else "multilabel"
    return "regression"


def predicted_labels(outputs: Host) -> Host:
    """Class codes (n,): the argmax of each row, or for a single column 1 if it is at least 0.5, else 0."""
    if outputs.shape[1] > 1:
        return np.asarray(np.argmax(outputs, axis=1))
    return (outputs[:, 0] >= 0.5).astype(np.int64)


def true_labels(targets: Host) -> Host:
    """Class codes (n,) from labels, one-hot rows or a single column."""
    if targets.ndim == 1:
        return targets
    return predicted_labels(targets)


@of_arrays
def accuracy(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Fraction of samples whose class is right."""
    right = predicted_labels(outputs) == true_labels(targets)
    return float(np.average(right, weights=sample_weight))


@of_arrays
def exact_match(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Fraction of samples whose yes-or-no answers are all right."""
    right = np.all((outputs >= 0.5) == (targets >= 0.5), axis=1)
    return float(np.average(right, weights=sample_weight))


@of_arrays
def mean_squared_error(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Mean of (y - t)^2 over samples and outputs."""
    d = outputs.astype(np.float64) - targets
    return exact_mean(d * d, sample_weight)


@of_arrays
def mean_absolute_error(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Mean of |y - t| over samples and outputs."""
    return exact_mean(np.abs(outputs.astype(np.float64) - targets), sample_weight)


def exact_sum(values: Host) -> float:
    """The exact sum, rounded once, so the same in any order; infinite or nan if no float can hold it."""
    try:
        return host_sum.exact_sum(np.asarray(values, dtype=np.float64))
    except (OverflowError, ValueError):  # above the largest float; infinity less infinity
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sum(values))


def exact_mean(values: Host, sample_weight: Host | None = None) -> float:
    """Mean of values (n, k), the samples weighted; the sum is exact, so the same in any order."""
    if sample_weight is None:
        return exact_sum(values.ravel()) / int(values.size)
    weighted = values * sample_weight[:, None]
    return exact_sum(weighted.ravel()) / (exact_sum(sample_weight) * int(values.shape[1]))


@of_arrays
def r2(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """1 - residual / total sum of squares, averaged over outputs; for constant targets 1 if met exactly, else 0."""
    outputs, targets = outputs.astype(np.float64), targets.astype(np.float64)
    weights = np.ones(len(targets)) if sample_weight is None else sample_weight.astype(np.float64)
    total_weight = exact_sum(weights)
    scores = []
    for y, t in zip(outputs.T, targets.T, strict=True):
        centred = t - exact_sum(t * weights) / total_weight
        residual = exact_sum(weights * (y - t) ** 2)
        total = exact_sum(weights * centred**2)
        constant = t.min() == t.max() or total == 0.0
        scores.append(float(residual == 0.0) if constant else 1.0 - residual / total)
    return math.fsum(scores) / len(scores)


@of_arrays
def balanced_accuracy(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Mean over classes of the share of each that is found; a class that is only predicted counts as not found."""
    return mean_recall(class_counts(true_labels(targets), predicted_labels(outputs), sample_weight))


@of_arrays
def f1(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Harmonic mean of precision and recall, averaged over classes (macro)."""
    return macro_f1(class_counts(true_labels(targets), predicted_labels(outputs), sample_weight))


@of_arrays
def multilabel_f1(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Harmonic mean of precision and recall of "yes", averaged over the answers (macro); of a single answer, over
    "yes" and "no".
    """
    truth, answers = as_answers(targets), as_answers(outputs)
    if answers.shape[1] == 1:
        return macro_f1(class_counts(truth.ravel(), answers[:, 0], sample_weight))
    if truth.shape != answers.shape:
        raise DataError(
            f"targets must have shape {outputs.shape} as outputs have, got {truth.shape}."
        )
    return macro_f1(answer_counts(truth, answers, sample_weight))


#: The largest label up to which labels are counted as they are; sorting them first takes ten times as long.
FEW_CLASSES = 1 << 16
#: Pairs of classes, true and predicted, that are counted together whatever the rows.
FEW_PAIRS = 1 << 12


class Counts(NamedTuple):
    """Samples (k,) of each class that are found, that are predicted as it, and that are it; or their weights."""

    right: Host
    predicted: Host
    true: Host


def class_counts(truth: Host, labels: Host, sample_weight: Host | None) -> Counts:
    """`Counts` of the classes that labels (n,) name, true or predicted.

    Raises `DataError` for true labels that are no whole numbers.
    """
    if truth.dtype.kind == "f" and np.any(truth != np.floor(truth)):
        raise DataError("targets must be labels, whole numbers, and hold fractions.")
    largest = max(truth.max(), labels.max())
    if truth.dtype.kind in "iu" and truth.min() >= 0 and largest <= FEW_CLASSES:
        truth = truth.astype(np.int64, copy=False)
    else:
        _, codes = np.unique(np.concatenate([truth, labels]), return_inverse=True)
        truth, labels = codes[: len(truth)], codes[len(truth) :]
        largest = codes.max()
    k = int(largest) + 1
    count = joint_counts if k * k <= max(len(truth), FEW_PAIRS) else separate_counts
    plain = count(truth, labels, None, k)
    named = (plain.predicted + plain.true) > 0  # whatever the rows weigh
    found = plain if sample_weight is None else count(truth, labels, sample_weight, k)
    return found if named.all() else Counts(*(each[named] for each in found))


def joint_counts(truth: Host, labels: Host, weight: Host | None, k: int) -> Counts:
    """`Counts` of classes 0 to k - 1 from the k x k pairs of a true and a predicted one, counted once."""
    pairs = np.bincount(truth * k + labels, weight, k * k).reshape(k, k)
    return Counts(pairs.diagonal(), pairs.sum(axis=0), pairs.sum(axis=1))


def separate_counts(truth: Host, labels: Host, weight: Host | None, k: int) -> Counts:
    """`joint_counts` of too many classes for their pairs."""
    right = truth == labels
    hits = truth[right], None if weight is None else weight[right]
    return counts_of(hits, (labels, weight), (truth, weight), k=k)


def answer_counts(truth: Host, answers: Host, sample_weight: Host | None) -> Counts:
    """`Counts` of "yes" for each of the answers (n, k)."""

    def yes(which: Host) -> tuple[Host, Host | None]:
        rows, columns = np.nonzero(which)
        return columns, None if sample_weight is None else sample_weight[rows]

    return counts_of(yes(truth & answers), yes(answers), yes(truth), k=truth.shape[1])


def counts_of(*found: tuple[Host, Host | None], k: int) -> Counts:
    """`Counts` of classes 0 to k - 1 from the codes of each kind and their weights."""
    return Counts(*(np.bincount(codes, weights, minlength=k) for codes, weights in found))


def classification_scores(outputs: Host, targets: Host) -> dict[str, float]:
    """`accuracy`, `balanced_accuracy` and `f1` of outputs (n, k), from counting the classes once."""
    if np.any(np.isnan(outputs)):  # as for each of them
        return dict.fromkeys(("accuracy", "balanced_accuracy", "f1"), math.nan)
    counts = class_counts(true_labels(targets), predicted_labels(outputs), None)
    return {
        "accuracy": float(counts.right.sum() / len(outputs)),
        "balanced_accuracy": mean_recall(counts),
        "f1": macro_f1(counts),
    }


def mean_recall(counts: Counts) -> float:
    """The mean over classes of the share that is found."""
    return mean_share(counts.right, counts.true)


def macro_f1(counts: Counts) -> float:
    """The mean over classes of F1, 0 if a class is neither present nor predicted."""
    return mean_share(2.0 * counts.right, 1.0 * counts.true + counts.predicted)


def mean_share(part: Host, whole: Host) -> float:
    """The mean over classes of part / whole, which is 0 if whole is 0."""
    shares = np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)
    return float(shares.sum() / len(shares))


def as_answers(probabilities: Host) -> Host:
    """Probabilities (n, k) as 0 and 1, split at 0.5."""
    return (probabilities >= 0.5).astype(np.int64)


@of_arrays
def roc_auc(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Area under the ROC curve; with more than two classes, one-vs-rest, averaged.

    As in `multilabel_roc_auc`, a class that no row or every row has is left out of the average.
    """
    labels, k = true_labels(targets), outputs.shape[1]
    if k > 2:
        return multilabel_roc_auc(outputs, np.eye(k)[labels], sample_weight)
    return multilabel_roc_auc(outputs[:, -1:], labels[:, None], sample_weight)


@of_arrays
def multilabel_roc_auc(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Area under the ROC curve, averaged over the answers that are both yes and no in the targets; NaN if none is."""
    from sklearn.metrics import roc_auc_score

    truth = as_answers(targets)
    ranked = np.flatnonzero(truth.min(axis=0) < truth.max(axis=0))
    if not len(ranked):
        return math.nan
    return float(roc_auc_score(truth[:, ranked], outputs[:, ranked], sample_weight=sample_weight))


METRICS: dict[str, Metric] = {
    "accuracy": Metric({"classification": accuracy, "multilabel": exact_match}, True),
    "balanced_accuracy": Metric({"classification": balanced_accuracy}, True),
    "f1": Metric({"classification": f1, "multilabel": multilabel_f1}, True),
    "roc_auc": Metric({"classification": roc_auc, "multilabel": multilabel_roc_auc}, True),
    "r2": Metric({"regression": r2}, True),
    "mean_squared_error": Metric({"regression": mean_squared_error}, False),
    "mean_absolute_error": Metric({"regression": mean_absolute_error}, False),
}


def find_metric(name: str, parameter: str = "metric") -> Metric:
    """The metric of a name, ours or another library's.

    Raises `UsageError`, which names `parameter` and lists the known names, if there is none.
    """
    return METRICS[find_name(parameter, name, METRICS, "metric")]


def find_score(name: str, task: str, parameter: str = "metric") -> Score:
    """The score of a metric for a task; `UsageError`, which lists the metrics that fit the task, if there is none."""
    scores = find_metric(name, parameter).scores
    task = find_name("task", task, TASKS)
    if task not in scores:
        fitting = ", ".join(other for other, metric in METRICS.items() if task in metric.scores)
        raise UsageError(
            f"{name} is a metric of {' and '.join(scores)}, and the task is {task}: use {fitting}."
        )
    return scores[task]
