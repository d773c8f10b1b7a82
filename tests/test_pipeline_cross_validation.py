"""Cross-validation: every row is scored once, by a model that has not seen it, nor anything learned from it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from anyarray_mlp.data import load
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.pipeline import cross_validation
from anyarray_mlp.pipeline.cross_validation import cross_validated, folds_of
from anyarray_mlp.pipeline.settings import Settings


def table(n: int = 60) -> pandas.DataFrame:
    """Two classes, of which one is a third of the rows, a colour and a group of three rows each."""
    generator = np.random.default_rng(0)
    kind = np.arange(n) % 3 == 0
    return pandas.DataFrame(
        {
            "x": generator.normal(size=n) + 3 * kind,
            "colour": np.where(np.arange(n) % 2, "red", "blue"),
            "who": [f"g{i // 3}" for i in range(n)],
            "kind": np.where(kind, "a", "b"),
        }
    )


def settings(**options: Any) -> Settings:
    """Settings of a quick run."""
    return Settings.of("train_table", None, {"epochs": 2, "hidden_layer_sizes": (3,), **options})


def test_every_row_is_in_one_fold_and_classes_are_spread_evenly() -> None:
    dataset = load(table())
    folds = folds_of(dataset, settings(), 5)
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(60))
    assert [int(np.sum(dataset.target[fold] == "a")) for fold in folds] == [4] * 5


def test_groups_stay_together() -> None:
    dataset = load(table())
    folds = folds_of(dataset, settings(group="who"), 4)
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(60))
    assert all(len(set(fold // 3)) == len(fold) / 3 for fold in folds)


def test_a_fold_teaches_its_model_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not its scale either; of its categories only that there are such."""
    frame = table().drop(columns="who")
    frame.loc[7, "x"], frame.loc[7, "colour"] = 1e6, "odd"
    seen = []
    plan_for = cross_validation.plan_for

    def noted(prepared: Any, *rest: Any, **more: Any) -> Any:
        seen.append(prepared)
        return plan_for(prepared, *rest, **more)

    monkeypatch.setattr(cross_validation, "plan_for", noted)
    found = cross_validated(frame, settings(standardize=True, epochs=1, validation_fraction=0), 5)
    assert found is not None
    assert found.rows == tuple(len(prepared.test) for prepared in seen) == (12,) * 5
    folds = folds_of(load(frame), settings(), 5)
    (without,) = (number for number, fold in enumerate(folds) if 7 in fold)
    scales = [prepared.preprocessor.columns[0].scale for prepared in seen]
    assert scales[without] < 10 < 1e4 < min(np.delete(scales, without))
    odd = seen[without].preprocessor.columns[1].categories.index("odd")
    assert not seen[without].training.x[:, 1 + odd].any()
    assert seen[without].test.x[:, 1 + odd].sum() == 1


def test_mean_and_spread_are_those_of_the_folds() -> None:
    heard: list[Any] = []
    found = cross_validated(table(), settings(drop=("who",)), 3, told=lambda *it: heard.append(it))
    assert found is not None
    assert heard == list(enumerate(found.scores, 1))
    losses = [scores["loss"] for scores in found.scores]
    assert len(set(losses)) == 3
    assert found.mean["loss"] == pytest.approx(statistics.mean(losses))
    assert found.spread["loss"] == pytest.approx(statistics.stdev(losses))
    again = cross_validated(table(), settings(drop=("who",)), 3)
    assert again == found


def test_a_fold_scores_as_a_run_does_that_is_tested_on_its_rows() -> None:
    from anyarray_mlp import train_table

    frame = table().drop(columns="who")
    options: dict[str, Any] = {"epochs": 3, "hidden_layer_sizes": (4,)}
    found = cross_validated(frame, settings(**options), 4)
    assert found is not None
    fold = folds_of(load(frame), settings(), 4)[1]
    rest = frame.drop(index=fold).reset_index(drop=True)
    alone = train_table(rest, test=frame.iloc[fold], diagnose=False, **options)
    assert found.scores[1]["loss"] == pytest.approx(alone.scores["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "k", "message"),
    [
        ({"folds": "colour"}, 3, "both say which rows"),
        ({"split": "time:x"}, 3, "the past by what was learned of the future"),
        ({}, 1, "at least 2 folds"),
    ],
)
def test_what_says_otherwise_which_rows_are_which_is_refused(
    options: Any, k: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        cross_validated(table(), settings(**options), k)


def test_fewer_rows_than_folds_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be dealt to 70 folds: give fewer"):
        cross_validated(table(), settings(), 70)


def test_train_keeps_and_prints_the_folds(cli: Any, here: Path) -> None:
    table().drop(columns="who").to_csv("t.csv", index=False)
    flags = ("--epochs", 2, "--hidden", 3, "--out", "r")
    code, out, err = cli("train", "t.csv", *flags, "--cv", 3)
    assert code == 0
    kept = json.loads((here / "r" / "cross_validation.json").read_text())
    assert kept["folds"] == 3
    last = out.splitlines()[-1]
    assert last.startswith(f"3 folds: loss {kept['mean']['loss']:.4f} ± ")
    assert "fold 3 of 3: loss" in err
    code, out, _ = cli("train", "t.csv", *flags, "--cv", 3, "--overwrite", "--json")
    assert json.loads(out)["cross_validation"] == kept
    assert cli("train", "t.csv", *flags, "--overwrite")[0] == 0  # without, the file of before goes
    assert not (here / "r" / "cross_validation.json").exists()
    code, _, err = cli("train", "t.csv", "--cv", 3, "--folds", "colour")
    assert (code, "leave one of them out" in err) == (2, True)
