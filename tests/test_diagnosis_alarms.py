"""No alarm about what the package makes of a table itself: findings are about its columns, and about all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas
import pytest

from anyarray_mlp import MLP, EarlyStopping
from anyarray_mlp.data import Preprocessor
from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.diagnosis.data_summary import DataSummary, summarize_data
from anyarray_mlp.diagnosis.held_out import shift_between
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.report import diagnose_run
from anyarray_mlp.errors import UsageError
from tests.diagnosed import diagnosed_fit

RNG = np.random.default_rng(11)
N = 600


def table_of(**columns: Any) -> pandas.DataFrame:
    """A healthy table: numbers, a number of two values, two, three and many categories, a gap, a boolean."""
    rng = np.random.default_rng(5)
    texts = {
        "sex": rng.choice(["female", "male"], N),
        "smoker": np.where(rng.random(N) < 0.97, "no", "yes"),
        "answer": rng.choice(np.array(["no", "yes", None], dtype=object), N),
        "colour": rng.choice(["blue", "green", "red"], N),
        "town": rng.choice([f"town {i}" for i in range(40)], N, p=np.arange(1, 41) / 820),
    }
    numbers = {
        "age": rng.normal(40.0, 12.0, N),
        "income": rng.lognormal(10.0, 1.0, N),
        "code": rng.integers(1, 3, N),
        "member": rng.random(N) < 0.3,
    }
    return pandas.DataFrame({**numbers, **texts, **columns})


def label_of(table: pandas.DataFrame) -> np.ndarray:
    noise = np.random.default_rng(6).normal(size=len(table))
    return (
        (table["age"] - 40.0) / 12.0 + 1.5 * (table["sex"] == "male") - 0.75 + 0.5 * noise > 0
    ).to_numpy(dtype=np.int64)


def summary_of(
    table: pandas.DataFrame, keep: Sequence[str] = (), **options: Any
) -> tuple[DataSummary, list[str]]:
    """The summary, and of each input the name of the column that it was made of."""
    fitted = Preprocessor.fit(table, keep=keep)
    x = fitted.transform(table)
    mlp = MLP((x.shape[1], 4, 2))
    summary = summarize_data(mlp, x, label_of(table), sources=fitted.sources, **options)
    return summary, [fitted.names[place] for place in fitted.sources]


def diagnosis_of(table: pandas.DataFrame, rows: slice = slice(0, 480)) -> Diagnosis:
    fitted = Preprocessor.fit(table.iloc[rows], vocabulary=table)
    x, y = fitted.transform(table), label_of(table)
    return diagnosed_fit(
        MLP((x.shape[1], 16, 2)),
        x[rows],
        y[rows],
        epochs=15,
        validation=(x[rows.stop :], y[rows.stop :]),
        column_names=fitted.names,
        sources=fitted.sources,
    )[1]


def test_a_healthy_table_of_all_kinds_of_columns_is_silent() -> None:
    diagnosis = diagnosis_of(table_of())
    assert diagnosis.alarms == (), diagnosis.report()
    assert diagnosis.record.data.columns == 9


def test_categories_that_exclude_each_other_are_no_duplicates() -> None:
    """Where another row has the gap, two categories of the rows trained on are two columns, each the other's copy."""
    table = table_of()
    table.loc[N - 1, "sex"] = None
    assert "sex=female" in Preprocessor.fit(table).encoded_names
    diagnosis = diagnosis_of(table)
    assert diagnosis.record.data.n_duplicates == 0
    assert diagnosis.alarms == (), diagnosis.report()


@pytest.mark.parametrize("kind", ["sex", "colour", "town", "answer"])
def test_a_column_that_is_there_twice_is_said_once_by_its_own_name(kind: str) -> None:
    values = table_of()[kind]
    spelled = {value: f"{i}{value}"[::-1] for i, value in enumerate(values.dropna().unique())}
    diagnosis = diagnosis_of(table_of(twin=values.map(spelled)))
    assert [finding.cause for finding in diagnosis.alarms] == ["duplicate_column"]
    (finding,) = diagnosis.alarms
    assert finding.evidence.startswith(f"column 'twin' repeats '{kind}', up to")
    assert diagnosis.record.data.n_duplicates == 1


def test_two_values_repeat_each_other_as_texts_and_as_numbers() -> None:
    table = table_of()
    coded = table.assign(male=np.where(table["sex"] == "male", 7, 3))
    summary, names = summary_of(coded)
    assert [(names[a], names[b]) for a, b in summary.duplicates] == [("sex", "male")]


def test_one_category_that_goes_with_another_columns_does_not_make_a_copy() -> None:
    """Each says something that the other does not: neither can be dropped."""
    table = table_of()
    kind = np.where(table["colour"] == "red", "warm", np.where(table["age"] > 40, "old", "young"))
    assert summary_of(table.assign(kind=kind))[0].n_duplicates == 0


def test_columns_that_agree_on_a_sample_only_are_no_copies() -> None:
    """Looked at evenly, one row in ten: the others tell the columns apart."""
    n = 2048 * 3
    x = RNG.normal(size=(n, 4))
    x[:, 3] = x[:, 1]
    mlp, y = MLP((4, 4, 2)), (x[:, 0] > 0).astype(np.int64)
    assert summarize_data(mlp, x, y).duplicates == ((1, 3),)
    sampled = np.linspace(0, n - 1, 1024).astype(np.int64)
    others = np.setdiff1d(np.arange(n), sampled)
    x[others, 3] = RNG.normal(size=len(others))
    assert summarize_data(mlp, x, y).n_duplicates == 0


def test_categories_that_hardly_two_rows_share_are_no_copies() -> None:
    """Names and numbers of tickets, each almost a category of its own."""
    table = table_of(
        name=[f"name {i}" for i in range(N)], ticket=[f"{i % 590} ticket" for i in range(N)]
    )
    assert summary_of(table)[0].n_duplicates == 0


def test_a_rare_value_between_the_rows_looked_at_is_no_constant() -> None:
    n = 4000
    x = RNG.normal(size=(n, 3))
    x[:, 2] = 0.0
    mlp, y = MLP((3, 4, 2)), (x[:, 0] > 0).astype(np.int64)
    assert summarize_data(mlp, x, y).constant == (2,)
    x[1, 2] = 1.0
    assert summarize_data(mlp, x, y).n_constant == 0


def test_a_value_that_only_held_out_rows_have_is_no_constant() -> None:
    x = RNG.normal(size=(100, 3))
    x[:, 2] = 0.0
    other = x[:5].copy()
    other[0, 2] = 1.0
    mlp, y = MLP((3, 4, 2)), (x[:, 0] > 0).astype(np.int64)
    assert summarize_data(mlp, x, y, held_out=[other[1:]]).constant == (2,)
    assert summarize_data(mlp, x, y, held_out=[other]).n_constant == 0
    for options in ({"held_out": [other]}, {"validation": (other, y[:5])}):
        _, found = diagnosed_fit(mlp, x, y, epochs=1, **options)
        assert found.record.data.n_constant == 0


def test_constants_are_named_by_column_whatever_they_became() -> None:
    summary, names = summary_of(
        table_of(country="US", site=7.0, level=[None] * 5 + ["a"] * (N - 5)),
        keep=["country", "site"],
    )
    assert {names[place] for place in summary.constant} == {"country", "site"}
    # Of categories, those that no row has are no constants.
    table = table_of()
    fitted = Preprocessor.fit(table)
    rows = (table["town"] != "town 3").to_numpy()
    x = fitted.transform(table)[rows]
    mlp = MLP((x.shape[1], 4, 2))
    y = label_of(table)[rows]
    assert summarize_data(mlp, x, y, sources=fitted.sources).n_constant == 0
    assert summarize_data(mlp, x, y).n_constant == 1


def test_rare_categories_and_far_outliers_are_no_want_of_scaling() -> None:
    """All columns are encoded as they should be: a category of one row in 5,000, and a number that one row holds."""
    n = 5000
    income = np.exp(RNG.normal(size=n))
    income[1] = 1e7
    table = pandas.DataFrame(
        {
            "age": RNG.normal(size=n),
            "income": income,
            "ill": np.where(np.arange(n) == 7, "yes", "no"),
        }
    )
    fitted = Preprocessor.fit(table)
    x, y = fitted.transform(table), (table["age"] > 0).to_numpy(dtype=np.int64)
    summary = summarize_data(MLP((3, 4, 2)), x, y, sources=fitted.sources)
    assert summary.spread_ratio == pytest.approx(1.0)
    assert summary.largest_rms == pytest.approx(1.0)
    many = pandas.DataFrame({"word": [f"w{i % 900}" for i in range(n)]})
    fitted = Preprocessor.fit(many)
    summary = summarize_data(MLP((900, 4, 2)), fitted.transform(many), y, sources=fitted.sources)
    assert (summary.largest_rms, summary.spread_ratio) == (1.0, 1.0)
    raw = summarize_data(MLP((2, 4, 2)), table[["age", "income"]].to_numpy(), y)
    assert raw.spread_ratio > 100


def test_zeros_of_categories_make_no_image_of_a_table() -> None:
    summary, _ = summary_of(table_of())
    assert summary.features > 40
    assert not summary.sparse


def test_a_column_that_tells_the_target_is_named_once() -> None:
    table = table_of()
    told = np.array(["dead", "alive"])[label_of(table)]
    summary, names = summary_of(table.assign(alive=told))
    assert [names[place] for place in summary.leaking] == ["alive"]
    x = Preprocessor.fit(table[["colour"]])
    of_one = x.transform(table)
    y = (table["colour"] == "red").to_numpy(dtype=np.int64)
    # A single column has nothing beside it: to tell the target is its task.
    assert summarize_data(MLP((3, 4, 2)), of_one, y, sources=x.sources).n_leaking == 0


@pytest.mark.parametrize("sources", [(0, 1), (0, 2, 1), (0, 0, 0, 1)])
def test_sources_that_do_not_fit_are_refused_before_training(sources: tuple[int, ...]) -> None:
    x, y = np.zeros((20, 3)), np.arange(20) % 2
    with pytest.raises(UsageError, match="for 3 columns of inputs: give one for each, ascending"):
        diagnosed_fit(MLP((3, 2, 2)), x, y, sources=sources)


def test_few_rows_of_many_categories_are_not_of_another_kind() -> None:
    """Ten rows of eight categories: of one or two there is none by chance, which makes no other spread."""
    unlike = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        codes = rng.integers(0, 8, 110)
        x = np.concatenate([np.eye(8)[codes], rng.normal(size=(110, 1))], axis=1)
        shift = shift_between(x[:100], x[100:], (0,) * 8 + (1,))
        assert shift is not None
        unlike += shift.share > 0.5 or shift.distance > 3.0
    assert unlike == 0
    moved = shift_between(x[:100], x[100:] + 20.0, (0,) * 8 + (1,))
    assert moved is not None
    assert moved.share == 1.0


def test_few_validation_rows_that_decide_nothing_are_a_note() -> None:
    """The default split of a small table leaves so few; nobody asked for a score of them."""
    x = RNG.normal(size=(90, 3))
    y = (x[:, 0] > 0).astype(np.int64)
    for stopping, severity in ((None, "note"), (EarlyStopping(patience=50), "warning")):
        _, found = diagnosed_fit(
            MLP((3, 8, 2)),
            x,
            y,
            epochs=30,
            validation=(x[:6] + 0.1, y[:6]),
            early_stopping=stopping,
        )
        assert {f.cause: f.severity for f in found.findings}["validation_too_small"] == severity


def record_of_values() -> RunRecord:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 3))
    y = (x[:, :1] + 0.3 * rng.normal(size=(300, 1))).astype(float)
    mlp = MLP((3, 8, 1), output="identity")
    held_out = x[260:], y[260:]
    _, found = diagnosed_fit(
        mlp, x[:260], y[:260], epochs=40, learning_rate_init=0.02, validation=held_out
    )
    return found.record


def test_a_poor_score_on_few_rows_is_no_proof_of_wrong_labels() -> None:
    """Predicted better than by a constant, and not by chance: the labels belong to their rows."""
    record = record_of_values()
    poor = replace(
        record.outcome,
        training_skill=0.6,
        validation_skill=0.1,
        neighbour_skill=0.5,
        validation_neighbour_skill=0.1,
    )
    assert record.outcome.validation_association > 4
    for related, alarm in ((2.7, False), (1.0, True)):
        judged = replace(record, outcome=replace(poor, validation_association=related))
        causes = [finding.cause for finding in diagnose_run(judged).alarms]
        assert ("wrong_validation_labels" in causes) == alarm


def test_what_was_learned_is_judged_by_all_rows_and_not_by_a_probes() -> None:
    """Targets with a few large values: the loss of 128 rows is not that of all."""
    record = record_of_values()
    last = record.probes[-1]
    base = record.data.baseline_loss
    probes = (*record.probes[:-1], replace(last, loss=0.99 * base))
    odd = replace(record, probes=probes)
    assert odd.progress == pytest.approx(1.0 - odd.curve.loss[-1] / base)
    assert record.progress >= 1.0 - last.loss / base
