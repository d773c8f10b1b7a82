"""`Kept`: what a run's folder holds and the data that it was trained on, from which every part of a report is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.pipeline.preparation import Prepared
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.reporting.missing import Missing


@dataclass(frozen=True, eq=False)
class Kept:
    """A run as it was kept.

    Attributes
    ----------
    name : what the run is called.
    settings : by their keys.
    records : a line of `metrics.jsonl` each.
    model, diagnosis, prepared : or why they are missing; `prepared` are its data, split as they were, with the rows as
        they were read.
    command : what to type to have the same run again.
    """

    name: str
    settings: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    model: TrainedModel | Missing
    diagnosis: Diagnosis | Missing
    prepared: Prepared | Missing
    command: str
