"""One gradient against another, entry by entry: what its entries alone show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from anyarray_mlp.backprop.user.adapter import Parameter
from anyarray_mlp.typing import Host

#: For each array (flat indices, slopes, errors).
Slopes = list[tuple[Host, Host, Host]]
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
