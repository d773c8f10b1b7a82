"""Where arrays live, and which backend trains on them.

With scikit-learn's array API dispatch on, everything follows X: its library, its device. Off, results are NumPy.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.typing import Array


@dataclass(frozen=True)
class Place:
    """An array library and one of its devices, as `select_backend` names them."""

    library: str
    device: str


HOST = Place("numpy", "cpu")


def place_of(array: Any) -> Place:
    """Where an array lives; lists, tables and sparse matrices count as NumPy.

    Raises `UsageError` for a library that no backend serves.
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
    """Where results belong: with X under array API dispatch, else on the host."""
    return place_of(x) if get_config()["array_api_dispatch"] else HOST


def float_dtypes(x: Any) -> tuple[Any, Any]:
    """float64 and float32 of the library that validation leaves X in."""
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
    """The name of NumPy's dtype, kept as it takes long to make."""
    return str(dtype)


@functools.cache
def backend_for(name: str | None, device: str, dtype: str, reproducible: bool = False) -> Backend:
    """`select_backend`, one for each choice."""
    return select_backend(name, device, dtype, reproducible)


def backend_at(place: Place, dtype: str) -> Backend:
    """The plain backend of a place."""
    return backend_for(place.library, place.device, dtype)


def computing_backend(
    place: Place, name: str | None, device: str | None, dtype: str, reproducible: bool
) -> Backend:
    """The backend that computes for X at `place`: there, unless an estimator's parameters say otherwise."""
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
    """An array of any library as NumPy; whatever is no such array unchanged."""
    place = place_of(array)
    if place == HOST:
        return array
    return backend_at(place, "float32").to_host(array)


def serves(backend: Backend, place: Place) -> bool:
    """Whether arrays at a place are the backend's own; those of reproducible arithmetic are nobody else's."""
    return backend.arithmetic == "plain" and (backend.name, backend.device) == (
        place.library,
        place.device,
    )


def moved(backend: Backend, array: Array) -> Array:
    """A dense array as the backend's own, to be read: unchanged where it is that already."""
    if serves(backend, place_of(array)):
        return array
    return backend.share(to_host(array))


def check_same_place(x: Any, fitted: Array, owner: str, method: str) -> Place:
    """Where X lives; ValueError where, under dispatch, the fitted parameters live elsewhere."""
    place, home = followed_place(x), place_of(fitted)
    if place == home:
        return place
    raise UsageError(
        f"Inputs passed to {owner}.{method}() must use the same namespace and the same device as those passed to "
        f"fit(): it was fitted on {home.library} ({home.device}) and X is {place.library} ({place.device}). "
        + (
            f"Convert X, or set config_context(array_api_dispatch=True) to keep {home.library} arrays as they are."
            if place == HOST
            else "Convert X, or fit again on X's library and device."
        )
    )


def host_vector(parts: list[Array]) -> NDArray[Any]:
    """Arrays of any library, raveled and joined in one host vector."""
    return np.concatenate([np.reshape(to_host(part), -1) for part in parts])


def take_rows(array: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of a NumPy, sparse or device array, where it is."""
    place = place_of(array)
    if place == HOST:
        return array[rows]
    backend = backend_at(place, "float32")
    with backend.on_device():
        return backend.xp.take(array, backend.asarray(rows), axis=0)
