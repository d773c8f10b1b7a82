"""A network as a row of layers: each in its place, with the parameters that are its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from anyarray_mlp.network.layers import Layer
from anyarray_mlp.network.layout import Parameter
from anyarray_mlp.typing import Host


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


def widest_of(row: Row, inputs: int, before: int, members: int) -> int:
    """The most values that a layer takes or makes of a row of so many inputs; all but the first layers, which come
    `before`, do so for each member.
    """
    return max(
        inputs,
        *(
            layer.width(width) * (members if place >= before else 1)
            for place, (layer, width, _) in enumerate(row.placed)
        ),
    )


def kind_of(parameter: Parameter) -> str:
    """The name of a parameter without the place of its layer."""
    return parameter.name.partition(".")[0]
