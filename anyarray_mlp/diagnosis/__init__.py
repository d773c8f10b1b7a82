"""Why a training run failed: `fit` that says so, `RunMonitor`, and `Diagnosis`, what it found."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.fitting import fit
    from anyarray_mlp.diagnosis.monitor import Details, RunMonitor
    from anyarray_mlp.diagnosis.report import Diagnosis, load_diagnosis
    from anyarray_mlp.diagnosis.rules.findings import Finding

#: Where each public name lives.
HOMES = {
    "Details": "monitor",
    "Diagnosis": "report",
    "Finding": "rules.findings",
    "RunMonitor": "monitor",
    "fit": "fitting",
    "load_diagnosis": "report",
}

__all__ = ["Details", "Diagnosis", "Finding", "RunMonitor", "fit", "load_diagnosis"]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
