"""Values of activations, outputs and losses against closed forms, and dropout's generator."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import scipy.special

from anyarray_mlp.functional import (
    ACTIVATIONS,
    OUTPUTS,
    dropout,
    dropout_mask,
    one_hot,
    output_loss,
)

Z = np.array([[-40.0, -3.0, -0.5], [0.0, 0.25, 2.0], [8.0, 40.0, 90.0]])

CLOSED_FORMS = {
    "identity": lambda z: z,
    "logistic": scipy.special.expit,
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "gelu": lambda z: z * scipy.special.ndtr(z),
    "gelu_tanh": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * scipy.special.expit(z),
    "softplus": lambda z: np.logaddexp(z, 0),
}


@pytest.mark.needs("values")
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_equal_their_closed_forms(backend, name):
    value, _ = ACTIVATIONS[name](backend.xp, backend.asarray(Z))
    expected = CLOSED_FORMS[name](Z)
    # gelu's tail is a difference of nearly equal numbers: absolute, not relative, precision there.
    np.testing.assert_allclose(backend.to_host(value), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.needs("values")
@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_equal_their_closed_forms(backend, output):
    z = np.minimum(Z, 50.0)
    value, _ = OUTPUTS[output](backend.xp, backend.asarray(z))
    expected = {
        "identity": z,
        "logistic": scipy.special.expit(z),
        "softmax": scipy.special.softmax(z, axis=1),
        "exp": np.exp(z),
    }[output]
    np.testing.assert_allclose(backend.to_host(value), expected, rtol=1e-14)


LOSS_FORMS = {
    ("softmax", "cross_entropy"): lambda z, t: -np.sum(t * scipy.special.log_softmax(z, axis=1), 1),
    ("logistic", "binary_cross_entropy"): lambda z, t: (
        -np.sum(t * scipy.special.log_expit(z) + (1 - t) * scipy.special.log_expit(-z), 1)
    ),
    ("exp", "poisson"): lambda z, t: np.sum(np.exp(z) - t * z, 1),
    ("identity", "squared_error"): lambda z, t: 0.5 * np.sum((z - t) ** 2, 1),
    ("identity", "absolute_error"): lambda z, t: np.sum(np.abs(z - t), 1),
    ("identity", "huber"): lambda z, t: np.sum(scipy.special.huber(1.0, z - t), 1),
    ("logistic", "squared_error"): lambda z, t: 0.5 * np.sum((scipy.special.expit(z) - t) ** 2, 1),
}


@pytest.mark.needs("values")
@pytest.mark.parametrize("pair", LOSS_FORMS, ids="-".join)
def test_losses_equal_their_closed_forms(backend, pair):
    z = np.array([[-30.0, 2.0, 0.5], [4.0, -1.0, 30.0]])
    targets = np.array([[0.2, 0.5, 0.3], [0.0, 0.0, 1.0]])
    losses, _ = output_loss(backend.xp, *pair, backend.asarray(z), backend.asarray(targets))
    np.testing.assert_allclose(backend.to_host(losses), LOSS_FORMS[pair](z, targets), rtol=1e-14)


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits_give_finite_losses_and_gradients(backend, dtype):
    z = np.array([[1e4, -1e4], [-1e4, 1e4]])
    targets = backend.asarray(np.array([[0.0, 1.0], [0.0, 1.0]]))
    for pair in (("softmax", "cross_entropy"), ("logistic", "binary_cross_entropy")):
        losses, vjp = output_loss(backend.xp, *pair, backend.asarray(z), targets)
        assert np.isfinite(backend.to_host(losses)).all()
        assert np.isfinite(backend.to_host(vjp(0.5))).all()
    # A sure and right answer costs nothing; a sure and wrong one its margin.
    np.testing.assert_allclose(backend.to_host(losses), [2e4, 0.0], atol=1e-6)


@pytest.mark.needs("values")
@pytest.mark.parametrize("dtype", ["float32"])
def test_binary_cross_entropy_of_sure_answers_keeps_its_digits(backend, dtype):
    z = np.array([[8.0], [12.0], [16.0], [30.0], [-12.0]])
    right = np.array([[1.0], [1.0], [1.0], [1.0], [0.0]])
    losses, _ = output_loss(
        backend.xp, "logistic", "binary_cross_entropy", backend.asarray(z), backend.asarray(right)
    )
    expected = np.log1p(np.exp(-np.abs(z[:, 0])))
    np.testing.assert_allclose(backend.to_host(losses), expected, rtol=1e-6)


@pytest.mark.needs("values")
def test_labels_and_one_hot_rows_agree(backend):
    labels = backend.asarray(np.array([2, 0, 1, 2]))
    rows = backend.jit(lambda xp, labels: one_hot(xp, labels, 3, xp.float64))(labels)
    np.testing.assert_array_equal(backend.to_host(rows), np.eye(3)[[2, 0, 1, 2]])


def host_mask(backend, shape, rate, key, row=0):
    """A dropout mask worked out on a backend."""
    key = backend.asarray(np.array(key, dtype=np.int32), dtype="int32")
    mask = backend.jit(lambda xp, key: dropout_mask(xp, shape, rate, key, row))(key)
    return backend.to_host(mask).astype(bool)


@pytest.mark.needs("values")
def test_dropout_masks_are_the_same_bits_everywhere(backend):
    mask = host_mask(backend, (64, 50), 0.3, -12345)
    digest = hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()
    assert digest == "729c63c2282646e89b3d2ed6da05e9c92bc98acd7216681ebb3866ba8065c504"


@pytest.mark.needs("values")
def test_a_dropout_mask_does_not_depend_on_how_the_rows_are_split(backend):
    whole = host_mask(backend, (30, 7), 0.5, 99)
    parts = [
        host_mask(backend, (stop - start, 7), 0.5, 99, start)
        for start, stop in [(0, 1), (1, 12), (12, 30)]
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.on("numpy")
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_without_a_pattern(backend, rate):
    masks = np.stack(
        [dropout_mask(backend.xp, (100, 100), rate, np.int32(key)) for key in range(50)]
    ).astype(float)
    n = masks.size
    assert abs(masks.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / n)
    centred = masks - masks.mean()
    neighbours = {
        "column": (centred[:, :, 1:] * centred[:, :, :-1]).mean(),
        "row": (centred[:, 1:] * centred[:, :-1]).mean(),
        "key": (centred[1:] * centred[:-1]).mean(),
    }
    for covariance in neighbours.values():
        assert abs(covariance) < 5 * rate * (1 - rate) / np.sqrt(n)


@pytest.mark.on("numpy")
def test_dropout_scales_what_it_keeps(backend):
    a = np.ones((2000, 10))
    value, vjp = dropout(backend.xp, a, 0.25, np.int32(3))
    assert set(np.unique(value)) == {0.0, 1 / 0.75}
    assert abs(value.mean() - 1.0) < 0.02
    np.testing.assert_array_equal(vjp(np.ones_like(a)), value)
