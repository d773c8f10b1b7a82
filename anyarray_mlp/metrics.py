"""Scores of predictions, worked out on the host: what early stopping may watch and `evaluate` prints.

A metric maps (outputs (n, k), targets, sample_weight or None) to a float. Targets are integer labels (n,) for
softmax, else (n, k); under logistic outputs a probability of at least 0.5 counts as yes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.errors import UsageError

Host = NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A score and whether more of it is better."""

    score: Callable[[Host, Host, Host | None], float]
    greater_is_better: bool


def predicted_labels(outputs: Host) -> Host:
    """Class codes (n,) of softmax rows, or 0 and 1 (n, k) of logistic outputs ((n,) where k is 1)."""
    if outputs.shape[1] > 1:
        return np.asarray(np.argmax(outputs, axis=1))
    return (outputs[:, 0] >= 0.5).astype(np.int64)


def true_labels(targets: Host) -> Host:
    """Class codes (n,) from labels, one-hot rows or a single column."""
    if targets.ndim == 1:
        return targets
    return targets[:, 0].astype(np.int64) if targets.shape[1] == 1 else np.argmax(targets, axis=1)


def accuracy(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Share of samples whose class is right; with several yes-or-no targets, all of them right."""
    if is_multilabel(targets):
        right = np.all((outputs >= 0.5) == (targets >= 0.5), axis=1)
    else:
        right = predicted_labels(outputs) == true_labels(targets)
    return float(np.average(right, weights=sample_weight))


def is_multilabel(targets: Host) -> bool:
    """Whether targets (n, k) are several yes-or-no answers rather than one-hot rows."""
    return (
        targets.ndim == 2
        and targets.shape[1] > 1
        and bool(np.any(np.abs(targets.sum(axis=1) - 1.0) > 1e-6))
    )


def mean_squared_error(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Mean of (y - t)^2 over samples and outputs."""
    d = outputs.astype(np.float64) - targets
    return exact_mean(d * d, sample_weight)


def mean_absolute_error(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Mean of |y - t| over samples and outputs."""
    return exact_mean(np.abs(outputs.astype(np.float64) - targets), sample_weight)


def exact_mean(values: Host, sample_weight: Host | None = None) -> float:
    """Mean of values (n, k), the samples weighted; summed without error, so in any order the same."""
    if sample_weight is None:
        return math.fsum(values.ravel()) / int(values.size)
    weighted = values * sample_weight[:, None]
    return math.fsum(weighted.ravel()) / (math.fsum(sample_weight) * int(values.shape[1]))


def r2(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """1 - residual over total sum of squares, averaged over outputs; of constant targets 1 if met, else 0."""
    outputs, targets = outputs.astype(np.float64), targets.astype(np.float64)
    weights = np.ones(len(targets)) if sample_weight is None else sample_weight.astype(np.float64)
    scores = []
    for y, t in zip(outputs.T, targets.T, strict=True):
        centred = t - math.fsum(t * weights) / math.fsum(weights)
        residual = math.fsum(weights * (y - t) ** 2)
        total = math.fsum(weights * centred**2)
        constant = t.min() == t.max() or total == 0.0
        scores.append(float(residual == 0.0) if constant else 1.0 - residual / total)
    return math.fsum(scores) / len(scores)


def balanced_accuracy(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Mean over classes of the share of each that is found."""
    from sklearn.metrics import recall_score

    return float(
        recall_score(
            true_labels(targets),
            predicted_labels(outputs),
            average="macro",
            sample_weight=sample_weight,
            zero_division=0,
        )
    )


def f1(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Harmonic mean of precision and recall, averaged over classes (macro)."""
    from sklearn.metrics import f1_score

    multilabel = is_multilabel(targets)
    truth = targets if multilabel else true_labels(targets)
    labels = (outputs >= 0.5).astype(np.int64) if multilabel else predicted_labels(outputs)
    return float(
        f1_score(truth, labels, average="macro", sample_weight=sample_weight, zero_division=0)
    )


def roc_auc(outputs: Host, targets: Host, sample_weight: Host | None = None) -> float:
    """Area under the ROC curve; with several classes, each against the rest, averaged."""
    from sklearn.metrics import roc_auc_score

    truth = targets if is_multilabel(targets) else true_labels(targets)
    scores = outputs[:, 0] if outputs.shape[1] == 1 else outputs
    return float(roc_auc_score(truth, scores, multi_class="ovr", sample_weight=sample_weight))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, True),
    "balanced_accuracy": Metric(balanced_accuracy, True),
    "f1": Metric(f1, True),
    "roc_auc": Metric(roc_auc, True),
    "r2": Metric(r2, True),
    "mean_squared_error": Metric(mean_squared_error, False),
    "mean_absolute_error": Metric(mean_absolute_error, False),
}


def find_metric(name: str) -> Metric:
    """The metric of a name; `UsageError` with the known names otherwise."""
    try:
        return METRICS[name]
    except KeyError:
        raise UsageError(f"metric must be one of {', '.join(METRICS)}, got {name!r}.") from None
