"""Batches: what may be trained on, and the order in which its rows come."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import TASKS, find_name
from anyarray_mlp.checking.values import (
    check_positive,
    check_whole,
    is_real,
    items,
)
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.metrics import METRICS, default_task, find_score
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.schedules import Schedule
from anyarray_mlp.typing import Array

#: Steps of one compiled run at most: between runs a stop can be asked for and a diverging loss is seen.
STEPS_PER_RUN = 1024


class Shuffles(Protocol):
    """Where the order of the samples comes from: one permutation for each epoch."""

    def permutation(self, n: int) -> NDArray[np.int64]:
        """A new order of n samples."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, JSON-able."""


def alike(sizes: Sequence[Any]) -> list[slice]:
    """The spans of neighbours of one size, or alike otherwise."""
    edges = [place for place in range(1, len(sizes)) if sizes[place] != sizes[place - 1]]
    return [slice(*pair) for pair in pairwise([0, *edges, len(sizes)])]


def check_host_batch(mlp: MLP, x: Array, targets: Array) -> None:
    """`MLP.check_batch` for NumPy arrays, `MLP.check_shapes` for others: to look at a device's values would wait."""
    check_network(mlp)
    if isinstance(x, np.ndarray) and isinstance(targets, np.ndarray):
        mlp.check_batch(x, targets)
    else:
        mlp.check_shapes(x, targets)


def checked_validation(
    mlp: MLP,
    validation: tuple[Any, Any] | None,
    check: Callable[[MLP, Array, Array], None] = check_host_batch,
) -> tuple[Any, Any] | None:
    """A validation set that has rows; `check` looks at these."""
    if validation is None:
        return None
    x, targets = validation
    try:
        check(mlp, x, targets)
    except DataError as error:
        raise DataError(f"The validation set: {error}") from None
    if x.shape[0] < 1:
        raise DataError("The validation set has no rows: give at least one, or none at all.")
    return x, targets


def checked_metrics(mlp: MLP, metrics: Any, task: str | None) -> tuple[str, ...]:
    """Names of metrics, of which one may come alone; `UsageError` where one is none, or not of the task."""
    names = (metrics,) if isinstance(metrics, str) else metrics
    names = items("metrics", names, f"a list of names among {', '.join(METRICS)}")
    if task is not None:
        task = find_name("task", task, TASKS)
    for name in names:
        find_score(name, task or default_task(mlp), "metrics")
    return tuple(find_name("metrics", name, METRICS, "metric") for name in names)


def check_scale(input_scale: float | None) -> None:
    """Raise `UsageError` for what no inputs can be multiplied by."""
    if input_scale is not None:
        check_positive("input_scale", input_scale)


def checked_batch_size(batch_size: int, n: int) -> int:
    """The size of a full batch of n samples, at most n; `UsageError` if there is none."""
    if n < 1:
        raise UsageError("There is nothing to train on: x has no rows.")
    return min(check_whole("batch_size", batch_size, 1), n)


def checked_order(order: Any, n: int) -> NDArray[np.int64]:
    """What `Shuffles.permutation` gave; `UsageError` where these are not n places of n rows."""
    order = np.asarray(order)
    if order.shape != (n,) or order.dtype.kind not in "iu" or order.min() < 0 or order.max() >= n:
        raise UsageError(
            f"shuffles must give an order of {n} rows, integers from 0 to {n - 1}, got {shown(order)}."
        )
    places: NDArray[np.int64] = order.astype(np.int64, copy=False)
    return places


def checked_rates(schedule: Schedule, step: int, count: int) -> NDArray[np.float64]:
    """Learning rates (count,) of the steps from `step` on; `UsageError` where one is no rate."""
    rates = [schedule(step + k) for k in range(count)]
    try:
        array = np.asarray(rates)
    except ValueError:  # of lengths that differ
        array = np.empty(0, dtype=object)
    numbers = array.shape == (count,) and array.dtype.kind in "fiu"
    if not numbers or not np.all((array >= 0) & (array < math.inf)):
        refused = (k for k in range(count) if not (is_real(rates[k]) and 0 <= rates[k] < math.inf))
        # The first where all are numbers of a kind that NumPy has not, such as a Fraction.
        bad = next(refused, 0)
        raise UsageError(
            f"The learning rate of step {step + bad} must be a number of at least 0 and finite, got "
            f"{shown(rates[bad])}: see the function that was given as its schedule."
        )
    return array.astype(np.float64)
