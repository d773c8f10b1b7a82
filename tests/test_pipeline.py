"""`train_table`: from raw data to a trained model, the same bits as the command line's."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from anyarray_mlp import EarlyStopping, Recipe, TrainedModel, adam, select_backend, train_table
from anyarray_mlp.checking.settings import settings_of
from anyarray_mlp.data import load
from anyarray_mlp.diagnosis import load_diagnosis
from anyarray_mlp.errors import DataError, DivergedError, UsageError
from anyarray_mlp.pipeline.plan import make_plan
from anyarray_mlp.pipeline.preparation import prepare
from anyarray_mlp.pipeline.presets import forty_steps
from anyarray_mlp.pipeline.run import Run
from anyarray_mlp.pipeline.settings import SECTIONS, Settings
from anyarray_mlp.pipeline.shape import Shape
from anyarray_mlp.pipeline.table import Table
from anyarray_mlp.training import fit

ROWS = 90


def table():
    """A table of numbers, texts and gaps, and a price that depends on them."""
    generator = np.random.default_rng(5)
    frame = pandas.DataFrame(
        {
            "area": generator.uniform(20, 200, ROWS).round(1),
            "kind": generator.choice(["flat", "house", "hut"], ROWS),
            "rooms": generator.integers(1, 6, ROWS),
        }
    )
    frame["price"] = (frame["area"] * 3 + 40 * (frame["kind"] == "house")).round(1)
    frame.loc[::9, "area"] = np.nan
    return frame


@pytest.fixture
def prices(tmp_path, monkeypatch):
    """A folder to work in, with prices.csv."""
    monkeypatch.chdir(tmp_path)
    table().to_csv("prices.csv", index=False)
    return table()


def same(one, other):
    return np.array_equal(one.parameters, other.parameters)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_are_rounded_once_to_what_the_backend_computes_in(dtype):
    rows = table().assign(
        since=pandas.Timestamp("2020-01-01") + pandas.to_timedelta(range(ROWS), "D")
    )
    settings = Settings.of("train_table", None, {"target": "price", "dtype": dtype, "epochs": 2})
    plan, exact = make_plan(rows, settings), prepare(rows, settings)
    assert exact.training.x.dtype == np.float64
    for name in ("training", "validation", "test"):
        found, expected = getattr(plan.prepared, name).x, getattr(exact, name).x
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected.astype(dtype))
        # Training takes them as they are: there is no other copy.
        assert plan.backend.share(found) is found
    run = Run.of(plan)
    fits = [
        fit(plan.model.mlp, x, plan.targets, run.networks[0].recipe, **run.given)
        for x in (plan.prepared.training.x, exact.training.x)
    ]
    assert same(*fits)


#: Settings as they are given here, and as flags.
ALIKE = {
    "the defaults": ({}, []),
    "training": (
        {
            "recipe": Recipe(
                optimizer="nesterov",
                momentum=0.8,
                learning_rate="cosine",
                learning_rate_init=0.02,
                warm_up=1,
                epochs=4,
                batch_size=9,
                alpha=0.01,
                clip_norm=1.0,
                seed=3,
                initializer="he_normal",
            )
        },
        [
            *("--solver", "nesterov", "--momentum", 0.8, "--learning-rate", "cosine", "--alpha", 0.01),
            *("--learning-rate-init", 0.02, "--warm-up", 1, "--epochs", 4, "--batch-size", 9),
            *("--clip-norm", 1, "--seed", 3, "--initializer", "he_normal"),
        ],
    ),
    "the network": (
        {"hidden_layer_sizes": (7, 5), "activation": ["tanh", "relu"], "dropout": 0.1, "epochs": 3},
        ["--hidden", "7,5", "--activation", "tanh,relu", "--dropout", 0.1, "--epochs", 3],
    ),
    "the data": (
        {"drop": "rooms", "test_fraction": 0.3, "scale_target": False, "standardize": False, "epochs": 3},
        ["--drop", "rooms", "--test-fraction", 0.3, "--no-scale-target", "--no-standardize", "--epochs", 3],
    ),
    "early stopping": (
        {"recipe": Recipe(early_stopping=True, monitor="r2", patience=2, learning_rate_init=0.3)},
        ["--early-stopping", "--monitor", "r2", "--patience", 2, "--learning-rate-init", 0.3],
    ),
    "the bits of every backend": (
        {"reproducible": True, "epochs": 2, "dtype": "float64"},
        ["--reproducible", "--epochs", 2, "--dtype", "float64"],
    ),
    "L-BFGS": (
        {"recipe": Recipe(optimizer="lbfgs", epochs=6, alpha=0.1)},
        ["--solver", "lbfgs", "--epochs", 6, "--alpha", 0.1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_the_command_line_and_python_give_the_same_bits(cli, prices, name):
    options, flags = ALIKE[name]
    command = ("train", "prices.csv", "--target", "price", "--out", "typed", "--json", "--quiet")
    code, out, _ = cli(*command, *flags)
    assert code == 0
    result = train_table("prices.csv", target="price", out="called", **options)
    for file in ("model.safetensors", "diagnosis.json"):
        assert Path("typed", file).read_bytes() == Path("called", file).read_bytes(), file
    configurations = [tomllib.loads(Path(run, "config.toml").read_text()) for run in ("typed", "called")]  # fmt: skip
    assert configurations[0] == configurations[1]
    told = json.loads(out)
    assert told["scores"] == pytest.approx(result.scores)
    assert told["scored_on"] == result.scored_on == "test"
    assert (told["stopped"], told["epochs"]) == (
        result.fit.stopped,
        result.fit.history[-1].epoch,
    )
    assert same(TrainedModel.load("typed"), result.model)


def test_without_a_folder_nothing_is_written(prices):
    kept = train_table("prices.csv", target="price", epochs=3, out="run")
    before = sorted(Path().rglob("*"))
    result = train_table("prices.csv", target="price", epochs=3)
    assert same(result.model, kept.model)
    assert result.diagnosis.to_json() == kept.diagnosis.to_json()
    assert (result.path, kept.path) == (None, Path("run").resolve())
    assert sorted(Path().rglob("*")) == before


def test_a_file_a_frame_and_a_name_are_data(prices):
    by_file = train_table("prices.csv", target="price", epochs=3)
    assert same(train_table(Path("prices.csv"), target="price", epochs=3).model, by_file.model)
    assert same(train_table(prices, target="price", epochs=3).model, by_file.model)
    assert same(train_table(prices, epochs=3).model, by_file.model)  # the last column
    assert same(train_table(prices, target=3, epochs=3).model, by_file.model)
    assert by_file.model.target_names == ("price",)
    rows = prices.drop(columns="price")
    assert by_file.model.predict(rows).shape == (ROWS,)
    iris = train_table("iris", epochs=3)
    assert iris.scores.keys() == {"loss", "accuracy", "balanced_accuracy", "f1"}
    assert iris.fit.history[-1].scores.keys() == {"accuracy"}


def test_scores_are_those_of_the_rows_held_out(prices):
    result = train_table(prices, epochs=30, test_fraction=0, validation_fraction=0)
    assert result.scored_on == "training"
    assert result.scores == pytest.approx(result.model.scores(load(prices)), rel=1e-5)


def test_a_frame_is_what_its_columns_say(prices):
    odd = prices.assign(kind=prices["kind"].astype("category"), rooms=prices["rooms"] > 2)
    texts = prices.assign(rooms=prices["rooms"] > 2)
    by_category = train_table(odd, epochs=2).model
    assert same(by_category, train_table(texts, epochs=2).model)
    numbered = prices.set_axis([0, 1, 2, 3], axis=1)
    assert train_table(numbered, epochs=2).model.preprocessor.names[0] == "0"
    with pytest.raises(DataError, match="two columns 'area': rename one"):
        train_table(prices.set_axis(["area", "area", "c", "d"], axis=1))
    with pytest.raises(UsageError, match="header is for files"):
        train_table(prices, header=True)
    with pytest.raises(DataError, match=r"DataFrame: no column 'prise'.*did you mean 'price'"):
        train_table(prices, target="prise")


def test_a_folder_of_python_goes_on_at_the_command_line(cli, prices):
    train_table("prices.csv", target="price", drop=["rooms"], epochs=3, class_weight=None, out="run")  # fmt: skip
    assert cli("train", "--resume", "--out", "run", "--epochs", 5, "--quiet")[0] == 0
    whole = train_table("prices.csv", target="price", drop=["rooms"], epochs=5)
    assert same(TrainedModel.load("run"), whole.model)
    assert load_diagnosis("run").record.settings.epochs == 2


def test_class_weights_go_on_as_well(cli, prices):
    weights = {"flat": 2.0, "hut": 0.5}
    train_table("prices.csv", target="kind", epochs=2, class_weight=weights, out="run")
    assert cli("train", "--resume", "--out", "run", "--epochs", 3, "--quiet")[0] == 0
    whole = train_table("prices.csv", target="kind", epochs=3, class_weight=weights)
    assert same(TrainedModel.load("run"), whole.model)
    other = train_table("prices.csv", target="kind", epochs=3)
    assert not same(other.model, whole.model)


def test_a_folder_that_is_taken_is_refused_or_replaced(prices):
    train_table(prices, epochs=1, out="run")
    with pytest.raises(Exception, match="run"):
        train_table(prices, epochs=2, out="run")
    result = train_table(prices, epochs=2, out="run", overwrite=True)
    assert same(TrainedModel.load("run"), result.model)


def test_the_readme_does_so(prices, capsys):
    (readme,) = Path(__file__).parent.parent.glob("README.md")
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "train_table" in block]
    prices.to_csv("data.csv", index=False)
    exec(compile(block, "README.md", "exec"), {})
    expected = train_table(prices, target="price", epochs=50)
    assert same(TrainedModel.load("price.safetensors"), expected.model)
    assert expected.diagnosis.summary() in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": lambda step: 0.1}, "no words for learning_rate=<function"),
        ({"optimizer": adam(0.8)}, "no words for optimizer="),
        ({"shuffle": False}, "no words for shuffle=False"),
        ({"backend": select_backend()}, "no words for backend="),
        ({"reproducible": "fast"}, "no words for reproducible='fast'"),
        ({"early_stopping": EarlyStopping(tol=0.1)}, "no words for tol=0.1"),
    ],
)
def test_what_a_folder_cannot_keep_is_refused_before_training(prices, options, words):
    with pytest.raises(UsageError, match=words):
        train_table(prices, epochs=1, out="run", **options)
    assert not Path("run").exists()
    assert train_table(prices, epochs=1, **options).scores


def test_objects_of_ones_own_are_taken(prices):
    stopping = EarlyStopping("loss", patience=2, tol=1e9)
    result = train_table(prices, recipe=Recipe(early_stopping=stopping), optimizer=adam(0.8))
    assert result.fit.stopped == "early"
    assert len(result.fit.history) == 3  # the first is the best, and two do no better
    seen = []
    train_table(prices, epochs=2, callbacks=[lambda epoch: seen.append(epoch.epoch)])
    assert seen == [1, 2]


def test_a_run_that_diverges_says_why(prices):
    options = {"epochs": 3, "optimizer": "sgd", "learning_rate_init": 1e20}
    for more in ({}, {"out": "run"}):
        with pytest.raises(DivergedError) as caught:
            train_table(prices, **options, **more)
        assert "diverged" in [finding.cause for finding in caught.value.diagnosis.findings]
    assert load_diagnosis("run").record.outcome.stopped == "diverged"
    with pytest.raises(DivergedError) as caught:
        train_table(prices, diagnose=False, **options)
    assert caught.value.diagnosis is None


def test_what_is_left_out_is_warned_of(prices):
    named = prices.assign(name=[f"n{row}" for row in range(ROWS)], year=2024)
    with pytest.warns(
        UserWarning, match="column 'name': left out: .*; column 'year': left out"
    ) as caught:
        trained = train_table(named, target="price", epochs=1)
    assert caught[0].filename == __file__
    assert "keep=['name']" in trained.notes[0]
    assert (
        trained.model.preprocessor.encoded_names
        == train_table(prices, target="price", epochs=1).model.preprocessor.encoded_names
    )
    kept = train_table(named, target="price", epochs=1, keep=["name", "year"])
    assert kept.notes == ()
    assert kept.model.preprocessor.n_features_out > 90


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alhpa": 1}, "train_table has no option 'alhpa' .did you mean 'alpha'"),
        ({"lr": 1}, "train_table has no option 'lr' .did you mean 'learning_rate_init'"),
        ({"hidden": 4}, "no option 'hidden' .did you mean 'hidden_layer_sizes'"),
        ({"hidden_layer_sizes": 0}, "hidden_layer_sizes must be a whole number of at least 1"),
        ({"hidden_layer_sizes": "3,4"}, "hidden_layer_sizes must be units of layers"),
        ({"test_fraction": 1}, r"test_fraction must be a number in \[0, 1\), got 1"),
        ({"class_weight": "2"}, "class_weight '2' is neither 'balanced' nor LABEL=WEIGHT"),
        ({"class_weight": 2}, "class_weight must be 'balanced' or a weight for each label"),
        ({"class_weight": "balanced"}, "class_weight is for classification"),
        ({"target": ["price", "price"]}, "target has 'price' twice"),
        ({"target": 1.5}, "target must be a column's name or place"),
        ({"activation": "rleu"}, "activation must be one of .*did you mean 'relu'"),
        ({"recipe": 3}, "recipe must be a Recipe"),
        ({"diagnose": "yes"}, "diagnose must be True or False"),
        ({"device": "tpu"}, "device must be cpu, cuda"),
        ({"optimizer": "lbfgs", "dropout": 0.5}, "set dropout to 0"),
        ({"early_stopping": True, "validation_fraction": 0}, "raise validation_fraction, or use"),
        ({"early_stopping": True, "monitor": "accuracy"}, "accuracy"),
    ],
)
def test_a_refusal_names_the_setting(prices, options, message):
    with pytest.raises(UsageError, match=message):
        train_table(prices, **options)


def test_a_plan_fills_in_what_a_table_has():
    plan = make_plan("iris", Settings())
    recipe = plan.recipe(plan.networks[0])
    assert (recipe.epochs, recipe.batch_size) == (50, 4)
    assert plan.recipe(plan.networks[0], done=48).epochs == 2
    assert Settings.of("train_table", Recipe(epochs=7), {}).recipe.epochs == 7
    assert [forty_steps(n) for n in (10, 400, 5000, 20_000)] == [4, 10, 32, 128]


def test_the_first_layer_of_a_table_starts_small():
    def first_and_rest(data, **options):
        plan = make_plan(data, Settings.of("x", None, {"hidden_layer_sizes": (30, 20), **options}))
        parts = plan.model.mlp.layout.split(plan.model.parameters)
        return parts[0], np.concatenate([part.ravel() for part in parts[1:]])

    small, rest = first_and_rest(table())
    glorot, _ = first_and_rest(table(), initializer="glorot_uniform")
    np.testing.assert_array_equal(small, glorot)
    # The others are as steep as rectifiers need, and all of them where somebody says so, or of arrays.
    steep, others = first_and_rest(table(), initializer="he_uniform")
    assert np.abs(steep).max() > 2 * np.abs(small).max()
    np.testing.assert_array_equal(rest[: 30 * 20], others[: 30 * 20])
    of_arrays, _ = first_and_rest("iris")
    np.testing.assert_array_equal(of_arrays, first_and_rest("iris", initializer="he_uniform")[0])


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_model_that_a_constant_beats_says_so(cli, tmp_path, kind):
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(
        generator.normal(size=(120, 12)).round(3), columns=list("abcdefghijkl")
    )
    if kind == "classes":
        frame["y"] = np.where(generator.random(120) < 0.75, "no", "yes")
        said = "note: the model is worse than a constant: always answering 'no' has accuracy "
    else:
        frame["y"] = generator.normal(size=120).round(3)
        said = "note: the model is worse than a constant: always answering the mean has r2 -"
    frame.to_csv(tmp_path / "noise.csv", index=False)
    arguments = ["train", tmp_path / "noise.csv", "--out", tmp_path / "r", "--no-diagnose"]
    _, _, told = cli(*arguments)
    line = next(line for line in told.splitlines() if line.startswith(said))
    assert line.endswith(": --keep-epoch best keeps the epoch that is best on the validation rows")
    told = json.loads(cli(*arguments, "--overwrite", "--json")[1])
    constant, reached = map(float, re.findall(r"-?\d+\.\d+", told["notes"][-1]))
    assert reached == pytest.approx(
        told["scores"]["accuracy" if kind == "classes" else "r2"], abs=1e-4
    )
    assert constant > reached
    # Weights of classes ask for something else than right answers, and good models are not spoken of.
    if kind == "classes":
        _, _, weighted = cli(*arguments, "--overwrite", "--class-weight", "balanced")
        assert "worse than a constant" not in weighted
    frame["y"] = frame["a"].round(1)
    frame.to_csv(tmp_path / "noise.csv", index=False)
    assert "worse than a constant" not in cli(*arguments, "--overwrite")[2]


def test_settings_come_back_from_the_keys_that_they_are_kept_by():
    settings = replace(
        Settings(),
        table=Table(target="y", drop=["a", "b"], header=True, class_weight={"x": 2.0}),
        shape=Shape((3, 2), ["tanh", "relu"], "exp", "poisson", 0.25),
        recipe=Recipe(optimizer="momentum", momentum=0.5, epochs=3, early_stopping=True, patience=4),
    )  # fmt: skip
    kept = settings.to_keys()
    assert (kept["solver"], kept["drop"], kept["class_weight"]) == ("momentum", ("a", "b"), "x=2.0")
    assert Settings.from_keys(kept) == settings


def test_every_setting_that_has_a_key_is_a_flag_with_its_default_and_help():
    from anyarray_mlp.cli.train import command

    flags = {parameter.name: parameter for parameter in command.params}
    unnamed = command.make_context("train", []).params
    for section in SECTIONS.values():
        for each in settings_of(section):
            if each.key:
                flag = flags.pop(each.key)
                assert unnamed[each.key] == each.default
                assert flag.help == (each.help or None)
    of_the_call = {"out", "overwrite", "resume", "quiet", "as_json", "try_cures", "try_seconds"}
    of_the_call |= {"communicator", "cv", "log", "report"}
    assert set(flags) == {"data", "diagnose", *of_the_call}
