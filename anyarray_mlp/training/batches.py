"""Batches: what may be trained on, and the order in which its rows come."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.model import MLP

Array = Any


#: Steps of one compiled run at most: between runs a stop can be asked for and a diverging loss is seen.
STEPS_PER_RUN = 1024


class Shuffles(Protocol):
    """Where the order of the samples comes from: one permutation for each epoch."""

    def permutation(self, n: int) -> NDArray[np.int64]:
        """A new order of n samples."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here, JSON-able."""


def batches(
    order: NDArray[np.int64], batch_size: int, most: int = STEPS_PER_RUN
) -> Iterator[NDArray[np.int64]]:
    """Index arrays (K, rows) of runs of steps: full batches, at most `most` at a time, then the rest."""
    full = len(order) // batch_size
    indices = order[: full * batch_size].reshape(full, batch_size)
    for start in range(0, full, most):
        yield indices[start : start + most]
    if len(order) > full * batch_size:
        yield order[None, full * batch_size :]


def check_host_batch(mlp: MLP, x: Array, targets: Array) -> None:
    """`MLP.check_batch` for NumPy arrays, `MLP.check_shapes` for others: to look at a device's values would wait."""
    if isinstance(x, np.ndarray) and isinstance(targets, np.ndarray):
        mlp.check_batch(x, targets)
    else:
        mlp.check_shapes(x, targets)


def check_validation(mlp: MLP, validation: tuple[Array, Array] | None) -> None:
    """`MLP.check_batch` for a validation set, which must have rows."""
    if validation is None:
        return
    x, targets = validation
    if x.shape[0] < 1:
        raise DataError("The validation set has no rows: give at least one, or none at all.")
    try:
        check_host_batch(mlp, x, targets)
    except DataError as error:
        raise DataError(f"The validation set: {error}") from None


def check_penalties(alpha: float, clip_norm: float | None) -> None:
    """Raise `UsageError` where the L2 penalty or the largest norm of a gradient cannot be."""
    if not (alpha >= 0 and math.isfinite(alpha)):
        raise UsageError(f"alpha must be at least 0, got {alpha!r}.")
    if clip_norm is not None and not clip_norm > 0:
        raise UsageError(f"clip_norm must be positive, got {clip_norm!r}.")


def checked_weight(sample_weight: Array | None, n: int) -> Array | None:
    """The sample weights as floats; `DataError` where they are not one finite number for each of n samples."""
    if sample_weight is None:
        return None
    if sample_weight.shape != (n,):
        raise DataError(
            f"sample_weight must have shape ({n},), one for each row of x, got {sample_weight.shape}."
        )
    if not isinstance(sample_weight, np.ndarray):
        return sample_weight
    weight = sample_weight if sample_weight.dtype.kind == "f" else sample_weight.astype(np.float64)
    if not np.all(np.isfinite(weight)):
        row = int(np.argmin(np.isfinite(weight)))
        raise DataError(f"sample_weight holds {weight[row]} in row {row}: give finite numbers.")
    return weight


def checked_batch_size(batch_size: int, n: int) -> int:
    """The size of a full batch of n samples, at most n; `UsageError` where there is none."""
    if n < 1:
        raise UsageError("There is nothing to train on: x has no rows.")
    if not batch_size >= 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size!r}.")
    return min(batch_size, n)
