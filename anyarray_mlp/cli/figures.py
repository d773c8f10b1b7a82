"""Figures as people read them."""

from __future__ import annotations


def figure(value: float) -> str:
    """Four decimals, or four significant digits where that says more or is shorter."""
    if value == 0 or 0.1 <= abs(value) < 1e6:
        return f"{value:.4f}"
    return f"{value:#.4g}"
