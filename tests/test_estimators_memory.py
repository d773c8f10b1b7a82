"""Parameters leave memory with what was fitted."""

from __future__ import annotations

import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, MLPClassifier, select_backend
from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.pipeline.trained_model import TrainedModel
from tests.beds import require_library

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

X = np.random.default_rng(0).standard_normal((60, 4))
Y = np.arange(60) % 3


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"scoring": "f1_macro"}])
def test_an_estimator_that_is_gone_leaves_no_parameters(options: dict[str, Any]) -> None:
    estimator = MLPClassifier(5, max_iter=3, random_state=0, **options).fit(X, Y)
    for _ in range(3):
        estimator.predict(X[:1])
    parameters = [weakref.ref(part) for part in (*estimator.coefs_, *estimator.intercepts_)]
    del estimator
    gc.collect()
    assert [part() for part in parameters] == [None] * 4


def test_predicting_leaves_the_estimator_as_it_is() -> None:
    estimator = MLPClassifier(5, max_iter=3, random_state=0).fit(X, Y)
    before = dict(vars(estimator))
    expected = [estimator.predict_proba(X[:1]) for _ in range(3)]
    assert vars(estimator) == before
    copied = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copied.predict_proba(X[:1]), expected[0])


def test_an_estimator_that_is_fitted_again_predicts_anew() -> None:
    estimator = MLPClassifier(5, max_iter=3, random_state=0).fit(X, Y)
    for _ in range(3):
        estimator.predict_proba(X[:1])
    fresh = MLPClassifier(5, max_iter=3, random_state=1).fit(X, Y)
    estimator.set_params(random_state=1).fit(X, Y)
    for _ in range(3):
        np.testing.assert_array_equal(estimator.predict_proba(X[:1]), fresh.predict_proba(X[:1]))


def test_jax_compiles_a_function_once() -> None:
    require_library("jax")
    traced = []

    def double(xp: Any, x: Any) -> Any:
        traced.append(x.shape)
        return x * 2.0

    backend = select_backend("jax")
    for _ in range(2):
        assert float(backend.jit(double)(backend.asarray(np.ones(1)))[0]) == 2.0
    assert traced == [(1,)]


def test_a_model_keeps_the_parameters_of_few_backends() -> None:
    mlp = MLP((4, 3))
    model = TrainedModel(
        mlp, mlp.initialize(0), Preprocessor.fit(X), TargetEncoder.fit(Y, "classification")
    )
    expected = model.predict(X)
    np.testing.assert_array_equal(model.predict(X), expected)
    assert len(model.predictors) == 1
    for _ in range(20):
        np.testing.assert_array_equal(model.predict(X, select_backend()), expected)
    assert 1 <= len(model.predictors) <= 4
    copied = pickle.loads(pickle.dumps(model))
    assert copied.predictors == {}
    np.testing.assert_array_equal(copied.parameters, model.parameters)
