"""Optimisers against scalar recurrences and against PyTorch's; schedules; initialisers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import UsageError
from anyarray_mlp.optimizers import (
    OPTIMIZERS,
    adam,
    adamw,
    clip_by_norm,
    gradient_norm,
    integer_power,
    integer_powers,
    momentum,
    nesterov,
    rmsprop,
    sgd,
)

XP = PlainNamespace(np)


def trajectory(optimizer, theta, gradient, rate, steps):
    """Parameters after each of some steps along gradient(theta), in float64."""
    leaves, state = (theta.copy(),), optimizer.init(XP, (theta,))
    path = []
    for t in range(1, steps + 1):
        scalars = tuple(np.asarray(s) for s in optimizer.scalars(t, rate))
        leaves, state = optimizer.update(XP, leaves, (gradient(leaves[0]),), state, scalars)
        path.append(leaves[0].copy())
    return np.array(path)


def quadratic(theta):
    return np.array([1.0, 10.0, -3.0]) * theta + np.array([0.5, 0.0, 1.0])


START = np.array([1.0, -2.0, 0.3])


def test_momentum_equals_its_recurrence():
    path = trajectory(momentum(0.8), START, quadratic, 0.01, 20)
    p, v = START.copy(), np.zeros(3)
    for expected in path:
        v = 0.8 * v - 0.01 * quadratic(p)
        p = p + v
        np.testing.assert_allclose(expected, p, rtol=1e-14)


TORCH_PAIRS = {
    "sgd": (sgd(), lambda t, p: t.optim.SGD(p, lr=0.01)),
    "momentum": (momentum(0.9), lambda t, p: t.optim.SGD(p, lr=0.01, momentum=0.9)),
    "nesterov": (nesterov(0.9), lambda t, p: t.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True)),
    "rmsprop": (rmsprop(0.9), lambda t, p: t.optim.RMSprop(p, lr=0.01, alpha=0.9)),
    # PyTorch adds epsilon after the bias correction, the paper's section 2 before it: make it vanish.
    "adam": (adam(epsilon=1e-30), lambda t, p: t.optim.Adam(p, lr=0.01, eps=1e-30)),
    "adamw": (
        adamw(epsilon=1e-30, weight_decay=0.1),
        lambda t, p: t.optim.AdamW(p, lr=0.01, eps=1e-30, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", TORCH_PAIRS)
def test_optimizers_follow_the_same_path_as_pytorchs(name):
    torch = pytest.importorskip("torch")
    optimizer, make = TORCH_PAIRS[name]
    path = trajectory(optimizer, START, quadratic, 0.01, 50)
    p = torch.tensor(START, requires_grad=True)
    theirs = make(torch, [p])
    for expected in path:
        p.grad = torch.tensor(quadratic(p.detach().numpy()))
        theirs.step()
        np.testing.assert_allclose(expected, p.detach().numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.needs("values", "writable")  # an update uses up what it is given
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_agree_on_every_backend(backend, name):
    expected = trajectory(OPTIMIZERS[name](), START, quadratic, 0.01, 5)[-1]
    optimizer = OPTIMIZERS[name]()

    def steps(xp, theta, scale, offset, *scalars):
        leaves, state = (theta,), optimizer.init(xp, (theta,))
        for t in range(5):
            now = scalars[t * optimizer.n_scalars : (t + 1) * optimizer.n_scalars]
            grad = (scale * leaves[0] + offset,)
            leaves, state = optimizer.update(xp, leaves, grad, state, now)
        return leaves[0]

    numbers = [s for t in range(1, 6) for s in optimizer.scalars(t, 0.01)]
    arrays = [
        START,
        np.array([1.0, 10.0, -3.0]),
        np.array([0.5, 0.0, 1.0]),
        *map(np.array, numbers),
    ]
    result = backend.jit(steps)(*(backend.asarray(array) for array in arrays))
    np.testing.assert_allclose(backend.to_host(result), expected, rtol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_leaves_are_distinct_arrays(name):
    theta = (np.ones(3), np.ones(2))
    state = OPTIMIZERS[name]().init(XP, theta)
    arrays = [leaf for moment in state for leaf in moment]
    assert len({id(a) for a in arrays}) == len(arrays) == 2 * OPTIMIZERS[name]().n_moments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: adam(beta_1=1.0), r"beta_1 must be a number in \[0, 1\), got 1.0"),
        (lambda: adam(beta_2=-0.1), "beta_2"),
        (lambda: adam(epsilon=0.0), "epsilon must be positive"),
        (lambda: adamw(weight_decay=-1.0), "weight_decay"),
        (lambda: momentum(1.1), r"momentum must be a number in \[0, 1\], got 1.1"),
        (lambda: nesterov(math.nan), "momentum"),
        (lambda: rmsprop(rho=2.0), "rho"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_integer_power_is_a_power():
    for base in (0.9, 0.999, 0.5):
        for exponent in (0, 1, 2, 3, 10, 1000, 12345):
            assert integer_power(base, exponent) == pytest.approx(base**exponent, rel=1e-12)


@pytest.mark.parametrize("count", [1, 31, 32, 100])
def test_powers_have_the_bits_of_single_ones(count):
    exponents = np.arange(12345, 12345 + count)
    powers = integer_powers(0.999, exponents)
    assert powers.tolist() == [integer_power(0.999, int(exponent)) for exponent in exponents]


def test_clipping_scales_long_gradients_down_and_leaves_short_ones():
    grad = (np.array([3.0, 0.0]), np.array([[4.0]]))
    assert gradient_norm(XP, grad) == 5.0
    clipped = clip_by_norm(XP, grad, 1.0)
    np.testing.assert_allclose(clipped[0], [0.6, 0.0], rtol=1e-15)
    np.testing.assert_allclose(clipped[1], [[0.8]], rtol=1e-15)
    for leaf, same in zip(grad, clip_by_norm(XP, grad, 7.0), strict=True):
        np.testing.assert_array_equal(leaf, same)
    assert np.all(clip_by_norm(XP, (np.zeros(3),), 1.0)[0] == 0.0)


def test_a_norm_that_overflows_does_not_clip_to_nothing():
    grad = (np.array([3e25, 0.0], np.float32),)
    with np.errstate(all="ignore"):
        assert np.all(np.isnan(clip_by_norm(XP, grad, 1.0)[0]))
