"""Estimators in the project's model file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError

from anyarray_mlp import MLPClassifier, MLPRegressor, load_model, save_model
from anyarray_mlp.errors import ModelFileError, OutputExistsError, UsageError
from anyarray_mlp.persistence import ModelFile, load, save
from anyarray_mlp.pipeline.trained_model import TrainedModel

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

X_IRIS, IRIS = load_iris(return_X_y=True)
X_DIABETES, DIABETES = load_diabetes(return_X_y=True)
QUICK = {"max_iter": 3, "random_state": 0}
NAMES = np.array(["setosa", "versicolor", "virginica"])

CASES: dict[str, tuple[Any, Any, Any]] = {
    "multiclass": (MLPClassifier((4, 3), ["tanh", "gelu"], dropout=0.1, **QUICK), X_IRIS, IRIS),
    "texts": (MLPClassifier(4, **QUICK), X_IRIS, NAMES[IRIS]),
    "objects": (MLPClassifier(4, **QUICK), X_IRIS, NAMES.astype(object)[IRIS]),
    "binary": (MLPClassifier(4, class_weight={True: 2.0}, **QUICK), X_IRIS, IRIS == 1),
    "one class": (MLPClassifier(4, **QUICK), X_IRIS, np.zeros(150, dtype=int)),
    "multilabel": (MLPClassifier(4, **QUICK), X_IRIS, np.eye(3, dtype=int)[IRIS]),
    "early": (
        MLPClassifier(4, early_stopping=True, n_iter_no_change=np.inf, **QUICK),
        X_IRIS,
        IRIS,
    ),
    "regression": (MLPRegressor(hidden_layer_sizes=4, **QUICK), X_DIABETES, DIABETES),
    "poisson": (
        MLPRegressor("poisson", 4, **QUICK),
        X_DIABETES,
        np.stack([DIABETES, DIABETES], axis=1) // 50,
    ),
    "float32": (MLPRegressor(hidden_layer_sizes=4, dtype="float32", **QUICK), X_DIABETES, DIABETES),
}


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_estimator_is_the_saved_one(case: str, tmp_path: Path) -> None:
    estimator, x, y = CASES[case]
    estimator.fit(x, y)
    path = tmp_path / "model.safetensors"
    save_model(estimator, path)
    loaded = load_model(path)
    assert type(loaded) is type(estimator)
    assert loaded.get_params() == estimator.get_params()
    assert loaded.predict(x).dtype == estimator.predict(x).dtype
    np.testing.assert_array_equal(loaded.predict(x), estimator.predict(x))
    kept = {name for name in vars(estimator) if name.endswith("_")}
    assert kept <= set(vars(loaded))
    for name in kept - {"coefs_", "intercepts_", "classes_"}:
        assert getattr(loaded, name) == getattr(estimator, name)
    if isinstance(estimator, MLPClassifier):
        np.testing.assert_array_equal(loaded.predict_proba(x), estimator.predict_proba(x))
        assert loaded.classes_.dtype == estimator.classes_.dtype
    loaded.partial_fit(x, y)
    assert np.isfinite(loaded.loss_)


@pytest.mark.parametrize(
    "case", ["one class", "multiclass", "texts", "multilabel", "regression", "float32"]
)
def test_the_command_lines_model_predicts_the_same(case: str, tmp_path: Path) -> None:
    estimator, x, y = CASES[case]
    path = tmp_path / "model.safetensors"
    save_model(estimator.fit(x, y), path)
    answers = TrainedModel.load(path).predict(x)
    if y.dtype.kind in "fi" and case != "multiclass":
        np.testing.assert_allclose(answers, estimator.predict(x), rtol=1e-5)
    else:
        np.testing.assert_array_equal(answers, estimator.predict(x))


def test_feature_names_and_arrays_of_other_libraries_are_kept_on_the_host(tmp_path: Path) -> None:
    frame = pd.DataFrame(X_IRIS, columns=["a", "b", "c", "d"])
    save_model(MLPClassifier(4, **QUICK).fit(frame, IRIS), tmp_path / "named")
    assert load_model(tmp_path / "named").feature_names_in_.tolist() == ["a", "b", "c", "d"]

    torch = pytest.importorskip("torch")
    with config_context(array_api_dispatch=True):
        estimator = MLPClassifier(4, **QUICK).fit(torch.tensor(X_IRIS), IRIS)
        save_model(estimator, tmp_path / "torch")
    assert isinstance(load_model(tmp_path / "torch").predict(X_IRIS), np.ndarray)


def test_what_is_no_data_stays_behind(tmp_path: Path) -> None:
    estimator = MLPClassifier(
        4,
        max_iter=2,
        random_state=np.random.RandomState(0),
        initializer=lambda rng, i, o: rng.random((i, o)),
        on_epoch=print,
    )
    save_model(estimator.fit(X_IRIS, IRIS), tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded.random_state is None
    assert loaded.initializer == "scikit-learn"
    assert loaded.on_epoch is None
    np.testing.assert_array_equal(loaded.predict(X_IRIS), estimator.predict(X_IRIS))


def test_what_cannot_be_saved_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(NotFittedError):
        save_model(MLPClassifier(), path)
    with pytest.raises(UsageError, match="got list"):
        save_model([], path)  # type: ignore[arg-type]
    estimator = MLPClassifier(4, **QUICK).fit(X_IRIS, IRIS)
    save_model(estimator, path)
    with pytest.raises(OutputExistsError):
        save_model(estimator, path, overwrite=False)


def test_a_model_of_the_command_line_is_no_estimator(tmp_path: Path) -> None:
    save(tmp_path / "model", ModelFile({"sizes": [1, 1]}, {}))
    with pytest.raises(ModelFileError, match="use anyarray-mlp predict"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [
        {"class": "Pipeline"},
        {"class": ["MLPClassifier"]},
        {"parameters": {"unknown": 1}},
        {"parameters": {"alpha": -1}},
        {"parameters": {"hidden_layer_sizes": {"pickle": "x"}}},
        {"parameters": None},
        {"figures": {"predict": 1}},
        {"figures": {"__class__": 1}},
        {"labels": None},
        {"labels": {"kind": "multiclass", "values": [1, 2], "dtype": "int64", "sparse": False}},
        {"labels": {"kind": "multiclass", "values": [1, 2, 3], "dtype": "V8", "sparse": False}},
        {"labels": {"kind": "odd", "values": [1, 2, 3], "dtype": "int64", "sparse": False}},
        {"labels": {"kind": "multiclass", "values": [1, 2, 3], "dtype": "object", "sparse": False}},
        {"feature_names": 3},
    ],
    ids=str,
)
def test_a_forged_record_is_one_error(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_model(MLPClassifier(4, **QUICK).fit(X_IRIS, IRIS), path)
    file = load(path)
    record = {**json.loads(file.metadata["estimator"]), **change}
    forged = ModelFile(
        file.config,
        file.arrays,
        file.preprocessing,
        file.targets,
        {"estimator": json.dumps(record)},
    )
    save(path, forged)
    with pytest.raises(ModelFileError, match="cannot be used: estimator"):
        load_model(path)
