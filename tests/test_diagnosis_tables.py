"""What tables do to a run, each planted beside a healthy twin: named first where it is, and not where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas
import pytest

from anyarray_mlp import MLP, train_table
from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.diagnosis.held_out import Rows, crowding, moved_columns
from anyarray_mlp.diagnosis.references import learnable
from anyarray_mlp.diagnosis.values import (
    code_columns,
    filled_columns,
    outliers,
    placeholder,
    two_units,
)
from tests.diagnosed import diagnosed_fit

N = 700
RNG = np.random.default_rng


def frame(**columns: Any) -> pandas.DataFrame:
    """A healthy table: three numbers, a category, and a target of classes that they tell."""
    rng = RNG(1)
    table = pandas.DataFrame(
        {
            "age": rng.uniform(20, 80, N).round(1),
            "height": rng.normal(170, 9, N),
            "pulse": rng.normal(70, 8, N),
            "town": rng.choice(["here", "there", "elsewhere"], N),
        }
    )
    score = (table.age - 50) / 17 * (table.height - 170) / 9 + (table.pulse - 70) / 8
    return table.assign(kind=np.where(score > 0, "calm", "lively"), **columns)


def amounts(**columns: Any) -> pandas.DataFrame:
    """The same with a target of values."""
    table = frame().drop(columns="kind")
    value = 3 * (table.age - 50) / 17 + (table.height - 170) / 9 + (table.pulse - 70) / 8
    return table.assign(**columns, value=(50 + 10 * value).round(2))


def last(table: pandas.DataFrame, name: str) -> pandas.DataFrame:
    return table[[*table.columns.drop(name), name]]


def with_outlier() -> pandas.DataFrame:
    table = frame()
    table.loc[7, "age"] = 1e6
    return table


def with_units() -> pandas.DataFrame:
    table = frame()
    table["height"] = np.where(RNG(2).random(N) < 0.2, table.height / 100, table.height)
    return table


def with_placeholder() -> pandas.DataFrame:
    table = amounts()
    table.loc[RNG(3).random(N) < 0.05, "value"] = -9999.0
    return table


def with_codes() -> pandas.DataFrame:
    shop = RNG(4).integers(0, 30, N)
    level = RNG(5).permutation(np.linspace(-3, 3, 30))[shop]
    return amounts(shop=200 + 7 * shop).assign(value=lambda t: t.pop("value") + 20 * level)


def with_gaps() -> pandas.DataFrame:
    table = frame(salt=RNG(6).normal(size=N))
    table.loc[RNG(7).random(N) < 0.95, "salt"] = np.nan
    return last(table, "kind")


def with_numbers_only() -> pandas.DataFrame:
    draw = RNG(8).choice(10**6, (2, N), replace=False) + 10**6
    return pandas.DataFrame({"visitor": draw[0], "thing": draw[1], "kind": frame().kind})


def with_spellings() -> pandas.DataFrame:
    table = frame()
    rows = RNG(9).random(N) < 0.3
    table.loc[rows, "kind"] = table.kind[rows].str.capitalize()
    return table


def with_class_numbers() -> pandas.DataFrame:
    table = frame()
    sector = np.digitize(np.arctan2(table.pulse - 70, table.height - 170), [-2, -0.5, 0.8, 2])
    code = np.array([0, 4, 1, 3, 2])[sector]
    return table.drop(columns="kind").assign(code=code)


def with_steps() -> pandas.DataFrame:
    table = amounts()
    rank = table.value + RNG(10).normal(0, 15, N)
    return table.assign(value=np.digitize(rank, np.linspace(0, 100, 12)))


def with_two_scales() -> pandas.DataFrame:
    table = amounts()
    big = 200 + table.value
    return table.assign(value=np.where(RNG(11).random(N) < 0.3, big / 1000, big))


def with_oversampling() -> pandas.DataFrame:
    table = frame()
    rare = table[table.kind == "calm"].iloc[:12]
    return pandas.concat([table[table.kind == "lively"], *[rare] * 30], ignore_index=True)


def with_groups() -> pandas.DataFrame:
    rng = RNG(12)
    person = rng.integers(0, 50, N)
    traits = rng.normal(size=(50, 6))[person] + 0.05 * rng.normal(size=(N, 6))
    table = pandas.DataFrame(traits, columns=list("abcdef"))
    return table.assign(kind=np.where(rng.integers(0, 2, 50)[person] == 1, "ill", "well"))


def with_zigzag() -> pandas.DataFrame:
    table = frame()
    offset = np.where(RNG(13).random(N) < 0.5, 1.0, -1.0)
    outcome = offset * np.where(table.kind == "calm", 1.0, 3.0) + 0.1 * RNG(14).normal(size=N)
    return last(table.assign(outcome=outcome), "kind")


def with_two_leaks() -> pandas.DataFrame:
    table = amounts().assign(value=lambda t: t.value + 40 * RNG(19).normal(size=N))
    base = 100 * RNG(15).normal(size=N)
    return last(table.assign(before=base, after=base + table.value), "value")


def with_tangle() -> pandas.DataFrame:
    x = RNG(16).normal(size=(N, 3))
    kind = np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
    return pandas.DataFrame(x, columns=list("abc")).assign(kind=kind)


SETTINGS: dict[str, Any] = {"epochs": 40, "hidden_layer_sizes": (32,), "keep_epoch": "best"}
SETTINGS |= {"learning_rate_init": 3e-3, "validation_fraction": 0.3, "numbers": "standard"}


def ramp(generator: Any, i: int, o: int) -> Any:
    return generator.uniform(0.0, 0.5, (i, o))


PLANTED: dict[str, tuple[Callable[[], pandas.DataFrame], dict[str, Any], str]] = {
    "input_outliers": (with_outlier, {}, "column 'age' (up to 1000000)"),
    "mixed_units": (with_units, {}, "column 'height': 23% of the rows are about 99 times"),
    "target_placeholder": (with_placeholder, {}, "% of the targets are -9999"),
    "codes_as_numbers": (with_codes, {}, "column 'shop', with 30 values"),
    "mostly_missing": (with_gaps, {}, "column 'salt'"),
    "inputs_name_rows": (with_numbers_only, {"keep": ["visitor", "thing"]}, "'visitor', 'thing'"),
    "class_spellings": (with_spellings, {}, "'Calm' and 'calm'"),
    "classes_as_values": (with_class_numbers, {"task": "regression"}, "5 values"),
    "values_as_classes": (with_steps, {"task": "classification"}, "classes are numbers"),
    "two_scales": (with_two_scales, {}, "32% of the targets are about 1,000 times"),
    "repeated_rows": (with_oversampling, {}, "of class 'calm' 100% do"),
    "near_copies": (with_groups, {}, "times as near as all others"),
    "leaking_column": (with_zigzag, {}, "'outcome'"),
    "leak of two": (with_two_leaks, {}, "columns 'before' and 'after'"),
    "linear_network": (with_tangle, {"activation": "identity"}, "boosted trees"),
    "no hidden layer": (with_tangle, {"hidden_layer_sizes": ()}, "there is no hidden layer"),
    "momentum_too_high": (
        frame,
        {"optimizer": "momentum", "momentum": 0.999, "learning_rate_init": 0.02},
        "1000 steps",
    ),
    "warm_up_too_long": (frame, {"warm_up": 4000}, "the rate rises for 4,000 epochs"),
    "weights_too_strong": (frame, {"class_weight": {"calm": 1000.0}}, "times as much"),
    "dropout_too_strong": (
        with_tangle,
        {"hidden_layer_sizes": (8,), "dropout": 0.5},
        "dropout=0.5",
    ),
    "bad_initial_scale": (frame, {"initializer": ramp}, "the same sign"),
}
CAUSE = {"leak of two": "leaking_column", "no hidden layer": "linear_network"}


@cache
def diagnosis_of(name: str) -> Diagnosis:
    make, options, _ = PLANTED[name]
    found = train_table(make(), **{**SETTINGS, **options}).diagnosis
    assert found is not None
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", PLANTED)
def test_what_was_planted_in_a_table_comes_first(name: str) -> None:
    diagnosis = diagnosis_of(name)
    assert diagnosis.first is not None
    assert diagnosis.first.cause == CAUSE.get(name, name), diagnosis.report()
    assert PLANTED[name][2] in diagnosis.first.evidence


def test_codes_that_are_read_as_texts_help() -> None:
    best = diagnosis_of("codes_as_numbers").try_cures(60).best
    assert best is not None
    assert best.change["text"] == ("shop",)
    assert min(best.after) > max(best.before) + 0.1


@pytest.mark.parametrize("make", [frame, amounts])
def test_healthy_tables_are_silent(make: Callable[[], pandas.DataFrame]) -> None:
    diagnosis = train_table(make(), **SETTINGS).diagnosis
    assert diagnosis is not None
    assert diagnosis.alarms == (), diagnosis.report()


def test_test_rows_in_another_unit_are_told() -> None:
    table = frame()
    test = table.iloc[:150].assign(height=lambda t: t.height * 10)
    diagnosis = train_table(table.iloc[150:], test=test, **SETTINGS).diagnosis
    assert diagnosis is not None
    found = {finding.cause: finding for finding in diagnosis.alarms}
    assert (
        "column 'height' has mean 1682.9, in training 170.53"
        in found["test_unlike_training"].evidence
    )


def test_validation_columns_in_another_order_are_told() -> None:
    rng = RNG(20)
    x = np.stack([rng.exponential(size=1200), rng.uniform(size=1200), rng.normal(size=1200)], 1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = (x[:, 0] > x[:, 1]).astype(np.int64)
    for moved, wanted in ((False, False), (True, True)):
        held = x[800:, [1, 0, 2]] if moved else x[800:]
        _, found = diagnosed_fit(
            MLP((3, 16, 2)), x[:800], y[:800], epochs=20, validation=(held, y[800:])
        )
        assert ("validation_columns_moved" in {f.cause for f in found.alarms}) is wanted


def test_a_learner_that_does_better_is_named_where_nothing_else_is() -> None:
    from anyarray_mlp.diagnosis.references import Learnable, Reference
    from anyarray_mlp.diagnosis.report import diagnose_run

    table = frame()
    record = train_table(table, **SETTINGS).diagnosis.record  # type: ignore[union-attr]
    trees = Reference("boosted trees", 0.95, 0.5, 0.05)
    outcome = replace(record.outcome, learnable=Learnable((trees,)), validation_skill=0.45)
    settled = replace(record.curve, loss=(0.6,) * 40, validation_loss=(0.6,) * 40)
    outcome = replace(outcome, training_skill=0.9)
    found = diagnose_run(replace(record, outcome=outcome, curve=settled))
    assert found.first is not None
    assert found.first.cause == "falls_short"
    assert "boosted trees, which learned from the same rows, reach 98%" in found.first.evidence


def test_other_learners_reach_what_can_be_learned() -> None:
    rng = RNG(21)
    x = rng.normal(size=(800, 4))
    tangled, straight = (x[:, 0] * x[:, 1] > 0).astype(int), x @ [1.0, 2.0, 0.0, -1.0]
    half = slice(0, 500), slice(500, 800)
    for targets, classes, best in (
        (tangled, tangled, "trees"),
        (straight[:, None], None, "linear"),
    ):
        known, held = (
            Rows(x[part], targets[part], None if classes is None else classes[part])
            for part in half
        )
        found = learnable(known, held, np.zeros((300, 2 if classes is not None else 1)))
        assert found.best is not None
        assert best in found.best.name
        assert found.best.skill > 0.75
        assert found.best.lead > 5 * found.best.noise


def test_noise_tells_no_learner_anything() -> None:
    rng = RNG(22)
    x, classes = rng.normal(size=(600, 5)), rng.integers(0, 2, 600)
    found = learnable(Rows(x, classes, classes), None, None)
    assert len(found.references) == 3
    assert found.best is not None
    assert found.best.skill < 0.3


@pytest.mark.parametrize("values", [RNG(1).lognormal(0, 2, 800), RNG(1).standard_t(2, 800)])
def test_long_tails_are_no_outliers(values: Any) -> None:
    assert outliers(values) is None
    assert outliers(np.append(values, 1e7)) == (1, 1e7)
    assert two_units(np.abs(values)) is None
    assert placeholder(values) is None


def test_amounts_are_no_codes() -> None:
    rng = RNG(2)
    count = rng.integers(0, 20, 900)
    for level in (count, np.sin(count / 3.0), count > 10):
        wanted = (level + 0.3 * rng.normal(size=900))[:, None]
        assert list(code_columns(count[:, None].astype(float), np.array([0]), wanted)) == []


def test_many_zeros_are_no_gaps() -> None:
    rain = np.where(RNG(3).random(900) < 0.8, 0.0, RNG(4).exponential(size=900))
    assert list(filled_columns(np.sort(rain)[None], np.array([0]))) == []


def test_dense_rows_are_no_copies() -> None:
    x = RNG(5).normal(size=(1000, 5))
    assert crowding(x[:700], x[700:]) < 3.0  # type: ignore[operator]
    near = x[:300] + 1e-3 * RNG(6).normal(size=(300, 5))
    assert crowding(x[:700], near) > 10.0  # type: ignore[operator]


def test_columns_that_are_alike_have_not_moved() -> None:
    x = RNG(7).normal(size=(900, 6))
    unlike, moved, _ = moved_columns(x[:600], x[600:], np.ones(6, dtype=bool))
    assert unlike == moved == 0.0


@pytest.mark.parametrize(("rows", "by_chance"), [(12, True), (400, False)])
def test_overfitting_is_not_told_from_a_few_rows(rows: int, by_chance: bool) -> None:
    from anyarray_mlp.diagnosis.rules.validation import by_chance as may_be

    record = train_table(frame(), **SETTINGS).diagnosis.record  # type: ignore[union-attr]
    scores = {
        "training_skill": 1.0,
        "chance": 0.5,
        "validation_skill": 0.6,
        "validation_chance": 0.5,
    }
    outcome = replace(record.outcome, **scores)
    data = replace(record.data, n_validation=rows)
    assert may_be(replace(record, outcome=outcome, data=data)) is by_chance
