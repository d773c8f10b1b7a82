"""`split_indices`: which rows train and which are held out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DataError, UsageError
from .seeded import bit_generator, permutation

Array = Any


def split_indices(
    n: int, *, fraction: float, seed: int, labels: Array | None = None
) -> tuple[Array, Array]:
    """Split rows 0..n-1 into those to train on and those held out; each (m,) int64, ascending.

    `round(fraction * n)` rows are held out, at least one and at most n - 1. With `labels` (n,)
    every class gives its share (by largest remainder) and keeps at least one row to train on. The
    same arguments give the same rows on every platform and NumPy version.

    Raises `UsageError` for a fraction outside (0, 1), `DataError` where nothing could be held out.
    """
    if isinstance(fraction, bool) or not 0.0 < fraction < 1.0:
        raise UsageError(f"the held-out fraction is {fraction!r}; it must lie between 0 and 1")
    if n < 2:
        raise DataError(f"{n} row(s) cannot be split; give at least two")
    order = permutation(bit_generator(seed), n)
    wanted = min(max(round(fraction * n), 1), n - 1)
    if labels is None:
        held_out = order[:wanted]
    else:
        held_out = stratified(np.asarray(labels), order, fraction, wanted)
    train = np.ones(n, dtype=bool)
    train[held_out] = False
    return np.flatnonzero(train), np.sort(held_out)


def stratified(labels: Array, order: Array, fraction: float, wanted: int) -> Array:
    """The first rows of each class in `order`, in proportion to the classes, `wanted` in all."""
    n = len(order)
    if labels.shape != (n,):
        raise DataError(f"{n} rows and labels of shape {labels.shape}; give one label for each row")
    _, codes = np.unique(labels, return_inverse=True)
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
