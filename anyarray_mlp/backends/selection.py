"""Choosing a backend by name and device, and reporting what is missing if it is not available."""

from __future__ import annotations

import importlib
import importlib.util
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from anyarray_mlp.backends import cuda
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import is_boolean, refuse
from anyarray_mlp.errors import BackendUnavailableError, UsageError

if TYPE_CHECKING:
    from anyarray_mlp.backends.base import Backend


@dataclass(frozen=True)
class Library:
    """An array library: how to find it, how to install it and what it can do.

    Attributes
    ----------
    module, distributions : the module to import, and the packages that may provide it.
    backend_class : the backend over it, in this package.
    install : the command that installs it.
    cpu, cuda : whether it computes there.
    others : further kinds of devices that it computes on, by its names.
    writable : whether arrays can be written in place.
    jit : whether whole functions are compiled, so that tracing fixes shapes and branches.
    """

    module: str
    backend_class: str
    distributions: tuple[str, ...]
    install: str
    cpu: bool = True
    cuda: bool = False
    others: tuple[str, ...] = ()
    writable: bool = True
    jit: bool = False


#: Every backend, in the order in which `--device cuda` tries those that support GPUs. The table in `docs/backends.md`
#: and the tests to skip are derived from it.
BACKENDS: dict[str, Library] = {
    "numpy": Library("numpy", "numpy_backend.NumpyBackend", ("numpy",), "pip install numpy"),
    "cupy": Library(
        "cupy",
        "cupy_backend.CupyBackend",
        ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
        "pip install 'anyarray-mlp[cuda13]' (or [cuda12], to match the driver)",
        cpu=False,
        cuda=True,
    ),
    "torch": Library(
        "torch",
        "torch_backend.TorchBackend",
        ("torch",),
        "pip install 'anyarray-mlp[torch]'",
        cuda=True,
        others=("mps", "xpu"),
    ),
    "jax": Library(
        "jax",
        "jax_backend.JaxBackend",
        ("jax",),
        "pip install 'anyarray-mlp[jax]'",
        cuda=True,
        writable=False,
        jit=True,
    ),
    "mlx": Library(
        "mlx",
        "mlx_backend.MlxBackend",
        ("mlx",),
        "pip install 'anyarray-mlp[mlx]'",
        others=("gpu",),
        writable=False,
        jit=True,
    ),
    "array_api_strict": Library(
        "array_api_strict",
        "strict_backend.StrictBackend",
        ("array-api-strict",),
        "pip install array-api-strict",
    ),
}

#: The kinds of devices that some library alone has, and whose each is.
OTHERS = {kind: name for name, library in BACKENDS.items() for kind in library.others}

#: How any other namespace is named: "namespace:mylib.array_api".
NAMESPACE = "namespace:"

Reproducible = bool | Literal["fast"]

DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class BackendStatus:
    """Whether a library is available: version, devices, and for what is missing the reason and remedy."""

    name: str
    version: str | None
    devices: tuple[str, ...]
    problem: str | None


def parse_device(device: str) -> tuple[str, int | None]:
    """The kind and the index of "cpu", "cuda", "cuda:1", "auto", or a kind that some library alone has."""
    pattern = rf"(cpu|auto)|(cuda)(?::([0-9]{{1,4}}))?|(device[12]|{'|'.join(OTHERS)})"
    text = device.casefold() if isinstance(device, str) else ""
    match = re.fullmatch(pattern, text)
    if match is None:
        gpu = " (did you mean 'cuda'?)" if text.startswith("gpu") else ""
        raise UsageError(
            "device must be cpu, cuda, cuda:N or auto, or gpu with mlx, mps or xpu with torch, got "
            f"{shown(device)}{gpu}."
        )
    kind = match[1] or match[2] or match[4]
    return kind, None if match[3] is None else int(match[3])


@with_known_options
def select_backend(
    name: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    reproducible: Reproducible = False,
) -> Backend:
    """A backend, ready to compute.

    Parameters
    ----------
    name : "numpy", "cupy", "torch", "jax", "mlx" or "array_api_strict"; "namespace:mylib.array_api" for any module
        that follows the Array API standard, on its default device; None takes NumPy on the CPU and, on a GPU, the
        first of CuPy, PyTorch and JAX that works there.
    device : "cpu", "cuda", "cuda:N", or "auto" for a GPU if one works, else the CPU. "gpu" with mlx is a Mac's, "mps"
        with torch too, "xpu" Intel's.
    dtype : "float32" or "float64".
    reproducible : True computes the same bits on every backend; "fast" does so too, in less time, but keeps only
        about 21 bits of each row in float32 matrix products.

    Raises
    ------
    UsageError : a name, device or dtype that does not exist, or a library that does not support the device.
    BackendUnavailableError : the library or device is not installed or does not work here; says what to do.
    """
    if name is not None:
        name = find_backend(name)
    kind, index = check_choice(name, device)
    known = isinstance(reproducible, (str, int)) or is_boolean(reproducible)
    if not known or reproducible not in (0, 1, "fast"):
        refuse("reproducible", "False, True or 'fast'", reproducible)
    dtype = find_name("dtype", dtype, DTYPES)
    if name is not None and name.startswith(NAMESPACE):
        return _load_namespace(name.removeprefix(NAMESPACE), dtype, reproducible)
    if kind == "auto":
        name, kind = _resolve_auto(name)
    if kind == "cuda":
        name = name or _first_with_cuda()
        require_installed(name)
        cuda.require(name, index or 0)
        return _load(name, f"cuda:{index or 0}", dtype, reproducible)
    name = name or "numpy"
    require_installed(name)
    return _load(name, kind, dtype, reproducible)


def is_namespace(name: object) -> bool:
    """Whether this names a namespace of the Array API standard, and none of `BACKENDS`."""
    return isinstance(name, str) and name.startswith(NAMESPACE)


def find_backend(name: str) -> str:
    """The backend of a name, or a namespace as it is named."""
    return name if is_namespace(name) else find_name("backend", name, BACKENDS)


def check_choice(name: str | None, device: str) -> tuple[str, int | None]:
    """Kind and index of a device; `UsageError` if the name, the device or the combination does not exist.

    Nothing is imported: a valid choice may still be unavailable here.
    """
    kind, index = parse_device(device)
    if name is not None:
        name = find_backend(name)
    if is_namespace(name):
        if kind not in ("cpu", "auto"):
            raise UsageError(
                f"A namespace computes on its own default device: leave device={device!r} out, and set that device in "
                "the library."
            )
        return kind, index
    if kind in OTHERS and name != OTHERS[kind]:
        raise UsageError(
            f"device={device!r} is a device of the {OTHERS[kind]} backend: give --backend {OTHERS[kind]}, or "
            "--device cuda for an NVIDIA GPU."
        )
    if kind.startswith("device") and name != "array_api_strict":
        raise UsageError(f"device={device!r} exists on array_api_strict only; use cpu or cuda.")
    if kind == "cuda" and name is not None and not BACKENDS[name].cuda:
        raise UsageError(
            f"The {name} backend runs on the CPU only; use --backend cupy, torch or jax."
        )
    if kind == "cpu" and name is not None and not BACKENDS[name].cpu:
        raise UsageError(
            f"The {name} backend runs on a GPU only; use device='cuda', or the numpy backend."
        )
    return kind, index


def require_installed(name: str) -> None:
    """Raise `BackendUnavailableError`, with the command that installs it, if a library is missing."""
    library = BACKENDS[name]
    if importlib.util.find_spec(library.module) is None:
        recorded = [d for d in library.distributions if distribution_version(d)]
        if recorded:
            # Two CuPy wheels share one folder: uninstalling either one empties it but leaves the record of the other.
            raise BackendUnavailableError(
                f"{' and '.join(recorded)} is recorded as installed, but the module {library.module} is gone: "
                f"pip uninstall -y {' '.join(recorded)}, then {library.install}."
            )
        raise BackendUnavailableError(
            f"The {name} backend needs {library.module}, which is not installed: {library.install}."
        )


def backend_statuses() -> list[BackendStatus]:
    """What is available, for every backend."""
    return [_status(name) for name in BACKENDS]


def _status(name: str) -> BackendStatus:
    library = BACKENDS[name]
    try:
        require_installed(name)
    except BackendUnavailableError as error:
        return BackendStatus(name, None, (), str(error))
    devices: tuple[str, ...] = ("cpu",) if library.cpu else ()
    problem = None
    if library.cuda:
        try:
            devices += tuple(f"cuda:{i}" for i in range(cuda.device_count(name)))
        except BackendUnavailableError as error:
            problem = str(error)
    return BackendStatus(name, _version(library), devices, problem)


def _version(library: Library) -> str | None:
    return next(filter(None, map(distribution_version, library.distributions)), None)


def distribution_version(distribution: str) -> str | None:
    """The version of the installed package of this name, or None."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _resolve_auto(name: str | None) -> tuple[str | None, str]:
    """A GPU if a library works on one, else the CPU."""
    if name is not None and not BACKENDS[name].cpu:
        return name, "cuda"
    if (name is not None and not BACKENDS[name].cuda) or cuda.driver().problem:
        return name, "cpu"
    for candidate in with_cuda() if name is None else [name]:
        try:
            require_installed(candidate)
            cuda.require(candidate, 0)
        except BackendUnavailableError:
            continue
        return candidate, "cuda"
    return name, "cpu"


def _first_with_cuda() -> str:
    """The first library that works on a GPU; if none does, raises what is wrong with the driver or else with CuPy."""
    problem = cuda.driver().problem
    if problem is not None:
        raise BackendUnavailableError(problem)
    reasons = []
    for name in with_cuda():
        try:
            require_installed(name)
            cuda.require(name, 0)
        except BackendUnavailableError as error:
            reasons.append(error)
        else:
            return name
    raise reasons[0]


def with_cuda() -> list[str]:
    """The backends that support GPUs, in the order in which they are tried."""
    return [name for name, library in BACKENDS.items() if library.cuda]


def _load_namespace(module: str, dtype: str, reproducible: Reproducible) -> Backend:
    """Any namespace, once it is found to be one."""
    from anyarray_mlp.backends.namespace_backend import (
        NamespaceBackend,
        import_namespace,
        reproducible_on,
    )

    backend = NamespaceBackend(import_namespace(module), dtype)
    return reproducible_on(backend, reproducible) if reproducible else backend


def _load(name: str, device: str, dtype: str, reproducible: Reproducible) -> Backend:
    module, _, attribute = BACKENDS[name].backend_class.partition(".")
    backend_class = getattr(importlib.import_module(f"anyarray_mlp.backends.{module}"), attribute)
    backend: Backend = backend_class(device, dtype)
    if not reproducible:
        return backend
    from anyarray_mlp.backends.reproducible import ReproducibleBackend

    return ReproducibleBackend(backend, slices=1 if reproducible == "fast" else 2)
