"""What the estimators take, what they hand on, and what they say of what they refuse."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.metrics import make_scorer

from anyarray_mlp import MLPClassifier, MLPRegressor, load_model, save_model
from tests.estimator_data import LABELS, RNG, SMALL, VALUES, X

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

INDICATORS = np.eye(3, dtype=int)[LABELS]


# --- parameters ---


class FewerParameters(MLPClassifier):  # type: ignore[misc]
    def __init__(self, n_units: int = 5, max_iter: int = 3) -> None:
        super().__init__(hidden_layer_sizes=(n_units,), max_iter=max_iter)
        self.n_units = n_units


def test_a_subclass_may_take_parameters_of_its_own() -> None:
    estimator = clone(FewerParameters(n_units=4)).fit(X, LABELS)
    assert estimator.get_params() == {"n_units": 4, "max_iter": 3}
    assert estimator.coefs_[0].shape == (5, 4)
    with pytest.raises(ValueError, match="'max_iter' parameter of FewerParameters must be"):
        FewerParameters(max_iter=0).fit(X, LABELS)


@pytest.mark.parametrize("sizes", [range(3, 5), pd.Series([3, 4]), np.array([3, 4])], ids=repr)
def test_hidden_layer_sizes_may_be_any_sequence(sizes: Any, tmp_path: Any) -> None:
    estimator = MLPClassifier(sizes, max_iter=2, random_state=0).fit(X, LABELS)
    assert [w.shape for w in estimator.coefs_] == [(5, 3), (3, 4), (4, 3)]
    save_model(estimator, tmp_path / "model")
    assert list(load_model(tmp_path / "model").hidden_layer_sizes) == [3, 4]


@pytest.mark.parametrize("sizes", [np.array(3), {3, 4}, {3: 4}, pd.Series([3.5, 4.0])], ids=repr)
def test_hidden_layer_sizes_without_an_order_are_refused(sizes: Any) -> None:
    with pytest.raises(ValueError, match="hidden_layer_sizes") as caught:
        MLPClassifier(sizes).fit(X, LABELS)
    assert "\n" not in str(caught.value)


def test_a_class_weight_that_is_no_dict_is_refused_in_words() -> None:
    weight = pd.Series({0: 1.0, 1: 2.0, 2: 3.0})
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="a dict of weights by label") as caught:
            getattr(MLPClassifier(class_weight=weight), method)(X, LABELS)
        assert "\n" not in str(caught.value)


def test_one_sample_weight_for_all_may_be_a_numpy_number() -> None:
    by_numpy = MLPClassifier(**SMALL).fit(X, LABELS, sample_weight=np.float32(2))
    by_python = MLPClassifier(**SMALL).fit(X, LABELS, sample_weight=2.0)
    assert by_numpy.loss_curve_ == by_python.loss_curve_


# --- initial weights, scores ---


def test_initial_weights_without_hidden_layers_are_scikit_learns() -> None:
    still: dict[str, Any] = {
        "hidden_layer_sizes": (),
        "activation": "logistic",
        "solver": "sgd",
        "momentum": 0.0,
        "learning_rate_init": 1e-300,
        "max_iter": 1,
        "random_state": 0,
    }
    mine = MLPClassifier(**still).fit(X, LABELS)
    reference = theirs.MLPClassifier(**still).fit(X, LABELS)
    np.testing.assert_allclose(mine.coefs_[0], reference.coefs_[0], rtol=1e-12)


def test_a_single_class_scores_as_in_scikit_learn() -> None:
    reference = theirs.MLPClassifier(early_stopping=True, **SMALL).fit(X, 0 * LABELS)
    mine = MLPClassifier(early_stopping=True, **SMALL).fit(X, 0 * LABELS)
    assert mine.validation_scores_ == reference.validation_scores_ == [1.0] * 4


@pytest.mark.parametrize("targets", [VALUES, VALUES[:, None]], ids=["vector", "column"])
@pytest.mark.parametrize("own_set", [False, True], ids=["held out", "own set"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_a_scorer_sees_targets_shaped_as_predictions(targets: Any, own_set: bool) -> None:
    shapes = []

    def score(estimator: Any, x: Any, y: Any) -> float:
        shapes.append((y.shape, estimator.predict(x).shape))
        return -float(np.mean((estimator.predict(x) - y) ** 2))

    held_out = {"X_val": X[:7], "y_val": targets[:7]} if own_set else {}
    estimator = MLPRegressor(early_stopping=True, scoring=score, **SMALL)
    estimator.fit(X, targets, **held_out)
    assert all(y == predicted == (y[0],) for y, predicted in shapes)
    losses = [-2 * loss for loss in estimator.validation_loss_curve_]
    np.testing.assert_allclose(estimator.validation_scores_, losses, rtol=1e-12)
    metric = make_scorer(lambda y, predicted: -float(np.mean((y - predicted) ** 2)))
    named = clone(estimator).set_params(scoring=metric).fit(X, targets, **held_out)
    assert named.validation_scores_ == estimator.validation_scores_


# --- targets that do not fit ---


@pytest.mark.parametrize(
    ("kind", "y", "y_val"),
    [
        (MLPRegressor, np.stack([VALUES, VALUES], axis=1), VALUES),
        (MLPRegressor, VALUES, np.stack([VALUES, VALUES], axis=1)),
        (MLPClassifier, LABELS, INDICATORS),
        (MLPClassifier, INDICATORS, LABELS),
        (MLPClassifier, LABELS % 2, INDICATORS[:, :2]),
    ],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_targets_of_another_shape_are_refused(
    kind: Any, y: Any, y_val: Any, early_stopping: bool
) -> None:
    with pytest.raises(ValueError, match="give y_val the same columns as y"):
        kind(early_stopping=early_stopping, **SMALL).fit(X, y, X_val=X, y_val=y_val)


@pytest.mark.parametrize("name", ["y_val", "sample_weight_val"])
def test_parts_of_a_validation_set_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="given without X_val"):
        MLPRegressor(**SMALL).fit(X, VALUES, **{name: VALUES})


def test_going_on_with_targets_of_another_kind_says_what_changed() -> None:
    labels = MLPClassifier(**SMALL).fit(X, LABELS)
    with pytest.raises(ValueError, match="fitted to one label for each sample"):
        labels.partial_fit(X, INDICATORS)
    assert labels.partial_fit(X, LABELS).n_outputs_ == 3
    values = MLPRegressor(**SMALL).fit(X, VALUES)
    with pytest.raises(ValueError, match=r"y has 2 column\(s\) and the estimator was fitted to 1"):
        values.partial_fit(X, np.stack([VALUES, VALUES], axis=1))
    assert values.partial_fit(X, VALUES).n_outputs_ == 1


def test_no_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y has 0 samples: \[\]"):
        MLPClassifier(**SMALL).partial_fit(X, LABELS, classes=[])


@pytest.mark.parametrize(
    ("rows", "message"), [(10, "validation set is too small"), (1, "of each call's rows")]
)
def test_calls_with_too_few_rows_to_hold_some_out_say_what_to_do(rows: int, message: str) -> None:
    estimator = MLPClassifier(early_stopping=True, **SMALL)
    with pytest.raises(ValueError, match=rf"{message}.* pass X_val and y_val"):
        estimator.partial_fit(X[:rows], LABELS[:rows], classes=[0, 1, 2])
    estimator.partial_fit(X[:rows], LABELS[:rows], classes=[0, 1, 2], X_val=X, y_val=LABELS)
    assert len(estimator.validation_scores_) == 1


# --- scorers ---


def test_a_scorer_that_needs_every_class_says_which_ones_the_rows_lack() -> None:
    rare = np.where(np.arange(60) == 7, 2, LABELS % 2)
    estimator = MLPClassifier(early_stopping=True, scoring="neg_log_loss", **SMALL)
    with pytest.raises(ValueError, match=r"lack the class\(es\) \[2\].*scoring='loss'"):
        estimator.fit(X, rare)
    clone(estimator).set_params(scoring="loss").fit(X, rare)
    estimator.fit(X, rare, X_val=X, y_val=rare)


def test_an_error_of_a_scorers_own_is_left_as_it_is() -> None:
    def refuse(estimator: Any, x: Any, y: Any) -> float:
        raise ValueError("not today")

    with pytest.raises(ValueError, match=r"^not today$"):
        MLPClassifier(early_stopping=True, scoring=refuse, **SMALL).fit(
            X, LABELS, X_val=X, y_val=LABELS
        )


def test_weights_reach_the_scorers_that_take_them() -> None:
    weight = np.linspace(0.5, 1.5, 60)
    seen = []

    def plain(estimator: Any, x: Any, y: Any) -> float:
        return float(estimator.score(x, y))

    def weighted(estimator: Any, x: Any, y: Any, sample_weight: Any = None) -> float:
        seen.append(sample_weight)
        return float(estimator.score(x, y, sample_weight))

    def bare(y: Any, predicted: Any) -> float:
        return float(np.mean(y == predicted))

    curves = [
        MLPClassifier(early_stopping=True, scoring=scoring, **SMALL)
        .fit(X, LABELS, weight, X_val=X, y_val=LABELS, sample_weight_val=weight)
        .validation_scores_
        for scoring in (plain, make_scorer(bare), weighted, "accuracy")
    ]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-12)
    np.testing.assert_allclose(curves[2], curves[3], rtol=1e-12)
    assert curves[0] != curves[2]
    assert len(seen) == 4
    np.testing.assert_array_equal(seen[0], weight)


# --- help, pickles ---


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_help_describes_every_parameter(kind: Any) -> None:
    listed = inspect.getdoc(kind).split("Parameters")[1].split("Attributes")[0]
    described = re.findall(r"^([a-z]\w*(?:, \w+)*) : ", listed, flags=re.MULTILINE)
    assert sorted(", ".join(described).split(", ")) == sorted(kind().get_params())


def test_pickles_keep_little_for_each_row() -> None:
    sizes = []
    for n in (1000, 11_000):
        x = RNG.randn(n, 2)
        estimator = MLPRegressor(hidden_layer_sizes=2, max_iter=2, early_stopping=True)
        sizes.append(len(pickle.dumps(estimator.fit(x, x[:, 0]))))
    assert sizes[1] - sizes[0] < 2 * 10_000
