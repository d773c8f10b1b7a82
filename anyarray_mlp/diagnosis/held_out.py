"""Validation rows against training rows: scaled alike, and not the same rows again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.diagnosis.data_summary import RawColumns, evenly
from anyarray_mlp.typing import Host

#: Entries of a table up to which it is searched for rows that recur, which takes a copy in float64.
SEARCHED = 5_000_000
#: Training rows that are looked up among the other training rows.
LOOKED_UP = 512


@dataclass(frozen=True)
class Shift:
    """How validation inputs differ from training inputs.

    `share` of the raw columns that vary differ in place (by more than their standard deviation) or in spread (three
    times or a third). `column` differs most: its median lies `distance` training standard deviations off; its means and
    standard deviations are given.
    """

    share: float
    column: int
    distance: float
    training_mean: float
    training_std: float
    validation_mean: float
    validation_std: float


def shift_between(x: Host, held: Host, sources: Sequence[int] = ()) -> Shift | None:
    """How the inputs `held` (m, i) differ from `x` (n, i), samples of both; None for too few rows to tell.

    Columns that seldom leave their least value count for nothing: few rows show little of them. What chance moves a
    mean by, at most, is allowed for. Of two values, the spread says no more than the mean, and is small in few rows by
    chance. `sources` (i,) has the place of the raw column that each was made of, as in `summarize_data`.
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
    column = int(np.argmax(np.where(often, distance, -1.0)))
    return Shift(
        share=RawColumns(sources, x.shape[1]).share(differs & often, often),
        column=column,
        distance=max(0.0, float(distance[column]) - chance),
        training_mean=float(x[:, column].mean()),
        training_std=float(std[column]),
        validation_mean=float(held[:, column].mean()),
        validation_std=float(held[:, column].std()),
    )


@dataclass(frozen=True)
class Repeats:
    """Validation rows whose inputs a training row has as well, of a sample.

    `among_training` is the share of training rows that another training row repeats: what is to be expected of rows
    split at random. `skill_of_repeats` and `skill_of_others` are None for fewer than 20 rows.
    """

    rows: int
    repeated: int
    among_training: float
    skill_of_repeats: float | None
    skill_of_others: float | None


def recurring(x: Host, rows: Host, allowed: int) -> NDArray[np.bool_] | None:
    """Which of `rows` (m, i) occur in `x` (n, i) more than `allowed` times; None where that is too much to search.

    Rows are told apart by their product with a random vector, and compared in full where that is the same.
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
    """Share of rows that another row repeats, of a sample; None where it is not known."""
    found = recurring(x, x[evenly(len(x), LOOKED_UP)], allowed=1)
    return None if found is None else float(found.mean())
