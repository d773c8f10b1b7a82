"""Dense layer, activations, outputs, losses and dropout, each with its derivative beside its formula.

Every function takes the namespace `xp` it computes with and returns its value together with its vjp: the
function that pulls a gradient with respect to the value back to a gradient with respect to the input.
A vjp may overwrite the gradient it is given; it is used once. `xp` is an arithmetic (`anyarray_mlp.arithmetic`):
the Array API namespace of some library, rounding as that library does or the same everywhere.

Shapes: `x` (n, i), `w` (i, o), `b` (o,), `z` and activations (n, o); losses (n,), one for each sample. A stack of k
networks has an axis of k in front of each of these, and its members do not see one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from anyarray_mlp.typing import Array, Namespace

Vjp = Callable[[Array], Array]
Activation = Callable[[Namespace, Array], tuple[Array, Vjp]]
Loss = Callable[[Namespace, Array, Array], tuple[Array, Vjp]]


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


# --- losses --------------------------------------------------------------------------------------
# A loss of one sample sums over its outputs. Its vjp takes the gradient with respect to the losses as a
# column (n, 1) or a scalar.


def squared_error(xp: Namespace, y: Array, targets: Array) -> tuple[Array, Vjp]:
    """Half the squared distance: 0.5 sum_k (y - t)^2."""
    d = y - targets
    return xp.sum(d * d, axis=-1) * 0.5, lambda g: d * g


def absolute_error(xp: Namespace, y: Array, targets: Array) -> tuple[Array, Vjp]:
    """sum_k |y - t|; the derivative where they are equal is taken as 0."""
    d = y - targets
    return xp.sum(xp.abs(d), axis=-1), lambda g: xp.sign(d) * g


def huber(xp: Namespace, y: Array, targets: Array, delta: float = 1.0) -> tuple[Array, Vjp]:
    """Squared error within delta of the target, absolute error times delta beyond (Huber 1964)."""
    d = y - targets
    near = xp.minimum(xp.maximum(d, -delta), delta)
    return xp.sum(near * (d - near * 0.5), axis=-1), lambda g: near * g


def surprise(xp: Namespace, shifted: Array, total: Array, targets: Array) -> Array:
    """-sum_k t log softmax (n,) of what `exponentials` gives; `targets` are rows (n, k) or labels (n,)."""
    if targets.ndim < shifted.ndim:
        return xp.log(total[..., 0]) - entries(xp, shifted, targets)
    return xp.log(total[..., 0]) - xp.sum(shifted * targets, axis=-1)


def entries(xp: Namespace, rows: Array, labels: Array) -> Array:
    """The entry (n,) of each of the rows (n, k) that its label (n,) names; labels may be the same for a stack."""
    *shape, k = rows.shape
    starts = xp.reshape(xp.arange(math.prod(shape), dtype=labels.dtype) * k, tuple(shape))
    places = xp.reshape(starts + labels, (-1,))
    return xp.reshape(xp.take(xp.reshape(rows, (-1,)), places, axis=0), tuple(shape))


def quantile(xp: Namespace, y: Array, targets: Array, level: float = 0.5) -> tuple[Array, Vjp]:
    """sum_k max(q (t - y), (q - 1) (t - y)), least where y is the q-quantile of t (Koenker and Bassett 1978).

    The derivative where they are equal is taken as 0.
    """
    d = y - targets
    losses = xp.sum(xp.maximum(d * (1.0 - level), d * -level), axis=-1)

    def vjp(g: Array) -> Array:
        side = xp.sign(d)
        return (xp.maximum(side, 0.0) * (1.0 - level) + xp.minimum(side, 0.0) * level) * g

    return losses, vjp


def softmax_cross_entropy(xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
    """-sum_k t log softmax(z), on the logits z; `targets` (n, k) are one-hot or rows that sum to one."""
    shifted, e, total = exponentials(xp, z)
    losses = surprise(xp, shifted, total, targets)

    def vjp(g: Array) -> Array:
        dz = e / total
        dz -= targets
        dz *= g
        return dz

    return losses, vjp


def logistic_binary_cross_entropy(xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
    """-sum_k (t log p + (1 - t) log(1 - p)) with p = logistic(z), on the logits z."""

    def vjp(g: Array) -> Array:
        dz = xp.logistic(z) - targets
        dz *= g
        return dz

    # softplus(z) = max(z, 0) + softplus(-|z|): what is large cancels before what is small is added.
    losses = xp.maximum(z, 0.0) - z * targets + xp.softplus(-xp.abs(z))
    return xp.sum(losses, axis=-1), vjp


def exponential_poisson(xp: Namespace, z: Array, targets: Array) -> tuple[Array, Vjp]:
    """Poisson's negative log likelihood of rate exp(z), less log t!: sum_k (exp(z) - t z)."""
    rate = xp.exp(z)
    return xp.sum(rate - z * targets, axis=-1), lambda g: (rate - targets) * g


#: Losses of an output's value, those registered included (`network.registry`); outputs compose with them by vjp.
LOSSES: dict[str, Loss] = {
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "quantile": quantile,
}


class Parameter(NamedTuple):
    """The number that a loss may be given behind its name: its name, its bounds, and an example."""

    name: str
    default: float
    low: float
    high: float
    example: str


#: As in "huber:2.0" and "quantile:0.9".
PARAMETERS = {
    "huber": Parameter("delta", 1.0, 0.0, math.inf, "huber:2.0"),
    "quantile": Parameter("level", 0.5, 0.0, 1.0, "quantile:0.9"),
}

#: Losses that are defined through their output, fused with it on the logits.
FUSED_LOSSES: dict[tuple[str, str], Loss] = {
    ("softmax", "cross_entropy"): softmax_cross_entropy,
    ("logistic", "binary_cross_entropy"): logistic_binary_cross_entropy,
    ("exp", "poisson"): exponential_poisson,
}

#: The losses that come with the package.
LOSS_NAMES = (*(loss for _, loss in FUSED_LOSSES), *LOSSES)


def with_parameter(loss: str) -> tuple[str, float]:
    """A loss's name and its parameter: ("huber", 2.0) of "huber:2.0"; NaN of a loss that has none."""
    name, _, number = loss.partition(":")
    if number:
        return name, float(number)
    return name, PARAMETERS[name].default if name in PARAMETERS else math.nan


def loss_function(loss: str) -> Loss:
    """The function of a name in `LOSSES`, with its parameter; a name of one's own carries it."""
    own: Loss | None = getattr(loss, "function", None)
    if own is not None:
        return partial(loss_by_rows, own)
    name, parameter = with_parameter(loss)
    if name not in PARAMETERS:
        return LOSSES[name]
    return partial(LOSSES[name], **{PARAMETERS[name].name: parameter})


def loss_by_rows(function: Loss, xp: Namespace, y: Array, targets: Array) -> tuple[Array, Vjp]:
    """A user's loss, which is one of rows (n, k), of those of all members of a stack."""
    if y.ndim == 2:
        return function(xp, y, targets)
    shape = y.shape
    if targets.shape != shape:  # the same for all members
        targets = targets + xp.zeros_like(y)
    losses, vjp = function(xp, in_rows(xp, y), in_rows(xp, targets))

    def stacked_vjp(g: Array) -> Array:
        column = in_rows(xp, g) if getattr(g, "ndim", 0) else g
        return xp.reshape(vjp(column), shape)

    return xp.reshape(losses, shape[:-1]), stacked_vjp


def output_loss(
    xp: Namespace, output: str, loss: str, z: Array, targets: Array
) -> tuple[Array, Vjp]:
    """Losses (n,) of the logits z under an output and a loss, and the vjp down to z."""
    fused = FUSED_LOSSES.get((output, loss))
    if fused is not None:
        return fused(xp, z, targets)
    y, output_vjp = OUTPUTS[output](xp, z)
    losses, loss_vjp = loss_function(loss)(xp, y, targets)
    return losses, lambda g: output_vjp(loss_vjp(g))


def output_and_losses(
    xp: Namespace, output: str, loss: str, z: Array, targets: Array
) -> tuple[Array, Array]:
    """The output's value (n, k) and the losses (n,) of the logits z: the bits of either alone.

    What both need is worked out once: softmax and its cross-entropy share their exponentials, and a loss that is not
    fused is one of the output's value. Cross-entropy takes labels (n,) as they are.
    """
    if (output, loss) == ("softmax", "cross_entropy"):
        shifted, e, total = exponentials(xp, z)
        return e / total, surprise(xp, shifted, total, targets)
    y, _ = OUTPUTS[output](xp, z)
    fused = FUSED_LOSSES.get((output, loss))
    losses, _ = fused(xp, z, targets) if fused else loss_function(loss)(xp, y, targets)
    return y, losses


def one_hot(xp: Namespace, labels: Array, k: int, dtype: Any) -> Array:
    """Integer labels (n,) as rows of zeros with a one at the label: (n, k)."""
    return xp.astype(labels[..., None] == xp.arange(k, dtype=labels.dtype), dtype)


def smoothed(loss: str, targets: Array, share: float) -> Array:
    """One-hot rows, or columns of 0 and 1 for a binary loss, with `share` of their certainty spread over the classes:
    (1 - share) t + share / k, where a binary loss has k = 2 classes a column (Szegedy et al. 2016).
    """
    k = targets.shape[-1] if loss == "cross_entropy" else 2
    return targets * (1.0 - share) + share / k


#: The losses whose targets are classes, and can be smoothed.
OF_CLASSES = ("cross_entropy", "binary_cross_entropy")


# --- dropout -------------------------------------------------------------------------------------


def hash32(xp: Namespace, x: Array) -> Array:
    """Mix the bits of int32 values, one to one, with multiply-xorshift rounds (Wellons, "lowbias32").

    int32 products wrap alike in every array library; a right shift of int32 drags the sign along, so it
    is masked.
    """
    x = x ^ ((x >> 16) & 0xFFFF)
    x = x * 0x7FEB352D
    x = x ^ ((x >> 15) & 0x1FFFF)
    x = x * (0x846CA68B - (1 << 32))
    return x ^ ((x >> 16) & 0xFFFF)


#: What a probability of 1 is in numbers of 24 bits.
WHOLE = 0x1000000


def dropout_mask(
    xp: Namespace, shape: tuple[int, ...], rate: Any, key: Array, row: int = 0
) -> Array:
    """True for each unit that is kept, a pure function of (key, row + its row, column).

    The generator is counter-based: no state, the same bits on every backend, whatever the order or the
    split of the rows. `key` is a 0-d int32 array that changes with the run, the layer and the step; for a stack (k,).
    `rate` is a probability, or an array like the key of probabilities in units of 2^-24.
    """
    *stack, n, o = shape
    counter = xp.arange(row * o, (row + n) * o, dtype=xp.int32)
    key = key[..., None] if stack else key
    bits = hash32(xp, hash32(xp, counter ^ key) + key) & (WHOLE - 1)
    limit = round(rate * WHOLE) if isinstance(rate, float) else rate[..., None] if stack else rate
    return xp.reshape(bits >= limit, shape)


def dropout(xp: Namespace, a: Array, rate: float, key: Array, row: int = 0) -> tuple[Array, Vjp]:
    """Zero each unit with probability `rate` and scale the others by 1 / (1 - rate) (Srivastava et al. 2014).

    If the rate changes with the step, the key is an array (2,), for a stack (k, 2), of the key and of the rate in units
    of 2^-24.
    """
    if key.ndim < a.ndim - 1:
        scale: Any = 1.0 / (1.0 - rate)
        keep = dropout_mask(xp, a.shape, rate, key, row)
    else:
        limit: Any = key[..., 1]
        keep = dropout_mask(xp, a.shape, limit, key[..., 0], row)
        scale = float(WHOLE) / xp.astype(WHOLE - limit, a.dtype)
        scale = scale[..., None, None] if a.ndim > 2 else scale
    return xp.where(keep, a * scale, 0.0), lambda da: xp.where(keep, da * scale, 0.0)
