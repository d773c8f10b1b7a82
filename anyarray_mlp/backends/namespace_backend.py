"""Any importable Array API namespace as a backend: only the standard is assumed."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic.plain import CREATION, PlainNamespace
from anyarray_mlp.backends.base import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import (
    BackendUnavailableError,
    UsageError,
    in_a_line,
    others_as_usage,
)
from anyarray_mlp.typing import ReproducibleLibrary, names_of


class NamespaceBackend(Backend):
    """The arrays of a namespace, on its default device.

    `flat` parameters need slices and `concat`, which the standard has; in-place operators may rebind.
    `read(array)` gives a NumPy array where arrays have neither `__dlpack__` nor `__array__`.
    """

    def __init__(
        self,
        namespace: ModuleType | Any,
        dtype: str,
        read: Callable[[Any], Any] | None = None,
    ) -> None:
        self.read = read
        self.name = getattr(namespace, "__name__", type(namespace).__name__)  # type: ignore[misc]
        missing = [name for name in (*CREATION, dtype) if not hasattr(namespace, name)]
        if missing == ["float64"] and hasattr(namespace, "float32"):
            raise UsageError(
                f"The namespace {self.name} has no float64: compare only float32, "
                "with --dtype float32 (--parity-dtype=float32 in the suite, dtypes=['float32'] in Python)."
            )
        if missing:
            raise UsageError(
                f"The namespace {self.name} does not follow the Array API standard: it has no {', '.join(missing)}. "
                "Give a module that does, such as array_api_compat.torch for torch."
            )
        self.namespace = namespace
        super().__init__("default", dtype, PlainNamespace(namespace))
        try:
            array = self.asarray(np.ones((2, 3)))
        except Exception as error:
            raise UsageError(
                f"{self.name}.asarray does not take a {dtype} NumPy array ({in_a_line(error)}): "
                "data is passed in with asarray(array, dtype=...)."
            ) from error
        try:
            self.to_host(array)
        except Exception as error:
            raise UsageError(
                f"Arrays of {self.name} cannot be read through __dlpack__ or numpy.asarray ({in_a_line(error)}): "
                "support one of the two, because results are compared on the host, or name what reads them, with "
                "--to-host MODULE:FUNCTION."
                if read is None
                else f"--to-host cannot read an array of {self.name} ({in_a_line(error)}): it must give a NumPy array."
            ) from error

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the default device."""
        wanted = self.host_dtype(host, dtype)
        copy = np.array(host, dtype=wanted, order="C")
        return self.xp.asarray(copy, dtype=getattr(self.xp, wanted.name))

    def to_host(self, array: Any) -> NDArray[Any]:
        """A NumPy array: as `read` gives it, else through DLPack if the arrays have it, else NumPy's own conversion."""
        if self.read is not None:
            return numbers_of(self.read(array), array)
        try:
            return np.from_dlpack(array)
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
            return numbers_of(np.asarray(array), array)

    def settled(self, array: Any, host: NDArray[Any]) -> Any:
        """The array; its values alone where a library plans its work until `compute` is called, as Dask does."""
        return self.asarray(host, host.dtype.name) if hasattr(type(array), "compute") else array


def numbers_of(host: Any, array: Any) -> NDArray[Any]:
    """A NumPy array of numbers as it is; `TypeError` for anything else."""
    if not isinstance(host, np.ndarray) or host.dtype == object:
        # NumPy gives an object array for anything that it cannot read.
        raise TypeError(f"numpy.asarray cannot read numbers from {type(array).__name__}")
    return host


def import_function(name: str) -> Callable[[Any], Any]:
    """The function that "module:function" names; the function may be one of an object, as "module:Class.method"."""
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise BackendUnavailableError(
            f"--to-host {shown(name)} cannot be had ({in_a_line(error)}): give MODULE:FUNCTION, such as "
            "mylib:to_numpy."
        ) from error
    function: Callable[[Any], Any] = found
    return function


#: What reproducible arithmetic needs besides what any `NamespaceBackend` needs.
NEEDED_EXACTLY = tuple(name for name in names_of(ReproducibleLibrary) if name not in CREATION)


def require_for_exact(namespace: ModuleType | Any, option: str) -> None:
    """Raise `UsageError` with what a namespace lacks for reproducible arithmetic, which `option` asks for."""
    missing = [name for name in NEEDED_EXACTLY if not hasattr(namespace, name)]
    if missing:
        raise UsageError(
            f"Reproducible arithmetic ({option}) needs {', '.join(missing)}, which the namespace "
            f"{getattr(namespace, '__name__', namespace)} lacks: add them, or do without {option}."
        )


def reproducible_on(backend: NamespaceBackend, reproducible: bool | str) -> Backend:
    """Reproducible arithmetic over a namespace; `UsageError` where the namespace raises in it."""
    from anyarray_mlp.backends.reproducible import ReproducibleBackend

    require_for_exact(backend.namespace, "--reproducible")
    with others_as_usage(
        lambda error: (
            f"The namespace {backend.name} departs from the Array API standard where reproducible arithmetic uses it "
            f"({error}): do without --reproducible."
        )
    ):
        return ReproducibleBackend(backend, slices=1 if reproducible == "fast" else 2)


def import_namespace(name: str) -> ModuleType:
    """The module of an Array API namespace: "mylib" or "mylib.array_api".

    Raises `BackendUnavailableError` for whatever the module's own code raises.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise BackendUnavailableError(
            f"The namespace {shown(name)} cannot be imported ({in_a_line(error)}): give the dotted name of "
            "a module that follows the Array API standard, and install its package or put its folder on PYTHONPATH."
        ) from error


def namespace_version(namespace: Any) -> str | None:
    """The version of the package that a namespace belongs to, if it has one."""
    package = str(getattr(namespace, "__name__", "")).partition(".")[0]
    try:
        return importlib.metadata.version(package.replace("_", "-"))
    except (importlib.metadata.PackageNotFoundError, ValueError):
        version = getattr(namespace, "__version__", None)
        return None if version is None else str(version)
