"""`TabularMLPClassifier` and `TabularMLPRegressor`: scikit-learn's checks, tables as they come, weights, files."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from anyarray_mlp import TabularMLPClassifier, TabularMLPRegressor, TrainedModel, train_table
from anyarray_mlp.errors import DataError, UnknownCategoryWarning, UsageError
from tests.beds import since_scikit_learn_1_9

#: Rows are held out and batched at random, so two rows are not one of weight 2.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "rows are held out at random"}
SMALL = {"epochs": 8, "hidden_layer_sizes": (16,), "random_state": 0}


def table(rows: int = 160) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Numbers with gaps and texts with gaps, labels and values that depend on them."""
    random = np.random.default_rng(0)
    size, town = random.normal(size=rows), random.choice(["Rome", "Oslo", "Lima"], rows)
    values = size * 2 + (town == "Rome")
    frame = pd.DataFrame(
        {"size": size, "town": pd.Categorical(town), "noise": random.normal(size=rows)}
    )
    frame.loc[::11, "noise"] = np.nan
    frame.loc[5, "town"] = None
    return frame, np.where(values > 0.3, "yes", "no"), values * 100 + 5000


@since_scikit_learn_1_9
@pytest.mark.parametrize("kind", [TabularMLPClassifier, TabularMLPRegressor])
def test_check_estimator_passes(kind: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(
            kind(epochs=20, hidden_layer_sizes=(16,)),
            on_fail=None,
            on_skip=None,
            expected_failed_checks=EXPECTED,
        )
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert {r["check_name"] for r in results if r["status"] == "xfail"} <= {*EXPECTED}
    assert sum(result["status"] == "passed" for result in results) > 50


def test_a_classifier_takes_a_table_as_it_comes(tmp_path: Any) -> None:
    X, y, _ = table()
    fitted = TabularMLPClassifier(**{**SMALL, "epochs": 25}).fit(X[:120], y[:120])
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.model_.parameters.shape[0] == 4
    assert fitted.score(X[120:], y[120:]) > 0.8
    probabilities = fitted.predict_proba(X[120:])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert fitted.predict(X[120:]).tolist() == [
        fitted.classes_[place] for place in probabilities.argmax(axis=1)
    ]
    assert len(fitted.loss_curve_) == len(fitted.validation_loss_curve_) == fitted.n_iter_ == 25
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    fitted.model_.save(tmp_path / "m")
    loaded = TrainedModel.load(tmp_path / "m")
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()
    shuffled = X[["noise", "town", "size"]]
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(shuffled)
    with pytest.warns(UnknownCategoryWarning):
        fitted.predict(X.assign(town="Quito"))
    assert clone(fitted).get_params() == fitted.get_params()
    assert len(cross_val_score(TabularMLPClassifier(**SMALL), X, y, cv=2)) == 2


def test_it_is_what_train_table_makes_of_the_same_rows() -> None:
    X, y, _ = table()
    fitted = TabularMLPClassifier(**SMALL).fit(X, y)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    options = {name: value for name, value in SMALL.items() if name != "random_state"}
    made = train_table(
        X.assign(label=y), target="label", preset="tabular", test_fraction=0.0, seed=seed, **options
    )
    np.testing.assert_array_equal(made.model.parameters, fitted.model_.parameters)


def test_a_regressor_keeps_within_the_targets() -> None:
    X, _, y = table()
    fitted = TabularMLPRegressor(**{**SMALL, "epochs": 40}).fit(X[:120], y[:120])
    assert fitted.score(X[120:], y[120:]) > 0.8
    far = fitted.predict(X.assign(size=1e6))
    assert far.max() <= y[:120].max()
    two = TabularMLPRegressor(**SMALL).fit(X, np.stack([y, -y], axis=1)).predict(X)
    assert two.shape == (160, 2)
    assert TabularMLPRegressor(**SMALL, members=1).fit(X, y).model_.parameters.ndim == 1


def test_weights_count_in_training_and_where_the_best_epoch_is_chosen() -> None:
    random = np.random.default_rng(1)
    X = random.normal(size=(200, 2))
    y = (random.uniform(size=200) < 0.3).astype(int)
    heavy = np.where(y == 1, 20.0, 1.0)
    share = TabularMLPClassifier(**SMALL).fit(X, y).predict(X).mean()
    for fitted in (
        TabularMLPClassifier(**SMALL).fit(X, y, heavy),
        TabularMLPClassifier(**SMALL, class_weight={1: 20.0}).fit(X, y),
    ):
        assert fitted.predict(X).mean() > max(0.9, share)
    with pytest.raises(DataError, match="Every sample weight is zero"):
        TabularMLPClassifier(**SMALL).fit(X, y, np.zeros(200))


def test_options_are_settings_of_a_table() -> None:
    X, y, _ = table()
    given = {"activation": "silu", "group": "who", "learning_rate": "constant"}
    fitted = TabularMLPClassifier(**SMALL, options=given).fit(X.assign(who=np.arange(160) // 4), y)
    assert fitted.model_.mlp.activation == ("silu",)
    assert "who" not in fitted.model_.preprocessor.used_names
    for name, message in [
        ("epochs", "give epochs"),
        ("seed", "give random_state"),
        ("target", "leave it out"),
        ("epoks", "epochs"),
    ]:
        with pytest.raises(UsageError, match=message):
            TabularMLPClassifier(**SMALL, options={name: 1}).fit(X, y)
    with pytest.raises(UsageError, match="preset"):
        TabularMLPClassifier("tabula").fit(X, y)
