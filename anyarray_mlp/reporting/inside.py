"""The inside of a network: weights and activations of each layer over some rows, and its units as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.diagnosis.probe import LayerFigures, activation_figures
from anyarray_mlp.reporting.answers import Answers, some_of
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.training.predicting import as_inputs, plain_numpy, to_leaves
from anyarray_mlp.typing import Host

ROWS, BARS, MOST_UNITS, MOST_EDGES = 512, 24, 12, 240


@dataclass(frozen=True)
class Histogram:
    """Bounds of bars, and the share of the values in each."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class LayerState:
    """A dense layer with its activation, over some rows.

    Attributes
    ----------
    units, parameters : how many it has.
    weight_mean, weight_std, weights : of its weights.
    mean, std, activations : of its activations.
    dead, saturated : shares of units and of activations, as in `LayerFigures`.
    gradient, update : those of the last probe in training, None where nobody watched it.
    """

    number: int
    inputs: int
    units: int
    activation: str
    parameters: int
    weight_mean: float
    weight_std: float
    weights: Histogram
    mean: float
    std: float
    activations: Histogram
    dead: float
    saturated: float
    gradient: float | None
    update: float | None


@dataclass(frozen=True)
class Unit:
    """A unit that is drawn: its layer (0 for the inputs), its height between 0 and 1, its mean and its deviation."""

    layer: int
    place: int
    height: float
    name: str
    mean: float
    std: float


@dataclass(frozen=True)
class Edge:
    """A weight that is drawn, between two units."""

    start: Unit
    stop: Unit
    weight: float


@dataclass(frozen=True)
class Inside:
    """The layers, and the units with the largest weights as a picture; of several networks those of the first."""

    rows: int
    networks: int
    sizes: tuple[int, ...]
    layers: tuple[LayerState, ...]
    units: tuple[Unit, ...]
    edges: tuple[Edge, ...]


def inside_of(answers: Answers, diagnosis: Diagnosis | Missing) -> Inside | Missing:
    """The inside of a model's network, of several the first, over rows of its answers."""
    model = answers.model
    mlp = model.mlp
    if not mlp.is_plain:
        return Missing("only networks of dense layers alone are drawn")
    members = np.atleast_2d(model.parameters)
    values = values_inside(answers, members[0])
    weights = mlp.layout.split(members[0])[: mlp.layout.n_layers]
    probes = () if isinstance(diagnosis, Missing) else diagnosis.record.probes
    told: tuple[LayerFigures | None, ...] = probes[-1].layers if probes else (None,) * len(weights)
    names = (*mlp.activation, mlp.output)
    layers = tuple(
        layer_state(place, w, values[place + 1], names[place], (mlp.bias, told[place]))
        for place, w in enumerate(weights)
    )
    units = drawn_units(weights, values, names_of_ends(answers))
    return Inside(
        len(values[0]), len(members), tuple(mlp.sizes), layers,
        tuple(unit for layer in units for unit in layer), drawn_edges(units, weights),
    )  # fmt: skip


def values_inside(answers: Answers, parameters: Host) -> list[Host]:
    """Inputs and activations (n, o) of each layer for some rows."""
    mlp, part, backend = answers.model.mlp, answers.part, plain_numpy("float32")
    some = some_of(len(part), ROWS, 3)
    x = as_inputs(backend.xp, part.x[some], np.dtype(np.float32), part.input_scale)
    leaves = to_leaves(mlp, backend, parameters)
    with np.errstate(over="ignore", invalid="ignore"):
        return [np.asarray(x), *(np.asarray(a) for _, a in mlp.layers(backend.xp, leaves, x))]


def layer_state(
    place: int, weights: Host, values: Host, name: str, rest: tuple[bool, LayerFigures | None]
) -> LayerState:
    """The state of a layer from its weights (i, o) and its activations (n, o)."""
    has_bias, told = rest
    inputs, units = weights.shape
    as_any: Any = values
    mean, std, dead, saturated, _ = (
        float(np.asarray(each))
        for each in activation_figures(plain_numpy("float32").xp, as_any, name)
    )
    return LayerState(
        number=place + 1,
        inputs=inputs,
        units=units,
        activation=name,
        parameters=weights.size + (units if has_bias else 0),
        weight_mean=float(weights.mean()),
        weight_std=float(weights.std()),
        weights=histogram(weights),
        mean=mean,
        std=std,
        activations=histogram(values),
        dead=dead,
        saturated=saturated,
        gradient=None if told is None else told.gradient,
        update=None if told is None else told.update,
    )


def histogram(values: Host) -> Histogram:
    """Where finite values lie, between the 0.5 and the 99.5 % of them."""
    flat = values[np.isfinite(values)].astype(np.float64)
    if not len(flat):
        return Histogram((0.0, 1.0), (0.0,))
    low, high = np.quantile(flat, (0.005, 0.995))
    counts, edges = np.histogram(np.clip(flat, low, high), bins=BARS)
    return Histogram(tuple(map(float, edges)), tuple(map(float, counts / len(flat))))


def names_of_ends(answers: Answers) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What inputs and outputs are called."""
    model = answers.model
    names = model.preprocessor.encoded_names
    k = model.mlp.sizes[-1]
    if answers.task == "regression":
        outputs = model.target_names
    else:
        labels = answers.labels
        outputs = labels[1:] if k == 1 and len(labels) == 2 else labels
    if len(outputs) != k:
        outputs = tuple(f"output {place + 1}" for place in range(k))
    return names, outputs


def drawn_units(
    weights: list[Host], values: list[Host], ends: tuple[tuple[str, ...], tuple[str, ...]]
) -> list[list[Unit]]:
    """The units of each layer that are drawn: those with the largest weights, in their order."""
    chosen = [strongest(layer, weights) for layer in range(len(values))]
    drawn = []
    for layer, places in enumerate(chosen):
        heights = (np.arange(len(places)) + 0.5) / len(places)
        names: tuple[str, ...] = ()
        if layer in (0, len(values) - 1):
            names = ends[0] if layer == 0 else ends[1]
        part = values[layer][:, places].astype(np.float64)
        figures = zip(places.tolist(), heights, part.mean(axis=0), part.std(axis=0), strict=True)
        drawn.append(
            [
                Unit(
                    layer,
                    place,
                    float(height),
                    names[place] if names else f"unit {place + 1}",
                    float(mean),
                    float(std),
                )
                for place, height, mean, std in figures
            ]
        )
    return drawn


def strongest(layer: int, weights: list[Host]) -> NDArray[np.int64]:
    """The places of the units of a layer with the largest weights, in and out."""
    size = weights[layer].shape[0] if layer < len(weights) else weights[-1].shape[1]
    total = np.zeros(size)
    if layer:
        total += np.linalg.norm(weights[layer - 1], axis=0)
    if layer < len(weights):
        total += np.linalg.norm(weights[layer], axis=1)
    return np.sort(np.argsort(-total, kind="stable")[:MOST_UNITS])


def drawn_edges(units: list[list[Unit]], weights: list[Host]) -> tuple[Edge, ...]:
    """The largest weights between drawn units, those between each two layers counted by themselves."""
    most = MOST_EDGES // len(weights)
    edges = []
    for layer, w in enumerate(weights):
        between = [
            Edge(start, stop, float(w[start.place, stop.place]))
            for start in units[layer]
            for stop in units[layer + 1]
        ]
        edges += sorted(between, key=lambda edge: -abs(edge.weight))[:most]
    return tuple(edges)
