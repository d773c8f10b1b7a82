"""The walk through the layers of a network, forwards and back, and the gradients that are made of it.

`forward` and `backward` are the only places that go from layer to layer. A layer is a dense layer followed by functions
of its values (`MLP.after`: activation, dropout); what the gradient of its weights is made of, `backward` leaves to a
function that it is given, since a whole batch, a batch in parts and single samples want different things.

A batch may come in parts: accumulated steps, uneven splits, the shards of several workers. Under plain arithmetic the
parts' gradient is the whole batch's to rounding; under reproducible arithmetic it is the same to the bit, however the
batch is cut. Forward passes and the gradients that flow backwards belong to one sample each; only the loss and the
gradients of weights and biases are sums over the batch, and these are taken once, over all parts.

All of it holds for a stack of k networks, whose arrays have an axis of k in front: samples are the axis before the
last, and whatever is summed is summed within a member. Its gradient is that of the sum of its members' losses, so that
each has its own: it trains as it would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from anyarray_mlp.network.functional import Activation, Vjp, dense, dense_vjp
from anyarray_mlp.network.layout import Layout, is_flat
from anyarray_mlp.typing import Array, Leaves, Namespace

#: x (n, i), targets, and sample weights (n,) or None.
Part = tuple[Array, Array, Array | None]
#: How strong the L2 penalty is: a number, or of a stack one for each member.
Strength = float | Sequence[float]
#: Weights and biases, layer by layer.
Parameters = tuple[list[Array], list[Array | None]]
#: What is kept of a layer for the way back: what the dense layer's gradient needs, and the vjps of what follows it.
Trace = tuple[Any, list[Vjp]]
#: (layer, what was kept of its dense layer, dz) -> the gradient with respect to the layer's inputs.
Pull = Callable[[int, Any, Array], Array]


class Network(Protocol):
    """What the walk asks of a network; `MLP` is one."""

    @property
    def layout(self) -> Layout:
        """Where weights and biases lie."""

    @property
    def dropout_layers(self) -> tuple[int, ...]:
        """Hidden layers that drop units."""

    def after(self, layer: int, keys: Mapping[int, Array], row: int) -> Iterator[Activation]:
        """The functions that follow a layer's dense layer; see `MLP.after`."""

    def outputs(self, xp: Namespace, z: Array) -> tuple[Array, Vjp]:
        """Outputs (n, k) of logits, and the vjp down to these."""

    def output_loss(self, xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
        """Losses (n,) of logits, and the vjp down to these."""


def forward(
    mlp: Network,
    xp: Namespace,
    parameters: Parameters,
    x: Array,
    keys: Mapping[int, Array] | None = None,
    row: int = 0,
    traces: list[Trace] | None = None,
) -> Iterator[tuple[Array, Array]]:
    """Each layer's values (n, units) before and after what follows its dense layer; the last are the logits, twice.

    Parameters
    ----------
    parameters : weights and biases, as `Layout.unpack` gives them.
    keys : a dropout key for each layer that drops units, as in training.
    row : where x begins in its batch.
    traces : a list that each layer's trace is added to.
    """
    a = x
    for layer, (w, b) in enumerate(zip(*parameters, strict=True)):
        z, residual = dense(xp, a, w, b)
        a, vjps = z, []
        for function in mlp.after(layer, keys or {}, row):
            a, vjp = function(xp, a)
            vjps.append(vjp)
            del vjp
        if traces is not None:
            traces.append((residual, vjps))
        del residual, vjps  # what nobody keeps takes no memory beside the next layer
        yield z, a


def logits(mlp: Network, xp: Namespace, parameters: Parameters, x: Array, **training: Any) -> Array:
    """The last layer's values (n, k) before the output's function; `training` as for `forward`."""
    for _, last in forward(mlp, xp, parameters, x, **training):
        a = last
    return a


def backward(traces: Sequence[Trace], dz: Array, pull: Pull) -> Array:
    """Bring the gradient dz (n, k) of the logits down, layer by layer; what `pull` gives for the first layer."""
    for layer in range(len(traces) - 1, 0, -1):
        dz = pull(layer, traces[layer][0], dz)
        for vjp in reversed(traces[layer - 1][1]):
            dz = vjp(dz)
    return pull(0, traces[0][0], dz)


def loss_and_grad(
    mlp: Network,
    xp: Namespace,
    leaves: Leaves,
    parts: Sequence[Part],
    alpha: Strength,
    dropout_keys: Sequence[Array] | None,
) -> tuple[Array, Leaves]:
    """The mean loss (0-d) of the batch that the parts, one under the other, make up, and its gradient.

    Of a stack losses (k,), and `alpha` may be one number for each member.
    """
    parameters = mlp.layout.unpack(xp, leaves)
    weights = parameters[0]
    n = sum(x.shape[-2] for x, _, _ in parts)
    weighted = parts[0][2] is not None
    sample_weight = joined(xp, [weight for _, _, weight in parts], -1) if weighted else None
    shares, decay = batch_shares(xp, n, sample_weight, alpha, weights[0].dtype)
    keys = dict(zip(mlp.dropout_layers, dropout_keys or (), strict=dropout_keys is not None))

    gradients: list[Any] = [None] * len(weights)
    # For each layer, what its weights' gradient needs of every part.
    contributions: list[list[tuple[Any, Array]]] = [[] for _ in weights]

    def pull_whole(layer: int, residual: Any, dz: Array) -> Any:
        dx, *gradients[layer] = dense_vjp(xp, residual, dz, layer > 0)
        return dx

    def pull_part(layer: int, residual: Any, dz: Array) -> Any:
        contributions[layer].append((residual, dz))
        return xp.linear_input_gradient(residual, dz) if layer > 0 else None

    losses: list[Array] = []
    row = 0
    for x, targets, _ in parts:
        traces: list[Trace] = []
        z = logits(mlp, xp, parameters, x, keys=keys, row=row, traces=traces)
        part_losses, loss_vjp = mlp.output_loss(xp, z, targets)
        share = shares[..., row : row + x.shape[-2]] if weighted else shares
        losses.append(part_losses * share if weighted else part_losses)
        dz = loss_vjp(share[..., None] if weighted else share)
        backward(traces, dz, pull_whole if len(parts) == 1 else pull_part)
        row += x.shape[-2]

    loss = xp.sum(joined(xp, losses, -1), axis=-1)
    loss = loss if weighted else loss / n
    if len(parts) > 1:
        gradients = [xp.linear_batch_gradient(each) for each in contributions]
    weight_grads, bias_grads = [dw for dw, _ in gradients], [db for _, db in gradients]
    if alpha:
        loss, weight_grads = penalised(xp, weights, loss, weight_grads, decay)
    grad = mlp.layout.pack(
        xp, weight_grads, bias_grads if mlp.layout.bias else [], flat=is_flat(leaves)
    )
    return loss, grad


# --- gradients of single samples ------------------------------------------------------------------------

#: The share of a sample's loss that is looked at alone; a Python number goes with every dtype.
ONE: Any = 1.0
#: Numbers of a block of single samples' gradients.
BLOCK = 1 << 22


def input_gradient(
    mlp: Network, xp: Namespace, leaves: Leaves, x: Array, targets: Any, dy: Array | None
) -> Array:
    """The gradient (n, i) with respect to the inputs: of each sample's loss, or of sum_k dy y_k of its outputs y."""
    traces: list[Trace] = []
    z = logits(mlp, xp, mlp.layout.unpack(xp, leaves), x, traces=traces)
    dz = mlp.output_loss(xp, z, targets)[1](ONE) if dy is None else mlp.outputs(xp, z)[1](dy)
    return backward(traces, dz, lambda _, residual, dz: xp.linear_input_gradient(residual, dz))


def gradients_by_sample(
    mlp: Network, xp: Namespace, leaves: Leaves, x: Array, targets: Array
) -> Array:
    """The gradient (n, p) of each sample's loss, some rows at a time."""
    parameters = mlp.layout.unpack(xp, leaves)
    n, rows = x.shape[0], max(1, BLOCK // mlp.layout.size)
    spans = ((start, min(start + rows, n)) for start in range(0, max(n, 1), rows))
    blocks = [
        block_by_sample(mlp, xp, parameters, x[start:stop, ...], targets[start:stop, ...])
        for start, stop in spans
    ]
    return joined(xp, blocks)


def block_by_sample(
    mlp: Network, xp: Namespace, parameters: Parameters, x: Array, targets: Array
) -> Array:
    """The gradient (n, p) of each of a few samples' losses."""
    n, inputs = x.shape[0], [x]
    traces: list[Trace] = []
    for _, a in forward(mlp, xp, parameters, x, traces=traces):
        inputs.append(a)
    gradients: list[Any] = [None] * (2 * len(traces))

    def pull(layer: int, residual: Any, dz: Array) -> Any:
        outer = inputs[layer][:, :, None] * dz[:, None, :]
        gradients[layer] = xp.reshape(outer, (n, outer.shape[1] * outer.shape[2]))
        gradients[len(traces) + layer] = dz
        return xp.linear_input_gradient(residual, dz) if layer > 0 else None

    backward(traces, mlp.output_loss(xp, inputs[-1], targets)[1](ONE), pull)
    return xp.concat(gradients if mlp.layout.bias else gradients[: len(traces)], axis=1)


# --- what a batch is made of ----------------------------------------------------------------------------


def batch_shares(
    xp: Namespace, n: int, sample_weight: Array | None, alpha: Strength, dtype: Any = None
) -> tuple[Any, Any]:
    """What each sample's loss, 0-d or (n,), and half the squared weights, 0-d, count for in the batch's mean.

    Of a stack (k, n) and (k,). `dtype` is for an `alpha` of one number for each member.
    """
    if sample_weight is None:
        # On the host, so that a member's is rounded once, as alone.
        return 1.0 / n, each_of(xp, alpha, dtype, lambda strength: strength / n)
    total = xp.sum(sample_weight, axis=-1)
    # A batch may hold nothing but weights of zero: nothing counts then, nor does the penalty.
    empty = total == 0
    total = xp.where(empty, 1.0, total)
    decay = xp.where(empty, 0.0, each_of(xp, alpha, dtype, float) / total) if alpha else 0.0
    return sample_weight / total[..., None], decay


def each_of(xp: Namespace, alpha: Strength, dtype: Any, f: Callable[[float], float]) -> Any:
    """f of a number; of one for each member of a stack, an array (k,)."""
    if isinstance(alpha, Sequence):
        return xp.asarray([f(strength) for strength in alpha], dtype=dtype)
    return f(alpha)


def penalised(
    xp: Namespace, weights: Sequence[Array], loss: Array, weight_grads: list[Array], decay: Any
) -> tuple[Array, list[Array]]:
    """A loss and its gradients with decay / 2 times the sum of squared weights added to the loss."""
    for w in weights:
        loss = loss + xp.sum(w * w, axis=(-2, -1)) * (decay * 0.5)
    if getattr(decay, "ndim", 0):
        decay = decay[:, None, None]
    return loss, [dw + w * decay for w, dw in zip(weights, weight_grads, strict=True)]


def joined(xp: Namespace, arrays: list[Any], axis: int = 0) -> Array:
    """Arrays one under the other, or along another axis."""
    return arrays[0] if len(arrays) == 1 else xp.concat(arrays, axis=axis)
