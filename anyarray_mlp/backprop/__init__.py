"""What is wrong with a hand-written backprop: `check_backprop` and `check_file`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.backprop.check import check_backprop, check_file
    from anyarray_mlp.backprop.reference.catalogue import BackpropFinding
    from anyarray_mlp.backprop.report import BackpropReport
    from anyarray_mlp.backprop.user.adapter import Adapter

#: Where each public name lives.
HOMES = {
    "Adapter": "user.adapter",
    "BackpropFinding": "reference.catalogue",
    "BackpropReport": "report",
    "check_backprop": "check",
    "check_file": "check",
}

__all__ = ["Adapter", "BackpropFinding", "BackpropReport", "check_backprop", "check_file"]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
