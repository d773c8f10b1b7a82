"""A stack of networks: each member has what it has alone, to rounding on every backend and to the bit reproducibly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, select_backend
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends import Backend
from anyarray_mlp.network import functional, register_activation, register_loss
from anyarray_mlp.network.layout import Layout
from anyarray_mlp.network.losses import LOSSES
from anyarray_mlp.training import to_leaves
from anyarray_mlp.training.steps import dropout_keys
from tests.beds import require_library
from tests.problems import COVER, batch

XP = PlainNamespace(np)
K = 3
ALPHAS = (0.1, 0.0, 0.7)


def members(mlp: MLP, weighted: bool = True) -> list[dict[str, Any]]:
    """What each of K networks is asked with, on the host."""
    asked = []
    for seed in range(K):
        x, targets, weight = batch(mlp, 7, seed)
        if mlp.loss == "cross_entropy" and not weighted:
            targets = np.arange(7) % mlp.sizes[-1]
        keys = [dropout_keys(seed, layer, 0, 1)[0] for layer in mlp.dropout_layers]
        vector = mlp.initialize(seed)
        others = mlp.layout.split(vector)[mlp.layout.n_layers :]
        for other in others:
            other += np.linspace(-0.3, 0.4, other.size).reshape(other.shape)
        asked.append(
            {"vector": vector, "x": x, "targets": targets, "keys": keys}
            | ({"weight": weight} if weighted else {})
        )
    return asked


def answers(backend: Backend, mlp: MLP, asked: dict[str, Any], alpha: Any) -> tuple[Any, ...]:
    """Loss, gradient, outputs and losses on the host, of one network or of a stack."""

    def everything(xp: Any, leaves: Any, x: Any, targets: Any, *rest: Any) -> Any:
        keys = rest[: len(mlp.dropout_layers)] or None
        weight = rest[len(mlp.dropout_layers) :]
        loss, grad = mlp.loss_and_grad(
            xp, leaves, x, targets, *weight, alpha=alpha, dropout_keys=keys
        )
        return loss, grad, *mlp.outputs_and_losses(xp, leaves, x, targets)

    rest = [backend.asarray(key, "int32") for key in map(np.asarray, asked["keys"])]
    if "weight" in asked:
        rest.append(backend.asarray(asked["weight"]))
    loss, grad, outputs, losses = backend.jit(everything)(
        to_leaves(mlp, backend, asked["vector"]),
        backend.asarray(asked["x"]),
        backend.asarray(asked["targets"]),
        *rest,
    )
    vector = mlp.layout.to_vector(tuple(backend.to_host(leaf) for leaf in grad))
    return (*(np.asarray(backend.to_host(a)) for a in (loss, outputs, losses)), vector)


def stacked(asked: list[dict[str, Any]]) -> dict[str, Any]:
    """What all are asked with at once."""
    keys = [np.stack(each) for each in zip(*(one["keys"] for one in asked), strict=True)]
    arrays = {name: np.stack([one[name] for one in asked]) for name in asked[0] if name != "keys"}
    return arrays | {"keys": keys}


def assert_members_are_alone(
    backend: Backend, mlp: MLP, *, alpha: Any = 0.0, weighted: bool = True, exactly: Any = False
) -> None:
    """A stack on `backend` gives what each member gives alone on NumPy, to the bit in a reproducible mode."""
    asked = members(mlp, weighted)
    together = answers(backend, mlp, stacked(asked), alpha)
    numpy = select_backend(dtype=backend.dtype, reproducible=exactly)
    for place, one in enumerate(asked):
        own = alpha[place] if isinstance(alpha, tuple) else alpha
        alone = answers(numpy, mlp, one, own)
        for whole, part in zip(together, alone, strict=True):
            assert whole[place].dtype == part.dtype
            assert whole[place].shape == part.shape
            if exactly:
                assert whole[place].tobytes() == part.tobytes()
            else:
                np.testing.assert_allclose(whole[place], part, rtol=1e-10, atol=1e-13)


@pytest.mark.needs("values")
@pytest.mark.parametrize(
    ("mlp", "options"),
    [
        (MLP((3, 5, 4, 2), ("tanh", "relu"), dropout=(0.5, 0.2)), {"alpha": ALPHAS}),
        (MLP((3, 2), bias=False), {"weighted": False}),
    ],
    ids=["deep", "one layer"],
)
def test_members_are_alone_on_every_backend(backend, mlp, options):
    assert_members_are_alone(backend, mlp, **options)


@pytest.mark.on("numpy", "strict", "torch")
@pytest.mark.parametrize(("activation", "output", "loss"), COVER)
def test_every_activation_output_and_loss(backend, activation, output, loss):
    mlp = MLP((3, 5, 4, 3), activation, output, loss, dropout=(0.0, 0.3))
    assert_members_are_alone(backend, mlp, alpha=0.2)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_the_slope_of_the_sum_of_losses(weighted):
    mlp = MLP((3, 4, 3), "softplus", dropout=0.3)
    asked = stacked(members(mlp, weighted))
    xp, theta = XP, asked["vector"].reshape(-1)
    weight = (asked["weight"],) if weighted else ()

    def total(vector: Any) -> Any:
        return mlp.loss_and_grad(
            xp, (vector,), asked["x"], asked["targets"], *weight, alpha=ALPHAS, dropout_keys=asked["keys"]
        )  # fmt: skip

    _, (grad,) = total(theta.copy())
    for place in range(theta.size):
        sides = []
        for h in (1e-4, -1e-4, 2e-4, -2e-4):
            moved = theta.copy()
            moved[place] += h
            sides.append(math.fsum(total(moved)[0]))
        slope = (8 * (sides[0] - sides[1]) - (sides[2] - sides[3])) / 1.2e-3
        assert grad[place] == pytest.approx(slope, rel=1e-7, abs=1e-9)


@pytest.mark.usefixtures("x64_as_before")
@pytest.mark.parametrize(
    ("name", "dtype", "mode"),
    [
        ("numpy", "float32", True),
        ("numpy", "float32", "fast"),
        ("numpy", "float64", True),
        ("array_api_strict", "float32", True),
        ("torch", "float32", True),
        ("torch", "float64", True),
    ],
)
def test_members_have_the_bits_that_they_have_alone(name, dtype, mode):
    require_library(name)
    backend = select_backend(name, dtype=dtype, reproducible=mode)
    for mlp in (
        MLP((3, 6, 4, 2), ("relu", "silu"), dropout=(0.4, 0.0)),
        MLP((3, 5, 2), "tanh", "identity", "huber"),
    ):
        for alpha, weighted in ((0.3, False), (ALPHAS, False), (ALPHAS, True)):
            assert_members_are_alone(backend, mlp, alpha=alpha, weighted=weighted, exactly=mode)


def test_reproducible_bits_do_not_depend_on_the_blocks_that_members_are_worked_in():
    """64-300-10 at batch 200: what one network computes in blocks of rows, a stack computes in members."""
    backend = select_backend("numpy", reproducible=True)
    mlp = MLP((64, 300, 10))
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((K, 200, 64)), rng.integers(0, 10, (K, 200))
    vectors = np.stack([mlp.initialize(seed) for seed in range(K)])

    def gradient(place: Any) -> Any:
        leaves = to_leaves(mlp, backend, vectors[place])
        batch = backend.asarray(x[place]), backend.asarray(labels[place])
        _, (grad,) = mlp.loss_and_grad(backend.xp, leaves, *batch)
        return backend.to_host(grad)

    alone = [gradient(place) for place in range(K)]
    np.testing.assert_array_equal(gradient(slice(None)), np.concatenate(alone))


@pytest.mark.needs("values")
def test_the_same_rows_for_all_have_an_axis_of_one(backend):
    mlp = MLP((3, 4, 2), "gelu", "identity", "quantile:0.3")
    vectors = np.stack([mlp.initialize(seed) for seed in range(K)])
    x, targets, _ = batch(mlp)
    leaves = to_leaves(mlp, backend, vectors)
    together = backend.jit(mlp.outputs_and_losses)(
        leaves, backend.asarray(x[None]), backend.asarray(targets[None])
    )
    outputs, losses = (np.asarray(backend.to_host(a)) for a in together)
    for place in range(K):
        alone = mlp.outputs_and_losses(XP, (vectors[place],), x, targets)
        np.testing.assert_allclose(outputs[place], alone[0], rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(losses[place], alone[1], rtol=1e-11, atol=1e-14)


def test_functions_of_ones_own_are_given_rows():
    shapes = []

    def steep(xp: Any, z: Any) -> Any:
        shapes.append(z.shape)
        return z * 2.0, lambda da: da * 2.0

    def cubed(xp: Any, y: Any, t: Any) -> Any:
        d = xp.abs(y - t)
        return xp.sum(d * d * d, axis=1), lambda g: xp.sign(y - t) * d * d * 3.0 * g

    kept = dict(functional.ACTIVATIONS), dict(LOSSES)
    try:
        names = register_activation("steep_of_rows", steep), register_loss("cubed_of_rows", cubed)
        mlp = MLP((3, 4, 2), names[0], "identity", names[1])
        for weighted in (False, True):
            assert_members_are_alone(
                select_backend(dtype="float64"), mlp, alpha=ALPHAS, weighted=weighted
            )
        x, t, _ = batch(mlp)
        leaves = to_leaves(mlp, select_backend(dtype="float64"), np.stack([mlp.initialize(0)] * 2))
        losses = mlp.losses(XP, leaves, x[None], t[None])
        np.testing.assert_array_equal(losses[0], losses[1])
    finally:
        for table, before in zip((functional.ACTIVATIONS, LOSSES), kept, strict=True):
            table.clear()
            table.update(before)
    assert {len(shape) for shape in shapes} == {2}


# --- leaves, and what goes over them -------------------------------------------------------------------


@pytest.mark.parametrize("flat", [True, False])
def test_leaves_of_a_stack_hold_one_members_parameters_after_the_other(flat):
    layout = Layout((2, 3, 2))
    matrix = np.arange(2.0 * layout.size).reshape(2, layout.size)
    leaves = layout.to_leaves(matrix, flat)
    assert layout.stack_of(leaves) == (2,)
    assert leaves[0].shape == ((34,) if flat else (2, 2, 3))
    weights, biases = layout.unpack(XP, leaves)
    assert [w.shape for w in weights] == [(2, 2, 3), (2, 3, 2)]
    assert [b.shape for b in biases] == [(2, 3), (2, 2)]
    for place in range(2):
        for whole, part in zip((*weights, *biases), layout.split(matrix[place]), strict=True):
            np.testing.assert_array_equal(whole[place], part)
    np.testing.assert_array_equal(layout.to_vector(leaves), matrix)
    again = layout.pack(XP, weights, biases, flat)
    np.testing.assert_array_equal(layout.to_vector(again), matrix)
    one = layout.to_leaves(matrix[0], flat)
    assert layout.stack_of(one) == ()
