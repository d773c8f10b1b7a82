"""Inference: `Predictor` keeps a network's parameters on a device and answers rows there; `predict` does so once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_instance, check_positive, refuse
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.typing import Array, Host, Leaves, Namespace

#: Rows of one forward pass at most.
PREDICTION_ROWS = 8192
#: Units of the widest layer, over all rows of a forward pass, that stay in a CPU's cache; and the fewest rows.
CACHED_UNITS, CACHED_ROWS = 1 << 18, 1024


@with_known_options
class Predictor:
    """Outputs of a network for rows of inputs.

    The parameters (p,) are moved to the device once, so that a call costs little more than its products.
    """

    def __init__(
        self, mlp: MLP, parameters: Host, backend: Backend, input_scale: float | None = None
    ) -> None:
        check_network(mlp)
        check_instance("backend", backend, Backend, "a backend, such as select_backend()")
        if input_scale is not None:
            check_positive("input_scale", input_scale)

        def outputs(xp: Namespace, leaves: Leaves, x: Array) -> Array:
            return mlp.predict(xp, leaves, as_inputs(xp, x, leaves[0].dtype, input_scale))

        self.backend = backend
        self.n_inputs = mlp.sizes[0]
        self.rows = rows_at_once(mlp, backend)
        self.leaves = to_leaves(mlp, backend, parameters)
        self.run = backend.jit(outputs)

    def __call__(self, x: Array) -> Host:
        """Outputs (n, k) of rows x (n, i) on the host, worked out in parts that suit the backend."""
        shape = getattr(x, "shape", None)
        if shape is None or len(shape) != 2 or shape[1] != self.n_inputs:
            found = shown(x) if shape is None else tuple(shape)
            raise DataError(f"x must have shape (n, {self.n_inputs}), got {found}.")
        if isinstance(x, np.ndarray) and x.dtype.kind not in "fiub":
            raise DataError(f"x must hold numbers, got dtype {x.dtype}.")
        if x.shape[0] <= self.rows:
            return self.backend.to_host(self.run(self.leaves, on_device(self.backend, x)))
        parts = spans(x.shape[0], self.rows)
        return np.concatenate([self(x[start:stop, ...]) for start, stop in parts])


@with_known_options
def predict(
    mlp: MLP,
    parameters: Host,
    x: Array,
    *,
    backend: str | Backend | None = None,
    input_scale: float | None = None,
) -> Host:
    """Outputs (n, k) of rows x (n, i) as a NumPy array. A `Predictor` spares the preparation of later calls.

    `parameters` is the vector (p,) that `Fit.parameters` or `MLP.initialize` gives, `backend` a name or what
    `select_backend` gives, and `input_scale` what x is multiplied by (1/255 for images).
    """
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    return Predictor(mlp, parameters, backend, input_scale)(x)


def as_inputs(xp: Namespace, x: Array, dtype: Any, scale: float | None) -> Array:
    """Rows as the network takes them: images that are kept as bytes are cast, and scaled if asked."""
    if x.dtype != dtype:
        x = xp.astype(x, dtype)
    return x if scale is None else x * scale


def check_parameters(mlp: MLP, vector: Any) -> None:
    """Raise `UsageError` for what is no vector of a network's parameters."""
    if not isinstance(vector, np.ndarray) or vector.dtype.kind not in "fiu":
        refuse("parameters", "a NumPy vector of numbers (p,), as Fit.parameters", vector)
    if vector.shape != (mlp.layout.size,):
        raise UsageError(
            f"The parameters of a network {mlp.sizes} have shape ({mlp.layout.size},), got {vector.shape}."
        )


def to_leaves(mlp: MLP, backend: Backend, vector: Host) -> Leaves:
    """A flat host vector (p,) as leaves on the device."""
    check_parameters(mlp, vector)
    parts = [vector] if backend.flat else mlp.layout.split(vector)
    return tuple(backend.asarray(part) for part in parts)


def on_device(backend: Backend, array: Array) -> Array:
    """NumPy data on the backend's device to be read there, bytes as bytes; shared where the backend can."""
    if not isinstance(array, np.ndarray):
        if not backend.owns(array):
            raise DataError(
                f"The {backend.name} backend cannot take a {type(array).__module__}.{type(array).__name__}: give it "
                "NumPy arrays or its own."
            )
        return array
    return backend.share(array, "uint8" if array.dtype == np.uint8 else None)


def is_sparse(x: Any) -> bool:
    """Whether x is one of SciPy's sparse matrices or arrays (told by its `tocsr`, so that SciPy need not be loaded)."""
    return hasattr(x, "tocsr")


def dense(x: Any) -> Any:
    """x with no entry left out."""
    return x.toarray() if is_sparse(x) else x


def rows_at_once(mlp: MLP, backend: Backend) -> int:
    """Rows of one forward pass: on NumPy, which goes over memory once an operation, few enough for the cache."""
    if backend.name != "numpy":
        return PREDICTION_ROWS
    return min(PREDICTION_ROWS, max(CACHED_ROWS, CACHED_UNITS // max(mlp.sizes)))


def spans(n: int, rows: int) -> Iterator[tuple[int, int]]:
    """Starts and stops of parts of at most `rows` of n rows; one part where there are none."""
    for start in range(0, max(n, 1), rows):
        yield start, min(start + rows, n)
