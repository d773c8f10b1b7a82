"""Mean and scale of a column, with the same bits on every machine.

NumPy's sum adds in an order that depends on the memory layout, the version and the processor's
vector width, and each order rounds differently. `exact_sum` returns the exact sum, rounded once, so the order makes
no difference; the remaining steps (subtract, multiply, divide, root) are single IEEE operations, which are correctly
rounded everywhere. So weights trained on standardised columns can be compared bit by bit between machines.
"""

from __future__ import annotations

import math

import numpy as np

from anyarray_mlp.arithmetic.host_sum import exact_sum, parts_of, sum_of_parts
from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

#: As many values are summed faster one by one.
FEW = 256


def mean_and_scale(values: Host, name: str) -> tuple[float, float]:
    """Mean and population standard deviation of `values` (n,); the scale of a constant is 1.

    Raises `DataError` if squares overflow.
    """
    values = values.astype(np.float64, copy=False)
    if values.min() == values.max():
        return float(values[0]), 1.0
    try:
        mean = sum_of(values) / len(values)
        squares = (squared(part, mean) for part in parts_of(values))
        scale = math.sqrt(sum_of_parts(squares) / len(values))
    except (OverflowError, FloatingPointError):
        raise DataError(
            f"{name}: values up to {np.abs(values).max():.3g} are too large to standardise; "
            "write them in a larger unit"
        ) from None
    # Deviations below 1e-154 square to zero: such a column counts as constant.
    return mean, scale or 1.0


def squared(values: Host, mean: float) -> Host:
    """The squares of deviations; `FloatingPointError` if one is too large."""
    with np.errstate(over="raise", under="ignore"):
        deviations = values - mean
        return np.asarray(deviations * deviations)


def median_of(values: Host) -> float:
    """`np.median` of `values` (n,), of which none is missing, in a third of the time for a few."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, (low, high))
    return float(ordered[low] if low == high else (ordered[low] + ordered[high]) / 2)


def sum_of(values: Host) -> float:
    """The exact sum of `values` (n,), rounded once."""
    return math.fsum(values.tolist()) if len(values) <= FEW else exact_sum(values)
