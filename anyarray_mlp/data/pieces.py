"""Numbers as networks learn tables best: robust scale and smooth clip, and piecewise-linear encoding.

Quantiles are values that the training rows hold, and the rest are single IEEE operations, so that all machines and all
versions of NumPy give the same bits.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

#: Rows for each piece, and the fewest and most pieces.
ROWS_A_PIECE, FEWEST_PIECES, MOST_PIECES = 60, 3, 16
#: With fewer edges a column has so few values that pieces say no more than the number.
FEWEST_EDGES = 4
#: Of more columns none is cut into pieces: the network would get up to 17 inputs for each.
MOST_CUT_COLUMNS = 1000
#: No number is farther from 0 after the smooth clip.
BOUND = 3.0
#: From here on the clip is `BOUND` to the last bit; squares of larger numbers could overflow.
FAR = 1e12


def robust_scale(known: Host, name: str) -> tuple[float, float]:
    """Median and distance of the quartiles of values (n,) without gaps, half the range where that is 0.

    The scale of a constant is 1. Raises `DataError` where the range is not finite.
    """
    low, quarter, middle, three_quarters, high = quantiles(known, 4).tolist()
    with np.errstate(over="ignore"):
        spread = float(np.subtract(high, low))
    if not np.isfinite(spread):
        raise DataError(
            f"{name}: values up to {np.abs(known).max():.3g} are too large to scale; "
            "write them in a larger unit"
        )
    return middle, (three_quarters - quarter) or spread / 2.0 or 1.0


def quantiles(known: Host, parts: int) -> Host:
    """The values (parts + 1,) that cut sorted values (n,) into equal parts, each the nearest that there is."""
    places = (np.arange(parts + 1) * (len(known) - 1) + parts // 2) // parts
    # Which of two zeros comes first is not defined: adding 0 makes all of them positive.
    return np.asarray(np.partition(known, np.unique(places))[places] + 0.0)


def edges_of(known: Host) -> tuple[float, ...]:
    """The edges between which a column of numbers is cut, ascending; empty where these are too few to say anything."""
    pieces = min(max(len(known) // ROWS_A_PIECE, FEWEST_PIECES), MOST_PIECES)
    edges = np.unique(quantiles(known, pieces)).tolist()
    return tuple(edges) if len(edges) >= FEWEST_EDGES else ()


def clipped(numbers: Host, middle: float, scale: float) -> Host:
    """z / sqrt(1 + (z / 3)**2) of z = (number - middle) / scale: within -3 and 3, and almost z where z is small."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.clip((numbers - middle) / scale, -FAR, FAR)
        return np.asarray(scaled / np.sqrt(1.0 + (scaled / BOUND) ** 2))


def pieces_of(numbers: Host, edges: tuple[float, ...]) -> Host:
    """The share (n, edges - 1) of each piece that lies below each number (n,)."""
    bounds = np.array(edges)
    with np.errstate(over="ignore", under="ignore"):
        shares = (numbers[:, None] - bounds[:-1]) / np.diff(bounds)
    return np.asarray(np.clip(shares, 0.0, 1.0))


def piece_names(name: str, edges: tuple[float, ...]) -> tuple[str, ...]:
    """The name of each piece of a column, whole numbers in full, others in as few digits as tell its edges apart."""
    bounds = [f"{edge:.0f}" for edge in edges]
    if not all(edge.is_integer() and abs(edge) < 1e15 for edge in edges):
        for digits in range(3, 18):
            bounds = [f"{edge:.{digits}g}" for edge in edges]
            if len(set(bounds)) == len(edges):
                break
    return tuple(f"{name} ({low} to {high})" for low, high in pairwise(bounds))
