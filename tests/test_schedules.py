"""Learning rates as functions of the step."""

from __future__ import annotations

import math

import pytest

from anyarray_mlp.errors import UsageError
from anyarray_mlp.schedules import (
    SCHEDULES,
    ReduceOnPlateau,
    constant,
    cosine,
    exponential,
    inverse_scaling,
    make_schedule,
    step_decay,
    warm_up,
)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (constant(0.1), {0: 0.1, 1000: 0.1}),
        (step_decay(0.1, every=10, factor=0.5), {0: 0.1, 9: 0.1, 10: 0.05, 25: 0.025}),
        (exponential(0.1, every=10, factor=0.5), {0: 0.1, 5: 0.1 * 0.5**0.5, 20: 0.025}),
        (cosine(0.1, total=100, final=0.02), {0: 0.1, 50: 0.06, 100: 0.02, 500: 0.02}),
        (inverse_scaling(0.1, per_step=1.0, power=0.5), {0: 0.1, 3: 0.05, 99: 0.01}),
        (warm_up(constant(0.1), 4), {0: 0.025, 3: 0.1, 4: 0.1}),
        (warm_up(cosine(0.1, total=10), 5), {4: 0.1, 5: 0.1, 15: 0.0}),
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
    schedule = warm_up(inner, 2)
    schedule.observe(1.0)
    schedule.observe(1.0)
    assert schedule(5) == inner(0) == pytest.approx(0.02)


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
        lambda: warm_up(constant(0.1), 0),
        lambda: ReduceOnPlateau(0.1, factor=0.0),
        lambda: make_schedule("linear", 0.1, steps_per_epoch=1, epochs=1),
    ],
)
def test_impossible_schedules_are_refused(make):
    with pytest.raises(UsageError):
        make()
