"""Learning rates as functions of the step, worked out on the host in Python floats, with the same bits
on every machine.

A schedule maps the number of steps taken so far (0, 1, 2, ...) to the learning rate of the next one. One that
also has `observe(value)` is told the monitored loss after each epoch; what it remembers of that, `state()` gives as
JSON and `restore(state)` takes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from anyarray_mlp.arithmetic.scalar import cos_pi, log
from anyarray_mlp.arithmetic.scalar import power as raise_to
from anyarray_mlp.checking.names import SCHEDULES, find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_callable,
    check_not_negative,
    check_positive,
    check_real,
    check_whole,
)
from anyarray_mlp.errors import UsageError

Schedule = Callable[[int], float]


@with_known_options
def constant(rate: float) -> Schedule:
    """The same rate throughout."""
    _check_rate(rate)
    return lambda step: rate


@with_known_options
def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """rate times `factor` to the power of the number of whole spans of `every` steps."""
    _check_rate(rate)
    _check_steps("every", every)
    _check_factor("factor", factor)
    return lambda step: rate * raise_to(factor, step // every)


@with_known_options
def exponential(rate: float, every: int, factor: float = 0.95) -> Schedule:
    """rate times factor^(step / every)."""
    _check_rate(rate)
    _check_steps("every", every)
    _check_factor("factor", factor)
    return lambda step: rate * raise_to(factor, step / every)


@with_known_options
def cosine(rate: float, total: int, final: float = 0.0) -> Schedule:
    """From rate to `final` along half a cosine over `total` steps (Loshchilov and Hutter 2017)."""
    _check_rate(rate)
    _check_steps("total", total)
    check_real("final", final, f"a number in [0, {rate}], the rate", lambda v: 0 <= v <= rate)

    def schedule(step: int) -> float:
        return final + 0.5 * (rate - final) * (1.0 + cos_pi(min(step / total, 1.0)))

    return schedule


@with_known_options
def flat_cos(rate: float, total: int) -> Schedule:
    """rate for the first half of `total` steps, then along half a cosine to zero (RealMLP, Holzmüller et al. 2024)."""
    _check_rate(rate)
    _check_steps("total", total)
    return lambda step: rate * faded(step / total)


@with_known_options
def coslog4(rate: float, total: int) -> Schedule:
    """Four waves from zero to rate and back over `total` steps, each twice as long as the one before.

    rate (1 - cos(2 pi log2(1 + 15 t))) / 2, where t is the share of steps that were taken (RealMLP, Holzmüller et al.
    2024). The first step's rate is zero, and so it moves nothing.
    """
    _check_rate(rate)
    _check_steps("total", total)

    def schedule(step: int) -> float:
        turns = log(1.0 + 15.0 * min(step / total, 1.0)) / LOG_2
        half_turns = 2.0 * (turns - int(turns))
        return 0.5 * rate * (1.0 - cos_pi(min(half_turns, 2.0 - half_turns)))

    return schedule


LOG_2 = log(2.0)


def faded(share: float) -> float:
    """1 in the first half of a run, then half a cosine down to 0; `share`: of its steps, how many were taken."""
    return 1.0 if share < 0.5 else 0.5 * (1.0 + cos_pi(min(2.0 * share - 1.0, 1.0)))


@with_known_options
def inverse_scaling(rate: float, per_step: float = 1.0, power: float = 0.5) -> Schedule:
    """rate / (1 + per_step step)^power."""
    _check_rate(rate)
    check_positive("per_step", per_step)
    check_not_negative("power", power)
    return lambda step: rate / raise_to(1.0 + per_step * step, power)


@with_known_options
class WarmUp:
    """Rise linearly to the first rate of `schedule` over `steps` steps, then follow it from its start."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        check_callable("schedule", schedule, "a schedule: a function of the step")
        _check_steps("steps", steps)
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: int) -> float:
        """The rate of the next step."""
        if step < self.steps:
            return self.schedule(0) * (step + 1) / self.steps
        return self.schedule(step - self.steps)

    def observe(self, value: float) -> None:
        """Pass the monitored loss of one more epoch on."""
        observe = getattr(self.schedule, "observe", None)
        if observe is not None:
            observe(value)

    def state(self) -> dict[str, Any]:
        """What the schedule within remembers."""
        return schedule_state(self.schedule)

    def restore(self, state: dict[str, Any]) -> None:
        """Hand `state` to the schedule within."""
        restore_schedule(self.schedule, state)


@with_known_options
class ReduceOnPlateau:
    """Multiply the rate by `factor` when the observed value has not fallen by `tol` for `patience` epochs.

    It falls no further than to `minimum`; a rate that starts below that stays as it is.
    """

    def __init__(
        self,
        rate: float,
        factor: float = 0.2,
        patience: int = 5,
        tol: float = 1e-4,
        minimum: float = 1e-6,
    ) -> None:
        _check_rate(rate)
        _check_factor("factor", factor)
        check_whole("patience", patience, 1)
        check_not_negative("tol", tol)
        check_not_negative("minimum", minimum)
        self.rate = rate
        self.factor = factor
        self.patience = patience
        self.tol = tol
        self.minimum = minimum
        self.best = math.inf
        self.waited = 0

    def __call__(self, step: int) -> float:
        """The current rate."""
        return self.rate

    def observe(self, value: float) -> None:
        """Take note of the monitored loss of one more epoch."""
        if value < self.best - self.tol:
            self.best = value
            self.waited = 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.rate = min(self.rate, max(self.rate * self.factor, self.minimum))
            self.waited = 0

    def state(self) -> dict[str, Any]:
        """Rate, best value (None before the first) and epochs without progress."""
        best = None if self.best == math.inf else self.best
        return {"rate": self.rate, "best": best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.rate, self.waited = state["rate"], state["waited"]
        self.best = math.inf if state["best"] is None else state["best"]


def schedule_state(schedule: Schedule) -> dict[str, Any]:
    """What a schedule remembers beyond the step; empty for one that is a function of the step alone."""
    state = getattr(schedule, "state", None)
    return {} if state is None else dict(state())


def restore_schedule(schedule: Schedule, state: dict[str, Any]) -> None:
    """Give a schedule back what `schedule_state` told of it."""
    if state:
        schedule.restore(state)  # type: ignore[attr-defined]


@with_known_options
def make_schedule(
    name: str, rate: float, *, steps_per_epoch: int, epochs: int, warm_up_epochs: int = 0
) -> Schedule:
    """A schedule by name, its spans chosen from the epochs that follow the warm-up.

    `step` divides the rate by 10 at each third of them, `exponential` by 20 in all, `cosine` ends at zero,
    `flat_cos` too, and begins to fall in the middle, `coslog4` rises from zero and comes back to it four times,
    `invscaling` is rate / sqrt(1 + epoch), `plateau` divides by 5 after 5 epochs without progress.
    """
    check_whole("steps_per_epoch", steps_per_epoch, 0)
    check_whole("epochs", epochs, 0)
    check_whole("warm_up_epochs", warm_up_epochs, 0)
    total = max(1, steps_per_epoch * (epochs - warm_up_epochs))
    schedule: Schedule
    match find_name("learning_rate", name, SCHEDULES):
        case "constant":
            schedule = constant(rate)
        case "step":
            schedule = step_decay(rate, every=max(1, -(-total // 3)))
        case "exponential":
            schedule = exponential(rate, every=total, factor=0.05)
        case "cosine":
            schedule = cosine(rate, total=total)
        case "flat_cos":
            schedule = flat_cos(rate, total=total)
        case "coslog4":
            if warm_up_epochs:
                raise UsageError("coslog4 rises from zero by itself: leave warm_up out.")
            schedule = coslog4(rate, total=total)
        case "invscaling":
            schedule = inverse_scaling(rate, per_step=1 / max(1, steps_per_epoch))
        case _:
            schedule = ReduceOnPlateau(rate)
    if warm_up_epochs:
        schedule = WarmUp(schedule, warm_up_epochs * steps_per_epoch)
    return schedule


def _check_rate(rate: float) -> None:
    check_positive("rate", rate)


def _check_steps(name: str, value: float) -> None:
    check_real(name, value, "at least 1 and finite", lambda v: 1 <= v < math.inf)


def _check_factor(name: str, value: float) -> None:
    check_real(name, value, "a number in (0, 1]", lambda v: 0 < v <= 1)
