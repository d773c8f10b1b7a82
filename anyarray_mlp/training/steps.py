"""One training step as a pure function, and what changes from step to step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic.shard import Shard
from anyarray_mlp.backends import Backend, Step
from anyarray_mlp.network.dropping import WHOLE
from anyarray_mlp.network.losses import smoothed
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import Optimizer, clip_by_norm
from anyarray_mlp.network.passes import Strength, loss_and_grad
from anyarray_mlp.network.schedules import faded
from anyarray_mlp.streams import bit_generator
from anyarray_mlp.training.predicting import as_inputs
from anyarray_mlp.typing import Array, Leaves, Namespace

#: 0-d figures of one step, from (xp, parameters before it, gradient); an axis of steps is put in front of each.
StepStatistics = Callable[[Namespace, Leaves, Leaves], tuple[Array, ...]]


@lru_cache(maxsize=64)
def training_step(
    mlp: MLP,
    optimizer: Optimizer,
    *,
    alpha: Strength = 0.0,
    clip_norm: float | None = None,
    weighted: bool = False,
    input_scale: float | None = None,
    label_smoothing: float = 0.0,
    statistics: StepStatistics | None = None,
    streamed: bool = False,
    in_batches: bool = False,
    shard: Shard | None = None,
) -> Step:
    """One step, pure: gather a batch, differentiate, update. The same arguments give the same function, so that a
    backend that compiles does it once.

    State is (leaves, moments); data is (x, targets) and, if `weighted`, sample weights; inputs are those of
    `step_inputs`. The outputs are the batch's loss and what `statistics` makes of its gradient before clipping.
    If `streamed`, x is not among the data: each batch of it comes ahead of the other inputs. If `in_batches`, there are
    no data: each batch, x, targets and weights, comes in place of the indices.

    Given the state of a stack of k networks, it is a step of all of them: a batch holds the rows of the first, then
    those of the second and so on, and the outputs are (k,).

    If the rows of a batch are a `shard` of it, loss and gradient are those of the whole batch.
    """
    ahead = (2 + weighted if in_batches else 0) + streamed

    def batch(xp: Namespace, data: Any, inputs: tuple[Array, ...]) -> Iterator[Array]:
        yield from inputs[:ahead]
        if not in_batches:
            yield from (xp.take(array, inputs[ahead], axis=0) for array in data)

    def step(xp: Namespace, state: Any, data: Any, inputs: tuple[Array, ...]) -> Any:
        theta, moments = state
        stack = mlp.layout.stack_of(theta)
        arrays = batch(xp, data, inputs)
        if stack:
            arrays = (xp.reshape(a, (*stack, -1, *a.shape[1:])) for a in arrays)
        x, targets, *weight = arrays
        rest = inputs[ahead + (not in_batches) :]
        scalars, keys = rest[: optimizer.n_scalars], rest[optimizer.n_scalars :]
        x = as_inputs(xp, x, theta[0].dtype, input_scale)
        if label_smoothing:
            rows = mlp.encode(xp, targets, theta[0].dtype, x.ndim)
            targets = smoothed(mlp.loss, rows, label_smoothing)
        if shard is None:
            loss, grad = mlp.loss_and_grad(
                xp, theta, x, targets, *weight, alpha=alpha, dropout_keys=keys or None
            )
        else:
            part = x, targets, weight[0] if weight else None
            loss, grad = loss_and_grad(mlp, xp, theta, [part], alpha, keys or None, shard)
        figures = () if statistics is None else statistics(xp, theta, grad)
        if clip_norm is not None:
            grad = clip_by_norm(xp, optimizer.followed(xp, grad), clip_norm, stack)
        theta, moments = optimizer.update(xp, theta, grad, moments, scalars)
        return (theta, moments), (loss, *figures)

    return step


def step_inputs(
    mlp: MLP,
    optimizer: Optimizer,
    backend: Backend,
    indices: NDArray[np.int64] | None,
    step: int,
    rates: NDArray[np.float64] | Sequence[float],
    seed: int,
) -> tuple[Array, ...]:
    """What changes from step to step, on the device, each with a leading axis of K steps.

    Row indices (K, rows) unless these are None, the optimiser's scalars (K,) each, and a dropout key (K,) for each
    layer that drops.
    """
    return stack_inputs(mlp, optimizer, backend, indices, [Walk(step, rates, seed)])


class Walk(NamedTuple):
    """The steps that a network takes: how many it has taken before, their learning rates, the seed of its keys, and
    over how many steps its dropout fades, if it does.
    """

    step: int
    rates: NDArray[np.float64] | Sequence[float]
    seed: int
    fades_over: int | None = None

    def keys(self, layer: int, rate: float) -> NDArray[np.int32]:
        """The keys of a layer's dropout, (K,); where its rate fades, (K, 2), each with the rate of its step."""
        keys = dropout_keys(self.seed, layer, self.step, len(self.rates))
        if self.fades_over is None:
            return keys
        steps = range(self.step, self.step + len(keys))
        limits = [round(rate * faded(step / self.fades_over) * WHOLE) for step in steps]
        return np.stack([keys, np.array(limits, np.int32)], axis=-1)


def stack_inputs(
    mlp: MLP,
    optimizer: Optimizer,
    backend: Backend,
    indices: NDArray[np.int64] | None,
    walks: Sequence[Walk],
) -> tuple[Array, ...]:
    """`step_inputs` of one network or of a stack, whose keys are (K, k), and so are scalars that are not the same."""
    first = walks[0]
    alike = all(w.step == first.step and np.array_equal(w.rates, first.rates) for w in walks[1:])
    scalars = [
        optimizer.scalars(np.arange(w.step + 1, w.step + len(w.rates) + 1), np.array(w.rates))
        for w in (walks[:1] if alike else walks)
    ]
    inputs = [] if indices is None else [backend.asarray(indices)]
    inputs += map(backend.asarray, together(scalars))
    keys = [
        [w.keys(layer, mlp.dropout[layer]) for layer in mlp.dropout_layers]  # type: ignore[index]
        for w in walks
    ]
    return (*inputs, *(backend.asarray(key, dtype="int32") for key in together(keys)))


def together(columns: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """What several networks have, each (K, ...), as (K, k, ...); of one network as it is."""
    for each in zip(*columns, strict=True):
        yield each[0] if len(each) == 1 else np.stack(each, axis=1)


def gathered(backend: Backend, x: Any, indices: NDArray[np.int64]) -> Array:
    """Rows (K, rows, i) of x (n, i), which stays on the host, by their indices (K, rows)."""
    if isinstance(x, np.ndarray):
        return backend.gather(x, indices, "uint8" if x.dtype == np.uint8 else None)
    block = x[indices.ravel()].toarray()
    return backend.asarray(block.reshape(*indices.shape, x.shape[1]))


def dropout_keys(seed: int, layer: int, step: int, count: int) -> NDArray[np.int32]:
    """Keys (count,) for `dropping.dropout` of `count` steps from `step` on, each layer's from a stream of its own."""
    raw = bit_generator("dropout", seed, layer).advance(step).random_raw(count)
    return (raw >> np.uint64(32)).astype(np.uint32).view(np.int32)
