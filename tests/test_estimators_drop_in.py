"""What code written for scikit-learn's MLPs does to them: weights set by hand, private names, filters, mistakes."""

from __future__ import annotations

import itertools
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network as theirs
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelBinarizer

from anyarray_mlp import (
    CollapsedFitWarning,
    MLPClassifier,
    MLPRegressor,
    load_model,
    save_model,
)
from anyarray_mlp.errors import DataError, UsageError
from tests.beds import require_library

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::anyarray_mlp.estimators.CollapsedFitWarning",
)

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])
X_DIABETES, DIABETES = load_diabetes(return_X_y=True)


def weights(*sizes: int, seed: int = 0) -> tuple[list[Any], list[Any]]:
    """Weights and intercepts of layers of these sizes."""
    rng = np.random.RandomState(seed)
    pairs = list(itertools.pairwise(sizes))
    return [rng.normal(size=pair) for pair in pairs], [rng.normal(size=n) for _, n in pairs]


def by_hand(
    kind: Any, sizes: tuple[int, ...], output: str, classes: Any = None, **parameters: Any
) -> Any:
    """An estimator that was never fitted, its weights set as users set scikit-learn's."""
    estimator = kind(hidden_layer_sizes=sizes[1:-1], activation="tanh", **parameters)
    estimator.coefs_, estimator.intercepts_ = weights(*sizes)
    estimator.n_layers_, estimator.n_outputs_ = len(sizes), sizes[-1]
    estimator.out_activation_ = output
    if classes is not None:
        estimator.classes_ = np.asarray(classes)
        estimator._label_binarizer = LabelBinarizer().fit(classes)
    return estimator


@pytest.mark.parametrize(
    ("sizes", "output", "classes"),
    [
        ((4, 5, 3), "softmax", NAMES),
        ((4, 5, 6, 3), "softmax", [0, 1, 2]),
        ((4, 5, 1), "logistic", ["no", "yes"]),
        ((4, 3), "softmax", [0, 1, 2]),
    ],
)
def test_a_classifier_predicts_with_weights_set_by_hand(
    sizes: tuple[int, ...], output: str, classes: Any
) -> None:
    ours = by_hand(MLPClassifier, sizes, output, classes)
    reference = by_hand(theirs.MLPClassifier, sizes, output, classes)
    assert np.allclose(ours.predict_proba(X), reference.predict_proba(X), rtol=1e-12)
    assert np.array_equal(ours.predict(X), reference.predict(X))
    assert ours.predict(X).dtype == reference.predict(X).dtype


def test_a_classifier_by_hand_needs_classes_alone() -> None:
    estimator = by_hand(MLPClassifier, (4, 5, 2), "softmax")
    with pytest.raises(UsageError, match="set classes_ to the labels"):
        estimator.predict(X)
    estimator.classes_ = ["no", "yes"]
    best = np.argmax(estimator.predict_proba(X), axis=1)
    assert np.array_equal(estimator.predict(X), np.array(["no", "yes"])[best])
    estimator.out_activation_ = "logistic"  # one label for each output
    assert np.array_equal(estimator.predict(X), estimator.predict_proba(X) > 0.5)


@pytest.mark.parametrize("sizes", [(10, 7, 1), (10, 7, 2)])
def test_a_regressor_predicts_with_weights_set_by_hand(sizes: tuple[int, ...]) -> None:
    ours, reference = (
        by_hand(kind, sizes, "identity") for kind in (MLPRegressor, theirs.MLPRegressor)
    )
    assert np.allclose(ours.predict(X_DIABETES), reference.predict(X_DIABETES), rtol=1e-12)
    assert ours.predict(X_DIABETES).shape == reference.predict(X_DIABETES).shape


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_training_goes_on_from_weights_set_by_hand(solver: str) -> None:
    options: dict[str, Any] = {"solver": solver, "max_iter": 20, "shuffle": False}
    pair = []
    for kind in (MLPClassifier, theirs.MLPClassifier):
        estimator = by_hand(
            kind, (4, 5, 3), "softmax", [0, 1, 2], warm_start=True, random_state=0, **options
        )
        estimator.t_, estimator.loss_curve_, estimator.best_loss_ = 0, [], np.inf
        estimator._no_improvement_count = 0
        pair.append(estimator.fit(X, Y))
    tolerance = 1e-4 if solver == "lbfgs" else 1e-10
    for ours, reference in zip(pair[0].coefs_, pair[1].coefs_, strict=True):
        assert np.allclose(ours, reference, rtol=tolerance, atol=tolerance)


def test_partial_fit_needs_nothing_but_the_weights_of_before() -> None:
    estimator = by_hand(MLPClassifier, (4, 5, 3), "softmax", NAMES, learning_rate_init=0.05)
    for _ in range(50):
        estimator.partial_fit(X, NAMES[Y])
    assert estimator.score(X, NAMES[Y]) > 0.9
    assert estimator.t_ == 50 * len(X)
    assert len(estimator.loss_curve_) == 50


def test_labels_in_another_order_than_sorted_are_learned_as_they_stand() -> None:
    estimator = by_hand(MLPClassifier, (4, 3), "softmax", learning_rate_init=0.2)
    estimator.classes_ = NAMES[[2, 0, 1]]
    for _ in range(100):
        estimator.partial_fit(X, NAMES[Y])
    assert estimator.score(X, NAMES[Y]) > 0.9
    assert np.array_equal(estimator.classes_, NAMES[[2, 0, 1]])


def test_weights_that_are_no_network_are_refused() -> None:
    estimator = by_hand(MLPRegressor, (10, 7, 1), "identity")
    with pytest.raises(
        DataError, match="X has 4 features, but the weights of MLPRegressor take 10"
    ):
        estimator.predict(X)
    estimator.intercepts_ = estimator.intercepts_[::-1]
    with pytest.raises(
        UsageError, match=r"coefs_ and intercepts_ of shapes .* do not form a network"
    ):
        estimator.predict(X_DIABETES)


def test_other_weights_output_and_activation_than_fitted_are_followed() -> None:
    ours, reference = (
        kind(5, random_state=0, max_iter=5).fit(X, Y > 0)
        for kind in (MLPClassifier, theirs.MLPClassifier)
    )
    for estimator in (ours, reference):
        estimator.coefs_, estimator.intercepts_ = weights(4, 8, 3)
        estimator.out_activation_, estimator.n_outputs_ = "softmax", 3
        estimator.set_params(activation="tanh")
    assert np.allclose(ours.predict_proba(X), reference.predict_proba(X), rtol=1e-12)


@pytest.mark.parametrize("backend", [None, "torch", "jax"])
def test_weights_changed_in_place_count_at_once(backend: str | None) -> None:
    if backend is not None:
        require_library(backend)
    estimator = MLPClassifier(6, random_state=0, max_iter=30, backend=backend).fit(X, Y)
    before = estimator.predict_proba(X)
    estimator.coefs_[0][np.abs(estimator.coefs_[0]) < 0.3] = 0.0
    pruned = estimator.predict_proba(X)
    assert np.abs(pruned - before).max() > 1e-3
    estimator.coefs_[1][:] = 0.0
    assert np.ptp(estimator.predict_proba(X), axis=0).max() < 1e-12


def test_weights_in_half_precision_predict_in_double() -> None:
    estimator = MLPClassifier(6, random_state=0, max_iter=50).fit(X, Y)
    before = estimator.predict_proba(X)
    estimator.coefs_ = [w.astype(np.float16) for w in estimator.coefs_]
    estimator.intercepts_ = tuple(b.astype(np.float16).tolist() for b in estimator.intercepts_)
    after = pickle.loads(pickle.dumps(estimator)).predict_proba(X)
    assert after.dtype == np.float64
    assert 0 < np.abs(after - before).max() < 1e-2


def test_an_estimator_by_hand_is_saved_and_loaded(tmp_path: Path) -> None:
    estimator = by_hand(MLPClassifier, (4, 5, 3), "softmax", NAMES)
    save_model(estimator, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert np.array_equal(loaded.predict_proba(X), estimator.predict_proba(X))
    assert np.array_equal(loaded.predict(X), estimator.predict(X))


@pytest.mark.parametrize("sizes", [(), (6,), (6, 5)])
def test_the_layers_outputs_are_found_where_scikit_learn_has_them(sizes: tuple[int, ...]) -> None:
    ours, reference = (
        kind(sizes, activation="logistic", random_state=0, max_iter=5).fit(X, Y)
        for kind in (MLPClassifier, theirs.MLPClassifier)
    )
    given: list[Any] = [X] + [None] * (ours.n_layers_ - 1)
    outputs = ours._forward_pass(given)
    assert outputs is given
    expected = reference._forward_pass([X] + [None] * (reference.n_layers_ - 1))
    for one, other in zip(outputs, expected, strict=True):
        assert np.allclose(one, other, rtol=1e-9)
    assert np.allclose(ours._forward_pass_fast(X), reference._forward_pass_fast(X), rtol=1e-9)


@pytest.mark.parametrize(
    "y", [Y, Y > 0, NAMES[Y], np.eye(3, dtype=int)[Y]], ids=["ints", "bools", "texts", "several"]
)
def test_the_label_binarizer_is_scikit_learns(y: Any) -> None:
    ours, reference = (
        kind(3, random_state=0, max_iter=2).fit(X, y)._label_binarizer
        for kind in (MLPClassifier, theirs.MLPClassifier)
    )
    assert ours.y_type_ == reference.y_type_
    assert np.array_equal(ours.classes_, reference.classes_)
    assert np.array_equal(ours.transform(y), reference.transform(y))


def test_no_label_binarizer_before_fit_and_another_one_after() -> None:
    assert not hasattr(MLPClassifier(), "_label_binarizer")
    estimator = MLPClassifier(3, random_state=0, max_iter=2).fit(X, Y)
    codes = estimator.predict(X)
    estimator._label_binarizer = LabelBinarizer().fit(NAMES)
    assert np.array_equal(estimator.predict(X), NAMES[codes])


def test_filters_of_scikit_learns_module_silence_its_warnings_alone() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module="sklearn")
        MLPClassifier(3, max_iter=2, random_state=0, batch_size=500).fit(X, Y)
        MLPClassifier(
            3, max_iter=40, random_state=0, solver="sgd", learning_rate_init=50.0, clip_norm=50.0
        ).fit(X, Y)
    assert [w.category for w in caught] == [CollapsedFitWarning]
    assert caught[0].filename == __file__


def test_a_fit_that_was_stopped_while_it_learned_has_not_collapsed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapsedFitWarning)
        short = MLPClassifier(4, max_iter=2, random_state=2).fit(X, Y)
    assert len(np.unique(short.predict(X))) == 1
    with pytest.warns(CollapsedFitWarning, match="No layer is dead"):
        MLPClassifier(4, max_iter=5, learning_rate_init=1e-9, random_state=2).fit(X, Y)


@pytest.mark.parametrize("name", ["_init_coef", "_backprop", "_update_no_improvement_count"])
def test_a_method_that_training_passes_over_is_named(name: str) -> None:
    kind = type("Own", (MLPClassifier,), {name: lambda self, *args: None})
    with pytest.warns(UserWarning, match=f"Own overrides {name}, which training does not call"):
        kind(3, max_iter=2).fit(X, Y)


def test_a_subclass_with_methods_of_its_own_is_left_in_peace() -> None:
    class Own(MLPClassifier):
        def predict(self, X: Any) -> Any:
            return super().predict(X)

        def _helper(self) -> None: ...

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        Own(3, max_iter=3, random_state=0).fit(X, Y).predict(X)


@pytest.mark.parametrize(
    ("kind", "parameters", "hint"),
    [
        (MLPClassifier, {"activation": "sigmoid"}, "Did you mean 'logistic'?"),
        (MLPClassifier, {"activation": "ReLU"}, "Did you mean 'relu'?"),
        (MLPClassifier, {"activation": "linear"}, "Did you mean 'identity'?"),
        (MLPClassifier, {"solver": "l-bfgs"}, "Did you mean 'lbfgs'?"),
        (MLPClassifier, {"solver": "Adam"}, "Did you mean 'adam'?"),
        (MLPRegressor, {"loss": "mse"}, "Did you mean 'squared_error'?"),
        (MLPRegressor, {"loss": (100,)}, "loss comes first: give hidden_layer_sizes by name."),
        (MLPClassifier, {"learning_rate": 0.1}, "The rate itself is learning_rate_init."),
        (MLPClassifier, {"solver": "rmsprop"}, ""),
        (MLPClassifier, {"activation": None}, ""),
    ],
)
def test_a_misspelt_parameter_is_answered_with_what_may_be_meant(
    kind: Any, parameters: dict[str, Any], hint: str
) -> None:
    with pytest.raises(UsageError, match="must be a str among") as caught:
        kind(**parameters).fit(X, Y)
    assert str(caught.value).rpartition("instead.")[2].strip() == hint


@pytest.mark.parametrize(
    ("kind", "y", "message"),
    [
        (MLPRegressor, NAMES[Y], r"y holds text \('setosa'\), but a regressor predicts numbers"),
        (MLPRegressor, NAMES[Y].astype(object), "y holds text"),
        (MLPRegressor, Y.astype(str), "convert y to float"),
        (
            MLPClassifier,
            np.array([1, "a"] * 75, dtype=object),
            "mixes labels of the types int, str",
        ),
        (MLPClassifier, np.array([None, "a"] * 75), "mixes labels of the types NoneType, str"),
        (MLPClassifier, Y.astype(object), "Unknown label type: int, with dtype object"),
    ],
)
def test_targets_of_the_wrong_type_are_refused_in_words(kind: Any, y: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        kind(3, max_iter=2).fit(X, y) if kind is MLPClassifier else kind(max_iter=2).fit(X, y)
    assert isinstance(caught.value, DataError)


def test_classes_in_the_place_of_weights_are_told_apart() -> None:
    estimator = MLPClassifier(3, random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        estimator.partial_fit(X, Y, [0, 1, 2])
    with pytest.raises(ValueError, match=r"by name: classes=labels"):
        estimator.partial_fit(X, NAMES[Y], NAMES)
    with pytest.raises(ValueError, match=r"sample_weight\.shape"):
        estimator.partial_fit(X, Y, np.ones(5))
    estimator.partial_fit(X, Y, np.ones(len(Y)), [0, 1, 2])


def test_early_stopping_says_which_label_is_too_rare() -> None:
    y = np.where(np.arange(len(X)) == 7, "rare", "common")
    with pytest.raises(
        ValueError, match=r"only 1 member.*\(False is 'common' and True is 'rare'\)"
    ):
        MLPClassifier(3, early_stopping=True).fit(X, y)
