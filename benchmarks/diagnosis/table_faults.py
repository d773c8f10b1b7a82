"""Tables with one fault planted in each: what people do to tables, targets, splits and settings.

Each planter takes a healthy case and its generator, and returns the case with one fault. The tables are those of
`benchmarks.tables`, of which no rule was tuned on those that are set aside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.diagnosis.planted_faults import Generator, generator
from benchmarks.tables.sources import all_sources, read

TARGET = "target"
MOST_ROWS = 900
#: Tables that rules may be tuned on.
CLASSES = (
    "attrition",
    "car_evaluation",
    "cells",
    "churn_modelling",
    "german_credit",
    "hpc_jobs",
    "hr_left",
    "hmeq",
    "online_shoppers",
    "magic",
    "mlc_churn",
    "segment",
    "spambase",
    "vehicle",
    "vowel",
)
VALUES = (
    "abalone",
    "airbnb_chicago",
    "body_dimensions",
    "car_prices",
    "insurance",
    "king_county",
    "taxi_fares",
    "wine_white",
    "windsor_houses",
)
#: Tables that are looked at once.
ASIDE_CLASSES = (
    "bank_churners",
    "credit_status",
    "flight_delays",
    "hotel_cancellation",
    "phoneme",
    "taxi_tip",
    "telco_churn",
)
ASIDE_VALUES = (
    "birth_weight",
    "concrete",
    "diamonds",
    "hotel_rates",
    "life_expectancy",
    "sacramento_homes",
    "student_portuguese",
)


@dataclass(frozen=True)
class Case:
    """A call of `train_table` before it is made; `alter` changes its plan, `accept` are the right causes."""

    table: str
    task: str
    frame: pd.DataFrame
    options: dict[str, Any]
    fault: str = ""
    accept: tuple[str, ...] = ()
    subtle: bool = False
    alter: Callable[[Any], Any] | None = None
    notes: list[str] = field(default_factory=list)

    def with_options(self, **options: Any) -> Case:
        return replace(self, options={**self.options, **options})

    def with_column(self, **columns: Any) -> Case:
        frame = self.frame.assign(**columns)
        target = frame.pop(TARGET)
        return replace(self, frame=frame.assign(**{TARGET: target}))

    @property
    def numbers(self) -> list[str]:
        """Columns of many numbers, those that say most about the target first."""
        found = [
            name
            for name in self.frame.columns.drop(TARGET)
            if pd.api.types.is_numeric_dtype(self.frame[name]) and self.frame[name].nunique() > 12
        ]
        y = self.frame[TARGET]
        values = y if self.task == "regression" else pd.Series(pd.factorize(y)[0], index=y.index)

        def told(name: str) -> float:
            column = self.frame[name].rank(pct=True).fillna(0.5)
            return float(values.groupby((column * 8).astype(int)).mean().std())

        return sorted(found, key=told, reverse=True)


@cache
def sample(name: str, folder: Path) -> tuple[str, pd.DataFrame]:
    """The task of a table and at most `MOST_ROWS` of its rows, with the target as its last column."""
    source = all_sources()[name]
    table = read(source, folder)
    frame = table.features.assign(**{TARGET: table.target})
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=1)
    if source.task == "classification":
        counts = frame[TARGET].value_counts()
        frame = frame[frame[TARGET].isin(counts.index[counts >= 12])]
    return source.task, frame.reset_index(drop=True)


def healthy(name: str, seed: int, folder: Path) -> Case:
    """A run as somebody who knows the trade types it."""
    rng = generator("table", name, seed)
    task, frame = sample(name, folder)
    frame = frame.sample(frac=1.0, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    options = {
        "hidden_layer_sizes": [(64,), (32, 32), (64, 32)][rng.integers(3)],
        "activation": str(rng.choice(["relu", "relu", "tanh", "gelu"])),
        "learning_rate_init": float(rng.choice([1e-3, 3e-3])),
        "epochs": 40,
        "batch_size": int(rng.choice([16, 32])),
        "keep_epoch": "best",
        "validation_fraction": 0.25,
        "seed": seed,
        "task": task,
    }
    return Case(name, task, frame, options)


Planter = Callable[[Case, Generator], Case]
FAULTS: dict[str, tuple[Planter, tuple[str, ...], str, bool]] = {}


def fault(*accept: str, on: str = "both", subtle: bool = False) -> Callable[[Planter], Planter]:
    """Register a planter with the causes that are right besides its own name, its tasks, and whether it is subtle."""

    def register(planter: Planter) -> Planter:
        FAULTS[planter.__name__] = (planter, accept, on, subtle)
        return planter

    return register


def suited(name: str, tables: list[str]) -> list[str]:
    """The tables that a fault can be planted in."""
    on = FAULTS[name][2]
    sources = all_sources()
    return [table for table in tables if on in ("both", sources[table].task)]


def planted(name: str, table: str, seed: int, folder: Path) -> Case:
    planter, accept, _, subtle = FAULTS[name]
    case = planter(healthy(table, seed, folder), generator(name, table, seed))
    return replace(case, fault=name, accept=(name, *accept), subtle=subtle)


def some(n: int, share: float, rng: Generator) -> np.ndarray:
    return rng.choice(n, max(1, round(share * n)), replace=False)


def edited(case: Case, column: str, rows: Any, values: Any) -> Case:
    frame = case.frame.copy()
    text = not pd.api.types.is_numeric_dtype(frame[column])
    frame[column] = frame[column].astype(object if text else float)
    frame.loc[rows, column] = values
    return replace(case, frame=frame)


# --- inputs --------------------------------------------------------------------------------------


@fault()
def input_outliers(case: Case, rng: Generator) -> Case:
    """A cell or two of the most telling columns slip by many digits."""
    for name in case.numbers[:3]:
        rows = rng.choice(len(case.frame), 2, replace=False)
        case = edited(case, name, rows, 1e4 * float(case.frame[name].abs().max() + 1))
    return case


@fault("underfitting", subtle=True)
def codes_as_numbers(case: Case, rng: Generator) -> Case:
    """Numbers of stores, each with its own level of the target."""
    code = rng.integers(0, 30, len(case.frame))
    level = rng.permutation(np.linspace(-2.0, 2.0, 30))[code]
    numbers = rng.permutation(np.arange(100, 1000))[:30][code]
    y = case.frame[TARGET]
    if case.task == "regression":
        target = (y - y.mean()) / y.std() + 1.5 * level
    else:
        target = np.where(level + 0.3 * rng.normal(size=len(y)) > 0, "yes", "no")
    return replace(case, frame=case.frame.assign(**{TARGET: target})).with_column(store=numbers)


@fault("inputs_name_rows", subtle=True)
def identifier_column(case: Case, rng: Generator) -> Case:
    """Sparse numbers of customers beside the other columns."""
    numbers = rng.choice(10**7, len(case.frame), replace=False) + 10**7
    return case.with_column(folio=numbers)


@fault("unscaled_inputs", "input_outliers")
def mixed_units(case: Case, rng: Generator) -> Case:
    """Part of the rows in a unit a thousand times smaller."""
    for name in case.numbers[:2]:
        rows = some(len(case.frame), 0.1, rng)
        case = edited(case, name, rows, case.frame.loc[rows, name] * 1000.0)
    return case


@fault(subtle=True)
def clipped_values(case: Case, rng: Generator) -> Case:
    """The most telling columns end at their 60th percentile."""
    for name in case.numbers[:2]:
        column = case.frame[name]
        case = edited(case, name, column.index, column.clip(upper=column.quantile(0.6)))
    return case


@fault(subtle=True)
def mostly_missing(case: Case, rng: Generator) -> Case:
    """Columns with a value in a twentieth of the rows."""
    for name in case.numbers[:2]:
        case = edited(case, name, some(len(case.frame), 0.95, rng), np.nan)
    return case


@fault("constant_column", "identifier_column", "shuffled_labels")
def inputs_name_rows(case: Case, rng: Generator) -> Case:
    """Nothing but numbers of users and items, which tell nothing of the target."""
    n = len(case.frame)
    return replace(
        case,
        frame=pd.DataFrame(
            {
                "visitor": rng.choice(10**6, n, replace=False) + 10**6,
                "thing": rng.choice(10**6, n, replace=False) + 10**6,
                TARGET: case.frame[TARGET].to_numpy(),
            }
        ),
    )


# --- targets -------------------------------------------------------------------------------------


@fault("target_outliers", on="regression")
def target_placeholder(case: Case, rng: Generator) -> Case:
    return edited(case, TARGET, some(len(case.frame), 0.05, rng), -9999.0)


@fault(on="classification")
def class_spellings(case: Case, rng: Generator) -> Case:
    """A quarter of the labels in another case or with a blank, as another hand wrote them."""
    y = case.frame[TARGET].astype(str)
    if not y.str.contains("[a-z]", case=False).all():
        y = "class " + y
    rows = some(len(y), 0.3, rng)
    case = replace(case, frame=case.frame.assign(**{TARGET: y}))
    other = y[rows].map(lambda text: text.upper() if text != text.upper() else text.lower())
    return edited(case, TARGET, rows, other)


@fault(on="classification", subtle=True)
def label_noise(case: Case, rng: Generator) -> Case:
    """A fifth of the labels are those of other rows."""
    rows = some(len(case.frame), 0.2, rng)
    return edited(case, TARGET, rows, rng.permutation(case.frame[TARGET].to_numpy()[rows]))


@fault("label_noise", subtle=True)
def half_shuffled(case: Case, rng: Generator) -> Case:
    rows = some(len(case.frame), 0.5, rng)
    return edited(case, TARGET, rows, rng.permutation(case.frame[TARGET].to_numpy()[rows]))


@fault()
def shuffled_labels(case: Case, rng: Generator) -> Case:
    target = rng.permutation(case.frame[TARGET].to_numpy())
    return replace(case, frame=case.frame.assign(**{TARGET: target}))


@fault(on="classification")
def classes_as_values(case: Case, rng: Generator) -> Case:
    """Class numbers, learned as a regression."""
    codes = pd.factorize(case.frame[TARGET])[0]
    return replace(case, frame=case.frame.assign(**{TARGET: codes})).with_options(task="regression")


@fault(on="regression")
def values_as_classes(case: Case, rng: Generator) -> Case:
    """Numbers, rounded to some forty and learned as classes."""
    y = case.frame[TARGET]
    steps = np.minimum(np.floor(y.rank(pct=True) * 20), 19).astype(int)
    return replace(case, frame=case.frame.assign(**{TARGET: steps})).with_options(
        task="classification"
    )


@fault("target_outliers", on="regression")
def two_scales(case: Case, rng: Generator) -> Case:
    """A third of the targets in thousands."""
    rows = some(len(case.frame), 0.33, rng)
    y = case.frame[TARGET].abs() + case.frame[TARGET].std()
    case = replace(case, frame=case.frame.assign(**{TARGET: y}))
    return edited(case, TARGET, rows, y[rows] / 1000.0)


# --- splits --------------------------------------------------------------------------------------


@fault(on="classification")
def repeated_rows(case: Case, rng: Generator) -> Case:
    """A class was oversampled before the split, a hundred times over."""
    counts = case.frame[TARGET].value_counts()
    rare = counts.index[-1]
    part = case.frame[case.frame[TARGET] == rare]
    more = part.sample(min(12, len(part)), random_state=0)
    frame = pd.concat([case.frame[case.frame[TARGET] != rare], *[more] * (len(case.frame) // 24)])
    return replace(case, frame=frame.sample(frac=1.0, random_state=0).reset_index(drop=True))


@fault("repeated_rows", subtle=True)
def near_copies(case: Case, rng: Generator) -> Case:
    """Every row twice, the copy with a little noise."""
    frame = case.frame.sample(len(case.frame) // 2, random_state=0)
    copy = frame.copy()
    for name in case.numbers:
        copy[name] = copy[name] + 1e-3 * frame[name].std() * rng.normal(size=len(copy))
    both = pd.concat([frame, copy]).sample(frac=1.0, random_state=0)
    return replace(case, frame=both.reset_index(drop=True))


@fault("near_copies", "repeated_rows", subtle=True)
def grouped_rows(case: Case, rng: Generator) -> Case:
    """Ten measurements of each of some people, whose label is theirs and has to do with nothing else."""
    n = len(case.frame)
    people = max(20, n // 12)
    person = rng.integers(0, people, n)
    traits = rng.normal(size=(people, 6))[person] + 0.05 * rng.normal(size=(n, 6))
    label = rng.integers(0, 2, people)[person]
    columns = {f"trait{i}": traits[:, i] for i in range(6)}
    target = np.where(label == 1, "ill", "well")
    case = replace(case, task="classification", frame=pd.DataFrame({**columns, TARGET: target}))
    return case.with_options(task="classification")


@fault("validation_unlike_training")
def validation_columns_moved(case: Case, rng: Generator) -> Case:
    """The validation rows have their columns in another order."""

    def alter(plan: Any) -> Any:
        x, targets = plan.validation
        return replace(plan, validation=(np.ascontiguousarray(x[:, ::-1]), targets))

    return replace(case, alter=alter)


@fault(subtle=True)
def test_unlike_training(case: Case, rng: Generator) -> Case:
    """The test rows have a column in another unit."""
    names = case.numbers[:2]
    test = case.frame.sample(frac=0.2, random_state=3)
    rest = case.frame.drop(test.index)
    for name in names:
        test = test.assign(**{name: test[name] * 10.0 + 3.0 * test[name].std()})
    if case.task == "classification":
        test = test[test[TARGET].isin(rest[TARGET].unique())]
    return replace(case, frame=rest.reset_index(drop=True)).with_options(
        test=test.reset_index(drop=True)
    )


# --- leaks ---------------------------------------------------------------------------------------


def numbers_of(case: Case) -> np.ndarray:
    y = case.frame[TARGET]
    return (y if case.task == "regression" else pd.Series(pd.factorize(y)[0])).to_numpy(dtype=float)


@fault()
def leaking_column(case: Case, rng: Generator) -> Case:
    """The target again, with a little noise."""
    y = numbers_of(case)
    return case.with_column(outcome=y + 0.01 * y.std() * rng.normal(size=len(y)))


@fault("leaking_column", subtle=True)
def leak_not_monotone(case: Case, rng: Generator) -> Case:
    """A column that is a zigzag of the target."""
    y = numbers_of(case)
    folded = np.abs(y - np.median(y)) + 1e-3 * y
    if case.task == "classification":
        folded = rng.permutation(int(y.max()) + 1)[y.astype(int)] * 7.0
        folded = np.where(rng.random(len(y)) < 0.5, folded, folded + 100.0) + 0.1 * rng.normal(
            size=len(y)
        )
    return case.with_column(outcome=folded)


@fault("leaking_column", on="classification", subtle=True)
def leak_in_gaps(case: Case, rng: Generator) -> Case:
    """A column has a value only in rows of some classes."""
    y = numbers_of(case)
    column = rng.normal(size=len(y))
    column[y >= max(1, (y.max() + 1) // 2)] = np.nan
    return case.with_column(discharge=column)


@fault("leaking_column", subtle=True)
def leak_of_two(case: Case, rng: Generator) -> Case:
    """Two columns whose difference is the target."""
    y = numbers_of(case)
    base = 5.0 * y.std() * rng.normal(size=len(y))
    return case.with_column(before=base, after=base + y)


# --- settings ------------------------------------------------------------------------------------


def tangled(case: Case, rng: Generator) -> Case:
    """The case with a target that no weighted sum of its columns tells."""
    first, second = rng.normal(size=(2, len(case.frame)))
    y = first * second + 0.1 * rng.normal(size=len(first))
    target = y if case.task == "regression" else np.where(y > 0, "yes", "no")
    frame = case.frame.assign(**{TARGET: target})[[*case.numbers[:3], TARGET]]
    return replace(case, frame=frame).with_column(first=first, second=second)


@fault()
def linear_network(case: Case, rng: Generator) -> Case:
    return tangled(case, rng).with_options(activation="identity")


@fault("too_few_epochs")
def batch_too_large(case: Case, rng: Generator) -> Case:
    return case.with_options(batch_size=len(case.frame), epochs=20, learning_rate_init=1e-3)


@fault()
def too_few_epochs(case: Case, rng: Generator) -> Case:
    return case.with_options(epochs=2, learning_rate_init=1e-3, batch_size=32)


@fault(subtle=True)
def dropout_too_strong(case: Case, rng: Generator) -> Case:
    return case.with_options(hidden_layer_sizes=(16, 16), dropout=0.5)


@fault("learning_rate_too_high")
def momentum_too_high(case: Case, rng: Generator) -> Case:
    return case.with_options(optimizer="momentum", momentum=0.999, learning_rate_init=0.02)


@fault("learning_rate_too_low", "too_few_epochs")
def warm_up_too_long(case: Case, rng: Generator) -> Case:
    return case.with_options(warm_up=4000, learning_rate_init=1e-3)


@fault("class_imbalance", on="classification")
def weights_too_strong(case: Case, rng: Generator) -> Case:
    """A weight of a thousand for one class."""
    labels = sorted(case.frame[TARGET].unique())
    return case.with_options(class_weight={labels[0]: 1000.0})


@fault()
def bad_initial_scale(case: Case, rng: Generator) -> Case:
    """Positive weights."""

    def positive(generator: Generator, i: int, o: int) -> np.ndarray:
        return generator.uniform(0.0, 0.5, (i, o))

    return case.with_options(initializer=positive)


@fault("bad_initial_scale")
def units_alike(case: Case, rng: Generator) -> Case:
    def same(generator: Generator, i: int, o: int) -> np.ndarray:
        return np.full((i, o), 0.1)

    return case.with_options(initializer=same)


@fault()
def learning_rate_too_high(case: Case, rng: Generator) -> Case:
    return case.with_options(learning_rate_init=float(rng.choice([0.3, 1.0])))


@fault()
def learning_rate_too_low(case: Case, rng: Generator) -> Case:
    return case.with_options(learning_rate_init=float(rng.choice([1e-6, 1e-7])))


@fault()
def underfitting(case: Case, rng: Generator) -> Case:
    return tangled(case, rng).with_options(hidden_layer_sizes=(1,), activation="tanh")


@fault("unscaled_inputs")
def unscaled_inputs(case: Case, rng: Generator) -> Case:
    frame = case.frame.copy()
    for name in case.numbers:
        frame[name] = frame[name] * 1000.0 + 5000.0
    return replace(case, frame=frame).with_options(standardize=False)


@fault(subtle=True)
def overfitting(case: Case, rng: Generator) -> Case:
    """Few rows, a large network, many epochs."""
    frame = case.frame
    by = frame[TARGET] if case.task == "classification" else np.zeros(len(frame))
    part = frame.groupby(by, group_keys=False).sample(frac=0.25, random_state=0)
    return replace(case, frame=part.reset_index(drop=True)).with_options(
        hidden_layer_sizes=(200,), keep_epoch="last", epochs=120, learning_rate_init=3e-3
    )
