"""`Contents`: a trained model as what writes it in another language needs it, arrays and formulas instead of names."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.data.encoding import Column
from anyarray_mlp.errors import UsageError
from anyarray_mlp.export.formulas import Formula, formula_of
from anyarray_mlp.network.functional import OUTPUTS, activation_function
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Host

#: What a description of a network may hold; of what is not here nobody knows what it does to a row.
KNOWN_FIELDS = frozenset(
    {"sizes", "activation", "output", "loss", "dropout", "bias", "before", "parametric"}
)
KNOWN_LAYERS = frozenset({"Scale"})
KNOWN_PARAMETERS = frozenset({"weights", "biases", "scales", "alphas"})


@dataclass(frozen=True)
class Layer:
    """A dense layer and what follows it: weights (i, o), bias (o,) or None, an activation, and how far it bends.

    function: None after the last layer and for the identity. alphas: (o,), of z + alpha (f(z) - z), or None.
    """

    weights: Host
    bias: Host | None
    activation: str
    function: Formula | None
    alphas: Host | None


@dataclass(frozen=True)
class Member:
    """One network: factors (i,) of its inputs, or None, and its layers."""

    scales: Host | None
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Contents:
    """A trained model.

    name : a name that C takes, of what is written. members : networks, whose outputs are averaged.
    output : the output's name. output_function : its formula; None of identity, and of softmax, which is none.
    dtype : "float32" or "float64", in which the network computes; encodings are worked out in float64.
    """

    name: str
    dtype: str
    members: tuple[Member, ...]
    output: str
    output_function: Formula | None
    preprocessor: Preprocessor
    targets: TargetEncoder

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of a row that a model needs, in order."""
        return self.preprocessor.used

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of every layer."""
        layers = self.members[0].layers
        return (len(layers[0].weights), *(layer.weights.shape[1] for layer in layers))

    @property
    def classes(self) -> tuple[Any, ...]:
        """The labels of a classification in the order of their codes; else none."""
        if self.targets.task != "classification" or self.targets.classes is None:
            return ()
        return tuple(self.targets.classes.tolist())


def contents_of(
    mlp: MLP,
    parameters: Host,
    preprocessor: Preprocessor,
    targets: TargetEncoder,
    name: str,
    dtype: str,
    *,
    given: Collection[str] = (),
) -> Contents:
    """The contents of a model whose network computes in `dtype`; `given` as for `formula_of`.

    Raises `UsageError` for a layer that no export knows, and an activation without a formula.
    """
    check_known(mlp)
    functions = {
        each: formula_of(each, activation_function(each), dtype, given)
        for each in dict.fromkeys(mlp.activation)
        if each != "identity"
    }
    several = parameters if parameters.ndim == 2 else parameters[None]
    members = tuple(member_of(mlp, vector.astype(dtype), functions) for vector in several)
    formula = None
    if mlp.output not in ("identity", "softmax"):
        formula = formula_of(mlp.output, OUTPUTS[mlp.output], dtype, given)
    return Contents(identifier(name), dtype, members, mlp.output, formula, preprocessor, targets)


def check_known(mlp: MLP) -> None:
    """Raise `UsageError` for a network with what is not known here."""
    config = mlp.to_config()
    layers = [layer["kind"] for layer in config.get("before", ())]
    parameters = {name.partition(".")[0] for name in mlp.layout.names}
    fields = {field for field, value in config.items() if value}
    for what, found, known in (
        ("layer", layers, KNOWN_LAYERS),
        ("setting", fields, KNOWN_FIELDS),
        ("parameter", parameters, KNOWN_PARAMETERS),
    ):
        unknown = sorted(set(found) - known)
        if unknown:
            raise UsageError(
                f"The network has the {what} {unknown[0]!r}, which cannot be exported: train one without it."
            )


def member_of(mlp: MLP, vector: Host, functions: dict[str, Formula]) -> Member:
    """One network of parameters (p,)."""
    parts = dict(zip(mlp.layout.names, mlp.layout.split(vector), strict=True))
    layers = []
    for place in range(mlp.layout.n_layers):
        activation = mlp.activation[place] if place < len(mlp.activation) else "identity"
        layers.append(
            Layer(
                parts[f"weights.{place}"],
                parts.get(f"biases.{place}"),
                str(activation),
                functions.get(activation),
                parts.get(f"alphas.{place}"),
            )
        )
    return Member(parts.get("scales.0"), tuple(layers))


def identifier(name: str) -> str:
    """A name as C takes it."""
    found = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_")
    return found if re.match(r"[A-Za-z]", found) else f"model_{found}".rstrip("_")


def known_rest(column: Column) -> int:
    """The index that a category without one of its own has: that of the rest, or -1 of a gap."""
    return -1 if column.rest is None else column.rest


def as_unit(number: float, dtype: str) -> float:
    """A number as a dtype has it."""
    return float(np.dtype(dtype).type(number))
