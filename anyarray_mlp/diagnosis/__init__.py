"""Why a training run failed: `fit` that says so, `RunMonitor`, and `Diagnosis`, what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.details import Details
    from anyarray_mlp.diagnosis.fitting import fit
    from anyarray_mlp.diagnosis.monitor import RunMonitor
    from anyarray_mlp.diagnosis.report import Diagnosis, load_diagnosis
    from anyarray_mlp.diagnosis.rules.findings import Finding
    from anyarray_mlp.diagnosis.trying import Trials, Tried

#: Where each public name lives.
HOMES = {
    "Details": "details",
    "Diagnosis": "report",
    "Finding": "rules.findings",
    "RunMonitor": "monitor",
    "Trials": "trying",
    "Tried": "trying",
    "fit": "fitting",
    "load_diagnosis": "report",
}

__all__ = [
    "Details",
    "Diagnosis",
    "Finding",
    "RunMonitor",
    "Trials",
    "Tried",
    "fit",
    "load_diagnosis",
]

__getattr__, __dir__ = lazy(__name__, HOMES)
