"""A batch in parts has the gradient of the whole: to rounding, and reproducibly to the bit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.passes import joined
from anyarray_mlp.training import to_leaves
from anyarray_mlp.training.steps import dropout_keys

CUTS = [(0, 30), (0, 1, 30), (0, 7, 9, 22, 30)]
NETWORKS = [
    (MLP((8, 12, 5), "gelu", dropout=0.3), False, 0.0),
    (MLP((8, 12, 6, 5), "tanh"), True, 0.1),
    (MLP((8, 5, 3), "relu", "logistic", "squared_error", bias=False), False, 0.1),
]


def gradients(backend: Backend, mlp: MLP, weighted: bool, alpha: float) -> Any:
    """Loss and flat gradient of the whole batch, and then of it in parts, for each of CUTS."""
    rng = np.random.default_rng(0)
    xp, k = backend.xp, mlp.sizes[-1]
    x = backend.asarray(rng.standard_normal((30, 8)) * np.exp(rng.uniform(-3, 3, 8)))
    labels = rng.integers(0, k, 30)
    targets = backend.asarray(np.eye(k)[labels] if mlp.loss == "squared_error" else labels)
    weight = backend.asarray(rng.random(30)) if weighted else None
    leaves = to_leaves(mlp, backend, mlp.initialize(1))
    keys = [
        backend.asarray(dropout_keys(3, layer, 0, 1), "int32")[0] for layer in mlp.dropout_layers
    ]
    options: dict[str, Any] = {"alpha": alpha, "dropout_keys": keys or None}
    loss, grad = mlp.loss_and_grad(xp, leaves, x, targets, weight, **options)
    yield np.append(backend.to_host(grad[0]), backend.to_host(loss))
    for cuts in CUTS:
        parts = [
            (x[a:b, ...], targets[a:b, ...], None if weight is None else weight[a:b])
            for a, b in pairwise(cuts)
        ]
        loss, grad = mlp.loss_and_grad_in_parts(xp, leaves, parts, **options)
        yield np.append(backend.to_host(grad[0]), backend.to_host(loss))


@pytest.mark.parametrize("reproducible", [True, "fast"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("network", range(len(NETWORKS)))
def test_parts_have_the_bits_of_the_whole(network: int, dtype: str, reproducible: Any) -> None:
    backend = select_backend("numpy", dtype=dtype, reproducible=reproducible)
    whole, *parts = gradients(backend, *NETWORKS[network])
    for part in parts:
        assert part.tobytes() == whole.tobytes()


@pytest.mark.parametrize("network", range(len(NETWORKS)))
def test_parts_agree_to_rounding(network: int) -> None:
    whole, *parts = gradients(select_backend("numpy", dtype="float64"), *NETWORKS[network])
    for part in parts:
        np.testing.assert_allclose(part, whole, rtol=1e-12, atol=1e-14)


def test_parts_of_no_weight_count_nothing() -> None:
    backend = select_backend()
    mlp = MLP((4, 5, 3))
    x, labels = backend.asarray(np.ones((6, 4))), np.zeros(6, int)
    parts = [(x[a:b], labels[a:b], np.zeros(3)) for a, b in ((0, 3), (3, 6))]
    leaves = to_leaves(mlp, backend, mlp.initialize(0))
    loss, (grad,) = mlp.loss_and_grad_in_parts(backend.xp, leaves, parts, alpha=1.0)
    assert loss == 0
    assert not np.any(grad)


def test_what_is_not_given_is_left_out_and_keys_are_for_every_layer_that_drops() -> None:
    xp = select_backend(dtype="float64").xp
    mlp = MLP((4, 5, 3), dropout=0.5)
    rng = np.random.default_rng(0)
    x, labels, theta = rng.standard_normal((6, 4)), rng.integers(0, 3, 6), (mlp.initialize(0),)
    parts = [(x[:2], labels[:2], None), (x[2:], labels[2:], None)]
    loss, (grad,) = mlp.loss_and_grad_in_parts(xp, theta, parts)
    whole, (whole_grad,) = mlp.loss_and_grad(xp, theta, x, labels, alpha=0.0)
    assert loss == pytest.approx(whole, rel=1e-14)
    np.testing.assert_allclose(grad, whole_grad, rtol=1e-12, atol=1e-16)
    for keys in ([], [np.int32(1), np.int32(2)]):
        with pytest.raises(ValueError, match="zip"):
            mlp.loss_and_grad_in_parts(xp, theta, parts, dropout_keys=keys)


def test_vectors_are_joined_and_one_alone_is_not_copied() -> None:
    xp, one, two = select_backend().xp, np.array([1.0, 2.0]), np.array([3.0])
    assert joined(xp, [one, two]).tolist() == [1.0, 2.0, 3.0]
    assert joined(xp, [one]) is one
