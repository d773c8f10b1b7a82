"""`anyarray-mlp tune`: what is searched, what is given up, what is kept, and what the run at the end is."""

from __future__ import annotations

import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from anyarray_mlp.data import load
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.tuning.candidates import MEMBERS, Judge, StoppedError
from anyarray_mlp.tuning.search import Found, Search, Tried
from anyarray_mlp.tuning.space import FIXED, space
from tests.beds import unless_expected


@pytest.fixture(autouse=True)
def installed(request: pytest.FixtureRequest) -> None:
    """Skip where the extra is missing, except for what is said then."""
    if find_spec("optuna") is None and "without" not in request.node.name:
        unless_expected("tune", "optuna is not installed")


def frame(n: int = 48) -> pandas.DataFrame:
    """A number, a text, and two classes that they tell."""
    generator = np.random.default_rng(0)
    kind = np.arange(n) % 2
    return pandas.DataFrame(
        {
            "x": generator.normal(size=n) + 2 * kind,
            "colour": np.where(np.arange(n) % 3, "red", "blue"),
            "kind": np.where(kind, "a", "b"),
        }
    )


def base(**options: Any) -> Settings:
    """Settings of a quick run."""
    return Settings.of("train_table", None, {"epochs": 3, "hidden_layer_sizes": (3,), **options})


class Pretended:
    """A judge who knows the losses of candidates, epoch by epoch."""

    base = base()

    def __init__(self, curve: Any) -> None:
        self.curve = curve
        self.asked: list[dict[str, Any]] = []

    def rows(self) -> int:
        return 100

    def value(self, change: dict[str, Any], report: Any) -> tuple[float, float]:
        self.asked.append(change)
        losses = self.curve(len(self.asked) - 1, change)
        for epoch, loss in enumerate(losses, 1):
            if report(epoch, loss):
                raise StoppedError
        return min(losses), 0.0


DRAWS = {"dropout": lambda trial: trial.suggest_float("dropout", 0.0, 0.4)}


def search_with(judge: Any, path: Path) -> Search:
    """A search over dropout alone."""
    return Search(judge, DRAWS, {}, path / "s.search")


def test_the_settings_as_they_are_come_first_and_the_best_candidate_is_chosen(
    tmp_path: Path,
) -> None:
    judge = Pretended(lambda n, change: [1.0 + abs(change.get("dropout", 0.9) - 0.2)])
    heard: list[Tried] = []
    found = search_with(judge, tmp_path).run(None, 12, heard.append)
    assert judge.asked[0] == {}
    assert judge.asked[1] == {"dropout": 0.1}  # that of the tabular preset
    assert found.default.value == pytest.approx(1.7)
    assert found.tried == len(heard) == 12
    assert found.beaten
    assert found.best is not None
    assert found.best.value == min(tried.value for tried in heard if tried.value is not None)
    assert abs(found.chosen["dropout"] - 0.2) < 0.05


def test_settings_that_nothing_beats_stay(tmp_path: Path) -> None:
    judge = Pretended(lambda n, change: [1.0 if not change else 1.0 + change["dropout"]])
    found = search_with(judge, tmp_path).run(None, 6, lambda tried: None)
    assert not found.beaten
    assert found.chosen == {}


def test_candidates_that_lag_behind_are_given_up_by_their_curve(tmp_path: Path) -> None:
    def curve(number: int, change: dict[str, Any]) -> list[float]:
        return [5.0 if number == 7 else 1.0 + number / 100] * 20

    judge = Pretended(curve)
    heard: list[Tried] = []
    found = search_with(judge, tmp_path).run(None, 8, heard.append)
    assert heard[7].value is None
    assert found.given_up >= 1
    assert found.best is not None
    assert found.best.value == pytest.approx(1.01)


def test_a_candidate_that_diverges_is_given_up_and_the_search_continues(tmp_path: Path) -> None:
    def curve(number: int, change: dict[str, Any]) -> list[float]:
        if number in (0, 2):
            raise DivergedError("loss is inf", None)
        return [1.0]

    found = search_with(Pretended(curve), tmp_path).run(None, 4, lambda tried: None)
    assert (found.default.value, found.tried, found.given_up) == (None, 4, 2)
    assert found.beaten


def test_a_search_that_was_cut_off_continues_as_if_it_had_not_been(tmp_path: Path) -> None:
    def curve(number: int, change: dict[str, Any]) -> list[float]:
        return [2.0 - change.get("dropout", 0.0)]

    cut = Pretended(lambda n, change: curve(n, change) if n < 3 else interrupt())

    def interrupt() -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_with(cut, tmp_path).run(None, 9, lambda tried: None)
    judge = Pretended(curve)
    found = search_with(judge, tmp_path).run(None, 9, lambda tried: None)
    assert len(judge.asked) == 6  # three were done; the settings as they are not again
    assert {} not in judge.asked
    assert (found.tried, found.default.value) == (9, 2.0)


def test_time_that_is_over_ends_the_search_after_the_settings_as_they_are(tmp_path: Path) -> None:
    judge = Pretended(lambda n, change: [1.0])
    found = search_with(judge, tmp_path).run(0.0, None, lambda tried: None)
    assert (judge.asked, found.tried, found.beaten) == ([{}], 1, False)


def test_a_judge_holds_every_row_out_once_and_takes_the_mean() -> None:
    from anyarray_mlp import train_table

    judge = Judge(load(frame()), base())
    settings = judge.settings_of({"dropout": 0.1})
    assert (settings.shape.members, settings.table.validation_fraction) == (MEMBERS, 0.25)
    plan = judge.plan_of(settings)
    held = np.concatenate([own.held_out for own in plan.networks if own.held_out is not None])
    assert np.array_equal(np.sort(held), np.arange(len(plan.prepared.training)))
    value, _ = judge.value({"dropout": 0.1, "keep_epoch": "best"}, lambda epoch, loss: False)
    run = train_table(
        frame(), epochs=3, hidden_layer_sizes=(3,), members=4, validation_fraction=0.25,
        dropout=0.1, diagnose=False,
    )  # fmt: skip
    assert value == pytest.approx(min(run.fit.validation_curve), rel=1e-6)
    last, _ = judge.value({"dropout": 0.1}, lambda epoch, loss: False)
    assert last == pytest.approx(run.fit.validation_curve[-1], rel=1e-6)
    with pytest.raises(StoppedError):
        judge.value({}, lambda epoch, loss: epoch == 2)


def test_the_space_is_of_settings_that_there_are_and_follows_the_data() -> None:
    import optuna

    few = space(base(), 40, is_table=False, is_classes=False)
    assert "numbers" not in few
    assert "label_smoothing" not in few
    draws = space(base(), 40_000, is_table=True, is_classes=True)
    judge = Judge(load(frame()), base())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        change = {**FIXED, **{name: draw(trial) for name, draw in draws.items()}}
        settings = judge.settings_of(change)  # each of them is accepted
        assert settings.recipe.alpha == change["alpha"]
        assert len(set(settings.shape.hidden_layer_sizes)) == 1
    assert few["batch_size"](optuna.create_study().ask()) == 8


def test_nothing_is_chosen_of_candidates_that_have_no_value() -> None:
    default = Tried(0, {}, math.inf)
    assert not Found(default, None, 3, 2).beaten
    assert Found(Tried(0, {}, None), Tried(1, {"dropout": 0.2}, 9.0), 2, 0).beaten


def test_tune_ends_in_a_run_like_any_other(cli: Any, here: Path) -> None:
    frame().to_csv("t.csv", index=False)
    flags = ("t.csv", "--trials", 3, "--epochs", 3, "--hidden", 3, "--learning-rate", "constant")
    code, out, err = cli("tune", *flags, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["tried"] == 3
    assert "candidate 1: validation loss" in err
    assert not {"epochs", "hidden_layer_sizes", "learning_rate"} & set(found["change"])
    assert found["scored_on"] == "test"
    run = here / "runs" / "t-tuned"
    again = json.loads(cli("evaluate", "runs/t-tuned", "--json")[1])
    assert again["loss"] == pytest.approx(found["scores"]["loss"])
    assert (run / "config.toml").exists()
    code, _, err = cli("tune", *flags)
    assert (code, "runs/t-tuned exists" in err) == (73, True)
    code, _, err = cli("tune", *flags, "--out", "other", "--resume")
    assert (code, "holds no search to continue" in err) == (2, True)
    again = ("tune", *flags[:2], 3, *flags[3:], "--overwrite")
    code, _, err = cli(*again, "--resume", "--alpha", 0.5)
    assert (code, "cannot continue with other settings" in err) == (2, True), err
    code, out, _ = cli(*again, "--resume", "--json")  # nothing is left to try
    assert json.loads(out)["scores"] == found["scores"]


def test_without_the_extra_its_command_is_named(
    cli: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame().to_csv("t.csv", index=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = cli("tune", "t.csv")
    assert (code, "pip install 'anyarray-mlp[tune]'" in err) == (69, True)
