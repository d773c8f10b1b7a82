"""Right gradients pass the check, and every wrong one that we could think of is caught."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import anyarray_mlp.network.functional as functional
import anyarray_mlp.network.mlp as model
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.losses import output_loss
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.parity.finite_differences import gradcheck
from tests.problems import NETWORKS, batch

XP = PlainNamespace(np)


@pytest.mark.parametrize(("activation", "output", "loss"), NETWORKS)
def test_every_activation_output_and_loss_agrees_with_finite_differences(activation, output, loss):
    mlp = MLP((4, 5, 3, 3), activation, output, loss)
    x, t, w = batch(mlp)
    result = gradcheck(mlp, x, t, xp=XP, sample_weight=w, alpha=0.1)
    assert result.ok
    assert result.relative_error <= 1e-7


@pytest.mark.parametrize("distance", [1e-5, 1e-6])
def test_a_kink_close_by_is_stepped_around(distance):
    mlp = MLP((2, 3), (), "softmax", "absolute_error")
    x = np.array([[0.3, -0.2], [0.1, 0.4]])
    theta = mlp.initialize(0)
    t = mlp.predict(XP, (theta,), x) + np.array([[0.2, -0.1, distance], [-0.3, 0.1, 0.2]])
    result = gradcheck(mlp, x, t, xp=XP, parameters=theta)
    assert result.ok, result


def test_networks_without_bias_or_with_dropout_or_one_layer_agree():
    keys = [np.int32(5), np.int32(6)]
    for mlp, options in [
        (MLP((4, 5, 3), "tanh", bias=False), {}),
        (MLP((4, 3)), {}),
        (MLP((4, 6, 5, 3), "gelu", dropout=0.4), {"dropout_keys": keys}),
        (MLP((1, 1, 1), "tanh", "identity"), {}),
    ]:
        x, t, _ = batch(mlp)
        assert gradcheck(mlp, x, t, xp=XP, **options).ok


def test_a_sample_of_entries_can_be_checked():
    mlp = MLP((4, 50, 3))
    x, t, _ = batch(mlp)
    result = gradcheck(mlp, x, t, xp=XP, per_parameter=5)
    assert [check.checked for check in result.parameters] == [5, 5, 5, 3]
    assert result.ok


def test_float32_is_refused():
    mlp = MLP((4, 3))
    x, t, _ = batch(mlp)
    with pytest.raises(UsageError, match="float64"):
        gradcheck(mlp, x.astype(np.float32), t, xp=XP)


class Wrong(PlainNamespace):
    """Arithmetic whose dense layer's vjp is replaced by a wrong one."""

    def __init__(self, wrong: Callable[..., tuple]) -> None:
        super().__init__(np)
        self.wrong = wrong

    def linear_vjp(self, residual, dy, need_dx):
        x, w, _ = residual
        dx, dw, db = super().linear_vjp(residual, dy, need_dx)
        return self.wrong(x, w, dy, dx, dw, db)


def scaled(dx, factor):
    return None if dx is None else dx * factor


#: Mistakes in the dense layer: (x, w, dy, dx, dw, db) -> (dx, dw, db).
DENSE = {
    "weights: sign flipped": lambda x, w, dy, dx, dw, db: (dx, -dw, db),
    "bias: sign flipped": lambda x, w, dy, dx, dw, db: (dx, dw, -db),
    "input: sign flipped": lambda x, w, dy, dx, dw, db: (scaled(dx, -1), dw, db),
    "all: sign flipped": lambda x, w, dy, dx, dw, db: (dx, -dw, -db),
    "1/n missing": lambda x, w, dy, dx, dw, db: (dx, dw * len(x), db * len(x)),
    "1/n twice": lambda x, w, dy, dx, dw, db: (dx, dw / len(x), db / len(x)),
    "factor 2": lambda x, w, dy, dx, dw, db: (dx, 2 * dw, 2 * db),
    "bias summed over the wrong axis": lambda x, w, dy, dx, dw, db: (
        dx, dw, np.resize(dy.sum(axis=1), db.shape),
    ),
    "bias averaged": lambda x, w, dy, dx, dw, db: (dx, dw, dy.mean(axis=0)),
    "bias not updated": lambda x, w, dy, dx, dw, db: (dx, dw, 0 * db),
    "bias of the last sample only": lambda x, w, dy, dx, dw, db: (dx, dw, dy[-1]),
    "weights of the last sample only": lambda x, w, dy, dx, dw, db: (
        dx, np.outer(x[-1], dy[-1]), db,
    ),
    "transpose missing in the weights": lambda x, w, dy, dx, dw, db: (
        dx, np.reshape((dy.T @ x), dw.shape), db,
    ),
    "transpose missing in the input": lambda x, w, dy, dx, dw, db: (
        None if dx is None else dy @ w.reshape(w.shape[1], w.shape[0]), dw, db,
    ),
    "input scaled by the batch": lambda x, w, dy, dx, dw, db: (scaled(dx, 1 / len(x)), dw, db),
    "input not propagated": lambda x, w, dy, dx, dw, db: (scaled(dx, 0), dw, db),
    "stale activations": lambda x, w, dy, dx, dw, db: (dx, np.roll(x, 1, axis=0).T @ dy, db),
    "weights updated before they are used": lambda x, w, dy, dx, dw, db: (
        None if dx is None else dy @ (w - 0.01 * dw).T, dw, db,
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", DENSE)
def test_a_mistake_in_the_dense_layer_is_caught(mistake):
    mlp = MLP((4, 5, 3), "tanh")
    x, t, _ = batch(mlp)
    assert not gradcheck(mlp, x, t, xp=Wrong(DENSE[mistake])).ok


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


#: Mistakes in a hidden activation's derivative.
HIDDEN = {
    "logistic: of the activated value": (
        "logistic",
        lambda z, a, da: da * sigmoid(a) * (1 - sigmoid(a)),
    ),
    "logistic: left out": ("logistic", lambda z, a, da: da),
    "logistic: twice": ("logistic", lambda z, a, da: da * (a * (1 - a)) ** 2),
    "logistic: a alone": ("logistic", lambda z, a, da: da * a),
    "logistic: of z as if activated": ("logistic", lambda z, a, da: da * z * (1 - z)),
    "tanh: of the activated value": ("tanh", lambda z, a, da: da * (1 - np.tanh(a) ** 2)),
    "tanh: 1 - z^2": ("tanh", lambda z, a, da: da * (1 - z * z)),
    "tanh: 1 - a": ("tanh", lambda z, a, da: da * (1 - a)),
    "tanh: sign flipped": ("tanh", lambda z, a, da: -da * (1 - a * a)),
    "relu: sign of the gradient": ("relu", lambda z, a, da: np.where(da > 0, da, 0)),
    "relu: left out": ("relu", lambda z, a, da: da),
    "relu: the value": ("relu", lambda z, a, da: da * a),
    "leaky_relu: slope of relu": ("leaky_relu", lambda z, a, da: np.where(z > 0, da, 0)),
    "elu: without the exponential": ("elu", lambda z, a, da: np.where(z > 0, da, 0)),
    "gelu: cdf alone": ("gelu", lambda z, a, da: da * a / z),
    "silu: logistic alone": ("silu", lambda z, a, da: da * sigmoid(z)),
    "softplus: logistic of the value": ("softplus", lambda z, a, da: da * sigmoid(a)),
}


@pytest.mark.parametrize("mistake", HIDDEN)
def test_a_mistake_in_an_activation_is_caught(mistake, monkeypatch):
    name, vjp = HIDDEN[mistake]
    right = functional.ACTIVATIONS[name]

    def activation(xp, z):
        a = right(xp, z)[0]
        return a, lambda da: vjp(z, a, da)

    mlp = MLP((4, 5, 3), name)
    x, t, _ = batch(mlp)
    assert gradcheck(mlp, x, t, xp=XP).ok
    monkeypatch.setitem(functional.ACTIVATIONS, name, activation)
    assert not gradcheck(mlp, x, t, xp=XP).ok


def softmax(z, axis=1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


#: Mistakes at the output: (output, loss, dz(z, t, g)).
AT_THE_OUTPUT = {
    "softmax: over the samples": ("softmax", "cross_entropy", lambda z, t, g: (softmax(z, 0) - t) * g),
    "softmax: over the whole batch": (
        "softmax", "cross_entropy", lambda z, t, g: (softmax(z.reshape(1, -1)).reshape(z.shape) - t) * g,
    ),
    "softmax: targets - p": ("softmax", "cross_entropy", lambda z, t, g: (t - softmax(z)) * g),
    "softmax: p (1 - p) on top": (
        "softmax", "cross_entropy", lambda z, t, g: (softmax(z) - t) * softmax(z) * (1 - softmax(z)) * g,
    ),
    "softmax: p alone": ("softmax", "cross_entropy", lambda z, t, g: softmax(z) * g),
    "softmax, squared error: elementwise p (1 - p)": (
        "softmax", "squared_error", lambda z, t, g: (softmax(z) - t) * softmax(z) * (1 - softmax(z)) * g,
    ),
    "logistic, squared error: derivative left out": (
        "logistic", "squared_error", lambda z, t, g: (sigmoid(z) - t) * g,
    ),
    "logistic, squared error: of the activated value": (
        "logistic", "squared_error",
        lambda z, t, g: (sigmoid(z) - t) * sigmoid(sigmoid(z)) * (1 - sigmoid(sigmoid(z))) * g,
    ),
    "logistic: derivative on top of p - t": (
        "logistic", "binary_cross_entropy", lambda z, t, g: (sigmoid(z) - t) * sigmoid(z) * (1 - sigmoid(z)) * g,
    ),
    "squared error: factor 2": ("identity", "squared_error", lambda z, t, g: 2 * (z - t) * g),
    "squared error: y^2 - t^2": ("identity", "squared_error", lambda z, t, g: (z * z - t * t) * g),
    "absolute error: the difference": ("identity", "absolute_error", lambda z, t, g: (z - t) * g),
    "huber: never clipped": ("identity", "huber", lambda z, t, g: (z - t) * g),
    "poisson: log rate": ("exp", "poisson", lambda z, t, g: (z - t) * g),
    "sample weights ignored": ("softmax", "cross_entropy", lambda z, t, g: (softmax(z) - t) / len(z)),
}  # fmt: skip


@pytest.mark.parametrize("mistake", AT_THE_OUTPUT)
def test_a_mistake_at_the_output_is_caught(mistake, monkeypatch):
    output, loss, dz = AT_THE_OUTPUT[mistake]

    def wrong(xp, output, loss, z, targets):
        losses, _ = output_loss(xp, output, loss, z, targets)
        return losses, lambda g: dz(z, targets, g)

    mlp = MLP((4, 5, 3), "tanh", output, loss)
    x, t, w = batch(mlp)
    x *= 4  # so that huber's differences reach beyond 1
    assert gradcheck(mlp, x, t, xp=XP, sample_weight=w).ok
    monkeypatch.setattr(model, "output_loss", wrong)
    assert not gradcheck(mlp, x, t, xp=XP, sample_weight=w).ok


def test_there_are_at_least_thirty_mistakes():
    assert len(DENSE) + len(HIDDEN) + len(AT_THE_OUTPUT) >= 50
