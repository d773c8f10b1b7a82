"""Figures and their names as they are read."""

from __future__ import annotations

import math

#: Names that are written otherwise than as they are read.
WRITTEN = {"r2": "R\N{SUPERSCRIPT TWO}", "f1": "F1", "roc_auc": "area under ROC"}


def in_words(name: str) -> str:
    """A figure's name."""
    return WRITTEN.get(name, name.replace("_", " "))


def figure(value: float | None) -> str:
    """A number in four figures; a dash for one that is not known."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
