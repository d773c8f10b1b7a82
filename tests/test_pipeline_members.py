"""Several networks that answer together: what each sees, what the model holds, how their runs go on and break."""

from __future__ import annotations

import json
import signal
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas
import pytest

from anyarray_mlp import MLP, BestEpoch, TrainedModel, fit_many, predict, train_table
from anyarray_mlp.errors import DataError, DivergedError, ModelFileError, UsageError
from anyarray_mlp.estimators import load_model, save_model
from anyarray_mlp.persistence import load, load_checkpoint, save, save_checkpoint
from anyarray_mlp.pipeline.plan import make_plan
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.training.predicting import losses_of

ROWS = 120
BAG = {"members": 3, "keep_epoch": "best", "validation_fraction": 0.25, "epochs": 4}
FLAGS = ("--members", 3, "--keep-epoch", "best", "--validation-fraction", 0.25, "--hidden", 6)


def table() -> pandas.DataFrame:
    """Numbers, a text, groups and days, with classes and a value that depend on them."""
    generator = np.random.default_rng(3)
    frame = pandas.DataFrame(
        {
            "size": generator.normal(size=ROWS).round(3),
            "age": generator.uniform(1, 9, ROWS).round(2),
            "kind": generator.choice(["a", "b", "c"], ROWS),
            "patient": np.arange(ROWS) // 6,
            "day": np.arange(ROWS) // 2,
        }
    )
    frame["value"] = (frame["size"] * 2 + frame["age"]).round(3)
    frame["label"] = np.where(frame["value"] > 5, "high", "low")
    return frame


def planned(**options):
    frame = table().drop(columns=["value"])
    return make_plan(frame, Settings.of("train_table", None, {"target": "label", **options}))


def trained(**options):
    frame = table().drop(columns=["value", "patient", "day"])
    return train_table(frame, target="label", hidden_layer_sizes=6, **{**BAG, **options})


# What each network sees.


def test_each_holds_out_other_rows_in_proportion_to_the_classes_and_all_rows_are_seen():
    plan = planned(members=4, validation_fraction=0.25)
    n, folds = len(plan.prepared.training), plan.prepared.folds
    assert n == 96
    assert sorted(np.concatenate(folds).tolist()) == list(range(n))
    shares = [np.mean(plan.targets[held]) for held in folds]
    assert max(shares) - min(shares) <= 1 / 23
    assert plan.prepared.validation is None
    assert len({own.seed for own in plan.networks}) == 4
    again = planned(members=4, validation_fraction=0.25)
    assert all(np.array_equal(*pair) for pair in zip(folds, again.prepared.folds, strict=True))
    assert any(
        not np.array_equal(*pair)
        for pair in zip(
            folds, planned(members=4, validation_fraction=0.25, seed=1).prepared.folds, strict=True
        )
    )


def test_more_networks_than_shares_hold_out_the_first_shares_again():
    folds = planned(members=5, validation_fraction=0.4).prepared.folds
    assert [np.array_equal(folds[0], held) for held in folds] == [True, False, True, False, True]
    assert not np.intersect1d(folds[0], folds[1]).size


def test_groups_stay_together_and_times_are_held_out_in_spans():
    plan = planned(members=4, validation_fraction=0.25, group="patient")
    frame = table()
    patients = [
        {*frame["patient"].iloc[rows_of(plan, frame)[held]].tolist()}
        for held in plan.prepared.folds
    ]
    assert not set.intersection(*patients)
    assert sum(map(len, patients)) == len(set.union(*patients)) == 16
    plan = planned(members=4, validation_fraction=0.25, split="time:day")
    days = [rows_of(plan, frame)[held] // 2 for held in plan.prepared.folds]
    assert all(later.min() > sooner.max() for later, sooner in pairwise(days))


def rows_of(plan, frame):
    """The rows of the table that are trained on, found by their sizes and ages."""
    columns = plan.prepared.preprocessor.columns[:2]
    scaled = np.stack([(frame[each.name] - each.mean) / each.scale for each in columns], axis=1)
    seen = plan.prepared.training.x[:, :2]
    return np.array([int(np.abs(scaled - row).sum(axis=1).argmin()) for row in seen])


def test_a_class_of_few_rows_is_never_held_out_from_all_its_networks():
    frame = table().drop(columns=["value"])
    frame.loc[[5, 50], "label"] = "rare"
    for seed in range(4):
        options = {"target": "label", "members": 4, "validation_fraction": 0.25, "seed": seed}
        plan = make_plan(frame, Settings.of("train_table", None, {**options, "test_fraction": 0}))
        everything = np.arange(len(plan.targets))
        for held in plan.prepared.folds:
            kept = np.delete(everything, held)
            assert {*plan.targets[held]} <= {*plan.targets[kept]}


def test_validation_rows_that_the_data_name_are_those_of_all():
    frame = table().assign(part=(["train"] * 8 + ["valid", "test"]) * (ROWS // 10))
    options = {"target": "label", "drop": ["value"], "folds": "part", **BAG}
    plan = make_plan(frame, Settings.of("train_table", None, options))
    assert (len(plan.prepared.training), len(plan.prepared.validation)) == (96, 12)
    assert plan.prepared.folds == ()
    assert len(train_table(frame, **options).fit.members) == 3


# What they come to.


def test_each_is_what_fit_many_makes_of_its_rows_and_the_answer_is_their_mean():
    result = trained()
    plan = make_plan(
        table().drop(columns=["value", "patient", "day"]),
        Settings.of("train_table", None, {"target": "label", "hidden_layer_sizes": 6, **BAG}),
    )
    everything, mlp = np.arange(len(plan.targets)), plan.model.mlp
    alone = fit_many(
        mlp,
        plan.prepared.training.x,
        plan.targets,
        seeds=[own.seed for own in plan.networks],
        rows=[np.delete(everything, own.held_out) for own in plan.networks],
        validation=[own.held_out for own in plan.networks],
        initial=list(plan.model.parameters),
        epochs=4,
        batch_size=plan.settings.recipe.batch_size,
        keep_epoch=BestEpoch(),
    )
    assert result.fit.kept_epoch == tuple(one.kept_epoch for one in alone)
    assert np.array_equal(result.model.parameters, [one.parameters for one in alone])
    assert result.fit.loss_curve == pytest.approx(
        np.mean([one.loss_curve for one in alone], axis=0).tolist()
    )
    x = plan.prepared.test.x
    outputs = np.mean([predict(mlp, one.parameters, x) for one in alone], axis=0)
    codes = plan.test_targets
    assert result.scores["loss"] == pytest.approx(
        -np.mean(np.log(outputs[np.arange(len(codes)), codes])), rel=1e-5
    )
    assert result.scores["accuracy"] == np.mean(outputs.argmax(axis=1) == codes)


def test_without_test_rows_each_row_is_scored_by_a_network_that_has_not_seen_it():
    frame = table().drop(columns=["value", "patient", "day"])
    options = {"target": "label", "hidden_layer_sizes": 6, **BAG, "test_fraction": 0}
    result = train_table(frame, **options)
    plan = make_plan(frame, Settings.of("train_table", None, options))
    assert result.scored_on == "held-out"
    right = losses = 0.0
    for parameters, own in zip(result.model.parameters, plan.networks, strict=True):
        outputs = predict(plan.model.mlp, parameters, plan.prepared.training.x[own.held_out])
        codes = plan.targets[own.held_out]
        right += np.sum(outputs.argmax(axis=1) == codes)
        losses -= np.sum(np.log(outputs[np.arange(len(codes)), codes]))
    rows = sum(len(own.held_out) for own in plan.networks)
    assert rows == 90
    assert result.scores["accuracy"] == right / rows
    assert result.scores["loss"] == pytest.approx(losses / rows, rel=1e-5)
    numbers = table().drop(columns=["label", "patient", "day"])
    beaten = train_table(numbers, **{**options, "target": "value", "epochs": 1})
    assert beaten.scored_on == "held-out"


@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ("softmax", "cross_entropy"),
        ("logistic", "binary_cross_entropy"),
        ("exp", "poisson"),
        ("identity", "squared_error"),
        ("softmax", "huber:0.5"),
    ],
)
def test_the_loss_of_outputs_is_that_of_the_network(output, loss):
    mlp = MLP((3, 4, 2), output=output, loss=loss)
    random = np.random.default_rng(0)
    parameters, x = random.normal(size=mlp.layout.size), random.normal(size=(9, 3))
    targets = np.eye(2)[random.integers(0, 2, 9)]
    from anyarray_mlp import select_backend
    from anyarray_mlp.training.predicting import Predictor

    of_network = Predictor(mlp, parameters, select_backend(dtype="float64"))
    outputs, losses = of_network.outputs_and_losses(x, targets)
    assert losses_of(mlp, outputs, targets) == pytest.approx(losses, rel=1e-9)
    of_three = Predictor(mlp, np.stack([parameters] * 3), select_backend(dtype="float64"))
    assert of_three.outputs_and_losses(x, targets)[1] == pytest.approx(losses, rel=1e-9)


def test_certainty_that_is_wrong_has_a_finite_loss():
    mlp = MLP((1, 2), output="softmax")
    losses = losses_of(mlp, np.array([[1.0, 0.0]], dtype=np.float32), np.array([1]))
    assert 80 < losses[0] < 100


def test_one_file_holds_all_and_gives_the_same_answers(tmp_path):
    model = trained().model
    model.save(tmp_path / "m.safetensors")
    file = load(tmp_path / "m.safetensors")
    assert file.format_version == 2
    assert file.arrays["weights.0"].shape == (3, *model.mlp.layout.shapes[0])
    assert len(file.metadata["kept_epoch"].split(", ")) == 3
    again = TrainedModel.load(tmp_path / "m.safetensors")
    assert np.array_equal(again.parameters, model.parameters)
    rows = table().head(7)
    assert np.array_equal(again.outputs(rows), model.outputs(rows))
    assert model.predict(rows).tolist() == again.predict(rows).tolist()
    arrays = dict(file.arrays)
    arrays["biases.0"] = arrays["biases.0"][:2]
    save(tmp_path / "m.safetensors", replace(file, arrays=arrays))
    with pytest.raises(
        ModelFileError, match=r"biases\.0 is float32 \(2, 6\) and must be floats \(3, 6\)"
    ):
        TrainedModel.load(tmp_path / "m.safetensors")


def test_an_estimator_has_one_network(tmp_path):
    from anyarray_mlp import MLPClassifier

    frame = table()
    estimator = MLPClassifier((4,), learning_rate_init=0.05, tol=1e-2).fit(
        frame[["size", "age"]], frame["label"]
    )
    save_model(estimator, tmp_path / "e.safetensors")
    file = load(tmp_path / "e.safetensors")
    arrays = {name: np.stack([array, array]) for name, array in file.arrays.items()}
    save(tmp_path / "e.safetensors", replace(file, arrays=arrays))
    with pytest.raises(ModelFileError, match="of 2 networks, and an estimator has one"):
        load_model(tmp_path / "e.safetensors")


def test_predictions_of_numbers_stay_within_the_targets_of_training(tmp_path):
    frame = table().drop(columns=["label", "patient", "day"])
    far = frame.head(4).assign(size=[900.0, -900.0, 0.0, 1.0], age=5.0)
    model = train_table(frame, target="value", **BAG).model
    low, high = model.targets.low[0], model.targets.high[0]
    assert model.predict(far)[:2].tolist() == [high, low]
    model.save(tmp_path / "m")
    assert TrainedModel.load(tmp_path / "m").predict(far).tolist() == model.predict(far).tolist()
    free = train_table(frame, target="value", clamp_target=False, **BAG).model
    assert free.predict(far)[0] > high
    alone = train_table(frame, target="value", clamp_target=True, epochs=2).model
    assert alone.predict(far)[0] == alone.targets.high[0]
    assert train_table(frame, target="value", epochs=2).model.targets.low == ()


# Runs.


def test_a_run_goes_on_as_if_it_had_never_stopped(cli, prices):
    options = (*FLAGS, "--learning-rate", "plateau", "--quiet")
    assert cli("train", "t.csv", "--out", "whole", "--epochs", 5, *options)[0] == 0
    assert cli("train", "t.csv", "--out", "run", "--epochs", 3, *options)[0] == 0
    assert cli("train", "--resume", "--out", "run", "--epochs", 5, "--quiet")[0] == 0
    models = [load(Path(folder, "model.safetensors")) for folder in ("run", "whole")]
    assert models[0].metadata == models[1].metadata
    states = [load_checkpoint(folder) for folder in ("run", "whole")]
    assert states[0].state == states[1].state
    for one, other in (models, states):
        assert one.arrays.keys() == other.arrays.keys()
        assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
    losses = [
        [
            json.loads(line)["loss"]
            for line in Path(folder, "metrics.jsonl").read_text().splitlines()
        ]
        for folder in ("run", "whole")
    ]
    assert losses[0] == losses[1]
    assert tomllib.loads(Path("run/config.toml").read_text())["members"] == 3
    code, out, err = cli("train", "--resume", "--out", "run", "--epochs", 5)
    assert (code, "5 epochs already" in err, "each network keeps" in err) == (0, True, True)
    assert "test loss" in out


def test_what_a_person_sees(cli, prices):
    code, out, err = cli("train", "t.csv", "--out", "run", "--epochs", 3, *FLAGS)
    assert code == 0
    assert "of which each of 3 networks holds out 24 of its own to validate" in err
    assert "3 networks 5-6-2, relu, softmax, cross_entropy; 50 parameters each" in err
    assert "of 3 epochs, each network keeps its best one, the" in err
    code, told, _ = cli("evaluate", "run", "--json")
    assert code == 0
    loss = json.loads(told)["loss"]
    assert f"test loss {loss:.4f}" in out
    assert cli("predict", "run", "t.csv", "--proba")[0] == 0
    told = json.loads(cli("train", "t.csv", "--out", "j", "--epochs", 3, *FLAGS, "--json")[1])
    assert len(told["kept_epoch"]) == told["networks"] == 3
    assert cli("diagnose", "run")[0] in (0, 1)


def test_an_interrupted_run_keeps_what_was_learned_and_goes_on(tmp_path):
    frame = table().drop(columns=["value", "patient", "day"])
    told = []

    def interrupt(epoch):
        told.append(epoch.epoch)
        if len(told) == 2:
            signal.raise_signal(signal.SIGINT)

    options = {"target": "label", "hidden_layer_sizes": 6, **BAG}
    cut = train_table(frame, out=tmp_path / "run", callbacks=interrupt, **options)
    assert (cut.fit.stopped, cut.fit.signal, told) == ("interrupted", signal.SIGINT, [1, 2])
    assert load_checkpoint(tmp_path / "run").step == 2
    assert TrainedModel.load(tmp_path / "run").parameters.shape == cut.fit.parameters.shape
    ended = train_table(frame, callbacks=lambda epoch: epoch.epoch == 2, **options)
    assert (ended.fit.stopped, len(ended.fit.history)) == ("callback", 2)
    assert np.array_equal(ended.fit.parameters, cut.fit.parameters)


def test_a_checkpoint_of_other_networks_is_refused(cli, prices):
    assert cli("train", "t.csv", "--out", "run", "--epochs", 2, *FLAGS, "--quiet")[0] == 0
    kept = load_checkpoint("run")
    for state in (
        {**kept.state, "networks": kept.state["networks"][:2]},
        {**kept.state, "networks": [{}] * 3},
        {**kept.state, "networks": 3},
    ):
        save_checkpoint("run", replace(kept, state=state))
        code, _, err = cli("train", "--resume", "--out", "run", "--epochs", 4)
        assert (code, "cannot be resumed from" in err) == (65, True)
    arrays = {name: array[:2] for name, array in kept.arrays.items()}
    save_checkpoint("run", replace(kept, arrays=arrays))
    code, _, err = cli("train", "--resume", "--out", "run", "--epochs", 4)
    assert (code, "3 times" in err) == (65, True)


def test_one_that_diverges_ends_the_run_by_its_place():
    with pytest.raises(DivergedError, match=r"Of 3 networks, the 1st: The loss became") as caught:
        trained(optimizer="sgd", learning_rate_init=1e20)
    assert caught.value.diagnosis is not None


# What cannot be.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"optimizer": "lbfgs"},
            "members=3 are trained in step, and lbfgs takes no steps. Else give members=1",
        ),
        ({"early_stopping": True}, "early_stopping ends one before the others"),
        ({"members": 0}, "members"),
        ({"validation_fraction": 0}, "keep_epoch='best' watches validation_loss"),
    ],
)
def test_what_cannot_be_trained_in_step_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        trained(**options)


def test_too_few_rows_or_groups_are_refused_or_shared():
    frame = table().drop(columns=["value"]).assign(patient=np.arange(ROWS) % 3)
    options = {"target": "label", "group": "patient", "test_fraction": 0, **BAG}
    plan = make_plan(frame, Settings.of("train_table", None, options))
    assert len(plan.prepared.folds) == 3
    with pytest.raises(DataError, match="of one group"):
        train_table(frame.assign(patient=1), **options)


@pytest.fixture
def prices(tmp_path, monkeypatch):
    """A folder to work in, with t.csv."""
    monkeypatch.chdir(tmp_path)
    table().drop(columns=["value", "patient", "day"]).to_csv("t.csv", index=False)
