"""A fit that ends with one answer for every input says so, and what it advises works."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from anyarray_mlp import CollapsedFitWarning, MLPClassifier, MLPRegressor

X_DIGITS, DIGITS = load_digits(return_X_y=True)
X_DIABETES, DIABETES = load_diabetes(return_X_y=True)

LARGE = {"solver": "sgd", "learning_rate_init": 1.0}
FAIRLY_LARGE = {"solver": "sgd", "learning_rate_init": 0.3}
DEEP = {
    "solver": "sgd",
    "learning_rate_init": 0.01,
    "hidden_layer_sizes": (32,) * 6,
    "activation": "logistic",
}


def collapse_of(estimator: Any, x: Any, y: Any) -> str | None:
    """What the fit warns of, apart from convergence; the warning points at this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("always", CollapsedFitWarning)
        estimator.fit(x, y)
    said = [w for w in caught if w.category is CollapsedFitWarning]
    assert len(said) <= 1
    assert all(w.filename == __file__ for w in said)
    return str(said[0].message) if said else None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("parameters", "reason", "advice"),
    [
        (LARGE, "units are dead", "Lower learning_rate_init"),
        (FAIRLY_LARGE, "units are dead", "standardise the inputs"),
        (DEEP, "hardly differ between inputs", "Use fewer layers"),
    ],
    ids=["rate 1.0", "rate 0.3", "six logistic layers"],
)
def test_silent_failures_on_raw_digits_are_no_longer_silent(
    parameters: dict[str, Any], reason: str, advice: str, seed: int
) -> None:
    estimator = MLPClassifier(**parameters, max_iter=40, random_state=seed)
    message = collapse_of(estimator, X_DIGITS, DIGITS)
    assert estimator.score(X_DIGITS, DIGITS) < 0.15
    assert message is not None
    assert message.startswith("The fit ended with one class of 10 predicted for every input")
    assert reason in message
    assert advice in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("parameters", "change"),
    [
        (LARGE, {"learning_rate_init": 0.01}),
        (FAIRLY_LARGE, {"learning_rate_init": 0.01}),
        (DEEP, {"activation": "relu", "initializer": "auto"}),
        (DEEP, {"hidden_layer_sizes": (32,), "learning_rate_init": 0.1}),
        (DEEP, {"activation": "tanh", "initializer": "auto"}),
    ],
    ids=["lower rate", "lower rate too", "relu", "fewer layers", "tanh"],
)
def test_the_advice_works(parameters: dict[str, Any], change: dict[str, Any]) -> None:
    estimator = MLPClassifier(**{**parameters, **change}, max_iter=40, random_state=0)
    pipeline = make_pipeline(StandardScaler(), estimator)
    x = StandardScaler().fit_transform(X_DIGITS)
    assert collapse_of(estimator, x, DIGITS) is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert pipeline.fit(X_DIGITS, DIGITS).score(X_DIGITS, DIGITS) > 0.9


def test_saturation_is_named() -> None:
    x = X_DIGITS * 1e4
    estimator = MLPClassifier(
        (16, 16),
        "tanh",
        solver="sgd",
        learning_rate_init=1e-6,
        max_iter=3,
        initializer=lambda rng, i, o: np.full((i, o), 1.0),
        random_state=0,
    )
    message = collapse_of(estimator, x, DIGITS)
    assert message is not None
    assert "100% of the units are saturated" in message


def test_a_regressor_that_gives_one_value_says_so() -> None:
    estimator = MLPRegressor(
        hidden_layer_sizes=(32,) * 6,
        activation="logistic",
        solver="sgd",
        learning_rate_init=0.01,
        max_iter=60,
        random_state=0,
    )
    message = collapse_of(estimator, X_DIABETES, DIABETES / 100)
    assert message is not None
    assert message.startswith("The fit ended with one value predicted for every input")


@pytest.mark.parametrize(
    "y",
    [
        np.where(np.arange(1797) % 50 == 0, 1, 0),
        np.zeros(1797, dtype=int),
        DIGITS,
        DIGITS % 2,
    ],
    ids=["rare class", "one class", "ten classes", "two classes"],
)
def test_a_fit_that_is_well_or_has_nothing_to_learn_is_not_blamed(y: Any) -> None:
    assert collapse_of(MLPClassifier(16, max_iter=15, random_state=0), X_DIGITS / 16, y) is None


def test_constant_targets_and_few_rows_are_not_blamed() -> None:
    constant = np.full(len(X_DIABETES), 3.0)
    assert collapse_of(MLPRegressor(max_iter=5, random_state=0), X_DIABETES, constant) is None
    few = MLPClassifier(2, max_iter=1, random_state=0)
    assert collapse_of(few, [[3.0, 2.0], [1.0, 6.0]], [1, 0]) is None


def test_partial_fit_does_not_judge() -> None:
    estimator = MLPClassifier(**LARGE, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            estimator.partial_fit(X_DIGITS, DIGITS, classes=range(10))


def test_a_regression_that_is_worse_than_the_mean_is_told_and_why() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3))
    y = 20_000 + 3_000 * x[:, 0]
    settings: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 40, "random_state": 0}
    said = collapse_of(MLPRegressor(**settings), x, y)
    assert said is not None
    assert re.search(
        r"^The fit ended worse than a constant: on training rows its squared error is \d+\.?\d* times that of the mean "
        r"of y\. y is not scaled \(mean [\d.]+e\+04, deviation [\d.]+e\+03\).*TransformedTargetRegressor",
        said,
    )
    assert collapse_of(MLPRegressor(**settings), x, (y - y.mean()) / y.std()) is None
    start = MLPRegressor(**{**settings, "max_iter": 1}, learning_rate_init=1e-9)
    assert "Standardise the inputs" in str(collapse_of(start, 30 * x, random.normal(size=200)))
    assert collapse_of(MLPRegressor("absolute_error", **settings), x, y) is None
