"""Optimisers as pure pairs (init, update) over the leaves of the parameters.

An update is elementwise: `kernel(xp, p, g, *moments, *scalars)` returns the new p and moments of any slice of
the parameters, so an arithmetic may run it in cache-sized blocks, as one fused kernel, or whole. What changes
from step to step (learning rate, bias corrections) is worked out on the host by `scalars(t, rate)` and enters
as 0-d arrays; a compiled step then never goes stale. Augmented assignment works in place where the library
can; the returned arrays are the result.

The leaves may be those of a stack of k networks: scalars are then 0-d, the same for all, or (k,), one for each member.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from anyarray_mlp.arithmetic.scalar import integer_power, integer_powers
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_callable,
    check_not_negative,
    check_positive,
    check_real,
    check_whole,
    refuse,
)
from anyarray_mlp.network.layout import Layout
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
