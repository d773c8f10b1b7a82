"""How the weights and biases of a network lie in the leaves of the training state.

The order is fixed: every weight matrix from the first layer to the last, then every bias, then the parameters of
layers that are not dense, if there are any. So the L2 penalty, which is for weights alone, acts on one contiguous
range, and the flat vector is the one scikit-learn hands to L-BFGS.

Leaves are either one flat vector `theta` (p,), of which weights are views (NumPy, CuPy, PyTorch), or the
weights and biases themselves (JAX, whose compiler fuses). Whoever maps over leaves need not know which.

A stack of k > 1 networks of one layout has an axis of k in front of every weight and bias. Its flat vector (k p,) holds
one member's parameters after the other's, so that the whole is one vector for whoever maps over leaves, and a member's
is a piece of it. On the host it is a matrix (k, p).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.typing import Array, Host, Leaves, Namespace


class Parameter(NamedTuple):
    """An array that is trained, of a layer or of a network: its name and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Shapes and offsets of the parameters of layers of `sizes` units, inputs first.

    parameters : names and shapes of all, where the layers are not dense layers alone.
    """

    sizes: tuple[int, ...]
    bias: bool = True
    parameters: tuple[Parameter, ...] = ()

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all weights (i, o), then of all biases (o,), then of what else there is."""
        if self.parameters:
            return tuple(shape for _, shape in self.parameters)
        weights = tuple(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        return weights + tuple((o,) for o in self.sizes[1:]) if self.bias else weights

    @cached_property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Start and stop of each parameter in the flat vector."""
        stops = np.cumsum([math.prod(shape) for shape in self.shapes]).tolist()
        return tuple(zip([0, *stops[:-1]], stops, strict=True))

    @property
    def n_layers(self) -> int:
        """Number of dense layers."""
        return len(self.sizes) - 1

    @cached_property
    def size(self) -> int:
        """Number of parameters, p."""
        return self.bounds[-1][1]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """`weights.0`, `weights.1`, ..., `biases.0`, ...: one name for each shape."""
        if self.parameters:
            return tuple(name for name, _ in self.parameters)
        kinds = ("weights", "biases") if self.bias else ("weights",)
        return tuple(f"{kind}.{layer}" for kind in kinds for layer in range(self.n_layers))

    def split(self, vector: Host) -> list[Host]:
        """The parameters as views of a flat host vector (p,), or of a stack's (k, p), in the order of `names`."""
        return [
            vector[..., start:stop].reshape(*vector.shape[:-1], *shape)
            for (start, stop), shape in zip(self.bounds, self.shapes, strict=True)
        ]

    def stack_of(self, leaves: Leaves) -> tuple[int, ...]:
        """The axis in front of every weight: () for one network, (k,) for a stack."""
        if not is_flat(leaves):
            return tuple(leaves[0].shape[: -len(self.shapes[0])])
        k = leaves[0].shape[0] // self.size
        return (k,) if k > 1 else ()

    def parts(self, xp: Namespace, leaves: Leaves) -> list[Array]:
        """The parameters in the order of `names`."""
        if not is_flat(leaves):
            return list(leaves)
        theta, stack = leaves[0], self.stack_of(leaves)
        theta = xp.reshape(theta, (*stack, self.size)) if stack else theta
        return [
            xp.reshape(theta[..., start:stop], (*stack, *shape))
            for (start, stop), shape in zip(self.bounds, self.shapes, strict=True)
        ]

    def unpack(self, xp: Namespace, leaves: Leaves) -> tuple[list[Array], list[Any]]:
        """Weights and biases, layer by layer; a bias is None in a network without."""
        parts, n = self.parts(xp, leaves), self.n_layers
        return parts[:n], parts[n : 2 * n] if self.bias else [None] * n

    def pack(
        self, xp: Namespace, weights: Sequence[Array], others: Sequence[Any], flat: bool
    ) -> Leaves:
        """The inverse of `parts`: leaves from the weights and from what comes after them."""
        parts = (*weights, *others)
        if not flat:
            return parts
        stack = tuple(weights[0].shape[: -len(self.shapes[0])])
        if not stack:
            return (xp.concat([xp.reshape(part, (-1,)) for part in parts]),)
        rows = xp.concat([xp.reshape(part, (*stack, -1)) for part in parts], axis=-1)
        return (xp.reshape(rows, (-1,)),)

    def to_leaves(self, vector: NDArray[Any], flat: bool) -> tuple[NDArray[Any], ...]:
        """Host leaves, copied, from a flat host vector (p,), or from a stack's (k, p)."""
        if flat:
            return (vector.flatten(),)
        return tuple(part.copy() for part in self.split(vector))

    def to_vector(self, leaves: tuple[NDArray[Any], ...]) -> NDArray[Any]:
        """The flat vector (p,) of host leaves, or a stack's (k, p), copied."""
        stack = self.stack_of(leaves)
        return np.concatenate([np.reshape(leaf, (*stack, -1)) for leaf in leaves], axis=-1)


def is_flat(leaves: Leaves) -> bool:
    """Whether the leaves are one flat vector."""
    return len(leaves) == 1 and leaves[0].ndim == 1
