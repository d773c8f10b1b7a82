"""What a raw target asks for: texts and few integers are classes, other numbers a regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.data.cells import is_gap, is_number
from anyarray_mlp.data.dataset import Task
from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

# Integers are read as classes where there are at most this many distinct ones, or where they number
# the classes 0..k-1 with ten rows for each.
FEW_DISTINCT = 20
ROWS_PER_CLASS = 10


def tidy_target(target: Any, name: str = "target") -> Host:
    """`target` as an array of booleans, integers, floats or texts, (n,) or (n, k).

    Arrays of Python objects become texts or numbers where all their values are.
    Raises `DataError` for a missing value, a mixture, or values of another kind.
    """
    values = np.asarray(target)
    if values.dtype.kind == "O":
        values = from_objects(values, name)
    if values.dtype.kind == "T":
        values = values.astype(str)
    if values.dtype.kind not in "biufU":
        raise DataError(
            f"{name}: values of type {values.dtype} cannot be a target; give numbers or texts"
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return values


def from_objects(values: Host, name: str) -> Host:
    """An array of Python objects as one of texts or of numbers."""
    cells = values.ravel().tolist()
    for row, cell in enumerate(cells):
        if is_gap(cell):
            raise DataError(
                f"{name}: the value in row {row} (from 0) is missing; leave that row out"
            )
    if all(isinstance(cell, str) for cell in cells):
        return values.astype(str)
    if all(map(is_number, cells)):
        # NumPy knows its own numbers and Python's; the rest (Decimal, Fraction) would stay objects.
        known = (bool, int, float, np.generic)
        numbers = [cell if isinstance(cell, known) else float(cell) for cell in cells]
        return np.array(numbers).reshape(values.shape)
    first = next(cell for cell in cells if not isinstance(cell, str))
    raise DataError(
        f"{name}: mixes texts and values such as {shown(first)}; give texts only or numbers only"
    )


def are_integers(values: Host) -> bool:
    """Whether every value is a finite whole number."""
    if values.dtype.kind in "iu":
        return True
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return False
    return bool((values == np.round(values)).all())


def infer_task(target: Host) -> Task:
    """The task for a tidy target.

    One column: texts and booleans are classes; so are whole numbers with at most 20 distinct values
    (at least two rows for each on average), or numbering the classes 0..k-1 with ten rows for each.
    Several columns of 0 and 1: classes where each row has exactly one 1 (one-hot), else multilabel.
    Anything else is a regression. Raises `DataError` for a target without rows.
    """
    if target.size == 0:
        raise DataError("the target is empty; give at least one row")
    if target.ndim == 2:
        if target.dtype.kind not in "U" and np.isin(target, (0, 1)).all():
            return "classification" if is_one_hot(target) else "multilabel"
        return "regression"
    if target.dtype.kind in "bU":
        return "classification"
    if not are_integers(target):
        return "regression"
    distinct = np.unique(target)
    k, n = len(distinct), len(target)
    few = k <= FEW_DISTINCT and (k <= 2 or 2 * k <= n)
    numbered = distinct[0] == 0 and distinct[-1] == k - 1 and n >= ROWS_PER_CLASS * k
    return "classification" if few or numbered else "regression"


def is_one_hot(target: Host) -> bool:
    """Whether every row of 0 and 1 holds exactly one 1."""
    return target.ndim == 2 and bool(
        np.isin(target, (0, 1)).all() and (target.sum(axis=1) == 1).all()
    )


def target_for(target: Host, task: Task) -> Host:
    """The tidy target in the form that its task uses.

    Classes written 0.0, 1.0 become integers, one-hot rows the index of their 1.
    """
    if task != "classification":
        return target
    if target.ndim == 2 and target.dtype.kind != "U" and is_one_hot(target):
        return np.asarray(target.argmax(axis=1))
    if target.dtype.kind == "f" and are_integers(target) and np.abs(target).max(initial=0) < 2**53:
        return target.astype(np.int64)
    return target
