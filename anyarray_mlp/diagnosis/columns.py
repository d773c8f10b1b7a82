"""The columns of the inputs: which are constant, copies or identifiers, and which give the target away.

Findings are about the columns of the user's table, `RawColumns`. What only the encoding of a column causes (categories
that exclude each other, a rare one that is all zeros) is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.diagnosis.rows import many
from anyarray_mlp.errors import UsageError
from anyarray_mlp.typing import Host

PAIR_ROWS = 256


#: A column varies if its standard deviation is more than this part of its root mean square.
VARIES = 1e-9
#: As much may a number fall, by rounding, where it rises.
ROUNDING = 1e-6


class RawColumns:
    """Which columns of the inputs were made from one column of a table.

    `first` is the place of each raw column's first input; `number` (i,) is the raw column of each input, counted from
    0; `is_alone` (i,) says which inputs are the only one of their raw column, as numbers are.

    Pieces of a number, which `without_pieces` finds, count for `any` and `share` alone.
    """

    def __init__(self, sources: Sequence[int], features: int) -> None:
        if len(sources) and (len(sources) != features or list(sources) != sorted(sources)):
            raise UsageError(
                f"sources has {len(sources)} places for {features} columns of inputs: give one for each, ascending, as "
                "in Preprocessor.sources."
            )
        self.first = np.arange(features)
        self.number = self.first
        if len(sources):
            _, self.first, self.number = np.unique(
                np.asarray(sources), return_index=True, return_inverse=True
            )
        self.judge(np.ones(features, dtype=np.bool_))

    def judge(self, counts: NDArray[np.bool_]) -> None:
        """Say which inputs (i,) stand for their raw columns, the first of each among them."""
        self.counts = counts
        self.widths = np.bincount(self.number, weights=counts).astype(np.int64)
        self.is_alone = counts & (self.widths[self.number] == 1)

    def without_pieces(self, sample: Host) -> RawColumns:
        """The same, where the pieces of numbers that rows (n, i) show are not judged beside the number.

        A piece rises with the first input of its raw column and never falls, and that input is no mark of a category.
        """
        counts = self.counts.copy()
        for number in np.flatnonzero(self.widths > 1).tolist():
            first, *others = self.inputs(number).tolist()
            values = sample[:, first]
            if np.all((values == 0.0) | (values == 1.0)):
                continue
            for place in others:
                rising = sample[np.lexsort((sample[:, place], values)), place]
                counts[place] = bool((np.diff(rising) < -ROUNDING).any())
        found = copy(self)
        found.judge(counts)
        return found

    def size(self, values: Host) -> Host:
        """The Euclidean norm over each raw column's inputs: a row of categories has size one."""
        return np.asarray(np.sqrt(np.bincount(self.number, weights=self.counts * values**2)))

    def any(self, which: Host) -> NDArray[np.bool_]:
        """Which raw columns have an input in `which` (i,)."""
        return np.bincount(self.number, weights=which) > 0

    def share(self, which: Host, among: Host) -> float:
        """Share of the raw columns in `which`, of those in `among`; each input counts as its part of a raw column."""
        weight = among / np.maximum(np.bincount(self.number, weights=among), 1)[self.number]
        return float(weight[which].sum() / weight.sum())

    def inputs(self, number: int) -> NDArray[np.int64]:
        """The places of a raw column's inputs that are judged."""
        start = int(self.first[number])
        stop = int(np.searchsorted(self.number, number, side="right"))
        return np.asarray(start + np.flatnonzero(self.counts[start:stop]))


def moments(x: Host, scale: float) -> tuple[Host, Host, NDArray[np.bool_]]:
    """Mean and standard deviation of columns times `scale`, and which hold only 0 and 1.

    Over all rows of up to two million entries, because a few rows can hold most of a column's variation. Entries that
    are not finite count as 0.
    """
    part = many_rows(x, np.arange(x.shape[1])) * scale
    if not np.isfinite(part).all():
        part = np.where(np.isfinite(part), part, 0.0)
    is_indicator = np.all((part == 0.0) | (part == 1.0), axis=0)
    return part.mean(axis=0), part.std(axis=0), is_indicator


def many_rows(x: Host, columns: NDArray[np.int64]) -> Host:
    """Some columns, in float64, of as many rows as `many` says."""
    rows = many(len(x), len(columns))
    part = x if len(rows) == len(x) else x[rows]
    return np.asarray(part[:, columns], dtype=np.float64)


def constant_columns(
    parts: Sequence[Host], raw: RawColumns, varies: NDArray[np.bool_]
) -> Iterator[int]:
    """Raw columns with one value in all rows; only those without an input in `varies` (i,) are looked at."""
    for number in np.flatnonzero(~raw.any(varies)).tolist():
        columns = raw.inputs(number)
        values = [many_rows(part, columns) for part in parts if len(part)]
        largest = max(np.abs(part).max() for part in values)
        first = values[0][0]
        if all(np.abs(part - first).max() <= VARIES * largest for part in values):
            yield int(raw.first[number])


def duplicate_columns(
    sample: Host, x: Host, raw: RawColumns, mixed: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Pairs (first, later) of equal raw columns: numbers up to scale, sign and offset, categories up to their names.

    Found on a `sample` and checked on all rows of `x`. Columns that almost always have one value, as at an image's
    edge, agree by chance: `mixed` (i,) leaves them out.
    """
    if len(sample) < 8:
        return
    seen: dict[bytes, int] = {}
    alone = np.flatnonzero(raw.is_alone & mixed)
    keys = dict(zip(raw.number[alone].tolist(), standard(sample[:, alone]).T, strict=True))
    for number in np.flatnonzero(raw.widths > 1).tolist():
        found = categories(sample[:, raw.inputs(number)])
        if found is not None:
            keys[number] = found
    for number in sorted(keys):
        key = np.round(keys[number], 5) + 0.0
        first = seen.setdefault(key.tobytes(), number)
        if first != number and is_same(x, raw, first, number):
            yield int(raw.first[first]), int(raw.first[number])


def standard(columns: Host) -> Host:
    """Columns (n, i) with mean 0 and standard deviation 1, and a positive first entry that is not near 0."""
    part = (columns - columns.mean(axis=0)) / np.maximum(columns.std(axis=0), 1e-300)
    clear = np.argmax(np.abs(part) > 0.1, axis=0)  # an entry whose sign does not depend on rounding
    return np.asarray(part * np.where(part[clear, np.arange(part.shape[1])] < 0, -1.0, 1.0))


def categories(columns: Host) -> Host | None:
    """The category (n,) of each row, numbered by its first row; two categories as `standard` numbers.

    None if most rows are in one category or almost every row has its own: then other columns agree by chance.
    """
    # Rows are told apart by their product with a random vector.
    direction = streams.generator("category key", 0).standard_normal(columns.shape[1])
    products = np.round((columns * direction).sum(axis=1), 9)
    _, rows, codes, counts = np.unique(
        products, return_index=True, return_inverse=True, return_counts=True
    )
    if counts.max() >= 0.9 * len(columns) or 2 * len(counts) > len(columns):
        return None
    numbers = np.argsort(np.argsort(rows))[codes].astype(np.float64)
    return np.asarray(standard(numbers[:, None])[:, 0]) if len(counts) == 2 else numbers


def is_same(x: Host, raw: RawColumns, first: int, later: int) -> bool:
    """Whether two raw columns are equal in all rows, in the sense of `duplicate_columns`."""
    columns = raw.inputs(first), raw.inputs(later)
    both = many_rows(x, np.concatenate(columns))
    parts = both[:, : len(columns[0])], both[:, len(columns[0]) :]
    found = [standard(part)[:, 0] if part.shape[1] == 1 else categories(part) for part in parts]
    if found[0] is None or found[1] is None:
        return False
    return bool(np.allclose(found[0], found[1], rtol=0.0, atol=1e-4))


#: A column sorts the rows almost as the target does: how much less than by chance neighbours differ.
TELLING = 0.98


#: Correlation of a column with a class's indicator that real measurements hardly reach.
INDICATOR = 0.995


#: The same with a numeric target: the column alone explains 96 % of it.
EXPLAINS = 0.98


def leaking_columns(
    sample: Host,
    columns: NDArray[np.int64],
    classes: Host | None,
    targets: Host,
    raw: RawColumns,
) -> list[int]:
    """Raw columns that give the target away: rows sorted by one of their inputs are sorted by the target.

    Rows with equal values stay in random order, so a column with few values counts only if each value belongs to one
    class. A column that separates one class from all others counts if it is that class's indicator.
    """
    n = len(sample)
    if n < 32 or len(np.unique(raw.number[columns])) < 2:
        return []
    mixed = streams.generator("tie order", 0).permutation(n)
    part = sample[mixed][:, columns]
    order = np.argsort(np.ascontiguousarray(part.T), axis=1).T
    if classes is not None:
        labels = classes[mixed]
        shares = np.bincount(labels) / n
        by_chance = (n - 1) * (1.0 - np.sum(shares**2))
        present = int(np.count_nonzero(shares))
        if present < 2 or by_chance < 30:
            return []
        labels_sorted = labels[order]
        changes = (labels_sorted[1:] != labels_sorted[:-1]).sum(axis=0) - (present - 1)
        tells = 1.0 - changes / by_chance > TELLING
        if present > 2:
            indicator = (labels[:, None] == np.flatnonzero(shares)[None, :]).astype(np.float64)
            tells |= (np.abs(correlation(part, indicator)) > INDICATOR).any(axis=1)
    else:
        values = np.asarray(targets[mixed], dtype=np.float64).reshape(n, -1)
        variance = values.var(axis=0).sum()
        if not variance > 0:
            return []
        steps = np.diff(values[order], axis=0)
        tells = (steps**2).sum(axis=2).mean(axis=0) / (2.0 * variance) < (1.0 - TELLING) / 4
        tells |= (np.abs(correlation(part, values)) > EXPLAINS).any(axis=1)
    wanted = (
        values if classes is None else (labels[:, None] == np.unique(labels)).astype(np.float64)
    )
    for place in np.flatnonzero(~tells).tolist():
        # Rows with the same value tell each other, so that only columns of many values count.
        if len(np.unique(part[:, place])) > n // 2:
            least = TOLD if classes is None else TOLD_OF_CLASSES
            tells[place] = told_by_one(part[:, place], wanted) > least
    return [int(place) for place in raw.first[np.unique(raw.number[columns[tells]])]]


#: Fewest rows at which a counting column can be recognised, and how many times the number of rows it may count to.
FEWEST_COUNTED, GAPS = 50, 4


#: Most rows at which columns are searched for it.
MOST_COUNTED = 200_000


def identifier_columns(x: Host, ordered: Host, columns: NDArray[np.int64]) -> Iterator[int]:
    """Columns that number the rows: all values differ and are whole steps apart, within `GAPS` times n steps.

    `ordered` (i, m) has the sorted values of each column in a sample. This does not happen by chance: n draws from 4 n
    values repeat one, and the smallest distance between n real numbers is about 1 / n^2 of their range. Scaling and
    shuffling do not matter.
    """
    n = len(x)
    if not FEWEST_COUNTED <= n <= MOST_COUNTED or len(ordered) < 2:
        return
    columns = columns[np.all(ordered[columns, 1:] > ordered[columns, :-1], axis=1)]
    low, high = ordered[columns, :1], ordered[columns, -1:]
    even = np.linspace(0.0, 1.0, ordered.shape[1])
    spread = np.abs((ordered[columns] - low) / (high - low) - even).max(axis=1) <= 0.15
    for column in columns[spread].tolist():
        full = np.sort(np.asarray(x[:, column], dtype=np.float64))
        distances = np.diff(full)
        step = distances.min()
        if step <= 0 or full[-1] - full[0] > GAPS * n * step:
            continue
        steps = distances / step
        if np.abs(steps - np.round(steps)).max() < 0.1:
            yield column


#: Share of rows at which a value is no longer an outlier, and its distance from the others, in units of their range.
STANDS_IN, APART = 0.01, 2.0


def sentinel_columns(
    ordered: Host, columns: NDArray[np.int64]
) -> Iterator[tuple[int, float, float]]:
    """Columns whose smallest or largest value stands for "unknown", as -999 does: (column, value, share of rows).

    Many rows have it, the others have many values, and it is twice their range away from the nearest of them. A zero
    in a column of counts is not. `ordered` (i, m) has the sorted values of each column in a sample.
    """
    upwards = ordered[columns]
    for values in (upwards, upwards[:, ::-1]):
        extreme, farthest = values[:, 0], values[:, -1]
        hold = np.count_nonzero(values == extreme[:, None], axis=1)
        nearest = values[np.arange(len(values)), np.minimum(hold, values.shape[1] - 1)]
        apart = np.abs(nearest - extreme) > APART * np.abs(farthest - nearest)
        often = (hold > 1) & (hold >= STANDS_IN * values.shape[1])
        for place in np.flatnonzero(apart & often).tolist():
            if len(np.unique(values[place])) >= 10:
                share = float(hold[place]) / values.shape[1]
                yield int(columns[place]), float(extreme[place]), share


#: How much of the target the nearest rows by one column tell that real measurements hardly do.
TOLD, TOLD_OF_CLASSES = 0.98, 0.9


def told_by_one(values: Host, wanted: Host) -> float:
    """How much of the targets (n, k) the rows beside, by one column, tell: R²."""
    near = wanted[np.argsort(values, kind="stable")]
    guess = np.empty_like(near)
    guess[1:-1] = 0.5 * (near[:-2] + near[2:])
    guess[0], guess[-1] = near[1], near[-2]
    total = float(((near - near.mean(axis=0)) ** 2).sum())
    return 1.0 - float(((near - guess) ** 2).sum()) / total if total > 0 else 0.0


def correlation(a: Host, b: Host) -> Host:
    """Pearson's correlation of each column of a (n, i) with each of b (n, k): (i, k)."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a**2).sum(axis=0)[:, None] * (b**2).sum(axis=0)[None, :])
    return np.asarray(a.T @ b / np.maximum(scale, 1e-300))
