"""What scikit-learn's MLPs refuse and these offer."""

from __future__ import annotations

import math
import os
import signal
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.utils.class_weight import compute_sample_weight

from anyarray_mlp import Epoch, MLPClassifier, MLPRegressor
from anyarray_mlp.network.exchange import SKLEARN_ACTIVATIONS
from anyarray_mlp.network.functional import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

X_IRIS, IRIS = load_iris(return_X_y=True)
X_IRIS = (X_IRIS - X_IRIS.mean(axis=0)) / X_IRIS.std(axis=0)
X_DIGITS, DIGITS = load_digits(return_X_y=True)
X_DIGITS, DIGITS = X_DIGITS[:500] / 16.0, DIGITS[:500]
X_DIABETES, DIABETES = load_diabetes(return_X_y=True)
X_DIABETES, DIABETES = X_DIABETES * 20.0, DIABETES / 100.0


def assert_same_weights(a: Any, b: Any) -> None:
    for p, q in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(p, q)


# --- class weights ---


def test_class_weight_is_the_sample_weight_of_its_class() -> None:
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    common = {"hidden_layer_sizes": 8, "max_iter": 10, "random_state": 0}
    by_class = MLPClassifier(**common, class_weight=weights).fit(X_IRIS, IRIS)
    by_sample = MLPClassifier(**common).fit(
        X_IRIS, IRIS, sample_weight=compute_sample_weight(weights, IRIS)
    )
    assert_same_weights(by_class, by_sample)
    own = np.linspace(0.5, 1.5, 150)
    both = MLPClassifier(**common, class_weight=weights).fit(X_IRIS, IRIS, sample_weight=own)
    product = MLPClassifier(**common).fit(
        X_IRIS, IRIS, sample_weight=compute_sample_weight(weights, IRIS) * own
    )
    assert_same_weights(both, product)


def test_balanced_class_weight_finds_the_rare_class() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0.0, 1.0, (950, 2)), rng.normal(1.5, 1.0, (50, 2))])
    y = np.repeat(["common", "rare"], [950, 50])
    common = {
        "hidden_layer_sizes": 8,
        "max_iter": 60,
        "random_state": 0,
        "learning_rate_init": 0.01,
    }
    plain = MLPClassifier(**common).fit(x, y)
    balanced = MLPClassifier(**common, class_weight="balanced").fit(x, y)
    gain = balanced_accuracy_score(y, balanced.predict(x)) - balanced_accuracy_score(
        y, plain.predict(x)
    )
    assert gain > 0.15


def test_class_weight_for_label_indicators_and_parts_of_the_classes() -> None:
    y = np.stack([IRIS == 0, IRIS == 1], axis=1).astype(int)
    estimator = MLPClassifier(8, max_iter=3, class_weight="balanced", random_state=0).fit(X_IRIS, y)
    assert estimator.predict(X_IRIS).shape == (150, 2)
    streamed = MLPClassifier(8, class_weight={0: 1.0, 1: 2.0, 2: 3.0}, random_state=0)
    streamed.partial_fit(X_IRIS[:60], IRIS[:60], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="not supported by partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(
            X_IRIS[:60], IRIS[:60], classes=[0, 1, 2]
        )


# --- activations, losses, initialisers, dropout ---


def test_each_hidden_layer_may_have_its_own_activation() -> None:
    uniform = MLPClassifier((8, 6), "tanh", max_iter=5, random_state=0).fit(X_IRIS, IRIS)
    listed = MLPClassifier((8, 6), ["tanh", "tanh"], max_iter=5, random_state=0).fit(X_IRIS, IRIS)
    mixed = MLPClassifier((8, 6), ["tanh", "gelu"], max_iter=5, random_state=0).fit(X_IRIS, IRIS)
    assert_same_weights(uniform, listed)
    assert not np.array_equal(uniform.coefs_[0], mixed.coefs_[0])


@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a not in SKLEARN_ACTIVATIONS])
def test_further_activations_learn(activation: str) -> None:
    estimator = MLPClassifier(
        16, activation, max_iter=60, learning_rate_init=0.02, random_state=0
    ).fit(X_IRIS, IRIS)
    assert estimator.score(X_IRIS, IRIS) > 0.9


@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
def test_robust_losses_shrug_off_an_outlier(loss: str) -> None:
    x = np.linspace(-1.0, 1.0, 200)[:, None]
    y = 2.0 * x[:, 0]
    y[::20] += 100.0
    common = {"activation": "identity", "hidden_layer_sizes": 4, "max_iter": 400, "random_state": 0}
    robust = MLPRegressor(loss, learning_rate_init=0.01, **common).fit(x, y)
    plain = MLPRegressor(learning_rate_init=0.01, **common).fit(x, y)
    clean = np.arange(200) % 20 != 0
    error = [np.mean(np.abs(e.predict(x)[clean] - y[clean])) for e in (robust, plain)]
    assert error[0] < 0.2 < 1.0 < error[1]


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classifiers_take_losses_of_the_probabilities(loss: str, n_classes: int) -> None:
    rows = np.isin(IRIS, range(n_classes))
    estimator = MLPClassifier(
        16, loss=loss, max_iter=100, learning_rate_init=0.02, random_state=0
    ).fit(X_IRIS[rows], IRIS[rows])
    assert estimator.score(X_IRIS[rows], IRIS[rows]) > 0.9


def test_initializers_by_name_and_by_function() -> None:
    frozen: dict[str, Any] = {
        "hidden_layer_sizes": 4,
        "max_iter": 1,
        "solver": "sgd",
        "momentum": 0.0,
        "learning_rate_init": 1e-300,
        "alpha": 0.0,
        "random_state": 0,
    }
    orthogonal = MLPClassifier(**frozen, initializer="orthogonal").fit(X_IRIS, IRIS)
    w = orthogonal.coefs_[0]
    np.testing.assert_allclose(w.T @ w, np.eye(4), atol=1e-12)
    assert np.all(np.abs(orthogonal.intercepts_[0]) < 1e-290)
    again = MLPClassifier(**frozen, initializer="orthogonal").fit(X_IRIS, IRIS)
    assert_same_weights(orthogonal, again)
    own = MLPClassifier(**frozen, initializer=lambda rng, i, o: np.full((i, o), 0.25))
    assert np.all(own.fit(X_IRIS, IRIS).coefs_[1] == 0.25)


def test_dropout_drops_in_training_only_and_follows_the_seed() -> None:
    common = {"hidden_layer_sizes": (32, 16), "max_iter": 10, "random_state": 0}
    plain = MLPClassifier(**common).fit(X_DIGITS, DIGITS)
    dropped = MLPClassifier(**common, dropout=0.5).fit(X_DIGITS, DIGITS)
    assert dropped.loss_ > plain.loss_
    np.testing.assert_array_equal(dropped.predict(X_DIGITS), dropped.predict(X_DIGITS))
    assert_same_weights(dropped, MLPClassifier(**common, dropout=[0.5, 0.5]).fit(X_DIGITS, DIGITS))
    other = MLPClassifier(**{**common, "random_state": 1}, dropout=0.5).fit(X_DIGITS, DIGITS)
    assert not np.array_equal(dropped.coefs_[0], other.coefs_[0])
    with pytest.raises(ValueError, match="set dropout to 0"):
        MLPClassifier(**common, dropout=0.5, solver="lbfgs").fit(X_DIGITS, DIGITS)


def test_clip_norm_keeps_a_steep_start_from_diverging() -> None:
    common = {"solver": "sgd", "learning_rate_init": 0.1, "max_iter": 20, "random_state": 0}
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="clip_norm"):
        MLPRegressor(**common).fit(X_DIABETES * 100, DIABETES * 100)
    clipped = MLPRegressor(**common, clip_norm=1.0).fit(X_DIABETES * 100, DIABETES * 100)
    assert math.isfinite(clipped.loss_)


# --- validation ---


def test_the_validation_loss_is_recorded_and_is_the_log_loss() -> None:
    estimator = MLPClassifier(16, max_iter=20, random_state=0)
    estimator.fit(X_IRIS[::2], IRIS[::2], X_val=X_IRIS[1::2], y_val=IRIS[1::2])
    curve = estimator.validation_loss_curve_
    assert len(curve) == estimator.n_iter_ == 20
    assert estimator.validation_scores_ is None
    last = log_loss(IRIS[1::2], estimator.predict_proba(X_IRIS[1::2]))
    assert curve[-1] == pytest.approx(last, rel=1e-10)
    weight = np.linspace(0.0, 1.0, 75)
    estimator.fit(
        X_IRIS[::2], IRIS[::2], X_val=X_IRIS[1::2], y_val=IRIS[1::2], sample_weight_val=weight
    )
    weighted = log_loss(IRIS[1::2], estimator.predict_proba(X_IRIS[1::2]), sample_weight=weight)
    assert estimator.validation_loss_curve_[-1] == pytest.approx(weighted, rel=1e-10)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_regressors_record_the_validation_loss(solver: str) -> None:
    estimator = MLPRegressor(hidden_layer_sizes=8, solver=solver, max_iter=10, random_state=0)
    estimator.fit(X_DIABETES[:300], DIABETES[:300], X_val=X_DIABETES[300:], y_val=DIABETES[300:])
    error = 0.5 * np.mean((estimator.predict(X_DIABETES[300:]) - DIABETES[300:]) ** 2)
    assert len(estimator.validation_loss_curve_) == estimator.n_iter_
    assert estimator.validation_loss_curve_[-1] == pytest.approx(error, rel=1e-9)


def test_a_validation_set_without_targets_is_refused() -> None:
    with pytest.raises(ValueError, match="pass both"):
        MLPClassifier(max_iter=1).fit(X_IRIS, IRIS, X_val=X_IRIS)


@pytest.mark.parametrize(
    "scoring",
    ["f1_macro", "neg_log_loss", "loss", lambda e, x, y: float(np.mean(e.predict(x) == y))],
    ids=["f1", "log loss", "loss", "callable"],
)
def test_early_stopping_watches_the_score_of_ones_choice(scoring: Any) -> None:
    estimator = MLPClassifier(
        16,
        max_iter=40,
        learning_rate_init=0.02,
        early_stopping=True,
        scoring=scoring,
        random_state=0,
    ).fit(X_DIGITS, DIGITS)
    scores = estimator.validation_scores_
    assert estimator.best_validation_score_ == max(scores)
    if scoring == "loss":
        np.testing.assert_allclose(scores, [-loss for loss in estimator.validation_loss_curve_])
    if scoring == "neg_log_loss":
        np.testing.assert_allclose(
            scores, [-loss for loss in estimator.validation_loss_curve_], rtol=1e-9
        )
    if callable(scoring):
        accuracy = clone(estimator).set_params(scoring=None).fit(X_DIGITS, DIGITS)
        assert accuracy.validation_scores_ == scores
        assert_same_weights(accuracy, estimator)


def test_a_scorer_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="get_scorer_names"):
        MLPClassifier(early_stopping=True, scoring="f2").fit(X_IRIS, IRIS)


def test_divergence_under_early_stopping_keeps_the_best() -> None:
    estimator = MLPRegressor(
        activation="identity",
        solver="sgd",
        learning_rate_init=0.3,
        early_stopping=True,
        max_iter=100,
        random_state=0,
    )
    with (
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.warns(UserWarning, match="validated best so far are kept"):
            estimator.fit(X_DIABETES, DIABETES)
    assert math.isnan(estimator.validation_scores_[-1])
    assert np.all(np.isfinite(estimator.predict(X_DIABETES)))


# --- going on ---


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"solver": "sgd"},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
        {"dropout": 0.3},
        {"early_stopping": True},
        {"early_stopping": True, "dropout": 0.2, "dtype": "float32"},
        {"backend": "torch"},
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_training_goes_on_as_if_it_had_never_stopped(parameters: Any, how: str) -> None:
    if parameters.get("backend") == "torch":
        pytest.importorskip("torch")
    common: dict[str, Any] = {
        "hidden_layer_sizes": (16,),
        "batch_size": 64,
        "random_state": 0,
        "n_iter_no_change": 100,
        "learning_rate_init": 0.05,
        **parameters,
    }
    whole = MLPClassifier(**common, max_iter=12).fit(X_DIGITS, DIGITS)
    if how == "warm_start":
        parts = MLPClassifier(**common, max_iter=4, warm_start=True)
        for _ in range(3):
            parts.fit(X_DIGITS, DIGITS)
    else:
        parts = MLPClassifier(**common)
        for _ in range(12):
            parts.partial_fit(X_DIGITS, DIGITS, classes=np.arange(10))
    assert_same_weights(whole, parts)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.validation_scores_ == whole.validation_scores_
    assert parts.t_ == whole.t_


def test_a_warm_start_takes_new_parameters_and_weights_set_by_hand() -> None:
    estimator = MLPRegressor(hidden_layer_sizes=8, max_iter=3, warm_start=True, random_state=0)
    estimator.fit(X_DIABETES, DIABETES)
    estimator.set_params(solver="sgd", learning_rate_init=1e-300)
    estimator.coefs_[0][:] = 0.5
    estimator.fit(X_DIABETES, DIABETES)
    assert np.all(estimator.coefs_[0] == 0.5)
    with pytest.raises(ValueError, match="restore hidden_layer_sizes"):
        estimator.set_params(hidden_layer_sizes=9).fit(X_DIABETES, DIABETES)


def test_partial_fit_stops_early() -> None:
    estimator = MLPClassifier(
        16, early_stopping=True, n_iter_no_change=3, learning_rate_init=0.05, random_state=0
    )
    calls = 0
    while calls < 200 and not getattr(estimator, "converged_", False):
        calls += 1
        estimator.partial_fit(X_IRIS, IRIS, classes=[0, 1, 2])
    whole = clone(estimator).fit(X_IRIS, IRIS)
    assert calls == whole.n_iter_ < 200
    assert_same_weights(estimator, whole)


def test_partial_fit_after_a_fit_with_early_stopping() -> None:
    estimator = MLPClassifier(8, early_stopping=True, max_iter=5, random_state=0).fit(X_IRIS, IRIS)
    scores = len(estimator.validation_scores_)
    estimator.partial_fit(X_IRIS, IRIS)
    assert len(estimator.validation_scores_) == scores + 1


def test_early_stopping_may_be_switched_between_calls() -> None:
    estimator = MLPClassifier(8, max_iter=3, warm_start=True, random_state=0)
    for early in (True, False, True, False):
        estimator.set_params(early_stopping=early).fit(X_IRIS, IRIS)
        assert (estimator.best_loss_ is None) == early
    assert len(estimator.loss_curve_) == 12
    assert len(estimator.validation_scores_) == 6


def test_a_fit_that_fails_leaves_nothing_of_an_earlier_one() -> None:
    estimator = MLPRegressor(hidden_layer_sizes=8, max_iter=3, solver="sgd", random_state=0)
    estimator.fit(X_DIABETES, DIABETES)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite"):
        estimator.set_params(learning_rate_init=1e6, max_iter=50).fit(X_DIABETES, DIABETES)
    with pytest.raises(NotFittedError):
        estimator.predict(X_DIABETES)
    estimator.set_params(learning_rate_init=1e-3, max_iter=3).fit(X_DIABETES, DIABETES)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(X_DIABETES, DIABETES[:10])
    assert estimator.predict(X_DIABETES).shape == DIABETES.shape  # refused before anything was lost


def test_partial_fit_with_label_indicators() -> None:
    y = np.stack([IRIS == 0, IRIS > 0], axis=1).astype(int)
    estimator = MLPClassifier(8, learning_rate_init=0.05, random_state=0)
    for start in range(0, 150, 50):  # each part lacks some label
        estimator.partial_fit(X_IRIS[start : start + 50], y[start : start + 50])
    for _ in range(40):
        estimator.partial_fit(X_IRIS, y)
    assert estimator.score(X_IRIS, y) > 0.95
    with pytest.raises(ValueError, match="give the same columns"):
        estimator.partial_fit(X_IRIS, np.eye(3, dtype=int)[IRIS])


# --- watching ---


def test_on_epoch_is_told_every_epoch_and_may_stop() -> None:
    seen: list[Epoch] = []

    def watch(epoch: Epoch) -> bool:
        seen.append(epoch)
        return len(seen) == 3

    for solver in ("adam", "lbfgs"):
        seen.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a stop that was asked for is no failure to converge
            estimator = MLPClassifier(
                8, solver=solver, on_epoch=[watch], random_state=0, initializer="auto"
            ).fit(X_IRIS, IRIS)
        assert [epoch.loss for epoch in seen] == estimator.loss_curve_
        assert estimator.n_iter_ == 3


def test_scikit_learns_callbacks_are_told_and_may_stop() -> None:
    pytest.importorskip("sklearn.callback")

    class Watcher:
        def __init__(self) -> None:
            self.calls: list[str] = []
            self.scores: list[float] = []

        def setup(self, estimator: Any, context: Any) -> None:
            self.calls.append("setup")

        def teardown(self, estimator: Any, context: Any) -> None:
            self.calls.append("teardown")

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            self.calls.append(f"begin {context.task_name}")

        def on_fit_task_end(
            self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any
        ) -> bool:
            self.calls.append(f"end {context.task_name}")
            self.scores.append(fitted_estimator.score(X, y))
            return context.task_id == 2

    for solver in ("adam", "lbfgs"):
        watcher = Watcher()
        estimator = MLPClassifier(8, solver=solver, learning_rate_init=0.05, random_state=0)
        estimator.set_callbacks(watcher).fit(X_IRIS, IRIS)
        assert watcher.calls == [
            "setup",
            "begin fit",
            *["begin epoch", "end epoch"] * 3,
            "end fit",
            "teardown",
        ]
        assert estimator.n_iter_ == 3
        assert watcher.scores[-1] == watcher.scores[-2] == estimator.score(X_IRIS, IRIS)


def test_scikit_learns_ready_made_callbacks_work(capsys: pytest.CaptureFixture[str]) -> None:
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    estimator = MLPClassifier(8, max_iter=4, random_state=0)
    estimator.set_callbacks(monitor, callback.ProgressBar()).fit(X_IRIS, IRIS)
    assert "MLPClassifier" in capsys.readouterr().out


def test_verbose_prints_scikit_learns_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from sklearn.neural_network import MLPClassifier as Reference

    printed = []
    for kind in (Reference, MLPClassifier):
        kind(
            8, early_stopping=True, verbose=True, n_iter_no_change=2, random_state=0, max_iter=30
        ).fit(X_IRIS, IRIS)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "Iteration 1, loss = " in printed[1]


def test_an_interrupt_keeps_what_was_learned() -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")

    def interrupt(epoch: Epoch) -> None:
        if epoch.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    estimator = MLPClassifier(8, on_epoch=interrupt, random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        estimator.fit(X_IRIS, IRIS)
    assert estimator.n_iter_ in (3, 4)
    assert estimator.predict(X_IRIS).shape == (150,)
