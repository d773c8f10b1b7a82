"""Presets: what stands in for settings that are not given, by both doors, and that its bits are the same everywhere."""

from __future__ import annotations

import hashlib
import json
import tomllib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas
import pytest
from threadpoolctl import threadpool_limits

from anyarray_mlp import Recipe, TrainedModel, train_table
from anyarray_mlp.backends import backend_statuses
from anyarray_mlp.checking import names
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline.presets import PRESETS, sixteen_steps
from anyarray_mlp.pipeline.settings import SECTIONS, Settings, names_of

TABULAR = PRESETS["tabular"].values


def table(rows: int = 60) -> pandas.DataFrame:
    """Numbers with gaps, texts and classes that depend on them."""
    generator = np.random.default_rng(7)
    frame = pandas.DataFrame(
        {
            "size": generator.lognormal(size=rows).round(3),
            "age": generator.uniform(1, 9, rows).round(2),
            "kind": generator.choice(["a", "b", "c"], rows),
        }
    )
    frame["label"] = np.where(frame["size"] + frame["age"] > 6, "high", "low")
    frame.loc[::7, "age"] = np.nan
    return frame


def settings(recipe=None, **options):
    return Settings.of("train_table", recipe, {"target": "label", **options})


def test_a_preset_stands_in_for_what_is_not_given():
    assert tuple(PRESETS) == names.PRESETS
    assert {*TABULAR} <= {*names_of(*SECTIONS.values())}
    found = settings(preset="tabular")
    parts = {name: getattr(found, part) for part in SECTIONS for name in names_of(SECTIONS[part])}
    assert {name: getattr(parts[name], name) for name in TABULAR} == TABULAR
    assert settings(preset="plain") == settings()
    given = settings(preset="tabular", members=2, hidden_layer_sizes=7, dropout=0.0)
    assert (given.shape.members, given.shape.hidden_layer_sizes, given.shape.dropout) == (
        2,
        (7,),
        0,
    )
    assert given.table.numbers == "pieces"
    assert settings(preset="tabular", standardize=False).table.numbers == "standard"
    assert settings(preset="tabular", split="time:age").table.test_fraction == 0.2
    of_recipe = settings(Recipe(epochs=3, optimizer="adamw"), preset="tabular").recipe
    assert (of_recipe.epochs, of_recipe.optimizer) == (3, "adamw")
    assert of_recipe.learning_rate == TABULAR["learning_rate"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lbfgs"}, "preset='tabular' trains by steps, and lbfgs takes none"),
        ({"early_stopping": True}, r"members=\d are trained in step.*Else give members=1"),
        ({"preset": "tabulr"}, "tabular"),
    ],
)
def test_what_does_not_go_with_a_preset_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        settings(**{"preset": "tabular", **options})


def test_the_batch_size_is_that_of_the_preset():
    assert [sixteen_steps(n) for n in (10, 480, 9999)] == [16, 30, 128]


def test_both_doors_give_the_same_bits_and_flags_go_before_the_preset(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    flags = ("--preset", "tabular", "--epochs", 3, "--hidden", "8,8")
    code, out, err = cli("train", "t.csv", "--out", "run", *flags)
    assert code == 0
    assert "preset tabular, the most accurate of those measured on public tables: --numbers" in err
    assert "; but --hidden 8,8, --epochs 3" in err
    kept = tomllib.loads(Path("run/config.toml").read_text())
    assert (kept["preset"], kept["members"], kept["numbers"]) == ("tabular", 4, "pieces")
    result = train_table("t.csv", preset="tabular", epochs=3, hidden_layer_sizes=(8, 8))
    assert np.array_equal(TrainedModel.load("run").parameters, result.model.parameters)
    assert result.scored_on == "held-out"
    assert f"held-out loss {result.scores['loss']:.4f}" in out
    code, _, err = cli("evaluate", "run")
    assert (code, "held out no rows for testing: give DATA" in err) == (65, True)
    assert cli("evaluate", "run", "t.csv")[0] == 0
    assert cli("train", "--resume", "--out", "run", "--epochs", 4, "--quiet")[0] == 0
    code, _, err = cli("train", "--resume", "--out", "run", "--preset", "plain", "--epochs", 5)
    assert (code, "--preset cannot change" in err) == (2, True)
    code, out, _ = cli("train", "t.csv", "--out", "plain", "--epochs", 2, "--json", "--quiet")
    assert json.loads(out)["preset"] == "plain"
    code, _, err = cli("train", "t.csv", "--out", "no", "--preset", "tabular", "--solver", "lbfgs")
    assert (code, "--preset tabular trains by steps" in err) == (2, True)


def test_one_hash_on_every_library_and_with_any_number_of_threads(tmp_path):
    """sha256 of the model file's arrays, and of the losses and parameters, is one and the same."""
    libraries = [each.name for each in backend_statuses() if each.version and not each.problem]
    wanted = [name for name in ("numpy", "torch", "jax") if name in libraries]
    assert "numpy" in wanted
    found = {}
    for name in wanted:
        for threads in (1, 2) if name != "jax" else (1,):
            with threads_of(name, threads):
                result = train_table(
                    table(),
                    preset="tabular",
                    reproducible=True,
                    backend=name,
                    epochs=2,
                    hidden_layer_sizes=(8, 8),
                    diagnose=False,
                )
            path = tmp_path / f"{name}{threads}"
            result.model.save(path)
            arrays = hashlib.sha256(TrainedModel.load(path).parameters.tobytes()).hexdigest()
            answers = hashlib.sha256(result.model.outputs(table()).tobytes()).hexdigest()
            found[name, threads] = result.fit.hash, arrays, answers
    assert len({*found.values()}) == 1, found


def threads_of(name: str, threads: int):
    """A context in which a library computes with so many threads."""
    if name == "torch":
        return torch_threads(threads)
    return threadpool_limits(threads)


@contextmanager
def torch_threads(threads: int):
    """PyTorch with so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
