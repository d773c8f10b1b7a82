"""`Fit.save`: a library result as a model file, read to the same bits by `TrainedModel.load` and the command line."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas
import pytest

from anyarray_mlp import load_model, save_model
from anyarray_mlp.backends import select_backend
from anyarray_mlp.diagnosis import fit
from anyarray_mlp.errors import DataError, ModelFileError, OutputExistsError, UsageError
from anyarray_mlp.estimators import MLPClassifier
from anyarray_mlp.network import register_activation
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.registry import OWN
from anyarray_mlp.persistence import load
from anyarray_mlp.pipeline import TrainedModel
from anyarray_mlp.training import Fit, predict

RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 3))
LABELS = np.arange(80) % 3
NAMES = ["a", "b", "c"]
FRAME = pandas.DataFrame(X, columns=NAMES)
CLASSES = MLP((3, 5, 3))
VALUES = MLP((3, 5, 1), output="identity")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("mlp", "targets"),
    [
        (CLASSES, LABELS),
        (CLASSES, np.eye(3)[LABELS]),
        (MLP((3, 4, 1), output="logistic", dropout=0.1), (LABELS > 0) * 1.0),
        (MLP((3, 4, 2), output="logistic"), (X[:, :2] > 0) * 1.0),
        (VALUES, X[:, 0]),
        (MLP((3, 4, 2), output="identity", loss="huber:2.0", bias=False), X[:, :2]),
        (MLP((3, 1), output="exp"), LABELS),
    ],
)
def test_what_was_saved_predicts_to_the_bit(tmp_path, mlp, targets, dtype):
    backend = select_backend("numpy", dtype=dtype)
    result = fit(mlp, X, targets, backend=backend, epochs=3)
    result.save(tmp_path / "m")
    model = TrainedModel.load(tmp_path / "m")
    assert model.mlp == mlp
    assert model.parameters.dtype == result.parameters.dtype
    assert np.array_equal(model.parameters, result.parameters)
    outputs = predict(mlp, result.parameters, X, backend=backend)
    for x in (X, FRAME):
        assert np.array_equal(model.outputs(x, backend), outputs)
    answers = {
        "classification": (80,),
        "multilabel": (80, 2),
        "regression": (80,) + (2,) * (mlp.sizes[-1] > 1),
    }
    assert model.predict(X).shape == answers[model.targets.task]
    if model.targets.task == "classification":
        codes = outputs.argmax(axis=1) if mlp.sizes[-1] > 1 else (outputs[:, 0] >= 0.5) * 1
        assert np.array_equal(model.predict(X, backend), codes)
    elif model.targets.task == "regression":
        assert np.array_equal(model.predict(X, backend).reshape(outputs.shape), outputs)


@pytest.mark.parametrize(
    "options", [{"optimizer": "lbfgs"}, {"epochs": 0}, {"early_stopping": True, "monitor": "loss"}]
)
def test_every_way_to_train_can_be_saved(tmp_path, options):
    result = fit(CLASSES, X, LABELS, **{"epochs": 3, **options})
    result.save(tmp_path / "m")
    assert np.array_equal(TrainedModel.load(tmp_path / "m").parameters, result.parameters)


def test_batches_can_be_saved_with_names(tmp_path):
    result = fit(CLASSES, [(X[:40], LABELS[:40]), (X[40:], LABELS[40:])], epochs=2)
    result.save(tmp_path / "m", columns=NAMES, classes=["x", "y", "z"], target="kind")
    model = TrainedModel.load(tmp_path / "m")
    assert (model.preprocessor.names, model.target_names) == (("a", "b", "c"), ("kind",))
    assert set(model.predict(FRAME)) <= {"x", "y", "z"}


def test_tables_find_their_columns_by_name(tmp_path, cli):
    result = fit(
        CLASSES, FRAME, pandas.Series(LABELS, name="kind"), epochs=30, learning_rate_init=0.05
    )
    result.save("m", classes=["ant", "bee", "cat"])
    labels = np.array(["ant", "bee", "cat"])[predict(CLASSES, result.parameters, X).argmax(axis=1)]
    turned = FRAME[["c", "a", "b"]].assign(kind=np.array(["ant", "bee", "cat"])[LABELS])
    turned.to_csv("rows.csv", index=False)
    code, out, _ = cli("predict", "m", "rows.csv")
    assert (code, out.split()) == (0, ["prediction", *labels])
    code, out, _ = cli("evaluate", "m", "rows.csv", "--json")
    assert code == 0
    assert json.loads(out)["accuracy"] == (labels == turned["kind"]).mean()
    assert json.loads(out)["loss"] == pytest.approx(loss_of(result), rel=1e-6)
    code, out, _ = cli("predict", "m", "rows.csv", "--proba")
    assert out.splitlines()[0] == "prediction,probability_ant,probability_bee,probability_cat"


def loss_of(result):
    """The mean loss of the result's parameters."""
    xp = select_backend("numpy", dtype="float64").xp
    return CLASSES.losses(
        xp, tuple(CLASSES.layout.split(result.parameters.astype(float))), X, LABELS
    ).mean()


def test_arrays_have_columns_in_order(tmp_path, cli):
    result = fit(VALUES, X, X[:, 0], epochs=3)
    result.save("m")
    pandas.DataFrame(X.astype(np.float32)).to_csv("bare.csv", index=False, header=False)
    FRAME.astype(np.float32).to_csv("named.csv", index=False)
    expected = predict(VALUES, result.parameters, X.astype(np.float32))[:, 0]
    for name in ("bare.csv", "named.csv"):
        code, out, _ = cli("predict", "m", name)
        assert code == 0
        np.testing.assert_array_equal(np.array(out.split()[1:], np.float32), expected)
    FRAME.assign(t=0.0).to_csv("more.csv", index=False)
    code, _, err = cli("predict", "m", "more.csv")
    assert code == 65
    assert "4 columns, 'a', 'b', 'c', 't', and the model was trained on 3 without names" in err
    code, out, _ = cli("evaluate", "m", "more.csv", "--json")  # whose last column is the target
    assert (code, json.loads(out)["rows"]) == (0, 80)


def test_a_gap_is_refused_as_nothing_is_known_to_fill_it(tmp_path, cli):
    fit(VALUES, FRAME, X[:, 0], epochs=1).save("fit")
    save_model(MLPClassifier((3,), max_iter=500, tol=1.0).fit(X, LABELS), "estimator")
    gap = FRAME.copy()
    gap.loc[4, "b"] = np.nan
    gap.to_csv("gap.csv", index=False)
    code, _, err = cli("predict", "fit", "gap.csv")
    assert code == 65
    assert (
        "line 6, column 'b': there is no value, and the model was trained on rows without gaps"
        in err
    )
    for path in ("fit", "estimator"):
        with pytest.raises(DataError, match=r"row 4 \(from 0\), column .*: there is no value"):
            TrainedModel.load(path).predict(gap.to_numpy())


def test_pixels_stay_bytes_and_other_scales_go_to_the_columns(tmp_path):
    pixels = RNG.integers(0, 256, (80, 3), dtype=np.uint8)
    for x, scale in ((pixels, 1 / 255), (pixels, None), (pixels, 0.25), (pixels / 2, 0.1)):
        result = fit(CLASSES, x, LABELS, input_scale=scale, epochs=3)
        result.save(tmp_path / "m")
        model = TrainedModel.load(tmp_path / "m")
        outputs = predict(CLASSES, result.parameters, x, input_scale=scale)
        if scale == 0.1:
            np.testing.assert_allclose(model.outputs(x), outputs, rtol=1e-4)
        else:
            assert np.array_equal(model.outputs(x), outputs)
        assert model.preprocessor.pixels == (scale == 1 / 255)


def test_equal_results_give_equal_files_also_after_a_pickle(tmp_path):
    result = fit(CLASSES, X, LABELS, epochs=2)
    result.save(tmp_path / "one")
    pickle.loads(pickle.dumps(result)).save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert load(tmp_path / "one").metadata["backend"] == "numpy"


def test_functions_of_ones_own_are_saved_by_name(tmp_path):
    mlp = MLP((3, 4, 3), register_activation("twice", lambda xp, z: (z * 2.0, lambda da: da * 2.0)))
    try:
        result = pickle.loads(
            pickle.dumps(fit(mlp, X, LABELS, epochs=1))
        )  # no lambda travels along
        result.save(tmp_path / "m")
        model = TrainedModel.load(tmp_path / "m")
        assert np.array_equal(model.outputs(X), predict(mlp, result.parameters, X))
    finally:
        del ACTIVATIONS["twice"], OWN["activation", "twice"]
    with pytest.raises(ModelFileError, match="register it before"):
        result.save(tmp_path / "again")


def test_the_task_of_the_recipe_decides_what_outputs_are(tmp_path):
    mlp = MLP((3, 2), output="logistic")
    for task, answers in (("multilabel", np.int64), ("regression", np.float64), (None, np.int64)):
        fit(mlp, X, (X[:, :2] > 0) * 1.0, task=task, epochs=1).save(tmp_path / "m")
        assert TrainedModel.load(tmp_path / "m").predict(X).dtype == answers


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": ["a"]}, "classes must be a list of 3 labels, one for each class, got 1"),
        ({"classes": ["a", "b", 1]}, "These classes cannot be saved, because classes mixes labels of 2 types"),
        ({"classes": ["a", "b", "b"]}, "classes holds a label twice"),
        ({"classes": [[1], [2], [3]]}, r"a label of classes is \[1\]"),
        ({"classes": "abc"}, "classes must be a list of 3 labels"),
        ({"columns": ["a", "b"]}, "columns must be a list of 3 names"),
        ({"columns": ["a", "b", "b"]}, "columns must be a list of 3 names, one for each column of x, each another"),
        ({"target": ["a", "b"]}, "target must be a list of 3 names, one for each output"),
        ({"labels": [1, 2, 3]}, "labels.*did you mean 'classes'"),
        ({"overwrite": "no"}, "overwrite must be True or False"),
    ],
)  # fmt: skip
def test_names_that_do_not_fit_are_refused(tmp_path, options, words):
    result = fit(CLASSES, X, LABELS, epochs=1)
    with pytest.raises(UsageError, match=words):
        result.save(tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


def test_what_cannot_be_saved_is_refused(tmp_path):
    result = fit(VALUES, X, X[:, 0], epochs=1)
    with pytest.raises(UsageError, match="classes are for classification, and this is regression"):
        result.save(tmp_path / "m", classes=[1])
    result.save(tmp_path / "m")
    with pytest.raises(OutputExistsError):
        result.save(tmp_path / "m", overwrite=False)
    with pytest.raises(UsageError, match="does not say what it was trained with"):
        Fit(result.parameters, (), "finished").save(tmp_path / "m")
    with pytest.raises(UsageError, match="path must be a path"):
        result.save("")
    with pytest.raises(
        ModelFileError, match=r"a model of fit or of the command line.* TrainedModel\.load"
    ):
        load_model(tmp_path / "m")
