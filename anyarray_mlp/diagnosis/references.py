"""What could be learned: quick learners of other kinds, on the same rows, held against the network on new ones.

A linear model, boosted trees and nearest neighbours learn from a sample of the training rows and predict the rows that
the network was validated on, or, without such, a quarter of the sample that they have not seen.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from anyarray_mlp import streams
from anyarray_mlp.diagnosis.held_out import Rows, nearest_rows, row_scores
from anyarray_mlp.typing import Host

#: Entries of the sample that trees learn from at most, and rounds of boosting: fewer with more classes or columns.
TREE_ENTRIES, ROUNDS, CLASSES, COLUMNS = 100_000, 40, 4, 100
#: Seconds after which no further learner is asked.
LONG = 1.0
NEIGHBOURS = 5
#: Columns of values that trees are asked for at most, one after the other.
MOST_VALUES = 4


@dataclass(frozen=True)
class Reference:
    """What one learner reached on rows that it had not seen.

    Attributes
    ----------
    name : "a linear model", "boosted trees" or "nearest neighbours".
    skill : as `held_out.skill`.
    lead : how much better than the network it predicts the rows, in skill; `noise` is its standard error.
    """

    name: str
    skill: float
    lead: float
    noise: float


@dataclass(frozen=True)
class Learnable:
    """What other learners reached, and how sure the surest of them are of the labels.

    `error_of_surest` is the share of wrong labels among the third of the rows that trees are surest of, `surest` the
    number of these rows; None if the targets are values.
    """

    references: tuple[Reference, ...] = field(default=())
    error_of_surest: float | None = None
    surest: int = 0

    @property
    def best(self) -> Reference | None:
        """The best of the learners."""
        return max(self.references, key=lambda each: each.skill, default=None)


def learnable(known: Rows, held: Rows | None, answers: Host | None) -> Learnable:
    """What can be learned from `known` rows: asked of the rows `held`, whose outputs by the network are `answers`.

    Without these, a quarter of the known rows is held out, and no learner is held against the network.
    """
    if held is None:
        order = streams.generator("tie order", 0).permutation(len(known.x))
        cut = max(1, len(order) // 4)
        known, held = known.part(np.sort(order[cut:])), known.part(np.sort(order[:cut]))
    if min(len(known.x), len(held.x)) < 20 or not all(map(usable, (known, held))):
        return Learnable()
    found: list[Reference] = []
    sure: tuple[float | None, int] = (None, 0)
    started = time.monotonic()
    for name, make in learners(known):
        if time.monotonic() - started > LONG:
            break
        # One thread: the others may be at work, and small tasks are slower with more.
        with warnings.catch_warnings(), np.errstate(all="ignore"), threadpool_limits(1):
            warnings.simplefilter("ignore")
            outputs = make(known)(np.asarray(held.x, dtype=np.float64))
        found.append(judged(name, outputs, held, answers))
        if name == "boosted trees" and held.classes is not None:
            sure = surest(outputs, held.classes)
    return Learnable(tuple(found), *sure)


def usable(rows: Rows) -> bool:
    """Whether rows are all finite."""
    return bool(np.all(np.isfinite(rows.x)) and np.all(np.isfinite(rows.targets)))


def judged(name: str, outputs: Host, held: Rows, answers: Host | None) -> Reference:
    """The skill of a learner's outputs, and its lead over the network's answers."""
    skill = held.skill(outputs)
    if answers is None:
        return Reference(name, skill, 0.0, 0.0)
    weight = np.ones(len(held.x)) if held.weight is None else held.weight
    difference = row_scores(outputs, held.targets, held.classes) - row_scores(
        answers, held.targets, held.classes
    )
    per_skill = 1.0
    if held.classes is not None:
        per_skill = 1.0 / max(1.0 - (held.chance or 0.0), 1e-9)
    lead = float(np.average(difference, weights=weight)) * per_skill
    noise = float(difference.std()) / math.sqrt(len(difference)) * per_skill
    return Reference(name, skill, lead, noise)


def surest(outputs: Host, classes: Host) -> tuple[float, int]:
    """The share of wrong labels in the third of the rows that the outputs are surest of, and their number.

    Each predicted class counts alike, so that a frequent one does not hide the others.
    """
    told = outputs.argmax(axis=1)
    confidence = outputs.max(axis=1)
    taken: list[NDArray[np.int64]] = []
    for code in np.unique(told):
        rows = np.flatnonzero(told == code)
        order = rows[np.argsort(-confidence[rows], kind="stable")]
        taken.append(order[: math.ceil(len(rows) / 3)])
    rows = np.concatenate(taken)
    return float(np.mean(told[rows] != classes[rows])), len(rows)


Learner = Callable[[Host], Host]


def learners(known: Rows) -> Iterator[tuple[str, Callable[[Rows], Learner]]]:
    """The learners by name: each learns from rows, and gives the outputs (n, k) of inputs."""
    yield "a linear model", linear
    yield "nearest neighbours", neighbours
    if (
        known.classes is not None
        or np.asarray(known.targets).reshape(len(known.x), -1).shape[1] <= MOST_VALUES
    ):
        yield "boosted trees", trees


def wanted(rows: Rows) -> tuple[Host, int]:
    """What is to be learned (n, k), indicators of classes or values, and the number of classes."""
    if rows.classes is None:
        return np.asarray(rows.targets, dtype=np.float64).reshape(len(rows.x), -1), 0
    k = int(rows.classes.max()) + 1
    return np.eye(max(k, 2))[rows.classes], k


def linear(known: Rows) -> Learner:
    """Ridge regression of the targets or of the classes' indicators, on standardised columns."""
    x = np.asarray(known.x, dtype=np.float64)
    targets, _ = wanted(known)
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-12)
    weight = np.ones(len(x)) if known.weight is None else known.weight
    root = np.sqrt(weight / weight.mean())[:, None]

    def inputs(rows: Host) -> Host:
        # No cell counts for more than ten deviations.
        return np.column_stack([np.ones(len(rows)), np.clip((rows - mean) / scale, -10.0, 10.0)])

    a = inputs(x) * root
    penalty = np.eye(a.shape[1]) * 1.0
    penalty[0, 0] = 0.0
    coefficients = np.linalg.lstsq(a.T @ a + penalty, a.T @ (targets * root), rcond=None)[0]
    return lambda rows: np.asarray(inputs(rows) @ coefficients)


def neighbours(known: Rows) -> Learner:
    """The mean of the nearest rows."""
    targets, _ = wanted(known)
    weight = np.ones(len(targets)) if known.weight is None else known.weight

    def predict(rows: Host) -> Host:
        near = nearest_rows(rows, known.x, NEIGHBOURS)
        shares = weight[near] / weight[near].sum(axis=1, keepdims=True)
        return np.asarray((targets[near] * shares[:, :, None]).sum(axis=1))

    return predict


def trees(known: Rows) -> Learner:
    """Boosted trees; of values with several columns, one for each."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x = np.asarray(known.x, dtype=np.float32)
    few = max(20, TREE_ENTRIES // max(1, x.shape[1]))
    rows = np.arange(len(x)) if len(x) <= few else np.linspace(0, len(x) - 1, few).astype(int)
    weight = None if known.weight is None else known.weight[rows]
    targets, k = wanted(known)
    options: dict[str, Any] = {"learning_rate": 0.15, "max_leaf_nodes": 12, "early_stopping": False}
    options |= {"min_samples_leaf": 8, "random_state": 0}
    if not k:
        each = [
            HistGradientBoostingRegressor(max_iter=ROUNDS, **options).fit(x[rows], y, weight)
            for y in targets[rows].T
        ]
        return lambda new: np.stack([model.predict(new) for model in each], axis=1)
    share = min(1.0, CLASSES / k) * min(1.0, COLUMNS / x.shape[1])
    rounds = max(8, round(ROUNDS * share))
    model = HistGradientBoostingClassifier(max_iter=rounds, **options)
    model.fit(x[rows], known.classes[rows], weight)  # type: ignore[index]

    def predict(new: Host) -> Host:
        outputs = np.zeros((len(new), targets.shape[1]))
        outputs[:, model.classes_] = model.predict_proba(new)
        return outputs

    return predict
