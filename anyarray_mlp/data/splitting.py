"""`split_indices`: which rows train and which are held out."""

from __future__ import annotations

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import as_array, check_whole, is_real
from anyarray_mlp.data.seeded import permutation
from anyarray_mlp.errors import DataError, OutOfMemoryError, UsageError
from anyarray_mlp.streams import bit_generator
from anyarray_mlp.typing import Host


@with_known_options
def split_indices(
    n: int,
    *,
    fraction: float,
    seed: int,
    labels: Host | None = None,
    stream: str = "test split",
) -> tuple[Host, Host]:
    """Split rows 0..n-1 into those to train on and those held out; each (m,) int64, ascending.

    `round(fraction * n)` rows are held out, at least one and at most n - 1. With `labels` (n,)
    every class gives its share (by largest remainder) and keeps at least one row to train on. The
    same arguments give the same rows on every platform and NumPy version. Rows to validate on, split
    from those to train on, are drawn with stream="validation split": the same seed then does for both.

    Raises `UsageError` for a fraction outside (0, 1), `DataError` where nothing could be held out.
    """
    if not (is_real(fraction) and 0.0 < fraction < 1.0):
        raise UsageError(f"the held-out fraction is {shown(fraction)}; it must lie between 0 and 1")
    n = check_whole("n", n, 0)
    if n < 2:
        raise DataError(f"{n} row(s) cannot be split; give at least two")
    generator = bit_generator(stream, seed)
    try:
        order = permutation(generator, n)
    except (MemoryError, ValueError):  # the latter where no array can be so large
        raise OutOfMemoryError(f"{n} rows are more than fit into memory; give fewer") from None
    wanted = min(max(round(fraction * n), 1), n - 1)
    if labels is None:
        held_out = order[:wanted]
    else:
        held_out = stratified(as_array("labels", labels), order, fraction, wanted)
    train = np.ones(n, dtype=bool)
    train[held_out] = False
    return np.flatnonzero(train), np.sort(held_out)


def classes_of(labels: Host) -> tuple[Host, Host]:
    """The distinct labels, and the place of each label (n,) among them; `DataError` where they do not compare."""
    try:
        classes, codes = np.unique(labels, return_inverse=True)
    except TypeError:  # of mixed kinds
        raise DataError(
            "the labels are of kinds that do not compare; make them all numbers, or all text"
        ) from None
    return classes, codes


def stratified(labels: Host, order: Host, fraction: float, wanted: int) -> Host:
    """The first rows of each class in `order`, in proportion to the classes, `wanted` in all."""
    n = len(order)
    if labels.shape != (n,):
        raise DataError(f"{n} rows and labels of shape {labels.shape}; give one label for each row")
    _, codes = classes_of(labels)
    counts = np.bincount(codes)
    share = fraction * counts
    # Every class keeps a row to train on, so a class of one row is never held out: a share is less than its class.
    quota = np.floor(share).astype(np.int64)
    for code in np.argsort(quota - share, kind="stable"):
        if quota.sum() >= wanted:
            break
        quota[code] += quota[code] < counts[code] - 1
    if quota.sum() == 0:
        raise DataError(
            f"each of the {len(counts)} classes has a single row, so none can be held out; "
            "give more rows of each class"
        )
    by_class = order[np.argsort(codes[order], kind="stable")]
    place_in_class = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    return by_class[place_in_class < np.repeat(quota, counts)]
