"""What a network is a row of: layers, each with its parameters, its value, and the way of a gradient back through it.

The walk (`network.passes`) asks four things of a layer, and knows no kind of it: `apply`, its value with the residual
that the way back needs; `input_gradient`; `gradients`, those of its parameters, summed over the parts of a batch; and
`pull`, both at once. The formulas are those of `network.functional` where a layer is a function; the others stand here.

Shapes: inputs (n, i), values (n, o), and what a layer says of its parameters. A stack of networks has an axis in front
of each of these, which a layer neither sums over nor knows the size of; parameters may have an axis of 1 in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.arithmetic.shard import Shard
from anyarray_mlp.network.dropping import dropout
from anyarray_mlp.network.functional import activation_function, dense, dense_vjp
from anyarray_mlp.network.layout import Parameter
from anyarray_mlp.typing import Array, Host, Namespace


class Parts(list[tuple[Any, Array]]):
    """Of each part of a batch, what was kept of it on the way there and the gradient of the layer's value.

    shard : which rows of the batch all parts together have; None for all.
    """

    def __init__(self, each: Iterable[tuple[Any, Array]] = (), shard: Shard | None = None) -> None:
        super().__init__(each)
        self.shard = shard

    def summed(self, xp: Namespace, terms: list[Any], axis: int = -2) -> Array:
        """The sum over the rows of the batch, along an axis, of what each part has."""
        return summed(xp, terms, axis, self.shard)


class Layer:
    """A layer; one without parameters and with as many outputs as inputs, unless it says otherwise."""

    def units(self, inputs: int) -> int:
        """How many values (n, o) it makes of a row of inputs."""
        return inputs

    def width(self, inputs: int) -> int:
        """The most values that it holds of a row of inputs, on the way there."""
        return self.units(inputs)

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """What it has to train, where rows have so many inputs."""
        return ()

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """What each of its parameters starts from; those of dense layers are drawn by an initialiser."""
        return ()

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """The value of inputs x, and the residual. `key` is one of dropout, `row` where x begins in its batch."""
        raise NotImplementedError

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """The gradient of the inputs of the gradient dy of the value; may overwrite dy if it has no parameters."""
        raise NotImplementedError

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """The gradient of each parameter, summed over the rows of all parts."""
        return ()

    def pull(
        self, xp: Namespace, residual: Any, dy: Array, need_dx: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """The gradients of the inputs (None unless needed) and of the parameters, of a batch in one part."""
        gradients = self.gradients(xp, Parts([(residual, dy)]))
        return (self.input_gradient(xp, residual, dy) if need_dx else None), gradients


# --- of a plain network --------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense(Layer):
    """x @ w + b."""

    outputs: int
    bias: bool = True

    def units(self, inputs: int) -> int:
        """As many as it is said to have."""
        return self.outputs

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Weights (i, o) and biases (o,)."""
        weights = Parameter("weights", (inputs, self.outputs))
        return (weights, Parameter("biases", (self.outputs,))) if self.bias else (weights,)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        return dense(xp, x, values[0], values[1] if self.bias else None)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        return xp.linear_input_gradient(residual, dy)

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        return self.given(*xp.linear_batch_gradient(parts, parts.shard))

    def pull(
        self, xp: Namespace, residual: Any, dy: Array, need_dx: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """As in `Layer`."""
        dx, dw, db = dense_vjp(xp, residual, dy, need_dx)
        return dx, self.given(dw, db)

    def given(self, dw: Array, db: Any) -> tuple[Array, ...]:
        """The gradients of weights and biases, or of weights alone."""
        return (dw, db) if self.bias else (dw,)


@dataclass(frozen=True)
class Function(Layer):
    """An activation."""

    activation: str

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        return activation_function(self.activation)(xp, x)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        dx: Array = residual(dy)
        return dx


@dataclass(frozen=True)
class Dropout(Layer):
    """Units dropped with a probability, if there is a key; each sample has a row for each member."""

    rate: float
    members: int = 1

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        return (x, None) if key is None else dropout(xp, x, self.rate, key, row * self.members)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        dx: Array = dy if residual is None else residual(dy)
        return dx


# --- of others -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parametric(Layer):
    """z + alpha (f(z) - z), f an activation: from the identity at alpha = 0 to f at 1, where each unit starts.

    Each unit trains an alpha of its own (RealMLP, Holzmüller et al. 2024).
    """

    activation: str

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """An alpha for each unit."""
        return (Parameter("alphas", (inputs,)),)

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """Ones."""
        return (np.ones(inputs),)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        alpha = for_rows(values[0])
        a, vjp = activation_function(self.activation)(xp, x)
        bend = a - x
        return x + bend * alpha, (vjp, bend, alpha)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """(1 - alpha) dy + alpha f'(z) dy."""
        vjp, _, alpha = residual
        bent = dy * alpha
        straight = dy - bent  # before the vjp, which may overwrite what it is given
        dx: Array = vjp(bent) + straight
        return dx

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """sum_n dy (f(z) - z)."""
        return (parts.summed(xp, [dy * bend for (_, bend, _), dy in parts]),)


# --- members that share weights ------------------------------------------------------------------
# TabM (Gorishniy et al. 2024), after BatchEnsemble (Wen et al. 2020): k networks whose weights are the same, but for
# factors of each member's own at the inputs and outputs of each dense layer, its biases and its last layer. A sample
# has k rows, one for each member, and so a dense layer of shared weights is a dense layer.


def summed(xp: Namespace, terms: list[Any], axis: int = -2, shard: Shard | None = None) -> Array:
    """The sum over the rows of all parts of a batch, each (n, o): one sum, so that it is the whole batch's to the bit
    where the arithmetic is reproducible.
    """
    return batch_sum(xp, joined(xp, terms, axis), axis, shard)


def batch_sum(xp: Namespace, x: Array, axis: int, shard: Shard | None) -> Array:
    """The sum over the rows of a batch, of which x has those of a shard, or all, along an axis.

    Under plain arithmetic a shard's is what it adds to the sum: `Namespace.totals` adds them up.
    """
    return xp.sum(x, axis=axis) if shard is None else xp.sharded_sum(x, axis, shard)


def joined(xp: Namespace, arrays: list[Any], axis: int = 0) -> Array:
    """Arrays one under the other, or along another axis."""
    return arrays[0] if len(arrays) == 1 else xp.concat(arrays, axis=axis)


# --- a row of them -------------------------------------------------------------------------------


def for_rows(parameter: Array) -> Array:
    """A parameter (o,), or a stack's (k, o), with an axis of 1 for the rows."""
    return parameter[..., None, :]


def turned(xp: Namespace, x: Array) -> Array:
    """(a, b, e) as (b, a, e), whatever is in front."""
    front = tuple(range(x.ndim - 3))
    return xp.permute_dims(x, (*front, x.ndim - 2, x.ndim - 3, x.ndim - 1))
