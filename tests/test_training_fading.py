"""Dropout and weight decay that fade in the second half of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, Recipe, fit, fit_many, select_backend, train
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.dropping import WHOLE, dropout, dropout_mask
from anyarray_mlp.training.steps import Walk, dropout_keys

X = np.random.default_rng(0).standard_normal((60, 4))
Y = X[:, :1] * 2.0 - X[:, 1:2]
MLP_OF_TWO = MLP((4, 16, 8, 1), "tanh", "identity", dropout=(0.5, 0.25))
OPTIONS: dict[str, Any] = {"epochs": 6, "batch_size": 10, "seed": 3}


def test_keys_carry_the_rate_of_their_step() -> None:
    keys = Walk(4, [0.1] * 5, 7, 8).keys(1, 0.3)
    np.testing.assert_array_equal(keys[:, 0], dropout_keys(7, 1, 4, 5))
    expected = [
        0.3,
        0.3 * (1 + np.cos(np.pi / 4)) / 2,
        0.15,
        0.3 * (1 - np.cos(np.pi / 4)) / 2,
        0.0,
    ]
    np.testing.assert_allclose(keys[:, 1] / WHOLE, expected, atol=2.0**-24)
    np.testing.assert_array_equal(Walk(4, [0.1] * 5, 7).keys(1, 0.3), dropout_keys(7, 1, 4, 5))


@pytest.mark.needs("values")
@pytest.mark.parametrize("stack", [(), (3,)])
def test_a_rate_beside_the_key_is_that_of_a_number(backend: Any, stack: tuple[int, ...]) -> None:
    a = np.random.default_rng(1).standard_normal((*stack, 20, 5))
    rates = np.array([0.25, 0.5, 0.0]) if stack else np.array(0.25)
    keys = np.array([5, -7, 9], np.int32) if stack else np.array(5, np.int32)
    pairs = np.stack([keys, (rates * WHOLE).astype(np.int32)], axis=-1)

    def both(xp: Any, a: Any, pairs: Any) -> Any:
        value, vjp = dropout(xp, a, 0.9, pairs)
        return value, vjp(a * 1.0)

    found = backend.jit(both)(backend.asarray(a), backend.asarray(pairs, "int32"))
    value, gradient = (np.asarray(backend.to_host(each)) for each in found)
    for place in np.ndindex(*stack):
        rate = float(rates[place])
        with np.errstate(over="ignore"):
            keep = dropout_mask(select_backend(dtype="float64").xp, (20, 5), rate, keys[place])
        expected = np.where(keep, a[place] / (1 - rate), 0.0)
        np.testing.assert_allclose(value[place], expected, rtol=1e-15)
        np.testing.assert_allclose(gradient[place], expected, rtol=1e-15)


def test_dropout_that_fades_begins_as_it_would_and_ends_with_none() -> None:
    plain = MLP((4, 16, 8, 1), "tanh", "identity")
    faded_losses, full, none = (
        np.concatenate([epoch.step_losses for epoch in train(mlp, X, Y, **OPTIONS, **more)])
        for mlp, more in ((MLP_OF_TWO, {"dropout_fades": True}), (MLP_OF_TWO, {}), (plain, {}))
    )
    np.testing.assert_allclose(faded_losses[:19], full[:19], rtol=1e-5)  # 36 steps
    assert np.all(faded_losses[20:] != full[20:])
    assert np.all(faded_losses != none)
    last = fit(MLP_OF_TWO, X, Y, **OPTIONS, dropout_fades=True)
    assert last.loss_curve[-1] < fit(MLP_OF_TWO, X, Y, **OPTIONS).loss_curve[-1]


def test_bits_are_the_same_on_another_library_and_in_a_stack() -> None:
    library = "torch"
    pytest.importorskip(library)
    options = {**OPTIONS, "epochs": 2, "dropout_fades": True}
    numpy, other = (select_backend(name, reproducible=True) for name in ("numpy", library))
    alone = fit(MLP_OF_TWO, X, Y, **options, backend=numpy)
    there = fit(MLP_OF_TWO, X, Y, **options, backend=other)
    assert alone.parameters.tobytes() == there.parameters.tobytes()
    del options["seed"]
    many = fit_many(MLP_OF_TWO, X, Y, seeds=[1, 3], **options, backend=numpy)
    assert many[1].parameters.tobytes() == alone.parameters.tobytes()


def test_a_run_that_is_continued_fades_as_one() -> None:
    options = {**OPTIONS, "dropout_fades": True, "backend": select_backend(reproducible=True)}
    whole = fit(MLP_OF_TWO, X, Y, **options)
    states = [epoch.snapshot() for epoch in train(MLP_OF_TWO, X, Y, **options) if epoch.epoch == 4]
    rest = fit(MLP_OF_TWO, X, Y, **{**options, "epochs": 2}, initial=states[0])
    assert rest.parameters.tobytes() == whole.parameters.tobytes()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit(MLP((4, 3, 1), output="identity"), X, Y, dropout_fades=True),
         "^dropout_fades is for a network that drops units, and this one drops none"),
        (lambda: Recipe(dropout_fades=1), "^dropout_fades must be"),
        (lambda: Recipe(dropout_fades=True, optimizer="lbfgs"), "^dropout_fades is an option of training by steps"),
        (lambda: fit(MLP_OF_TWO, lambda: iter([(X, Y)]), epochs=1, dropout_fades=True),
         "^dropout_fades needs to know how many batches an epoch has"),
    ],
)  # fmt: skip
def test_what_cannot_fade_is_refused(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()
