"""Initial weights: variances, ranges, determinism, and how they lie in the vector."""

from __future__ import annotations

import numpy as np
import pytest

from anyarray_mlp.errors import UsageError
from anyarray_mlp.initializers import INITIALIZERS, fitting, normal, uniform
from anyarray_mlp.model import MLP

FAN_IN, FAN_OUT = 300, 200
VARIANCES = {
    "glorot_uniform": 2 / (FAN_IN + FAN_OUT),
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "he_uniform": 2 / FAN_IN,
    "he_normal": 2 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
    "lecun_normal": 1 / FAN_IN,
    "orthogonal": 1 / FAN_IN,
    "uniform": 0.05**2 / 3,
    "normal": 0.05**2,
    "zeros": 0.0,
}


def draw(name, seed=0):
    return (
        MLP((FAN_IN, FAN_OUT), output="identity")
        .initialize(seed, name)[: FAN_IN * FAN_OUT]
        .reshape(FAN_IN, FAN_OUT)
    )


@pytest.mark.parametrize("name", INITIALIZERS)
def test_variances(name):
    weights = draw(name)
    assert weights.var() == pytest.approx(VARIANCES[name], rel=0.03)
    assert abs(weights.mean()) < 4 * np.sqrt(VARIANCES[name] / weights.size) + 1e-12


@pytest.mark.parametrize("shape", [(20, 10), (10, 20), (7, 7)])
def test_orthogonal_rows_or_columns(shape):
    i, o = shape
    w = MLP(shape, output="identity").initialize(1, "orthogonal")[: i * o].reshape(shape)
    small = w.T @ w if i >= o else w @ w.T
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-13)


def test_a_seed_decides_and_biases_are_zero():
    mlp = MLP((4, 6, 3))
    np.testing.assert_array_equal(mlp.initialize(5), mlp.initialize(5))
    assert np.any(mlp.initialize(5) != mlp.initialize(6))
    assert np.all(mlp.initialize(5)[mlp.layout.bounds[1][1] :] == 0)


def test_by_default_the_initializer_fits_the_activation():
    assert fitting("relu") is INITIALIZERS["he_uniform"]
    assert fitting("tanh") is INITIALIZERS["glorot_uniform"]
    relu, tanh = (
        np.abs(MLP((300, 200, 2), a).initialize(0)[:60000]).max() for a in ("relu", "tanh")
    )
    assert relu == pytest.approx(np.sqrt(6 / 300), rel=0.01)
    assert tanh == pytest.approx(np.sqrt(6 / 500), rel=0.01)


def test_own_initializers_and_scales():
    mlp = MLP((4, 6, 3))
    ones = mlp.initialize(0, lambda generator, i, o: np.full((i, o), float(i)))
    assert ones[:24].tolist() == [4.0] * 24
    assert ones[24:42].tolist() == [6.0] * 18
    assert np.abs(mlp.initialize(0, uniform(2.0))).max() > 1.5
    assert mlp.initialize(0, normal(0.0)).tolist() == [0.0] * mlp.layout.size


def test_unknown_names_and_scales_are_refused():
    with pytest.raises(UsageError, match="initializer must be one of auto, glorot_uniform"):
        MLP((4, 3)).initialize(0, "xavier")
    with pytest.raises(UsageError, match="scale"):
        normal(-1.0)
