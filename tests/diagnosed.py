"""`fit` with a diagnosis, whatever becomes of the run."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from anyarray_mlp import MLP, Fit, fit
from anyarray_mlp.diagnosis import Details, Diagnosis
from anyarray_mlp.errors import DivergedError


def diagnosed_fit(mlp: MLP, x: Any, targets: Any, **options: Any) -> tuple[Fit | None, Diagnosis]:
    """What came of a run, None if it diverged, and its diagnosis; options are those of `fit` and of `Details`."""
    details = {f.name: options.pop(f.name) for f in fields(Details) if f.name in options}
    try:
        result = fit(mlp, x, targets, diagnose=Details(**details), **options)
    except DivergedError as error:
        return None, error.diagnosis
    return result, result.diagnosis
