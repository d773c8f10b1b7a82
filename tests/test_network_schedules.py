"""Learning rates as functions of the step."""

from __future__ import annotations

import json
import math

import pytest

from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.schedules import (
    SCHEDULES,
    ReduceOnPlateau,
    WarmUp,
    constant,
    cosine,
    coslog4,
    exponential,
    flat_cos,
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
        (cosine(0.1, total=100, final=0.02), {0: 0.1, 50: 0.06, 100: 0.02, 150: 0.02, 500: 0.02}),
        (flat_cos(0.1, total=100), {0: 0.1, 50: 0.1, 75: 0.05, 100: 0.0, 130: 0.0}),
        # Whole turns after 1, 3, 7 and 15 of 15 parts; half of one where log2(1 + 15 t) is a half more.
        (coslog4(0.1, total=15), {0: 0.0, 1: 0.0, 3: 0.0, 7: 0.0, 15: 0.0, 99: 0.0}),
        (coslog4(0.1, total=15), {2: 0.05 * (1 - math.cos(2 * math.pi * math.log2(3)))}),
        (coslog4(0.1, total=15), {5: 0.05 * (1 - math.cos(2 * math.pi * math.log2(6)))}),
        (inverse_scaling(0.1, per_step=1.0, power=0.5), {0: 0.1, 3: 0.05, 99: 0.01}),
        (WarmUp(constant(0.1), 4), {0: 0.025, 3: 0.1, 4: 0.1}),
        (WarmUp(cosine(0.1, total=10), 5), {4: 0.1, 5: 0.1, 15: 0.0}),
    ],
)
def test_rates(schedule, rates):
    for step, rate in rates.items():
        assert schedule(step) == pytest.approx(rate, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("given", "written_out"),
    [
        (step_decay(0.3, 4), step_decay(0.3, 4, factor=0.1)),
        (exponential(0.3, 4), exponential(0.3, 4, factor=0.95)),
        (cosine(0.3, 4), cosine(0.3, 4, final=0.0)),
        (inverse_scaling(0.3), lambda step: 0.3 / math.sqrt(1 + step)),
        (make_schedule("constant", 0.3, steps_per_epoch=4, epochs=3), constant(0.3)),
        # 7 steps: spans of 3, as a third of them has a remainder.
        (make_schedule("step", 0.3, steps_per_epoch=7, epochs=1), step_decay(0.3, 3, 0.1)),
        (
            make_schedule("exponential", 0.3, steps_per_epoch=4, epochs=3),
            exponential(0.3, 12, 0.05),
        ),
        (make_schedule("cosine", 0.3, steps_per_epoch=4, epochs=3), cosine(0.3, 12, 0.0)),
        (make_schedule("flat_cos", 0.3, steps_per_epoch=4, epochs=3), flat_cos(0.3, 12)),
        (make_schedule("coslog4", 0.3, steps_per_epoch=4, epochs=3), coslog4(0.3, 12)),
        (
            make_schedule("invscaling", 0.3, steps_per_epoch=4, epochs=3),
            inverse_scaling(0.3, 0.25, 0.5),
        ),
        # Nothing is left after the warm-up, or nothing at all: the shortest spans there are.
        (make_schedule("cosine", 0.3, steps_per_epoch=0, epochs=3), cosine(0.3, 1)),
        (make_schedule("step", 0.3, steps_per_epoch=0, epochs=3), step_decay(0.3, 1)),
        (make_schedule("invscaling", 0.3, steps_per_epoch=0, epochs=3), inverse_scaling(0.3)),
        (
            make_schedule("exponential", 0.3, steps_per_epoch=2, epochs=5, warm_up_epochs=2),
            WarmUp(exponential(0.3, 6, 0.05), 4),
        ),
    ],
)
def test_what_is_not_given_is_what_the_documentation_says(given, written_out):
    for step in range(17):
        assert given(step) == pytest.approx(written_out(step), rel=1e-14, abs=1e-16)


def test_a_plateau_falls_to_a_fifth_after_five_epochs_by_default():
    schedule = make_schedule("plateau", 0.1, steps_per_epoch=4, epochs=3)
    rates = []
    # Each is less by just what counts as no progress, 1e-4 within the best of all so far.
    for value in (1.0, 1.0, 0.9999, 0.99995, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5):
        schedule.observe(value)
        rates.append(schedule(0))
    assert rates == [0.1] * 5 + [pytest.approx(0.02)] * 7 + [pytest.approx(0.004)]
    again = ReduceOnPlateau(0.1)
    for rate in [0.1] * 5 + [0.02] * 5 + [0.004]:
        again.observe(1.0)
        assert again(0) == pytest.approx(rate)
    least = ReduceOnPlateau(2e-6)
    for _ in range(6):
        least.observe(1.0)
    assert least(0) == 1e-6


def test_a_plateau_states_what_it_has_seen():
    schedule = ReduceOnPlateau(0.1)
    assert schedule.state() == {"rate": 0.1, "best": None, "waited": 0}
    for value in (2.0, 1.0, 1.0, 3.0):
        schedule.observe(value)
    assert schedule.state() == {"rate": 0.1, "best": 1.0, "waited": 2}
    other = ReduceOnPlateau(0.7)
    other.restore(schedule.state())
    assert other.state() == schedule.state()
    WarmUp(constant(0.1), 2).observe(1.0)  # one that learns nothing from it is not told


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


def test_names_of_other_libraries_are_known_and_a_constant_learns_nothing():
    step = make_schedule("StepLR", 0.3, steps_per_epoch=7, epochs=1)
    assert step(3) == make_schedule("step", 0.3, steps_per_epoch=7, epochs=1)(3) < 0.3
    assert not hasattr(make_schedule("constant", 0.3, steps_per_epoch=1, epochs=1), "observe")
    assert make_schedule("constant", 0.3, steps_per_epoch=0, epochs=0)(5) == 0.3


@pytest.mark.parametrize(
    ("name", "last"), [("cosine", 0.0), ("flat_cos", 0.0), ("exponential", 0.005), ("step", 1e-4)]
)
def test_spans_are_of_the_epochs_after_the_warm_up(name, last):
    schedule = make_schedule(name, 0.1, steps_per_epoch=10, epochs=8, warm_up_epochs=2)
    assert schedule(19) == schedule(20) == 0.1
    assert schedule(80) == pytest.approx(last, abs=1e-15)


def test_coslog4_rises_to_the_rate_four_times_and_has_the_bits_of_every_machine():
    schedule = coslog4(0.1, total=1500)
    rates = [schedule(step) for step in range(1501)]
    tops = [step for step in range(1, 1500) if rates[step - 1] < rates[step] >= rates[step + 1]]
    assert tops == [41, 183, 466, 1031]
    assert all(0.0999 < rates[step] <= 0.1 for step in tops)
    assert [coslog4(0.1, total=9)(step).hex() for step in (1, 4)] == BITS


#: Of the formula worked out operation by operation, whatever the machine's libm does.
BITS = ["0x1.7d1ac22eb33a5p-4", "0x1.e1aebbb8b27a7p-9"]


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "coslog4"])
def test_named_schedules_start_at_the_rate_and_never_exceed_it(name):
    schedule = make_schedule(name, 0.1, steps_per_epoch=10, epochs=6)
    rates = [schedule(step) for step in range(60)]
    assert rates[0] == 0.1
    assert all(0 <= rate <= 0.1 for rate in rates)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constant(0.0), "positive and finite, got 0.0"),
        (lambda: constant(math.inf), "positive and finite, got inf"),
        (lambda: step_decay(-0.1, every=1), "^rate must be positive and finite"),
        (lambda: step_decay(0.1, every=0), "every must be at least 1 and finite, got 0"),
        (
            lambda: step_decay(0.1, every=1, factor=1.1),
            r"factor must be a number in \(0, 1\], got 1.1",
        ),
        (lambda: exponential(-0.1, every=1), "^rate must be positive and finite"),
        (lambda: exponential(0.1, every=0), "^every"),
        (lambda: exponential(0.1, every=1, factor=1.5), "^factor"),
        (lambda: cosine(math.nan, total=5), "^rate must be positive and finite"),
        (lambda: cosine(0.1, total=0), "total must be at least 1"),
        (
            lambda: cosine(0.1, total=5, final=0.2),
            r"final must be a number in \[0, 0.1\], the rate, got 0.2",
        ),
        (lambda: cosine(0.1, total=5, final=-0.1), "final"),
        (lambda: inverse_scaling(0.0), "^rate must be positive and finite"),
        (
            lambda: inverse_scaling(0.1, per_step=0.0),
            "per_step must be positive and finite, got 0.0",
        ),
        (lambda: inverse_scaling(0.1, power=-1.0), "power must be at least 0 and finite, got -1.0"),
        (lambda: WarmUp(constant(0.1), 0), "steps must be at least 1"),
        (lambda: WarmUp(constant(0.1), math.inf), "^steps must be at least 1 and finite, got inf"),
        (lambda: WarmUp(0.1, 3), "^schedule must be a schedule: a function of the step, got 0.1"),
        (lambda: ReduceOnPlateau(0.0), "^rate must be positive and finite"),
        (lambda: ReduceOnPlateau(0.1, factor=0.0), "^factor"),
        (lambda: ReduceOnPlateau(0.1, patience=0), "patience must be a whole number of at least 1"),
        (lambda: ReduceOnPlateau(0.1, tol=-0.1), "^tol must be at least 0 and finite, got -0.1"),
        (lambda: ReduceOnPlateau(0.1, minimum=-0.1), "^minimum must be at least 0 and finite"),
        (
            lambda: make_schedule("linear", 0.1, steps_per_epoch=1, epochs=1),
            "^learning_rate must be one of constant, step, exponential, cosine, flat_cos, coslog4, invscaling, "
            "plateau, got 'linear'",
        ),
        (lambda: flat_cos(0.0, total=3), "^rate must be positive and finite"),
        (lambda: flat_cos(0.1, total=0), "^total must be at least 1"),
        (lambda: coslog4(0.0, total=3), "^rate must be positive and finite"),
        (lambda: coslog4(0.1, total=0), "^total must be at least 1"),
        (
            lambda: make_schedule("coslog4", 0.1, steps_per_epoch=1, epochs=3, warm_up_epochs=1),
            "^coslog4 rises from zero by itself: leave warm_up out",
        ),
        *(
            (
                lambda span=span: make_schedule(
                    "step", 0.1, **{"steps_per_epoch": 1, "epochs": 1, span: -1}
                ),
                f"^{span} must be a whole number of at least 0, got -1",
            )
            for span in ("steps_per_epoch", "epochs", "warm_up_epochs")
        ),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_settings_at_their_ends_are_taken():
    assert step_decay(0.1, every=1, factor=1.0)(9) == 0.1
    assert cosine(0.1, total=1, final=0.1)(1) == pytest.approx(0.1)
    assert inverse_scaling(0.1, power=0.0)(9) == 0.1
    assert constant(2.0)(0) == 2.0
