"""Random order, held-out rows and class weights, with the same bits on every platform and NumPy version.

NumPy promises stable streams for its bit generators, not for the distributions of `Generator`; so shuffles, splits
and generated sets use only raw integers, ordered by a stable sort.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.out_of_memory import exceeds_memory
from anyarray_mlp.checking.values import as_array, check_whole, is_real
from anyarray_mlp.errors import DataError, ModelFileError, OutOfMemoryError, UsageError
from anyarray_mlp.streams import bit_generator
from anyarray_mlp.typing import Host


def permutation(generator: np.random.PCG64, n: int) -> Host:
    """The numbers 0..n-1 in random order, (n,) int64."""
    return np.argsort(generator.random_raw(n), kind="stable").astype(np.int64, copy=False)


def uniform(generator: np.random.PCG64, n: int) -> Host:
    """`n` numbers in [0, 1), multiples of 2**-53."""
    return (generator.random_raw(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def bell(generator: np.random.PCG64, n: int) -> Host:
    """`n` nearly normal numbers of mean 0 and variance 1: the sum of twelve uniforms, minus six.

    The sum runs over integers, so it is exact in any order.
    """
    raw = generator.random_raw(12 * n).reshape(12, n) >> np.uint64(32)
    total: Host = raw.sum(axis=0).astype(np.float64)
    return total * 2.0**-32 - 6.0


@with_known_options
class Shuffler:
    """Draws a permutation for each epoch; the same seed gives the same permutations everywhere.

    >>> shuffler = Shuffler(7)
    >>> first = shuffler.permutation(1000)
    >>> kept = shuffler.state()
    >>> second = shuffler.permutation(1000)
    >>> shuffler.restore(kept)
    >>> bool((shuffler.permutation(1000) == second).all())
    True
    """

    def __init__(self, seed: int) -> None:
        self.generator = bit_generator("shuffle", seed)

    def permutation(self, n: int) -> Host:
        """The next order of `n` examples, (n,) int64."""
        if check_whole("n", n, 0) < 1:
            raise UsageError(f"n is {n}; there must be at least one example to shuffle")
        return permutation(self.generator, n)

    def keys(self, n: int) -> Keys:
        """What `permutation` of `n` examples sorts them by, to be drawn part by part; moves on as that does."""
        drawn = Keys(copy.deepcopy(self.generator))
        self.generator.advance(n)
        return drawn

    def state(self) -> dict[str, str]:
        """The position in the stream, in JSON types (128-bit integers as hexadecimal text)."""
        state = self.generator.state["state"]
        return {"bit_generator": "PCG64", "state": hex(state["state"]), "inc": hex(state["inc"])}

    def restore(self, state: Mapping[str, str]) -> None:
        """Move back (or forward) to the position at which `state()` was taken.

        Raises `ModelFileError` for anything that is not such a state.
        """
        try:
            if state["bit_generator"] != "PCG64":
                raise ValueError(f"bit generator {state['bit_generator']!r}")
            position, increment = int(state["state"], 16), int(state["inc"], 16)
            if not (0 <= position < 1 << 128 and 0 < increment < 1 << 128 and increment % 2):
                raise ValueError("a number out of range")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the shuffler's state cannot be used ({error}); resume from another checkpoint"
            ) from error
        self.generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": position, "inc": increment},
            "has_uint32": 0,
            "uinteger": 0,
        }


class Keys:
    """Random keys of examples, one after the other: sorted by theirs, equal ones as they lie, these are in the order of
    an epoch."""

    def __init__(self, generator: np.random.PCG64) -> None:
        self.generator = generator

    def draw(self, n: int) -> NDArray[np.uint64]:
        """The keys (n,) of the next examples."""
        return np.asarray(self.generator.random_raw(n))

    def copy(self) -> Keys:
        """The same keys from here on."""
        return Keys(copy.deepcopy(self.generator))


#: Groups are drawn from streams of their own.
OF_GROUPS = {"test split": "test groups", "validation split": "validation groups"}


@with_known_options
def split_indices(
    n: int,
    *,
    fraction: float,
    seed: int,
    labels: Host | None = None,
    groups: Host | None = None,
    times: Host | None = None,
    stream: str = "test split",
) -> tuple[Host, Host]:
    """Split rows 0..n-1 into those to train on and those held out; each (m,) int64, ascending.

    `round(fraction * n)` rows are held out, at least one and at most n - 1. With `labels` (n,) every class
    contributes in proportion (by largest remainder) and keeps at least one training row. The same arguments give the
    same rows on every platform and NumPy version. Use stream="validation split" to split validation rows from the
    training rows: the same seed can then serve both splits.

    With `groups` (n,), rows of equal groups stay together: groups are taken in random order as long as they bring the
    held-out rows, of each class if there are `labels`, nearer to the fraction. With `times` (n,), numbers or
    datetime64, the latest rows are held out, rows of equal time together; nothing is random, and `labels` count for
    nothing. In both cases the number of rows is the nearest that whole groups and equal times allow.

    Raises `UsageError` for a fraction outside (0, 1) and for `groups` together with `times`, `DataError` if nothing
    could be held out.
    """
    if not (is_real(fraction) and 0.0 < fraction < 1.0):
        raise UsageError(f"the held-out fraction is {shown(fraction)}; it must be between 0 and 1")
    if groups is not None and times is not None:
        raise UsageError("groups and times split rows in two ways; give one of them")
    n = check_whole("n", n, 0)
    if n < 2:
        raise DataError(f"{n} row(s) cannot be split; give at least two")
    if times is not None:
        held_out = latest(per_row("times", times, n), rows_to_hold_out(fraction, n))
    elif groups is not None:
        generator = bit_generator(OF_GROUPS.get(stream, stream), seed)
        known = None if labels is None else per_row("labels", labels, n)
        held_out = whole_groups(per_row("groups", groups, n), known, fraction, generator)
    else:
        order, wanted = order_of_rows(bit_generator(stream, seed), n), rows_to_hold_out(fraction, n)
        held_out = order[:wanted]
        if labels is not None:
            held_out = stratified(per_row("labels", labels, n), order, fraction, wanted)
    train = np.ones(n, dtype=bool)
    train[held_out] = False
    return np.flatnonzero(train), np.sort(held_out)


def rows_to_hold_out(fraction: float, n: int) -> int:
    """As many as the fraction says, at least one and not all."""
    return min(max(round(fraction * n), 1), n - 1)


def order_of_rows(generator: np.random.PCG64, n: int) -> Host:
    """A permutation of `n` rows; `OutOfMemoryError` for more than memory holds."""
    try:
        order = None if exceeds_memory(8 * n) else permutation(generator, n)
    except (MemoryError, ValueError):  # ValueError if no array can be that large
        order = None
    if order is None:
        raise OutOfMemoryError(f"{n} rows do not fit in memory; give fewer rows")
    return order


def per_row(name: str, values: Any, n: int) -> Host:
    """An array with one value for each row."""
    array = as_array(name, values)
    if array.shape != (n,):
        one = {"labels": "label", "groups": "group", "times": "time"}[name]
        raise DataError(f"{n} rows and {name} of shape {array.shape}; give one {one} for each row")
    return array


def latest(times: Host, wanted: int) -> Host:
    """The rows of the latest times, about as many as `wanted`; those of one time are all in or all out."""
    if times.dtype.kind not in "biufM":
        raise DataError(f"times of type {times.dtype}; give numbers or datetime64")
    missing = np.isnat(times) if times.dtype.kind == "M" else np.isnan(times)
    if missing.any():
        raise DataError(
            f"the time of row {int(missing.argmax())} (from 0) is missing; leave it out"
        )
    distinct, counts = np.unique(times, return_counts=True)
    if len(distinct) < 2:
        raise DataError(
            f"all {len(times)} rows have the same time, so none is later; split them at random"
        )
    # The rows from each time on, but for the first time, from which on all are.
    later = np.cumsum(counts[::-1])[::-1][1:]
    cut = distinct[1:][np.abs(later - wanted).argmin()]
    return np.flatnonzero(times >= cut)


def whole_groups(
    groups: Host, labels: Host | None, fraction: float, generator: np.random.PCG64
) -> Host:
    """The rows of the groups that are held out: every class keeps a row in another group."""
    names, members = distinct_of("groups", groups)
    if len(names) < 2:
        raise DataError(
            f"all {len(groups)} rows are of one group, {shown(names[0])}, so no group can be held out"
        )
    codes = np.zeros(len(groups), np.int64) if labels is None else classes_of(labels)[1]
    counts = np.zeros((len(names), int(codes.max()) + 1))
    np.add.at(counts, (members, codes), 1)
    total = counts.sum(axis=0)
    missing, taken = fraction * total, np.zeros(len(names), dtype=bool)
    lonely = (counts == total) & (total > 0)
    allowed = np.flatnonzero(~lonely.any(axis=1))
    if not len(allowed):
        raise DataError(
            f"each of the {len(names)} groups has all rows of a class, so none can be held out; give more groups"
        )
    held = np.zeros_like(total)
    for group in permutation(generator, len(names)).tolist():
        rows = counts[group]
        nearer = np.square(missing - rows).sum() < np.square(missing).sum()
        if nearer and (held + rows < total)[rows > 0].all():
            missing, held, taken[group] = missing - rows, held + rows, True
    if not taken.any():
        # Every group is more than twice of what is wanted: the smallest comes nearest.
        distance = np.square(missing - counts[allowed]).sum(axis=1)
        taken[allowed[distance.argmin()]] = True
    return np.flatnonzero(taken[members])


def distinct_of(name: str, values: Host) -> tuple[Host, Host]:
    """The distinct values, and the index of each value (n,) in them; `DataError` if they cannot be compared."""
    if values.dtype == np.uint8:  # which need not be sorted
        distinct = np.flatnonzero(np.bincount(values, minlength=256)).astype(np.uint8)
        return distinct, np.searchsorted(distinct, np.arange(256)).astype(np.uint8)[values]
    try:
        distinct, codes = np.unique(values, return_inverse=True)
    except TypeError:  # of mixed kinds
        raise DataError(
            f"the {name} mix types that cannot be compared; make them all numbers, or all text"
        ) from None
    return distinct, codes


def classes_of(labels: Host) -> tuple[Host, Host]:
    """The distinct labels, and the index of each label (n,) in them; `DataError` if they cannot be compared."""
    return distinct_of("labels", labels)


def stratified(labels: Host, order: Host, fraction: float, wanted: int) -> Host:
    """The first rows of each class in `order`, in proportion to the classes, `wanted` in all."""
    n = len(order)
    _, codes = classes_of(labels)
    counts = np.bincount(codes)
    share = fraction * counts
    # Every class keeps a training row, so a class of one row is never held out: a share is smaller than its class.
    quota = np.floor(share).astype(np.int64)
    for code in np.argsort(quota - share, kind="stable"):
        if quota.sum() >= wanted:
            break
        quota[code] += quota[code] < counts[code] - 1
    if quota.sum() == 0:
        raise DataError(
            f"each of the {len(counts)} classes has a single one of the {n} rows, so no row can be held out; "
            "give more rows of each class"
        )
    if (
        codes.dtype == np.uint8
    ):  # a pass for each class, which takes less memory than to sort the rows
        ordered = codes[order]
        each = (order[ordered == code][:count] for code, count in enumerate(quota.tolist()))
        return np.concatenate(list(each))
    by_class = order[np.argsort(codes[order], kind="stable")]
    place_in_class = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    return by_class[place_in_class < np.repeat(quota, counts)]


@with_known_options
def class_weights(labels: Host, weights: Literal["balanced"] | Mapping[Any, float]) -> Host:
    """The weight of each example, (n,) float64.

    `"balanced"` gives every class the same total: n / (k * rows of the class) per row, as scikit-learn does.
    A mapping gives the weight of each label; a label that it leaves out has weight 1. Labels match by
    value or by text, so that `{"1": 2.0}` from a command line applies to the label 1.

    Raises `UsageError` for an unknown label, a weight that is negative or not finite, or all zero.
    """
    labels = as_array("labels", labels)
    if labels.ndim != 1 or len(labels) == 0:
        raise DataError(f"class weights need labels of shape (n,), n > 0, got shape {labels.shape}")
    classes, codes = classes_of(labels)
    if not isinstance(weights, Mapping):
        if not isinstance(weights, str) or weights != "balanced":
            raise UsageError(
                f"class weights are {shown(weights)}; give 'balanced' or a weight for each label"
            )
        by_class = len(labels) / (len(classes) * np.bincount(codes))
    else:
        by_class = weights_from(weights, classes)
    per_sample: Host = by_class[codes]
    return per_sample


def weights_from(weights: Mapping[Any, float], classes: Host) -> Host:
    """The weight of each of `classes`, 1 if the mapping does not name it."""
    by_class = np.ones(len(classes))
    positions = {str(label): position for position, label in enumerate(classes.tolist())}
    for label, weight in weights.items():
        if str(label) not in positions:
            raise UsageError(
                f"there is a class weight for {shown(label)}, which is not a label{suggestion(label, positions)}; "
                f"the labels are {listed(classes.tolist())}"
            )
        if isinstance(weight, bool) or not isinstance(weight, (int, float, np.number)):
            raise UsageError(
                f"the class weight of {shown(label)} is {shown(weight)}; give a number"
            )
        if not math.isfinite(weight) or weight < 0:
            raise UsageError(
                f"the class weight of {shown(label)} is {weight}; it must be finite and not negative"
            )
        by_class[positions[str(label)]] = weight
    if not by_class.any():
        raise UsageError("every class weight is 0, so no example would count; give one a weight")
    return by_class
