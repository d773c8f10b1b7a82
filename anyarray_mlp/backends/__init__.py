"""Backends: the only room that names array libraries.

`select_backend` picks one by name, device, dtype and arithmetic; a `Backend` moves data, provides the arithmetic `xp`
for the math, and compiles training steps. Importing this module loads no array library beyond NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.backends.base import Backend, Run, Step
    from anyarray_mlp.backends.selection import (
        BACKENDS,
        BackendStatus,
        backend_statuses,
        select_backend,
    )

#: Where each public name lives.
HOMES = {
    "BACKENDS": "selection",
    "Backend": "base",
    "BackendStatus": "selection",
    "Run": "base",
    "Step": "base",
    "backend_statuses": "selection",
    "select_backend": "selection",
}

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendStatus",
    "Run",
    "Step",
    "backend_statuses",
    "select_backend",
]

__getattr__, __dir__ = lazy(__name__, HOMES)
