"""What a network is a row of: layers, each with its parameters, its value, and the way of a gradient back through it.

The walk (`network.passes`) asks four things of a layer, and knows no kind of it: `apply`, its value with the residual
that the way back needs; `input_gradient`; `gradients`, those of its parameters, summed over the parts of a batch; and
`pull`, both at once. The formulas are those of `network.functional` where a layer is a function; the others stand here.

Shapes: inputs (n, i), values (n, o), and what a layer says of its parameters. A stack of networks has an axis in front
of each of these, which a layer neither sums over nor knows the size of; parameters may have an axis of 1 in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.records import NULL, Check, integer, list_of, number, one_of, table
from anyarray_mlp.checking.values import check_positive, check_whole, is_whole, items, refuse
from anyarray_mlp.network.functional import (
    Activation,
    Vjp,
    activation_function,
    dense,
    dense_vjp,
    dropout,
    one_hot,
)
from anyarray_mlp.network.initializers import standard_normal, symmetric
from anyarray_mlp.network.layout import Parameter
from anyarray_mlp.typing import Array, Host, Namespace

#: Of each part of a batch, what was kept of it on the way there and the gradient of the layer's value.
Parts = Sequence[tuple[Any, Array]]


class Layer:
    """A layer; one without parameters and with as many outputs as inputs, unless it says otherwise."""

    def units(self, inputs: int) -> int:
        """How many values (n, o) it makes of a row of inputs."""
        return inputs

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """What it has to train, where rows have so many inputs."""
        return ()

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """What each of its parameters starts from; those of dense layers are drawn by an initialiser."""
        return ()

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """The value of inputs x, and the residual. `key` is one of dropout, `row` where x begins in its batch."""
        raise NotImplementedError

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """The gradient of the inputs of the gradient dy of the value; may overwrite dy if it has no parameters."""
        raise NotImplementedError

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """The gradient of each parameter, summed over the rows of all parts."""
        return ()

    def pull(
        self, xp: Namespace, residual: Any, dy: Array, need_dx: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """The gradients of the inputs (None unless needed) and of the parameters, of a batch in one part."""
        gradients = self.gradients(xp, [(residual, dy)])
        return (self.input_gradient(xp, residual, dy) if need_dx else None), gradients


# --- of a plain network --------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense(Layer):
    """x @ w + b."""

    outputs: int
    bias: bool = True

    def units(self, inputs: int) -> int:
        """As many as it is said to have."""
        return self.outputs

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Weights (i, o) and biases (o,)."""
        weights = Parameter("weights", (inputs, self.outputs))
        return (weights, Parameter("biases", (self.outputs,))) if self.bias else (weights,)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        return dense(xp, x, values[0], values[1] if self.bias else None)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        return xp.linear_input_gradient(residual, dy)

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        return self.given(*xp.linear_batch_gradient([*parts]))

    def pull(
        self, xp: Namespace, residual: Any, dy: Array, need_dx: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """As in `Layer`."""
        dx, dw, db = dense_vjp(xp, residual, dy, need_dx)
        return dx, self.given(dw, db)

    def given(self, dw: Array, db: Any) -> tuple[Array, ...]:
        """The gradients of weights and biases, or of weights alone."""
        return (dw, db) if self.bias else (dw,)


@dataclass(frozen=True)
class Function(Layer):
    """An activation."""

    activation: str

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        return activation_function(self.activation)(xp, x)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        dx: Array = residual(dy)
        return dx


@dataclass(frozen=True)
class Dropout(Layer):
    """Units dropped with a probability, if there is a key; each sample has a row for each member."""

    rate: float
    members: int = 1

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        return (x, None) if key is None else dropout(xp, x, self.rate, key, row * self.members)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        dx: Array = dy if residual is None else residual(dy)
        return dx


# --- of others -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parametric(Layer):
    """z + alpha (f(z) - z), f an activation: from the identity at alpha = 0 to f at 1, where each unit starts.

    Each unit trains an alpha of its own (RealMLP, Holzmüller et al. 2024).
    """

    activation: str

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """An alpha for each unit."""
        return (Parameter("alphas", (inputs,)),)

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """Ones."""
        return (np.ones(inputs),)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        alpha = for_rows(values[0])
        a, vjp = activation_function(self.activation)(xp, x)
        bend = a - x
        return x + bend * alpha, (vjp, bend, alpha)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """(1 - alpha) dy + alpha f'(z) dy."""
        vjp, _, alpha = residual
        bent = dy * alpha
        straight = dy - bent  # before the vjp, which may overwrite what it is given
        dx: Array = vjp(bent) + straight
        return dx

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """sum_n dy (f(z) - z)."""
        return (summed(xp, [dy * bend for (_, bend, _), dy in parts]),)


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


def turned(xp: Namespace, x: Array) -> Array:
    """(a, b, e) as (b, a, e), whatever is in front."""
    front = tuple(range(x.ndim - 3))
    return xp.permute_dims(x, (*front, x.ndim - 2, x.ndim - 3, x.ndim - 1))


def by_row(xp: Namespace, x: Array) -> Array:
    """What numbers were made into, (c, n, e), as rows (n, c e)."""
    x = turned(xp, x)
    return xp.reshape(x, (*x.shape[:-2], -1))


# --- members that share weights ------------------------------------------------------------------
# TabM (Gorishniy et al. 2024), after BatchEnsemble (Wen et al. 2020): k networks whose weights are the same, but for
# factors of each member's own at the inputs and outputs of each dense layer, its biases and its last layer. A sample
# has k rows, one for each member, and so a dense layer of shared weights is a dense layer.


@dataclass(frozen=True)
class Members(Layer):
    """Each row becomes k, one for each member, times its own factors: signs drawn at random."""

    members: int

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """The factors (k, i)."""
        return (Parameter("factors_in", (self.members, inputs)),)

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """1 or -1."""
        return (np.where(symmetric(random, self.members, inputs) < 0, -1.0, 1.0),)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        factors, rows = values[0][..., None, :, :], x[..., None, :]  # (1, k, i), (n, 1, i)
        return merged(xp, rows * factors), (rows, factors)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        _, factors = residual
        return xp.sum(apart(xp, dy, self.members) * factors, axis=-2)

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        terms = [apart(xp, dy, self.members) * rows for (rows, _), dy in parts]
        return (xp.sum(joined(xp, terms, -3), axis=-3),)


@dataclass(frozen=True)
class Factors(Layer):
    """Each member's row times its own factors, ones at the start, and plus its own biases if it has some."""

    name: str
    members: int
    bias: bool = False

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """The factors and biases (k, i)."""
        shape = (self.members, inputs)
        factors = Parameter(self.name, shape)
        return (factors, Parameter("biases", shape)) if self.bias else (factors,)

    def initial(self, random: np.random.Generator, inputs: int) -> tuple[Host, ...]:
        """Ones, and zeros."""
        shape = (self.members, inputs)
        return (np.ones(shape), np.zeros(shape)) if self.bias else (np.ones(shape),)

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        rows, factors = apart(xp, x, self.members), values[0][..., None, :, :]
        y = rows * factors
        if self.bias:
            y = y + values[1][..., None, :, :]
        return merged(xp, y), (rows, factors)

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        _, factors = residual
        return merged(xp, apart(xp, dy, self.members) * factors)

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        dys = [apart(xp, dy, self.members) for _, dy in parts]
        terms = [dy * rows for ((rows, _), _), dy in zip(parts, dys, strict=True)]
        found = (terms, dys) if self.bias else (terms,)
        return tuple(xp.sum(joined(xp, each, -3), axis=-3) for each in found)


@dataclass(frozen=True)
class Heads(Dense):
    """A dense layer of each member's own: weights (k, i, o) and biases (k, o)."""

    members: int = 1

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """As those of a dense layer, k of each."""
        return tuple(
            Parameter(name, (self.members, *shape)) for name, shape in super().parameters(inputs)
        )

    def apply(
        self, xp: Namespace, values: Sequence[Array], x: Array, key: Array | None, row: int
    ) -> tuple[Array, Any]:
        """As in `Layer`."""
        y, residual = super().apply(xp, values, self.by_member(xp, x), key, row)
        return merged(xp, turned(xp, y)), residual

    def input_gradient(self, xp: Namespace, residual: Any, dy: Array) -> Array:
        """As in `Layer`."""
        dx = super().input_gradient(xp, residual, self.by_member(xp, dy))
        return merged(xp, turned(xp, dx))

    def gradients(self, xp: Namespace, parts: Parts) -> tuple[Array, ...]:
        """As in `Layer`."""
        return super().gradients(xp, [(kept, self.by_member(xp, dy)) for kept, dy in parts])

    def pull(
        self, xp: Namespace, residual: Any, dy: Array, need_dx: bool
    ) -> tuple[Array | None, tuple[Array, ...]]:
        """As in `Layer`."""
        dx, gradients = super().pull(xp, residual, self.by_member(xp, dy), need_dx)
        return (None if dx is None else merged(xp, turned(xp, dx))), gradients

    def by_member(self, xp: Namespace, x: Array) -> Array:
        """Rows (n k, i) as (k, n, i)."""
        return turned(xp, apart(xp, x, self.members))


def apart(xp: Namespace, x: Array, members: int) -> Array:
    """Rows (n k, i) as (n, k, i)."""
    *front, _, units = x.shape
    return xp.reshape(x, (*front, -1, members, units))


def merged(xp: Namespace, x: Array) -> Array:
    """(n, k, i) as rows (n k, i)."""
    *front, n, k, units = x.shape
    return xp.reshape(x, (*front, n * k, units))


def repeated(xp: Namespace, x: Array, members: int) -> Array:
    """Each row (n, i) once for each member: (n k, i)."""
    return merged(xp, xp.concat([x[..., None, :]] * members, axis=-2))


def mean_outputs(xp: Namespace, function: Activation, z: Array, members: int) -> tuple[Array, Vjp]:
    """The mean of the members' outputs (n, o) of their logits (n k, o), and the vjp down to these."""
    y, vjp = function(xp, z)
    mean = xp.sum(apart(xp, y, members), axis=-2) * (1.0 / members)
    return mean, lambda dy: vjp(repeated(xp, dy * (1.0 / members), members))


def mean_losses(xp: Namespace, losses: Array, vjp: Vjp, members: int) -> tuple[Array, Vjp]:
    """The mean (n,) of the members' losses (n k,), and the vjp down to their logits."""
    mean = xp.sum(apart(xp, losses[..., None], members)[..., 0], axis=-1) * (1.0 / members)

    def mean_vjp(g: Array) -> Array:
        g = g * (1.0 / members)
        return vjp(repeated(xp, g, members) if getattr(g, "ndim", 0) else g)

    return mean, mean_vjp


def for_rows(parameter: Array) -> Array:
    """A parameter (o,), or a stack's (k, o), with an axis of 1 for the rows."""
    return parameter[..., None, :]


def summed(xp: Namespace, terms: list[Any]) -> Array:
    """The sum over the rows of all parts of a batch, each (n, o): one sum, so that it is the whole batch's to the bit
    where the arithmetic is reproducible.
    """
    return xp.sum(joined(xp, terms, -2), axis=-2)


def joined(xp: Namespace, arrays: list[Any], axis: int = 0) -> Array:
    """Arrays one under the other, or along another axis."""
    return arrays[0] if len(arrays) == 1 else xp.concat(arrays, axis=axis)


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


# --- a row of them -------------------------------------------------------------------------------


class Placed(NamedTuple):
    """A layer of a network, how many inputs it has, and which of the network's parameters are its own."""

    layer: Layer
    inputs: int
    own: tuple[int, ...]


class Block(NamedTuple):
    """A dense layer with what comes before it, up to the values z; and what follows these: activation and dropout."""

    linear: tuple[Placed, ...]
    following: tuple[Placed, ...]


class Row(NamedTuple):
    """The layers of a network by the dense layers that they belong to, and its parameters in the order of its layout.

    The first layer of all has parameters.
    """

    blocks: tuple[Block, ...]
    parameters: tuple[Parameter, ...]

    @property
    def placed(self) -> Iterator[Placed]:
        """Every layer in turn."""
        return (placed for block in self.blocks for group in block for placed in group)


def row_of(inputs: int, blocks: Sequence[tuple[Sequence[Layer], Sequence[Layer]]]) -> Row:
    """Layers, two groups for each dense layer, as a row; parameters are named after their dense layer ("scales.0").

    They lie weights first, then biases, then what else there is, kind by kind.
    """
    found: list[tuple[Layer, int, tuple[Parameter, ...]]] = []
    for place, block in enumerate(blocks):
        for layer in (layer for group in block for layer in group):
            own = layer.parameters(inputs)
            named = tuple(Parameter(f"{name}.{place}", shape) for name, shape in own)
            found.append((layer, inputs, named))
            inputs = layer.units(inputs)
    every = [parameter for *_, own in found for parameter in own]
    kinds = list(dict.fromkeys(["weights", "biases", *map(kind_of, every)]))
    ordered = sorted(every, key=lambda parameter: kinds.index(kind_of(parameter)))
    places = {parameter.name: place for place, parameter in enumerate(ordered)}
    placed = iter(
        Placed(layer, width, tuple(places[parameter.name] for parameter in own))
        for layer, width, own in found
    )
    made = (Block(*(tuple(next(placed) for _ in group) for group in block)) for block in blocks)
    return Row(tuple(made), tuple(ordered))


def start_others(row: Row, parts: Sequence[Host], random: np.random.Generator) -> None:
    """Put what layers that are not dense start from into the parts of a vector, layer by layer."""
    for layer, inputs, own in row.placed:
        for place, start in zip(own, layer.initial(random, inputs), strict=False):
            parts[place][...] = start


def kind_of(parameter: Parameter) -> str:
    """The name of a parameter without the place of its layer."""
    return parameter.name.partition(".")[0]
