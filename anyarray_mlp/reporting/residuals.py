"""How far predicted numbers lie from the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anyarray_mlp.reporting.answers import Answers, some_of
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.typing import Host

MOST_POINTS, MOST_TARGETS, BARS = 1000, 6, 30


@dataclass(frozen=True)
class Residuals:
    """Of one target: true and predicted values of some rows, and the residuals (true less predicted) of all.

    `edges` and `counts` are the histogram of the residuals, `quantiles` those at 5, 25, 50, 75 and 95 %.
    """

    name: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    quantiles: tuple[float, ...]
    mean: float


def residuals_of(answers: Answers) -> tuple[Residuals, ...] | Missing:
    """The residuals of each target of a regression, the first few."""
    if answers.task != "regression":
        return Missing("the model predicts classes, not numbers")
    targets, n = answers.model.targets, len(answers)
    true = np.asarray(targets.decode(answers.encoded)).reshape(n, -1)
    predicted = np.asarray(answers.model.decode(answers.outputs)).reshape(n, -1)
    if not np.isfinite(predicted).all():
        return Missing("the network's outputs are not all finite")
    names = answers.model.target_names
    if len(names) != true.shape[1]:
        names = tuple(f"target {place}" for place in range(true.shape[1]))
    return tuple(
        residuals(name, true[:, place], predicted[:, place])
        for place, name in enumerate(names[:MOST_TARGETS])
    )


def residuals(name: str, true: Host, predicted: Host) -> Residuals:
    """The residuals of true and predicted values (n,)."""
    left = true - predicted
    counts, edges = np.histogram(left, bins=BARS)
    some = some_of(len(left), MOST_POINTS)
    return Residuals(
        name,
        tuple(map(float, true[some])),
        tuple(map(float, predicted[some])),
        tuple(map(float, edges)),
        tuple(map(int, counts)),
        tuple(map(float, np.quantile(left, (0.05, 0.25, 0.5, 0.75, 0.95)))),
        float(left.mean()),
    )
