"""Figures of a network's inside, computed on the device from a fixed batch of rows.

A probe is a pure function of (namespace, parameters, moments, batch): one program if the library compiles, with one
small vector as its result. So a probe costs one transfer, and nothing is added to a training step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.network.layout import is_flat
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import (
    Optimizer,
    State,
    clip_by_norm,
)
from anyarray_mlp.training import StepStatistics
from anyarray_mlp.training.predicting import as_inputs
from anyarray_mlp.typing import Array, Leaves, Namespace

#: A logistic unit this close to a bound is saturated; a tanh unit's range is twice as wide.
SATURATION = 0.01
#: A unit is dead if it varies by less than this share of its value over the rows of the probe.
CONSTANT = 1e-6


@dataclass(frozen=True)
class LayerFigures:
    """One dense layer with its activation, over the rows of the probe.

    Attributes
    ----------
    gradient : Euclidean norm of the loss's gradient with respect to the weights, without the L2 penalty.
    weight : Euclidean norm of the weights.
    update : norm of the change that one optimiser step would make to the weights, over their norm.
    mean, std : of the activations.
    dead : share of units with the same value for every row: a relu unit that is never active.
    saturated : share of activations within 1 % of a bound, for units that have bounds.
    spread : standard deviation over the rows, as root mean square over the units: how much rows differ.
    """

    gradient: float
    weight: float
    update: float
    mean: float
    std: float
    dead: float
    saturated: float
    spread: float = 0.0


@dataclass(frozen=True)
class Probe:
    """A network's inside after `epoch` epochs: the data loss on the probe's rows, and each layer."""

    epoch: int
    step: int
    loss: float
    layers: tuple[LayerFigures, ...]


N_FIGURES = len(LayerFigures.__dataclass_fields__)


def probe_function(
    mlp: MLP,
    optimizer: Optimizer,
    decay: float,
    clip_norm: float | None,
    input_scale: float | None,
    weighted: bool = False,
) -> Callable[..., Array]:
    """`probe(xp, theta, moments, x, targets, *scalars)`, which gives the loss and the figures as one vector.

    If the rows are `weighted`, their weights (n,) follow the targets. `decay` is the L2 penalty's factor in the
    gradient: alpha over the batch size.
    """

    def probe(
        xp: Namespace, theta: Leaves, moments: State, x: Array, targets: Array, *scalars: Array
    ) -> Array:
        x = as_inputs(xp, x, theta[0].dtype, input_scale)
        weight = None
        if weighted:
            weight, *scalars = scalars  # type: ignore[assignment]
            weight = xp.astype(weight, theta[0].dtype)
        loss, grad = mlp.loss_and_grad(xp, theta, x, targets, weight)
        figures = [loss]
        weights, _ = mlp.layout.unpack(xp, theta)
        gradients, _ = mlp.layout.unpack(xp, grad)
        norms = [(norm(xp, g), norm(xp, w)) for g, w in zip(gradients, weights, strict=True)]
        moved, _ = mlp.layout.unpack(
            xp,
            next_theta(
                xp,
                optimizer,
                theta,
                moments,
                penalised(xp, mlp, theta, grad, decay),
                tuple(scalars),
                clip_norm,
            ),
        )
        names = (*mlp.activation, mlp.output)
        for layer, (w, (_, a)) in enumerate(zip(weights, mlp.layers(xp, theta, x), strict=True)):
            gradient, weight = norms[layer]
            update = norm(xp, moved[layer] - w) / xp.maximum(weight, 1e-12)
            figures += [gradient, weight, update, *activation_figures(xp, a, names[layer])]
        return xp.stack(figures)

    return probe


def activation_figures(xp: Any, a: Array, name: str) -> tuple[Array, ...]:
    """Mean, standard deviation, share of dead units and of saturated activations, and spread of a layer (n, o)."""
    high, low = xp.max(a, axis=0), xp.min(a, axis=0)
    still = (high - low) <= xp.maximum(xp.abs(high), 1.0) * CONSTANT
    if name == "tanh":
        flat = (1.0 - xp.abs(a)) < 2.0 * SATURATION
    elif name in ("logistic", "softmax"):
        flat = xp.minimum(a, 1.0 - a) < SATURATION
    else:
        flat = a != a  # no bounds: nothing saturates
    return (
        xp.mean(a),
        xp.std(a),
        xp.mean(xp.astype(still, a.dtype)),
        xp.mean(xp.astype(flat, a.dtype)),
        xp.sqrt(xp.mean(xp.var(a, axis=0))),
    )


def penalised(xp: Any, mlp: MLP, theta: Leaves, grad: Leaves, decay: float) -> Leaves:
    """A gradient with that of the L2 penalty added, as the optimiser gets it."""
    if not decay:
        return grad
    n = mlp.layout.n_layers
    weights, parts = mlp.layout.parts(xp, theta)[:n], mlp.layout.parts(xp, grad)
    gradients = [g + w * decay for g, w in zip(parts[:n], weights, strict=True)]
    return mlp.layout.pack(xp, gradients, parts[n:], flat=is_flat(theta))


def next_theta(
    xp: Namespace,
    optimizer: Optimizer,
    theta: Leaves,
    moments: State,
    grad: Leaves,
    scalars: tuple[Array, ...],
    clip_norm: float | None,
) -> Leaves:
    """The parameters after one optimiser step, made on copies: the arguments do not change."""
    if clip_norm is not None:
        grad = clip_by_norm(xp, optimizer.followed(xp, grad), clip_norm)
    copies = tuple(xp.asarray(leaf, copy=True) for leaf in theta)
    state = tuple(tuple(xp.asarray(leaf, copy=True) for leaf in moment) for moment in moments)
    grad = tuple(xp.asarray(leaf, copy=True) for leaf in grad)
    moved, _ = optimizer.update(xp, copies, grad, state, scalars)
    return moved


def norm(xp: Namespace, array: Array) -> Array:
    """Euclidean norm of all entries, 0-d."""
    return xp.sqrt(xp.sum(array * array))


def probe_from(vector: NDArray[Any], epoch: int, step: int) -> Probe:
    """The vector of `probe_function` as named figures."""
    rows = np.asarray(vector[1:], dtype=np.float64).reshape(-1, N_FIGURES).tolist()
    return Probe(epoch, step, float(vector[0]), tuple(LayerFigures(*row) for row in rows))


def gradient_norms(mlp: MLP) -> StepStatistics:
    """Statistics for `train`: the norm of each layer's weight gradient, at every step."""

    def statistics(xp: Namespace, theta: Leaves, grad: Leaves) -> tuple[Array, ...]:
        gradients, _ = mlp.layout.unpack(xp, grad)
        return tuple(norm(xp, g) for g in gradients)

    return statistics
