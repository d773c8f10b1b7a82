"""What is wrong: with somebody's own backprop (`check_backprop`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.adapters import Adapter as Adapter
    from anyarray_mlp.diagnosis.backprop import BackpropReport as BackpropReport
    from anyarray_mlp.diagnosis.backprop import check_backprop as check_backprop
    from anyarray_mlp.diagnosis.backprop import check_file as check_file
    from anyarray_mlp.diagnosis.mistakes import BackpropFinding as BackpropFinding

PUBLIC = {
    "Adapter": "adapters",
    "BackpropFinding": "mistakes",
    "BackpropReport": "backprop",
    "check_backprop": "backprop",
    "check_file": "backprop",
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
