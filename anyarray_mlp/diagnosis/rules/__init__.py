"""The rules: small pure functions of a run's record, each of which finds one cause or nothing.

A rule looks for what its cause would show. Severity, then the order of causation, decide which of several findings
comes first. To add a cause, write one function decorated with `rule`, in the file where it fits or in a new one: every
file in this folder is imported. Thresholds stand beside the rule that uses them. They were set on runs with planted
faults (benchmarks/diagnosis), on other data sets and seeds than those that the table reports.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from anyarray_mlp.diagnosis.rules.findings import REGISTRY, Cause


def all_causes() -> dict[str, Cause]:
    """Import every file of this folder; the causes by name, in the order of causation."""
    for file in iter_modules(__path__):
        import_module(f"{__name__}.{file.name}")
    return dict(sorted(REGISTRY.items(), key=lambda item: item[1].order))


CAUSES = all_causes()
