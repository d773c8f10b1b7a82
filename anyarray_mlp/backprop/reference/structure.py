"""Understand a user's forward pass and loss by reproducing them.

The layout of the weights, whether a row of them is the bias, each layer's activation and the loss are
found by trying the possibilities on the reference network until one gives the user's own numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from anyarray_mlp.backprop.reference.network import (
    ACTIVATIONS,
    ALIASES,
    LOSSES,
    MIXING,
    Activation,
    Chain,
    Loss,
    apply,
    forward,
    own_activation,
)
from anyarray_mlp.backprop.user.adapter import Parameter
from anyarray_mlp.typing import Host

HIDDEN_CANDIDATES = (*ACTIVATIONS, "softmax")
OUTPUT_CANDIDATES = (*ACTIVATIONS, *MIXING)


@dataclass(frozen=True)
class LayerLayout:
    """The layout of one layer's arrays: transposed weights, and a bias kept as a row of them."""

    transposed: bool
    bias_row: int | None = None  # 0, -1 or None


@dataclass(frozen=True)
class Structure:
    """How a user's parameters make a chain of layers."""

    layers: tuple[LayerLayout, ...]
    activations: tuple[str, ...]
    unused_biases: tuple[int, ...] = ()
    own: dict[str, Activation] = field(default_factory=dict)

    def chain(self, parameters: Sequence[Parameter], values: Sequence[Host]) -> Chain:
        """The reference network with the user's parameters."""
        weights: list[Host] = []
        biases: list[Host | None] = []
        for layer, layout in enumerate(self.layers):
            weight, bias = split(layout, layer, parameters, values)
            weights.append(weight)
            biases.append(None if layer in self.unused_biases else bias)
        return Chain(tuple(weights), tuple(biases), self.activations, self.own)


def pick(
    layer: int, kind: str, parameters: Sequence[Parameter], values: Sequence[Host | None]
) -> Any:
    """The array of a layer's weight or bias; None if there is none."""
    for parameter, value in zip(parameters, values, strict=True):
        if parameter.layer == layer and parameter.kind == kind:
            return value
    return None


def split(
    layout: LayerLayout, layer: int, parameters: Sequence[Parameter], values: Sequence[Host]
) -> tuple[Host, Host | None]:
    """A layer's weight (i, o) and bias (o,), in float64."""
    weight = np.asarray(pick(layer, "weight", parameters, values), dtype=np.float64)
    weight = as_matrix(weight, layout.transposed)
    bias = pick(layer, "bias", parameters, values)
    if layout.bias_row is not None:
        return np.delete(weight, layout.bias_row, axis=0), weight[layout.bias_row]
    if bias is None:
        return weight, None
    flat = np.asarray(bias, dtype=np.float64).reshape(-1)
    return weight, np.broadcast_to(flat, (weight.shape[1],)) if flat.size == 1 else flat


def as_matrix(weight: Host, transposed: bool) -> Host:
    """(i, o) from the user's array; a vector is the weights of a single unit."""
    matrix = weight.reshape(-1, 1) if weight.ndim == 1 else weight
    if weight.ndim == 1:
        return matrix
    return matrix.T if transposed else matrix


def layouts(
    parameters: Sequence[Parameter], values: Sequence[Host], inputs: int
) -> list[tuple[LayerLayout, ...]]:
    """All ways in which the shapes make a chain that starts with `inputs` features."""
    depth = 1 + max(p.layer for p in parameters)
    found: list[tuple[LayerLayout, ...]] = []

    def extend(layer: int, width: int, before: tuple[LayerLayout, ...]) -> None:
        if layer == depth:
            found.append(before)
            return
        weight = np.asarray(pick(layer, "weight", parameters, values))
        has_bias = pick(layer, "bias", parameters, values) is not None
        for transposed in (False, True):
            if weight.ndim == 1 and transposed:
                continue
            i, o = as_matrix(weight, transposed).shape
            if i == width:
                extend(layer + 1, o, (*before, LayerLayout(transposed)))
            elif i == width + 1 and not has_bias:
                for row in (-1, 0):
                    extend(layer + 1, o, (*before, LayerLayout(transposed, row)))

    extend(0, inputs, ())
    uniform = [f for f in found if len({layer.transposed for layer in f}) == 1]
    return uniform + [f for f in found if f not in uniform]


def agree(a: Host, b: Host, tolerance: float) -> bool:
    """True if two arrays are the same to rounding, relative to their largest entry."""
    if a.shape != b.shape or not np.isfinite(b).all():
        return False
    return bool(np.abs(a - b).max() <= tolerance * (1e-3 + np.abs(a).max()))


def fit_structure(
    parameters: Sequence[Parameter],
    probes: Sequence[tuple[Sequence[Host], Host]],
    x: Host,
    tolerance: float,
    told: Sequence[str | Callable[[Host], Host]] | None = None,
) -> Structure | None:
    """Find the structure whose forward pass gives the user's outputs.

    Parameters
    ----------
    probes
        Pairs of parameter values and the output (n, k) that the user's forward pass gave for them.
    x
        Inputs (n, i).
    told
        Activations, if the user names them.

    Returns
    -------
    The structure, or None if no candidate fits.
    """
    values, output = probes[0]
    depth = 1 + max(p.layer for p in parameters)
    own: dict[str, Activation] = {}
    choices: list[Sequence[str]] | None = None
    if told is not None:
        choices = []
        for layer, one in enumerate(told):
            if callable(one):
                name = f"own_{layer}_{getattr(one, '__name__', 'activation')}"
                own[name] = own_activation(name, one)
                choices.append([name])
            else:
                choices.append([ALIASES.get(one, one)])
    has_bias = [
        layer for layer in range(depth) if pick(layer, "bias", parameters, values) is not None
    ]
    for unused in subsets(has_bias):
        for layout in layouts(parameters, values, x.shape[1]):
            layers = []
            for layer in range(depth):
                weight, bias = split(layout[layer], layer, parameters, values)
                layers.append((weight, None if layer in unused else bias))
            for activations in matching_activations(layers, x, output, choices, own, tolerance):
                structure = Structure(layout, activations, unused, own)
                if all(reproduces(structure, parameters, p, x, tolerance) for p in probes):
                    return structure
    return None


def reproduces(
    structure: Structure,
    parameters: Sequence[Parameter],
    probe: tuple[Sequence[Host], Host],
    x: Host,
    tolerance: float,
) -> bool:
    """Whether the structure gives the user's outputs on x within the tolerance."""
    with np.errstate(all="ignore"):
        output = forward(structure.chain(parameters, probe[0]), x).output
    return agree(probe[1], output, tolerance)


def subsets(layers: list[int]) -> Iterator[tuple[int, ...]]:
    """Which biases the forward pass may leave out: none first."""
    yield ()
    if layers:
        yield tuple(layers)
    if 1 < len(layers) <= 4:
        for bits in product((False, True), repeat=len(layers)):
            if 0 < sum(bits) < len(layers):
                yield tuple(layer for layer, bit in zip(layers, bits, strict=True) if bit)


def matching_activations(
    layers: list[tuple[Host, Host | None]],
    x: Host,
    output: Host,
    choices: list[Sequence[str]] | None,
    own: dict[str, Activation],
    tolerance: float,
) -> Iterator[tuple[str, ...]]:
    """Activations with which weights (i, o) and biases (o,) give `output`; the same in all hidden layers first."""
    depth = len(layers)
    if layers[-1][0].shape[1] != output.shape[1]:
        return
    if choices is not None:
        candidates = iter(product(*choices)) if len(choices) == depth else iter(())
    else:
        candidates = hidden_then_output(depth)
    with np.errstate(all="ignore"):
        cache: dict[tuple[str, ...], Host] = {(): x}
        for names in candidates:
            a = x
            for layer, name in enumerate(names):
                key = names[: layer + 1]
                if key in cache:
                    a = cache[key]
                    continue
                weight, bias = layers[layer]
                a = apply(name, a @ weight + (0 if bias is None else bias), own)
                if layer < depth - 1:
                    cache[key] = a
            if agree(output, a, tolerance):
                yield names


def hidden_then_output(depth: int) -> Iterator[tuple[str, ...]]:
    """Activations to try, layer by layer: all hidden layers alike first, mixtures after."""
    for hidden in HIDDEN_CANDIDATES if depth > 1 else ("identity",):
        for last in OUTPUT_CANDIDATES:
            yield (*[hidden] * (depth - 1), last)
    if 2 < depth <= 4:
        for hiddens in product(HIDDEN_CANDIDATES, repeat=depth - 1):
            if len(set(hiddens)) > 1:
                for last in OUTPUT_CANDIDATES:
                    yield (*hiddens, last)


# ---- the loss ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FittedLoss:
    """`value = scale * loss.value + decay / 2 * sum of squared weights`."""

    loss: Loss
    scale: float
    decay: float = 0.0
    bias_decay: bool = False


def fit_loss(
    observed: Sequence[float],
    chains: Sequence[Chain],
    x: Host,
    y: Host,
    tolerance: float,
) -> FittedLoss | None:
    """Which known loss gives the numbers that the user's loss gave at several weights."""
    values = np.asarray(observed)
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        return None
    outputs = [forward(chain, x).output for chain in chains]
    natural = sorted(
        LOSSES.values(), key=lambda loss: chains[0].activations[-1] not in loss.natural_with
    )
    squares = np.array([sum(float((w**2).sum()) for w in chain.weights) for chain in chains])
    bias_squares = np.array(
        [sum(float((b**2).sum()) for b in chain.biases if b is not None) for chain in chains]
    )
    bases = {}
    with np.errstate(all="ignore"):
        for loss in natural:
            try:
                base = np.array([loss.value(output, y) for output in outputs])
            except ValueError:
                continue
            if np.isfinite(base).all() and np.abs(base).max() > 0:
                bases[loss.name] = base
    for loss in natural:
        if loss.name in bases:
            base = bases[loss.name]
            scale = float(base @ values / (base @ base))
            if np.abs(values - scale * base).max() <= tolerance * np.abs(values).max():
                return FittedLoss(loss, scale)
    for loss in natural:
        for with_bias in (False, True):
            if loss.name not in bases or len(values) < 4:
                continue
            penalty = squares + (bias_squares if with_bias else 0)
            table = np.stack([bases[loss.name], 0.5 * penalty], axis=1)
            (scale, decay), *_ = np.linalg.lstsq(table, values, rcond=None)
            if np.abs(values - table @ [scale, decay]).max() <= tolerance * np.abs(values).max():
                return FittedLoss(loss, float(scale), float(decay), with_bias)
    return None
