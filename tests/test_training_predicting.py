"""The forward pass: outputs and losses of rows in one, in parts, to the bit of `predict` and `losses`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer

from anyarray_mlp import MLP
from anyarray_mlp.backends import select_backend
from anyarray_mlp.backends.base import Backend
from anyarray_mlp.backends.numpy_backend import NumpyBackend
from anyarray_mlp.data import Dataset, Preprocessor, TargetEncoder
from anyarray_mlp.estimators import MLPClassifier
from anyarray_mlp.estimators.networks import CountedMLP
from anyarray_mlp.network import layers
from anyarray_mlp.network.before import Periodic
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.training import fit, predicting, to_leaves
from anyarray_mlp.training.evaluation import Evaluation
from anyarray_mlp.training.predicting import ForwardPass, LabelledRows, Predictor, rows_at_once
from tests.problems import PAIRS

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(50, 6)).astype(np.float32)
LABELS = np.arange(50) % 3
NETWORK = MLP((6, 5, 3))


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each pass through a first layer of 6 inputs, NumPy's replays turned off."""
    seen: list[int] = []
    plain = layers.dense

    def counted(xp: Any, x: Any, w: Any, b: Any) -> Any:
        if w.shape[0] == 6:
            seen.append(x.shape[0])
        return plain(xp, x, w, b)

    monkeypatch.setattr(NumpyBackend, "jit", Backend.jit)
    monkeypatch.setattr(layers, "dense", counted)
    return seen


def targets_of(output: str, loss: str) -> np.ndarray:
    if loss == "cross_entropy":
        return LABELS
    return GENERATOR.random((50, 3)).astype(np.float32)


@pytest.mark.needs("values")
@pytest.mark.parametrize(
    ("kind", "output", "loss"),
    [
        *((MLP, *pair) for pair in PAIRS),
        (CountedMLP, "exp", "poisson"),
        (CountedMLP, "identity", "squared_error"),
    ],
)
def test_outputs_and_losses_are_those_of_either_alone_to_the_bit(
    backend: Backend, kind: type[MLP], output: str, loss: str
) -> None:
    mlp = kind((6, 5, 3), output=output, loss=loss)
    leaves = to_leaves(mlp, backend, mlp.initialize(0))
    x, targets = backend.asarray(X), backend.asarray(targets_of(output, loss))
    with backend.on_device():
        outputs, losses = mlp.outputs_and_losses(backend.xp, leaves, x, targets)
        expected = mlp.predict(backend.xp, leaves, x), mlp.losses(backend.xp, leaves, x, targets)
    np.testing.assert_array_equal(backend.to_host(outputs), backend.to_host(expected[0]))
    np.testing.assert_array_equal(backend.to_host(losses), backend.to_host(expected[1]))


@pytest.mark.needs("values")
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("kept", [True, False])
def test_rows_in_parts_give_what_all_at_once_give(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, form: Any, kept: bool
) -> None:
    leaves = to_leaves(NETWORK, backend, NETWORK.initialize(0))
    forward = ForwardPass(NETWORK, backend)
    whole = LabelledRows(forward, X, LABELS).measure(leaves)
    monkeypatch.setattr(predicting, "rows_at_once", lambda *_: 16)
    rows = LabelledRows(forward, form(X), LABELS, kept)
    assert len(rows.spans) == 4
    assert (rows.kept is None) == (form is not np.asarray or not kept)
    for found, expected in zip(rows.measure(leaves), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        forward.joined(forward.outputs(leaves, form(X))), whole[0], rtol=1e-5, atol=1e-6
    )


def test_a_librarys_own_rows_are_not_copied_to_be_kept(backend: Backend) -> None:
    rows = LabelledRows(ForwardPass(NETWORK, backend), backend.asarray(X), backend.asarray(LABELS))
    assert (rows.kept is None) == (type(backend.asarray(X)) is not np.ndarray)


def test_a_pass_takes_as_many_rows_as_the_cache_and_of_sparse_ones_as_memory_holds() -> None:
    numpy, strict = select_backend("numpy"), select_backend("array_api_strict")
    assert rows_at_once(MLP((20, 10, 2)), numpy) == 8192
    assert rows_at_once(MLP((64, 100, 10)), numpy) == 2621
    assert rows_at_once(MLP((784, 100, 10)), numpy) == 1024
    assert rows_at_once(MLP((784, 100, 10)), strict) == 8192
    assert rows_at_once(MLP((100_000, 4, 2)), strict, in_parts=True) == 83
    assert rows_at_once(MLP((10_000_000, 1, 2)), strict, in_parts=True) == 1


def test_a_pass_takes_fewer_rows_of_what_layers_make_more_of() -> None:
    strict, numpy = select_backend("array_api_strict"), select_backend("numpy")
    members = MLP((20, 256, 2), members=32)
    assert (MLP((20, 10, 2)).widest, members.widest) == (20, 32 * 256)
    assert [rows_at_once(members, backend) for backend in (strict, numpy)] == [1024, 1024]
    waves = MLP((100, 10, 2), before=[Periodic(frequencies=48, values=4)])
    assert waves.widest == 100 * 48
    assert rows_at_once(waves, strict) == (1 << 26) // (8 * 4800)
    assert MLP((100, 10, 2), before=[Periodic(frequencies=2, values=4)]).widest == 500
    assert MLP((100, 10, 2), before=[Periodic([3], values=4)]).widest == 104


def test_a_validation_is_one_pass(passed: list[int]) -> None:
    backend = select_backend("numpy")
    evaluation = Evaluation(NETWORK, backend, (X, LABELS), ["accuracy", "f1"])
    evaluation(to_leaves(NETWORK, backend, NETWORK.initialize(0)))
    assert passed == [50]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_training_validates_in_one_pass_an_epoch(passed: list[int], optimizer: str) -> None:
    options: dict[str, Any] = {"epochs": 3, "optimizer": optimizer, "metrics": ["accuracy"]}
    if optimizer == "adam":
        options["batch_size"] = 50
    result = fit(NETWORK, X, LABELS, validation=(X[:7], LABELS[:7]), **options)
    assert passed.count(7) == len(result.history) == 3


def test_a_model_is_scored_in_one_pass(passed: list[int]) -> None:
    encoder = TargetEncoder.fit(LABELS, "classification")
    trained = TrainedModel(NETWORK, NETWORK.initialize(0), Preprocessor.fit(X), encoder)
    scores = trained.scores(Dataset("rows", X, LABELS, tuple("abcdef"), "class", "classification"))
    assert passed == [50]
    outputs = trained.outputs(X)
    found = np.mean(np.argmax(outputs, axis=1) == LABELS)
    assert scores["accuracy"] == found
    loss = -np.log(outputs[np.arange(50), LABELS].astype(float)).mean()
    assert scores["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("scoring", [None, "loss", "f1_macro", "neg_log_loss"])
def test_an_estimator_validates_in_one_pass_an_epoch(
    passed: list[int], scoring: str | None
) -> None:
    estimator = MLPClassifier(
        (5,), early_stopping=True, scoring=scoring, max_iter=3, batch_size=50, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        estimator.fit(X, LABELS, X_val=X[:9], y_val=LABELS[:9])
    assert passed.count(9) == estimator.n_iter_ == 3


def test_a_scorer_of_the_users_own_gets_predictions_of_the_rows_as_it_left_them() -> None:
    """It may write to what it is given: what was measured before is not its answer."""
    seen = []

    def scorer(estimator: Any, x: Any, y: Any) -> float:
        seen.append(np.array_equal(estimator.predict_proba(x), estimator.predict_proba(x.copy())))
        x[...] = 0.0
        seen.append(len(np.unique(estimator.predict_proba(x), axis=0)) == 1)
        return 0.0

    estimator = MLPClassifier((5,), early_stopping=True, scoring=scorer, max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        estimator.fit(X, LABELS, X_val=X[:9].copy(), y_val=LABELS[:9])
    assert seen == [True, True]


def test_a_named_scorer_says_what_it_says_of_the_fitted_estimator() -> None:
    estimator = MLPClassifier(
        (5,), early_stopping=True, scoring="neg_log_loss", max_iter=1, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        estimator.fit(X, LABELS, X_val=X[:9], y_val=LABELS[:9])
    score = get_scorer("neg_log_loss")(estimator, X[:9], LABELS[:9])
    assert estimator.validation_scores_ == [score]


@pytest.mark.needs("values")
def test_a_predictor_gives_losses_beside_its_outputs(backend: Backend) -> None:
    predictor = Predictor(NETWORK, NETWORK.initialize(0), backend)
    outputs, losses = predictor.outputs_and_losses(X, LABELS)
    np.testing.assert_allclose(outputs, predictor(X), rtol=1e-6)
    expected = -np.log(outputs[np.arange(50), LABELS])
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
