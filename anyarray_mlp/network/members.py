"""Layers of networks that share weights (TabM): each member has factors of its own, and a last layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.network.functional import Activation, Vjp
from anyarray_mlp.network.initializers import symmetric
from anyarray_mlp.network.layers import Dense, Layer, Parts, turned
from anyarray_mlp.network.layout import Parameter
from anyarray_mlp.typing import Array, Host, Namespace


@dataclass(frozen=True)
class Members(Layer):
    """Each row becomes k, one for each member, times its own factors: signs drawn at random."""

    members: int

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """The factors (k, i)."""
        return (Parameter("factors_in", (self.members, inputs)),)

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """1 or -1."""
        return (np.where(symmetric(random, self.members, inputs) < 0, -1.0, 1.0),)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        factors, rows = values[0][..., None, :, :], x[..., None, :]  # (1, k, i), (n, 1, i)
        return merged(xp, rows * factors), (rows, factors)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        _, factors = residual
        return xp.sum(apart(xp, dy, self.members) * factors, axis=-2)

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        terms = [apart(xp, dy, self.members) * rows for (rows, _), dy in parts]
        return (parts.summed(xp, terms, -3),)


@dataclass(frozen=True)
class Factors(Layer):
    """Each member's row times its own factors, ones at the start, and plus its own biases if it has some."""

    name: str
    members: int
    bias: bool = False

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """The factors and biases (k, i)."""
        shape = (self.members, inputs)
        factors = Parameter(self.name, shape)
        return (factors, Parameter("biases", shape)) if self.bias else (factors,)

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """Ones, and zeros."""
        shape = (self.members, inputs)
        return (np.ones(shape), np.zeros(shape)) if self.bias else (np.ones(shape),)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        rows, factors = apart(xp, x, self.members), values[0][..., None, :, :]
        y = rows * factors
        if self.bias:
            y = y + values[1][..., None, :, :]
        return merged(xp, y), (rows, factors)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        _, factors = residual
        return merged(xp, apart(xp, dy, self.members) * factors)

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        dys = [apart(xp, dy, self.members) for _, dy in parts]
        terms = [dy * rows for ((rows, _), _), dy in zip(parts, dys, strict=True)]
        found = (terms, dys) if self.bias else (terms,)
        return tuple(parts.summed(xp, each, -3) for each in found)


@dataclass(frozen=True)
class Heads(Dense):
    """A dense layer of each member's own: weights (k, i, o) and biases (k, o)."""

    members: int = 1

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """As those of a dense layer, k of each."""
        return tuple(
            Parameter(name, (self.members, *shape)) for name, shape in super().parameters(inputs)
        )

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        y, residual = super().apply(xp, values, self.by_member(xp, x), key, row)
        return merged(xp, turned(xp, y)), residual

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        dx = super().input_gradient(xp, residual, self.by_member(xp, dy))
        return merged(xp, turned(xp, dx))

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        each = ((kept, self.by_member(xp, dy)) for kept, dy in parts)
        return super().gradients(xp, Parts(each, parts.shard))

    def pull(
        self, xp: Namespace, residual: Any, dy: Array, need_dx: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """As in `Layer`."""
        dx, gradients = super().pull(xp, residual, self.by_member(xp, dy), need_dx)
        return (None if dx is None else merged(xp, turned(xp, dx))), gradients

    def by_member(self, xp: Namespace, x: Array) -> Array:
        """Rows (n k, i) as (k, n, i)."""
        return turned(xp, apart(xp, x, self.members))


def apart(xp: Namespace, x: Array, members: int) -> Array:
    """Rows (n k, i) as (n, k, i)."""
    *front, _, units = x.shape
    return xp.reshape(x, (*front, -1, members, units))


def merged(xp: Namespace, x: Array) -> Array:
    """(n, k, i) as rows (n k, i)."""
    *front, n, k, units = x.shape
    return xp.reshape(x, (*front, n * k, units))


def repeated(xp: Namespace, x: Array, members: int) -> Array:
    """Each row (n, i) once for each member: (n k, i)."""
    return merged(xp, xp.concat([x[..., None, :]] * members, axis=-2))


def mean_outputs(xp: Namespace, function: Activation, z: Array, members: int) -> tuple[Array, Vjp]:
    """The mean of the members' outputs (n, o) of their logits (n k, o), and the vjp down to these."""
    y, vjp = function(xp, z)
    mean = xp.sum(apart(xp, y, members), axis=-2) * (1.0 / members)
    return mean, lambda dy: vjp(repeated(xp, dy * (1.0 / members), members))


def mean_losses(xp: Namespace, losses: Array, vjp: Vjp, members: int) -> tuple[Array, Vjp]:
    """The mean (n,) of the members' losses (n k,), and the vjp down to their logits."""
    mean = xp.sum(apart(xp, losses[..., None], members)[..., 0], axis=-1) * (1.0 / members)

    def mean_vjp(g: Array) -> Array:
        g = g * (1.0 / members)
        return vjp(repeated(xp, g, members) if getattr(g, "ndim", 0) else g)

    return mean, mean_vjp
