"""Exact rules for the operations that numbers alone would make slow: products, sums, the largest value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.tape import Node
from anyarray_mlp.typing import Host

Parts = list[tuple[int, Host]]
Rule = Callable[[Node, list[Host], list[int], Host, Host], Parts | None]


def unbroadcast(cotangent: Host, shape: tuple[int, ...]) -> Host:
    """Summed over what broadcasting repeated."""
    while cotangent.ndim > len(shape):
        cotangent = cotangent.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1 and cotangent.shape[axis] != 1:
            cotangent = cotangent.sum(axis=axis, keepdims=True)
    return cotangent.reshape(shape)


def add(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`a + b`."""
    return [(i, unbroadcast(c, given[i].shape)) for i in aims]


def subtract(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`a - b`."""
    return [(i, unbroadcast(c if i == 0 else -c, given[i].shape)) for i in aims]


def negative(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`-a`."""
    return [(0, -c)]


def multiply(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`a * b`."""
    return [(i, unbroadcast(c * given[1 - i], given[i].shape)) for i in aims]


def divide(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`a / b`."""
    a, b = given
    parts = {0: c / b, 1: -c * a / (b * b)}
    return [(i, unbroadcast(parts[i], given[i].shape)) for i in aims]


def exponential(
    node: Node, given: list[Host], aims: list[int], value: Host, c: Host
) -> Parts | None:
    """`exp(a)`."""
    return [(0, c * value)]


def larger(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`maximum` and `minimum`: the cotangent goes to the operand taken."""
    return [
        (
            i,
            unbroadcast(
                np.where((given[i] == value) & (given[1 - i] != value), c, 0.0), given[i].shape
            ),
        )
        for i in aims
    ]


def chosen(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`where(condition, a, b)`."""
    if len(given) != 3:
        return None
    told = {1: lambda: np.where(given[0], c, 0.0), 2: lambda: np.where(given[0], 0.0, c)}
    return [(i, unbroadcast(told[i](), given[i].shape)) for i in aims if i in told]


def dot(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`np.dot`: the last axis of a with the last but one of b."""
    a, b = given[:2]
    if len(given) != 2:
        return None
    if a.ndim == 0 or b.ndim == 0:
        return multiply(node, given, aims, value, c)
    axis = max(b.ndim - 2, 0)
    return contracted(a, b, (a.ndim - 1,), (axis,), aims, c)


def contracted(
    a: Host, b: Host, axes_a: tuple[int, ...], axes_b: tuple[int, ...], aims: list[int], c: Host
) -> Parts:
    """A product summed over pairs of axes; the result has the other axes of a, then those of b."""
    free_a = [i for i in range(a.ndim) if i not in axes_a]
    free_b = [i for i in range(b.ndim) if i not in axes_b]
    left = np.transpose(a, [*free_a, *axes_a])
    right = np.transpose(b, [*axes_b, *free_b])
    rows = int(np.prod([a.shape[i] for i in free_a], dtype=int))
    columns = int(np.prod([b.shape[i] for i in free_b], dtype=int))
    flat = np.reshape(c, (rows, columns))
    told: Parts = []
    if 0 in aims:
        part = (flat @ right.reshape(-1, columns).T).reshape(left.shape)
        told.append((0, np.transpose(part, np.argsort([*free_a, *axes_a]))))
    if 1 in aims:
        part = (left.reshape(rows, -1).T @ flat).reshape(right.shape)
        told.append((1, np.transpose(part, np.argsort([*axes_b, *free_b]))))
    return told


def matmul(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`a @ b`, with batches of matrices."""
    a, b = given
    if a.ndim <= 2 and b.ndim <= 2:
        return dot(node, given, aims, value, c)
    left = a[None, :] if a.ndim == 1 else a
    right = b[:, None] if b.ndim == 1 else b
    c = np.expand_dims(c, -2) if a.ndim == 1 else c
    c = np.expand_dims(c, -1) if b.ndim == 1 else c
    told: Parts = []
    if 0 in aims:
        part = c @ np.swapaxes(right, -1, -2)
        told.append((0, unbroadcast(part, left.shape).reshape(a.shape)))
    if 1 in aims:
        part = np.swapaxes(left, -1, -2) @ c
        told.append((1, unbroadcast(part, right.shape).reshape(b.shape)))
    return told


def einsum(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """The product of the others, summed to the letters of this operand."""
    letters = subscripts(node.arguments[0], given)
    if letters is None:
        return None
    inputs, output = letters
    told: Parts = []
    for aim in aims:
        others = [i for i in range(len(given)) if i != aim]
        known = set(output).union(*(inputs[i] for i in others))
        wanted = "".join(letter for letter in inputs[aim] if letter in known)
        if len(set(inputs[aim])) < len(inputs[aim]):
            return None
        terms = ",".join([output, *(inputs[i] for i in others)])
        part = np.einsum(f"{terms}->{wanted}", c, *(given[i] for i in others), optimize=True)
        where = tuple(slice(None) if letter in known else None for letter in inputs[aim])
        told.append((aim, np.array(np.broadcast_to(part[where], given[aim].shape))))
    return told


def subscripts(arguments: Any, given: list[Host]) -> tuple[list[str], str] | None:
    """The letters of an einsum's operands and result."""
    told = arguments[0] if arguments else None
    if not isinstance(told, str) or "." in told:
        return None
    left, arrow, output = told.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(given):
        return None
    if not arrow:
        every = "".join(inputs)
        output = "".join(sorted(letter for letter in set(every) if every.count(letter) == 1))
    return inputs, output


def tensordot(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`np.tensordot`."""
    a, b = given
    axes = argument(node, 2, "axes", 2)
    if isinstance(axes, int):
        first, second = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        first, second = ((part,) if isinstance(part, int) else tuple(part) for part in axes)
    first = tuple(axis % a.ndim for axis in first)
    second = tuple(axis % b.ndim for axis in second)
    return contracted(a, b, first, second, aims, c)


def inner(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`np.inner`."""
    a, b = given
    if a.ndim == 0 or b.ndim == 0:
        return multiply(node, given, aims, value, c)
    return contracted(a, b, (a.ndim - 1,), (b.ndim - 1,), aims, c)


def outer(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`np.outer`."""
    found = contracted(given[0].ravel(), given[1].ravel(), (), (), aims, c)
    return [(i, part.reshape(given[i].shape)) for i, part in found]


def argument(node: Node, place: int, name: str, default: Any) -> Any:
    """What a call was given for a parameter, by place or by name."""
    positional, named = node.arguments
    if name in named:
        return named[name]
    return positional[place] if len(positional) > place else default


def total(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`sum` and `mean`: found by what a sum of ones leaves of the axes."""
    if len(given) != 1 or node.function is None:
        return None
    spread = spread_back(node, given[0], c)
    if spread is None:
        return None
    if node.operation.split(" ")[0] == "mean":
        spread = spread * (value.size / given[0].size)
    return [(0, np.array(spread))]


def largest(node: Node, given: list[Host], aims: list[int], value: Host, c: Host) -> Parts | None:
    """`max` and `min` over axes: the cotangent goes to the element taken."""
    if len(given) != 1:
        return None
    back, taken = spread_back(node, given[0], c), spread_back(node, given[0], value)
    if back is None or taken is None:
        return None
    here = given[0] == taken
    return [(0, np.where(here, back, 0.0))]


def spread_back(node: Node, array: Host, c: Host) -> Host | None:
    """`c`, in the shape of a reduction's result, in the shape of its operand."""
    if c.ndim == array.ndim:
        return np.broadcast_to(c, array.shape)
    if c.ndim == 0:
        return np.broadcast_to(c, array.shape)
    axes = reduced_axes(node)
    if axes is None:
        return None
    return np.broadcast_to(np.expand_dims(c, axes), array.shape)


def reduced_axes(node: Node) -> Any:
    """The axes of a reduction, or None."""
    first = 0 if ".reduce" in node.operation else None
    axes = argument(node, 1, "axis", first)
    return axes if isinstance(axes, (int, tuple)) else None


RULES: dict[str, Rule] = {
    "add": add,
    "subtract": subtract,
    "negative": negative,
    "multiply": multiply,
    "divide": divide,
    "true_divide": divide,
    "exp": exponential,
    "maximum": larger,
    "minimum": larger,
    "where": chosen,
    "dot": dot,
    "matmul": matmul,
    "einsum": einsum,
    "tensordot": tensordot,
    "inner": inner,
    "outer": outer,
    "multiply.outer": outer,
    "sum": total,
    "mean": total,
    "add.reduce": total,
    "max": largest,
    "amax": largest,
    "min": largest,
    "amin": largest,
    "maximum.reduce": largest,
}
