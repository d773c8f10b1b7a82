"""What inputs may go through before the first dense layer: factors and waves; and what a model file says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.records import NULL, Check, integer, list_of, number, one_of, table
from anyarray_mlp.checking.values import check_positive, check_whole, is_whole, items, refuse
from anyarray_mlp.network.initializers import standard_normal, symmetric
from anyarray_mlp.network.layers import Layer, Parts, for_rows, joined, summed, turned
from anyarray_mlp.network.layout import Parameter
from anyarray_mlp.network.losses import one_hot
from anyarray_mlp.typing import Array, Host, Namespace


@with_known_options
@dataclass(frozen=True)
class Scale(Layer):
    """s x: a factor for each input, which is one at the start (RealMLP's scaling layer, Holzmüller et al. 2024)."""

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """A factor for each input."""
        return (Parameter("scales", (inputs,)),)

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """Ones."""
        return (np.ones(inputs),)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        s = for_rows(values[0])
        return x * s, (x, s)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """s dy."""
        _, s = residual
        dx: Array = dy * s
        return dx

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """sum_n dy x."""
        return (summed(xp, [dy * x for (x, _), dy in parts]),)


@with_known_options
@dataclass(frozen=True)
class Periodic(Layer):
    """Numbers embedded by waves: each x becomes cos(2 pi f x + p) m + o, a few values, beside x itself.

    The PBLD embedding of RealMLP (Holzmüller et al. 2024; periodic embeddings are from Gorishniy et al. 2022): each
    number has frequencies f and phases p of its own, whose waves its matrix m mixes. All inputs come through, behind
    the values.

    Parameters
    ----------
    columns : places from 0 of the inputs that are embedded; None takes all.
    frequencies : how many waves each of them has.
    values : how many values are made of it.
    sigma : the standard deviation of the frequencies at the start, in turns for a unit of the input.
    """

    columns: Sequence[int] | None = None
    frequencies: int = 16
    values: int = 3
    sigma: float = 0.1

    def __post_init__(self) -> None:
        what = "None, or a list of different places of inputs, counted from 0"
        if self.columns is not None:
            columns = items("columns", self.columns, what)
            if not columns or not all(is_whole(place) and place >= 0 for place in columns):
                refuse("columns", what, self.columns)
            if len(set(columns)) < len(columns):
                refuse("columns", what, self.columns)
            object.__setattr__(self, "columns", tuple(int(place) for place in columns))
        check_whole("frequencies", self.frequencies, 1)
        check_whole("values", self.values, 1)
        check_positive("sigma", self.sigma)

    def count(self, inputs: int) -> int:
        """How many inputs are embedded; `UsageError` for places that there are not."""
        if self.columns is None:
            return inputs
        if max(self.columns) >= inputs:
            refuse("columns", f"places from 0 to {inputs - 1} of {inputs} inputs", self.columns)
        return len(self.columns)

    def units(self, inputs: int) -> int:
        """The values of each number, and all inputs."""
        return self.count(inputs) * self.values + inputs

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Of each of c numbers the frequencies (f,), the phases (f,), what mixes them (f, e) and offsets (e,)."""
        c, f, e = self.count(inputs), self.frequencies, self.values
        return (
            Parameter("frequencies", (c, f)),
            Parameter("phases", (c, f)),
            Parameter("mixing", (c, f, e)),
            Parameter("offsets", (c, e)),
        )

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """Normal frequencies; phases uniform over the turn; the others uniform, within 1 / sqrt(f)."""
        w, b, v, o = (shape for _, shape in self.parameters(inputs))
        bound = self.frequencies**-0.5
        return (
            standard_normal(random, *w) * self.sigma,
            symmetric(random, *b) * math.pi,
            symmetric(random, v[0] * v[1], v[2]).reshape(v) * bound,
            symmetric(random, *o) * bound,
        )

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        w, b, v, o = values
        numbers = x
        if self.columns is not None:
            places = xp.asarray(list(self.columns), dtype=xp.int64)
            numbers = xp.take(x, places, axis=-1)
        column = xp.matrix_transpose(numbers)[..., None]  # (c, n, 1)
        turns = for_rows(w) * (2.0 * math.pi)  # (c, 1, f)
        phase = column * turns + for_rows(b)  # (c, n, f)
        waves = xp.cos(phase)
        embedded = by_row(xp, xp.matmul(waves, v) + for_rows(o))
        if x.shape[:-1] != embedded.shape[:-1]:  # the same rows for all of a stack
            x = x + xp.zeros_like(embedded[..., :1])
        residual = (x.shape[-1], column, turns, phase, waves, v)
        return xp.concat([embedded, x], axis=-1), residual

    def back(self, xp: Namespace, residual: Any, dy: Array) -> tuple[Array, Array]:
        """The gradients of the values (c, n, e) and of the phases (c, n, f), row by row."""
        inputs, _, _, phase, _, v = residual
        each = dy[..., : dy.shape[-1] - inputs]
        by_value = xp.reshape(each, (*each.shape[:-1], -1, self.values))
        dvalue = turned(xp, by_value)
        return dvalue, xp.matmul(dvalue, xp.matrix_transpose(v)) * -xp.sin(phase)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        inputs, _, turns, *_ = residual
        _, dphase = self.back(xp, residual, dy)
        dnumbers = xp.matrix_transpose(xp.sum(dphase * turns, axis=-1))  # (n, c)
        if self.columns is not None:
            places = xp.asarray(list(self.columns), dtype=xp.int64)
            dnumbers = xp.matmul(dnumbers, one_hot(xp, places, inputs, dy.dtype))
        return dy[..., dy.shape[-1] - inputs :] + dnumbers

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        back = [self.back(xp, residual, dy) for residual, dy in parts]
        dvalue, dphase = (joined(xp, [*each], -2) for each in zip(*back, strict=True))
        column, waves = (joined(xp, [residual[at] for residual, _ in parts], -2) for at in (1, 4))
        dw = xp.matmul(xp.matrix_transpose(column), dphase)[..., 0, :] * (2.0 * math.pi)
        dv = xp.matmul(xp.matrix_transpose(waves), dvalue)
        return dw, xp.sum(dphase, axis=-2), dv, xp.sum(dvalue, axis=-2)


def by_row(xp: Namespace, x: Array) -> Array:
    """What numbers were made into, (c, n, e), as rows (n, c e)."""
    x = turned(xp, x)
    return xp.reshape(x, (*x.shape[:-2], -1))


#: The kinds of layers that inputs may go through first, by the names that users and files have for them.
BEFORE: dict[str, type[Layer]] = {"Scale": Scale, "Periodic": Periodic}


def kind_of_layer(layer: Any) -> str | None:
    """The name of a layer of `BEFORE`; None for others."""
    return next((name for name, kind in BEFORE.items() if type(layer) is kind), None)


def to_record(layer: Layer) -> dict[str, Any]:
    """A layer of `BEFORE` as JSON has it."""
    told = (
        (name, [*value] if isinstance(value, tuple) else value)
        for name, value in vars(layer).items()
    )
    return {"kind": kind_of_layer(layer), **dict(told)}


def layer_of(record: dict[str, Any]) -> Layer:
    """The layer of a record that `LAYER` has checked."""
    name = record["kind"]
    return BEFORE[name](**{field: record[field] for field in RECORDS[name]})


#: What the record of each kind holds beside its kind.
RECORDS: dict[str, dict[str, Check]] = {
    "Scale": {},
    "Periodic": {
        "columns": list_of(integer(), least=1) | NULL,
        "frequencies": integer(1),
        "values": integer(1),
        "sigma": number(0, ends="(]"),
    },
}


OF_KIND = table({"kind": one_of(BEFORE)})


def _inside(record: dict[str, Any], place: str) -> None:
    OF_KIND.inside(record, place)
    table(RECORDS[record["kind"]]).inside(record, place)


#: What a model file may hold of a layer.
LAYER = Check("a table", OF_KIND.holds, _inside)
