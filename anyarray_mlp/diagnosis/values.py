"""What the values of a column or a target look like: single outliers, two units, fills, codes, placeholders."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.diagnosis.columns import STANDS_IN, sentinel_columns
from anyarray_mlp.typing import Host

#: Rows at most that hold single outliers, as a share and a number, and how many times the range of all others away.
FEW_CELLS, FEWEST_CELLS, FAR = 0.005, 3, 10.0
#: Different values that make a column one of measurements.
MANY_VALUES = 10


def outliers(values: Host) -> tuple[int, float] | None:
    """How many cells of a column lie far from all others, and the farthest; None if there are none.

    They are at most a few, and ten times the range of all others away from these.
    """
    ordered = np.sort(values)
    for few in range(1, max(FEWEST_CELLS, int(FEW_CELLS * len(values))) + 1):
        if few + MANY_VALUES >= len(values):
            return None
        for far, others, edge in (
            (ordered[-few:], ordered[:-few], ordered[-few - 1]),
            (ordered[:few], ordered[few:], ordered[few]),
        ):
            extent = others[-1] - others[0]
            gap = np.abs(far - edge).min()
            if gap > FAR * extent and len(np.unique(others)) >= MANY_VALUES:
                return few, float(far[np.abs(far - edge).argmax()])
    return None


def outlying_columns(x: Host, columns: NDArray[np.int64]) -> Iterator[tuple[int, float, int]]:
    """Columns with single cells far from all others: (column, the farthest, how many)."""
    if len(x) < 30:
        return
    part = np.asarray(x[:, columns], dtype=np.float64)
    # So far from the mean, in deviations, is a cell that lies apart from all others; most columns have none.
    few = max(FEWEST_CELLS, int(FEW_CELLS * len(x)))
    mean, std = part.mean(axis=0), part.std(axis=0)
    reach = np.maximum(part.max(axis=0) - mean, mean - part.min(axis=0))
    for place in np.flatnonzero(reach > 0.8 * np.sqrt(len(x) / few) * std).tolist():
        found = outliers(part[:, place])
        if found is not None:
            yield int(columns[place]), found[1], found[0]


#: Rows at least in each of two units, and the factor between them in which no value lies.
EACH_UNIT, UNITS_APART = 0.02, 5.0
#: Different values at least in each unit.
FEWEST_VALUES = 5
#: How far the spread of the logarithms in both units may differ, as a factor.
ALIKE_SPREAD = 2.5


def two_units(values: Host) -> tuple[float, float] | None:
    """The share of the rows in the smaller part, and the factor between the parts of positive values in two units."""
    sizes = np.abs(values[values != 0])
    if (
        len(sizes) < 50
        or len(sizes) < 0.8 * len(values)
        or min((values > 0).mean(), (values < 0).mean()) > 0.05
    ):
        return None
    logs = np.sort(np.log(sizes))
    steps = np.diff(logs)
    place = int(steps.argmax())
    low, high = logs[: place + 1], logs[place + 1 :]
    if steps[place] < np.log(UNITS_APART) or min(len(low), len(high)) < max(
        8, EACH_UNIT * len(values)
    ):
        return None
    if min(len(np.unique(low)), len(np.unique(high))) < FEWEST_VALUES:
        return None
    ratio = max(low.std(), 1e-9) / max(high.std(), 1e-9)
    if not 1.0 / ALIKE_SPREAD < ratio < ALIKE_SPREAD:
        return None
    factor = float(np.exp(np.median(high) - np.median(low)))
    return min(len(low), len(high)) / len(values), factor


#: Rows that have one value between the others, and so was filled in.
FILLED = 0.75


def filled_columns(ordered: Host, columns: NDArray[np.int64]) -> Iterator[tuple[int, float]]:
    """Columns in which most rows have one value amid many others, as gaps do that were filled: (column, share)."""
    for column in columns.tolist():
        values, counts = np.unique(ordered[column], return_counts=True)
        most = int(counts.argmax())
        share = counts[most] / counts.sum()
        amid = min(counts[:most].sum(), counts[most + 1 :].sum()) > 0.1 * (
            counts.sum() - counts[most]
        )
        if share >= FILLED and amid and len(values) > MANY_VALUES:
            yield column, float(share)


def placeholder(values: Host) -> tuple[float, float] | None:
    """A value of targets (n,) that stands for "unknown", as -9999 does, and its share."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))[None, :]
    found = next(sentinel_columns(ordered, np.array([0])), None)
    return None if found is None or found[2] < STANDS_IN else (found[1], found[2])


#: Values that may be codes, rows of each, and the share of the target that the codes tell beyond their neighbours.
MOST_CODES, ROWS_OF_CODE, BEYOND = 200, 4, 0.17


def code_columns(
    x: Host, columns: NDArray[np.int64], wanted: Host
) -> Iterator[tuple[int, float, float, int]]:
    """Columns of few values whose single values tell the target and whose neighbours do not: codes, not amounts.

    `wanted` (n, k) are the targets or the classes' indicators. Gives (column, R² by value, R² by the values beside it,
    number of values), both of rows that did not make the means.
    """
    n = len(x)
    half = np.arange(n) % 2 == 0
    total = float(((wanted - wanted.mean(axis=0)) ** 2).sum(axis=1).mean())
    if n < 100 or not total > 0:
        return
    for column in columns.tolist():
        values, codes = np.unique(x[:, column], return_inverse=True)
        k = len(values)
        if not 8 <= k <= min(MOST_CODES, n // (2 * ROWS_OF_CODE)):
            continue
        count = np.bincount(codes[half], minlength=k)
        if (count >= 2).mean() < 0.7:
            continue
        overall = wanted[half].mean(axis=0)
        sums = (codes[half, None] == np.arange(k)).astype(np.float64).T @ wanted[half]
        own = (sums + 2.0 * overall) / (count + 2.0)[:, None]
        padded = np.pad(sums, ((2, 2), (0, 0)))
        counts = np.pad(count, 2)
        beside = [0, 1, 3, 4]
        others = np.sum([padded[shift : shift + k] for shift in beside], axis=0)
        number = np.sum([counts[shift : shift + k] for shift in beside], axis=0)
        smooth = (others + 2.0 * overall) / (number + 2.0)[:, None]
        told = [
            1.0 - float(((wanted[~half] - guess[codes[~half]]) ** 2).sum(axis=1).mean()) / total
            for guess in (own, smooth, curve(values - values.mean(), own, count))
        ]
        if told[0] - max(told[1], told[2], 0.0) > BEYOND:
            yield column, told[0], max(told[1], told[2]), k


def curve(values: Host, means: Host, counts: Host) -> Host:
    """The means (k, m) of values (k,) by a parabola through them."""
    scaled = values / max(np.abs(values).max(), 1e-300)
    basis = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=1)
    root = np.sqrt(counts)[:, None]
    coefficients = np.linalg.lstsq(basis * root, means * root, rcond=None)[0]
    return np.asarray(basis @ coefficients)


#: What two columns together tell of the target that real measurements hardly do.
TOLD = 0.97


def told_by_two(x: Host, columns: NDArray[np.int64], wanted: Host) -> tuple[int, int, float] | None:
    """Two columns of which a weighted sum gives the targets (n, k) away, though neither does alone; and the R²."""
    if len(columns) < 2 or len(x) < 60 or len(columns) > 300:
        return None
    part = np.asarray(x[:, columns], dtype=np.float64)
    scale = part.std(axis=0)
    part = (part - part.mean(axis=0)) / np.maximum(scale, 1e-12)
    centred = wanted - wanted.mean(axis=0)
    gram = part.T @ part + 1e-3 * len(x) * np.eye(len(columns)) * 1e-3
    weights = np.abs(np.linalg.lstsq(gram, part.T @ centred, rcond=None)[0]).max(axis=1)
    first, second = np.argsort(-weights)[:2].tolist()
    total = float((centred**2).sum())
    if not total > 0:
        return None
    told = []
    for chosen in ([first], [second], [first, second]):
        guess = part[:, chosen] @ np.linalg.lstsq(part[:, chosen], centred, rcond=None)[0]
        told.append(1.0 - float(((centred - guess) ** 2).sum()) / total)
    if told[2] > TOLD and max(told[:2]) < 0.7:
        return int(columns[min(first, second)]), int(columns[max(first, second)]), told[2]
    return None
