"""Constants between a gradient and the right one, and the mistakes that they stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: These make the whole gradient longer or shorter, which a learning rate can hide.
CONSTANTS = ("mean_missing", "mean_twice", "factor_two")
WHOLE = frozenset([*CONSTANTS, "wrong_scale"])


def usual_scales(n: int, k: int) -> tuple[float, ...]:
    """Factors of 1/2 squared error, or of a cross-entropy, summed over n samples and k outputs."""
    return (1.0, 2.0, 1 / n, 2 / n, 1 / (n * k), 2 / (n * k), 1 / k, 2 / k, 0.5, 0.5 / n)


@dataclass(frozen=True)
class Lengths:
    """The lengths of the whole gradient that are no mistake, for n samples and k outputs.

    With an `exact` loss there is one; else any usual one.
    """

    n: int
    k: int
    exact: bool

    @property
    def usual(self) -> tuple[float, ...]:
        return (1.0,) if self.exact else usual_scales(self.n, self.k)

    def are_usual(self, factor: float) -> bool:
        """Is a gradient so many times as long no mistake?"""
        return any(abs(factor / usual - 1) < 0.03 for usual in self.usual)

    def times(self, factor: float) -> float:
        """How many times too long a gradient is."""
        return min((abs(factor) / u for u in self.usual), key=lambda t: abs(math.log(t)))

    def are_nesterovs(self, factor: float, share: float) -> bool:
        """-mu v_before + (1 + mu) v: the first step is 1 + mu long, mu^2 / (1 + mu) of it stays."""
        mu = (share + math.sqrt(share * share + 4 * share)) / 2
        return self.are_usual(factor / (1 + mu))


def name_factor(
    size: float, n: int, k: int, rate: float | None, near: float, where: str
) -> list[str]:
    """The constants, one or two, whose product a factor is.

    `n` samples, `k` outputs, the learning rate of the step seen; `where` is "delta" if the whole
    gradient has this factor.
    """
    singles: list[tuple[str, float]] = []
    if n > 1:
        singles += [("mean_missing", float(n)), ("mean_twice", 1 / n)]
    singles += [("factor_two", 2.0), ("factor_two", 0.5)]
    if k > 1:
        singles += [("mean_missing", float(k)), ("mean_twice", 1 / k)]
        if n > 1:
            singles += [("mean_missing", float(n * k)), ("mean_twice", 1 / (n * k))]
    if rate is not None and rate != 1:
        singles += [("learning_rate_missing", 1 / rate), ("learning_rate_twice", rate)]
    if where != "delta":
        # A mean is forgotten for the whole gradient rather than for one array.
        singles.sort(key=lambda single: single[0] != "factor_two")
    for cause, constant in singles:
        if abs(size / constant - 1) <= near:
            return [cause]
    for i, (cause, constant) in enumerate(singles):
        for other, factor in singles[i + 1 :]:
            if other != cause and abs(size / (constant * factor) - 1) <= near:
                return [cause, other]
    return ["wrong_scale"]
