"""Skill: how much better than a constant rows are predicted, by a network or by their nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.diagnosis.data_summary import evenly
from anyarray_mlp.metrics import predicted_labels
from anyarray_mlp.typing import Host

#: Rows whose neighbours are looked for.
ASKED = 512


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs (n, i) and targets, the class (n,) of each row if there are any, and what it counts for if not one."""

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
    """Places (n, neighbours) in `among` of the rows nearest to each of `x`, whose own places there do not count.

    Columns are standardised by those of `among`.
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
    """The skill of the mean of the nearest `known` rows, for the rows `held` or for `known` rows themselves."""
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

    `weight` (n,) is what rows count for; with balanced class weights the accuracy is balanced accuracy.
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


def most_frequent(classes: Host, weight: Host | None = None) -> float:
    """The share of the most frequent class, by weight."""
    counts = np.bincount(classes, weights=weight)
    return float(counts.max() / counts.sum())
