"""Optimisers against scalar recurrences and against PyTorch's; schedules; initialisers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.optimizers import (
    OPTIMIZERS,
    Optimizer,
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
from anyarray_mlp.network.schedules import faded

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


ROOT = math.sqrt(1.1875)
#: Parameters after steps along gradients 1 and -2 at rates 0.1 and 0.2 from 1, worked out by hand.
BY_HAND = {
    "sgd": (sgd(), 0.9, 1.3),
    "momentum": (momentum(0.5), 0.9, 1.25),  # v = -0.1, then -0.05 + 0.4
    "nesterov": (nesterov(0.5), 0.85, 1.425),  # 1 - 0.05 - 0.1; 0.85 + 0.175 + 0.4
    "rmsprop": (rmsprop(0.75, 0.5), 0.9, 0.9 + 0.4 / (ROOT + 0.5)),  # v = 0.25, 0.1875 + 1
    # m = 0.5, then 0.25 - 1; rates 0.1 sqrt(0.25) / 0.5, then 0.2 sqrt(0.4375) / 0.75.
    "adam": (adam(0.5, 0.75, 0.5), 0.95, 0.95 + 0.2 * math.sqrt(0.4375) / (ROOT + 0.5)),
    "adamw": (
        adamw(0.5, 0.75, 0.5, weight_decay=0.5),
        0.9,
        0.9 * 0.9 + 0.2 * math.sqrt(0.4375) / (ROOT + 0.5),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_steps_by_hand(name):
    optimizer, *expected = BY_HAND[name]
    assert optimizer.name == name
    leaves = (np.ones(2), np.ones((1, 3)))
    state = optimizer.init(XP, leaves)
    assert len(state) == optimizer.n_moments
    assert all(
        np.array_equal(m, np.zeros_like(p))
        for moment in state
        for m, p in zip(moment, leaves, strict=True)
    )
    for t, (g, rate) in enumerate([(1.0, 0.1), (-2.0, 0.2)], start=1):
        scalars = optimizer.scalars(t, rate)
        assert len(scalars) == optimizer.n_scalars
        grad = tuple(np.full(leaf.shape, g) for leaf in leaves)
        leaves, state = optimizer.update(XP, leaves, grad, state, scalars)
        for leaf, shape in zip(leaves, [(2,), (1, 3)], strict=True):
            np.testing.assert_allclose(leaf, np.full(shape, expected[t - 1]), rtol=1e-15)


DEFAULTS = {
    "sgd": sgd(),
    "momentum": momentum(0.9),
    "nesterov": nesterov(0.9),
    "adam": adam(0.9, 0.999, 1e-8),
    "adamw": adamw(0.9, 0.999, 1e-8, 0.01),
    "rmsprop": rmsprop(0.9, 1e-8),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_are_the_papers_by_default(name):
    paths = [trajectory(o, START, quadratic, 0.01, 3) for o in (OPTIMIZERS[name](), DEFAULTS[name])]
    np.testing.assert_array_equal(*paths)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_numbers_of_many_steps_are_those_of_each(name):
    optimizer = OPTIMIZERS[name]()
    steps, rates = np.arange(1, 41), np.linspace(0.1, 0.2, 40)
    together = np.broadcast_arrays(*optimizer.scalars(steps, rates))
    for t, rate, *numbers in zip(steps, rates, *together, strict=True):
        assert tuple(numbers) == optimizer.scalars(int(t), float(rate))


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
        (lambda: adam(beta_2=-0.1), "^beta_2"),
        (lambda: adam(epsilon=0.0), "epsilon must be positive and finite, got 0.0"),
        (lambda: rmsprop(epsilon=math.inf), "epsilon must be positive and finite, got inf"),
        (
            lambda: adamw(weight_decay=-1.0),
            "weight_decay must be at least 0 and finite, got -1.0",
        ),
        (lambda: adamw(weight_decay=math.inf), "weight_decay"),
        (lambda: adamw(epsilon=-1.0), "epsilon"),
        (lambda: momentum(1.1), r"momentum must be a number in \[0, 1\], got 1.1"),
        (lambda: nesterov(math.nan), "^momentum"),
        (lambda: momentum(-0.1), "momentum"),
        (lambda: rmsprop(rho=1.0), r"rho must be a number in \[0, 1\), got 1.0"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "^name must be a text, got 3"),
        ({"n_moments": -1}, "^n_moments must be a whole number of at least 0, got -1"),
        ({"n_scalars": 1.0}, "^n_scalars must be a whole number of at least 0, got 1.0"),
        ({"kernel": None}, "^kernel must be a function, got None"),
        ({"scalars": (0.1,)}, "^scalars must be a function, got"),
    ],
)
def test_what_is_no_optimizer_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        Optimizer(
            **{
                "name": "own",
                "n_moments": 0,
                "n_scalars": 0,
                "kernel": min,
                "scalars": max,
                **change,
            }
        )


def test_an_optimizer_of_ones_own_may_need_no_numbers():
    halving = Optimizer("halving", 0, 0, lambda xp, p, g: (p / 2,), lambda t, rate: ())
    assert trajectory(halving, START, quadratic, 0.1, 2)[-1].tolist() == (START / 4).tolist()


def test_settings_at_their_ends_are_taken():
    assert momentum(1.0).name == momentum(0.0).name == "momentum"
    assert nesterov(1.0).name == "nesterov"
    # Without any memory: rate / 1 g / (|g| + epsilon), after what the decay of 0 left alone.
    for optimizer in (adamw(0.0, 0.0, 1.0, weight_decay=0.0), rmsprop(0.0, 1.0)):
        path = trajectory(optimizer, np.array([1.0]), lambda p: np.array([3.0]), 0.1, 2)
        np.testing.assert_allclose(path[:, 0], [1 - 0.075, 1 - 0.15], rtol=1e-15)


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


def test_weight_decay_that_fades() -> None:
    plain, fading = adamw(weight_decay=0.1), adamw(weight_decay=0.1, fades_over=10)
    for t in range(1, 13):
        rate, keep = fading.scalars(t, 0.5)
        assert rate == plain.scalars(t, 0.5)[0]
        assert keep == 1.0 - 0.5 * (0.1 * faded((t - 1) / 10))
    assert [fading.scalars(t, 0.5)[1] for t in (1, 5)] == [0.95, 0.95]
    assert fading.scalars(11, 0.5)[1] == 1.0
    steps, rates = np.arange(1, 13), np.linspace(0.1, 0.5, 12)
    for many, one in zip(
        fading.scalars(steps, rates),
        zip(*(fading.scalars(int(t), r) for t, r in zip(steps, rates, strict=True)), strict=True),
        strict=True,
    ):
        np.testing.assert_array_equal(many, one)
    assert adamw(fades_over=1).scalars(2, 0.5)[1] == 1.0
    with pytest.raises(UsageError, match=r"^fades_over must be a whole number of at least 1"):
        adamw(fades_over=0)
