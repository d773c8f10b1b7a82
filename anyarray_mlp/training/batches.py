"""Batches: what may be trained on, and the order in which its rows come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.errors import UsageError
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
    """`MLP.check_batch` for NumPy arrays; to look at a device's values would wait for it."""
    if isinstance(x, np.ndarray) and isinstance(targets, np.ndarray):
        mlp.check_batch(x, targets)


def checked_batch_size(batch_size: int, n: int) -> int:
    """The size of a full batch of n samples, at most n; `UsageError` where there is none."""
    if n < 1:
        raise UsageError("There is nothing to train on: x has no rows.")
    if not batch_size >= 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size!r}.")
    return min(batch_size, n)
