"""Cures that are tried: what helped is told from chance, within the time, from the same split."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, fit
from anyarray_mlp.cli.train import command as train
from anyarray_mlp.cli.trying import flags_of
from anyarray_mlp.diagnosis import Diagnosis, Finding, trying
from anyarray_mlp.diagnosis.changes import new_values, together
from anyarray_mlp.diagnosis.trying import Ran, try_cures
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline import train_table
from anyarray_mlp.pipeline.plan import make_plan
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.pipeline.trials import changed, with_seed


def finding(cause: str, *changes: dict[str, Any]) -> Finding:
    return Finding(cause, "error", "evidence", "cure", changes=changes)


def scored(gains: Mapping[str, float], seconds: float = 0.0, clock: Any = None) -> Any:
    """A rerun whose score on 500 rows is a half and the gains of the settings that it is given."""

    def rerun(change: Mapping[str, Any], seed: int, limit: float) -> Ran:
        if clock is not None:
            clock.now += seconds
        share = 0.5 + sum(gains.get(name, 0.0) for name in change) + 0.002 * seed
        rows = np.zeros(500)
        rows[: round(500 * share)] = 1.0
        return Ran(rows, np.ones(500), 10, seconds, False)

    return rerun


def two_moons(n: int = 400) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 2))
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def slow_run(**options: Any) -> Diagnosis:
    x, y = two_moons(800)
    told = {"epochs": 10, "learning_rate_init": 1e-6, **options}
    held_out = {"validation": (x[600:], y[600:])}
    return fit(MLP((2, 32, 2)), x[:600], y[:600], diagnose=True, **held_out, **told).diagnosis


def test_the_cure_of_a_slow_run_helps_with_both_seeds() -> None:
    trials = slow_run().try_cures(30)
    best = trials.best
    assert best is not None
    assert "learning_rate_init" in best.change
    assert "learning_rate_too_low" in best.causes
    assert len(best.before) == len(best.after) == 2
    assert min(best.after) > max(best.before) + 0.1
    assert trials.rows == 200
    assert f"tried {trying.in_python(best.change)}: accuracy " in trials.report()


def test_trying_is_the_same_each_time_and_changes_nothing_of_the_run() -> None:
    diagnosis = slow_run()
    told = diagnosis.to_json()
    one, two = (diagnosis.try_cures(30) for _ in range(2))
    assert [t.after for t in one.tried] == [t.after for t in two.tried]
    assert diagnosis.to_json() == told


def test_what_does_not_help_is_said_and_the_next_is_tried() -> None:
    trials = try_cures(
        [finding("plateau", {"alpha": 1.0}, {"epochs": 9}, {"dropout": 0.5})],
        "accuracy",
        scored({"epochs": 0.2, "alpha": -0.1}),
    )
    assert [t.change for t in trials.tried] == [{"alpha": 1.0}, {"epochs": 9}]
    assert [t.helped for t in trials.tried] == [False, True]
    lines = trials.report().splitlines()
    assert lines[0] == "tried alpha=1.0: accuracy 0.500 -> 0.400, which is no help"
    assert lines[1].startswith("tried epochs=9: accuracy 0.501 -> 0.701 (0.700 to 0.702)")


def test_nothing_that_helps_is_said_too() -> None:
    trials = try_cures([finding("plateau", {"alpha": 1.0})], "accuracy", scored({}))
    assert trials.best is None
    assert "nothing that was tried helped" in trials.report()


def test_those_that_helped_are_tried_together() -> None:
    trials = try_cures(
        [finding("plateau", {"alpha": 1.0}), finding("too_few_epochs", {"epochs": 9})],
        "accuracy",
        scored({"epochs": 0.1, "alpha": 0.2}),
    )
    assert trials.best is not None
    assert trials.best.change == {"alpha": 1.0, "epochs": 9}
    assert trials.best.causes == ("plateau", "too_few_epochs")


@pytest.mark.parametrize(("righted", "spoilt", "helped"), [(13, 10, False), (15, 2, True)])
def test_a_gain_that_the_rows_may_have_by_chance_is_none(
    righted: int, spoilt: int, helped: bool
) -> None:
    old, new = np.zeros(100), np.zeros(100)
    old[:50] = new[: 50 - spoilt] = new[50 : 50 + righted] = 1.0
    pair = tuple(Ran(rows, np.ones(100), 1, 0.0, False) for rows in (old, new))
    tried = trying.judged(("plateau",), {"alpha": 1.0}, [pair, pair])
    assert tried.gain == pytest.approx((righted - spoilt) / 100)
    assert tried.helped is helped
    assert ("may be chance" in tried.told("accuracy")) is not helped


class FakeClock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_trying_keeps_within_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    monkeypatch.setattr(trying, "time", clock)
    changes = [{"alpha": float(k)} for k in range(1, 5)]
    trials = try_cures(
        [finding("plateau", *changes)], "accuracy", scored({}, 4.0, clock), seconds=14.0
    )
    assert clock.now <= 14.0
    assert [t.change for t in trials.tried] == changes[:2]
    assert list(trials.untried) == changes[2:]
    assert "to try, for which there was no time: alpha=3.0" in trials.report()


def test_a_change_that_does_not_go_with_the_others_is_left_out() -> None:
    def rerun(change: Mapping[str, Any], seed: int, limit: float) -> Ran:
        if change.get("alpha"):
            raise UsageError("no")
        return scored({"epochs": 0.2})(change, seed, limit)

    trials = try_cures([finding("plateau", {"alpha": 1.0}, {"epochs": 9})], "accuracy", rerun)
    assert [t.change for t in trials.tried] == [{"epochs": 9}]


def test_without_validation_rows_it_is_said_why_nothing_is_tried() -> None:
    trials = replace(slow_run(), findings=(finding("plateau", {"alpha": 1.0}),))
    x, y = two_moons()
    bare = fit(MLP((2, 8, 2)), x, y, epochs=1, diagnose=True).diagnosis
    told = replace(trials, rerun=bare.rerun).try_cures(5).report()
    assert "no validation rows" in told


def test_a_diagnosis_from_a_file_cannot_try(tmp_path: Any) -> None:
    from anyarray_mlp.diagnosis import load_diagnosis

    diagnosis = slow_run()
    diagnosis.save(tmp_path)
    with pytest.raises(UsageError, match="comes from a file"):
        load_diagnosis(tmp_path).try_cures()


def test_another_seed_leaves_the_split_as_it_is() -> None:
    plan = make_plan("iris", Settings.of("train_table", None, {"epochs": 1}))
    other = with_seed(plan, 1)
    assert other.validation is plan.validation
    assert other.prepared is plan.prepared
    assert other.networks[0].seed != plan.networks[0].seed
    assert not np.array_equal(other.model.parameters, plan.model.parameters)


def test_a_table_tries_settings_of_tables() -> None:
    rng = np.random.default_rng(0)
    import pandas

    frame = pandas.DataFrame(rng.normal(size=(500, 3)) * [1.0, 1e4, 1.0] + [0.0, 1e5, 0.0])
    frame.columns = ["a", "b", "c"]
    frame["kind"] = np.where(frame.a * frame.c > 0, "yes", "no")
    result = train_table(frame, standardize=False, epochs=20)
    assert result.diagnosis is not None
    first = result.diagnosis.first
    assert first is not None
    assert first.cause == "unscaled_inputs"
    assert "left as they are" in first.evidence
    trials = result.diagnosis.try_cures(60)
    assert trials.best is not None
    assert trials.best.change["standardize"] is True


def test_a_change_of_the_optimizer_takes_its_momentum_along() -> None:
    settings = Settings.of("train_table", None, {"optimizer": "momentum", "momentum": 0.99})
    assert changed(settings, {"optimizer": "adam"}).recipe.momentum == 0.9
    assert new_values({"drop": ("a",)}, {"drop": ("b", "a")}) == {"drop": ("a", "b")}
    assert together([{"epochs": 5}, {"epochs": 9, "alpha": 1.0}]) == {"epochs": 5, "alpha": 1.0}


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_layer_sizes": (64, 32), "activation": "relu"},
        {"optimizer": "adam", "learning_rate_init": 0.003},
        {"standardize": True, "numbers": "robust"},
        {"drop": ("a b", "it's")},
        {"early_stopping": True, "epochs": 250},
        {"class_weight": "balanced", "dropout": 0.2, "clip_norm": 1.0, "warm_up": 0},
        {"scale_target": True, "loss": "absolute_error", "output": "identity"},
    ],
)
def test_changes_are_written_as_flags_that_can_be_typed(change: dict[str, Any]) -> None:
    settings = train.make_context("train", ["data.csv", *shlex.split(flags_of(change))]).params
    found = Settings.from_keys(settings)
    for name, value in change.items():
        part = next(p for p in (found.table, found.shape, found.recipe) if hasattr(p, name))
        assert getattr(part, name) == value, name


def test_the_command_tries_says_and_keeps(here: Any, cli: Any) -> None:
    cli("train", "iris", "--out", "run", "--learning-rate-init", "1e-7", "--quiet")
    code, out, _ = cli("diagnose", "run", "--try", "--try-seconds", "120", "--keep")
    assert code == 1
    assert "tried --learning-rate-init " in out
    assert "kept in run-2" in out
    better, old = (TrainedModel.load(here / name) for name in ("run-2", "run"))
    from anyarray_mlp.data import load

    data = load("iris")
    assert better.scores(data)["accuracy"] > old.scores(data)["accuracy"] + 0.2
    record = json.loads(cli("diagnose", "run", "--try", "--json")[1])
    assert record["findings"][0]["flags"][0].startswith("--learning-rate-init ")
    assert record["trials"]["best"].startswith("--learning-rate-init ")


def test_train_tries_what_its_diagnosis_found(here: Any, cli: Any) -> None:
    words = ("--out", "run", "--learning-rate-init", "1e-7", "--try-cures", "--try-seconds", "120")
    code, _, err = cli("train", "iris", *words)
    assert code == 0
    assert "tried --learning-rate-init " in err
    assert "anyarray-mlp diagnose run --try --keep" in err
    assert "try_cures" not in (here / "run" / "config.toml").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("diagnose", "run", "--keep"),
        ("diagnose", "run", "--try-seconds", "3"),
        ("diagnose", "network.py", "--try"),
        ("train", "iris", "--try-seconds", "3"),
        ("train", "iris", "--try-cures", "--no-diagnose"),
    ],
)
def test_flags_that_do_nothing_are_refused(words: Any, cli: Any) -> None:
    code, _, err = cli(*words)
    assert code == 2
    assert words[-1 if words[-1].startswith("--") and words[-1] != "--no-diagnose" else -2] in err
