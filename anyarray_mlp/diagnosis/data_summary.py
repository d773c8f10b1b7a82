"""What can be seen in the data alone: scales, constant and telling columns, classes, targets out of reach.

Worked out on the host, from a sample of rows where more would cost much beside training. Findings are about the
columns of the table that was given: `sources` says which of them each column of the inputs was made of, so that what
the encoding of one column brings about (categories that exclude each other, a rare one that is all zeros) is no
finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.functional import with_parameter
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Host

#: Rows that the summary looks at, evenly spread, and rows for figures that sort or compare columns.
SUMMARY_ROWS = 1024
PAIR_ROWS = 256
#: Columns that a list names at most.
NAMED = 8
#: Entries of a table that are looked at in full.
FULL_CHECK = 2_000_000


@dataclass(frozen=True)
class DataSummary:
    """Figures of the training data as the network sees them (inputs after `input_scale`).

    Attributes
    ----------
    n, features, n_validation : rows and columns of the inputs.
    columns : columns of the table that the inputs were made of; 0 in records of before.
    non_finite : entries that are NaN or infinite, among those looked at.
    largest_rms, largest_column : the column of the largest root mean square; that of indicators, which are 0 or 1 in
        every row, counts as 1 however rare what they indicate.
    smallest_rms : the smallest root mean square of a column that varies and is no indicator.
    spread_ratio, widest, narrowest : largest over smallest standard deviation among those, and which.
    offset_ratio : the largest |mean| over standard deviation among those.
    sparse : whether at least three in ten numbers have their column's least value, as in images and counts.
    constant, duplicates, leaking : columns (the first few), by the place of the first that they became; a duplicate is
        a pair.
    n_constant, n_duplicates, n_leaking : how many there are.
    identifiers : columns that number the rows (the first few).
    sentinels : columns with one value, in many rows, far outside the range of the others: (column, value, share).
    class_counts : rows of each class; empty in regression.
    target_low, target_high, target_mean, target_std : over all targets.
    unreachable : share of targets that the output cannot produce; `reach` says what it can.
    baseline_loss : loss of the best constant output; None where there is no formula.
    outlier_share : what the hundredth of the rows that lie farthest out hold of the targets' squared distances from
        their median; 0 for classes.
    order : 1 where rows come sorted by target, about 0 where they are mixed.
    """

    n: int
    features: int
    n_validation: int
    non_finite: int
    largest_rms: float
    largest_column: int
    smallest_rms: float
    spread_ratio: float
    offset_ratio: float
    sparse: bool
    constant: tuple[int, ...]
    n_constant: int
    duplicates: tuple[tuple[int, int], ...]
    n_duplicates: int
    leaking: tuple[int, ...]
    n_leaking: int
    class_counts: tuple[int, ...]
    target_low: float
    target_high: float
    target_mean: float
    target_std: float
    unreachable: float
    reach: str
    baseline_loss: float | None
    identifiers: tuple[int, ...] = ()
    sentinels: tuple[tuple[int, float, float], ...] = ()
    outlier_share: float = 0.0
    order: float = 0.0
    widest: int = 0
    narrowest: int = 0
    columns: int = 0


def summarize_data(
    mlp: MLP,
    x: Host,
    targets: Host,
    n_validation: int = 0,
    input_scale: float | None = None,
    n: int | None = None,
    sources: Sequence[int] = (),
    weight: Host | None = None,
    held_out: Sequence[Host] = (),
) -> DataSummary:
    """The summary of inputs (n, i) and targets, labels (n,) or values (n, k); `n` where they are a sample.

    `sources` (i,) has the place of the column that each column of `x` was made of, ascending; each stands for itself
    where it is empty. `weight` (n,) is what rows count for in the loss, and so in that of the best constant. A column
    that varies in one of `held_out`, other rows of the same columns, is not called constant.
    """
    rows = evenly(x.shape[0], SUMMARY_ROWS)
    scale = 1.0 if input_scale is None else input_scale
    sample = np.asarray(x[rows], dtype=np.float64) * scale
    finite = np.isfinite(sample)
    non_finite = count_non_finite(x, sample) + count_non_finite(targets, targets)
    if not finite.all():
        sample = np.where(finite, sample, 0.0)
    raw = RawColumns(sources, x.shape[1])
    mean, std, is_indicator = moments(x, scale)
    rms = np.sqrt(mean**2 + std**2)
    varies = std > VARIES * np.maximum(rms, 1e-30)
    low, high = sample.min(axis=0), sample.max(axis=0)
    least = sample == low
    share_least = np.mean(least, axis=0)
    alone = raw.is_alone
    sparse = int(alone.sum()) >= 16 and float(np.mean(share_least[alone])) > 0.3
    pairs = sample[evenly(len(sample), PAIR_ROWS)]
    often = varies & (share_least < 0.9)
    # Columns that seldom have more than one value agree by chance.
    mixed = often & (np.mean(sample == high, axis=0) < 0.9)
    duplicates = list(duplicate_columns(pairs, x, raw, mixed))
    classes = as_classes(targets, mlp)
    paired = rows[evenly(len(rows), PAIR_ROWS)]
    leaking = leaking_columns(
        pairs,
        np.flatnonzero(varies),
        None if classes is None else classes[paired],
        targets[paired],
        raw,
    )
    unreachable, reach = out_of_reach(mlp, targets)
    constant = list(constant_columns((x, *held_out), raw, varies))
    whole = n is None or n == x.shape[0]
    ordered = np.sort(sample.T, axis=1)
    identifiers = list(identifier_columns(x, ordered, np.flatnonzero(often))) if whole else []
    places, numbers = raw.first, raw.any(~is_indicator)
    vary = raw.any(varies) & numbers
    sizes, spreads, offsets = raw.size(rms), raw.size(std), raw.size(mean)
    sizes[~numbers] = 1.0
    return DataSummary(
        n=x.shape[0] if n is None else n,
        features=x.shape[1],
        n_validation=n_validation,
        non_finite=non_finite,
        largest_rms=float(sizes.max()),
        largest_column=int(places[sizes.argmax()]),
        smallest_rms=float(sizes[vary].min()) if vary.any() else 0.0,
        spread_ratio=float(spreads[vary].max() / spreads[vary].min()) if vary.any() else 1.0,
        offset_ratio=float((offsets[vary] / spreads[vary]).max()) if vary.any() else 0.0,
        sparse=sparse,
        constant=tuple(constant[:NAMED]),
        n_constant=len(constant),
        duplicates=tuple(duplicates[:NAMED]),
        n_duplicates=len(duplicates),
        leaking=tuple(leaking[:NAMED]),
        n_leaking=len(leaking),
        class_counts=() if classes is None else tuple(np.bincount(classes).tolist()),
        target_low=float(np.nanmin(targets)),
        target_high=float(np.nanmax(targets)),
        target_mean=float(np.nanmean(targets)),
        target_std=float(np.nanstd(targets)),
        unreachable=unreachable,
        reach=reach,
        baseline_loss=baseline_loss(mlp, targets, weight),
        identifiers=tuple(identifiers[:NAMED]),
        sentinels=tuple(sentinel_columns(ordered, np.flatnonzero(varies)))[:NAMED],
        outlier_share=0.0 if classes is not None else outlier_share(targets),
        order=order_of(targets[rows], None if classes is None else classes[rows]),
        widest=int(places[np.where(vary, spreads, -1.0).argmax()]),
        narrowest=int(places[np.where(vary, spreads, np.inf).argmin()]),
        columns=len(places),
    )


class RawColumns:
    """Which columns of the inputs were made of one column of a table.

    `first` has the place, in the inputs, of the first that each raw column became; `number` (i,) the raw column of
    each, counted from 0; `is_alone` (i,) says which are all that theirs became, as numbers are.
    """

    def __init__(self, sources: Sequence[int], features: int) -> None:
        if len(sources) and (len(sources) != features or list(sources) != sorted(sources)):
            raise UsageError(
                f"sources has {len(sources)} places for {features} columns of inputs: give one for each, ascending, as "
                "Preprocessor.sources has them."
            )
        self.first = np.arange(features)
        self.number = self.first
        if len(sources):
            _, self.first, self.number = np.unique(
                np.asarray(sources), return_index=True, return_inverse=True
            )
        self.widths = np.bincount(self.number)
        self.is_alone = self.widths[self.number] == 1

    def size(self, values: Host) -> Host:
        """The Euclidean norm of what is known of each raw column's inputs: a row of categories is of size one."""
        return np.asarray(np.sqrt(np.bincount(self.number, weights=values**2)))

    def any(self, which: Host) -> NDArray[np.bool_]:
        """Which raw columns have an input that `which` (i,) says yes to."""
        return np.bincount(self.number, weights=which) > 0

    def share(self, which: Host, among: Host) -> float:
        """Share of the raw columns, each of whose inputs counts for its part, that `which` says yes to among some."""
        weight = among / np.maximum(np.bincount(self.number, weights=among), 1)[self.number]
        return float(weight[which].sum() / weight.sum())

    def inputs(self, number: int) -> NDArray[np.int64]:
        """The places of what a raw column became."""
        return np.arange(self.first[number], self.first[number] + self.widths[number])


#: Standard deviation over root mean square from which a column varies.
VARIES = 1e-9


def moments(x: Host, scale: float) -> tuple[Host, Host, NDArray[np.bool_]]:
    """Mean and standard deviation of columns times `scale`, and which are 0 or 1 throughout.

    Of all rows of up to two million entries: a few rows can hold most of what a column varies. Entries that are not
    finite count as 0.
    """
    part = many_rows(x, np.arange(x.shape[1])) * scale
    if not np.isfinite(part).all():
        part = np.where(np.isfinite(part), part, 0.0)
    is_indicator = np.all((part == 0.0) | (part == 1.0), axis=0)
    return part.mean(axis=0), part.std(axis=0), is_indicator


def many_rows(x: Host, columns: NDArray[np.int64]) -> Host:
    """Some columns, in float64, of all rows as far as `FULL_CHECK` entries go, and of evenly spread ones beyond."""
    rows = evenly(len(x), max(SUMMARY_ROWS, FULL_CHECK // max(1, len(columns))))
    part = x if len(rows) == len(x) else x[rows]
    return np.asarray(part[:, columns], dtype=np.float64)


def constant_columns(
    parts: Sequence[Host], raw: RawColumns, varies: NDArray[np.bool_]
) -> Iterator[int]:
    """Raw columns of one value in all of the rows, those `varies` (i,) knows none of to differ being looked at."""
    for number in np.flatnonzero(~raw.any(varies)).tolist():
        columns = raw.inputs(number)
        values = [many_rows(part, columns) for part in parts if len(part)]
        largest = max(np.abs(part).max() for part in values)
        first = values[0][0]
        if all(np.abs(part - first).max() <= VARIES * largest for part in values):
            yield int(raw.first[number])


def evenly(n: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` of n rows, evenly spread."""
    return np.arange(n) if n <= limit else np.linspace(0, n - 1, limit).astype(np.int64)


def count_non_finite(full: Host, sample: Host) -> int:
    """NaN and infinite entries of a table, or of the sample of a table too large to be read whole."""
    if full.dtype.kind != "f":
        return 0
    return int(np.count_nonzero(~np.isfinite(full if full.size <= FULL_CHECK else sample)))


def as_classes(targets: Host, mlp: MLP) -> NDArray[np.int64] | None:
    """Class codes (n,) of labels, one-hot rows or a column of 0 and 1; None for values and several labels."""
    if targets.ndim == 1:
        is_labels = targets.dtype.kind in "iu" and targets.size and targets.min() >= 0
        return targets.astype(np.int64) if is_labels else None
    if mlp.loss == "poisson" or not np.all((targets == 0) | (targets == 1)):
        return None
    if targets.shape[1] == 1:
        return np.asarray(targets[:, 0], dtype=np.int64)
    return np.argmax(targets, axis=1) if np.all(targets.sum(axis=1) == 1) else None


def duplicate_columns(
    sample: Host, x: Host, raw: RawColumns, mixed: NDArray[np.bool_]
) -> Iterator[tuple[int, int]]:
    """Pairs (first, later) of raw columns that tell rows apart alike: numbers up to scale, sign and offset, categories
    up to their names. Found on a `sample` and held against all rows of `x`.

    Columns that seldom leave one value, as at an image's rim, agree by chance: `mixed` (i,) leaves them out.
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
    """Columns (n, i) of mean 0 and deviation 1, of which the first row that is not near 0 is positive."""
    part = (columns - columns.mean(axis=0)) / np.maximum(columns.std(axis=0), 1e-300)
    clear = np.argmax(np.abs(part) > 0.1, axis=0)  # a row whose sign is no matter of rounding
    return np.asarray(part * np.where(part[clear, np.arange(part.shape[1])] < 0, -1.0, 1.0))


def categories(columns: Host) -> Host | None:
    """Which rows (n,) are in one category, as numbers in the order of their first rows; two as `standard` numbers.

    None where most are in one, or hardly any two: that says nothing when another column has it alike.
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
    """Whether two raw columns tell rows apart alike in all rows."""
    columns = raw.inputs(first), raw.inputs(later)
    both = many_rows(x, np.concatenate(columns))
    parts = both[:, : len(columns[0])], both[:, len(columns[0]) :]
    found = [standard(part)[:, 0] if part.shape[1] == 1 else categories(part) for part in parts]
    if found[0] is None or found[1] is None:
        return False
    return bool(np.allclose(found[0], found[1], rtol=0.0, atol=1e-4))


#: A column orders the rows almost as the target does: how much less than by chance neighbours differ.
TELLING = 0.98
#: Correlation of a column with the indicator of a class, which measurements hardly reach.
INDICATOR = 0.995
#: The same with a target of values: the column alone explains 96 % of it.
EXPLAINS = 0.98


def leaking_columns(
    sample: Host,
    columns: NDArray[np.int64],
    classes: Host | None,
    targets: Host,
    raw: RawColumns,
) -> list[int]:
    """Raw columns that alone tell the target: rows sorted by what one became are sorted by the target.

    Rows of equal value are left in mixed order, so a column of few values tells only if each goes with one
    class. A column that tells one class from all others counts if it is that class's indicator.
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
    return [int(place) for place in raw.first[np.unique(raw.number[columns[tells]])]]


#: Rows from which a column that counts them can be told, and how many times as far as their number it may count.
FEWEST_COUNTED, GAPS = 50, 4
#: Rows up to which columns are looked at in full for it.
MOST_COUNTED = 200_000


def identifier_columns(x: Host, ordered: Host, columns: NDArray[np.int64]) -> Iterator[int]:
    """Columns that number the rows: all values differ, and are whole steps apart in a range of few more than n steps.

    `ordered` (i, m) has the values of each column in a sample, sorted. Chance does not number rows: n draws from 4 n
    values repeat one, and the least distance of n real numbers is about 1 / n^2 of their range. Scaling and shuffling
    leave it as it is.
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


#: Share of rows from which a value is no outlier any more, and ranges of the others between them and it.
STANDS_IN, APART = 0.01, 2.0


def sentinel_columns(
    ordered: Host, columns: NDArray[np.int64]
) -> Iterator[tuple[int, float, float]]:
    """Columns whose least or largest value stands for "unknown", as -999 does: (column, value, share of rows).

    Many rows hold it, the others have many values, and it lies twice their range from the nearest of them. Zero in a
    column of counts does not. `ordered` (i, m) has the values of each column in a sample, sorted.
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


def outlier_share(targets: Host) -> float:
    """What the hundredth of the rows (at least one) farthest from the median holds of all squared distances."""
    values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    distances = np.sort(((values - np.median(values, axis=0)) ** 2).sum(axis=1))
    total = distances.sum()
    return float(distances[-max(1, len(values) // 100) :].sum() / total) if total > 0 else 0.0


def order_of(targets: Host, classes: Host | None) -> float:
    """How much less than by chance the targets of rows that follow each other differ: 1 where they are sorted."""
    if classes is not None:
        shares = np.bincount(classes) / len(classes)
        by_chance = 1.0 - float((shares**2).sum())
        differ = float(np.mean(classes[1:] != classes[:-1])) if len(classes) > 1 else by_chance
    else:
        values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
        by_chance = 2.0 * float(values.var(axis=0).sum())
        steps = np.diff(values, axis=0)
        differ = float((steps**2).sum(axis=1).mean()) if len(steps) else by_chance
    return 1.0 - differ / by_chance if by_chance > 0 else 0.0


def correlation(a: Host, b: Host) -> Host:
    """Pearson's correlation of each column of a (n, i) with each of b (n, k): (i, k)."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a**2).sum(axis=0)[:, None] * (b**2).sum(axis=0)[None, :])
    return np.asarray(a.T @ b / np.maximum(scale, 1e-300))


def association(x: Host, targets: Host, classes: Host | None) -> float:
    """The largest |correlation| of a column with a target or a class's indicator, times sqrt(n)."""
    if classes is None:
        wanted = np.asarray(targets, dtype=np.float64).reshape(len(x), -1)
    else:
        wanted = (classes[:, None] == np.unique(classes)[None, :]).astype(np.float64)
    found = np.abs(correlation(np.asarray(x, dtype=np.float64), wanted)).max()
    return float(found * np.sqrt(len(x)))


def out_of_reach(mlp: MLP, targets: Host) -> tuple[float, str]:
    """Share of targets that the output cannot produce, and what it can produce."""
    if targets.ndim == 1 and mlp.loss == "cross_entropy":
        k = mlp.sizes[-1]
        return float(np.mean((targets < 0) | (targets >= k))), f"labels 0 to {k - 1}"
    if mlp.output == "logistic":
        return float(np.mean((targets < 0) | (targets > 1))), "values between 0 and 1"
    if mlp.output == "softmax":
        off = (targets < 0) | (targets > 1)
        if targets.ndim == 2:
            off |= np.abs(targets.sum(axis=1, keepdims=True) - 1.0) > 1e-3
        return float(np.mean(off)), "rows between 0 and 1 that sum to one"
    if mlp.output == "exp":
        return float(np.mean(targets < 0)), "positive values"
    return 0.0, "any value"


def baseline_loss(mlp: MLP, targets: Host, weight: Host | None = None) -> float | None:
    """The loss of the best constant output, without regard to what the output can reach.

    With a `weight` of each row, that of labels is weighted; of values it is taken as it is without.
    """
    if targets.ndim == 1 and mlp.loss == "cross_entropy":
        if targets.size == 0 or targets.min() < 0:
            return None
        counts = np.bincount(targets.astype(np.int64), weights=weight)
        return entropy(counts / counts.sum()) if counts.sum() > 0 else None
    values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    if weight is not None and not weight.sum() > 0:
        return None
    mean = np.average(values, axis=0, weights=weight)
    loss: float | None
    name, parameter = with_parameter(mlp.loss)
    match name:
        case "cross_entropy":
            loss = entropy(mean)
        case "binary_cross_entropy":
            inside = np.clip(mean, 0.0, 1.0)
            loss = sum(entropy(np.array([p, 1.0 - p])) for p in inside)
        case "squared_error":
            loss = float(0.5 * values.var(axis=0).sum())
        case "absolute_error":
            loss = float(np.abs(values - np.median(values, axis=0)).mean(axis=0).sum())
        case "huber":
            distance = np.abs(values - np.median(values, axis=0))
            near = np.minimum(distance, parameter)
            loss = float((near * (distance - 0.5 * near)).mean(axis=0).sum())
        case "quantile":
            error = values - np.quantile(values, parameter, axis=0)
            pinball = np.maximum(parameter * error, (parameter - 1.0) * error)
            loss = float(pinball.mean(axis=0).sum())
        case _:
            loss = None  # Poisson's loss has no scale: its zero is arbitrary
    return loss if loss is not None and np.isfinite(loss) and loss > 0 else None


def entropy(shares: Host) -> float:
    """-sum p log p."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())
