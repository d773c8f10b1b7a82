"""Why a training run failed: `fit` that says so, `RunMonitor`, and `Diagnosis`, what it found."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.findings import Finding as Finding
    from anyarray_mlp.diagnosis.fitting import fit as fit
    from anyarray_mlp.diagnosis.monitor import Details as Details
    from anyarray_mlp.diagnosis.monitor import RunMonitor as RunMonitor
    from anyarray_mlp.diagnosis.report import Diagnosis as Diagnosis
    from anyarray_mlp.diagnosis.report import load_diagnosis as load_diagnosis

PUBLIC = {
    "Details": "monitor",
    "Diagnosis": "report",
    "Finding": "findings",
    "RunMonitor": "monitor",
    "fit": "fitting",
    "load_diagnosis": "report",
}


def __getattr__(name: str) -> Any:
    if name in PUBLIC:
        return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
