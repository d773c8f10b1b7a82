"""Optimisers as pure pairs (init, update) over the leaves of the parameters.

An update is elementwise: `kernel(xp, p, g, *moments, *scalars)` returns the new p and moments of any slice of
the parameters, so an arithmetic may run it in cache-sized blocks, as one fused kernel, or whole. What changes
from step to step (learning rate, bias corrections) is worked out on the host by `scalars(t, rate)` and enters
as 0-d arrays; a compiled step then never goes stale. Augmented assignment works in place where the library
can; the returned arrays are the result.

The leaves may be those of a stack of k networks: scalars are then 0-d, the same for all, or (k,), one for each member.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any

import numpy as np

from anyarray_mlp.arithmetic.scalar import integer_power, integer_powers
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_callable,
    check_instance,
    check_not_negative,
    check_positive,
    check_real,
    check_whole,
    is_whole,
    items,
    refuse,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.layout import Layout, is_flat
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.schedules import faded
from anyarray_mlp.typing import Array, Host, Leaves, Namespace

State = tuple[Leaves, ...]


@with_known_options
@dataclass(frozen=True)
class Optimizer:
    """A first-order optimiser.

    `n_moments` is the number of arrays kept for each parameter; `scalars(t, rate)` gives the numbers of step
    t = 1, 2, ... at learning rate `rate`, of which there are `n_scalars`; for arrays of steps and rates, arrays.
    """

    name: str
    n_moments: int
    n_scalars: int
    kernel: Callable[..., tuple[Array, ...]]
    scalars: Callable[[Any, Any], tuple[Any, ...]]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            refuse("name", "a text", self.name)
        check_whole("n_moments", self.n_moments, 0)
        check_whole("n_scalars", self.n_scalars, 0)
        check_callable("kernel", self.kernel)
        check_callable("scalars", self.scalars)

    def init(self, xp: Namespace, theta: Leaves) -> State:
        """Moments of zero, one tuple of leaves for each."""
        return tuple(tuple(xp.zeros_like(leaf) for leaf in theta) for _ in range(self.n_moments))

    def start(self, layout: Layout) -> tuple[Host, ...]:
        """The moments (p,) before the first step, on the host: zeros."""
        return tuple(np.zeros(layout.size) for _ in range(self.n_moments))

    def update(
        self, xp: Namespace, theta: Leaves, grad: Leaves, state: State, scalars: tuple[Array, ...]
    ) -> tuple[Leaves, State]:
        """New parameters and moments after one step along `grad`; what is passed in is used up."""

        def apply(p: Array, g: Array, *moments: Array) -> tuple[Array, ...]:
            return self.kernel(xp, p, g, *moments, *scalars)

        def by_member(*arrays: Array) -> tuple[Array, ...]:
            rows = [xp.reshape(array, (*stack, -1)) for array in arrays]
            news = self.kernel(xp, *rows, *(scalar[:, None] for scalar in scalars))
            return tuple(xp.reshape(new, arrays[0].shape) for new in news)

        stack = tuple(getattr(scalars[0], "shape", ())) if scalars else ()
        each = by_member if stack else partial(xp.elementwise, apply)
        results = [each(*arrays) for arrays in zip(theta, grad, *state, strict=True)]
        columns = tuple(zip(*results, strict=True))
        return columns[0], columns[1:]

    def followed(self, xp: Namespace, grad: Leaves) -> Leaves:
        """The gradient as far as it is followed: all of it."""
        return grad


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


@with_known_options
def sgd() -> Optimizer:
    """p -= rate g."""

    def kernel(xp: Namespace, p: Array, g: Array, rate: Array) -> tuple[Array, ...]:
        p -= rate * g
        return (p,)

    return Optimizer("sgd", 0, 1, kernel, lambda t, rate: (rate,))


@with_known_options
def momentum(momentum: float = 0.9) -> Optimizer:
    """v = mu v - rate g; p += v (Polyak 1964)."""
    mu = _fraction("momentum", momentum, closed=True)

    def kernel(xp: Namespace, p: Array, g: Array, v: Array, rate: Array) -> tuple[Array, ...]:
        v *= mu
        v -= rate * g
        p += v
        return p, v

    return Optimizer("momentum", 1, 1, kernel, lambda t, rate: (rate,))


@with_known_options
def nesterov(momentum: float = 0.9) -> Optimizer:
    """v = mu v - rate g; p += mu v - rate g (Nesterov 1983, in the form of Sutskever et al. 2013)."""
    mu = _fraction("momentum", momentum, closed=True)

    def kernel(xp: Namespace, p: Array, g: Array, v: Array, rate: Array) -> tuple[Array, ...]:
        step = rate * g
        v *= mu
        v -= step
        p += v * mu
        p -= step
        return p, v

    return Optimizer("nesterov", 1, 1, kernel, lambda t, rate: (rate,))


@with_known_options
def adam(beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Adam (Kingma and Ba 2015), in the order given at the end of the paper's section 2.

    m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= rate_t m / (sqrt(v) + epsilon), where
    rate_t = rate sqrt(1 - b2^t) / (1 - b1^t).
    """
    moments = _adam_moments(beta_1, beta_2, epsilon)

    def kernel(
        xp: Namespace, p: Array, g: Array, m: Array, v: Array, rate: Array
    ) -> tuple[Array, ...]:
        step, m, v = moments(xp, g, m, v)
        step *= rate
        p -= step
        return p, m, v

    return Optimizer(
        "adam", 2, 1, kernel, lambda t, rate: (rate * adam_correction(beta_1, beta_2, t),)
    )


@with_known_options
def adamw(
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
    fades_over: int | None = None,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): p *= 1 - rate weight_decay first.

    fades_over : how many steps the run has, if the decay is to fade in their second half, along half a cosine to zero
        (RealMLP, Holzmüller et al. 2024).
    """
    moments = _adam_moments(beta_1, beta_2, epsilon)
    check_not_negative("weight_decay", weight_decay)
    if fades_over is not None:
        check_whole("fades_over", fades_over, 1)

    def kernel(
        xp: Namespace, p: Array, g: Array, m: Array, v: Array, rate: Array, keep: Array
    ) -> tuple[Array, ...]:
        step, m, v = moments(xp, g, m, v)
        step *= rate
        p *= keep
        p -= step
        return p, m, v

    def scalars(t: Any, rate: Any) -> tuple[Any, ...]:
        decay: Any = weight_decay
        if fades_over is not None:
            shares = [faded((step - 1) / fades_over) for step in np.atleast_1d(t).tolist()]
            decay = weight_decay * (np.array(shares) if isinstance(t, np.ndarray) else shares[0])
        return rate * adam_correction(beta_1, beta_2, t), 1.0 - rate * decay

    return Optimizer("adamw", 2, 2, kernel, scalars)


@with_known_options
def rmsprop(rho: float = 0.9, epsilon: float = 1e-8) -> Optimizer:
    """v = rho v + (1 - rho) g^2; p -= rate g / (sqrt(v) + epsilon) (Tieleman and Hinton 2012)."""
    rho = _fraction("rho", rho)
    check_positive("epsilon", epsilon)

    def kernel(xp: Namespace, p: Array, g: Array, v: Array, rate: Array) -> tuple[Array, ...]:
        square = g * g
        square *= 1.0 - rho
        v *= rho
        v += square
        scale = xp.sqrt(v)
        scale += epsilon
        step = g / scale
        step *= rate
        p -= step
        return p, v

    return Optimizer("rmsprop", 1, 1, kernel, lambda t, rate: (rate,))


#: Makers by name. L-BFGS is not here: it needs the loss of whole passes (`training.lbfgs.minimize`).
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
}


def clip_by_norm(
    xp: Namespace, grad: Leaves, max_norm: float, stack: tuple[int, ...] = ()
) -> Leaves:
    """Scale the whole gradient down to Euclidean norm `max_norm` where it is longer (Pascanu et al. 2013).

    stack : (k,) if the leaves are those of a stack of k networks, each of which has a gradient of its own.
    """
    norm = gradient_norm(xp, grad, stack)
    # norm - norm is 0, or NaN where the squares overflowed: nothing would be left of the gradient, and training
    # would stand still without a word. So it diverges, and says so.
    scale = max_norm / xp.maximum(norm, max_norm) + (norm - norm)
    if not stack:
        return tuple(leaf * scale for leaf in grad)
    return tuple(
        xp.reshape(xp.reshape(leaf, (*stack, -1)) * scale[:, None], leaf.shape) for leaf in grad
    )


def gradient_norm(xp: Namespace, grad: Leaves, stack: tuple[int, ...] = ()) -> Array:
    """Euclidean norm of all leaves together, 0-d; that of each member of a stack, (k,)."""
    # One sum, so that it does not depend on how the parameters are cut into leaves.
    parts = [xp.reshape(leaf, (*stack, -1)) for leaf in grad]
    vector = parts[0] if len(parts) == 1 else xp.concat(parts, axis=-1)
    return xp.sqrt(xp.sum(vector * vector, axis=-1))


def _adam_moments(beta_1: float, beta_2: float, epsilon: float) -> Callable[..., tuple[Array, ...]]:
    _fraction("beta_1", beta_1)
    _fraction("beta_2", beta_2)
    check_positive("epsilon", epsilon)

    def moments(xp: Namespace, g: Array, m: Array, v: Array) -> tuple[Array, ...]:
        square = g * g
        square *= 1.0 - beta_2
        v *= beta_2
        v += square
        m *= beta_1
        m += g * (1.0 - beta_1)
        scale = xp.sqrt(v)
        scale += epsilon
        return m / scale, m, v

    return moments


def adam_correction(beta_1: float, beta_2: float, t: Any) -> Any:
    """sqrt(1 - b2^t) / (1 - b1^t), the bias correction of step t = 1, 2, ..., or of an array of steps."""
    power: Any = integer_powers if isinstance(t, np.ndarray) else integer_power
    return np.sqrt(1.0 - power(beta_2, t)) / (1.0 - power(beta_1, t))


def _fraction(name: str, value: float, closed: bool = False) -> float:
    bracket = "]" if closed else ")"
    holds = (lambda v: 0 <= v <= 1) if closed else (lambda v: 0 <= v < 1)
    return check_real(name, value, f"a number in [0, 1{bracket}", holds)
