"""Slopes of the user's own loss by central differences, in the dtype that they use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.typing import Host

Slopes = list[tuple[Host, Host, Host]]


def difference_step(dtype: np.dtype[Any]) -> float:
    """The step h of a five-point stencil, whose error is O(h^4) + O(eps / h)."""
    return float(np.finfo(dtype).eps ** 0.2) * 0.25


def numerical_slopes(
    loss: Callable[[Sequence[Host]], float],
    values: Sequence[Host],
    entries: int,
    rng: np.random.Generator,
) -> Slopes:
    """Slopes of `loss` at some entries of each array.

    Parameters
    ----------
    loss
        The loss as a function of all arrays.
    values
        The point, arrays of floats.
    entries
        At most so many entries of each array, drawn by `rng` where there are more.

    Returns
    -------
    For each array (flat indices, slopes, errors): the error is estimated from a second step size,
    and large where the loss has a kink between.
    """
    found = []
    for which, value in enumerate(values):
        index = np.arange(value.size)
        if value.size > entries:
            index = np.sort(rng.choice(value.size, entries, replace=False))
        step = difference_step(value.dtype)
        slopes, errors = np.empty(len(index)), np.empty(len(index))
        for row, entry in enumerate(index):
            h = step * max(1.0, abs(float(value.flat[entry])))
            wide = stencil(loss, values, which, int(entry), h)
            narrow = stencil(loss, values, which, int(entry), h / 2)
            slopes[row], errors[row] = narrow, abs(narrow - wide)
        found.append((index, slopes, errors))
    return found


def stencil(
    loss: Callable[[Sequence[Host]], float],
    values: Sequence[Host],
    which: int,
    entry: int,
    h: float,
) -> float:
    """(8 (L(+h) - L(-h)) - (L(+2h) - L(-2h))) / 12 h, with the h that the dtype can hold."""
    points = []
    for multiple in (1, -1, 2, -2):
        moved = [np.array(v) for v in values]
        moved[which].flat[entry] += multiple * h
        actual = float(moved[which].flat[entry]) - float(values[which].flat[entry])
        points.append((loss(moved), actual))
    h_one = 0.5 * (points[0][1] - points[1][1])
    return float((8 * (points[0][0] - points[1][0]) - (points[2][0] - points[3][0])) / (12 * h_one))
