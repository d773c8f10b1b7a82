"""The gradient of a batch that comes in parts: accumulated steps, uneven splits, the shards of several workers.

Under plain arithmetic the parts' gradient is the whole batch's to rounding; under reproducible arithmetic it is
the same to the bit, however the batch is cut. Forward passes and the gradients that flow backwards belong to one
sample each; only the loss and the gradients of weights and biases are sums over the batch, and these are taken
once, over all parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anyarray_mlp.network.functional import ACTIVATIONS, dropout, output_loss
from anyarray_mlp.network.layout import is_flat
from anyarray_mlp.network.mlp import MLP, batch_shares, penalised
from anyarray_mlp.typing import Array, Leaves, Namespace

#: x (n, i), targets, and sample weights (n,) or None.
Part = tuple[Array, Array, Array | None]


def loss_and_grad_in_parts(
    mlp: MLP,
    xp: Namespace,
    leaves: Leaves,
    parts: Sequence[Part],
    *,
    alpha: float = 0.0,
    dropout_keys: Sequence[Array] | None = None,
) -> tuple[Array, Leaves]:
    """`MLP.loss_and_grad` of the batch that the parts, one under the other, make up."""
    weights, biases = mlp.layout.unpack(xp, leaves)
    n = sum(x.shape[0] for x, _, _ in parts)
    weighted = parts[0][2] is not None
    sample_weight = joined(xp, [weight for _, _, weight in parts]) if weighted else None
    shares, decay = batch_shares(xp, n, sample_weight, alpha)
    keys = dict(zip(mlp.dropout_layers, dropout_keys or (), strict=dropout_keys is not None))

    losses: list[Array] = []
    # For each layer, what its weights' gradient needs of every part.
    contributions: list[list[tuple[Any, Array]]] = [[] for _ in weights]
    row = 0
    for x, targets, _ in parts:
        residuals, pullbacks = [], []
        a = x
        for layer, name in enumerate(mlp.activation):
            z, residual = xp.linear(a, weights[layer], biases[layer])
            a, activation_vjp = ACTIVATIONS[name](xp, z)
            vjps = [activation_vjp]
            if layer in keys:
                a, drop_vjp = dropout(xp, a, mlp.dropout[layer], keys[layer], row)  # type: ignore[index]
                vjps.append(drop_vjp)
            residuals.append(residual)
            pullbacks.append(vjps)
        z, residual = xp.linear(a, weights[-1], biases[-1])
        residuals.append(residual)
        encoded = mlp.encode(xp, targets, z.dtype)
        part_losses, loss_vjp = output_loss(xp, mlp.output, mlp.loss, z, encoded)
        share = shares[row : row + x.shape[0]] if weighted else shares
        losses.append(part_losses * share if weighted else part_losses)
        dz = loss_vjp(share[:, None] if weighted else share)
        for layer in range(len(weights) - 1, -1, -1):
            contributions[layer].append((residuals[layer], dz))
            if layer > 0:
                da = xp.linear_input_gradient(residuals[layer], dz)
                for vjp in reversed(pullbacks[layer - 1]):
                    da = vjp(da)
                dz = da
        row += x.shape[0]

    loss = xp.sum(joined(xp, losses))
    loss = loss if weighted else loss / n
    gradients = [xp.linear_batch_gradient(c) for c in contributions]
    weight_grads, bias_grads = [dw for dw, _ in gradients], [db for _, db in gradients]
    if alpha:
        loss, weight_grads = penalised(xp, weights, loss, weight_grads, decay)
    grad = mlp.layout.pack(xp, weight_grads, bias_grads if mlp.bias else [], flat=is_flat(leaves))
    return loss, grad


def joined(xp: Namespace, arrays: list[Any]) -> Array:
    """Vectors one after the other."""
    return arrays[0] if len(arrays) == 1 else xp.concat(arrays)
