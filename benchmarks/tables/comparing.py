"""What the results of two contenders say of one another: ratios over tables with intervals, ranks, wins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

#: Added to errors, log losses and calibration errors before a ratio: one test row in two hundred.
OFFSET = 0.005
DRAWS = 5_000

#: Of one score: by contender and table, the values of its splits by number.
Values = dict[str, dict[str, dict[int, float]]]


@dataclass(frozen=True)
class Ratio:
    """Geometric mean over tables of one contender's score over another's, and its 95 % interval by bootstrap."""

    mean: float
    low: float
    high: float
    tables: int

    def __str__(self) -> str:
        if not self.tables:
            return "-"
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def shared(values: Values, names: list[str], table: str) -> list[int]:
    """The splits of a table that all of some contenders have a result of."""
    splits = [set(values.get(name, {}).get(table, {})) for name in names]
    return sorted(set.intersection(*splits)) if splits else []


def mean_of(values: Values, name: str, table: str, splits: list[int]) -> float:
    return float(np.mean([values[name][table][split] for split in splits]))


def pairs(values: Values, name: str, to: str, tables: list[str]) -> dict[str, tuple[float, float]]:
    """By table, the mean scores of two contenders over the splits that both have."""
    found = {}
    for table in tables:
        if splits := shared(values, [name, to], table):
            ours, theirs = (mean_of(values, each, table, splits) for each in (name, to))
            found[table] = ours, theirs
    return found


def ratio(values: Values, name: str, to: str, tables: list[str], offset: float = OFFSET) -> Ratio:
    """The geometric mean of (score + offset) over the other's, tables drawn anew for the interval."""
    found = pairs(values, name, to, tables)
    if not found:
        return Ratio(float("nan"), float("nan"), float("nan"), 0)
    logarithms = np.array([np.log((a + offset) / (b + offset)) for a, b in found.values()])
    drawn = np.random.default_rng(0).integers(len(logarithms), size=(DRAWS, len(logarithms)))
    low, high = np.quantile(logarithms[drawn].mean(axis=1), [0.025, 0.975])
    mean, low, high = (float(np.exp(each)) for each in (logarithms.mean(), low, high))
    return Ratio(mean, low, high, len(found))


def wins(values: Values, name: str, to: str, tables: list[str]) -> tuple[int, int, int]:
    """On how many tables a contender has the lower, the same and the higher mean score."""
    signs = [np.sign(a - b) for a, b in pairs(values, name, to, tables).values()]
    return signs.count(-1), signs.count(0), signs.count(1)


def losses(values: Values, name: str, to: str, tables: list[str]) -> list[tuple[str, float, float]]:
    """The tables on which a contender has the higher mean score, the worst ratio first, with both scores."""
    worse = [(table, a, b) for table, (a, b) in pairs(values, name, to, tables).items() if a > b]
    return sorted(worse, key=lambda each: -(each[1] + OFFSET) / (each[2] + OFFSET))


def ranks(values: Values, names: list[str], tables: list[str]) -> tuple[dict[str, float], int]:
    """Average ranks, the best being 1, over the tables of which all have a shared split; and how many those are."""
    splits = {table: found for table in tables if (found := shared(values, names, table))}
    rows = [
        rankdata([mean_of(values, name, table, found) for name in names])
        for table, found in splits.items()
    ]
    means = np.mean(rows, axis=0) if rows else np.full(len(names), np.nan)
    return dict(zip(names, map(float, means), strict=True)), len(rows)
