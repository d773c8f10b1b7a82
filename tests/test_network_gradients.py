"""Gradients of single samples and with respect to the inputs, on every backend; and layers that are frozen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, adam, adamw, fit, momentum, rmsprop, select_backend, sgd, train
from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network import passes
from anyarray_mlp.network.by_parameter import frozen
from anyarray_mlp.network.optimizers import Optimizer, gradient_norm
from anyarray_mlp.training import TrainingState, to_leaves
from tests.problems import batch

NETWORKS = [
    MLP((3, 5, 4, 2), ("tanh", "gelu"), dropout=0.5),
    MLP((3, 4, 2), "softplus", "logistic", "squared_error", bias=False),
]


@pytest.mark.needs("values")
@pytest.mark.parametrize("mlp", NETWORKS, ids=lambda mlp: mlp.output)
def test_gradients_of_samples_and_inputs_on_every_backend(backend, mlp, monkeypatch):
    monkeypatch.setattr(passes, "BLOCK", 4 * mlp.layout.size)  # two blocks of 6 rows
    host = select_backend("numpy", dtype="float64")
    x, t, _ = batch(mlp)
    theta = mlp.initialize(1)
    leaves = (theta,)

    def everything(xp: Any, leaves: Any, x: Any, t: Any) -> Any:
        return (
            mlp.gradients_by_sample(xp, leaves, x, t),
            mlp.input_gradient(xp, leaves, x, t),
            mlp.output_gradient(xp, leaves, x, 0),
        )

    arrays = [backend.asarray(a) for a in (x, t)]
    found = backend.jit(everything)(to_leaves(mlp, backend, theta), *arrays)
    by_sample, inputs, outputs = (np.asarray(backend.to_host(a)) for a in found)
    assert (by_sample.shape, inputs.shape) == ((6, mlp.layout.size), (6, 3))
    for row in range(6):
        one = slice(row, row + 1)
        _, (alone,) = mlp.loss_and_grad(host.xp, leaves, x[one], t[one])
        np.testing.assert_allclose(by_sample[row], alone, rtol=1e-11, atol=1e-14)
    for column in range(3):
        up, down = x.copy(), x.copy()
        up[:, column] += 1e-6
        down[:, column] -= 1e-6
        slope = (mlp.losses(host.xp, leaves, up, t) - mlp.losses(host.xp, leaves, down, t)) / 2e-6
        np.testing.assert_allclose(inputs[:, column], slope, rtol=1e-6, atol=1e-8)
        slope = (mlp.predict(host.xp, leaves, up) - mlp.predict(host.xp, leaves, down)) / 2e-6
        np.testing.assert_allclose(outputs[:, column], slope[:, 0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
def test_the_mean_of_samples_gradients_is_the_batchs_and_reproducible_bits_are_the_same(library):
    pytest.importorskip(library)
    mlp = MLP((3, 5, 4), "relu")
    x, _, _ = batch(mlp)
    labels = np.array([0, 3, 1, 2, 2, 0])
    bits = []
    for name in ("numpy", library):
        backend = select_backend(name, reproducible=True)
        leaves = to_leaves(mlp, backend, mlp.initialize(0))
        arguments = (backend.xp, leaves, backend.asarray(x), backend.asarray(labels))
        by_sample = backend.to_host(mlp.gradients_by_sample(*arguments))
        _, (grad,) = mlp.loss_and_grad(*arguments)
        np.testing.assert_allclose(
            by_sample.mean(axis=0), backend.to_host(grad), rtol=1e-5, atol=1e-7
        )
        inputs = [mlp.input_gradient(*arguments), mlp.output_gradient(*arguments)]
        bits.append([by_sample.tobytes(), *(backend.to_host(a).tobytes() for a in inputs)])
    assert bits[0] == bits[1]


def test_saliency_is_of_each_samples_own_output():
    mlp, xp = MLP((3, 5, 4), "tanh"), select_backend(dtype="float64").xp
    x, _, _ = batch(mlp)
    leaves, labels = (mlp.initialize(0),), np.array([0, 3, 1, 2, 2, 0])
    each = [mlp.output_gradient(xp, leaves, x, k) for k in range(4)]
    own = mlp.output_gradient(xp, leaves, x, labels)
    np.testing.assert_array_equal(own, np.stack(each)[labels, np.arange(6)])
    for wrong in (4, -1, 1.0, labels[:5], "cat", None):
        with pytest.raises(
            UsageError, match="output must be a place from 0 to 3, or an integer array"
        ):
            mlp.output_gradient(xp, leaves, x, wrong)


def test_no_samples_have_no_gradients():
    mlp, xp = MLP((3, 5, 4)), select_backend(dtype="float64").xp
    leaves, none = (mlp.initialize(0),), np.zeros((0, 3))
    assert mlp.gradients_by_sample(xp, leaves, none, np.zeros((0, 4))).shape == (0, mlp.layout.size)
    assert mlp.input_gradient(xp, leaves, none, np.zeros((0, 4))).shape == (0, 3)


# --- frozen layers -------------------------------------------------------------------------------------

OPTIMIZERS = [sgd(), momentum(), adam(), adamw(weight_decay=0.1), rmsprop()]
DEEP = MLP((4, 6, 5, 3), "tanh")


def after(backend: Backend, optimizer: Optimizer, start: Any, **options: Any) -> TrainingState:
    """Parameters and moments after two epochs of ten steps."""
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((50, 4)), rng.integers(0, 3, 50)
    *_, last = train(
        DEEP, x, labels, backend=backend, optimizer=optimizer, learning_rate=lambda step: 0.01, shuffle=False,
        epochs=2, batch_size=5, alpha=0.1, initial=start, **options,
    )  # fmt: skip
    return last.snapshot()


@pytest.mark.usefixtures("x64_as_before")
@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "array_api_strict"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.name)
def test_frozen_layers_stay_to_the_bit_and_their_moments_too(library, optimizer):
    pytest.importorskip(library)
    backend = select_backend(library, dtype="float64")
    start = after(
        select_backend("numpy", dtype="float64"), optimizer, None
    )  # moments that are not zero
    start.parameters[3] = -0.0  # whose sign an addition of 0 would lose
    held = TrainingState(start.parameters.copy(), start.moments, start.step, start.epoch)
    found = after(backend, frozen(optimizer, DEEP, [0, 2]), held)
    for before, now in zip(
        (start.parameters, *start.moments), (found.parameters, *found.moments), strict=True
    ):
        parts = zip(
            DEEP.layout.names, DEEP.layout.split(before), DEEP.layout.split(now), strict=True
        )
        for name, old, new in parts:
            assert (old.tobytes() == new.tobytes()) == (name[-1] in "02"), name


def test_a_step_of_separate_leaves_is_that_of_the_flat_vector():
    xp, vector, grad = (
        select_backend("numpy", dtype="float64").xp,
        DEEP.initialize(3),
        DEEP.initialize(4),
    )
    one, found = frozen(adam(), DEEP, [1]), []
    for flat in (True, False):
        leaves, gradient = (DEEP.layout.to_leaves(v.copy(), flat=flat) for v in (vector, grad))
        moments = one.init(xp, leaves)
        theta, moments = one.update(xp, leaves, gradient, moments, one.scalars(1, 0.1))
        found.append([DEEP.layout.to_vector(each) for each in (theta, *moments)])
    np.testing.assert_array_equal(*found)
    assert np.any(found[0][0] != vector)


def test_what_is_trained_is_trained_as_if_the_rest_had_no_gradient():
    backend = select_backend("numpy", dtype="float64")
    start = DEEP.initialize(3)
    one = frozen(adam(), DEEP, [1])
    assert (one.name, one.n_moments) == ("adam", 2)
    found = after(backend, one, start).parameters
    assert np.any(found != start)
    # The norm that a gradient is clipped to is that of what is trained.
    grad = (np.arange(1.0, DEEP.layout.size + 1),)
    xp = backend.xp
    kept = one.followed(xp, grad)
    parts = dict(zip(DEEP.layout.names, DEEP.layout.split(kept[0]), strict=True))
    assert not np.any(parts["weights.1"])
    assert np.all(parts["weights.0"])
    assert np.count_nonzero(kept[0]) == DEEP.layout.size - 6 * 5 - 5
    assert gradient_norm(xp, kept) < gradient_norm(xp, grad)
    leaves = one.followed(xp, DEEP.layout.to_leaves(grad[0], flat=False))
    np.testing.assert_array_equal(DEEP.layout.to_vector(leaves), kept[0])
    clipped = after(backend, one, start, clip_norm=1e-3).parameters
    assert np.any(clipped != found)


def test_fit_takes_a_frozen_optimizer():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((50, 4)), rng.integers(0, 3, 50)
    first = fit(DEEP, x, labels, epochs=3, seed=0)
    tuned = fit(
        DEEP, x, labels, epochs=3, seed=0, initial=first.parameters,
        optimizer=frozen(adam(), DEEP, layers=range(2)),
    )  # fmt: skip
    before, now = (DEEP.layout.split(result.parameters) for result in (first, tuned))
    same = [np.array_equal(a, b) for a, b in zip(before, now, strict=True)]
    assert same == [True, True, False] * 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frozen("adam", DEEP, [0]), "^optimizer must be an Optimizer, such as adam.., got 'adam'"),
        (lambda: frozen(adam(), (4, 3), [0]), "^mlp must be an MLP"),
        (lambda: frozen(adam(), DEEP, 0), "^layers must be a list of places of layers from 0 to 2"),
        (lambda: frozen(adam(), DEEP, [3]), r"^layers must be a list .* got \[3\]"),
        (lambda: frozen(adam(), DEEP, [True]), "^layers must be a list"),
        (lambda: frozen(adam(), DEEP, [0, 1, 2]), "are all that the network has: leave one to train"),
        (
            lambda: after(select_backend(), frozen(adam(), MLP((4, 6, 3)), [0]), None),
            r"frozen for a network \(4, 6, 3\) and trains another, .* shapes \(\(83,\),\): give frozen the network",
        ),
        (
            lambda: frozen(adam(), DEEP, [0]).followed(np, (np.zeros((4, 6)), np.zeros(6))),
            r"frozen for a network \(4, 6, 5, 3\) and trains another, .* shapes \(\(4, 6\), \(6,\)\)",
        ),
    ],
)  # fmt: skip
def test_layers_that_cannot_be_frozen_are_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_to_freeze_nothing_is_to_leave_the_optimizer():
    optimizer = adam()
    assert frozen(optimizer, DEEP, []) is optimizer
