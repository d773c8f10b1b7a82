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
from anyarray_mlp.pipeline.presets import MANY_ROWS, PRESETS, SOME_ROWS, Base, Facts, sixteen_steps
from anyarray_mlp.pipeline.settings import SECTIONS, Settings, names_of
from anyarray_mlp.pipeline.shape import Shape

MANY = Facts(MANY_ROWS, is_table=True, task="classification")
FEW, NONE = MANY._replace(rows=60), MANY._replace(rows=60, is_table=False)
TABULAR = Base("tabular").values(MANY)
pytestmark = pytest.mark.presets


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
    assert ("auto", *PRESETS) == names.PRESETS
    assert {*TABULAR} <= {*names_of(*SECTIONS.values())}
    found = settings(preset="tabular").settled(MANY)
    parts = {name: getattr(found, part) for part in SECTIONS for name in names_of(SECTIONS[part])}
    assert {name: getattr(parts[name], name) for name in TABULAR} == TABULAR
    assert settings(preset="auto") == settings() == settings(preset="tabular")
    assert settings(preset="plain").shape == Shape()
    given = settings(preset="tabular", members=2, hidden_layer_sizes=7, dropout=0.0)
    assert (given.shape.members, given.shape.hidden_layer_sizes, given.shape.dropout) == (
        2,
        (7,),
        0,
    )
    assert (given.table.numbers, given.recipe.epochs) == ("standard", 80)
    unscaled = settings(preset="tabular", standardize=False).settled(MANY)
    assert unscaled.table.numbers == "standard"
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


@pytest.mark.parametrize(
    "options", [{"optimizer": "lbfgs"}, {"early_stopping": True}, {"validation_fraction": 0.0}]
)
def test_what_is_for_one_network_makes_the_default_plain(options):
    found = settings(**options).settled(FEW)
    assert found.base.preset == "plain"
    assert found.stood_in.why.endswith("is for one network")
    assert found == settings(preset="plain", **options)


def test_data_that_are_no_table_and_many_rows_have_settings_of_their_own():
    assert settings().settled(NONE) == settings(preset="plain")
    chosen = settings(preset="tabular").settled(NONE)
    assert chosen == settings(preset="tabular")
    sizes = (SOME_ROWS - 1, SOME_ROWS, MANY_ROWS - 1, MANY_ROWS)
    for task, enough in (("classification", SOME_ROWS), ("regression", MANY_ROWS)):
        found = [settings().settled(Facts(n, is_table=True, task=task)) for n in sizes]
        assert [each.recipe.epochs for each in found] == [80, 80, 80, 40]
        numbers = ["pieces" if n >= enough else "standard" for n in sizes]
        assert [each.table.numbers for each in found] == numbers
    assert settings(epochs=7).settled(MANY).recipe.epochs == 7
    assert settings().settled(FEW).settle is None


def test_the_default_of_train_is_the_presets_of_what_the_data_are(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    code, out, err = cli("train", "t.csv", "--out", "t", "--epochs", 2)
    assert code == 0
    assert "preset tabular, the default for tables, the most accurate of those measured" in err
    assert "--preset plain takes a tenth of the time: --numbers standard" in err
    assert tomllib.loads(Path("t/config.toml").read_text())["preset"] == "tabular"
    assert "test accuracy" in out
    code, _, err = cli("train", "t.csv", "--out", "s", "--epochs", 2, "--early-stopping")
    assert (code, "preset plain, as --early-stopping is for one network" in err) == (0, True)
    code, _, err = cli("train", "iris", "--out", "i", "--epochs", 1)
    assert (code, "preset" in err) == (0, False)
    assert tomllib.loads(Path("i/config.toml").read_text())["preset"] == "plain"
    code, _, err = cli("train", "t.csv", "--out", "m", "--epochs", 2, "--monitor", "accuracy")
    assert code == 0
    code, _, err = cli("train", "iris", "--out", "n", "--monitor", "accuracy")
    assert (code, "--monitor is for --keep-epoch best" in err) == (2, True)


def test_pixels_in_a_table_are_no_table_to_a_preset(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 64))
    frame = pandas.DataFrame(pixels, columns=[f"pixel{i}" for i in range(64)])
    frame.insert(0, "label", np.arange(40) % 4)
    frame.to_csv(tmp_path / "pixels.csv", index=False)
    result = train_table(tmp_path / "pixels.csv", epochs=1, pixels=True, diagnose=False)
    assert result.model.preprocessor.pixels
    assert result.model.parameters.ndim == 1


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
    assert (kept["preset"], kept["members"], kept["numbers"]) == ("tabular", 4, "standard")
    result = train_table("t.csv", preset="tabular", epochs=3, hidden_layer_sizes=(8, 8))
    assert np.array_equal(TrainedModel.load("run").parameters, result.model.parameters)
    assert result.scored_on == "test"
    assert f"test loss {result.scores['loss']:.4f}" in out
    assert cli("evaluate", "run")[0] == 0
    everything = train_table("t.csv", test_fraction=0, epochs=3, hidden_layer_sizes=(8, 8))
    assert everything.scored_on == "held-out"
    assert cli("evaluate", "run", "t.csv")[0] == 0
    assert cli("train", "--resume", "--out", "run", "--epochs", 4, "--quiet")[0] == 0
    code, _, err = cli("train", "--resume", "--out", "run", "--preset", "plain", "--epochs", 5)
    assert (code, "--preset cannot change" in err) == (2, True)
    plain = ("--preset", "plain", "--epochs", 2, "--json", "--quiet")
    code, out, _ = cli("train", "t.csv", "--out", "plain", *plain)
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
