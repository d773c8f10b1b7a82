"""Dense layer, activations and outputs, each with its derivative beside its formula.

Every function takes the namespace `xp` it computes with and returns its value together with its vjp: the
function that pulls a gradient with respect to the value back to a gradient with respect to the input.
A vjp may overwrite the gradient it is given; it is used once. `xp` is an arithmetic (`anyarray_mlp.arithmetic`):
the Array API namespace of some library, rounding as that library does or the same everywhere.

Shapes: `x` (n, i), `w` (i, o), `b` (o,), `z` and activations (n, o). A stack of k networks has an axis of k in front of
each of these, and its members do not see one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from anyarray_mlp.typing import Array, Namespace

Vjp = Callable[[Array], Array]
Activation = Callable[[Namespace, Array], tuple[Array, Vjp]]


def dense(xp: Namespace, x: Array, w: Array, b: Array | None) -> tuple[Array, Any]:
    """x @ w + b (n, o), and the residual that `dense_vjp` needs: the one vjp whose sums may be taken over parts."""
    y, residual = xp.linear(x, w, b)
    return y, residual


def dense_vjp(
    xp: Namespace, residual: Any, dy: Array, need_dx: bool = True
) -> tuple[Array | None, Array, Array | None]:
    """Gradients with respect to x, w and b. Without `need_dx` there is none of x: the first layer has no use for it."""
    dx, dw, db = xp.linear_vjp(residual, dy, need_dx)
    return dx, dw, db


# --- activations ---------------------------------------------------------------------------------


def identity(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """z."""
    return z, lambda da: da


def logistic(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """1 / (1 + exp(-z)); the derivative is a (1 - a), of the value and not of z."""
    a = xp.logistic(z)

    def vjp(da: Array) -> Array:
        da *= a
        da *= 1.0 - a
        return da

    return a, vjp


def tanh(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """tanh(z); the derivative is 1 - a^2."""
    a = xp.tanh(z)

    def vjp(da: Array) -> Array:
        da *= 1.0 - a * a
        return da

    return a, vjp


def relu(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """max(z, 0); the derivative at 0 is taken as 0."""
    a = xp.maximum(z, 0.0)
    return a, lambda da: xp.where(a > 0, da, 0.0)


LEAK = 0.01


def leaky_relu(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """z where z > 0, else 0.01 z (Maas et al. 2013)."""
    return xp.where(z > 0, z, z * LEAK), lambda da: xp.where(z > 0, da, da * LEAK)


def elu(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """z where z > 0, else exp(z) - 1 (Clevert et al. 2016)."""
    negative = xp.expm1(xp.minimum(z, 0.0))
    return xp.where(z > 0, z, negative), lambda da: da * (negative + 1.0)


SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def selu(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """s z where z > 0, else s a (exp(z) - 1): s and a keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    # Of exp, which is the quicker, and in sums rather than choices; near zero the loss is of a unit in the place of 1.
    e = xp.exp(xp.minimum(z, 0.0)) * (SELU_SCALE * SELU_ALPHA)
    a = xp.maximum(z, 0.0) * SELU_SCALE + e - SELU_SCALE * SELU_ALPHA

    def vjp(da: Array) -> Array:
        # Where z > 0 e is s a, and the slope is s.
        return da * (e - xp.astype(z > 0, z.dtype) * (SELU_SCALE * (SELU_ALPHA - 1.0)))

    return a, vjp


def gelu(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """z Phi(z), Phi the standard normal's cumulative distribution (Hendrycks and Gimpel 2016)."""
    phi = (xp.erf(z * math.sqrt(0.5)) + 1.0) * 0.5

    def vjp(da: Array) -> Array:
        density = xp.exp(z * z * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
        return da * (phi + z * density)

    return z * phi, vjp


GELU_SCALE = math.sqrt(2.0 / math.pi)
GELU_CUBIC = 0.044715


def gelu_tanh(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """0.5 z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), the tanh form of the same paper."""
    square = z * z
    t = xp.tanh((square * GELU_CUBIC + 1.0) * z * GELU_SCALE)
    half = (t + 1.0) * 0.5

    def vjp(da: Array) -> Array:
        inner = (square * (3.0 * GELU_CUBIC) + 1.0) * GELU_SCALE
        return da * (half + z * (1.0 - t * t) * inner * 0.5)

    return z * half, vjp


def silu(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """z logistic(z) (Elfwing et al. 2018)."""
    s = xp.logistic(z)
    a = z * s
    return a, lambda da: da * (s + a * (1.0 - s))


def softplus(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """log(1 + exp(z))."""
    return xp.softplus(z), lambda da: da * xp.logistic(z)


def mish(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """z tanh(log(1 + exp(z))) (Misra 2019)."""
    t = xp.tanh(xp.softplus(z))
    return z * t, lambda da: da * (t + z * (1.0 - t * t) * xp.logistic(z))


#: By name, those registered included (`network.registry`).
ACTIVATIONS: dict[str, Activation] = {
    "identity": identity,
    "logistic": logistic,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": silu,
    "softplus": softplus,
    "mish": mish,
}

#: Those that follow z on the positive side only: weights before them are drawn wider (`initializers.fitting`), and a
#: unit that is negative for every row is dead.
RECTIFIERS = frozenset(
    {"relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus", "mish"}
)


def activation_function(name: str) -> Activation:
    """The function of an activation's name; a name of one's own carries it."""
    own: Activation | None = getattr(name, "function", None)
    return ACTIVATIONS[name] if own is None else partial(activation_by_rows, own)


def activation_by_rows(function: Activation, xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """A user's activation, which is a function of rows (n, units), of those of all members of a stack."""
    if z.ndim == 2:
        return function(xp, z)
    shape = z.shape
    value, vjp = function(xp, in_rows(xp, z))
    return xp.reshape(value, shape), lambda da: xp.reshape(vjp(in_rows(xp, da)), shape)


def in_rows(xp: Namespace, x: Array) -> Array:
    """The rows of all members of a stack, one under the other: (k n, units) of (k, n, units)."""
    return xp.reshape(x, (-1, x.shape[-1]))


# --- outputs -------------------------------------------------------------------------------------


def exponentials(xp: Namespace, z: Array) -> tuple[Array, Array, Array]:
    """z less the largest of its row, exp of that, and the sum (n, 1) of each row of exp: what softmax is made of."""
    shifted = z - xp.max(z, axis=-1, keepdims=True)
    e = xp.exp(shifted)
    return shifted, e, xp.sum(e, axis=-1, keepdims=True)


def softmax(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """exp(z) over its sum along each row; every row of the result sums to one."""
    _, e, total = exponentials(xp, z)
    p = e / total
    return p, lambda dp: p * (dp - xp.sum(dp * p, axis=-1, keepdims=True))


def exponential(xp: Namespace, z: Array) -> tuple[Array, Vjp]:
    """exp(z), the rate of a Poisson variable whose logarithm is z."""
    a = xp.exp(z)
    return a, lambda da: da * a


OUTPUTS: dict[str, Activation] = {
    "identity": identity,
    "logistic": logistic,
    "softmax": softmax,
    "exp": exponential,
}
