"""A small float64 network of its own, whose backward pass can carry planted mistakes.

Shapes: x (n, i), weights (i, o), biases (o,) or None, pre-activations z and values a (n, o).
The right backward pass is the usual one: with delta = dL/dz, a layer's weights get a.T @ delta of
the layer below, its bias the sum of delta over the samples, and the layer below receives
(delta @ W.T) times its own activation's derivative. `output_deltas`, `hidden_deltas`,
`weight_gradients` and `bias_gradients` list, each with its cause, the ways in which people get the
four steps wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from anyarray_mlp.typing import Host

# ---- activations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activation:
    """An elementwise activation f.

    `slope(z)` is f'(z); `slope_of_value(a)` is the same written with a = f(z), if it has such a
    form; `low`, `high` bound what f reaches.
    """

    name: str
    f: Callable[[Host], Host]
    slope: Callable[[Host], Host]
    slope_of_value: Callable[[Host], Host] | None = None
    low: float = -np.inf
    high: float = np.inf


def logistic(z: Host) -> Host:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * z))


def softmax(z: Host, axis: int | None = 1) -> Host:
    """exp(z) over its sum along `axis`; None takes the sum over the whole matrix."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


LEAKY_SLOPES = (0.01, 0.1, 0.2, 0.05, 0.3)


def leaky_relu(slope: float) -> Activation:
    """The leaky relu of a slope, with its derivative by input and by output."""
    return Activation(
        f"leaky_relu({slope:g})",
        lambda z: np.where(z > 0, z, slope * z),
        lambda z: np.where(z > 0, 1.0, slope),
        lambda a: np.where(a > 0, 1.0, slope),
    )


ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in [
        Activation("identity", lambda z: z, np.ones_like, np.ones_like),
        Activation(
            "logistic",
            logistic,
            lambda z: logistic(z) * (1 - logistic(z)),
            lambda a: a * (1 - a),
            0.0,
            1.0,
        ),
        Activation("tanh", np.tanh, lambda z: 1 - np.tanh(z) ** 2, lambda a: 1 - a**2, -1.0, 1.0),
        Activation(
            "relu",
            lambda z: np.maximum(z, 0),
            lambda z: (z > 0).astype(float),
            lambda a: (a > 0).astype(float),
            0.0,
        ),
        *(leaky_relu(slope) for slope in LEAKY_SLOPES),
        Activation(
            "elu",
            lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
            lambda z: np.where(z > 0, 1.0, np.exp(np.minimum(z, 0))),
            lambda a: np.where(a > 0, 1.0, a + 1),
            -1.0,
        ),
        Activation(
            "softplus", lambda z: np.logaddexp(0, z), logistic, lambda a: 1 - np.exp(-a), 0.0
        ),
        Activation(
            "scaled_tanh",
            lambda z: 1.7159 * np.tanh(2 / 3 * z),
            lambda z: 1.7159 * 2 / 3 * (1 - np.tanh(2 / 3 * z) ** 2),
            lambda a: 2 / 3 / 1.7159 * (1.7159**2 - a**2),
            -1.7159,
            1.7159,
        ),
        Activation(
            "swish",
            lambda z: z * logistic(z),
            lambda z: logistic(z) * (1 + z * (1 - logistic(z))),
            None,
            -0.279,
        ),
        Activation("sin", np.sin, np.cos, None, -1.0, 1.0),
    ]
}
# Outputs that mix the units of a layer: name -> f(z).
MIXING: dict[str, Callable[[Host], Host]] = {
    "softmax": softmax,
    "softmax_over_batch": lambda z: softmax(z, axis=None),
    "softmax_over_samples": lambda z: softmax(z, axis=0),
    "log_softmax": lambda z: z - np.logaddexp.reduce(z, axis=1, keepdims=True),
    "exp": lambda z: np.exp(np.clip(z, -700, 700)),
}
ALIASES = {
    "sigmoid": "logistic",
    "linear": "identity",
    "none": "identity",
    "leaky_relu": "leaky_relu(0.01)",
}


def apply(name: str, z: Host, own: dict[str, Activation] | None = None) -> Host:
    """The activation of this name at z (n, o)."""
    if name in MIXING:
        return MIXING[name](z)
    return np.asarray((own or {}).get(name, ACTIVATIONS.get(name)).f(z))  # type: ignore[union-attr]


def own_activation(name: str, f: Callable[[Host], Host]) -> Activation:
    """A user's activation, its slope by central differences in float64."""
    h = 1e-6

    def at(z: Host) -> Host:
        return np.asarray(f(np.asarray(z, dtype=np.float64)), dtype=np.float64)

    return Activation(name, at, lambda z: (at(z + h) - at(z - h)) / (2 * h))


# ---- losses --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss:
    """A loss summed over everything: `value(output, target)` and its gradient at the output."""

    name: str
    formula: str
    value: Callable[[Host, Host], float]
    slope: Callable[[Host, Host], Host]
    natural_with: tuple[str, ...] = ()
    is_formula_mistake: bool = False


def log(p: Host) -> Host:
    """log p, kept finite at p = 0."""
    return np.log(np.maximum(p, 1e-300))


def divide(a: Host, b: Host) -> Host:
    """a / b, kept finite at b = 0."""
    return a / np.where(np.abs(b) < 1e-300, 1e-300, b)


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in [
        Loss(
            "squared_error",
            "1/2 sum (output - y)^2",
            lambda o, y: float(0.5 * ((o - y) ** 2).sum()),
            lambda o, y: o - y,
            (*ACTIVATIONS, "softmax", "softmax_over_batch", "softmax_over_samples", "exp"),
        ),
        Loss(
            "cross_entropy",
            "-sum y log(output)",
            lambda o, y: float(-(y * log(o)).sum()),
            lambda o, y: divide(-y, o),
            ("softmax", "softmax_over_batch", "softmax_over_samples"),
        ),
        Loss(
            "binary_cross_entropy",
            "-sum y log(output) + (1 - y) log(1 - output)",
            lambda o, y: float(-(y * log(o) + (1 - y) * log(1 - o)).sum()),
            lambda o, y: divide(o - y, o * (1 - o)),
            ("logistic",),
        ),
        Loss(
            "cross_entropy_of_logits",
            "-sum y log(softmax(output))",
            lambda o, y: float(-(y * log(softmax(o))).sum()),
            lambda o, y: y.sum(axis=1, keepdims=True) * softmax(o) - y,
            ("identity",),
        ),
        Loss(
            "binary_cross_entropy_of_logits",
            "-sum y log(sigmoid(output)) + (1 - y) log(1 - sigmoid(output))",
            lambda o, y: float((np.logaddexp(0, o) - y * o).sum()),
            lambda o, y: logistic(o) - y,
            ("identity",),
        ),
        Loss(
            "negative_log_likelihood",
            "-sum y output",
            lambda o, y: float(-(y * o).sum()),
            lambda o, y: -y,
            ("log_softmax",),
        ),
        Loss(
            "absolute_error",
            "sum |output - y|",
            lambda o, y: float(np.abs(o - y).sum()),
            lambda o, y: np.sign(o - y),
        ),
        Loss(
            "huber",
            "sum huber(output - y), threshold 1",
            lambda o, y: float(
                np.where(np.abs(o - y) <= 1, 0.5 * (o - y) ** 2, np.abs(o - y) - 0.5).sum()
            ),
            lambda o, y: np.clip(o - y, -1, 1),
        ),
        Loss(
            "difference_of_squares",
            "sum y^2 - output^2",
            lambda o, y: float((y**2 - o**2).sum()),
            lambda o, y: -2 * o,
            is_formula_mistake=True,
        ),
        Loss(
            "signed_error",
            "sum y - output",
            lambda o, y: float((y - o).sum()),
            lambda o, y: -np.ones_like(o),
            is_formula_mistake=True,
        ),
        Loss(
            "root_of_squared_error",
            "sqrt(sum (output - y)^2)",
            lambda o, y: float(np.sqrt(((o - y) ** 2).sum())),
            lambda o, y: divide(o - y, np.sqrt(((o - y) ** 2).sum())),
        ),
        Loss(
            "squared_norm_of_sums",
            "(sum over the outputs of (output - y))^2",
            lambda o, y: float(((o - y).sum(axis=1) ** 2).sum()),
            lambda o, y: 2 * np.broadcast_to((o - y).sum(axis=1, keepdims=True), o.shape),
            is_formula_mistake=True,
        ),
    ]
}
NAMED_LOSSES = {
    "squared_error": "squared_error",
    "mse": "squared_error",
    "cross_entropy": "cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy",
    "bce": "binary_cross_entropy",
    "cross_entropy_of_logits": "cross_entropy_of_logits",
    "binary_cross_entropy_of_logits": "binary_cross_entropy_of_logits",
}
# Pairs whose delta at the pre-activation is output - y.
FUSED = {
    ("softmax", "cross_entropy"),
    ("softmax_over_batch", "cross_entropy"),
    ("softmax_over_samples", "cross_entropy"),
    ("logistic", "binary_cross_entropy"),
}


# ---- the network ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Dense layers in a row: weights (i, o), biases (o,) or None, an activation name each."""

    weights: tuple[Host, ...]
    biases: tuple[Host | None, ...]
    activations: tuple[str, ...]
    own: dict[str, Activation] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        return len(self.weights)

    def activation(self, layer: int) -> Activation | None:
        """The elementwise activation of a layer; None if it mixes units (softmax)."""
        name = self.activations[layer]
        return self.own.get(name, ACTIVATIONS.get(name))


@dataclass(frozen=True)
class Trace:
    """What a forward pass computed: z[l] (n, o) of layer l; a[0] = x and a[l + 1] = f(z[l])."""

    z: tuple[Host, ...]
    a: tuple[Host, ...]

    @property
    def output(self) -> Host:
        return self.a[-1]


def forward(chain: Chain, x: Host) -> Trace:
    """The forward pass, with all intermediate values."""
    z, a = [], [x]
    for weight, bias, name in zip(chain.weights, chain.biases, chain.activations, strict=True):
        z.append(a[-1] @ weight + (0 if bias is None else bias))
        a.append(apply(name, z[-1], chain.own))
    return Trace(tuple(z), tuple(a))


def pull_back(chain: Chain, layer: int, z: Host, a: Host, grad: Host) -> Host:
    """dL/dz of a layer from dL/da."""
    name = chain.activations[layer]
    if name == "softmax":
        return np.asarray(a * (grad - (grad * a).sum(axis=1, keepdims=True)))
    if name == "softmax_over_batch":
        return np.asarray(a * (grad - (grad * a).sum()))
    if name == "softmax_over_samples":
        return np.asarray(a * (grad - (grad * a).sum(axis=0)))
    if name == "log_softmax":
        return np.asarray(grad - softmax(z) * grad.sum(axis=1, keepdims=True))
    if name == "exp":
        return np.asarray(grad * a)
    activation = chain.activation(layer)
    assert activation is not None
    return np.asarray(grad * activation.slope(z))


def gradients(chain: Chain, trace: Trace, y: Host, loss: Loss) -> list[tuple[Host, Host]]:
    """The right gradients of the summed loss: (dW (i, o), db (o,)) for each layer."""
    delta = pull_back(
        chain, chain.depth - 1, trace.z[-1], trace.output, loss.slope(trace.output, y)
    )
    found: list[tuple[Host, Host]] = []
    for layer in reversed(range(chain.depth)):
        found.append((trace.a[layer].T @ delta, delta.sum(axis=0)))
        if layer:
            error = delta @ chain.weights[layer].T
            delta = pull_back(chain, layer - 1, trace.z[layer - 1], trace.a[layer], error)
    return found[::-1]


# ---- planted mistakes ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Delta:
    """A layer's delta as some code would compute it.

    `error` is what was there before the activation's derivative came in; `cause` is empty for the
    right one, `detail` says more, `cost` is how much is assumed by it.
    """

    cause: str
    cost: float
    delta: Host
    error: Host
    detail: str = ""


def wrong_slopes(
    activation: Activation, z: Host, a: Host
) -> Iterator[tuple[str, float, Host, str]]:
    """(cause, cost, factor, detail): what people multiply by in place of f'(z)."""
    yield "derivative_missing", 1.0, np.ones_like(z), ""
    if activation.slope_of_value is not None:
        yield "derivative_of_preactivation", 1.0, activation.slope_of_value(z), ""
    yield "derivative_of_activated", 1.0, activation.slope(a), ""
    yield "derivative_twice", 1.1, activation.slope(z) ** 2, ""
    for other in ("logistic", "tanh", "relu"):
        if other != activation.name:
            slope = ACTIVATIONS[other].slope_of_value
            assert slope is not None
            yield "derivative_of_another_activation", 1.2, slope(a), other
            if other != "relu":
                yield "derivative_of_another_activation", 1.3, ACTIVATIONS[other].slope(z), other
    if activation.slope_of_value is not None:
        twice = activation.slope_of_value(activation.slope_of_value(a))
        yield "derivative_twice", 1.3, twice, ""
    for detail, factor in (("1 - a", 1 - a), ("a", a), ("1 + a**2", 1 + a**2), ("a**2", a**2)):
        yield "derivative_formula_wrong", 1.5, factor, detail
    if not np.allclose(activation.slope(-z), activation.slope(z)):
        yield (
            "derivative_formula_wrong",
            1.5,
            activation.slope(-z),
            "f'(-z), the other side of zero",
        )


def output_deltas(chain: Chain, trace: Trace, y: Host, loss: Loss) -> Iterator[Delta]:  # noqa: C901 - a catalogue: each branch is one mistake
    """The output's delta: first the right one, then the ways to get it wrong."""
    last = chain.depth - 1
    z, o = trace.z[-1], trace.output
    name = chain.activations[last]
    slope = loss.slope(o, y)
    fused = (name, loss.name) in FUSED
    right = o - y if fused and name != "softmax" else pull_back(chain, last, z, o, slope)
    error = o - y if fused or loss.is_formula_mistake else slope
    yield Delta("", 0.0, right, error)
    if fused and np.abs(y.sum(axis=1) - 1).max() > 1e-6:
        # If the targets are no distribution, the two differ; p - y is then what was meant.
        yield Delta("", 0.0, o - y, o - y)
    activation = chain.activation(last)
    if name in ("softmax", "softmax_over_batch", "softmax_over_samples"):
        elementwise = o * (1 - o)
        if fused:
            yield Delta("derivative_on_fused", 1.0, (o - y) * elementwise, o - y)
            yield Delta("softmax_elementwise", 1.0, slope * elementwise, slope)
            yield Delta("output_derivative_missing", 1.0, slope, slope)
            full = pull_back(chain, last, z, o, o - y)
            yield Delta("derivative_on_fused", 1.1, full, o - y)
        else:
            yield Delta("softmax_elementwise", 1.0, slope * elementwise, slope)
            yield Delta("output_derivative_missing", 1.0, slope, slope)
            yield Delta("softmax_elementwise", 1.2, slope * o, slope)
        again = logistic(o) * (1 - logistic(o))
        yield Delta("derivative_of_activated", 1.2, (o - y) * again, o - y)
        yield Delta("derivative_of_preactivation", 1.2, (o - y) * z * (1 - z), o - y)
        yield Delta("derivative_of_another_activation", 1.3, (o - y) * (1 - o**2), o - y, "tanh")
    elif activation is not None:
        if fused:
            yield Delta("derivative_on_fused", 1.0, (o - y) * activation.slope(z), o - y)
            for cause, cost, factor, detail in wrong_slopes(activation, z, o):
                if cause != "derivative_missing":
                    yield Delta(cause, cost + 0.5, (o - y) * factor, o - y, detail)
            yield Delta("output_derivative_missing", 1.0, slope, slope)
        for cause, cost, factor, detail in wrong_slopes(activation, z, o):
            if cause == "derivative_missing":
                cause = "output_derivative_missing"
            yield Delta(cause, cost, slope * factor, slope, detail)
    for other in LOSSES.values():
        natural = name in other.natural_with
        if other.name != loss.name and (natural or other.name in ("absolute_error", "huber")):
            other_slope = other.slope(o, y)
            delta = pull_back(chain, last, z, o, other_slope)
            yield Delta("loss_reported_differs", 1.4, delta, other_slope, other.name)
    if activation is not None and loss.is_formula_mistake:
        for cause, cost, factor, detail in wrong_slopes(activation, z, o):
            if cause == "derivative_missing":
                cause = "output_derivative_missing"
            planted = f"loss_reported_differs+{cause}"
            yield Delta(planted, cost + 1.5, (o - y) * factor, o - y, detail)
    elif name == "softmax" and loss.is_formula_mistake:
        planted = "loss_reported_differs+softmax_elementwise"
        yield Delta(planted, 2.5, (o - y) * o * (1 - o), o - y)


def hidden_deltas(
    chain: Chain,
    trace: Trace,
    layer: int,
    above: Delta,
    weight_after: Host | None,
) -> Iterator[Delta]:
    """The delta of hidden `layer` from the one `above`: the right one first.

    `weight_after` (i, o), or (n, i, o) if each sample makes its own update, is the next layer's
    weight after its update, if that is known.
    """
    weight = chain.weights[layer + 1]
    flows: list[tuple[str, float, Host]] = [("", 0.0, above.delta @ weight.T)]
    if weight_after is not None:
        each = "no,nio->ni" if weight_after.ndim == 3 else "no,io->ni"
        updated = np.einsum(each, above.delta, weight_after)
        flows.append(("weights_updated_before_use", 1.0, updated))
    if weight.shape[0] == weight.shape[1]:
        flows.append(("transposed", 1.0, above.delta @ weight))
    if not np.array_equal(above.error, above.delta):
        flows.append(("error_not_delta", 1.0, above.error @ weight.T))
    activation = chain.activation(layer)
    z, a = trace.z[layer], trace.a[layer + 1]
    for flow, flow_cost, error in flows:
        right = pull_back(chain, layer, z, a, error)
        yield Delta(flow, flow_cost, right, error)
        if activation is None:
            if chain.activations[layer] == "softmax":
                cause = join(flow, "softmax_elementwise")
                yield Delta(cause, flow_cost + 1.0, error * a * (1 - a), error)
            continue
        for cause, cost, factor, detail in wrong_slopes(activation, z, a):
            yield Delta(join(flow, cause), flow_cost + cost, error * factor, error, detail)
        if activation.name == "relu":
            cause, detail = (
                join(flow, "derivative_formula_wrong"),
                "1 if the error is above zero",
            )
            yield Delta(cause, flow_cost + 1.2, error * (error > 0), error, detail)


def join(*causes: str) -> str:
    """Causes joined by a plus; empty ones are left out."""
    return "+".join(cause for cause in causes if cause)


def weight_gradients(trace: Trace, layer: int, delta: Host) -> Iterator[tuple[str, float, Host]]:
    """(cause, cost, dW (i, o)) for a layer: the right one first."""
    a = trace.a[layer]
    right = a.T @ delta
    yield "", 0.0, right
    if right.shape[0] == right.shape[1] and right.shape[0] > 1:
        yield "transposed", 1.0, right.T
    elif min(right.shape) > 1:
        yield "transposed", 1.1, right.T.reshape(right.shape)
    if len(a) > 1:
        yield "only_last_sample", 1.0, np.outer(a[-1], delta[-1])
        yield "only_last_sample", 1.2, np.outer(a[0], delta[0])
    if layer:
        yield "preactivation_as_input", 1.0, trace.z[layer - 1].T @ delta


def bias_gradients(delta: Host, shared: bool = False) -> Iterator[tuple[str, float, Host]]:
    """(cause, cost, db (o,)) for a layer: the right one first.

    A `shared` bias is one number for all units, its gradient repeated o times.
    """
    n, o = delta.shape
    if shared:
        yield "", 0.0, np.full(o, delta.sum())
        return
    yield "", 0.0, delta.sum(axis=0)
    if o > 1:
        yield "bias_wrong_axis", 1.0, np.full(o, delta.sum())
    if n == o and n > 1:
        yield "bias_wrong_axis", 1.0, delta.sum(axis=1)
    if n > 1:
        yield "only_last_sample", 1.0, delta[-1]
        yield "only_last_sample", 1.2, delta[0]
