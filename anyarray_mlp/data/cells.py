"""What a single cell of an object column is: a gap, a number or something else."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import Any

import numpy as np


def is_gap(value: Any) -> bool:
    """Whether a cell is missing: None, nan or pandas.NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA answers a comparison by itself, which is neither true nor false
        return True


def is_number(value: Any) -> bool:
    """Whether a cell is a number that `float` takes: Python's, NumPy's, a Decimal or a fraction."""
    return isinstance(value, (numbers.Real, np.bool_, Decimal))
