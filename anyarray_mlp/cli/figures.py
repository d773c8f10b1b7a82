"""Figures as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyarray_mlp.typing import Host


def figure(value: float) -> str:
    """Four decimals, or four significant digits of what is small; thousands apart, fewer decimals of what is large."""
    size = abs(value)
    if value == 0 or 0.1 <= size < 1e3:
        return f"{value:.4f}"
    if size < 0.1:
        return f"{value:#.4g}"
    if size < 1e15:
        return f"{value:,.1f}" if size < 1e6 else f"{value:,.0f}"
    return f"{value:.3e}"


def shortest(values: Host, outputs: Host, mean: float = 0.0, scale: float = 1.0) -> Host:
    """float64 `values` (n,) with no more digits than the network's `outputs` (n,) in its own dtype tell apart.

    The values are outputs times `scale` plus `mean`; each is rounded to the fewest decimals from which the very output
    is found again, and kept whole where none are.
    """
    import numpy as np

    rounded = np.array(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        step = np.abs(np.spacing(outputs).astype(np.float64)) * scale
        exponents = np.floor(np.log10(step))
        # The first decimal that says less than one step, from one before it to one behind.
        for extra in (1, 0, -1):
            for exponent in np.unique(exponents[np.isfinite(exponents)]):
                decimals = int(-exponent) - extra
                if not -300 < decimals < 300:
                    continue
                rows = np.flatnonzero(exponents == exponent)
                candidates = np.array([round(v, decimals) for v in values[rows].tolist()])
                same = ((candidates - mean) / scale).astype(outputs.dtype) == outputs[rows]
                fresh = same & (rounded[rows] == values[rows])
                rounded[rows[fresh]] = candidates[fresh]
    return rounded
