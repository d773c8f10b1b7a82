"""Factors of the learning rate and of weight decay by parameter: the step written out, on every backend, in stacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import (
    MLP,
    adam,
    adamw,
    fit,
    fit_many,
    momentum,
    nesterov,
    rmsprop,
    select_backend,
    sgd,
    train,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.by_parameter import frozen, with_factors
from anyarray_mlp.network.optimizers import OPTIMIZERS, Optimizer
from tests.beds import require_library

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((50, 4)), RNG.integers(0, 3, 50)
DEEP = MLP((4, 6, 5, 3), "tanh")
RATES = [1.0, 0.5, 0.0, 2.0, 0.1, 1.0]
DECAYS = [1.0, 0.0, 3.0, 1.0, 0.0, 2.0]
SPREAD, SPREAD_DECAYS = (
    np.repeat(each, [stop - start for start, stop in DEEP.layout.bounds])
    for each in (RATES, DECAYS)
)
OF_ALL = [sgd(), momentum(), nesterov(), adam(), rmsprop()]
OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate_init": 0.05}


@pytest.mark.parametrize("optimizer", OF_ALL, ids=lambda one: one.name)
def test_a_step_is_that_at_the_rate_of_each_parameter(optimizer):
    """Flat and as leaves, of one network and of a stack, whose rates are not the same."""
    xp = select_backend("numpy", dtype="float64").xp
    one = with_factors(optimizer, DEEP, RATES)
    theta, grad = DEEP.initialize(3), DEEP.initialize(4)
    moments = [np.abs(DEEP.initialize(5 + place)) for place in range(optimizer.n_moments)]
    for stack in (1, 2):
        given = [np.tile(vector, stack) for vector in (theta, grad, SPREAD, *moments)]
        rates = np.array([0.1, 0.3])[:stack]
        p, g, spread, *m = (each.copy() for each in given)
        (expected, *news) = optimizer.kernel(
            xp, p, g, *m, np.repeat(rates, DEEP.layout.size) * spread
        )
        scalars = (np.array(0.1) if stack == 1 else rates,)
        for flat in (True, False):

            def leaves(vector, flat=flat, stack=stack):
                rows = vector.copy() if stack == 1 else vector.reshape(stack, -1).copy()
                return DEEP.layout.to_leaves(rows, flat=flat)

            start = one.init(xp, leaves(given[0]))
            assert len(start) == len(moments) + 1
            assert not any(np.any(leaf) for moment in start[:-1] for leaf in moment)
            state = (*(leaves(each) for each in given[3:]), start[-1])
            found, after = one.update(xp, leaves(given[0]), leaves(given[1]), state, scalars)
            for new, wanted in zip((found, *after), (expected, *news, given[2]), strict=True):
                np.testing.assert_array_equal(DEEP.layout.to_vector(new).ravel(), wanted)


def test_factors_are_in_the_precision_of_the_parameters():
    xp = select_backend("numpy").xp
    theta = DEEP.layout.to_leaves(DEEP.initialize(0).astype(np.float32), flat=False)
    state = with_factors(adam(), DEEP, RATES).init(xp, theta)
    assert {leaf.dtype.name for leaves in state for leaf in leaves} == {"float32"}


def test_weight_decay_has_a_factor_too():
    one, plain = with_factors(adamw(weight_decay=0.1), DEEP, RATES, DECAYS), adam()
    backend = select_backend("numpy", dtype="float64")
    options = {**OPTIONS, "batch_size": 50, "epochs": 1, "backend": backend, "shuffle": False}
    start = DEEP.initialize(0)
    found = fit(DEEP, X, LABELS, optimizer=one, initial=start, **options).parameters
    undecayed = fit(
        DEEP, X, LABELS, optimizer=with_factors(plain, DEEP, RATES), initial=start, **options
    ).parameters
    np.testing.assert_allclose(
        undecayed - found, start * 0.05 * 0.1 * SPREAD * SPREAD_DECAYS, rtol=1e-9, atol=1e-14
    )
    everywhere = with_factors(adamw(weight_decay=0.1), DEEP, [1.0] * 6)
    same = fit(DEEP, X, LABELS, optimizer=everywhere, initial=start, **options).parameters
    wanted = fit(
        DEEP, X, LABELS, optimizer=adamw(weight_decay=0.1), initial=start, **options
    ).parameters
    np.testing.assert_array_equal(same, wanted)


@pytest.mark.parametrize("bed", ["numpy", "torch", "jax", "array_api_strict", "reproducible"])
def test_every_backend_trains_so_alone_stacked_and_from_where_it_was(bed):
    library = "numpy" if bed == "reproducible" else require_library(bed)
    backend = select_backend(library, dtype="float64", reproducible=bed == "reproducible")
    one = with_factors(adamw(weight_decay=0.1), DEEP, RATES, DECAYS)
    given: dict[str, Any] = {**OPTIONS, "optimizer": one}
    found = fit(DEEP, X, LABELS, backend=backend, **given)
    expected = fit(DEEP, X, LABELS, backend=select_backend("numpy", dtype="float64"), **given)
    np.testing.assert_allclose(found.parameters, expected.parameters, rtol=1e-7, atol=1e-10)
    still = DEEP.layout.bounds[2]
    start = DEEP.initialize(0)[slice(*still)]
    np.testing.assert_array_equal(found.parameters[slice(*still)], start)
    for seed, result in enumerate(
        fit_many(DEEP, X, LABELS, seeds=range(2), backend=backend, **given)
    ):
        alone = fit(DEEP, X, LABELS, seed=seed, backend=backend, **given)
        np.testing.assert_allclose(result.parameters, alone.parameters, rtol=1e-7, atol=1e-10)
        assert (result.hash == alone.hash) or bed != "reproducible"
    *_, cut = train(DEEP, X, LABELS, backend=backend, **{**given, "epochs": 1})
    rest = fit(DEEP, X, LABELS, backend=backend, initial=cut.snapshot(), **{**given, "epochs": 1})
    np.testing.assert_array_equal(rest.parameters, found.parameters)


def test_adam_trains_a_network_of_the_neural_tangent_kernel():
    """Weights drawn with 1/sqrt(i), with factors 1/sqrt(i): Adam's steps on those of N(0, 1), scaled in the network."""
    backend = select_backend("numpy", dtype="float64")
    scale = np.ones(DEEP.layout.size)
    for part, i in zip(DEEP.layout.split(scale)[:3], DEEP.sizes[:-1], strict=True):
        part[:] = 1 / math.sqrt(i)
    drawn = np.random.default_rng(1).standard_normal(DEEP.layout.size)
    factors = [1 / math.sqrt(i) for i in DEEP.sizes[:-1]] + [1.0] * 3
    options = {
        "backend": backend,
        "batch_size": 50,
        "shuffle": False,
        "learning_rate_init": 0.02,
        "epochs": 20,
    }
    rule = with_factors(adam(epsilon=1e-30), DEEP, factors)
    found = fit(DEEP, X, LABELS, optimizer=rule, initial=drawn * scale, **options).parameters
    theta, m, v = drawn.copy(), np.zeros_like(drawn), np.zeros_like(drawn)
    for step in range(1, 21):
        leaves = DEEP.layout.to_leaves(theta * scale, flat=True)
        _, (grad,) = DEEP.loss_and_grad(backend.xp, leaves, X, LABELS)
        m, v = 0.9 * m + 0.1 * grad * scale, 0.999 * v + 0.001 * (grad * scale) ** 2
        theta -= 0.02 * math.sqrt(1 - 0.999**step) / (1 - 0.9**step) * m / np.sqrt(v)
    np.testing.assert_allclose(found, theta * scale, rtol=1e-7, atol=1e-9)


def test_layers_that_are_frozen_keep_theirs():
    one = frozen(with_factors(adam(), DEEP, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]), DEEP, [0])
    found = fit(DEEP, X, LABELS, optimizer=one, **OPTIONS).parameters
    same = DEEP.layout.split(found == DEEP.initialize(0).astype(found.dtype))
    assert [bool(np.all(part)) for part in same] == [True, False, False, True, False, False]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_factors("adam", DEEP, RATES), "^optimizer must be an Optimizer"),
        (lambda: with_factors(frozen(adam(), DEEP, [0]), DEEP, RATES), "takes an optimizer of this package"),
        (lambda: with_factors(Optimizer("own", 0, 1, print, print), DEEP, RATES), "takes an optimizer of this package"),
        (lambda: with_factors(adam(), DEEP, RATES, DECAYS), "decays are for adamw, and this is adam"),
        (lambda: with_factors(adam(), DEEP, RATES[1:]), "rates must be 6 numbers of at least 0, one for each"),
        (lambda: with_factors(adam(), DEEP, [-1.0] * 6), "rates must be at least 0"),
        (lambda: with_factors(adamw(), DEEP, RATES, [-1.0] * 6), "^decays must be at least 0"),
        (
            lambda: fit(MLP((4, 3)), X, LABELS, epochs=1, optimizer=with_factors(adam(), DEEP, RATES)),
            "has factors for a network .* and trains another",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_every_optimizer_of_the_package_takes_them():
    for make in OPTIMIZERS.values():
        assert np.isfinite(
            fit(DEEP, X, LABELS, optimizer=with_factors(make(), DEEP, RATES), **OPTIONS).parameters
        ).all()
