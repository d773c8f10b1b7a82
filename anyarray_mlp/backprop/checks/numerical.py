"""The judge of right and wrong: slopes of the loss by central differences, in the user's dtype."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.backprop.checks.losses import LOSSES, TRAINED, suits
from anyarray_mlp.backprop.checks.update import Observation
from anyarray_mlp.backprop.understanding import Understanding
from anyarray_mlp.backprop.user.adapter import Parameter
from anyarray_mlp.backprop.user.samples import outputs_of
from anyarray_mlp.typing import Host

Slopes = list[tuple[Host, Host, Host]]
#: The time that the slopes of all parameters may take, in seconds.
NUMERICAL_SECONDS = 1.0
#: Gradients that differ by less are the same; the same in single precision.
NEAR, NEAR_SINGLE = 1e-3, 0.02

WRONG = ("wrong", "summed", "useless", "shape", "turned", "gap", "edge")
State = Literal[
    "right",
    "wrong",
    "summed",
    "still",
    "void",
    "dead",
    "useless",
    "unseen",
    "shape",
    "turned",
    "gap",
    "edge",
]


@dataclass(frozen=True)
class Compared:
    """One parameter's gradient against the numerical one.

    "right" up to `factor`; "wrong"; "summed": a bias's, summed over everything; "still": zero, and
    should not be; "void": zero, as the sum of all right entries is; "dead": zero, and should be;
    "useless": not zero, though the loss does not depend on the parameter; "turned": right if
    transposed; "gap": right but for zeros; "edge": but for zeros in the first or last row or column;
    "shape": of another size; "unseen": there is none.
    """

    parameter: Parameter
    state: State
    factor: float = 1.0
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """All parameters against one loss; `exact` if the loss's own factor counts."""

    loss: str | None
    exact: bool
    parts: list[Compared]
    near: float

    @property
    def factor(self) -> float:
        """The factor of most, or that of the layer nearest to the loss."""
        right = [part for part in self.parts if part.state == "right"]
        if not right or (self.exact and any(self.same(p.factor, 1.0) for p in right)):
            return 1.0
        last = [part for part in right if part.parameter.kind == "weight"] or right
        return max(
            (part.factor for part in reversed([*right, last[-1]])),
            key=lambda f: sum(self.same(part.factor, f) for part in right),
        )

    def same(self, a: float, b: float) -> bool:
        return abs(a / b - 1) <= max(self.near, 1e-3)

    @property
    def wrong(self) -> list[Compared]:
        """Parameters whose gradient does not even have the right direction."""
        return [p for p in self.parts if p.state in WRONG]

    @property
    def badness(self) -> int:
        """How many parameters the loss does not explain."""
        odd = [p for p in self.parts if p.state == "right" and not self.same(p.factor, self.factor)]
        still = [p for p in self.parts if p.state in ("still", "void")]
        return 4 * len(self.wrong) + 2 * len(still) + len(odd) + (self.factor < 0)

    @property
    def is_right(self) -> bool:
        return not self.badness and (not self.exact or self.same(self.factor, 1.0))


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


def compared(
    parameter: Parameter,
    array: Host,
    slope: tuple[Host, Host, Host],
    floor: float,
    near: float,
    noise: float,
) -> Compared:
    """One parameter's gradient against its numerical slopes, where the loss has no kink.

    Slopes below `floor` are rounding.
    """
    index, right, error = slope
    smooth = error <= 1e-3 * max(float(np.abs(right).max(initial=0.0)), floor)
    truth = right[smooth]
    size = float(np.abs(truth).max(initial=0.0))
    got = array.ravel()[index][smooth]
    if size <= floor or not truth.size:
        moved = float(np.abs(array).max(initial=0.0))
        return Compared(parameter, "dead" if moved <= 100 * floor + noise else "useless")
    if np.abs(got).max() <= 1e-9 * size + noise:
        total = abs(float(right.sum()))
        void = parameter.kind == "bias" and total <= 1e-4 * float(np.abs(right).sum())
        return Compared(parameter, "void" if void else "still")
    evidence = differences(got, truth)
    if near == NEAR_SINGLE and truth.size >= 8:
        got, truth = without_outliers(got, truth)
    factor, misfit = fit_factor(got, truth)
    if misfit > near + 3 * noise / float(np.linalg.norm(array)):
        if is_summed(array, right, near) and parameter.kind == "bias":
            return Compared(parameter, "summed", 1.0, evidence)
        gap = np.abs(got) <= 1e-9 * size + noise
        if 0 < gap.sum() < len(gap) and fit_factor(got[~gap], truth[~gap])[1] <= near:
            last = np.isin(index[smooth][gap], edge(array.shape))
            return Compared(parameter, "edge" if last.all() else "gap", 1.0, evidence)
        return Compared(parameter, "wrong", 1.0, evidence)
    return Compared(parameter, "right", factor, evidence)


def is_summed(array: Host, right: Host, near: float) -> bool:
    """Are all entries the sum of the right ones?"""
    if not 1 < array.size == right.size or np.ptp(array) > near * np.abs(array).max():
        return False
    return abs(float(array.flat[0]) - float(right.sum())) <= 0.1 * float(np.abs(array).max())


def edge(shape: tuple[int, ...]) -> Host:
    """The flat indices of a matrix's first and last rows and columns, where biases may be kept."""
    if len(shape) != 2:
        return np.array([0, int(np.prod(shape)) - 1])
    inner = np.zeros(shape, dtype=bool)
    inner[1:-1, 1:-1] = True
    return np.flatnonzero(~inner)


def without_outliers(got: Host, truth: Host) -> tuple[Host, Host]:
    """Without the tenth that fits worst: in single precision a step is so wide that it meets kinks."""
    factor = float(np.median(got[truth != 0] / truth[truth != 0])) if truth.any() else 1.0
    order = np.argsort(np.abs(got - factor * truth))[: -max(1, truth.size // 10)]
    return got[order], truth[order]


def fit_factor(observed: Host, candidate: Host) -> tuple[float, float]:
    """(s, |observed - s candidate| / |observed|) of least squares."""
    power = float((candidate * candidate).sum())
    norm = float(np.linalg.norm(observed))
    if power == 0 or norm == 0 or not np.isfinite(power):
        return 1.0, np.inf
    factor = float((candidate * observed).sum()) / power
    return factor, float(np.linalg.norm(observed - factor * candidate)) / norm


def differences(array: Host, right: Host) -> dict[str, Any]:
    """Cosine, ratio of lengths and largest relative difference of two gradients."""
    a, b = float(np.linalg.norm(array)), float(np.linalg.norm(right))
    cosine = float((array * right).sum() / (a * b)) if a > 0 and b > 0 else 0.0
    largest = float(np.abs(array - right).max() / max(float(np.abs(right).max()), 1e-300))
    return {
        "cosine with the right gradient": cosine,
        "ratio of lengths": a / b if b > 0 else float("inf"),
        "largest difference to the right one": largest,
    }
