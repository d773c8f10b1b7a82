"""What a user's functions return or leave in their network: its output and its gradients."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.adapter import Parameter
from anyarray_mlp.backprop.user.paths import read_path, to_host
from anyarray_mlp.backprop.user.returned import flatten, gradient_leaves, is_numeric_nest
from anyarray_mlp.errors import UsageError
from anyarray_mlp.typing import Host

# Usual names of the output among the values that a forward pass keeps or returns by name; the
# activation of the last layer (a2, A3) comes first.
OUTPUT_NAMES = ("output", "out", "y_hat", "yhat", "outputs", "probs", "y_pred", "al")
# Lists of what each layer gave, the output last.
LAYERS_NAMES = ("activations", "a", "a_h", "as", "layer_outputs")
GRADIENT_CONTAINERS = re.compile(r"_*(grads?|gradients?|derivatives|nablas?)(_dict)?")


def output_array(result: Any, network: Any, depth: int) -> Host:
    """The output of a network of `depth` layers, as a float array.

    `result` is what forward returns.

    Raises
    ------
    UsageError
        If forward returns None and the network keeps nothing under a known name.
    """
    value = find_output(result, network, depth)
    if value is None:
        raise UsageError(
            "forward returns None and leaves nothing under a known name (output, y_hat, a2, ...); give a function "
            "that returns the output"
        )
    if isinstance(value, (tuple, list)) and not is_numeric_nest(value):
        leaves = flatten(value)
        return np.asarray([leaf for _, leaf in leaves], dtype=float)
    return np.asarray(to_host(value), dtype=float)


def find_output(result: Any, network: Any, depth: int) -> Any:
    """The output as the user's own object; None if there is none."""
    if result is None:
        return output_by_name(members(network), depth)
    if isinstance(result, Mapping):
        value = output_by_name(result, depth)
        return last_array(result) if value is None else value
    if isinstance(result, (tuple, list)) and result and not is_numeric_nest(result):
        kept = [r for r in result[1:] if isinstance(r, (Mapping, list, tuple))]
        if hasattr(result[0], "shape") and kept:
            return result[0]  # the output, and what the backward pass needs
        value = last_array(result)
        return result if value is None else value
    return result


def output_by_name(values: Mapping[Any, Any], depth: int) -> Any:
    """The output among named values; None if no name is known."""
    lowered = {str(name).lower(): value for name, value in values.items()}
    names = (f"a{depth}", f"a_{depth}", *OUTPUT_NAMES)
    found = next((lowered[n] for n in names if lowered.get(n) is not None), None)
    lists = (lowered[n] for n in LAYERS_NAMES if isinstance(lowered.get(n), (list, dict)))
    return next((last_array(layers) for layers in lists), None) if found is None else found


def gradients_left_behind(network: Any, parameters: Sequence[Parameter]) -> list[tuple[str, Host]]:
    """Gradients that a function stores beside the weights, or in `grads`, instead of returning them."""
    found: list[tuple[str, Host]] = []
    for parameter in parameters:
        head, _, last = str(parameter.path).rpartition(".")
        root, _, rest = str(parameter.path).partition(".")
        marked = (f"d{last}", f"{last}_grad", f"grad_{last}", f"d_{last}", f"{last}.grad",
                  f"delta_{last}", f"g{last}")  # fmt: skip
        names = [f"{head}.{name}" for name in marked] if head else []
        names += [*marked, *(f"{mark}{root}.{rest}" for mark in ("d", "grad_", "d_") if rest)]
        for name in names:
            try:
                value = to_host(read_path(network, name))
            except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                continue
            if value.dtype.kind in "fiu":
                found.append((str(parameter.path), value))
                break
    if found:
        return found
    for name, value in members(network).items():
        if isinstance(name, str) and GRADIENT_CONTAINERS.fullmatch(name.lower()):
            found = gradient_leaves(value, parameters)
            if len(found) >= len(parameters) // 2:
                return found
    return []


def members(node: Any) -> Mapping[Any, Any]:
    """The values that a network keeps, by name."""
    return node if isinstance(node, Mapping) else getattr(node, "__dict__", {})


def last_array(value: Any) -> Any:
    """The last array in a nested value, as the user's own object; None if there is none."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (tuple, list)):
        return value if hasattr(value, "shape") and len(value.shape) > 0 else None
    if is_numeric_nest(value):
        return value
    found = (last_array(item) for item in reversed(value))
    return next((array for array in found if array is not None), None)
