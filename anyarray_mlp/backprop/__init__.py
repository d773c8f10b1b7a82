"""What is wrong with a hand-written backprop: `check_backprop` and `check_file`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.backprop.check import check_backprop as check_backprop
    from anyarray_mlp.backprop.check import check_file as check_file
    from anyarray_mlp.backprop.reference.catalogue import BackpropFinding as BackpropFinding
    from anyarray_mlp.backprop.report import BackpropReport as BackpropReport
    from anyarray_mlp.backprop.user.adapter import Adapter as Adapter

PUBLIC = {
    "Adapter": "user.adapter",
    "BackpropFinding": "reference.catalogue",
    "BackpropReport": "report",
    "check_backprop": "check",
    "check_file": "check",
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
