"""The array of reproducible arithmetic: a library's array whose operators ask the namespace that it belongs to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from anyarray_mlp.errors import UsageError

if TYPE_CHECKING:
    from anyarray_mlp.arithmetic.reproducible import ReproducibleNamespace

Raw = Any


class Array:
    """An array of reproducible arithmetic: a library's array and the namespace it belongs to."""

    __slots__ = ("value", "xp")
    __array_ufunc__ = None  # NumPy leaves operators to this class

    def __init__(self, value: Raw, xp: ReproducibleNamespace) -> None:
        self.value = value
        self.xp = xp

    # ------------------------------------------------------------ what it is

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return len(self.value.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def mT(self) -> Array:
        return self._wrap(self.xp.library.xp.matrix_transpose(self.value))

    def __array_namespace__(self, *, api_version: str | None = None) -> ReproducibleNamespace:
        return self.xp

    def __repr__(self) -> str:
        return f"reproducible {self.value!r}"

    def __len__(self) -> int:
        return self.shape[0]

    def __bool__(self) -> bool:
        return bool(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __getitem__(self, key: Any) -> Array:
        key = tuple(map(unwrap, key)) if isinstance(key, tuple) else unwrap(key)
        return self._wrap(self.value[key])

    def _wrap(self, value: Raw) -> Array:
        return Array(value, self.xp)

    # ------------------------------------------------------------ operators that round

    def __add__(self, other: Any) -> Array:
        return self.xp.add(self, other)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Array:
        return self.xp.multiply(self, other)

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Array:
        return self.xp.subtract(self, other)

    def __rsub__(self, other: Any) -> Array:
        return self.xp.subtract(other, self)

    def __truediv__(self, other: Any) -> Array:
        return self.xp.divide(self, other)

    def __rtruediv__(self, other: Any) -> Array:
        return self.xp.divide(other, self)

    def __pow__(self, other: Any) -> Array:
        if other == 2:
            return self * self
        raise UsageError(
            f"Reproducible arithmetic has no power {other!r}: write products, sqrt or exp and log."
        )

    def __matmul__(self, other: Array) -> Array:
        return self.xp.matmul(self, other)

    def __neg__(self) -> Array:
        return self.xp.negative(self)

    # ------------------------------------------------------------ operators that do not

    def __abs__(self) -> Array:
        return self._wrap(abs(self.value))

    def __invert__(self) -> Array:
        return self._wrap(~self.value)

    def __eq__(self, other: object) -> Array:  # type: ignore[override]
        return self._wrap(self.value == self.xp.operand(other, self))

    def __ne__(self, other: object) -> Array:  # type: ignore[override]
        return self._wrap(self.value != self.xp.operand(other, self))

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> Array:
        return self._wrap(self.value < self.xp.operand(other, self))

    def __le__(self, other: Any) -> Array:
        return self._wrap(self.value <= self.xp.operand(other, self))

    def __gt__(self, other: Any) -> Array:
        return self._wrap(self.value > self.xp.operand(other, self))

    def __ge__(self, other: Any) -> Array:
        return self._wrap(self.value >= self.xp.operand(other, self))

    def __and__(self, other: Any) -> Array:
        return self._wrap(self.value & self.xp.operand(other, self))

    def __or__(self, other: Any) -> Array:
        return self._wrap(self.value | self.xp.operand(other, self))

    def __xor__(self, other: Any) -> Array:
        return self._wrap(self.value ^ self.xp.operand(other, self))

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __lshift__(self, other: Any) -> Array:
        return self._wrap(self.value << self.xp.operand(other, self))

    def __rshift__(self, other: Any) -> Array:
        return self._wrap(self.value >> self.xp.operand(other, self))


def unwrap(x: Any) -> Any:
    """The library's array inside an `Array`; anything else unchanged."""
    return x.value if isinstance(x, Array) else x
