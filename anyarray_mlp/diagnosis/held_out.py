"""How rows are predicted, by the network or by their nearest neighbours, and validation rows against training rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.diagnosis.columns import RawColumns
from anyarray_mlp.diagnosis.rows import evenly
from anyarray_mlp.metrics import predicted_labels
from anyarray_mlp.typing import Host

#: Most entries of a table that is searched for repeated rows, which takes a copy in float64.
SEARCHED = 5_000_000
#: Training rows that are compared with the other training rows.
LOOKED_UP = 512
#: Rows whose neighbours are searched.
ASKED = 512


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs (n, i) and targets, the class (n,) of each row if there are classes, and its weight if not one."""

    x: Host
    targets: Host
    classes: Host | None = None
    weight: Host | None = None

    def part(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        classes, weight = (None if a is None else a[rows] for a in (self.classes, self.weight))
        return Rows(self.x[rows], self.targets[rows], classes, weight)

    def skill(self, outputs: Host) -> float:
        """The skill of outputs (n, k) for these rows."""
        return skill(outputs, self.targets, self.classes, self.weight)

    @property
    def chance(self) -> float | None:
        """The accuracy of the most frequent class; None without classes."""
        return None if self.classes is None else most_frequent(self.classes, self.weight)


def nearest_rows(
    x: Host, among: Host, neighbours: int, own: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Places (n, neighbours) in `among` of the rows nearest to each row of `x`; `own` (n,) places do not count.

    Columns are standardised with the mean and standard deviation of `among`.
    """
    x, among = (np.asarray(a, dtype=np.float64) for a in (x, among))
    mean, scale = among.mean(axis=0), np.maximum(among.std(axis=0), 1e-12)
    x, among = (x - mean) / scale, (among - mean) / scale
    distance = (among**2).sum(axis=1)[None, :] - 2.0 * (x @ among.T)
    if own is not None:
        distance[np.arange(len(own)), own] = np.inf
    neighbours = min(neighbours, len(among) - 1)
    return np.argpartition(distance, neighbours - 1, axis=1)[:, :neighbours]


def neighbour_skill(known: Rows, held: Rows | None = None, neighbours: int = 5) -> float:
    """The skill of the mean of the nearest `known` rows, for the rows `held` or for the `known` rows themselves."""
    own = None
    if held is None:
        own = evenly(len(known.x), ASKED)
        held = known.part(own)
    nearest = nearest_rows(held.x, known.x, neighbours, own)
    if known.classes is not None and held.classes is not None:
        codes = np.arange(max(known.classes.max(), held.classes.max()) + 1)
        votes = (known.classes[nearest][:, :, None] == codes).astype(np.float64)
        if known.weight is not None:
            votes *= known.weight[nearest][:, :, None]
        return held.skill(votes.sum(axis=1))
    values = np.asarray(known.targets, dtype=np.float64).reshape(len(known.x), -1)
    return held.skill(values[nearest].mean(axis=1))


def skill(
    outputs: Host, targets: Host | None, classes: Host | None, weight: Host | None = None
) -> float:
    """Accuracy between that of the most frequent class (0) and perfect (1); without classes, R^2.

    `weight` (n,) weights the rows; with balanced class weights the accuracy is balanced accuracy.
    """
    if classes is not None:
        most = most_frequent(classes, weight)
        accuracy = float(np.average(predicted_labels(outputs) == classes, weights=weight))
        return float((accuracy - most) / (1.0 - most)) if most < 1.0 else accuracy
    assert targets is not None
    values = np.asarray(targets, dtype=np.float64).reshape(len(outputs), -1)
    mean = np.average(values, axis=0, weights=weight)
    outputs = np.asarray(outputs, dtype=np.float64)
    residual, total = (
        float(np.average(((a - values) ** 2).sum(axis=1), weights=weight)) for a in (outputs, mean)
    )
    return 1.0 - residual / total if total > 0 else 0.0


def row_scores(outputs: Host, targets: Host, classes: Host | None) -> Host:
    """How well each row (n,) is predicted: 1 for the right class and 0 for another, or 1 - error² / variance."""
    if classes is not None:
        return np.asarray(predicted_labels(outputs) == classes, dtype=np.float64)
    values = np.asarray(targets, dtype=np.float64).reshape(len(outputs), -1)
    total = float(((values - values.mean(axis=0)) ** 2).sum(axis=1).mean())
    wrong = ((np.asarray(outputs, dtype=np.float64) - values) ** 2).sum(axis=1)
    # A row that is off by more than a thousand deviations says no more than that.
    return np.maximum(1.0 - wrong / total if total > 0 else np.zeros(len(values)), -1e6)


def balancing(classes: Host) -> Host:
    """Weights (n,) that make the accuracy a balanced one."""
    counts = np.bincount(classes)
    return np.asarray(1.0 / counts[classes])


def most_frequent(classes: Host, weight: Host | None = None) -> float:
    """The share of the most frequent class, by weight."""
    counts = np.bincount(classes, weights=weight)
    return float(counts.max() / counts.sum())


@dataclass(frozen=True)
class Shift:
    """How validation inputs differ from training inputs.

    `share` of the raw columns that vary differ in mean (by more than their standard deviation) or in spread (by a
    factor of three). `column` differs most: its median is `distance` training standard deviations off. Its means and
    standard deviations are given. `unlike` of the columns are spread otherwise than in training, beyond chance; `moved`
    of them look like another column of the training rows instead, as `moved_column` looks like `looks_like`.
    """

    share: float
    column: int
    distance: float
    training_mean: float
    training_std: float
    validation_mean: float
    validation_std: float
    unlike: float = 0.0
    moved: float = 0.0
    moved_column: int = 0
    looks_like: int = 0


def shift_between(
    x: Host, held: Host, sources: Sequence[int] = (), *, closely: bool = False
) -> Shift | None:
    """How the inputs `held` (m, i) differ from `x` (n, i), both samples; None if there are too few rows to tell.

    Columns that almost always have their smallest value are ignored: few rows show little of them. The difference
    between means that chance allows is subtracted. The spread of a column with two values is ignored: it says no more
    than the mean, and is small by chance in few rows. `sources` (i,) is as in `summarize_data`.
    `closely` says whether the columns' quantiles are compared as well.
    """
    if min(len(x), len(held)) < 10:
        return None
    x, held = (np.asarray(a, dtype=np.float64) for a in (x, held))
    least = x == x.min(axis=0)
    often = np.mean(least, axis=0) < 0.9
    two_values = np.all(least | (x == x.max(axis=0)), axis=0)
    if not often.any():
        return None
    std = np.maximum(x.std(axis=0), 1e-300)
    chance = 5.0 / math.sqrt(min(len(x), len(held)))
    ratio = held.std(axis=0) / std
    moved = np.abs(held.mean(axis=0) - x.mean(axis=0)) / std
    spreads = (ratio > 3.0 + chance) | (ratio < 1.0 / (3.0 + chance))
    differs = (moved > 1.0 + chance) | (spreads & ~two_values)
    distance = np.abs(np.median(held, axis=0) - np.median(x, axis=0)) / std
    distance = np.where(two_values, moved, distance)  # their median is one of the two
    column = int(np.argmax(np.where(often, distance, -1.0)))
    unlike, moved, places = 0.0, 0.0, (0, 0)
    if closely:
        unlike, moved, places = moved_columns(x, held, often & ~two_values)
    return Shift(
        unlike=unlike,
        moved=moved,
        moved_column=places[0],
        looks_like=places[1],
        share=RawColumns(sources, x.shape[1]).share(differs & often, often),
        column=column,
        distance=max(0.0, float(distance[column]) - chance),
        training_mean=float(x[:, column].mean()),
        training_std=float(std[column]),
        validation_mean=float(held[:, column].mean()),
        validation_std=float(held[:, column].std()),
    )


#: Quantiles that columns are compared by, and how many standard errors of them no sample of the same rows is off.
QUANTILES, OFF = np.linspace(0.05, 0.95, 19), 5.0
#: Columns that are compared with each other at most.
COMPARED = 200


def moved_columns(
    x: Host, held: Host, which: NDArray[np.bool_]
) -> tuple[float, float, tuple[int, int]]:
    """The shares of the columns in `which` that are spread otherwise in `held`, and that look like another one instead.

    Last, a pair of such columns: that of `held`, and the one of `x` that it looks like.
    """
    columns = np.flatnonzero(which)[:COMPARED]
    if len(columns) < 2:
        return 0.0, 0.0, (0, 0)
    known = np.quantile(x[:, columns], QUANTILES, axis=0)
    # The share of the held rows below each quantile of the training rows, which by chance is the quantile.
    ordered = np.sort(held[:, columns], axis=0)
    error = np.sqrt(QUANTILES * (1.0 - QUANTILES) * (1.0 / len(x) + 1.0 / len(held)))[:, None]
    off = np.empty((len(columns), len(columns)))
    for place in range(len(columns)):
        low, high = (
            np.searchsorted(ordered[:, place], known, side=side) for side in ("left", "right")
        )
        # Ties may lie on either side of a quantile.
        share = np.clip(QUANTILES[:, None], low / len(held), high / len(held))
        off[place] = (np.abs(share - QUANTILES[:, None]) / error).max(axis=0)
    own = np.diag(off)
    others = np.where(np.eye(len(columns), dtype=bool), np.inf, off)
    nearest = others.argmin(axis=1)
    unlike = own > OFF
    moved = unlike & (others.min(axis=1) < OFF) & (others.min(axis=1) < own / 1.5)
    pair = (0, 0)
    if moved.any():
        worst = int(np.argmax(np.where(moved, own, -1.0)))
        pair = (int(columns[worst]), int(columns[nearest[worst]]))
    return float(unlike.mean()), float(moved.mean()), pair


#: Neighbours among which distances may jump, and validation rows that are asked.
CROWD, CROWD_ROWS = 24, 48


def crowding(x: Host, held: Host) -> float | None:
    """By what factor distances to training rows jump where near copies end; the median over validation rows.

    None for few rows or columns: then distances jump by chance.
    """
    if min(len(x), len(held)) < 2 * CROWD or x.shape[1] < 4:
        return None
    known, asked = (
        np.asarray(a, dtype=np.float64) for a in (x, held[evenly(len(held), CROWD_ROWS)])
    )
    mean, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-12)
    known, asked = ((a - mean) / scale for a in (known, asked))
    squared = (
        (known**2).sum(axis=1)[None, :] + (asked**2).sum(axis=1)[:, None] - 2.0 * asked @ known.T
    )
    near = np.sqrt(
        np.maximum(np.sort(np.partition(squared, CROWD, axis=1)[:, : CROWD + 1], axis=1), 0.0)
    )
    floor = 1e-6 * math.sqrt(known.shape[1])
    jumps = near[:, 1:] / np.maximum(near[:, :-1], floor)
    # Rows that are there twice are another matter.
    jumps[near[:, :-1] <= floor] = 1.0
    return float(np.median(jumps.max(axis=1)))


@dataclass(frozen=True)
class Repeats:
    """Validation rows, in a sample, whose inputs are also those of a training row.

    `among_training` is the share of training rows that repeat another one: what to expect if rows were split at
    random. `skill_of_repeats` and `skill_of_others` are None for fewer than 20 rows. `by_class` is the share of the
    rows of each class that recur, -1 for a class of few rows.
    """

    rows: int
    repeated: int
    among_training: float
    skill_of_repeats: float | None
    skill_of_others: float | None
    by_class: tuple[float, ...] = ()


def recurring(x: Host, rows: Host, allowed: int) -> NDArray[np.bool_] | None:
    """Which of `rows` (m, i) occur in `x` (n, i) more than `allowed` times; None if `x` is too large to search.

    Rows are compared by their product with a random vector, and in full if that is the same.
    """
    if x.size > SEARCHED or x.shape[1] == 0:
        return None
    direction = streams.generator("row key", 0).standard_normal(x.shape[1])
    keys, wanted = (np.asarray(a, dtype=np.float64) @ direction for a in (x, rows))
    order = np.argsort(keys)
    keys = keys[order]
    near = 1e-9 * max(float(np.abs(keys).max()), 1e-300)
    low, high = np.searchsorted(keys, wanted - near), np.searchsorted(keys, wanted + near, "right")
    found = [
        int(np.all(x[order[a:b]] == row, axis=1).sum()) if b - a > allowed else 0
        for a, b, row in zip(low.tolist(), high.tolist(), rows, strict=True)
    ]
    return np.array(found) > allowed


def share_repeated(x: Host) -> float | None:
    """Share of rows, in a sample, that repeat another row; None if it is not known."""
    found = recurring(x, x[evenly(len(x), LOOKED_UP)], allowed=1)
    return None if found is None else float(found.mean())
