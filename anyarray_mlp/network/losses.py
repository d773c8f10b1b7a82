"""Losses, each with its derivative beside its formula, and targets as they take them.

A loss of one sample sums over its outputs, so that losses are (n,) of outputs (n, k); a stack of k networks has an axis
of k in front. The vjp takes the gradient with respect to the losses as a column (n, 1) or a scalar. A loss is one of an
output's value, or of the logits where both are fused (`network.functional` has outputs).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from anyarray_mlp.network.functional import OUTPUTS, Vjp, exponentials, in_rows
from anyarray_mlp.typing import Array, Namespace

Loss = Callable[[Namespace, Array, Array], tuple[Array, Vjp]]


def squared_error(xp: Namespace, y: Array, targets: Array) -> tuple[Array, Vjp]:
    """Half the squared distance: 0.5 sum_k (y - t)^2."""
    d = y - targets
    return xp.sum(d * d, axis=-1) * 0.5, lambda g: d * g


def absolute_error(xp: Namespace, y: Array, targets: Array) -> tuple[Array, Vjp]:
    """sum_k |y - t|; the derivative where they are equal is taken as 0."""
    d = y - targets
    return xp.sum(xp.abs(d), axis=-1), lambda g: xp.sign(d) * g


def huber(xp: Namespace, y: Array, targets: Array, delta: float = 1.0) -> tuple[Array, Vjp]:
    """Squared error within delta of the target, absolute error times delta beyond (Huber 1964)."""
    d = y - targets
    near = xp.minimum(xp.maximum(d, -delta), delta)
    return xp.sum(near * (d - near * 0.5), axis=-1), lambda g: near * g


def surprise(xp: Namespace, shifted: Array, total: Array, targets: Array) -> Array:
    """-sum_k t log softmax (n,) of what `exponentials` gives; `targets` are rows (n, k) or labels (n,)."""
    if targets.ndim < shifted.ndim:
        return xp.log(total[..., 0]) - entries(xp, shifted, targets)
    return xp.log(total[..., 0]) - xp.sum(shifted * targets, axis=-1)


def entries(xp: Namespace, rows: Array, labels: Array) -> Array:
    """The entry (n,) of each of the rows (n, k) that its label (n,) names; labels may be the same for a stack."""
    *shape, k = rows.shape
    starts = xp.reshape(xp.arange(math.prod(shape), dtype=labels.dtype) * k, tuple(shape))
    places = xp.reshape(starts + labels, (-1,))
    return xp.reshape(xp.take(xp.reshape(rows, (-1,)), places, axis=0), tuple(shape))


def quantile(xp: Namespace, y: Array, targets: Array, level: float = 0.5) -> tuple[Array, Vjp]:
    """sum_k max(q (t - y), (q - 1) (t - y)), least where y is the q-quantile of t (Koenker and Bassett 1978).

    The derivative where they are equal is taken as 0.
    """
    d = y - targets
    losses = xp.sum(xp.maximum(d * (1.0 - level), d * -level), axis=-1)

    def vjp(g: Array) -> Array:
        side = xp.sign(d)
        return (xp.maximum(side, 0.0) * (1.0 - level) + xp.minimum(side, 0.0) * level) * g

    return losses, vjp


def softmax_cross_entropy(xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
    """-sum_k t log softmax(z), on the logits z; `targets` (n, k) are one-hot or rows that sum to one."""
    shifted, e, total = exponentials(xp, z)
    losses = surprise(xp, shifted, total, targets)

    def vjp(g: Array) -> Array:
        dz = e / total
        dz -= targets
        dz *= g
        return dz

    return losses, vjp


def logistic_binary_cross_entropy(xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
    """-sum_k (t log p + (1 - t) log(1 - p)) with p = logistic(z), on the logits z."""

    def vjp(g: Array) -> Array:
        dz = xp.logistic(z) - targets
        dz *= g
        return dz

    # softplus(z) = max(z, 0) + softplus(-|z|): what is large cancels before what is small is added.
    losses = xp.maximum(z, 0.0) - z * targets + xp.softplus(-xp.abs(z))
    return xp.sum(losses, axis=-1), vjp


def exponential_poisson(xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
    """Poisson's negative log likelihood of rate exp(z), less log t!: sum_k (exp(z) - t z)."""
    rate = xp.exp(z)
    return xp.sum(rate - z * targets, axis=-1), lambda g: (rate - targets) * g


#: Losses of an output's value, those registered included (`network.registry`); outputs compose with them by vjp.
LOSSES: dict[str, Loss] = {
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "quantile": quantile,
}


class Parameter(NamedTuple):
    """The number that a loss may be given behind its name: its name, its bounds, and an example."""

    name: str
    default: float
    low: float
    high: float
    example: str


#: As in "huber:2.0" and "quantile:0.9".
PARAMETERS = {
    "huber": Parameter("delta", 1.0, 0.0, math.inf, "huber:2.0"),
    "quantile": Parameter("level", 0.5, 0.0, 1.0, "quantile:0.9"),
}


#: Losses that are defined through their output, fused with it on the logits.
FUSED_LOSSES: dict[tuple[str, str], Loss] = {
    ("softmax", "cross_entropy"): softmax_cross_entropy,
    ("logistic", "binary_cross_entropy"): logistic_binary_cross_entropy,
    ("exp", "poisson"): exponential_poisson,
}


#: The losses that come with the package.
LOSS_NAMES = (*(loss for _, loss in FUSED_LOSSES), *LOSSES)


def with_parameter(loss: str) -> tuple[str, float]:
    """A loss's name and its parameter: ("huber", 2.0) of "huber:2.0"; NaN of a loss that has none."""
    name, _, number = loss.partition(":")
    if number:
        return name, float(number)
    return name, PARAMETERS[name].default if name in PARAMETERS else math.nan


def loss_function(loss: str) -> Loss:
    """The function of a name in `LOSSES`, with its parameter; a name of one's own carries it."""
    own: Loss | None = getattr(loss, "function", None)
    if own is not None:
        return partial(loss_by_rows, own)
    name, parameter = with_parameter(loss)
    if name not in PARAMETERS:
        return LOSSES[name]
    return partial(LOSSES[name], **{PARAMETERS[name].name: parameter})


def loss_by_rows(function: Loss, xp: Namespace, y: Array, targets: Array) -> tuple[Array, Vjp]:
    """A user's loss, which is one of rows (n, k), of those of all members of a stack."""
    if y.ndim == 2:
        return function(xp, y, targets)
    shape = y.shape
    if targets.shape != shape:  # the same for all members
        targets = targets + xp.zeros_like(y)
    losses, vjp = function(xp, in_rows(xp, y), in_rows(xp, targets))

    def stacked_vjp(g: Array) -> Array:
        column = in_rows(xp, g) if getattr(g, "ndim", 0) else g
        return xp.reshape(vjp(column), shape)

    return xp.reshape(losses, shape[:-1]), stacked_vjp


def output_loss(
    xp: Namespace, output: str, loss: str, z: Array, targets: Array
) -> tuple[Array, Vjp]:
    """Losses (n,) of the logits z under an output and a loss, and the vjp down to z."""
    fused = FUSED_LOSSES.get((output, loss))
    if fused is not None:
        return fused(xp, z, targets)
    y, output_vjp = OUTPUTS[output](xp, z)
    losses, loss_vjp = loss_function(loss)(xp, y, targets)
    return losses, lambda g: output_vjp(loss_vjp(g))


def output_and_losses(
    xp: Namespace, output: str, loss: str, z: Array, targets: Array
) -> tuple[Array, Array]:
    """The output's value (n, k) and the losses (n,) of the logits z: the bits of either alone.

    What both need is worked out once: softmax and its cross-entropy share their exponentials, and a loss that is not
    fused is one of the output's value. Cross-entropy takes labels (n,) as they are.
    """
    if (output, loss) == ("softmax", "cross_entropy"):
        shifted, e, total = exponentials(xp, z)
        return e / total, surprise(xp, shifted, total, targets)
    y, _ = OUTPUTS[output](xp, z)
    fused = FUSED_LOSSES.get((output, loss))
    losses, _ = fused(xp, z, targets) if fused else loss_function(loss)(xp, y, targets)
    return y, losses


def one_hot(xp: Namespace, labels: Array, k: int, dtype: Any) -> Array:
    """Integer labels (n,) as rows of zeros with a one at the label: (n, k)."""
    return xp.astype(labels[..., None] == xp.arange(k, dtype=labels.dtype), dtype)


def smoothed(loss: str, targets: Array, share: float) -> Array:
    """One-hot rows, or columns of 0 and 1 for a binary loss, with `share` of their certainty spread over the classes:
    (1 - share) t + share / k, where a binary loss has k = 2 classes a column (Szegedy et al. 2016).
    """
    k = targets.shape[-1] if loss == "cross_entropy" else 2
    return targets * (1.0 - share) + share / k


#: The losses whose targets are classes, and can be smoothed.
OF_CLASSES = ("cross_entropy", "binary_cross_entropy")
