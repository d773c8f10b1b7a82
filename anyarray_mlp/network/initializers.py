"""Initial weights, drawn on the host by a seeded NumPy generator, so that every backend starts from the same bits.

An initialiser maps (generator, fan_in, fan_out) to a matrix (fan_in, fan_out) of float64. Biases start at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.arithmetic.elementary import Elementary
from anyarray_mlp.arithmetic.library import Library
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_not_negative
from anyarray_mlp.errors import OutOfMemoryError, UsageError
from anyarray_mlp.network.functional import RECTIFIERS
from anyarray_mlp.network.layout import Layout

Matrix = NDArray[np.float64]
Initializer = Callable[[np.random.Generator, int, int], Matrix]


@with_known_options
def uniform(scale: float = 0.05) -> Initializer:
    """Uniform on [-scale, scale)."""
    check_not_negative("scale", scale)
    return lambda generator, fan_in, fan_out: symmetric(generator, fan_in, fan_out) * scale


@with_known_options
def normal(scale: float = 0.05) -> Initializer:
    """Normal of standard deviation `scale`."""
    check_not_negative("scale", scale)
    return lambda generator, fan_in, fan_out: standard_normal(generator, fan_in, fan_out) * scale


def glorot_uniform(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / (fan_in + fan_out), uniform (Glorot and Bengio 2010)."""
    return symmetric(generator, fan_in, fan_out) * math.sqrt(6.0 / (fan_in + fan_out))


def glorot_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / (fan_in + fan_out), normal (Glorot and Bengio 2010)."""
    return standard_normal(generator, fan_in, fan_out) * math.sqrt(2.0 / (fan_in + fan_out))


def he_uniform(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / fan_in, uniform (He et al. 2015)."""
    return symmetric(generator, fan_in, fan_out) * math.sqrt(6.0 / fan_in)


def he_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 2 / fan_in, normal (He et al. 2015)."""
    return standard_normal(generator, fan_in, fan_out) * math.sqrt(2.0 / fan_in)


def lecun_uniform(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 1 / fan_in, uniform (LeCun et al. 1998)."""
    return symmetric(generator, fan_in, fan_out) * math.sqrt(3.0 / fan_in)


def lecun_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Variance 1 / fan_in, normal (LeCun et al. 1998)."""
    return standard_normal(generator, fan_in, fan_out) * math.sqrt(1.0 / fan_in)


def orthogonal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Rows or columns, whichever are fewer, orthonormal (Saxe et al. 2014)."""
    tall, short = max(fan_in, fan_out), min(fan_in, fan_out)
    q = orthonormal_columns(standard_normal(generator, tall, short))
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


def fitting(activation: str) -> Initializer:
    """The initialiser that keeps the scale of signals through layers of an activation."""
    if activation == "selu":  # which keeps it if weights do
        return lecun_normal
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
    generator = streams.generator("initial weights", seed)
    vector = empty_vector(layout)
    parts = layout.split(vector)
    for layer, activation in enumerate(activations):
        *members, fan_in, fan_out = layout.shapes[layer]
        for member in np.ndindex(*members):
            drawn = resolve(initializer, activation)(generator, fan_in, fan_out)
            parts[layer][(*member, ...)] = checked_weights(drawn, fan_in, fan_out)
    return vector


def empty_vector(layout: Layout) -> NDArray[np.float64]:
    """Parameters (p,) of zero; `OutOfMemoryError` if there are too many."""
    try:
        return np.zeros(layout.size)
    except (MemoryError, ValueError):  # the latter where no array can be so large
        raise OutOfMemoryError(
            f"A network of sizes {shown(layout.sizes)} has more parameters than fit into memory: make its "
            "layers smaller."
        ) from None


def checked_weights(drawn: object, fan_in: int, fan_out: int) -> Matrix:
    """What an initialiser gave; `UsageError` where it is no finite matrix (fan_in, fan_out)."""
    matrix = np.asarray(drawn)
    if matrix.dtype.kind not in "fiu" or matrix.shape != (fan_in, fan_out):
        raise UsageError(
            f"initializer must give a matrix of shape ({fan_in}, {fan_out}), fan_in by fan_out, got {shown(drawn)}."
        )
    if not np.all(np.isfinite(matrix)):
        raise UsageError("initializer must give finite numbers, and some are not.")
    return matrix


def resolve(initializer: str | Initializer, activation: str) -> Initializer:
    """The function behind a name, for a layer followed by `activation`."""
    if callable(initializer) and not isinstance(initializer, type):
        return initializer
    name = find_name("initializer", initializer, ("auto", *INITIALIZERS))
    return fitting(activation) if name == "auto" else INITIALIZERS[name]


def symmetric(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Uniform on [-1, 1), in steps of 2^-52."""
    raw = generator.bit_generator.random_raw(fan_in * fan_out) >> np.uint64(11)
    return (raw.astype(np.float64) * 2.0**-52 - 1.0).reshape(fan_in, fan_out)


def standard_normal(generator: np.random.Generator, fan_in: int, fan_out: int) -> Matrix:
    """Normal of mean 0 and variance 1, by the polar method (Marsaglia and Bray 1964), two from each point.

    NumPy's own draws call the system's libm; the logarithm here has the same bits everywhere.
    """
    count = fan_in * fan_out
    parts: list[Matrix] = [np.zeros(0)]
    while sum(part.size for part in parts) < count:
        u, v = symmetric(generator, 2, count // 2 + 8)
        s = u * u + v * v
        inside = (s > 0.0) & (s < 1.0)
        u, v, s = u[inside], v[inside], s[inside]
        radius = np.sqrt(-2.0 * host_functions().log(s) / s)
        parts += [u * radius, v * radius]
    return np.concatenate(parts)[:count].reshape(fan_in, fan_out)


@cache
def host_functions() -> Elementary:
    """Elementwise functions of NumPy arrays with the same bits on every machine."""
    return Elementary(Library(np))


def orthonormal_columns(a: Matrix) -> Matrix:
    """An orthonormal basis (m, n) of the columns of a (m, n), m >= n: Q of the QR decomposition whose R has a
    positive diagonal, by Householder's reflections (Golub and Van Loan, section 5.2).

    Written out since LAPACK's bits depend on the BLAS. Sums run down the rows, one after the other.
    """
    a = a.copy()
    m, n = a.shape
    q, signs = np.eye(m, n), np.ones(n)
    reflections = []
    for j in range(n):
        v = a[j:, j].copy()
        norm = math.sqrt(math.fsum(v * v))
        signs[j] = -math.copysign(1.0, v[0])
        v[0] += math.copysign(norm, v[0])
        column = v[:, None] * (2.0 / (math.fsum(v * v) or 1.0))
        reflections.append((v[:, None], column))
        reflect(a[j:, j:], *reflections[-1])
    for j in range(n - 1, -1, -1):
        reflect(q[j:, j:], *reflections[j])
    return q * signs


def reflect(a: Matrix, v: Matrix, scaled: Matrix) -> None:
    """a -= scaled (v^T a), in place; the sum over rows is taken in their order."""
    a -= scaled * np.add.reduce(v * a, axis=0)
