"""`DataSummary`: what the data alone show, from scales and constant columns to targets out of reach.

It is computed on the host, from a sample of rows if all of them would take long compared with training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.diagnosis.columns import (
    FEWEST_COUNTED,
    VARIES,
    RawColumns,
    constant_columns,
    correlation,
    duplicate_columns,
    identifier_columns,
    leaking_columns,
    moments,
    sentinel_columns,
)
from anyarray_mlp.diagnosis.rows import FULL_CHECK, SUMMARY_ROWS, evenly, many
from anyarray_mlp.diagnosis.targets import (
    as_classes,
    baseline_loss,
    order_of,
    out_of_reach,
    outlier_share,
)
from anyarray_mlp.diagnosis.values import (
    code_columns,
    filled_columns,
    outlying_columns,
    placeholder,
    told_by_two,
    two_units,
)
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Host

#: Rows for figures that compare columns.
PAIR_ROWS = 256
#: Most columns that a list names, and most columns whose values are looked at one by one.
NAMED, MOST_LOOKED_AT = 8, 300
#: Correlation times the root of the rows above which a column says something of a target; correlation of distances
#: with differences above which whole numbers are in order.
UNRELATED, ORDERED = 3.0, 0.35


@dataclass(frozen=True)
class DataSummary:
    """Figures of the training data as the network sees them (inputs after `input_scale`).

    Attributes
    ----------
    n, features, n_validation : rows and columns of the inputs.
    columns : columns of the table that the inputs were made from; 0 in older records.
    non_finite : entries that are NaN or infinite, among those looked at.
    largest_rms, largest_column : the column with the largest root mean square; for indicators, which are 0 or 1 in
        every row, it counts as 1, however rare the 1 is.
    smallest_rms : the smallest root mean square of a column that varies and is no indicator.
    spread_ratio, widest, narrowest : largest over smallest standard deviation among those, and which.
    offset_ratio : the largest |mean| over standard deviation among those.
    sparse : whether at least 30 % of the numbers are their column's smallest value, as in images and counts.
    constant, duplicates, leaking : columns (the first few), by the place of their first input; a duplicate is a pair.
    n_constant, n_duplicates, n_leaking : how many there are.
    identifiers : columns that number the rows (the first few).
    sentinels : columns with one value in many rows far outside the range of the others: (column, value, share).
    class_counts : rows of each class; empty in regression.
    target_low, target_high, target_mean, target_std : over all targets.
    unreachable : share of targets that the output cannot produce; `reach` says what it can.
    baseline_loss : loss of the best constant output; None if there is no formula.
    outlier_share : share of the targets' squared distances from their median in the 1 % of the rows farthest out; 0
        for classes.
    outliers : columns with single cells far from all others: (column, the farthest, how many).
    units : columns of two units: (column, share of the rows in the rarer one, factor between them).
    filled : columns in which most rows have one value amid others: (column, share).
    codes : columns of codes: (column, R² by value, R² by the values beside it, number of values).
    leaking_pair : two columns that together give the target away, and the R² of their weighted sum.
    target_placeholder : a value of targets far from all others that many rows have, and its share.
    target_units : share and factor as in `units`, of the targets.
    target_steps : how many values targets have if they are whole numbers whose order tells nothing; 0 if it does.
    all_identifiers : whether no column is left beside identifiers.
    order : 1 if the rows are sorted by target, about 0 if they are mixed.
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
    outliers: tuple[tuple[int, float, int], ...] = ()
    units: tuple[tuple[int, float, float], ...] = ()
    filled: tuple[tuple[int, float], ...] = ()
    codes: tuple[tuple[int, float, float, int], ...] = ()
    leaking_pair: tuple[int, int, float] | None = None
    target_placeholder: tuple[float, float] | None = None
    target_units: tuple[float, float] | None = None
    target_steps: int = 0
    all_identifiers: bool = False


def summarize_data(
    mlp: MLP,
    x: Host,
    targets: Host,
    *,
    input_scale: float | None = None,
    n: int | None = None,
    sources: Sequence[int] = (),
    weight: Host | None = None,
    held_out: Sequence[Host] = (),
    different: Sequence[int] = (),
    scales: Sequence[tuple[float, float] | None] = (),
    target_scale: tuple[float, float] | None = None,
) -> DataSummary:
    """The summary of inputs (n, i) and targets, labels (n,) or values (n, k); `n` if they are a sample of so many rows.

    `sources` (i,) has the place of the table's column that each column of `x` was made from, ascending; if it is empty,
    each column stands for itself. `weight` (n,) is the weight of each row in the loss. A column that varies in one of
    `held_out`, more rows of the same columns, is not constant. `n_validation` is 0: the caller knows it.
    """
    classes = as_classes(targets, mlp)
    inputs = Inputs(x, 1.0 if input_scale is None else input_scale, sources)
    oddities = inputs.oddities(whole=n is None or n == x.shape[0])
    numbered = inputs.numbered(different, targets, classes)
    oddities["identifiers"] = tuple(sorted({*oddities["identifiers"], *numbered}))[:NAMED]
    identifiers = len(oddities["identifiers"])
    return DataSummary(
        n=x.shape[0] if n is None else n,
        features=x.shape[1],
        n_validation=0,
        non_finite=inputs.non_finite + count_non_finite(targets, targets),
        **inputs.scales(),
        **inputs.repeats(held_out),
        **oddities,
        **inputs.values(targets, classes, scales),
        all_identifiers=0 < identifiers == int((inputs.raw.any(inputs.varies)).sum()),
        **odd_targets(mlp, inputs, targets, classes, target_scale),
        **named("leaking", inputs.leaking(targets, classes)),
        **target_figures(mlp, targets, classes, weight),
        order=order_of(targets[inputs.rows], None if classes is None else classes[inputs.rows]),
    )


class Inputs:
    """The columns of inputs (n, i) times `scale`, as a sample of rows shows them."""

    def __init__(self, x: Host, scale: float, sources: Sequence[int]) -> None:
        self.x = x
        self.rows = evenly(x.shape[0], SUMMARY_ROWS)
        sample = np.asarray(x[self.rows], dtype=np.float64) * scale
        self.non_finite = count_non_finite(x, sample)
        finite = np.isfinite(sample)
        self.sample = sample if finite.all() else np.where(finite, sample, 0.0)
        self.raw = RawColumns(sources, x.shape[1]).without_pieces(self.sample)
        self.mean, self.std, self.is_indicator = moments(x, scale)
        self.rms = np.sqrt(self.mean**2 + self.std**2)
        self.varies = self.std > VARIES * np.maximum(self.rms, 1e-30)
        self.share_least = np.mean(self.sample == self.sample.min(axis=0), axis=0)
        self.often = self.varies & (self.share_least < 0.9)
        self.pairs = evenly(len(self.sample), PAIR_ROWS)

    @property
    def sparse(self) -> bool:
        """Whether many numbers are their column's smallest, as in images and counts."""
        alone = self.raw.is_alone
        return int(alone.sum()) >= 16 and float(np.mean(self.share_least[alone])) > 0.3

    def scales(self) -> dict[str, Any]:
        """How large the columns are and how far they spread, compared with each other."""
        raw = self.raw
        places, numbers = raw.first, raw.any(~self.is_indicator)
        vary = raw.any(self.varies) & numbers
        sizes, spreads, offsets = raw.size(self.rms), raw.size(self.std), raw.size(self.mean)
        sizes[~numbers] = 1.0
        return {
            "columns": len(places),
            "largest_rms": float(sizes.max()),
            "largest_column": int(places[sizes.argmax()]),
            "smallest_rms": float(sizes[vary].min()) if vary.any() else 0.0,
            "spread_ratio": float(spreads[vary].max() / spreads[vary].min()) if vary.any() else 1.0,
            "offset_ratio": float((offsets[vary] / spreads[vary]).max()) if vary.any() else 0.0,
            "widest": int(places[np.where(vary, spreads, -1.0).argmax()]),
            "narrowest": int(places[np.where(vary, spreads, np.inf).argmin()]),
        }

    def repeats(self, held_out: Sequence[Host]) -> dict[str, Any]:
        """Columns with one value, and columns that repeat another one."""
        # Columns that almost always have one value agree by chance.
        share_most = np.mean(self.sample == self.sample.max(axis=0), axis=0)
        mixed = self.often & (share_most < 0.9)
        copies = duplicate_columns(self.sample[self.pairs], self.x, self.raw, mixed)
        constant = constant_columns((self.x, *held_out), self.raw, self.varies)
        return {**named("duplicates", list(copies)), **named("constant", list(constant))}

    def oddities(self, whole: bool) -> dict[str, Any]:
        """Whether the inputs are sparse, columns that number the rows (if `x` has the `whole` of them), sentinels."""
        alone = self.raw.is_alone
        ordered = np.sort(self.sample.T, axis=1)
        # Dates, too, are whole steps apart, and become several inputs.
        often = np.flatnonzero(self.often & alone)
        varies = np.flatnonzero(self.varies & self.raw.counts)
        identifiers = list(identifier_columns(self.x, ordered, often)) if whole else []
        return {
            "sparse": self.sparse,
            "identifiers": tuple(identifiers[:NAMED]),
            "sentinels": tuple(sentinel_columns(ordered, varies))[:NAMED],
        }

    def numbered(
        self, different: Sequence[int], targets: Host, classes: NDArray[np.int64] | None
    ) -> list[int]:
        """Those of some columns of different whole numbers that are evenly spread and say nothing of the targets."""
        found = []
        wanted = indicators(targets[self.rows], None if classes is None else classes[self.rows])
        for place in different:
            values = np.sort(self.sample[:, place])
            if len(values) < FEWEST_COUNTED or not self.varies[place]:
                continue
            even = np.linspace(0.0, 1.0, len(values))
            spread = np.abs((values - values[0]) / (values[-1] - values[0]) - even).max()
            related = np.abs(correlation(self.sample[:, [place]], wanted)).max()
            if spread <= 0.15 and related * np.sqrt(len(values)) < UNRELATED:
                found.append(int(place))
        return found

    def values(
        self,
        targets: Host,
        classes: NDArray[np.int64] | None,
        scales: Sequence[tuple[float, float] | None],
    ) -> dict[str, Any]:
        """Single outliers, two units, fills and codes in columns of numbers, and pairs that give the targets away."""
        numbers = np.flatnonzero(self.varies & self.raw.is_alone & ~self.is_indicator)
        if not len(numbers) or len(numbers) > MOST_LOOKED_AT:
            return {}
        ordered = np.sort(self.sample.T, axis=1)
        rows = many(self.x.shape[0], len(numbers))
        wanted = indicators(targets[self.rows], None if classes is None else classes[self.rows])
        units = []
        for place in numbers.tolist():
            pair = scales[place] if place < len(scales) else None
            if pair is not None:
                found = two_units(self.sample[:, place] * pair[0] + pair[1])
                if found is not None:
                    units.append((place, *found))
        return {
            "outliers": tuple(outlying_columns(self.x[rows], numbers))[:NAMED],
            "units": tuple(units)[:NAMED],
            "filled": tuple(filled_columns(ordered, numbers))[:NAMED],
            # Pixels and counts are no codes.
            "codes": ()
            if self.sparse
            else tuple(code_columns(self.sample, numbers, wanted))[:NAMED],
            "leaking_pair": told_by_two(self.sample, numbers, wanted),
        }

    def leaking(self, targets: Host, classes: NDArray[np.int64] | None) -> list[int]:
        """Columns that give the targets away."""
        rows = self.rows[self.pairs]
        known = None if classes is None else classes[rows]
        varies = np.flatnonzero(self.varies & self.raw.counts)
        return leaking_columns(self.sample[self.pairs], varies, known, targets[rows], self.raw)


def indicators(targets: Host, classes: NDArray[np.int64] | None) -> Host:
    """Targets (n, k), or the indicators of the classes."""
    if classes is None:
        return np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    return np.asarray(classes[:, None] == np.unique(classes)[None, :], dtype=np.float64)


#: Whole numbers that may be classes: how many values.
MOST_STEPS = 20


def odd_targets(
    mlp: MLP,
    inputs: Inputs,
    targets: Host,
    classes: NDArray[np.int64] | None,
    scale: tuple[float, float] | None,
) -> dict[str, Any]:
    """Placeholders and units among the values of a target, and whether they are numbers of classes."""
    values = np.asarray(targets, dtype=np.float64)
    if classes is not None or values.ndim != 2 or values.shape[1] != 1 or mlp.output != "identity":
        return {}
    column = values[:, 0]
    if not np.all(np.isfinite(column)):
        return {}
    factor, mean = scale or (1.0, 0.0)
    return {
        "target_placeholder": placeholder(column),
        "target_units": two_units(column * factor + mean),
        "target_steps": unordered_steps(inputs.sample, column[inputs.rows], column * factor + mean),
    }


def unordered_steps(x: Host, values: Host, whole: Host) -> int:
    """How many different values targets have, if these are whole numbers whose order the inputs know nothing of."""
    steps, codes = np.unique(values, return_inverse=True)
    k = len(steps)
    if not 2 <= k <= MOST_STEPS or np.abs(whole - np.round(whole)).max() > 1e-3:
        return 0
    if np.abs(whole).max() > 10 * MOST_STEPS or np.bincount(codes).min() < 2:
        return 0
    if k == 2:
        return k
    scaled = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12)
    centres = np.stack([scaled[codes == code].mean(axis=0) for code in range(k)])
    apart = np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(axis=2))
    off = np.abs(np.arange(k)[:, None] - np.arange(k)[None, :])
    pairs = np.triu_indices(k, 1)
    if len(pairs[0]) < 6:
        # Three values in order lie on a line: the first and the last are farthest from each other.
        return 0 if apart[0, -1] >= 0.95 * apart.max() else k
    return 0 if np.corrcoef(apart[pairs], off[pairs])[0, 1] > ORDERED else k


def named(what: str, found: list[Any]) -> dict[str, Any]:
    """The first few columns of a kind, and how many there are."""
    return {what: tuple(found[:NAMED]), f"n_{what}": len(found)}


def target_figures(
    mlp: MLP, targets: Host, classes: NDArray[np.int64] | None, weight: Host | None
) -> dict[str, Any]:
    """Figures of the targets, and how many of them the output cannot reach."""
    unreachable, reach = out_of_reach(mlp, targets)
    return {
        "class_counts": () if classes is None else tuple(np.bincount(classes).tolist()),
        "target_low": float(np.nanmin(targets)),
        "target_high": float(np.nanmax(targets)),
        "target_mean": float(np.nanmean(targets)),
        "target_std": float(np.nanstd(targets)),
        "unreachable": unreachable,
        "reach": reach,
        "baseline_loss": baseline_loss(mlp, targets, weight),
        "outlier_share": 0.0 if classes is not None else outlier_share(targets),
    }


def count_non_finite(full: Host, sample: Host) -> int:
    """NaN and infinite entries of a table, or of its sample if the table is too large to read."""
    if full.dtype.kind != "f":
        return 0
    return int(np.count_nonzero(~np.isfinite(full if full.size <= FULL_CHECK else sample)))
