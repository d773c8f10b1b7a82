"""`diagnose=True`: the estimators give the diagnosis of a fit, with cures by the names of their own parameters."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from anyarray_mlp.errors import DivergedError
from anyarray_mlp.estimators import MLPClassifier, MLPRegressor
from anyarray_mlp.estimators.diagnosing import DiagnosedFitWarning, InParameters

X, Y = load_wine(return_X_y=True, as_frame=True)
SCALED = StandardScaler().fit_transform(X)


def fitted(estimator: Any, x: Any, y: Any) -> tuple[Any, list[str]]:
    """A fitted estimator, and the warnings that its diagnosis gave."""
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        estimator.fit(x, y)
    return estimator, [str(w.message) for w in given if w.category is DiagnosedFitWarning]


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_what_a_fit_suffers_from_is_found_and_named_by_column(solver: str) -> None:
    found, _ = fitted(
        MLPClassifier(solver=solver, max_iter=20, random_state=0, diagnose=True), X, Y
    )
    first = found.diagnosis_.first
    assert first.cause == "unscaled_inputs"
    assert "proline" in first.evidence


def test_an_error_is_warned_of_and_a_healthy_fit_is_not() -> None:
    options: dict[str, Any] = {"max_iter": 60, "random_state": 0, "diagnose": True}
    healthy, said = fitted(MLPClassifier(learning_rate_init=0.01, **options), SCALED, Y)
    assert (healthy.diagnosis_.alarms, said) == ((), [])
    _, said = fitted(MLPRegressor(**options), X, 1e4 + 1e3 * np.asarray(Y))
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert said[0].endswith("All that was found: estimator.diagnosis_.report().")


def test_no_diagnosis_is_made_unless_it_is_asked_for_and_none_is_left_over() -> None:
    estimator, _ = fitted(MLPClassifier(max_iter=5, random_state=0), SCALED, Y)
    assert not hasattr(estimator, "diagnosis_")
    fitted(estimator.set_params(diagnose=True), SCALED, Y)
    before = estimator.diagnosis_
    estimator.partial_fit(SCALED, Y)
    assert estimator.diagnosis_ is before
    assert not hasattr(clone(estimator), "diagnosis_")
    fitted(estimator.set_params(diagnose=False), SCALED, Y)
    assert not hasattr(estimator, "diagnosis_")


def test_a_watched_fit_gives_the_same_weights() -> None:
    options: dict[str, Any] = {"max_iter": 10, "random_state": 0, "early_stopping": True}
    plain, _ = fitted(MLPClassifier(**options), SCALED, Y)
    watched, _ = fitted(MLPClassifier(diagnose=True, **options), SCALED, Y)
    for a, b in zip(plain.coefs_, watched.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert watched.diagnosis_.record.data.n_validation == 18


def test_a_fit_that_diverges_says_why() -> None:
    estimator = MLPRegressor(
        solver="sgd", learning_rate_init=10.0, max_iter=50, random_state=0, diagnose=True
    )
    with pytest.raises(DivergedError) as raised:
        fitted(estimator, pd.DataFrame(SCALED, columns=X.columns), 100.0 * np.asarray(Y))
    assert raised.value.diagnosis.first.cause in ("rate_too_high", "unscaled_targets")
    assert estimator.diagnosis_ is raised.value.diagnosis


def test_changes_are_written_as_parameters_of_the_estimator() -> None:
    write = InParameters(frozenset(MLPClassifier().get_params()))
    assert write({"epochs": 400, "patience": 3}) == "max_iter=400, n_iter_no_change=3"
    assert (
        write({"optimizer": "adam", "learning_rate_init": 0.01})
        == "solver='adam', learning_rate_init=0.01"
    )
    assert write({"optimizer": "momentum"}) == "solver='sgd', nesterovs_momentum=False"
    assert write({"optimizer": "rmsprop"}) == "anyarray_mlp.fit(..., optimizer='rmsprop')"
    assert write({"label_smoothing": 0.1}) == "anyarray_mlp.fit(..., label_smoothing=0.1)"


def test_a_diagnosis_travels_with_the_estimator() -> None:
    estimator, _ = fitted(MLPClassifier(max_iter=20, random_state=0, diagnose=True), X, Y)
    again = pickle.loads(pickle.dumps(estimator))
    assert again.diagnosis_.report() == estimator.diagnosis_.report()
    assert again.diagnosis_.write == estimator.diagnosis_.write
