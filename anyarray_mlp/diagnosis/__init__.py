"""Why a training run failed: `RunMonitor`, and `Diagnosis`, what it found."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.monitor import RunMonitor as RunMonitor
    from anyarray_mlp.diagnosis.monitor import diagnosed_fit as diagnosed_fit
    from anyarray_mlp.diagnosis.report import Diagnosis as Diagnosis
    from anyarray_mlp.diagnosis.report import load_diagnosis as load_diagnosis
    from anyarray_mlp.diagnosis.rules.findings import Finding as Finding

PUBLIC = {
    "Diagnosis": "report",
    "Finding": "rules.findings",
    "RunMonitor": "monitor",
    "diagnosed_fit": "monitor",
    "load_diagnosis": "report",
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
