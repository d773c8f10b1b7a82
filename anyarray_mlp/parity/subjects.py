"""What to compare: the given backends, devices and dtypes, or all that are available."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from anyarray_mlp.backends import BACKENDS, Backend, BackendStatus, backend_statuses, select_backend
from anyarray_mlp.backends.namespace_backend import (
    NamespaceBackend,
    import_function,
    import_namespace,
    namespace_version,
    require_for_exact,
)
from anyarray_mlp.backends.reproducible import ReproducibleBackend
from anyarray_mlp.backends.selection import DTYPES, NAMESPACE, is_namespace, parse_device
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import BackendUnavailableError, UsageError
from anyarray_mlp.typing import Host

Absent = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Subject:
    """A backend on a device in a dtype, created when it is needed (JAX's float64 switches the whole process)."""

    make: Callable[[], Backend]
    version: str | None
    #: The name of the namespace, if the package has no backend for it.
    namespace: str | None = None

    def title(self, backend: Backend) -> str:
        """Library, version, device and dtype."""
        name = " ".join(filter(None, [backend.name, self.version]))
        return f"{name}, {backend.device}, {backend.dtype}"


def find_subjects(
    backends: Sequence[str | Backend] | None,
    namespaces: Sequence[str | ModuleType],
    device: str | None,
    dtypes: Sequence[str],
    reproducible: bool = False,
    to_host: str | Callable[[Any], Host] | None = None,
) -> tuple[list[Subject], Absent]:
    """The subjects, and what is missing with the reason; the arguments are those of `compare`.

    Raises `BackendUnavailableError` if something that was asked for is missing, or nothing is left to compare.
    """
    if device is not None:
        parse_device(device)
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise UsageError(f"dtype must be float32 or float64, got {shown(dtype)}.")
    if backends is not None:
        named = [str(entry) for entry in backends if is_namespace(entry)]
        namespaces = [*namespaces, *(entry.removeprefix(NAMESPACE) for entry in named)]
        backends = [entry for entry in backends if not is_namespace(entry)] or None
    read = import_function(to_host) if isinstance(to_host, str) else to_host
    if read is not None and not namespaces:
        raise UsageError("to_host reads the arrays of a namespace: name one, or leave it out.")
    subjects = [
        subject
        for namespace in namespaces
        for subject in subjects_of_namespace(namespace, dtypes, reproducible, read)
    ]
    if backends is None and namespaces:
        return subjects, ()
    absent: list[tuple[str, str]] = []
    statuses = {status.name: status for status in backend_statuses()}
    for entry in BACKENDS if backends is None else backends:
        if isinstance(entry, Backend):
            subjects.append(Subject(partial(as_it_is, entry), None))
            continue
        status = statuses.get(entry)
        for place in devices_of(entry, status, device, backends is not None, absent):
            # Raises here, before anything runs, if it is not available.
            select_backend(entry, place, dtypes[0])
            for dtype in dtypes:
                make = partial(select_backend, entry, place, dtype, reproducible)
                subjects.append(Subject(make, statuses[entry].version))
    if not subjects:
        # No comparison is not agreement: a check on a machine that lost its GPU must not pass.
        reasons = "; ".join(f"{name}: {reason.rstrip('.')}" for name, reason in absent)
        raise BackendUnavailableError(
            f"There is nothing to compare{'' if device is None else f' on device {device}'}"
            f"{': ' + reasons if reasons else ''}."
        )
    return subjects, tuple(absent)


def subjects_of_namespace(
    namespace: str | ModuleType,
    dtypes: Sequence[str],
    reproducible: bool,
    read: Callable[[Any], Any] | None = None,
) -> Iterator[Subject]:
    """An Array API namespace in each dtype. Raises, before anything runs, if it cannot be compared."""
    module = import_namespace(namespace) if isinstance(namespace, str) else namespace
    if reproducible:
        require_for_exact(module, "--exact")
    for dtype in dtypes:
        backend = NamespaceBackend(module, dtype, read)
        make = partial(with_arithmetic, backend, reproducible)
        yield Subject(make, namespace_version(module), backend.name)


def with_arithmetic(backend: Backend, reproducible: bool) -> Backend:
    """A backend in its own arithmetic or in reproducible arithmetic."""
    return ReproducibleBackend(backend) if reproducible else backend


def as_it_is(backend: Backend) -> Backend:
    """A backend that the caller created."""
    return backend


def devices_of(
    name: str,
    status: BackendStatus | None,
    device: str | None,
    named: bool,
    absent: list[tuple[str, str]],
) -> Iterator[str]:
    """The devices on which to compare a backend: the given one, or one of each available kind."""
    if named and device is not None:
        yield device
        return
    if status is None or (named and not status.devices):
        yield "cpu" if status is None or BACKENDS[name].cpu else "cuda"
        return
    wanted = ("cpu", "cuda:0") if device is None else ("cuda:0" if device == "cuda" else device,)
    for place in wanted:
        if place in status.devices:
            yield place
        elif place.startswith("cuda") and status.problem is not None:
            absent.append((f"{name}, {place.partition(':')[0]}", status.problem))
