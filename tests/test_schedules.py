"""Learning rates as functions of the step."""

from __future__ import annotations

import json
import math

import pytest

from anyarray_mlp.errors import UsageError
from anyarray_mlp.schedules import (
    SCHEDULES,
    ReduceOnPlateau,
    WarmUp,
    constant,
    cosine,
    exponential,
    inverse_scaling,
    make_schedule,
    restore_schedule,
    schedule_state,
    step_decay,
)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (constant(0.1), {0: 0.1, 1000: 0.1}),
        (step_decay(0.1, every=10, factor=0.5), {0: 0.1, 9: 0.1, 10: 0.05, 25: 0.025}),
        (exponential(0.1, every=10, factor=0.5), {0: 0.1, 5: 0.1 * 0.5**0.5, 20: 0.025}),
        (cosine(0.1, total=100, final=0.02), {0: 0.1, 50: 0.06, 100: 0.02, 500: 0.02}),
        (inverse_scaling(0.1, per_step=1.0, power=0.5), {0: 0.1, 3: 0.05, 99: 0.01}),
        (WarmUp(constant(0.1), 4), {0: 0.025, 3: 0.1, 4: 0.1}),
        (WarmUp(cosine(0.1, total=10), 5), {4: 0.1, 5: 0.1, 15: 0.0}),
    ],
)
def test_rates(schedule, rates):
    for step, rate in rates.items():
        assert schedule(step) == pytest.approx(rate, rel=1e-12, abs=1e-15)


def test_plateau_waits_then_reduces_down_to_its_minimum():
    schedule = ReduceOnPlateau(0.1, factor=0.1, patience=2, tol=0.01, minimum=1e-3)
    for value, rate in [(1.0, 0.1), (0.995, 0.1), (0.995, 0.01), (0.5, 0.01), (0.6, 0.01), (0.6, 1e-3),
                        (0.6, 1e-3), (0.6, 1e-3)]:  # fmt: skip
        schedule.observe(value)
        assert schedule(0) == pytest.approx(rate)


def test_warm_up_passes_on_what_it_is_told():
    inner = ReduceOnPlateau(0.1, patience=1)
    schedule = WarmUp(inner, 2)
    schedule.observe(1.0)
    schedule.observe(1.0)
    assert schedule(5) == inner(0) == pytest.approx(0.02)


def test_a_plateau_never_raises_a_rate_that_starts_below_its_minimum():
    schedule = ReduceOnPlateau(1e-7, patience=1)
    for _ in range(3):
        schedule.observe(1.0)
    assert schedule(0) == 1e-7


@pytest.mark.parametrize("observed", [[], [1.0, 1.0, 0.5, 0.5, 0.5]])
@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: WarmUp(inner, 3)])
def test_a_schedule_goes_on_from_its_state_as_if_it_had_never_stopped(wrap, observed):
    whole, resumed = (wrap(ReduceOnPlateau(0.1, patience=2)) for _ in range(2))
    for value in observed:
        whole.observe(value)
    restore_schedule(resumed, json.loads(json.dumps(schedule_state(whole))))
    for value in (0.5, 0.4, 0.4, 0.4):
        assert resumed(7) == whole(7)
        whole.observe(value)
        resumed.observe(value)
    assert resumed(7) == whole(7) < 0.1


def test_a_schedule_of_the_step_alone_has_no_state():
    for schedule in (constant(0.1), WarmUp(constant(0.1), 2)):
        assert schedule_state(schedule) == {}
        restore_schedule(schedule, {})


@pytest.mark.parametrize(
    ("name", "last"), [("cosine", 0.0), ("exponential", 0.005), ("step", 1e-4)]
)
def test_spans_are_of_the_epochs_after_the_warm_up(name, last):
    schedule = make_schedule(name, 0.1, steps_per_epoch=10, epochs=8, warm_up_epochs=2)
    assert schedule(19) == schedule(20) == 0.1
    assert schedule(80) == pytest.approx(last, abs=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_named_schedules_start_at_the_rate_and_never_exceed_it(name):
    schedule = make_schedule(name, 0.1, steps_per_epoch=10, epochs=6)
    rates = [schedule(step) for step in range(60)]
    assert rates[0] == 0.1
    assert all(0 <= rate <= 0.1 for rate in rates)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: constant(0.0),
        lambda: constant(math.inf),
        lambda: step_decay(0.1, every=0),
        lambda: exponential(0.1, every=1, factor=1.5),
        lambda: cosine(0.1, total=5, final=0.2),
        lambda: inverse_scaling(0.1, per_step=0.0),
        lambda: WarmUp(constant(0.1), 0),
        lambda: ReduceOnPlateau(0.1, factor=0.0),
        lambda: make_schedule("linear", 0.1, steps_per_epoch=1, epochs=1),
    ],
)
def test_impossible_schedules_are_refused(make):
    with pytest.raises(UsageError):
        make()
