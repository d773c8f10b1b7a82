"""Mean and scale of a column, with the same bits on every machine.

NumPy's sum adds in an order that depends on the memory layout, the version and the processor's
vector width, and each order rounds differently. `exact_sum` returns the exact sum, rounded once, so
no order shows; the remaining steps (subtract, multiply, divide, root) are single IEEE operations,
each correctly rounded everywhere. Weights trained on standardised columns can therefore be compared
bit by bit between machines.
"""

from __future__ import annotations

import math

import numpy as np

from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

#: Magnitudes between which `exact_sum` can cut: the powers of two that it adds neither overflow nor lose bits.
LOWEST, HIGHEST = 2.0**-900, 2.0**900
#: Cuts that most data need at most; what is left then is summed one by one.
CUTS = 4


def mean_and_scale(values: Host, name: str) -> tuple[float, float]:
    """Mean and population standard deviation of `values` (n,); the scale of a constant is 1.

    Raises `DataError` where squares overflow.
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
    # Deviations under 1e-154 square to nothing: such a column is as good as constant.
    return mean, scale or 1.0


def exact_sum(values: Host) -> float:
    """`math.fsum` of float64 values (n,), some ten times as fast.

    Values are cut into a multiple of a power of two so large that the sum of the multiples is exact in any order, and
    a rest that is cut in turn (Rump, Ogita and Oishi 2008, Accurate floating-point summation, part I).
    """
    rest = values
    sums: list[float] = []
    for _ in range(CUTS):
        largest = float(np.abs(rest).max(initial=0.0))
        if largest == 0.0:
            return math.fsum(sums)
        if not LOWEST < largest < HIGHEST:
            break
        # Twice what the magnitudes can add up to: all sums of multiples of its 2**-53rd part fit 53 bits.
        power = math.ldexp(1.0, math.frexp(largest)[1] + len(rest).bit_length() + 1)
        multiples = (rest + power) - power
        sums.append(float(multiples.sum()))
        rest = rest - multiples
    return math.fsum([*sums, *rest.tolist()])
