"""The arguments of a recorded call: its arrays taken out, and put in again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.tape import bare

SMALL_FLOATS = frozenset(["float16", "float32"])


def is_recorded(value: Any) -> bool:
    """Is a value an array that is recorded?"""
    return isinstance(value, np.ndarray) and hasattr(value, "node")


def is_number(value: Any) -> bool:
    """Is a value a single number that is recorded?"""
    return is_recorded(value) and value.ndim == 0


class Slot(int):
    """Stands for an array among the arguments of a recorded call."""


class FloatKind(type):
    """Makes recorded numbers instances of `float`."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, float) or is_number(value)


class Number(float, metaclass=FloatKind):
    """Stands for `float` in the user's code: a recorded number stays recorded."""

    def __new__(cls, value: Any = 0.0) -> Any:
        if is_recorded(value) and value.size == 1:
            number = value.reshape(())
            return number if number.dtype.kind == "f" else number.astype(np.float64)
        return float(value)


def pull(value: Any, leaves: list[Any], numbers: bool) -> Any:
    """`value` with its arrays (and its numbers) replaced by slots; they are added to `leaves`."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiub":
            leaves.append(value)
            return Slot(len(leaves) - 1)
        return value
    if isinstance(value, np.floating) or (
        numbers and isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    ):
        leaves.append(value)
        return Slot(len(leaves) - 1)
    if value is Number:
        return float
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)([pull(item, leaves, numbers) for item in value])
    if isinstance(value, dict):
        return {k: pull(item, leaves, numbers) for k, item in value.items()}
    if isinstance(value, slice):
        return slice(*(whole(part) for part in (value.start, value.stop, value.step)))
    return value


def push(value: Any, found: Sequence[Any]) -> Any:
    """`value` with the slots replaced by what was found."""
    if isinstance(value, Slot):
        return found[value]
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)([push(item, found) for item in value])
    if isinstance(value, dict):
        return {k: push(item, found) for k, item in value.items()}
    return value


def stripped(value: Any) -> Any:
    """`value` with plain arrays in place of recorded ones."""
    leaves: list[Any] = []
    shape = pull(value, leaves, numbers=False)
    return push(shape, [bare(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves])


def whole(value: Any) -> Any:
    """A recorded whole number as a plain one."""
    return int(value) if is_recorded(value) else value


def plain_key(key: Any) -> Any:
    """An index of plain arrays."""
    return stripped(key)


def widened(options: dict[str, Any]) -> dict[str, Any]:
    """Options without float32: the tape computes in float64, in which small differences show."""
    told = {}
    for name, value in options.items():
        if name == "dtype" and value is not None:
            value = float if value is Number else value
            if np.dtype(value).name in SMALL_FLOATS:
                value = np.float64
        told[name] = value
    return told


def text(key: Any) -> str:
    """An index as text."""
    return str(key).replace("\n", "")[:40]


def float_of(args: Sequence[Any], options: dict[str, Any]) -> Any:
    """The dtype that `astype` is given."""
    kind = args[0] if args else options.get("dtype")
    return float if kind is Number else kind


def small_float(args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Is a dtype one of floats?"""
    kind = np.dtype(float_of(args, options))
    return bool(kind.kind == "f")
