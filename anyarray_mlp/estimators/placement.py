"""Where arrays live, and which backend trains on them.

With scikit-learn's array API dispatch on, everything follows X's library and device. With it off, results are NumPy.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn import get_config

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.training import PREDICTION_ROWS, STREAM_BYTES
from anyarray_mlp.training.predicting import dense
from anyarray_mlp.typing import Array

#: Rows of one forward pass in NumPy: up to 2.7 times as fast as thousands at once (measured).
CACHED_ROWS = 1024


@dataclass(frozen=True)
class Place:
    """An array library and one of its devices, as `select_backend` names them."""

    library: str
    device: str


HOST = Place("numpy", "cpu")


def place_of(array: Any) -> Place:
    """The place of an array; lists, tables and sparse matrices count as NumPy.

    Raises `UsageError` for a library without a backend.
    """
    if isinstance(array, np.ndarray):
        return HOST
    import array_api_compat as compat

    if not compat.is_array_api_obj(array) or compat.is_numpy_array(array):
        return HOST
    if compat.is_torch_array(array):
        return Place("torch", str(array.device))
    if compat.is_cupy_array(array):
        return Place("cupy", f"cuda:{array.device.id}")
    if compat.is_jax_array(array):
        device = next(iter(array.devices()))
        return Place("jax", "cpu" if device.platform == "cpu" else f"cuda:{device.id}")
    namespace = compat.array_namespace(array)
    if namespace.__name__ == "array_api_strict":
        name = repr(array.device).split("'")[1]
        return Place("array_api_strict", "cpu" if name == "CPU_DEVICE" else name)
    raise UsageError(
        f"Arrays of {namespace.__name__} are not supported: convert them to NumPy, CuPy, PyTorch or JAX first."
    )


def followed_place(x: Any) -> Place:
    """The place for results: X's under array API dispatch, else the host."""
    return place_of(x) if get_config()["array_api_dispatch"] else HOST


def float_dtypes(x: Any) -> tuple[Any, Any]:
    """float64 and float32 of the library that X has after validation."""
    if followed_place(x) == HOST:
        return np.float64, np.float32
    import array_api_compat as compat

    xp = compat.array_namespace(x)
    return xp.float64, xp.float32


def dtype_name(array: Any) -> str:
    """An array's dtype without the library's name: float32, ..."""
    dtype = array.dtype
    return numpy_name(dtype) if isinstance(dtype, np.dtype) else str(dtype).rpartition(".")[2]


@functools.cache
def numpy_name(dtype: np.dtype[Any]) -> str:
    """The name of a NumPy dtype, cached because it is slow to compute."""
    return str(dtype)


@functools.cache
def backend_for(name: str | None, device: str, dtype: str, reproducible: bool = False) -> Backend:
    """`select_backend`, with one cached backend for each choice."""
    return select_backend(name, device, dtype, reproducible)


def backend_at(place: Place, dtype: str) -> Backend:
    """The plain backend of a place."""
    return backend_for(place.library, place.device, dtype)


def computing_backend(
    place: Place, name: str | None, device: str | None, dtype: str, reproducible: bool
) -> Backend:
    """The backend for X at `place`: the one there, unless the estimator's parameters say otherwise."""
    if name is None and device is None:
        return backend_for(place.library, place.device, dtype, reproducible)
    if name is None and place != HOST:
        name = place.library
    if device is None:
        device = "cuda" if name == "cupy" else "cpu"
    try:
        return backend_for(name, device, dtype, reproducible)
    except BackendUnavailableError as error:
        raise BackendUnavailableError(
            f"{error} A fitted estimator predicts on the CPU after set_params(device='cpu', backend=None)."
        ) from error


def to_host(array: Any) -> Any:
    """An array of any library as NumPy; anything else unchanged."""
    place = place_of(array)
    if place == HOST:
        return array
    return backend_at(place, "float32").to_host(array)


def serves(backend: Backend, place: Place) -> bool:
    """Whether the backend can use arrays at a place directly; reproducible arithmetic has its own arrays."""
    return backend.arithmetic == "plain" and (backend.name, backend.device) == (
        place.library,
        place.device,
    )


def moved(backend: Backend, array: Array) -> Array:
    """A dense array as one of the backend's, for reading; unchanged if it already is one."""
    if serves(backend, place_of(array)):
        return array
    return backend.share(to_host(array))


def check_same_place(x: Any, fitted: Array, owner: str, method: str) -> Place:
    """The place of X; ValueError if, under dispatch, the fitted parameters are elsewhere."""
    place, home = followed_place(x), place_of(fitted)
    if place == home:
        return place
    raise UsageError(
        f"Inputs passed to {owner}.{method}() must use the same namespace and the same device as those passed "
        f"to fit(): it was fitted on {home.library} ({home.device}) and X is {place.library} ({place.device}). "
        + (
            f"Convert X, or set config_context(array_api_dispatch=True) to keep {home.library} arrays as they are."
            if place == HOST
            else "Convert X, or fit again on X's library and device."
        )
    )


def host_vector(parts: list[Array]) -> NDArray[Any]:
    """Arrays of any library, raveled and concatenated into one host vector."""
    return np.concatenate([np.reshape(to_host(part), -1) for part in parts])


def take_rows(array: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of a NumPy, sparse or device array, on its device."""
    place = place_of(array)
    if place == HOST:
        return array[rows]
    backend = backend_at(place, "float32")
    with backend.on_device():
        return backend.xp.take(array, backend.asarray(rows), axis=0)


def dense_rows(array: Any, start: int, stop: int) -> Any:
    """Rows start..stop of an array or a CSR matrix, dense."""
    rows = array[start:stop] if place_of(array) == HOST else array[start:stop, ...]
    return dense(rows)


def row_spans(array: Any, backend: Backend) -> list[tuple[int, int]]:
    """Spans of rows for one forward pass each: few enough for NumPy's cache, and for sparse rows made dense."""
    n, width = array.shape
    rows = CACHED_ROWS if backend.name == "numpy" else PREDICTION_ROWS
    if sparse.issparse(array):
        rows = max(1, min(rows, STREAM_BYTES // (8 * width)))
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]
