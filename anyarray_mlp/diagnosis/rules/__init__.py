"""The rules: small pure functions of a run's record, each of which finds one cause or nothing.

A rule states what its cause would show and looks for that; which of several findings comes first is decided by
severity and by the order of causation. To add a cause, write one function under `rule` in the file that it fits in, or
in a file of its own: every file of this folder is read. Thresholds stand beside the rule that uses them; they were set
on runs with planted faults (benchmarks/diagnosis), away from the sets and seeds that the table reports.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from anyarray_mlp.diagnosis.rules.findings import REGISTRY

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

#: Every cause by its name, in the order of causation.
CAUSES = dict(sorted(REGISTRY.items(), key=lambda item: item[1].order))
