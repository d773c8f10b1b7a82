"""What a network's description may hold: its fields checked, and as JSON has them."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.records import (
    TRUTH,
    integer,
    list_of,
    number,
    one_of,
    table,
)
from anyarray_mlp.checking.values import (
    is_real,
    items,
    refuse,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.before import (
    BEFORE,
    LAYER,
    kind_of_layer,
    to_record,
)
from anyarray_mlp.network.functional import OUTPUTS
from anyarray_mlp.network.layers import (
    Layer,
)
from anyarray_mlp.network.registry import (
    name_of,
)

ACTIVATION = name_of("activation")


RATE = number(0, 1, "[)")


#: What a description holds.
CONFIG_FIELDS = {
    "sizes": list_of(integer(1), least=2),
    "activation": ACTIVATION | list_of(ACTIVATION),
    "output": one_of(OUTPUTS),
    "loss": name_of("loss"),
    "dropout": RATE | list_of(RATE),
    "bias": TRUTH,
}


#: What it holds of a network that is not plain.
MORE_FIELDS = {"before": list_of(LAYER), "parametric": TRUTH, "members": integer(1)}


CONFIG = table(CONFIG_FIELDS, MORE_FIELDS)


def per_layer(name: str, value: Any, n: int, checked: Callable[[Any], Any]) -> tuple[Any, ...]:
    """A value for each of n hidden layers, of one for all or of n; `UsageError` for another number of them."""
    one_for_all = isinstance(value, (str, Real))
    if not one_for_all and (isinstance(value, type) or not hasattr(value, "__iter__")):
        checked(value)
    values = (
        (value,) if one_for_all else items(name, value, "one value, or one for each hidden layer")
    )
    values = tuple(checked(each) for each in values)
    if one_for_all:
        return values * n
    if len(values) != n:
        raise UsageError(
            f"{name} must be one value or one for each of the {n} hidden layers, got {len(values)}: {shown(values)}."
        )
    return values


def checked_rate(rate: Any) -> float:
    """A dropout rate; `UsageError` outside [0, 1)."""
    if not (is_real(rate) and 0 <= float(rate) < 1):
        raise UsageError(f"dropout must lie in [0, 1), got {shown(rate)}.")
    return float(rate)


def checked_before(given: Any) -> tuple[Layer, ...]:
    """Layers that inputs go through first; `UsageError` for anything else, and for two of a kind."""
    what = f"a list of layers that inputs go through first, of {', '.join(BEFORE)}"
    layers = items("before", given, what)
    kinds = [kind_of_layer(layer) for layer in layers]
    if None in kinds:
        refuse("before", what, given)
    if len(set(kinds)) < len(kinds):
        raise UsageError(f"before may hold each kind of layer once, got {shown(given)}.")
    return layers


def plain(value: Any) -> Any:
    """A value as JSON has it: a name without the function that it may carry, a layer as a table of its fields."""
    if isinstance(value, Layer):
        return to_record(value)
    return str(value) if isinstance(value, str) else value
