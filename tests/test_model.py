"""The network: what it refuses, its objective, and that every backend computes the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.functional import LOSS_NAMES, OUTPUTS
from anyarray_mlp.model import MLP, check_pair
from anyarray_mlp.training import to_leaves, to_vector
from tests.problems import COVER, PAIRS, batch

XP = PlainNamespace(np)


def loss_and_grad(backend, mlp, x, targets, weight=None, **options):
    """Loss and flat gradient on a backend, on the host."""
    arrays = [x, targets] if weight is None else [x, targets, weight]
    run = backend.jit(lambda xp, leaves, *arrays: mlp.loss_and_grad(xp, leaves, *arrays, **options))
    leaves = to_leaves(mlp, backend, mlp.initialize(3))
    loss, grad = run(leaves, *(backend.asarray(array) for array in arrays))
    return float(backend.to_host(loss)), to_vector(mlp, backend, grad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (3,)}, "at least inputs and outputs"),
        ({"sizes": (3, 0, 2)}, "positive integer"),
        ({"sizes": (3, 2.5, 2)}, "positive integer"),
        ({"sizes": (3, True, 2)}, "positive integer"),
        (
            {"activation": "sigmoidal"},
            "activation must be one of identity, logistic.*did you mean .logistic.",
        ),
        ({"activation": ("relu", "tanh")}, "one for each of the 1 hidden layers, got 2"),
        ({"output": "soft"}, "output must be one of"),
        ({"loss": "rmse"}, "loss must be one of cross_entropy.*the nearest is .squared_error."),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, "dropout"),
        ({"dropout": np.float32(2)}, "dropout"),
        ({"sizes": (3, 2), "activation": "bogus"}, "activation must be one of"),
        ({"sizes": (3, 2), "dropout": 7.0}, "dropout"),
        ({"output": "softmax", "sizes": (3, 4, 1)}, "softmax over 1 output"),
    ],
)
def test_impossible_networks_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        MLP(**{"sizes": (3, 4, 2), **options})


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_pairs_of_output_and_loss_work_or_are_refused_with_the_reason(output, loss):
    if (output, loss) in PAIRS:
        check_pair(output, loss)
        return
    with pytest.raises(
        UsageError, match=f"cannot be used with output='{output}': it .* Use output="
    ) as refused:
        check_pair(output, loss)
    offered = str(refused.value).rsplit("the losses ", 1)[1].rstrip(".").split(", ")
    assert len(offered) == len(set(offered))


def test_a_network_survives_json():
    mlp = MLP((4, 5, 3), ("tanh",), "logistic", "squared_error", 0.2, bias=False)
    assert MLP.from_config(json.loads(json.dumps(mlp.to_config()))) == mlp


def test_the_objective_is_written_out_by_hand():
    mlp = MLP((2, 2, 1), "tanh", "identity")
    theta = np.array([0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.05, -0.05, 0.2])
    x, t, w = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([[1.0], [0.0]]), np.array([1.0, 3.0])
    w1, w2, b1, b2 = theta[:4].reshape(2, 2), theta[4:6].reshape(2, 1), theta[6:8], theta[8:]
    y = np.tanh(x @ w1 + b1) @ w2 + b2
    expected = np.sum(w * 0.5 * (y - t)[:, 0] ** 2) / 4 + 0.7 / (2 * 4) * np.sum(theta[:6] ** 2)
    loss, _ = mlp.loss_and_grad(XP, (theta,), x, t, w, alpha=0.7)
    assert loss == pytest.approx(expected, rel=1e-15)


def test_a_sample_of_weight_two_counts_as_two_samples():
    mlp = MLP((3, 4, 2))
    theta = (mlp.initialize(0),)
    x, t, _ = batch(mlp)
    once, grad_once = mlp.loss_and_grad(XP, theta, x, t, np.array([2.0, 1, 1, 1, 1, 1]), alpha=0.3)
    twice, grad_twice = mlp.loss_and_grad(
        XP, theta, np.concatenate([x[:1], x]), np.concatenate([t[:1], t]), alpha=0.3
    )
    assert once == pytest.approx(twice, rel=1e-14)
    np.testing.assert_allclose(grad_once[0], grad_twice[0], rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_batch_of_no_weight_counts_nothing(alpha):
    mlp = MLP((4, 5, 3))
    x, targets, _ = batch(mlp, 6)
    leaves = (mlp.initialize(0),)
    loss, (grad,) = mlp.loss_and_grad(XP, leaves, x, targets, np.zeros(6), alpha=alpha)
    assert loss == 0
    assert not np.any(grad)


def test_labels_are_the_same_as_one_hot_rows():
    mlp = MLP((3, 4, 2))
    theta = (mlp.initialize(0),)
    x, _, _ = batch(mlp)
    labels = np.array([0, 1, 1, 0, 1, 0])
    by_label = mlp.loss_and_grad(XP, theta, x, labels)
    by_row = mlp.loss_and_grad(XP, theta, x, np.eye(2)[labels])
    np.testing.assert_array_equal(by_label[1][0], by_row[1][0])


@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2), (3, 4, 5, 6, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_flat_and_separate_leaves_give_the_same_gradient(sizes, bias):
    mlp = MLP(sizes, "tanh", bias=bias)
    x, t, w = batch(mlp)
    vector = mlp.initialize(1)
    _, flat = mlp.loss_and_grad(XP, (vector,), x, t, w, alpha=0.1)
    _, leaves = mlp.loss_and_grad(XP, mlp.layout.to_leaves(vector, flat=False), x, t, w, alpha=0.1)
    np.testing.assert_array_equal(mlp.layout.to_vector(leaves), flat[0])


@pytest.mark.needs("values")
def test_float64_gradients_agree_to_1e_12_on_every_backend(backend):
    for activation, output, loss in COVER:
        mlp = MLP((5, 7, 6, 3), activation, output, loss)
        x, t, w = batch(mlp, n=9)
        (_, reference) = mlp.loss_and_grad(XP, (mlp.initialize(3),), x, t, w, alpha=0.1)
        _, grad = loss_and_grad(backend, mlp, x, t, w, alpha=0.1)
        error = np.max(np.abs(grad - reference[0])) / np.max(np.abs(reference[0]))
        assert error <= 1e-12, (activation, output, loss)


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32"])
def test_float32_gradients_agree_within_a_bound_from_dtype_and_sizes(backend, dtype):
    """Forward and backward chain 2 L sums of at most `longest` terms and a few elementwise operations of a
    few ulp each, so to first order the relative error is at most that many half ulps: gamma_m = m u."""
    for activation, output, loss in COVER:
        mlp = MLP((5, 7, 6, 3), activation, output, loss)
        x, t, w = (a.astype(np.float32) for a in batch(mlp, n=9))
        theta = mlp.initialize(3).astype(np.float32)
        (_, reference) = mlp.loss_and_grad(
            XP, (theta.astype(float),), x.astype(float), t.astype(float), w.astype(float)
        )
        _, grad = loss_and_grad(backend, mlp, x, t, w)
        longest, layers = max(9, *mlp.sizes), len(mlp.sizes) - 1
        bound = 2 * layers * (longest + 8) * np.finfo(np.float32).eps / 2
        error = np.max(np.abs(grad - reference[0])) / np.max(np.abs(reference[0]))
        assert error <= bound, (activation, output, loss)


@pytest.mark.needs("values")
def test_dropout_gradients_agree_on_every_backend(backend):
    mlp = MLP((5, 40, 30, 3), "tanh", dropout=(0.5, 0.2))
    x, t, w = batch(mlp, n=9)
    keys = [np.array(key, dtype=np.int32) for key in (17, -4)]
    (_, reference) = mlp.loss_and_grad(XP, (mlp.initialize(3),), x, t, w, dropout_keys=keys)
    moved = [backend.asarray(key, dtype="int32") for key in keys]
    _, grad = loss_and_grad(backend, mlp, x, t, w, dropout_keys=moved)
    np.testing.assert_allclose(grad, reference[0], rtol=1e-12, atol=1e-15)
    _, without = loss_and_grad(backend, mlp, x, t, w)
    assert np.max(np.abs(without - grad)) > 1e-3


@pytest.mark.parametrize(
    ("options", "x", "targets", "message"),
    [
        ({}, np.zeros((4, 2)), np.zeros(4, int), r"x must have shape \(n, 3\)"),
        ({}, np.full((4, 3), np.nan), np.zeros(4, int), "x holds nan in row 0, column 0"),
        ({}, np.zeros((4, 3)), np.zeros(4), "Labels must be integers from 0 to 1, got float64"),
        ({}, np.zeros((4, 3)), np.array([0, 1, 2, 0]), "from 0 to 1 for 2 outputs, got 0 to 2"),
        ({}, np.zeros((4, 3)), np.array([0, -1, 1, 0]), "got -1 to 1"),
        ({}, np.zeros((4, 3)), np.zeros(3, int), "x has 4 rows and targets has 3"),
        ({}, np.zeros((4, 3)), np.zeros((4, 3)), r"targets must have shape \(n, 2\), or integer"),
        ({}, np.zeros((4, 3)), np.ones((4, 2)), "row 0 sums to 2: give one-hot"),
        ({"output": "identity"}, np.zeros((4, 3)), np.zeros(4), r"shape \(n, 2\), got \(4,\)"),
        ({"output": "identity"}, np.zeros((4, 3)), np.full((4, 2), np.inf), "inf in row 0"),
        ({"output": "exp"}, np.zeros((4, 3)), np.full((4, 2), -1.0), "negative, -1"),
        ({"output": "logistic"}, np.zeros((4, 3)), np.full((4, 2), 4.0), "from 0 to 1, got 4 to 4"),
    ],
)
def test_batches_that_do_not_fit_are_refused(options, x, targets, message):
    with pytest.raises(DataError, match=message):
        MLP((3, 4, 2), **options).check_batch(x, targets)
