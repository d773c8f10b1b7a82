"""Which of the arrays that a user's function returns belongs to which parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.adapter import Parameter
from anyarray_mlp.backprop.user.paths import to_host
from anyarray_mlp.errors import UsageError
from anyarray_mlp.typing import Host


def flatten(value: Any, names: str = "", split: bool = False) -> list[tuple[str, Host]]:
    """All arrays in a nested return value, each with the keys that lead to it.

    A list of numbers is one array; with `split`, each number is one.
    """
    if value is None or isinstance(value, (str, bool)):
        return []
    if isinstance(value, Mapping):
        items = list(value.items())
        return [leaf for k, item in items for leaf in flatten(item, f"{names}.{k}", split)]
    if isinstance(value, (list, tuple)):
        if not split and is_numeric_nest(value):
            return [(names, np.asarray(value, dtype=float))]
        return [
            leaf for i, item in enumerate(value) for leaf in flatten(item, f"{names}.{i}", split)
        ]
    if isinstance(value, (int, float, np.generic)) or hasattr(value, "shape"):
        array = to_host(value)
        return [(names, array)] if array.dtype.kind in "fiu" else []
    return []


def is_numeric_nest(value: Any) -> bool:
    """True for a list of numbers, or a regular list of such lists."""
    if not value or not isinstance(value, (list, tuple)):
        return False
    if all(isinstance(item, (int, float)) for item in value):
        return True
    if not all(isinstance(item, list) and is_numeric_nest(item) for item in value):
        return False
    return len({len(item) for item in value}) == 1


def canonical_name(name: str) -> str:
    """`.grads.dW1` -> `w1`: the name without the marks of a gradient."""
    last = [part for part in name.split(".") if part]
    text = (last[-1] if last else "").lower()
    for mark in (
        "grad_",
        "_grad",
        "grads_",
        "nabla_",
        "delta_",
        "d_",
        "_delta",
        "gradient_",
        "new_",
    ):
        text = text.replace(mark, "")
    if text.startswith("d") and len(text) > 1 and text not in ("data",):
        text = text[1:]
    return text


def gradient_leaves(result: Any, parameters: Sequence[Parameter]) -> list[tuple[str, Host]]:
    """The gradients among everything that a function returns.

    A number beside them is the loss, unless a parameter would be left without a gradient: it may be
    the sum of a bias's whole gradient, for example.
    """
    every = flatten(result)
    if by_names(every, parameters) is not None:
        return every
    arrays = [leaf for leaf in every if np.ndim(leaf[1]) > 0]
    for leaves in (arrays, every, flatten(result, split=True)):
        if len(leaves) == len(parameters):
            return leaves
    return arrays or every


def by_names(
    leaves: Sequence[tuple[str, Host]], parameters: Sequence[Parameter]
) -> list[Host | None] | None:
    """Each parameter's array by name; None if not every weight has one."""
    full = dict(leaves)
    if all(str(p.path) in full for p in parameters):
        return [full[str(p.path)] for p in parameters]
    last = [name.rsplit(".", 1)[-1] for name, _ in leaves]
    named = {
        canonical_name(name): array
        for name, (_, array) in zip(last, leaves, strict=True)
        if not name.isdigit()
    }
    plain = [str(p.path).rsplit(".", 1)[-1] for p in parameters]
    if len({name.lower() for name in plain}) < len(plain):
        return None
    found = [named.get(name.lower(), named.get(canonical_name(name))) for name in plain]
    missing = [n for n, f in zip(plain, found, strict=True) if f is None]
    if any(p.kind == "weight" and f is None for p, f in zip(parameters, found, strict=True)):
        if len(missing) < len(plain) and len(leaves) < len(plain):
            raise UsageError(
                f"no array for {', '.join(missing)} among the {len(leaves)} returned ({', '.join(last)}); return one "
                "for each parameter"
            )
        return None
    return found


def order_leaves(
    leaves: list[tuple[str, Host]],
    parameters: Sequence[Parameter],
    values: Sequence[Host],
    nearest: bool = False,
) -> list[Host | None]:
    """Give each returned array to the parameter it belongs to: by name, else by shape and order.

    With `nearest`, the arrays are new values of the parameters, and of the orders that fit, the one
    nearest to the old values is taken.
    """
    named = by_names(leaves, parameters)
    if named is not None:
        return named
    arrays = [array for _, array in leaves]
    weights = [i for i, p in enumerate(parameters) if p.kind == "weight"]
    biases = [i for i, p in enumerate(parameters) if p.kind == "bias"]
    orders: list[list[int]] = []
    if len(arrays) == len(parameters):
        mixed = list(range(len(parameters)))
        bias_first = [i for layer in range(len(weights)) for kind in ("bias", "weight")
                      for i in mixed if parameters[i].layer == layer and parameters[i].kind == kind]  # fmt: skip
        orders = [mixed, weights + biases, bias_first, biases + weights, mixed[::-1],
                  bias_first[::-1], weights[::-1] + biases[::-1], biases[::-1] + weights[::-1]]  # fmt: skip
    elif len(arrays) == len(weights):
        orders = [
            order
            for order in (weights, weights[::-1])
            if all(fit_of_shapes(a, values[i]) > 0 for a, i in zip(arrays, order, strict=True))
        ]
    if not orders:
        raise UsageError(
            f"{len(arrays)} arrays returned for {len(parameters)} parameters "
            f"({', '.join(str(p.path) for p in parameters)}); return one for each, in this order or "
            "as a dict"
        )
    best: list[int] | None = None
    best_score = (-1.0, 0.0)
    for order in orders:
        fitting = np.mean([fit_of_shapes(arrays[k], values[i]) for k, i in enumerate(order)])
        distance = 0.0
        if nearest and fitting == 1.0:
            distance = -float(sum(np.abs(arrays[k] - values[i]).sum() for k, i in enumerate(order)))
        if (float(fitting), distance) > best_score:
            best, best_score = order, (float(fitting), distance)
    assert best is not None
    result: list[Host | None] = [None] * len(parameters)
    for k, i in enumerate(best):
        result[i] = arrays[k]
    return result


def fit_of_shapes(array: Host, value: Host) -> float:
    """1 for the same shape, less for one that could be meant, 0 for one that could not."""
    if np.shape(array) == np.shape(value):
        return 1.0
    if np.shape(array) == np.shape(value)[::-1]:
        return 0.7
    return 0.5 if np.size(array) == np.size(value) else 0.0
