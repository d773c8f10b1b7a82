"""Figures as people read them."""

from __future__ import annotations


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
