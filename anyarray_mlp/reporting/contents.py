"""`Contents`: all that a report says of one run, as figures and texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from anyarray_mlp import __version__
from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.diagnosis.changes import Change
from anyarray_mlp.errors import AnyArrayMLPError
from anyarray_mlp.persistence.plain_json import plain
from anyarray_mlp.pipeline.facts import facts_of_model
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.reporting.answers import Answers, answers_of
from anyarray_mlp.reporting.classes import Classes, classes_of
from anyarray_mlp.reporting.columns import DataFigures, data_of
from anyarray_mlp.reporting.curves import Curves, curves_of
from anyarray_mlp.reporting.differences import Overview
from anyarray_mlp.reporting.effects import Effects, effects_of
from anyarray_mlp.reporting.inside import Inside, inside_of
from anyarray_mlp.reporting.kept import Kept
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.reporting.residuals import Residuals, residuals_of
from anyarray_mlp.reporting.scores import Scores, scores_of

T = TypeVar("T")


@dataclass(frozen=True)
class FindingText:
    """A finding of the diagnosis: its severity, what it is, the evidence, the cure, and settings to try."""

    severity: str
    title: str
    evidence: str
    cure: str
    to_try: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """A run. What cannot be had is `Missing`, with the reason; so is what does not fit the task."""

    name: str
    facts: dict[str, str]
    settings: dict[str, Any]
    command: str
    data: DataFigures | Missing
    curves: Curves | Missing
    scores: Scores | Missing
    classes: Classes | Missing
    residuals: tuple[Residuals, ...] | Missing
    effects: Effects | Missing
    inside: Inside | Missing
    findings: tuple[FindingText, ...] | Missing

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; numbers that are not finite become null."""
        found: dict[str, Any] = plain(asdict(self), "report", null_for_nonfinite=True)
        return found


def contents_of(kept: Kept, write: Callable[[Change], str], told: Callable[[str], str]) -> Contents:
    """The contents of a run; `write` writes changes of settings, `told` advice that names settings."""
    model, prepared = kept.model, kept.prepared
    answers = answers_or_why(kept)
    return Contents(
        kept.name,
        facts_of(kept),
        dict(kept.settings),
        kept.command,
        attempted(data_of, prepared),
        curves_of(kept.records, None if isinstance(model, Missing) else model.metadata),
        attempted(scores_of, answers),
        attempted(classes_of, answers),
        attempted(residuals_of, answers),
        attempted(effects_of, answers),
        attempted(lambda found: inside_of(found, kept.diagnosis), answers),
        findings_of(kept.diagnosis, write, told),
    )


def overview_of(kept: Kept) -> Overview:
    """A run among others."""
    metadata = None if isinstance(kept.model, Missing) else kept.model.metadata
    scores = attempted(scores_of, answers_or_why(kept))
    return Overview(kept.name, kept.settings, scores, curves_of(kept.records, metadata))


def answers_or_why(kept: Kept) -> Answers | Missing:
    """The answers of the run's model on its rows."""
    if isinstance(kept.model, Missing):
        return kept.model
    if isinstance(kept.prepared, Missing):
        return kept.prepared
    return answers_of(kept.model, kept.prepared, str(kept.settings.get("dtype", "float32")))


def attempted(make: Callable[[T], Any], of: T | Missing) -> Any:
    """What is made of something, or why it is missing; data that it refuses are a reason."""
    if isinstance(of, Missing):
        return of
    try:
        return make(of)
    except AnyArrayMLPError as error:
        return Missing.because(error)


def facts_of(kept: Kept) -> dict[str, str]:
    """What the run is, in words."""
    facts = {"data": str(kept.settings.get("data", ""))}
    if isinstance(kept.model, TrainedModel):
        facts |= facts_of_model(kept.model)
    if not isinstance(kept.diagnosis, Missing):
        facts["ended"] = kept.diagnosis.record.outcome.stopped
    return facts | {"report by": f"anyarray-mlp {__version__}"}


def findings_of(
    diagnosis: Diagnosis | Missing, write: Callable[[Change], str], told: Callable[[str], str]
) -> tuple[FindingText, ...] | Missing:
    """The findings of a diagnosis in words."""
    if isinstance(diagnosis, Missing):
        return diagnosis
    return tuple(
        FindingText(
            finding.severity,
            finding.title + ("" if finding.layer is None else f" (layer {finding.layer})"),
            finding.evidence,
            told(finding.cure),
            tuple(write(change) for change in finding.changes),
        )
        for finding in diagnosis.findings
    )
