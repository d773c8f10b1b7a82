"""Initial weights, drawn on the host by a seeded NumPy generator, so that every backend starts from the same bits.

An initialiser maps (generator, fan_in, fan_out) to a matrix (fan_in, fan_out) of float64. Biases start at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.errors import UsageError
from anyarray_mlp.parameters import Layout

Matrix = NDArray[np.float64]
Initializer = Callable[[np.random.Generator, int, int], Matrix]


def _check_scale(scale: float) -> None:
    if not (0 <= scale < math.inf):
        raise UsageError(f"scale must be zero or more and finite, got {scale!r}.")


def uniform(scale: float = 0.05) -> Initializer:
    """Uniform on [-scale, scale)."""
    _check_scale(scale)
    return lambda generator, fan_in, fan_out: symmetric(generator, fan_in, fan_out) * scale


def normal(scale: float = 0.05) -> Initializer:
    """Normal of standard deviation `scale`."""
    _check_scale(scale)
    return lambda generator, fan_in, fan_out: generator.standard_normal((fan_in, fan_out)) * scale


def glorot_uniform(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / (fan_in + fan_out), uniform (Glorot and Bengio 2010)."""
    return symmetric(generator, fan_in, fan_out) * math.sqrt(6.0 / (fan_in + fan_out))


def glorot_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / (fan_in + fan_out), normal (Glorot and Bengio 2010)."""
    return generator.standard_normal((fan_in, fan_out)) * math.sqrt(2.0 / (fan_in + fan_out))


def he_uniform(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / fan_in, uniform (He et al. 2015)."""
    return symmetric(generator, fan_in, fan_out) * math.sqrt(6.0 / fan_in)


def he_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / fan_in, normal (He et al. 2015)."""
    return generator.standard_normal((fan_in, fan_out)) * math.sqrt(2.0 / fan_in)


def lecun_uniform(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 1 / fan_in, uniform (LeCun et al. 1998)."""
    return symmetric(generator, fan_in, fan_out) * math.sqrt(3.0 / fan_in)


def lecun_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 1 / fan_in, normal (LeCun et al. 1998)."""
    return generator.standard_normal((fan_in, fan_out)) * math.sqrt(1.0 / fan_in)


def orthogonal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Rows or columns, whichever are fewer, orthonormal (Saxe et al. 2014)."""
    tall, short = max(fan_in, fan_out), min(fan_in, fan_out)
    q, r = np.linalg.qr(generator.standard_normal((tall, short)))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # makes the decomposition unique
    return q if fan_in >= fan_out else np.ascontiguousarray(q.T)


def zeros(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """All zero: every unit of a layer then stays the same as its neighbours. For demonstrations."""
    return np.zeros((fan_in, fan_out))


INITIALIZERS: dict[str, Initializer] = {
    "glorot_uniform": glorot_uniform,
    "glorot_normal": glorot_normal,
    "he_uniform": he_uniform,
    "he_normal": he_normal,
    "lecun_uniform": lecun_uniform,
    "lecun_normal": lecun_normal,
    "orthogonal": orthogonal,
    "uniform": uniform(),
    "normal": normal(),
    "zeros": zeros,
}

RECTIFIERS = frozenset({"relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "softplus"})


def fitting(activation: str) -> Initializer:
    """The initialiser that keeps the scale of signals through layers of an activation."""
    return he_uniform if activation in RECTIFIERS else glorot_uniform


def initialize(
    layout: Layout,
    activations: Sequence[str],
    *,
    seed: int,
    initializer: str | Initializer = "auto",
) -> NDArray[np.float64]:
    """The flat vector (p,) of initial parameters: weights by `initializer`, biases zero.

    `activations` names the activation after each dense layer, the output's included. `initializer` is a name
    of `INITIALIZERS`, "auto" for the one that fits each activation, or a function of one's own.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    vector = np.zeros(layout.size)
    parts = layout.split(vector)
    for layer, activation in enumerate(activations):
        fan_in, fan_out = layout.sizes[layer], layout.sizes[layer + 1]
        parts[layer][...] = resolve(initializer, activation)(generator, fan_in, fan_out)
    return vector


def resolve(initializer: str | Initializer, activation: str) -> Initializer:
    """The function behind a name, for a layer followed by `activation`."""
    if not isinstance(initializer, str):
        return initializer
    if initializer == "auto":
        return fitting(activation)
    try:
        return INITIALIZERS[initializer]
    except KeyError:
        names = ", ".join(["auto", *INITIALIZERS])
        raise UsageError(f"initializer must be one of {names}, got {initializer!r}.") from None


def symmetric(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Uniform on [-1, 1)."""
    return generator.random((fan_in, fan_out)) * 2.0 - 1.0
