"""Optimisers that treat parameters differently: some stay as they are, or have rates and decay times a factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_instance, check_not_negative, is_whole, items, refuse
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.layout import Layout, is_flat
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.optimizers import OPTIMIZERS, Optimizer, State
from anyarray_mlp.typing import Array, Host, Leaves, Namespace


@dataclass(frozen=True)
class Frozen(Optimizer):
    """An optimiser that leaves the parameters of some layers, and their moments, as they are to the bit."""

    base: Optimizer
    layout: Layout
    layers: tuple[int, ...]

    @cached_property
    def stays(self) -> tuple[bool, ...]:
        """Of each parameter of the layout, whether it stays as it is."""
        names = (name.partition(".")[2] for name in self.layout.names)
        return tuple(int(layer) in self.layers for layer in names)

    @cached_property
    def spans(self) -> tuple[tuple[slice, bool], ...]:
        """The flat vector in pieces that stay or are trained, as long as can be."""
        pieces: list[tuple[slice, bool]] = []
        for (start, stop), stays in zip(self.layout.bounds, self.stays, strict=True):
            if pieces and pieces[-1][1] == stays:
                start = pieces.pop()[0].start
            pieces.append((slice(start, stop), stays))
        return tuple(pieces)

    def pieces(self, xp: Namespace, leaves: Leaves) -> list[tuple[Array, bool]]:
        """The leaves in pieces, and whether each stays."""
        flat, layout = is_flat(leaves), self.layout
        stack = layout.stack_of(leaves)
        shapes = tuple(tuple(leaf.shape) for leaf in leaves)
        whole = ((math.prod(stack) * layout.size,),)
        if shapes != (whole if flat else tuple((*stack, *shape) for shape in layout.shapes)):
            raise UsageError(
                f"The optimizer was frozen for a network {layout.sizes} and trains another, whose parameters are of "
                f"shapes {shown(shapes)}: give frozen the network that is trained."
            )
        if not flat:
            return list(zip(leaves, self.stays, strict=True))
        rows = xp.reshape(leaves[0], (*stack, layout.size)) if stack else leaves[0]
        return [(rows[..., span], stays) for span, stays in self.spans]

    def update(
        self, xp: Namespace, theta: Leaves, grad: Leaves, state: State, scalars: tuple[Array, ...]
    ) -> tuple[Leaves, State]:
        """As `Optimizer.update`."""
        flat = is_flat(theta)
        columns = [
            [piece for piece, _ in self.pieces(xp, leaves)] for leaves in (theta, grad, *state)
        ]
        results = []
        for (_, stays), p, g, *moments in zip(self.pieces(xp, theta), *columns, strict=True):
            if stays:
                results.append((p, *moments))
                continue
            (new,), news = self.base.update(
                xp, (p,), (g,), tuple((moment,) for moment in moments), scalars
            )
            results.append((new, *(moment for (moment,) in news)))
        joined = [
            whole(xp, column, theta[0].shape) if flat else column
            for column in zip(*results, strict=True)
        ]
        return joined[0], tuple(joined[1:])

    def init(self, xp: Namespace, theta: Leaves) -> State:
        """As `Optimizer.init`."""
        return self.base.init(xp, theta)

    def start(self, layout: Layout) -> tuple[Host, ...]:
        """As `Optimizer.start`."""
        return self.base.start(layout)

    def followed(self, xp: Namespace, grad: Leaves) -> Leaves:
        """The gradient, zero where parameters stay as they are."""
        pieces = tuple(
            xp.zeros_like(piece) if stays else piece for piece, stays in self.pieces(xp, grad)
        )
        return whole(xp, pieces, grad[0].shape) if is_flat(grad) else pieces


def whole(xp: Namespace, pieces: Sequence[Array], shape: tuple[int, ...]) -> Leaves:
    """The flat leaf of a shape that pieces of it, or of the rows of its members, make up."""
    if len(pieces[0].shape) == 1:
        return (xp.concat(pieces),)
    return (xp.reshape(xp.concat(pieces, axis=-1), shape),)


@with_known_options
def frozen(optimizer: Optimizer, mlp: MLP, layers: Sequence[int]) -> Optimizer:
    """The optimiser with some layers of a network frozen: their weights and biases stay as they are, to the bit.

    `layers` are places of dense layers from 0, the first hidden layer's. Raises `UsageError` where the network has no
    such layer, or none would be left to train.
    """
    check_instance("optimizer", optimizer, Optimizer, "an Optimizer, such as adam()")
    check_network(mlp)
    n = mlp.layout.n_layers
    what = f"a list of places of layers from 0 to {n - 1}"
    given = items("layers", layers, what)
    if not all(is_whole(layer) and 0 <= layer < n for layer in given):
        refuse("layers", what, layers)
    places = tuple(sorted({int(layer) for layer in given}))
    if len(places) == n:
        raise UsageError(
            f"layers {shown(layers)} are all that the network has: leave one to train."
        )
    names = {field.name: getattr(optimizer, field.name) for field in fields(Optimizer)}
    return (
        Frozen(**names, base=optimizer, layout=mlp.layout, layers=places) if places else optimizer
    )


@dataclass(frozen=True)
class Factored(Optimizer):
    """An optimiser whose learning rate, and weight decay, each parameter has times a factor of its own.

    The factors lie beside the moments, and never change: so they are on the device once, are cut as these are, by block
    or by leaf or by member, and are saved with them. `factors` has, for each of them, a number for each array of the
    layout.
    """

    layout: Layout
    factors: tuple[tuple[float, ...], ...]

    def init(self, xp: Namespace, theta: Leaves) -> State:
        """Moments of zero, and the factors."""
        moments = super().init(xp, theta)[: -len(self.factors)]
        stack = math.prod(self.layout.stack_of(theta))
        spread = self.start(self.layout)[-len(self.factors) :]
        parts = (
            [np.tile(vector, stack)] if is_flat(theta) else self.layout.split(vector)
            for vector in spread
        )
        return *moments, *(
            tuple(
                xp.zeros_like(leaf) + xp.asarray(part, dtype=leaf.dtype)
                for leaf, part in zip(theta, each, strict=True)
            )
            for each in parts
        )

    def start(self, layout: Layout) -> tuple[Host, ...]:
        """Moments of zero, and the factors, each spread over its array."""
        if layout != self.layout:
            raise UsageError(
                f"The optimizer has factors for a network {self.layout.sizes} and trains another, {layout.sizes}: give "
                "with_factors the network that is trained."
            )
        sizes = [stop - start for start, stop in layout.bounds]
        spread = tuple(np.repeat(np.asarray(each), sizes) for each in self.factors)
        return *super().start(layout)[: -len(spread)], *spread


@with_known_options
def with_factors(
    optimizer: Optimizer,
    mlp: MLP,
    rates: Sequence[float],
    decays: Sequence[float] | None = None,
) -> Optimizer:
    """The optimiser with factors of the learning rate, and of the weight decay of adamw, for each array of a network.

    rates, decays : a number of at least 0 for each of `mlp.layout.names`: the weights of each layer, then its biases.
        A parameter takes its steps at rate * factor, and adamw multiplies it by 1 - rate * factor * decay *
        weight_decay.

    With rates of 1/sqrt(i) for weights (i, o) that are drawn with a variance of 1/i, Adam trains a network in the
    parametrisation of the neural tangent kernel. Raises `UsageError` for an optimiser that is not of `OPTIMIZERS`, for
    decays without adamw, and for factors that do not fit the network.
    """
    check_instance("optimizer", optimizer, Optimizer, "an Optimizer, such as adam()")
    check_network(mlp)
    if type(optimizer) is not Optimizer or optimizer.name not in OPTIMIZERS:
        raise UsageError(
            "with_factors takes an optimizer of this package, such as adam(): if layers are to be frozen, give frozen "
            "what with_factors returns."
        )
    decaying = optimizer.n_scalars > 1
    if decays is not None and not decaying:
        raise UsageError(f"decays are for adamw, and this is {optimizer.name}: leave them out.")
    own = checked_factors("rates", rates, mlp.layout)
    factors: tuple[tuple[float, ...], ...] = (own,)
    if decaying:
        each = (
            (1.0,) * len(own) if decays is None else checked_factors("decays", decays, mlp.layout)
        )
        factors = (own, tuple(rate * decay for rate, decay in zip(own, each, strict=True)))

    n, kernel = optimizer.n_moments, optimizer.kernel

    def factored(xp: Namespace, p: Array, g: Array, *rest: Array) -> tuple[Array, ...]:
        moments, spread, scalars = rest[:n], rest[n : n + len(factors)], rest[n + len(factors) :]
        its = [scalars[0] * spread[0]]
        if decaying:
            its.append((scalars[1] - 1.0) * spread[1] + 1.0)
        return *kernel(xp, p, g, *moments, *its), *spread

    return Factored(
        optimizer.name,
        n + len(factors),
        optimizer.n_scalars,
        factored,
        optimizer.scalars,
        mlp.layout,
        factors,
    )


def checked_factors(name: str, given: Any, layout: Layout) -> tuple[float, ...]:
    """A factor for each array of a layout; `UsageError` for others."""
    what = f"{len(layout.shapes)} numbers of at least 0, one for each of {', '.join(layout.names)}"
    found = items(name, given, what)
    if len(found) != len(layout.shapes):
        refuse(name, what, given)
    return tuple(float(check_not_negative(name, factor)) for factor in found)
