"""Initial weights: variances, ranges, determinism, and how they lie in the vector."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.functional import ACTIVATIONS, RECTIFIERS
from anyarray_mlp.network.initializers import (
    INITIALIZERS,
    checked_weights,
    fitting,
    initialize,
    normal,
    orthogonal,
    orthonormal_columns,
    resolve,
    standard_normal,
    symmetric,
    uniform,
)
from anyarray_mlp.network.layout import Layout
from anyarray_mlp.network.mlp import MLP

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


@pytest.mark.parametrize("shape", [(9, 5), (6, 6), (4, 1)])
def test_orthonormal_columns_are_those_of_a_qr_decomposition(shape):
    """With a positive diagonal of R, which makes them unique, and uniform where the matrix is normal."""
    a = np.random.default_rng(1).normal(size=shape)
    kept = a.copy()
    q, r = np.linalg.qr(a)
    np.testing.assert_allclose(orthonormal_columns(a), q * np.sign(np.diagonal(r)), atol=1e-14)
    np.testing.assert_array_equal(a, kept)


def test_columns_of_zeros_and_of_either_sign_are_made_orthonormal():
    for first in (3.0, -3.0):
        a = np.array([[first, 0.0], [4.0, 0.0], [0.0, 0.0]])
        q = orthonormal_columns(a)
        np.testing.assert_allclose(q[:, 0], [first / 5, 0.8, 0.0], atol=1e-15)
        np.testing.assert_allclose(q.T @ q, np.eye(2), atol=1e-15)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (200, 300)])
def test_shapes_and_moments_of_what_is_drawn(shape):
    generator = np.random.Generator(np.random.PCG64(5))
    for draw, top in ((symmetric, 1.0), (standard_normal, 6.0)):
        drawn = draw(generator, *shape)
        assert drawn.shape == shape
        assert drawn.dtype == np.float64
        assert np.all(np.abs(drawn) <= top)
    if shape == (200, 300):
        u, z = symmetric(generator, *shape), standard_normal(generator, *shape)
        assert (u.min(), u.max()) == pytest.approx((-1.0, 1.0), abs=1e-3)
        assert np.all(u * 2.0**52 == np.round(u * 2.0**52))
        assert np.any(u * 2.0**51 != np.round(u * 2.0**51))
        assert [np.mean(u**k) for k in (1, 2, 4)] == pytest.approx([0, 1 / 3, 1 / 5], abs=0.01)
        assert [np.mean(z**k) for k in (1, 2, 3, 4)] == pytest.approx([0, 1, 0, 3], abs=0.06)
        assert np.mean(np.abs(z) < 1) == pytest.approx(0.6827, abs=0.01)
        flat = z.ravel()
        # Two come from each point: neither a neighbour nor a half of the whole is like the other.
        assert abs(np.corrcoef(flat[1:], flat[:-1])[0, 1]) < 0.02
        assert abs(np.corrcoef(flat[: flat.size // 2], flat[flat.size // 2 :])[0, 1]) < 0.02
        assert len(np.unique(flat)) == flat.size
        assert np.all(flat != 0.0)


def test_normal_numbers_are_of_points_within_the_circle():
    """Of points at its centre, on it and beyond it, nothing is drawn."""
    u = np.array([0.0, -1.0, -0.75, 0.5, 0.25, 0, 0, 0])
    v = np.array([0.0, 0.0, 0.75, 0.25, -0.5, 0, 0, 0])
    raw = ((np.concatenate([u, v]) + 1) * 2.0**52).astype(np.uint64) << np.uint64(11)
    fixed = SimpleNamespace(bit_generator=SimpleNamespace(random_raw=lambda count: raw[:count]))
    s = 0.3125
    radius = np.sqrt(-2 * np.log(s) / s)
    assert standard_normal(fixed, 1, 1)[0, 0] == pytest.approx(0.5 * radius, rel=1e-15)


def test_the_numbers_of_this_version_are_pinned_and_no_more_are_drawn_than_are_needed():
    first, second = (np.random.Generator(np.random.PCG64(246)) for _ in range(2))
    drawn = standard_normal(first, 3, 4)
    assert drawn[[0, 2], [0, 3]].tolist() == [-1.5580696440679656, 0.312223491758602]
    # 14 points, of which the circle holds just the 6 that twelve numbers are made of.
    points = symmetric(second, 2, 14)
    assert np.count_nonzero(np.sum(points**2, axis=0) < 1) == 6
    assert first.bit_generator.state == second.bit_generator.state


@pytest.mark.parametrize("shape", [(5, 3), (4, 4), (3, 5)])
def test_orthogonal_weights_are_the_columns_of_a_normal_matrix(shape):
    first, second = (np.random.Generator(np.random.PCG64(5)) for _ in range(2))
    q = orthonormal_columns(standard_normal(second, max(shape), min(shape)))
    np.testing.assert_array_equal(orthogonal(first, *shape), q if shape[0] >= shape[1] else q.T)


def test_weights_are_drawn_layer_by_layer_as_the_initializer_says():
    layout = Layout((3, 4, 2))
    by_default, auto, he = (
        initialize(layout, ("relu", "tanh"), seed=3, **options)
        for options in ({}, {"initializer": "auto"}, {"initializer": "he_uniform"})
    )
    np.testing.assert_array_equal(by_default, auto)
    np.testing.assert_array_equal(auto[:12], he[:12])
    np.testing.assert_allclose(auto[12:20], he[12:20] * np.sqrt(4 / 6), rtol=1e-14)
    seen = []

    def own(generator, fan_in, fan_out):
        seen.append((fan_in, fan_out, generator))
        return np.ones((fan_in, fan_out))

    assert (
        initialize(layout, ("relu", "tanh"), seed=3, initializer=own).tolist()
        == [1.0] * 20 + [0.0] * 6
    )
    assert [s[:2] for s in seen] == [(3, 4), (4, 2)]
    assert seen[0][2] is seen[1][2]  # one stream for all layers


LIMITS = {
    "glorot_uniform": 6 / (FAN_IN + FAN_OUT),
    "he_uniform": 6 / FAN_IN,
    "lecun_uniform": 3 / FAN_IN,
    "uniform": 0.05**2,
}


@pytest.mark.parametrize("name", LIMITS)
def test_uniform_weights_reach_their_limits(name):
    weights = draw(name)
    assert (weights.min(), weights.max()) == pytest.approx(
        (-np.sqrt(LIMITS[name]), np.sqrt(LIMITS[name])), rel=1e-3
    )


def rectifies(activation):
    """Whether an activation follows its argument from 10 to 20 and hardly moves from -20 to -10."""
    a, _ = ACTIVATIONS[activation](PlainNamespace(np), np.array([-20.0, -10.0, 10.0, 20.0]))
    return abs(a[3] - a[2]) > 9 and abs(a[1] - a[0]) < 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_initializer_that_fits(activation):
    assert (activation in RECTIFIERS) == rectifies(activation), (
        "RECTIFIERS of network/functional.py are those that follow z on the positive side only"
    )
    expected = "he_uniform" if rectifies(activation) else "glorot_uniform"
    expected = "lecun_normal" if activation == "selu" else expected
    assert fitting(activation) is INITIALIZERS[expected]
    assert resolve("auto", activation) is INITIALIZERS[expected]
    assert resolve("lecun_normal", activation) is INITIALIZERS["lecun_normal"]


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
    for make in (normal, uniform):
        for scale in (-1.0, np.inf, np.nan):
            with pytest.raises(
                UsageError, match=f"scale must be at least 0 and finite, got {scale}"
            ):
                make(scale)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (np.ones((2, 3)), r"^initializer must give a matrix of shape \(3, 2\), fan_in by fan_out, got"),
        (np.ones((3, 2), complex), "got an array of shape .* and dtype complex128"),
        (np.ones((3, 2), bool), "and dtype bool"),
        (None, "got None"),
        (np.full((3, 2), np.inf), "^initializer must give finite numbers"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_of_weights_is_refused(drawn, message):
    with pytest.raises(UsageError, match=message):
        checked_weights(drawn, 3, 2)


def test_matrices_of_any_numbers_are_taken():
    for kind in (np.int8, np.uint8, np.float32):
        assert checked_weights(np.ones((3, 2), kind), 3, 2).tolist() == [[1, 1]] * 3
    assert checked_weights([[1.0, 2.0]], 1, 2).tolist() == [[1.0, 2.0]]
