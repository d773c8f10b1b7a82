"""Slopes of the user's own loss by central differences, in the user's dtype, compared with the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.backprop.reference.network import LOSSES
from anyarray_mlp.backprop.reference.planting import Explanation, fit_factor
from anyarray_mlp.backprop.understanding import Understanding
from anyarray_mlp.backprop.user.samples import outputs_of
from anyarray_mlp.typing import Host

Slopes = list[tuple[Host, Host, Host]]
#: The time that the slopes of all parameters may take, in seconds.
NUMERICAL_SECONDS = 1.5


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
        At most so many entries of each array, drawn by `rng` if there are more.

    Returns
    -------
    For each array (flat indices, slopes, errors). The error is estimated from a second step size; it
    is large if the loss has a kink in between.
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
    """(8 (L(+h) - L(-h)) - (L(+2h) - L(-2h))) / 12 h, with h as the dtype can represent it."""
    points = []
    for multiple in (1, -1, 2, -2):
        moved = [np.array(v) for v in values]
        moved[which].flat[entry] += multiple * h
        actual = float(moved[which].flat[entry]) - float(values[which].flat[entry])
        points.append((loss(moved), actual))
    h_one = 0.5 * (points[0][1] - points[1][1])
    return float((8 * (points[0][0] - points[1][0]) - (points[2][0] - points[3][0])) / (12 * h_one))


def loss_function(known: Understanding) -> Callable[[Sequence[Host]], float] | None:
    """The loss of the user's forward pass as a function of their parameters."""
    user = known.user
    if user.loss is not None:

        def told(values: Sequence[Host]) -> float:
            user.write(values)
            return float(known.user_loss(known.loss_samples)[0])

        return told
    if known.named is None:
        return None
    loss = LOSSES[known.named]

    def named(values: Sequence[Host]) -> float:
        user.write(values)
        return loss.value(outputs_of(user, known.samples), known.targets)

    return named


def loss_slopes(known: Understanding) -> Slopes | None:
    """Numerical slopes of the loss at the probe weights, as many as the time allows."""
    loss = loss_function(known)
    if loss is None:
        return None
    start = time.perf_counter()
    loss(known.values)
    each = max(time.perf_counter() - start, 1e-6)
    entries = int(NUMERICAL_SECONDS / (8 * each * len(known.values)))
    rng = streams.generator("slope sample", 0)
    found = numerical_slopes(loss, known.values, min(max(entries, 4), 40), rng)
    known.user.write(known.values)
    return found


def compare_slopes(
    known: Understanding, slopes: Slopes, explanation: Explanation
) -> tuple[list[dict[str, Any]], bool]:
    """The numerical gradient and the reference's: a row of figures per parameter, and whether they differ."""
    reference = known.loss.loss if known.loss is not None else explanation.loss
    scale = known.loss.scale if known.loss is not None else 1.0
    right = known.right_gradients(scale, reference)
    rows = []
    differs = False
    for parameter, (index, slope, error) in zip(known.user.parameters, slopes, strict=True):
        truth = known.in_user_shape(parameter.layer, parameter.kind, right)
        smooth = error <= 0.05 * max(float(np.abs(slope).max()), 1e-12)
        if truth is None or not smooth.any():
            continue
        exact, slope = truth.ravel()[index][smooth], slope[smooth]
        factor, misfit = fit_factor(slope, exact)
        if np.abs(exact).max() < 1e-9 and np.abs(slope).max() < 1e-6:
            factor, misfit = 1.0, 0.0
        differs |= factor <= 0 or misfit > (0.05 if known.single else 1e-3)
        rows.append(
            {
                "parameter": str(parameter.path),
                "layer": parameter.layer + 1,
                "entries": len(slope),
                "ratio of numerical to reference": factor,
                "relative difference": misfit,
            }
        )
    return rows, differs
