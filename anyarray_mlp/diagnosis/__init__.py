"""What is wrong: with somebody's own backprop (`check_backprop`), and with a training run (`RunMonitor`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.adapters import Adapter as Adapter
    from anyarray_mlp.diagnosis.backprop import BackpropReport as BackpropReport
    from anyarray_mlp.diagnosis.backprop import check_backprop as check_backprop
    from anyarray_mlp.diagnosis.backprop import check_file as check_file
    from anyarray_mlp.diagnosis.finding import Finding as Finding
    from anyarray_mlp.diagnosis.mistakes import BackpropFinding as BackpropFinding
    from anyarray_mlp.diagnosis.report import Diagnosis as Diagnosis
    from anyarray_mlp.diagnosis.report import load_diagnosis as load_diagnosis
    from anyarray_mlp.diagnosis.run_monitor import RunMonitor as RunMonitor
    from anyarray_mlp.diagnosis.run_monitor import diagnosed_fit as diagnosed_fit

PUBLIC = {
    "Adapter": "adapters",
    "BackpropFinding": "mistakes",
    "BackpropReport": "backprop",
    "Diagnosis": "report",
    "Finding": "finding",
    "RunMonitor": "run_monitor",
    "check_backprop": "backprop",
    "check_file": "backprop",
    "diagnosed_fit": "run_monitor",
    "load_diagnosis": "report",
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
