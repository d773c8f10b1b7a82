"""What is left of a training run, and what it tells while it lasts."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from anyarray_mlp import Epoch, MLPClassifier, MLPRegressor
from tests.estimator_data import LABELS, SMALL, VALUES, X

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

X_DIGITS, DIGITS = load_digits(return_X_y=True)
X_DIGITS = X_DIGITS / 16.0


# --- early stopping on a stream ---


def test_early_stopping_goes_on_learning_from_a_stream() -> None:
    scores = {}
    for early in (False, True):
        estimator = MLPClassifier(
            30, early_stopping=early, learning_rate_init=0.005, random_state=2
        )
        for start in 3 * list(range(0, 1500, 50)):
            rows = slice(start, start + 50)
            estimator.partial_fit(X_DIGITS[rows], DIGITS[rows], classes=range(10))
        scores[early] = estimator.score(X_DIGITS[1500:], DIGITS[1500:])
    assert scores[True] > scores[False] - 0.1


@pytest.mark.parametrize("scoring", [None, "loss", "f1_macro"])
def test_the_best_parameters_are_scored_on_the_rows_held_out_now(scoring: Any) -> None:
    estimator = MLPClassifier(early_stopping=True, scoring=scoring, **SMALL)
    estimator.partial_fit(X, LABELS, classes=range(3), X_val=X[:9], y_val=LABELS[:9])
    before = estimator.coefs_[0].copy()
    estimator.set_params(learning_rate_init=1e-300)
    for rows in (slice(9, 60), slice(0, 9)):
        estimator.partial_fit(X, LABELS, X_val=X[rows], y_val=LABELS[rows])
        np.testing.assert_array_equal(estimator.coefs_[0], before)
        # The parameters did not move, so that their score before and after this epoch is the same.
        assert estimator.best_validation_score_ == estimator.validation_scores_[-1]


# --- warnings that are errors ---


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_warning_turned_into_an_error_keeps_the_fit(solver: str) -> None:
    reference = MLPClassifier(solver=solver, **SMALL).fit(X, LABELS)
    estimator = clone(reference)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            estimator.fit(X, LABELS)
    np.testing.assert_array_equal(estimator.predict(X), reference.predict(X))
    assert estimator.n_iter_ == 4


def test_a_divergence_warning_turned_into_an_error_keeps_the_best() -> None:
    estimator = MLPRegressor(
        activation="identity",
        solver="sgd",
        learning_rate_init=0.3,
        early_stopping=True,
        random_state=0,
    )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning, match="validated best so far are kept"):
            estimator.fit(X, VALUES)
    assert np.all(np.isfinite(estimator.predict(X)))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_interrupt_turned_into_an_error_keeps_the_fit(solver: str) -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")

    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    estimator = MLPClassifier(solver=solver, on_epoch=interrupt, **{**SMALL, "max_iter": 50})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="interrupted by user"):
            estimator.fit(X, LABELS)
    assert estimator.predict(X).shape == (60,)


def test_warnings_point_at_the_call_of_fit() -> None:
    for solver in ("adam", "lbfgs"):
        with pytest.warns(ConvergenceWarning) as caught:
            MLPClassifier(solver=solver, **SMALL).fit(X, LABELS)
        assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="batch_size") as caught:
        MLPClassifier(batch_size=1000, **SMALL).partial_fit(X, LABELS, classes=np.unique(LABELS))
    assert caught[0].filename == __file__


# --- what callbacks are told ---


@pytest.mark.parametrize(
    ("solver", "scoring", "name"),
    [
        ("adam", None, "accuracy"),
        ("adam", "f1_macro", "f1_macro"),
        ("adam", lambda estimator, x, y: estimator.score(x, y), "score"),
        ("adam", "loss", None),
        ("lbfgs", None, None),
    ],
)
def test_callbacks_are_told_of_the_validation_set(solver: str, scoring: Any, name: Any) -> None:
    seen: list[Epoch] = []
    estimator = MLPClassifier(
        solver=solver, scoring=scoring, early_stopping=True, on_epoch=seen.append, **SMALL
    )
    estimator.fit(X, LABELS, X_val=X[:9], y_val=LABELS[:9])
    assert [epoch.validation_loss for epoch in seen] == estimator.validation_loss_curve_
    expected: Any = [{}] * 4
    if name is not None:
        expected = [{name: score} for score in estimator.validation_scores_]
    assert [epoch.scores for epoch in seen] == expected


def test_the_validation_loss_is_told_without_early_stopping() -> None:
    seen: list[Epoch] = []
    estimator = MLPRegressor(on_epoch=seen.append, **SMALL)
    estimator.fit(X, VALUES, X_val=X[:9], y_val=VALUES[:9])
    assert [epoch.validation_loss for epoch in seen] == estimator.validation_loss_curve_


@pytest.mark.parametrize("answer", ["loss", 1, [0], None, False])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_only_true_stops_training(solver: str, answer: Any) -> None:
    estimator = MLPClassifier(solver=solver, on_epoch=lambda epoch: answer, **SMALL)
    assert estimator.fit(X, LABELS).n_iter_ == 4


@pytest.mark.parametrize("answer", [True, np.True_])
def test_true_stops_training(answer: Any) -> None:
    assert MLPClassifier(on_epoch=lambda epoch: answer, **SMALL).fit(X, LABELS).n_iter_ == 1


# --- losses of lbfgs ---


def test_lbfgs_that_starts_converged_reports_the_loss_of_its_data() -> None:
    settings: dict[str, Any] = {**SMALL, "solver": "lbfgs", "tol": 1e9}
    mine = MLPRegressor(**settings).fit(X, VALUES)
    reference = theirs.MLPRegressor(**settings).fit(X, VALUES)
    assert mine.n_iter_ == reference.n_iter_ == 0
    assert mine.loss_ == pytest.approx(reference.loss_, rel=1e-10)
    mine.set_params(warm_start=True).fit(X, 3 * VALUES)
    reference.set_params(warm_start=True).fit(X, 3 * VALUES)
    assert mine.loss_ == pytest.approx(reference.loss_, rel=1e-10)


def test_the_best_loss_of_lbfgs_is_scikit_learns() -> None:
    for kind in (MLPRegressor, theirs.MLPRegressor):
        estimator = kind(**SMALL, solver="lbfgs").fit(X, VALUES)
        assert not hasattr(estimator, "best_loss_")
    estimator = MLPRegressor(**SMALL, solver="lbfgs", warm_start=True).fit(X, VALUES)
    estimator.set_params(solver="adam").fit(X, VALUES)
    assert estimator.best_loss_ == min(estimator.loss_curve_[-4:])
    best = estimator.best_loss_
    assert estimator.set_params(solver="lbfgs").fit(X, VALUES).best_loss_ == best
    estimator.set_params(warm_start=False).fit(X, VALUES)
    assert not hasattr(estimator, "best_loss_")
