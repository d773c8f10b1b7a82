"""Optimisers of a stack of networks: each member is updated, held and clipped as it is alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP, adam, adamw, momentum, rmsprop, sgd
from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.by_parameter import frozen
from anyarray_mlp.network.layout import Layout
from anyarray_mlp.network.optimizers import Optimizer, clip_by_norm

XP = PlainNamespace(np)
K = 3
OPTIMIZERS = [sgd(), momentum(), adam(), adamw(weight_decay=0.1), rmsprop()]


def updated(optimizer: Optimizer, layout: Layout, vectors: Any, flat: bool, rates: Any) -> Any:
    """Parameters and moments after two steps along the parameters' own cosines."""
    theta = layout.to_leaves(vectors, flat)
    moments = optimizer.init(XP, theta)
    for step in (1, 2):
        grad = tuple(np.cos(leaf) for leaf in theta)
        scalars = tuple(np.asarray(s) for s in optimizer.scalars(step, np.asarray(rates)))
        theta, moments = optimizer.update(XP, theta, grad, moments, scalars)
    return [layout.to_vector(leaves) for leaves in (theta, *moments)]


@pytest.mark.parametrize("held", [None, [1]])
@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: optimizer.name)
def test_every_member_has_its_own_rate(optimizer, flat, held):
    mlp = MLP((3, 4, 2))
    rule = optimizer if held is None else frozen(optimizer, mlp, held)
    vectors = np.stack([mlp.initialize(seed) for seed in range(K)])
    for rates in (np.array([0.1, 0.01, 0.3]), 0.1):
        together = updated(rule, mlp.layout, vectors.copy(), flat, rates)
        for place in range(K):
            rate = np.broadcast_to(rates, K)[place]
            alone = updated(rule, mlp.layout, vectors[place].copy(), flat, rate)
            for whole, part in zip(together, alone, strict=True):
                np.testing.assert_array_equal(whole[place], part)


def test_a_stack_of_another_network_is_refused_by_frozen_layers():
    rule = frozen(adam(), MLP((3, 4, 2)), [0])
    other = MLP((3, 5, 2)).layout
    theta = other.to_leaves(np.zeros((2, other.size)), False)
    with pytest.raises(UsageError, match="trains another"):
        rule.update(XP, theta, theta, rule.init(XP, theta), (np.float64(0.1),))


@pytest.mark.parametrize("flat", [True, False])
def test_every_member_is_clipped_by_its_own_norm(flat):
    layout = Layout((2, 3, 2))
    matrix = np.stack([np.full(layout.size, size) for size in (1e-3, 0.5, 4.0)])
    clipped = layout.to_vector(clip_by_norm(XP, layout.to_leaves(matrix, flat), 1.0, (3,)))
    for whole, part in zip(clipped, matrix, strict=True):
        (alone,) = clip_by_norm(XP, (part,), 1.0)
        np.testing.assert_allclose(whole, alone, rtol=1e-15)
