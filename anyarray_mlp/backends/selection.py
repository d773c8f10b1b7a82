"""Choosing a backend by name and device, and saying what is missing where that cannot be."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from typing import Literal

from anyarray_mlp.backends import cuda
from anyarray_mlp.backends.base import Backend
from anyarray_mlp.backends.reproducible import ReproducibleBackend
from anyarray_mlp.errors import BackendUnavailableError, UsageError


@dataclass(frozen=True)
class Library:
    """How to find and get an array library."""

    module: str
    backend_class: str
    distributions: tuple[str, ...]
    install: str
    cuda: bool


#: Every backend, in the order in which `--device cuda` tries them after NumPy, which has no GPU.
BACKENDS: dict[str, Library] = {
    "numpy": Library("numpy", "numpy_backend.NumpyBackend", ("numpy",), "pip install numpy", False),
    "cupy": Library(
        "cupy",
        "cupy_backend.CupyBackend",
        ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
        "pip install 'anyarray-mlp[cuda13]' (or [cuda12], to match the driver)",
        True,
    ),
    "torch": Library(
        "torch", "torch_backend.TorchBackend", ("torch",), "pip install 'anyarray-mlp[torch]'", True
    ),
    "jax": Library(
        "jax", "jax_backend.JaxBackend", ("jax",), "pip install 'anyarray-mlp[jax]'", True
    ),
    "array_api_strict": Library(
        "array_api_strict",
        "strict_backend.StrictBackend",
        ("array-api-strict",),
        "pip install array-api-strict",
        False,
    ),
}

Reproducible = bool | Literal["fast"]

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class BackendStatus:
    """Whether a library is at hand: version, devices, and for what is missing the reason with its cure."""

    name: str
    version: str | None
    devices: tuple[str, ...]
    problem: str | None


def parse_device(device: str) -> tuple[str, int | None]:
    """The kind and the index of "cpu", "cuda", "cuda:1" or "auto"."""
    match = re.fullmatch(r"(cpu|auto)|(cuda)(?::(\d+))?|(device\d)", device)
    if match is None:
        raise UsageError(f"device must be cpu, cuda, cuda:N or auto, got {device!r}.")
    kind = match[1] or match[2] or match[4]
    return kind, None if match[3] is None else int(match[3])


def select_backend(
    name: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    reproducible: Reproducible = False,
) -> Backend:
    """A backend, ready to compute.

    Parameters
    ----------
    name : "numpy", "cupy", "torch", "jax" or "array_api_strict"; None takes NumPy on the CPU and, on a GPU, the
        first of CuPy, PyTorch and JAX that works there.
    device : "cpu", "cuda", "cuda:N", or "auto" for a GPU where one works and else the CPU.
    dtype : "float32" or "float64".
    reproducible : True computes the same bits on every backend; "fast" does too, in less time, with about 21
        bits of each row in float32 matrix products.

    Raises
    ------
    UsageError : a name, device or dtype that does not exist, or a library that has no such device.
    BackendUnavailableError : what is asked for is not installed or does not work here, with the cure.
    """
    kind, index = parse_device(device)
    if name is not None and name not in BACKENDS:
        raise UsageError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}.")
    if reproducible not in (False, True, "fast"):
        raise UsageError(f"reproducible must be False, True or 'fast', got {reproducible!r}.")
    if dtype not in DTYPES:
        raise UsageError(f"dtype must be float32 or float64, got {dtype!r}.")
    if kind == "auto":
        name, kind = _resolve_auto(name)
    if kind.startswith("device") and name != "array_api_strict":
        raise UsageError(f"device={device!r} exists on array_api_strict only; use cpu or cuda.")
    if kind == "cuda":
        name = name or _first_with_cuda()
        if not BACKENDS[name].cuda:
            raise UsageError(
                f"The {name} backend runs on the CPU only; use --backend cupy, torch or jax."
            )
        require_installed(name)
        cuda.require(name, index or 0)
        return _load(name, f"cuda:{index or 0}", dtype, reproducible)
    name = name or "numpy"
    if name == "cupy":
        raise UsageError(
            "The cupy backend runs on a GPU only; use device='cuda', or the numpy backend."
        )
    require_installed(name)
    return _load(name, kind, dtype, reproducible)


def require_installed(name: str) -> None:
    """Raise `BackendUnavailableError`, with the command that installs it, where a library is absent."""
    library = BACKENDS[name]
    if importlib.util.find_spec(library.module) is None:
        raise BackendUnavailableError(
            f"The {name} backend needs {library.module}, which is not installed: {library.install}."
        )


def backend_statuses() -> list[BackendStatus]:
    """What is at hand, for every backend."""
    return [_status(name) for name in BACKENDS]


def _status(name: str) -> BackendStatus:
    library = BACKENDS[name]
    try:
        require_installed(name)
    except BackendUnavailableError as error:
        return BackendStatus(name, None, (), str(error))
    devices: tuple[str, ...] = () if name == "cupy" else ("cpu",)
    problem = None
    if library.cuda:
        try:
            devices += tuple(f"cuda:{i}" for i in range(cuda.device_count(name)))
        except BackendUnavailableError as error:
            problem = str(error)
    return BackendStatus(name, _version(library), devices, problem)


def _version(library: Library) -> str | None:
    for distribution in library.distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _resolve_auto(name: str | None) -> tuple[str | None, str]:
    """A GPU where a library works on one, else the CPU."""
    for candidate in [name] if name else [n for n, library in BACKENDS.items() if library.cuda]:
        if BACKENDS[candidate].cuda and importlib.util.find_spec(BACKENDS[candidate].module):
            try:
                cuda.require(candidate, 0)
            except BackendUnavailableError:
                if candidate == "cupy" and name is not None:
                    raise
                continue
            return candidate, "cuda"
    return name, "cpu"


def _first_with_cuda() -> str:
    """The first library that works on a GPU; where none does, the reason CuPy gives."""
    reasons = []
    for name, library in BACKENDS.items():
        if not library.cuda:
            continue
        try:
            require_installed(name)
            cuda.require(name, 0)
        except BackendUnavailableError as error:
            reasons.append(str(error))
        else:
            return name
    raise BackendUnavailableError(reasons[0])


def _load(name: str, device: str, dtype: str, reproducible: Reproducible) -> Backend:
    module, _, attribute = BACKENDS[name].backend_class.partition(".")
    backend_class = getattr(importlib.import_module(f"anyarray_mlp.backends.{module}"), attribute)
    backend: Backend = backend_class(device, dtype)
    if reproducible is False:
        return backend
    return ReproducibleBackend(backend, slices=1 if reproducible == "fast" else 2)
