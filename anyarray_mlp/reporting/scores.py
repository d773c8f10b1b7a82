"""Scores on rows that were held out, with the intervals that other rows of the kind would leave them in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from anyarray_mlp import streams
from anyarray_mlp.metrics import find_metric
from anyarray_mlp.reporting.answers import Answers
from anyarray_mlp.training.predicting import losses_of
from anyarray_mlp.typing import Host

#: The share of the bootstrap's scores within an interval.
LEVEL = 0.95
#: Resamples, and of how many rows on they are fewer.
RESAMPLES, FEWER_RESAMPLES, MANY_ROWS = 1000, 200, 5000


@dataclass(frozen=True)
class Score:
    """A score, its interval, and that of the best answer that looks at no row.

    `low` and `high` are None where a score of resampled rows is not known; `rises` says whether more is better.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    constant: float
    rises: bool


@dataclass(frozen=True)
class Scores:
    """The scores on the rows that `which` names, from so many rows and resamples of them."""

    which: str
    rows: int
    level: float
    resamples: int
    scores: tuple[Score, ...]


def scores_of(answers: Answers) -> Scores:
    """The model's scores, those of a constant, and percentile intervals of the bootstrap (Efron 1979).

    The rows are drawn again one by one, so the intervals are too narrow where rows belong together.
    """
    n = len(answers)
    resamples = RESAMPLES if n <= MANY_ROWS else FEWER_RESAMPLES
    values = values_of(answers, np.arange(n))
    drawn = bootstrap(lambda places: values_of(answers, places), n, resamples)
    constant = constant_scores(answers)
    found = []
    for name, value in values.items():
        low, high = interval(np.array([each[name] for each in drawn]))
        rises = name != "loss" and find_metric(name).greater_is_better
        found.append(Score(name, value, low, high, constant[name], rises))
    return Scores(answers.which, n, LEVEL, resamples, tuple(found))


def values_of(answers: Answers, places: Host) -> dict[str, float]:
    """The scores on some of the rows, those of `evaluate` first."""
    outputs, encoded = answers.outputs[places], answers.encoded[places]
    scores = answers.model.scores_of_outputs(outputs, answers.losses[places], encoded)
    if answers.task == "regression":
        return scores
    # Of two classes, each has the area of the other.
    first = int(answers.task == "classification" and len(answers.labels) == 2)
    told, truth = answers.probabilities[places, first:], answers.truth[places, first:]
    return scores | {"roc_auc": area_under_roc(told, truth)}


def area_under_roc(scores: Host, truth: NDArray[np.bool_]) -> float:
    """The metric `roc_auc` by the ranks of the scores (Mann and Whitney 1947), in a tenth of the time of a curve.

    Of scores and truth (n, k) the mean over the columns with rows on both sides; NaN if there is none.
    """
    ranks = rankdata(scores, axis=0)
    yes = truth.sum(axis=0)
    no = len(truth) - yes
    known = (yes > 0) & (no > 0)
    if not known.any() or np.isnan(scores).any():
        return math.nan
    above = (ranks * truth).sum(axis=0) - yes * (yes + 1) / 2
    return float(np.mean(above[known] / (yes[known] * no[known])))


def constant_scores(answers: Answers) -> dict[str, float]:
    """The scores of the same answer for every row."""
    shape = len(answers), len(answers.constant)
    outputs = np.broadcast_to(answers.constant, shape).astype(answers.outputs.dtype)
    losses = losses_of(answers.model.mlp, outputs, answers.encoded)
    scores = answers.model.scores_of_outputs(outputs, losses, answers.encoded)
    return scores if answers.task == "regression" else scores | {"roc_auc": 0.5}


def bootstrap(
    score: Callable[[Host], dict[str, float]], n: int, resamples: int
) -> list[dict[str, float]]:
    """The scores of rows drawn from n with replacement, again and again."""
    random = streams.generator("bootstrap", 0)
    return [score(random.integers(n, size=n)) for _ in range(resamples)]


def interval(values: Host) -> tuple[float | None, float | None]:
    """The bounds of the middle share of the values, of those that are known."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None, None
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return (float(low), float(high)) if math.isfinite(low + high) else (None, None)
