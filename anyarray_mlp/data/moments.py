"""Mean and scale of a column, with the same bits on every machine.

NumPy's sum adds in an order that depends on the memory layout, the version and the processor's
vector width, and each order rounds differently. `exact_sum` returns the exact sum, rounded once, so the order makes
no difference; the remaining steps (subtract, multiply, divide, root) are single IEEE operations, which are correctly
rounded everywhere. So weights trained on standardised columns can be compared bit by bit between machines.
"""

from __future__ import annotations

import math

import numpy as np

from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

#: Range of magnitudes that `exact_sum` can split: the powers of two that it adds neither overflow nor lose bits.
LOWEST, HIGHEST = 2.0**-900, 2.0**900
#: Splits that are enough for most data; what is left after them is summed one by one.
CUTS = 4


def mean_and_scale(values: Host, name: str) -> tuple[float, float]:
    """Mean and population standard deviation of `values` (n,); the scale of a constant is 1.

    Raises `DataError` if squares overflow.
    """
    values = values.astype(np.float64, copy=False)
    if values.min() == values.max():
        return float(values[0]), 1.0
    try:
        mean = exact_sum(values) / len(values)
        with np.errstate(over="raise", under="ignore"):
            deviations = values - mean
            scale = math.sqrt(exact_sum(deviations * deviations) / len(values))
    except (OverflowError, FloatingPointError):
        raise DataError(
            f"{name}: values up to {np.abs(values).max():.3g} are too large to standardise; "
            "write them in a larger unit"
        ) from None
    # Deviations below 1e-154 square to zero: such a column counts as constant.
    return mean, scale or 1.0


def exact_sum(values: Host) -> float:
    """`math.fsum` of float64 values (n,), about ten times as fast.

    Each value is split into a multiple of a power of two, large enough that the sum of these multiples is exact in
    any order, and a remainder that is split in turn (Rump, Ogita and Oishi 2008, Accurate floating-point summation,
    part I).
    """
    rest = values
    sums: list[float] = []
    for _ in range(CUTS):
        largest = float(np.abs(rest).max(initial=0.0))
        if largest == 0.0:
            return math.fsum(sums)
        if not LOWEST < largest < HIGHEST:
            break
        # Twice what the magnitudes can add up to: sums of multiples of 2**-53 times this fit in 53 bits.
        power = math.ldexp(1.0, math.frexp(largest)[1] + len(rest).bit_length() + 1)
        multiples = (rest + power) - power
        sums.append(float(multiples.sum()))
        rest = rest - multiples
    return math.fsum([*sums, *rest.tolist()])
