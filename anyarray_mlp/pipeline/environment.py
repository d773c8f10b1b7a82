"""What the bits of a run depend on beside its settings and its data."""

from __future__ import annotations

import os
import platform
from typing import Any

from anyarray_mlp import streams
from anyarray_mlp.backends import Backend
from anyarray_mlp.backends.selection import distribution_version

#: Raised where what a checkpoint holds, or what it means, changes.
STATE_VERSION = 2
#: What alone may change the bits under reproducible arithmetic.
OF_REPRODUCIBLE_RUNS = ("anyarray_mlp", "arithmetic")
#: What the metadata of a model say that is compared elsewhere, or matters to no bit.
NOT_COMPARED = ("dtype", "python", "target", "reading")


def versions() -> dict[str, Any]:
    """The package's own versions that make a run what it is: a checkpoint of other ones is refused."""
    return {"state": STATE_VERSION, "streams": streams.VERSION}


def environment(backend: Backend, metadata: dict[str, str]) -> dict[str, Any]:
    """Versions, device, threads and processor, under which bits may differ; `metadata` is that of the model."""
    found: dict[str, Any] = {
        name: value for name, value in metadata.items() if name not in NOT_COMPARED
    }
    for distribution in ("numpy", "scipy"):
        if version := distribution_version(distribution):
            found[distribution] = version
    found["machine"] = platform.machine()
    if backend.device == "cpu":
        found["threads"] = threads(backend)
        found["blas"] = blas()["name"]
    return found


def that_matter(environment: dict[str, Any], backend: Backend) -> dict[str, Any]:
    """The part of an environment that may change the bits of a run on this backend."""
    if backend.arithmetic == "plain":
        return environment
    return {name: value for name, value in environment.items() if name in OF_REPRODUCIBLE_RUNS}


def threads(backend: Backend) -> int:
    """The number of threads that a backend computes with on the CPU."""
    if backend.name == "torch":
        import torch

        return int(torch.get_num_threads())
    if backend.name == "jax":
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    return int(blas()["threads"])


def blas() -> dict[str, Any]:
    """NumPy's BLAS: its name with the processor that it computes for, and its number of threads."""
    from threadpoolctl import threadpool_info

    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    found.sort(key=lambda library: "numpy" not in library["filepath"])
    if not found:
        return {"name": "unknown", "threads": 1}
    names = (found[0].get(key) for key in ("internal_api", "version", "architecture"))
    return {
        "name": " ".join(str(name) for name in names if name),
        "threads": found[0]["num_threads"],
    }
