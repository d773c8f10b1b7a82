"""The walk through the layers of a network, forwards and back, and the gradients that are made of it.

`forward` and `backward` are the only places that go from layer to layer, along the row that a network is
(`MLP.row`), and they know no kind of layer (`network.layers`). What the gradient of parameters is made of, `backward`
leaves to a function that it is given, since a whole batch, a batch in parts and the inputs want different things.

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

from anyarray_mlp.arithmetic.shard import Shard
from anyarray_mlp.network.functional import Vjp
from anyarray_mlp.network.layers import Parts, batch_sum, joined
from anyarray_mlp.network.layout import Layout, is_flat
from anyarray_mlp.network.row import Placed, Row
from anyarray_mlp.typing import Array, Leaves, Namespace

#: x (n, i), targets, and sample weights (n,) or None.
Part = tuple[Array, Array, Array | None]
#: How strong the L2 penalty is: a number, or of a stack one for each member.
Strength = float | Sequence[float]
#: What is kept of a layer for the way back: the layer, and the residual that it asked for.
Trace = tuple[Placed, Any]
#: (layer, residual, dy, whether there is a layer below) -> the gradient with respect to the layer's inputs.
Pull = Callable[[Placed, Any, Array, bool], Any]


class Network(Protocol):
    """What the walk asks of a network; `MLP` is one."""

    @property
    def layout(self) -> Layout:
        """Where weights and biases lie."""

    @property
    def dropout_layers(self) -> tuple[int, ...]:
        """Hidden layers that drop units."""

    @property
    def row(self) -> Row:
        """The layers that it is a row of."""

    def outputs(self, xp: Namespace, z: Array) -> tuple[Array, Vjp]:
        """Outputs (n, k) of logits, and the vjp down to these."""

    def output_loss(self, xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
        """Losses (n,) of logits, and the vjp down to these."""


def forward(
    mlp: Network,
    xp: Namespace,
    parameters: Sequence[Array],
    x: Array,
    keys: Mapping[int, Array] | None = None,
    row: int = 0,
    traces: list[Trace] | None = None,
) -> Iterator[tuple[Array, Array]]:
    """Each dense layer's values (n, units), and these after what follows it; the last are the logits, twice.

    Parameters
    ----------
    parameters : as `Layout.parts` gives them.
    keys : a dropout key for each layer that drops units, as in training.
    row : where x begins in its batch.
    traces : a list that each layer's trace is added to.
    """

    def through(group: tuple[Placed, ...], a: Array, key: Array | None) -> Array:
        for placed in group:
            values = [parameters[place] for place in placed.own]
            a, residual = placed.layer.apply(xp, values, a, key, row)
            if traces is not None:
                traces.append((placed, residual))
            del residual  # what nobody keeps takes no memory beside the next layer
        return a

    a = x
    for number, (linear, following) in enumerate(mlp.row.blocks):
        key = keys.get(number) if keys else None
        z = through(linear, a, key)
        a = through(following, z, key)
        yield z, a


def logits(
    mlp: Network, xp: Namespace, parameters: Sequence[Array], x: Array, **training: Any
) -> Array:
    """The last layer's values (n, k) before the output's function; `training` as for `forward`."""
    for _, last in forward(mlp, xp, parameters, x, **training):
        a = last
    return a


def backward(traces: Sequence[Trace], dz: Array, pull: Pull) -> Any:
    """Bring the gradient dz (n, k) of the logits down, layer by layer; what `pull` gives for the first layer."""
    for place in range(len(traces) - 1, -1, -1):
        dz = pull(*traces[place], dz, place > 0)
    return dz


def collecting(xp: Namespace, gradients: list[Any]) -> Pull:
    """A `Pull` that puts the gradient of each parameter at its place."""

    def pull(placed: Placed, residual: Any, dy: Array, need_dx: bool) -> Any:
        dx, found = placed.layer.pull(xp, residual, dy, need_dx)
        for place, gradient in zip(placed.own, found, strict=True):
            gradients[place] = gradient
        return dx

    return pull


def loss_and_grad(
    mlp: Network,
    xp: Namespace,
    leaves: Leaves,
    parts: Sequence[Part],
    alpha: Strength,
    dropout_keys: Sequence[Array] | None,
    shard: Shard | None = None,
) -> tuple[Array, Leaves]:
    """The mean loss (0-d) of the batch that the parts, one under the other, make up, and its gradient.

    Of a stack losses (k,), and `alpha` may be one number for each member. If the parts are a shard of the batch, both
    are the whole batch's: every rank has to ask for them at the same time.
    """
    parameters = mlp.layout.parts(xp, leaves)
    weights = parameters[: mlp.layout.n_layers]
    n = sum(x.shape[-2] for x, _, _ in parts) if shard is None else shard.of
    start = 0 if shard is None else shard.start
    weighted = parts[0][2] is not None
    sample_weight = joined(xp, [weight for _, _, weight in parts], -1) if weighted else None
    shares, decay = batch_shares(xp, n, sample_weight, alpha, weights[0].dtype, shard)
    keys = dict(zip(mlp.dropout_layers, dropout_keys or (), strict=dropout_keys is not None))

    gradients: list[Any] = [None] * len(parameters)
    # For each layer with parameters, what their gradient needs of every part.
    contributions: dict[Placed, Parts] = {}

    def pull_part(placed: Placed, residual: Any, dy: Array, need_dx: bool) -> Any:
        if placed.own:
            contributions.setdefault(placed, Parts(shard=shard)).append((residual, dy))
        return placed.layer.input_gradient(xp, residual, dy) if need_dx else None

    at_once = len(parts) == 1 and shard is None
    pull = collecting(xp, gradients) if at_once else pull_part
    losses: list[Array] = []
    row = 0
    for x, targets, _ in parts:
        traces: list[Trace] = []
        z = logits(mlp, xp, parameters, x, keys=keys, row=start + row, traces=traces)
        part_losses, loss_vjp = mlp.output_loss(xp, z, targets)
        share = shares[..., row : row + x.shape[-2]] if weighted else shares
        losses.append(part_losses * share if weighted else part_losses)
        dz = loss_vjp(share[..., None] if weighted else share)
        backward(traces, dz, pull)
        row += x.shape[-2]

    loss = batch_sum(xp, joined(xp, losses, -1), -1, shard)
    for placed, each in contributions.items():
        for place, gradient in zip(placed.own, placed.layer.gradients(xp, each), strict=True):
            gradients[place] = gradient
    if shard is not None:
        loss, *gradients = xp.totals([loss, *gradients], shard)
    loss = loss if weighted else loss / n
    weight_grads, others = gradients[: len(weights)], gradients[len(weights) :]
    if alpha:
        stack = mlp.layout.stack_of(leaves)
        loss, weight_grads = penalised(xp, weights, loss, weight_grads, decay, stack)
    return loss, mlp.layout.pack(xp, weight_grads, others, flat=is_flat(leaves))


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
    z = logits(mlp, xp, mlp.layout.parts(xp, leaves), x, traces=traces)
    dz = mlp.output_loss(xp, z, targets)[1](ONE) if dy is None else mlp.outputs(xp, z)[1](dy)

    def pull(placed: Placed, residual: Any, dy: Array, _: bool) -> Array:
        return placed.layer.input_gradient(xp, residual, dy)

    gradient: Array = backward(traces, dz, pull)
    return gradient


def gradients_by_sample(
    mlp: Network, xp: Namespace, leaves: Leaves, x: Array, targets: Array
) -> Array:
    """The gradient (n, p) of each sample's loss, some rows at a time.

    Samples are members of a stack whose parameters are the same: nothing is summed over them.
    """
    parameters = [part[None, ...] for part in mlp.layout.parts(xp, leaves)]
    n, rows = x.shape[0], max(1, BLOCK // mlp.layout.size)
    spans = ((start, min(start + rows, n)) for start in range(0, max(n, 1), rows))
    blocks = [
        block_by_sample(
            mlp, xp, parameters, x[start:stop, None, ...], targets[start:stop, None, ...]
        )
        for start, stop in spans
    ]
    return joined(xp, blocks)


def block_by_sample(
    mlp: Network, xp: Namespace, parameters: Sequence[Array], x: Array, targets: Array
) -> Array:
    """The gradient (n, p) of each of a few samples' losses, x (n, 1, i)."""
    traces: list[Trace] = []
    z = logits(mlp, xp, parameters, x, traces=traces)
    gradients: list[Any] = [None] * len(parameters)
    backward(traces, mlp.output_loss(xp, z, targets)[1](ONE), collecting(xp, gradients))
    sizes = [stop - start for start, stop in mlp.layout.bounds]
    rows = (
        xp.reshape(gradient, (x.shape[0], size))
        for gradient, size in zip(gradients, sizes, strict=True)
    )
    return xp.concat([*rows], axis=1)


# --- what a batch is made of ----------------------------------------------------------------------------


def batch_shares(
    xp: Namespace,
    n: int,
    sample_weight: Array | None,
    alpha: Strength,
    dtype: Any = None,
    shard: Shard | None = None,
) -> tuple[Any, Any]:
    """What each sample's loss, 0-d or (n,), and half the squared weights, 0-d, count for in the batch's mean.

    Of a stack (k, n) and (k,). `dtype` is for an `alpha` of one number for each member; the weights may be those of a
    shard.
    """
    if sample_weight is None:
        # On the host, so that a member's is rounded once, as alone.
        return 1.0 / n, each_of(xp, alpha, dtype, lambda strength: strength / n)
    total = batch_sum(xp, sample_weight, -1, shard)
    if shard is not None:
        (total,) = xp.totals([total], shard)
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
    xp: Namespace,
    weights: Sequence[Array],
    loss: Array,
    weight_grads: list[Array],
    decay: Any,
    stack: tuple[int, ...],
) -> tuple[Array, list[Array]]:
    """A loss and its gradients with decay / 2 times the sum of squared weights added to the loss."""
    own_decay, grads = getattr(decay, "ndim", 0), []
    for w, dw in zip(weights, weight_grads, strict=True):
        axes = w.ndim - len(stack)
        loss = loss + xp.sum(w * w, axis=tuple(range(-axes, 0))) * (decay * 0.5)
        grads.append(dw + w * (decay[(..., *(None,) * axes)] if own_decay else decay))
    return loss, grads
