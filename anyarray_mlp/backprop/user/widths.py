"""The widths of a network's layers, from the shapes of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anyarray_mlp.backprop.user.adapter import Parameter
from anyarray_mlp.typing import Host


@dataclass(frozen=True)
class Width:
    """A layer's units; whether its weights are (out, in), and hold the bias in a row of their own."""

    units: int
    turned: bool | None
    folded: bool = False


def layer_widths(
    parameters: Sequence[Parameter], values: Sequence[Host], inputs: int
) -> list[Width]:
    """The layers' widths as far as the shapes make a chain; none if they make none."""

    def options(value: Host, width: int) -> Iterator[Width]:
        if value.ndim == 1:
            if value.size in (width, width + 1):
                yield Width(1, None, value.size == width + 1)
        elif value.ndim == 2:
            rows, columns = value.shape
            for more in (0, 1):
                if rows == width + more:
                    yield Width(columns, False if rows != columns else None, bool(more))
                if columns == width + more:
                    yield Width(rows, True if rows != columns else None, bool(more))

    def chain(rest: list[Host], width: int) -> list[Width] | None:
        if not rest:
            return []
        for option in options(rest[0], width):
            found = chain(rest[1:], option.units)
            if found is not None:
                return [option, *found]
        return None

    weights = [v for p, v in zip(parameters, values, strict=True) if p.kind == "weight"]
    return chain(weights, inputs) or []
