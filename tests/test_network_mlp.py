"""The network: what it refuses, its objective, and that every backend computes the same."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import scipy.special

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import DataError, ModelFileError, UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.dropping import dropout_mask
from anyarray_mlp.network.functional import OUTPUTS, relu
from anyarray_mlp.network.losses import LOSS_NAMES, squared_error
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.passes import batch_shares
from anyarray_mlp.network.registry import OwnFunction, check_pair
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
        ({"sizes": ()}, "^sizes must be a list of at least inputs and outputs"),
        ({"sizes": 3}, "^sizes must be a list of at least inputs and outputs"),
        ({"bias": 1}, "^bias must be True or False, got 1"),
        ({"activation": np.tanh}, "^activation must be one of identity.*got <ufunc 'tanh'>"),
        ({"activation": str}, "^activation must be one of identity.*got <class 'str'>"),
        ({"dropout": None}, r"^dropout must lie in \[0, 1\), got None"),
        ({"sizes": (3, 0, 2)}, "positive integer, got .3, 0, 2."),
        ({"sizes": (3, 2.5, 2)}, "positive integer"),
        ({"sizes": (3, True, 2)}, "positive integer"),
        (
            {"activation": "sigmoidal"},
            "activation must be one of identity, logistic.*did you mean .logistic.",
        ),
        (
            {"activation": ("relu", "tanh")},
            "^activation must be one value or one for each of the 1 hidden layers, got 2: .'relu', 'tanh'.",
        ),
        ({"output": "soft"}, "output must be one of"),
        ({"loss": "rmse"}, "loss must be one of cross_entropy.*the nearest is .squared_error."),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"dropout": -0.1}, "dropout"),
        ({"dropout": ("0.5",)}, "dropout must lie in .* got '0.5'"),
        (
            {"dropout": (0.1, 0.2)},
            "dropout must be one value or one for each of the 1 hidden layers",
        ),
        ({"sizes": (3, 4, 5, 2), "activation": ("relu", "bogus")}, "activation must be one of"),
        ({"dropout": np.float32(2)}, "dropout"),
        ({"sizes": (3, 2), "activation": "bogus"}, "activation must be one of"),
        ({"sizes": (3, 2), "dropout": 7.0}, "dropout"),
        ({"output": "softmax", "sizes": (3, 4, 1)}, "softmax over 1 output"),
    ],
)
def test_impossible_networks_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        MLP(**{"sizes": (3, 4, 2), **options})


#: The only output that a loss goes with.
NEEDED = {"cross_entropy": "softmax", "binary_cross_entropy": "logistic", "poisson": "exp"}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_pairs_of_output_and_loss_work_or_are_refused_with_the_reason(output, loss):
    if (output, loss) in PAIRS:
        check_pair(output, loss)
        return
    with pytest.raises(
        UsageError,
        match=f"cannot be used with output='{output}': it .* Use output='{NEEDED[loss]}', or one of",
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


def by_hand(mlp, theta, x):
    """Values before and after the function of each layer of a network of one hidden layer, with NumPy alone."""
    i, h, o = mlp.sizes
    w1, w2 = theta[: i * h].reshape(i, h), theta[i * h : (i + o) * h].reshape(h, o)
    b1, b2 = theta[(i + o) * h : (i + o) * h + h], theta[(i + o) * h + h :]
    z1 = x @ w1 + b1
    a1 = np.tanh(z1)
    z2 = a1 @ w2 + b2
    return [(z1, a1), (z2, scipy.special.expit(z2))]


def test_values_of_every_layer_are_written_out_by_hand():
    mlp = MLP((3, 4, 2), "tanh", "logistic", dropout=0.5)
    theta = np.random.default_rng(3).normal(size=mlp.layout.size)
    x, t, _ = batch(mlp)
    expected = by_hand(mlp, theta, x)
    for leaves in ((theta,), mlp.layout.to_leaves(theta, flat=False)):
        found = list(mlp.layers(XP, leaves, x))
        assert len(found) == 2
        for values, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(values, right, rtol=1e-13)
        np.testing.assert_allclose(mlp.logits(XP, leaves, x), expected[1][0], rtol=1e-13)
        np.testing.assert_allclose(mlp.predict(XP, leaves, x), expected[1][1], rtol=1e-13)
        p = expected[1][1]
        losses = -np.sum(t * np.log(p) + (1 - t) * np.log(1 - p), axis=1)
        np.testing.assert_allclose(mlp.losses(XP, leaves, x, t), losses, rtol=1e-12)


def test_losses_of_labels_are_those_of_one_hot_rows():
    mlp = MLP((3, 4, 2))
    x, _, _ = batch(mlp)
    labels, leaves = np.array([0, 1, 1, 0, 1, 0]), (mlp.initialize(0),)
    p = mlp.predict(XP, leaves, x)
    np.testing.assert_allclose(mlp.losses(XP, leaves, x, labels), -np.log(p[np.arange(6), labels]))
    assert mlp.encode(XP, labels, np.float32).dtype == np.float32
    column = np.ones((6, 1))
    assert MLP((3, 1), output="identity").encode(XP, column, np.float64) is column
    # One target a row is no label where the loss has none.
    assert MLP((3, 1), output="identity").encode(XP, column[:, 0], np.float64).ndim == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("output", "loss"), [(None, None), ("identity", "squared_error")])
def test_outputs_and_losses_in_one_pass_have_the_bits_of_each(output, loss, dtype):
    mlp = MLP((3, 4, 2), output=output or "softmax", loss=loss or "auto")
    x, targets, _ = batch(mlp)
    x, leaves = x.astype(dtype), (mlp.initialize(0).astype(dtype),)
    labels = np.array([0, 1, 1, 0, 1, 0])
    for t in (targets.astype(dtype), labels) if loss is None else (targets.astype(dtype),):
        outputs, losses = mlp.outputs_and_losses(XP, leaves, x, t)
        assert outputs.dtype == losses.dtype == dtype
        np.testing.assert_array_equal(outputs, mlp.predict(XP, leaves, x))
        np.testing.assert_array_equal(losses, mlp.losses(XP, leaves, x, t))


def test_the_gradient_is_that_of_the_objective_to_finite_differences():
    """Two hidden layers, of which the second drops units; penalty and weights of samples."""
    mlp = MLP((3, 4, 5, 2), ("tanh", "softplus"), "identity", dropout=(0.0, 0.4))
    assert mlp.dropout_layers == (1,)
    x, t, w = batch(mlp)
    theta, keys = mlp.initialize(1), [np.int32(11)]
    options = {"alpha": 0.5, "dropout_keys": keys}
    loss, (grad,) = mlp.loss_and_grad(XP, (theta,), x, t, w, **options)
    for k in range(mlp.layout.size):
        step = np.zeros_like(theta)
        step[k] = 1e-6
        up, down = (
            mlp.loss_and_grad(XP, (theta + d,), x, t, w, **options)[0] for d in (step, -step)
        )
        assert grad[k] == pytest.approx((up - down) / 2e-6, abs=1e-8)
    # Dropout acts on the layer that has it, after the activation.
    w1, w2, w3, b1, b2, b3 = mlp.layout.split(theta)
    a = np.logaddexp(np.tanh(x @ w1 + b1) @ w2 + b2, 0)
    a = np.where(dropout_mask(XP, a.shape, 0.4, keys[0]), a / 0.6, 0.0)
    squares = np.sum(0.5 * np.sum((a @ w3 + b3 - t) ** 2, axis=1) * w) / w.sum()
    penalty = 0.5 / 2 / w.sum() * sum(np.sum(v**2) for v in (w1, w2, w3))
    assert loss == pytest.approx(squares + penalty, rel=1e-13)
    with pytest.raises(ValueError, match="argument 2 is"):
        mlp.loss_and_grad(XP, (theta,), x, t, dropout_keys=[])


def test_without_weights_the_loss_is_a_plain_mean():
    mlp = MLP((3, 2), output="identity")
    theta = np.arange(8.0)
    x, t, _ = batch(mlp)
    by_default, without = (
        mlp.loss_and_grad(XP, (theta,), x, t, **o)[0] for o in ({}, {"alpha": 0.0})
    )
    assert by_default == without
    loss, (grad,) = mlp.loss_and_grad(XP, (theta,), x, t, alpha=3.0)
    d = x @ theta[:6].reshape(3, 2) + theta[6:] - t
    assert loss == pytest.approx(np.sum(d * d) / 12 + 3.0 / 12 * np.sum(theta[:6] ** 2), rel=1e-14)
    expected = np.append(x.T @ d / 6 + theta[:6].reshape(3, 2) / 2, d.mean(axis=0))
    np.testing.assert_allclose(grad, expected, rtol=1e-12)


def test_a_network_without_bias_has_no_gradient_of_one():
    mlp = MLP((3, 2), output="identity", bias=False)
    assert (mlp.layout.size, MLP((3, 2)).layout.size) == (6, 8)
    x, t, _ = batch(mlp)
    loss, (grad,) = mlp.loss_and_grad(XP, (np.zeros(6),), x, t)
    assert loss == pytest.approx(np.sum(t * t) / 12)
    np.testing.assert_allclose(grad, (x.T @ -t / 6).ravel(), rtol=1e-13)


def test_the_gradient_of_the_inputs_is_not_worked_out():
    products = []
    xp = PlainNamespace(np, overrides={"matmul": lambda a, b: products.append(a.shape) or a @ b})
    mlp = MLP((3, 4, 2))
    x, t, _ = batch(mlp)
    mlp.loss_and_grad(xp, (mlp.initialize(0),), x, t)
    assert len(products) == 2 + 2 + 1  # two layers, their weights, and the second layer's inputs


def test_shares_of_a_batch():
    assert batch_shares(XP, 4, None, 2.0) == (0.25, 0.5)
    shares, decay = batch_shares(XP, 2, np.array([1.0, 3.0]), 2.0)
    assert (shares.tolist(), decay) == ([0.25, 0.75], 0.5)
    assert batch_shares(XP, 2, np.array([1.0, 3.0]), 0.0)[1] == 0.0
    shares, decay = batch_shares(XP, 2, np.zeros(2), 2.0)
    assert (shares.tolist(), decay) == ([0.0, 0.0], 0.0)
    shares, decay = batch_shares(XP, 2, np.array([1.0, -1.0]), 2.0)
    assert (shares.tolist(), decay) == ([1.0, -1.0], 0.0)


def test_names_of_other_libraries_are_kept_as_ours():
    mlp = MLP((3, 4, 2), "Sigmoid", "Linear", "MSELoss")
    assert mlp == MLP((3, 4, 2), ("logistic",), "identity", "squared_error")
    assert (mlp.activation, mlp.output, mlp.loss) == (("logistic",), "identity", "squared_error")


def test_only_a_network_is_one():
    check_network(MLP((3, 2)))
    with pytest.raises(UsageError, match=r"^mlp must be an MLP, such as .* got \(3, 2\)\.$"):
        check_network((3, 2))


def test_settings_are_kept_as_they_are_used():
    mlp = MLP([np.int64(3), 4, 5, 2], activation="tanh", dropout=0)
    assert mlp == MLP((3, 4, 5, 2), ("tanh", "tanh"), "softmax", "cross_entropy", (0.0, 0.0), True)
    assert [type(size) for size in mlp.sizes] == [int] * 4
    assert MLP((3, 2)).activation == MLP((3, 2)).dropout == ()
    assert MLP((3, 4, 2)).activation == ("relu",)
    assert MLP((1, 1), output="identity").sizes == (1, 1)
    assert MLP((3, 4, 2), dropout=np.float32(0.5)).dropout == (0.5,)
    assert MLP((3, 4, 2), dropout=[0.25]).dropout_layers == (0,)
    defaults = {"softmax": "cross_entropy", "logistic": "binary_cross_entropy", "exp": "poisson"}
    for output in OUTPUTS:
        assert MLP((3, 2), output=output).loss == defaults.get(output, "squared_error")


def test_a_description_has_every_field():
    mlp = MLP((3, 4, 2), "tanh", "logistic", "squared_error", 0.5, False)
    assert mlp.to_config() == {
        "sizes": [3, 4, 2], "activation": ["tanh"], "output": "logistic", "loss": "squared_error",
        "dropout": [0.5], "bias": False,
    }  # fmt: skip
    assert MLP.from_config(mlp.to_config()) == mlp
    with pytest.raises(ModelFileError, match=r"config\.activation is missing"):
        MLP.from_config({"sizes": [3, 4, 2]})


def test_a_description_holds_names_and_no_functions():
    own = [
        OwnFunction("bent", "activation", relu, None),
        OwnFunction("far", "loss", squared_error, None),
    ]
    config = MLP((3, 4, 2), own[0], "identity", own[1]).to_config()
    assert (config["activation"], config["loss"]) == (["bent"], "far")
    assert {type(name) for name in (*config["activation"], config["loss"])} == {str}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": [3]}, "config.sizes is [3] and must be a list of at least 2;"),
        ({"sizes": [3, 0, 2]}, "config.sizes[1] is 0 and must be an integer from 1 to"),
        ({"activation": ["tanh"] * 2}, "config.activation has 2 entries and must have one for each of 1 hidden"),
        ({"dropout": [0.1, 0.2]}, "config.dropout has 2 entries and must have one for each of 1 hidden"),
        ({"dropout": 1.0}, "config.dropout is 1.0 and must be a finite number in [0, 1) or a list"),
        ({"dropout": [1.0]}, "config.dropout[0] is 1.0 and must be a finite number in [0, 1);"),
        ({"loss": "AUTO"}, "config.loss is 'AUTO' and must be"),
        ({"loss": "poisson"}, "config is impossible: loss='poisson' cannot be used with output='logistic'"),
    ],
)  # fmt: skip
def test_what_is_no_description_is_refused_with_its_place(change, message):
    config = MLP((3, 4, 2), "tanh", "logistic", "squared_error", 0.5).to_config()
    with pytest.raises(ModelFileError, match=f"^a.json cannot be used: {re.escape(message)}"):
        MLP.from_config({**config, **change}, "a.json")
    with pytest.raises(ModelFileError, match=r"^the description cannot be used: config\b"):
        MLP.from_config({**config, **change})


def test_descriptions_at_their_ends_are_taken():
    config = MLP((1, 1), output="identity").to_config()
    assert MLP.from_config({**config, "loss": "auto"}) == MLP((1, 1), output="identity")
    dropping = MLP((3, 1, 2), "tanh", dropout=0.0).to_config()
    for rate in (0, [0.0]):
        assert MLP.from_config({**dropping, "dropout": rate}).dropout == (0.0,)


def test_initial_parameters_fit_the_function_after_each_layer():
    mlp = MLP((300, 200, 300), "relu", "identity")
    first, second = mlp.layout.split(mlp.initialize(4))[:2]
    assert np.abs(first).max() == pytest.approx(np.sqrt(6 / 300), rel=0.01)
    assert np.abs(second).max() == pytest.approx(np.sqrt(6 / 500), rel=0.01)
    assert np.any(mlp.initialize(4) != mlp.initialize(0))
    np.testing.assert_array_equal(mlp.initialize(), mlp.initialize(0))
    assert not np.any(mlp.initialize(0, "zeros"))


def test_what_is_not_finite_is_found_in_any_row():
    x = np.zeros((2100, 2))
    assert is_finite(x)
    for row in (0, 1023, 1024, 2099):
        x[row, 1] = np.inf
        assert not is_finite(x)
        with pytest.raises(DataError, match=f"x holds inf in row {row}, column 1: give finite"):
            MLP((2, 1), output="identity").check_batch(x, np.zeros((2100, 1)))
        x[row, 1] = 0.0
    assert not is_finite(np.array([[0.0], [np.nan]]), rows=1)


@pytest.mark.parametrize(
    ("options", "x", "targets"),
    [
        ({}, np.zeros((4, 3)), np.array([0, 1, 1, 0], np.uint8)),
        ({}, np.zeros((0, 3)), np.zeros(0, int)),
        ({}, np.zeros((4, 3), np.uint8), np.eye(2)[[0, 1, 1, 0]]),
        ({}, np.zeros((1, 3)), np.array([[0.50004, 0.5]])),
        ({}, np.zeros((1, 3)), np.array([[1.0, 0.0]])),
        ({"output": "exp"}, np.zeros((1, 3)), np.array([[0.0, 7.0]])),
        ({"output": "logistic"}, np.zeros((1, 3)), np.array([[0.0, 1.0]])),
        ({"output": "identity"}, np.zeros((0, 3)), np.zeros((0, 2))),
        ({"output": "identity"}, np.zeros((1, 3)), np.array([[-5.0, 5.0]])),
    ],
)
def test_batches_that_fit_are_taken(options, x, targets):
    MLP((3, 4, 2), **options).check_batch(x, targets)


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
        ({}, np.zeros((2, 3)), np.array([[1.0, 0.0], [0.4, 0.5]]), "row 1 sums to 0.9: give"),
        ({}, np.zeros((2, 3)), np.array([[1.0, 0.0], [0.6, 0.5]]), "row 1 sums to 1.1: give"),
        ({}, np.zeros((1, 3)), np.array([[1.5, -0.5]]), "row 0 sums to 1: give one-hot"),
        ({}, np.zeros((1, 3)), np.array([[0.5, 0.5002]]), "row 0 sums to 1.0002"),
        (
            {},
            np.zeros((1, 2, 3)),
            np.zeros(1, int),
            r"x must have shape \(n, 3\) for a network \(3, 4, 2\), got \(1, 2, 3\)",
        ),
        ({}, np.zeros(3), np.zeros(1, int), r"x must have shape .* got \(3,\)"),
        ({}, [[1.0]], np.zeros(1, int), "x must be an array, got list"),
        ({}, np.zeros((1, 3)), [0], "targets must be an array, got list"),
        (
            {},
            np.array([[0, 1, 2], [3, -np.inf, 5]]),
            np.zeros(2, int),
            "x holds -inf in row 1, column 1",
        ),
        ({}, np.zeros((1, 3)), np.zeros((1, 2, 1)), r"got \(1, 2, 1\)"),
        (
            {"output": "identity"},
            np.zeros((1, 3)),
            np.zeros((1, 3)),
            r"targets must have shape \(n, 2\), got",
        ),
        ({"output": "identity"}, np.zeros((1, 3)), np.array([[0.0, np.nan]]), "nan in row 0: give"),
        (
            {"output": "logistic"},
            np.zeros((1, 3)),
            np.array([[-0.5, 1.0]]),
            "got -0.5 to 1: scale them",
        ),
        ({"output": "logistic"}, np.zeros((1, 3)), np.array([[0.0, 1.5]]), "got 0 to 1.5"),
        ({"output": "identity"}, np.zeros((4, 3)), np.zeros(4), r"shape \(n, 2\), got \(4,\)"),
        ({"output": "identity"}, np.zeros((4, 3)), np.full((4, 2), np.inf), "inf in row 0"),
        ({"output": "exp"}, np.zeros((4, 3)), np.full((4, 2), -1.0), "negative, -1"),
        ({"output": "logistic"}, np.zeros((4, 3)), np.full((4, 2), 4.0), "from 0 to 1, got 4 to 4"),
    ],
)
def test_batches_that_do_not_fit_are_refused(options, x, targets, message):
    with pytest.raises(DataError, match=message):
        MLP((3, 4, 2), **options).check_batch(x, targets)
