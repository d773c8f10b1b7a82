"""An array library that nobody here has prepared for: a class of its own, and the functions of the standard over it.

It takes no arrays but its own, and its arrays cannot be written.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


class Own:
    """An array; `inside` is the NumPy array that holds its numbers."""

    def __init__(self, inside: Any) -> None:
        self.inside = np.asarray(inside)

    shape = property(lambda self: self.inside.shape)
    ndim = property(lambda self: self.inside.ndim)
    dtype = property(lambda self: self.inside.dtype)

    def __getitem__(self, key: Any) -> Own:
        return Own(self.inside[key])

    def __float__(self) -> float:
        return float(self.inside)

    def __bool__(self) -> bool:
        return bool(self.inside)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.inside, dtype=dtype)


def operation(function: Any, swapped: bool) -> Any:
    def apply(self: Own, *others: Any) -> Any:
        if any(isinstance(other, np.ndarray) for other in others):
            return NotImplemented
        arguments = [self.inside, *(getattr(other, "inside", other) for other in others)]
        return Own(function(*(reversed(arguments) if swapped else arguments)))

    return apply


for name in ("add", "sub", "mul", "truediv", "pow", "and_", "or_", "xor", "lshift", "rshift", "floordiv", "mod",
             "lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert", "matmul"):  # fmt: skip
    plain = name.rstrip("_")
    setattr(Own, f"__{plain}__", operation(getattr(operator, name), False))
    setattr(Own, f"__r{plain}__", operation(getattr(operator, name), True))


def inside(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(map(inside, value))
    if isinstance(value, np.ndarray):
        raise TypeError("an array of another library")
    return value.inside if isinstance(value, Own) else value


def asarray(value: Any, **options: Any) -> Own:
    options.pop("device", None)
    return Own(np.array(value.inside if isinstance(value, Own) else value, **options))


def __getattr__(name: str) -> Any:
    function = getattr(np, name)
    if name.startswith("_") or isinstance(function, type):
        return function

    def call(*args: Any, **options: Any) -> Any:
        options.pop("device", None)
        found = function(*inside(args), **{key: inside(value) for key, value in options.items()})
        return Own(found) if isinstance(found, (np.ndarray, np.generic)) else found

    return call
