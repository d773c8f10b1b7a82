"""What arrays are: of any library (`Array`), on the host (`Host`), and the namespace that the math computes with."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

#: A NumPy array.
Host: TypeAlias = NDArray[Any]


#: An array of whatever library.
Array: TypeAlias = Any

#: The parameters, or something of their layout: see `network.layout`.
Leaves: TypeAlias = tuple[Array, ...]

#: What the math computes with: an Array API namespace with the few functions that `arithmetic` adds.
Namespace: TypeAlias = Any
