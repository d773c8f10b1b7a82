"""Layers that a plain network does not have: values by hand, gradients, and all that the package promises of any."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, TrainedModel, adam, fit, fit_many, gradcheck, select_backend
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.network import Periodic, Scale, before, frozen, to_pytorch_state
from anyarray_mlp.network.functional import ACTIVATIONS, mish
from anyarray_mlp.network.layers import Dense, Dropout, Parametric, Parts, joined, summed
from anyarray_mlp.network.members import (
    Factors,
    Heads,
    Members,
)
from anyarray_mlp.network.row import row_of
from anyarray_mlp.parity.cases import FULL, LAYERED
from anyarray_mlp.training import to_leaves
from tests.problems import batch
from tests.test_backends_replay import assert_replays_alike
from tests.test_network_stack import assert_members_are_alone

XP = PlainNamespace(np)
every_network = pytest.mark.parametrize("name", LAYERED)
full_networks = pytest.mark.parametrize("name", FULL)


def asked(mlp: MLP, rows: int = 6) -> tuple[Any, ...]:
    """Parameters away from their start, inputs, targets, weights and dropout keys."""
    theta = mlp.initialize(1)
    rng = np.random.default_rng(3)
    theta += rng.uniform(-0.3, 0.3, theta.shape)
    keys = [np.int32(11 * layer + 3) for layer in mlp.dropout_layers]
    return (theta, *batch(mlp, rows), keys)


# --- values --------------------------------------------------------------------------------------------


def test_scales_multiply_inputs_and_activations_bend_by_hand() -> None:
    mlp = MLP((2, 2, 1), "mish", "identity", before=[Scale()], parametric=True)
    assert mlp.layout.names == (
        "weights.0", "weights.1", "biases.0", "biases.1", "scales.0", "alphas.0",
    )  # fmt: skip
    assert mlp.layout.shapes == ((2, 2), (2, 1), (2,), (1,), (2,), (2,))
    w1, w2 = np.array([[1.0, -2.0], [0.5, 3.0]]), np.array([[2.0], [-1.0]])
    b1, b2, s, alpha = np.array([0.1, 0.2]), np.array([0.3]), np.array([2.0, -1.0]), [0.25, 1.5]
    theta = np.concatenate([w1.ravel(), w2.ravel(), b1, b2, s, alpha])
    x = np.array([[0.5, -1.0], [2.0, 0.0], [-0.25, 1.5]])
    z = (x * s) @ w1 + b1
    a = z + np.array(alpha) * (z * np.tanh(np.log1p(np.exp(z))) - z)
    ((first, after), (last, same)) = mlp.layers(XP, (theta,), x)
    np.testing.assert_allclose(first, z, rtol=1e-14)
    np.testing.assert_allclose(after, a, rtol=1e-13)
    np.testing.assert_allclose(last, a @ w2 + b2, rtol=1e-13)
    np.testing.assert_array_equal(last, same)


def test_waves_embed_numbers_by_hand() -> None:
    layer = Periodic([2, 0], frequencies=2, values=1)
    assert layer.units(3) == 5
    w, b = np.array([[0.5, -1.0], [2.0, 0.1]]), np.array([[0.3, 0.0], [-1.0, 2.0]])
    v, o = np.array([[[1.0], [2.0]], [[-1.0], [0.5]]]), np.array([[0.25], [-3.0]])
    x = np.array([[0.1, 9.0, -0.7], [1.5, 8.0, 0.0]])
    value, _ = layer.apply(XP, [w, b, v, o], x, None, 0)
    for row, (first, second, third) in enumerate(x.tolist()):
        mixed = [
            np.cos(np.pi * third + 0.3) + 2 * np.cos(-2 * np.pi * third) + 0.25,
            -np.cos(4 * np.pi * first - 1) + 0.5 * np.cos(0.2 * np.pi * first + 2) - 3,
        ]
        np.testing.assert_allclose(value[row], [*mixed, first, second, third], rtol=1e-13)


def test_waves_start_as_they_are_said_to() -> None:
    mlp = MLP((20, 3), before=[Periodic(frequencies=50, values=4, sigma=0.2)])
    parts = dict(zip(mlp.layout.names, mlp.layout.split(mlp.initialize(0)), strict=True))
    assert mlp.layout.shapes[0] == (20 * 4 + 20, 3)
    assert parts["frequencies.0"].std() == pytest.approx(0.2, rel=0.05)
    assert abs(parts["frequencies.0"].mean()) < 0.02
    for name, bound in (("phases.0", np.pi), ("mixing.0", 50**-0.5), ("offsets.0", 50**-0.5)):
        size = np.abs(parts[name])
        assert size.max() < bound
        assert size.mean() == pytest.approx(bound / 2, rel=0.1)
        assert abs(parts[name].mean()) < bound / 5


@pytest.mark.parametrize("output", ["softmax", "identity"])
def test_members_are_networks_whose_weights_are_scaled(output: str) -> None:
    mlp = MLP((4, 6, 5, 3), "tanh", output, members=3)
    assert dict(zip(mlp.layout.names, mlp.layout.shapes, strict=True)) == {
        "weights.0": (4, 6), "weights.1": (6, 5), "weights.2": (3, 5, 3),
        "biases.0": (3, 6), "biases.1": (3, 5), "biases.2": (3, 3),
        "factors_in.0": (3, 4), "factors_in.1": (3, 6), "factors_out.0": (3, 6), "factors_out.1": (3, 5),
    }  # fmt: skip
    theta, x, t, _, _ = asked(mlp)
    part = dict(zip(mlp.layout.names, mlp.layout.split(theta), strict=True))
    plain, found = MLP((4, 6, 5, 3), "tanh", output), []
    for m in range(3):
        weights = [
            part[f"factors_in.{n}"][m][:, None] * part[f"weights.{n}"] * part[f"factors_out.{n}"][m]
            for n in range(2)
        ]
        arrays = [*weights, part["weights.2"][m], *(part[f"biases.{n}"][m] for n in range(3))]
        leaves = (np.concatenate([a.ravel() for a in arrays]),)
        found.append(plain.outputs_and_losses(XP, leaves, x, t))
    outputs, losses = (np.mean(each, axis=0) for each in zip(*found, strict=True))
    np.testing.assert_allclose(mlp.predict(XP, (theta,), x), outputs, rtol=1e-12)
    np.testing.assert_allclose(mlp.losses(XP, (theta,), x, t), losses, rtol=1e-12)
    both = mlp.outputs_and_losses(XP, (theta,), x, t)
    np.testing.assert_array_equal(both[0], mlp.predict(XP, (theta,), x))
    np.testing.assert_array_equal(both[1], mlp.losses(XP, (theta,), x, t))


def test_parts_are_joined_and_summed_along_the_rows() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(3.0).reshape(1, 3)
    assert joined(XP, [a]) is a
    np.testing.assert_array_equal(joined(XP, [a, b]), np.vstack([a, b]))
    np.testing.assert_array_equal(joined(XP, [a.T, b.T], -1), np.hstack([a.T, b.T]))
    stack = np.stack([a, 10 * a])
    np.testing.assert_array_equal(
        summed(XP, [stack, stack[:, :1]]), stack.sum(axis=1) + stack[:, 0]
    )


def test_a_dense_layer_gives_the_gradient_of_its_inputs_only_if_asked() -> None:
    layer, x = Dense(2), np.ones((4, 3))
    values = np.full((3, 2), 0.5), np.zeros(2)
    y, residual = layer.apply(XP, values, x, None, 0)
    dx, gradients = layer.pull(XP, residual, np.ones_like(y), True)
    np.testing.assert_array_equal(dx, np.ones((4, 3)))
    without, again = layer.pull(XP, residual, np.ones_like(y), False)
    assert without is None
    for one, other in zip(gradients, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert Dropout(0.5).members == 1


def test_factors_of_a_stack_are_summed_over_the_rows_of_all_parts() -> None:
    rng = np.random.default_rng(0)
    dys = [
        rng.standard_normal((2, rows * 3, 4)) for rows in (5, 2)
    ]  # two networks of three members
    inputs = [rng.standard_normal((2, rows, 4)) for rows in (5, 2)]
    parts = [
        (Members(3).apply(XP, [np.ones((2, 3, 4))], x, None, 0)[1], dy)
        for x, dy in zip(inputs, dys, strict=True)
    ]
    (found,) = Members(3).gradients(XP, Parts(parts))
    by_member = [dy.reshape(2, -1, 3, 4) for dy in dys]
    expected = [np.einsum("snmi,sni->smi", dy, x) for dy, x in zip(by_member, inputs, strict=True)]
    np.testing.assert_allclose(found, sum(expected), rtol=1e-12)

    layer = Factors("factors_out", 3, bias=True)
    values = [np.ones((2, 3, 4)), np.zeros((2, 3, 4))]
    rows = [rng.standard_normal(dy.shape) for dy in dys]
    parts = [(layer.apply(XP, values, x, None, 0)[1], dy) for x, dy in zip(rows, dys, strict=True)]
    factors, biases = layer.gradients(XP, Parts(parts))
    products = [(x * dy).reshape(2, -1, 3, 4).sum(axis=1) for x, dy in zip(rows, dys, strict=True)]
    np.testing.assert_allclose(factors, sum(products), rtol=1e-12)
    np.testing.assert_allclose(biases, sum(dy.sum(axis=1) for dy in by_member), rtol=1e-12)


def test_factors_start_as_ones_and_their_biases_as_zeros() -> None:
    random = np.random.default_rng(0)
    (ones,) = Factors("factors_in", 2).initial(random, 3)
    np.testing.assert_array_equal(ones, np.ones((2, 3)))
    ones, zeros = Factors("factors_in", 2, bias=True).initial(random, 3)
    np.testing.assert_array_equal(zeros, np.zeros((2, 3)))
    assert Heads(3).members == 1


def test_heads_give_the_gradient_of_their_inputs_only_if_asked() -> None:
    layer = Heads(2, members=3)
    values, x = (np.full((3, 4, 2), 0.5), np.zeros((3, 2))), np.ones((6, 4))
    y, residual = layer.apply(XP, values, x, None, 0)
    dx, _ = layer.pull(XP, residual, np.ones_like(y), True)
    np.testing.assert_array_equal(dx, np.ones((6, 4)))
    assert layer.pull(XP, residual, np.ones_like(y), False)[0] is None


def test_members_start_apart() -> None:
    mlp = MLP((50, 6, 5, 3), "tanh", members=4)
    part = dict(zip(mlp.layout.names, mlp.layout.split(mlp.initialize(2)), strict=True))
    signs = part["factors_in.0"]
    assert set(signs.ravel()) == {1.0, -1.0}
    assert abs(signs.mean()) < 0.25
    for name in ("factors_in.1", "factors_out.0", "factors_out.1"):
        assert np.all(part[name] == 1.0)
    assert not any(np.any(part[f"biases.{n}"]) for n in range(3))
    heads = part["weights.2"]
    assert len({head.tobytes() for head in heads}) == 4
    np.testing.assert_array_equal(part["weights.0"], MLP((50, 6, 5, 3), "tanh").layout.split(
        MLP((50, 6, 5, 3), "tanh").initialize(2))[0])  # fmt: skip
    assert MLP((4, 3), members=2).layout.names == ("weights.0", "biases.0", "factors_in.0")


def test_each_member_drops_units_of_its_own() -> None:
    mlp = MLP((4, 50, 3), "tanh", members=3, dropout=0.5)
    dropped = next(p.layer for p in mlp.row.placed if type(p.layer).__name__ == "Dropout")
    value, _ = dropped.apply(XP, [], np.ones((6, 50)), np.int32(5), 0)
    later, _ = dropped.apply(XP, [], np.ones((3, 50)), np.int32(5), 1)
    assert np.any(value[0] != value[1])
    np.testing.assert_array_equal(later, value[3:])  # of the second sample


def test_layers_start_from_what_a_plain_network_does() -> None:
    plain = MLP((4, 6, 3), "selu")
    mlp = MLP((4, 6, 3), "selu", before=[Scale()], parametric=True)
    x, t, _ = batch(plain)
    theta = mlp.initialize(5)
    np.testing.assert_array_equal(theta[: plain.layout.size], plain.initialize(5))
    assert set(theta[plain.layout.size :]) == {1.0}
    np.testing.assert_allclose(
        mlp.losses(XP, (theta,), x, t), plain.losses(XP, (plain.initialize(5),), x, t), rtol=1e-14
    )


def test_a_plain_network_is_a_row_of_dense_layers_and_functions() -> None:
    mlp = MLP((4, 6, 5, 3), ("relu", "tanh"), dropout=(0.0, 0.5))
    kinds = [type(placed.layer).__name__ for placed in mlp.row.placed]
    assert kinds == ["Dense", "Function", "Dense", "Function", "Dropout", "Dense"]
    assert [placed.inputs for placed in mlp.row.placed] == [4, 6, 6, 5, 5, 5]
    assert [placed.own for placed in mlp.row.placed] == [(0, 3), (), (1, 4), (), (), (2, 5)]
    assert mlp.is_plain
    assert mlp.layout.parameters == ()
    named = tuple((p.name, p.shape) for p in mlp.row.parameters)
    assert named == tuple(zip(mlp.layout.names, mlp.layout.shapes, strict=True))
    assert [len(group) for block in MLP((4, 3)).row.blocks for group in block] == [1, 0]


def test_parameters_lie_kind_by_kind() -> None:
    row = row_of(3, [([Scale(), Dense(4, bias=False)], [Parametric("tanh")]), ([Dense(2)], [])])
    assert [p.name for p in row.parameters] == [
        "weights.0", "weights.1", "biases.1", "scales.0", "alphas.0",
    ]  # fmt: skip
    assert [placed.own for placed in row.placed] == [(3,), (0,), (4,), (1, 2)]


# --- gradients -----------------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("dropped", [True, False])
def test_gradients_agree_with_finite_differences(name: str, dropped: bool) -> None:
    mlp = LAYERED[name]
    theta, x, t, w, keys = asked(mlp)
    options: dict[str, Any] = {"sample_weight": w, "alpha": 0.1}
    if dropped and keys:
        options["dropout_keys"] = keys
    result = gradcheck(mlp, x, t, xp=XP, parameters=theta, **options)
    assert result.ok, result
    assert {check.name for check in result.parameters} == set(mlp.layout.names)
    drawn = gradcheck(mlp, x, t, xp=XP, per_parameter=3)
    assert drawn.ok, drawn


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_can_be_parametric(activation: str) -> None:
    mlp = MLP((4, 5, 4, 3), activation, parametric=True)
    theta, x, t, w, _ = asked(mlp)
    assert gradcheck(mlp, x, t, xp=XP, parameters=theta, sample_weight=w).ok


@every_network
def test_inputs_and_samples_have_their_gradients(name: str) -> None:
    mlp = LAYERED[name]
    theta, x, t, _, _ = asked(mlp)
    leaves = (theta,)
    by_sample = mlp.gradients_by_sample(XP, leaves, x, t)
    inputs = mlp.input_gradient(XP, leaves, x, t)
    outputs = mlp.output_gradient(XP, leaves, x, 0)
    for row in range(6):
        one = slice(row, row + 1)
        _, (alone,) = mlp.loss_and_grad(XP, leaves, x[one], t[one])
        np.testing.assert_allclose(by_sample[row], alone, rtol=1e-11, atol=1e-14)
    for column in range(mlp.sizes[0]):
        up, down = x.copy(), x.copy()
        up[:, column] += 1e-6
        down[:, column] -= 1e-6
        slope = (mlp.losses(XP, leaves, up, t) - mlp.losses(XP, leaves, down, t)) / 2e-6
        np.testing.assert_allclose(inputs[:, column], slope, rtol=1e-6, atol=1e-8)
        slope = (mlp.predict(XP, leaves, up) - mlp.predict(XP, leaves, down)) / 2e-6
        np.testing.assert_allclose(outputs[:, column], slope[:, 0], rtol=1e-6, atol=1e-8)


@every_network
@pytest.mark.parametrize("reproducible", [False, True])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(name: str, reproducible: bool) -> None:
    mlp = LAYERED[name]
    backend = select_backend("numpy", dtype="float32", reproducible=reproducible)
    theta, x, t, w, keys = asked(mlp, 12)
    leaves = to_leaves(mlp, backend, theta)
    x, t, w = (backend.asarray(a) for a in (x, t, w))
    options: Any = {
        "alpha": 0.1,
        "dropout_keys": [backend.asarray(np.asarray(key), "int32") for key in keys] or None,
    }
    loss, (grad,) = mlp.loss_and_grad(backend.xp, leaves, x, t, w, **options)
    parts = [(x[a:b, ...], t[a:b, ...], w[a:b]) for a, b in pairwise((0, 1, 5, 12))]
    same, (again,) = mlp.loss_and_grad_in_parts(backend.xp, leaves, parts, **options)
    whole, cut = (
        np.append(backend.to_host(g), backend.to_host(v)) for g, v in ((grad, loss), (again, same))
    )
    if reproducible:
        assert whole.tobytes() == cut.tobytes()
    else:
        np.testing.assert_allclose(cut, whole, rtol=1e-4, atol=1e-6)


# --- stacks, every backend, reproducible bits, replay --------------------------------------------------


@pytest.mark.on("numpy", "strict", "torch", "jax")
@full_networks
def test_members_of_a_stack_are_alone_on_every_backend(backend: Any, name: str) -> None:
    assert_members_are_alone(backend, LAYERED[name], alpha=(0.1, 0.0, 0.7))


@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
def test_members_have_the_bits_that_they_have_alone(library: str) -> None:
    pytest.importorskip(library)
    backend = select_backend(library, dtype="float32", reproducible=True)
    for mlp in map(LAYERED.get, FULL):
        assert_members_are_alone(backend, mlp, alpha=0.3, exactly=True)


@every_network
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_steps_are_replayed(name: str, library: str) -> None:
    mlp = LAYERED[name]
    assert_replays_alike(mlp, name=library, dtype="float64", weighted=True, alpha=0.1)
    if name in FULL:
        assert_replays_alike(mlp, name=library, dtype="float64", members=3)


# --- training, files, descriptions ---------------------------------------------------------------------


@every_network
def test_a_network_is_trained_saved_and_loaded(name: str, tmp_path: Any) -> None:
    mlp = LAYERED[name]
    _, x, t, _, _ = asked(mlp, 40)
    t = t.argmax(axis=1) if mlp.output == "softmax" else t
    before = mlp.losses(XP, (mlp.initialize(0),), x, t).mean()
    result = fit(mlp, x, t, epochs=20, batch_size=8, learning_rate_init=0.01, seed=0)
    assert mlp.losses(XP, (result.parameters,), x, t).mean() < before
    moved = [np.any(part != start) for part, start in zip(
        mlp.layout.split(result.parameters), mlp.layout.split(mlp.initialize(0)), strict=True)]  # fmt: skip
    assert all(moved)
    path = tmp_path / "model"
    result.save(path)
    model = TrainedModel.load(path)
    assert model.mlp == mlp
    np.testing.assert_array_equal(model.parameters, result.parameters)
    many = fit_many(mlp, x, t, epochs=2, batch_size=8, seeds=[0, 1])
    alone = fit(mlp, x, t, epochs=2, batch_size=8, seed=1)
    np.testing.assert_allclose(many[1].parameters, alone.parameters, rtol=1e-4, atol=1e-5)


@every_network
def test_a_description_survives_json_and_repr(name: str) -> None:
    mlp = LAYERED[name]
    assert MLP.from_config(json.loads(json.dumps(mlp.to_config()))) == mlp
    assert eval(repr(mlp), {"MLP": MLP, **vars(before)}) == mlp
    assert not mlp.is_plain
    assert hash(mlp) == hash(MLP.from_config(mlp.to_config()))


def test_a_plain_network_is_described_as_ever() -> None:
    mlp = MLP((4, 5, 3))
    assert list(mlp.to_config()) == ["sizes", "activation", "output", "loss", "dropout", "bias"]
    assert repr(mlp) == (
        "MLP(sizes=(4, 5, 3), activation=('relu',), output='softmax', loss='cross_entropy', "
        "dropout=(0.0,), bias=True)"
    )


def test_frozen_layers_keep_what_belongs_to_them() -> None:
    mlp = MLP((4, 5, 4, 3), "tanh", before=[Scale()], parametric=True)
    theta, x, t, _, _ = asked(mlp, 20)
    result = fit(mlp, x, t, epochs=2, initial=theta, optimizer=frozen(adam(), mlp, [0]))
    for name, old, new in zip(
        mlp.layout.names, mlp.layout.split(theta), mlp.layout.split(result.parameters), strict=True
    ):
        stays = np.array_equal(old.astype("float32"), new.astype("float32"))
        assert stays == name.endswith(".0"), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"before": Scale()}, "^before must be a list of layers that inputs go through first, of Scale, Periodic"),
        ({"before": ["scale"]}, r"^before must be a list of layers .* got \['scale'\]"),
        ({"before": [Dense(3)]}, r"^before must be a list of layers .* got \[Dense"),
        ({"before": [Scale(), Scale()]}, "^before may hold each kind of layer once, got"),
        ({"before": [Periodic([0, 4])]}, r"^columns must be places from 0 to 3 of 4 inputs, got \(0, 4\)"),
        ({"members": 0}, "^members must be"),
        ({"members": 2.5}, "^members must be"),
        ({"parametric": 1}, "^parametric must be True or False, got 1"),
    ],
)  # fmt: skip
def test_impossible_layers_are_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MLP((4, 5, 3), **options)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"before": "Scale"}, "config.before is 'Scale' and must be a list"),
        ({"before": ["Scale"]}, r"config.before\[0\] is 'Scale' and must be a table"),
        ({"before": [{}]}, r"config.before\[0\].kind is missing and must be one of Scale, Periodic"),
        ({"before": [{"kind": "Dense"}]}, r"config.before\[0\].kind is 'Dense' and must be one of Scale, Periodic"),
        ({"before": [{"kind": "Scale"}] * 2}, "config is impossible: before may hold each kind of layer once"),
        ({"before": [{"kind": "Periodic"}]}, r"config.before\[0\].columns is missing and must be"),
        (
            {"before": [{"kind": "Periodic", "columns": [4], "frequencies": 2, "values": 1, "sigma": 0.5}]},
            "config is impossible: columns must be places from 0 to 3",
        ),
        (
            {"before": [{"kind": "Periodic", "columns": None, "frequencies": 0, "values": 1, "sigma": 0.5}]},
            r"config.before\[0\].frequencies is 0 and must be an integer from 1",
        ),
        ({"members": 0}, "config.members is 0 and must be an integer from 1"),
        ({"parametric": 1}, "config.parametric is 1 and must be true or false"),
    ],
)  # fmt: skip
def test_files_of_impossible_layers_are_refused(config: Any, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        MLP.from_config({**MLP((4, 5, 3)).to_config(), **config})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 3}, "^columns must be None, or a list of different places of inputs"),
        ({"columns": []}, "^columns must be None, or a list"),
        ({"columns": [0, 0]}, "^columns must be None, or a list"),
        ({"columns": [-1]}, "^columns must be None, or a list"),
        ({"columns": [True]}, "^columns must be None, or a list"),
        ({"frequencies": 0}, "^frequencies must be"),
        ({"values": 0}, "^values must be"),
        ({"sigma": 0.0}, "^sigma must be"),
    ],
)
def test_impossible_waves_are_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Periodic(**options)


def test_other_libraries_lack_such_layers() -> None:
    mlp = LAYERED["scaled inputs"]
    with pytest.raises(
        UsageError, match="layers that other libraries lack, and only weights travel"
    ):
        to_pytorch_state(mlp, mlp.initialize(0))


# --- wrong gradients are caught ------------------------------------------------------------------------


def at_place(place: int, f: Any) -> Any:
    """Gradients of which one is changed."""

    def wrong(right: Any) -> Any:
        return lambda *a: tuple(f(g) if at == place else g for at, g in enumerate(right(*a)))

    return wrong


#: Mistakes in a layer: (kind, method, right -> wrong).
MISTAKES: dict[str, Any] = {
    "scales: the inputs' sign": (Scale, "input_gradient", lambda right: lambda *a: -right(*a)),
    "scales: not brought through": (Scale, "input_gradient", lambda _: lambda self, xp, r, dy: dy),
    "scales: sign": (Scale, "gradients", lambda right: lambda *a: (-right(*a)[0],)),
    "scales: of the scaled input": (
        Scale, "gradients",
        lambda _: lambda self, xp, parts: (sum((dy * x * s).sum(axis=0) for (x, s), dy in parts),),
    ),
    "scales: the mean": (
        Scale, "gradients", lambda right: lambda s, xp, parts: (right(s, xp, parts)[0] / len(parts[0][1]),),
    ),
    "waves: frequencies without 2 pi": (
        Periodic, "gradients", lambda right: lambda *a: (right(*a)[0] / (2 * np.pi), *right(*a)[1:]),
    ),
    "waves: phases' sign": (Periodic, "gradients", at_place(1, lambda g: -g)),
    "waves: mixing of one number for all": (Periodic, "gradients", at_place(2, lambda g: g * 0 + g[:1])),
    "waves: offsets averaged": (Periodic, "gradients", at_place(3, lambda g: g / 6)),
    "waves: cos for -sin": (
        Periodic, "back",
        lambda right: lambda self, xp, r, dy: (right(self, xp, r, dy)[0],
                                               right(self, xp, r, dy)[0] @ r[5].swapaxes(-1, -2) * np.cos(r[3])),
    ),
    "waves: numbers in the wrong order": (
        Periodic, "back", lambda right: lambda self, xp, r, dy: right(self, xp, r, dy[:, ::-1]),
    ),
    "members: entering factors of the first sample": (
        Members, "gradients",
        lambda right: lambda self, xp, parts: right(
            self, xp, Parts([((parts[0][0][0][:1], None), parts[0][1])])
        ),
    ),
    "members: entering factors' sign": (Members, "gradients", at_place(0, lambda g: -g)),
    "members: biases of one for all": (Factors, "gradients", at_place(1, lambda g: g * 0 + g.sum(axis=0))),
    "members: factors of one for all": (Factors, "gradients", at_place(0, lambda g: g * 0 + g.sum(axis=0))),
    "members: factors not brought through": (Factors, "input_gradient", lambda _: lambda self, xp, r, dy: dy),
    "members: heads in the wrong order": (
        Heads, "by_member",
        lambda right: lambda self, xp, x: right(self, xp, x)[:: -1 if x.shape[-1] == 3 else 1],
    ),
    "alphas: sign": (Parametric, "gradients", lambda right: lambda *a: (-right(*a)[0],)),
    "alphas: of the activation alone": (
        Parametric, "gradients",
        lambda _: lambda self, xp, parts: (sum((dy * (b + 1.0)).sum(axis=0) for (_, b, _), dy in parts),),
    ),
    "alphas: the straight part left out": (
        Parametric, "input_gradient", lambda _: lambda self, xp, r, dy: r[0](dy * r[2]),
    ),
    "alphas: always one": (Parametric, "input_gradient", lambda _: lambda self, xp, r, dy: r[0](dy)),
    "alphas: the straight part whole": (
        Parametric, "input_gradient", lambda _: lambda self, xp, r, dy: r[0](dy * r[2]) + dy,
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_layer_is_caught(mistake: str, monkeypatch: Any) -> None:
    kind, method, wrong = MISTAKES[mistake]
    before = [Periodic([2, 0, 3], 5, 2, 0.5)] if kind is Periodic else [Scale()]
    members = 3 if kind in (Members, Factors, Heads) else 1
    mlp = MLP((4, 5, 4, 3), "tanh", parametric=True, before=before, members=members)
    if kind is Scale and method == "input_gradient":  # which no parameter lies below
        monkeypatch.setattr(kind, method, wrong(getattr(kind, method)))
        theta, x, t, _, _ = asked(mlp)
        up, down = x.copy(), x.copy()
        up[:, 0] += 1e-6
        down[:, 0] -= 1e-6
        slope = (mlp.losses(XP, (theta,), up, t) - mlp.losses(XP, (theta,), down, t)) / 2e-6
        assert not np.allclose(mlp.input_gradient(XP, (theta,), x, t)[:, 0], slope, rtol=1e-5)
        return
    theta, x, t, w, _ = asked(mlp)
    assert gradcheck(mlp, x, t, xp=XP, parameters=theta, sample_weight=w).ok
    monkeypatch.setattr(kind, method, wrong(getattr(kind, method)))
    assert not gradcheck(mlp, x, t, xp=XP, parameters=theta, sample_weight=w).ok


def test_what_a_layer_was_given_is_not_written_to() -> None:
    z, alpha, da = np.array([[-1.0, 0.5]]), np.array([0.5, 2.0]), np.array([[1.0, -2.0]])
    layer = Parametric("mish")
    value, residual = layer.apply(XP, [alpha], z, None, 0)
    inner, vjp = mish(XP, z.copy())
    kept = da.copy()
    dz, (dalpha,) = layer.pull(XP, residual, da, True)
    np.testing.assert_allclose(value, z + alpha * (inner - z), rtol=1e-15)
    np.testing.assert_allclose(dz, kept * (1 - alpha) + vjp(kept * alpha), rtol=1e-14)
    np.testing.assert_allclose(dalpha, (kept * (inner - z))[0], rtol=1e-14)
    np.testing.assert_array_equal(da, kept)
    assert layer.pull(XP, residual, da, False)[0] is None
