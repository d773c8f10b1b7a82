"""What a network and its loss take: shapes of batches, and the values of those on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Array, Host


def check_batch(sizes: Sequence[int], loss: str, x: Host, targets: Host) -> None:
    """Raise `DataError` where host arrays are not what the network and its loss take."""
    check_shapes(sizes, loss, x, targets)
    k = sizes[-1]
    if x.dtype.kind == "f" and not is_finite(x):
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise DataError(
            f"x holds {x[row, column]} in row {row}, column {column}: give finite numbers."
        )
    if targets.ndim == 1 and loss == "cross_entropy":
        if targets.dtype.kind not in "iu":
            raise DataError(f"Labels must be integers from 0 to {k - 1}, got {targets.dtype}.")
        if targets.size and not (targets.min() >= 0 and targets.max() < k):
            raise DataError(
                f"Labels must lie from 0 to {k - 1} for {k} outputs, got {targets.min()} to {targets.max()}."
            )
    else:
        check_values(loss, targets)


def check_shapes(sizes: Sequence[int], loss: str, x: Array, targets: Array) -> None:
    """Raise `DataError` where the shapes of arrays, of any library, are not what the network and its loss take."""
    for name, array in (("x", x), ("targets", targets)):
        if not hasattr(array, "shape"):
            raise DataError(f"{name} must be an array, got {type(array).__name__}.")
        if isinstance(array, np.ndarray) and array.dtype.kind not in "fiub":
            raise DataError(f"{name} must hold numbers, got dtype {array.dtype}.")
    k, shape = sizes[-1], tuple(targets.shape)
    if len(x.shape) != 2 or x.shape[1] != sizes[0]:
        raise DataError(
            f"x must have shape (n, {sizes[0]}) for a network {sizes}, got {tuple(x.shape)}."
        )
    labels = loss == "cross_entropy"
    if not (len(shape) == 1 and labels) and (len(shape) != 2 or shape[1] != k):
        either = ", or integer labels (n,)" if labels else ""
        raise DataError(f"targets must have shape (n, {k}){either}, got {shape}.")
    if shape[0] != x.shape[0]:
        raise DataError(
            f"x has {x.shape[0]} rows and targets has {shape[0]}: give one target for each row."
        )


def check_values(loss: str, targets: Host) -> None:
    """Raise `DataError` where a loss has no use for the values of targets (n, k)."""
    if not np.all(np.isfinite(targets)):
        row, column = np.argwhere(~np.isfinite(targets))[0]
        raise DataError(f"targets holds {targets[row, column]} in row {row}: give finite numbers.")
    low, high = (float(targets.min()), float(targets.max())) if targets.size else (0.0, 0.0)
    if loss == "poisson" and low < 0:
        raise DataError(
            f"poisson counts events and a target is negative, {low:g}: use squared_error."
        )
    if loss == "binary_cross_entropy" and not (low >= 0 and high <= 1):
        raise DataError(
            f"binary_cross_entropy needs targets from 0 to 1, got {low:g} to {high:g}: scale them, or use "
            "squared_error with output='identity'."
        )
    if loss == "cross_entropy":
        sums = targets.sum(axis=1)
        if low < 0 or np.any(np.abs(sums - 1.0) > 1e-4):
            row = int(np.argmax(np.abs(sums - 1.0)))
            raise DataError(
                f"cross_entropy needs rows of probabilities and row {row} sums to {sums[row]:g}: give one-hot "
                "rows or integer labels, or use binary_cross_entropy with output='logistic'."
            )


def is_finite(x: Host, rows: int = 1024) -> bool:
    """Whether every entry is finite; some rows at a time, so that the answers do not take memory beside x."""
    return all(np.all(np.isfinite(x[start : start + rows])) for start in range(0, len(x), rows))
