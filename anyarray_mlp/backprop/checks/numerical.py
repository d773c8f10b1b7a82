"""The judge of right and wrong: slopes of the loss by central differences, in the user's dtype."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.backprop.checks.comparing import (
    NEAR,
    NEAR_SINGLE,
    Compared,
    Comparison,
    Slopes,
    compared,
)
from anyarray_mlp.backprop.checks.losses import LOSSES, TRAINED, suits
from anyarray_mlp.backprop.checks.update import Observation
from anyarray_mlp.backprop.understanding import Understanding
from anyarray_mlp.backprop.user.samples import outputs_of
from anyarray_mlp.typing import Host

#: The time that the slopes of all parameters may take, in seconds.
NUMERICAL_SECONDS = 1.0


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


def loss_function(
    known: Understanding, name: str | None = None, rows: range | None = None
) -> Callable[[Sequence[Host]], float]:
    """A loss of the user's forward pass as a function of their parameters.

    Parameters
    ----------
    name
        One of `LOSSES`; None for the user's own.
    rows
        If given, the sum of the losses of these samples, each in a batch of its own.
    """
    user = known.user

    def told(values: Sequence[Host]) -> float:
        user.write(values)
        if rows is None:
            return float(known.user_loss(known.loss_samples)[0])
        alone = (known.loss_samples.some([i]) for i in rows)
        return sum(float(known.user_loss(one)[0]) for one in alone)

    if name is None:
        return told
    loss = TRAINED[name]
    samples = known.samples if rows is None else known.samples.some(list(rows))
    targets = known.targets if rows is None else known.targets[list(rows)]

    def named(values: Sequence[Host]) -> float:
        user.write(values)
        return loss.value(outputs_of(user, samples), targets)

    return named


def loss_slopes(
    known: Understanding, name: str | None = None, rows: range | None = None
) -> tuple[Slopes, float]:
    """Numerical slopes of a loss at the probe weights, as many as the time allows, and their rounding."""
    loss = loss_function(known, name, rows)
    start = time.perf_counter()
    value = loss(known.values)
    each = max(time.perf_counter() - start, 1e-6)
    entries = int(NUMERICAL_SECONDS / (8 * each * len(known.values)))
    rng = streams.generator("slope sample", 0)
    found = numerical_slopes(loss, known.values, min(max(entries, 4), 40), rng)
    known.user.write(known.values)
    rounding = 50 * float(np.finfo(known.values[0].dtype).eps ** 0.8) * abs(value)
    return found, rounding if np.isfinite(rounding) else 0.0


class Numbers:
    """The right gradient by numbers: that of the loss told, or of each usual loss."""

    def __init__(self, known: Understanding) -> None:
        self.known = known
        self.exact = known.user.loss is not None
        self.kept: dict[tuple[str | None, range | None], tuple[Slopes, float]] = {}

    @property
    def losses(self) -> list[str | None]:
        """None for the user's own loss; else the names of those that may be meant."""
        if self.exact:
            return [None]
        if self.known.named is not None:
            return [self.known.named]
        return [name for name in LOSSES if suits(name, self.known.output)]

    def slopes(self, name: str | None, rows: range | None) -> tuple[Slopes, float]:
        if (name, rows) not in self.kept:
            self.kept[name, rows] = loss_slopes(self.known, name, rows)
        return self.kept[name, rows]

    def compare(self, seen: Observation) -> Comparison:
        """The user's gradient against that of the loss which it fits best."""
        best: Comparison | None = None
        for name in self.losses:
            found = self.compare_with(name, seen)
            if best is None or found.badness < best.badness:
                best = found
            if not best.badness:
                break
        assert best is not None
        return best

    def compare_with(
        self, name: str | None, seen: Observation, only: int | None = None
    ) -> Comparison:
        """Against one loss, over all samples or the `only` one."""
        slopes, rounding = self.slopes(name, seen.rows if only is None else range(only, only + 1))
        largest = max((float(np.abs(s).max(initial=0.0)) for _, s, _ in slopes), default=0.0)
        floor = max(1e-8 * largest, rounding)
        near = NEAR_SINGLE if self.known.single else NEAR
        parts = []
        for which, (parameter, array, slope) in enumerate(
            zip(self.known.user.parameters, seen.arrays, slopes, strict=True)
        ):
            noise = 0.0 if seen.noise is None else seen.noise[which]
            value = self.known.values[which]
            if array is None:
                part = Compared(parameter, "unseen")
            elif array.size != value.size:
                told = {"shape of the gradient": str(array.shape), "of the value": str(value.shape)}
                part = Compared(parameter, "shape", evidence=told)
            elif array.ndim == 2 and array.shape == value.shape[::-1] != value.shape:
                part = compared(parameter, array.T, slope, floor, near, noise)
                part = replace(part, state="turned" if part.state == "right" else "wrong")
            else:
                part = compared(parameter, array, slope, floor, near, noise)
            parts.append(part)
        exact = self.exact and not seen.free_scale
        return Comparison(name, exact, parts, near)
