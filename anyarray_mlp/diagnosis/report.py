"""`Diagnosis`: the findings on one run, ranked, as text and as JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_path, check_positive
from anyarray_mlp.diagnosis.changes import Change, in_python
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.rules import CAUSES
from anyarray_mlp.diagnosis.rules.findings import Finding
from anyarray_mlp.errors import SEVERITIES, DataError, StorageError, UsageError
from anyarray_mlp.persistence.files import atomic_write
from anyarray_mlp.persistence.run_folder import DIAGNOSIS_NAME, home_of

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.trying import Rerun, Trials

FORMAT = 1
#: What a text that is not a record may raise: by its syntax, its types, or figures that do not belong together.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a run, the cause to fix first at the front, and the record that it was read from."""

    findings: tuple[Finding, ...]
    record: RunRecord
    #: Makes the run again with other settings; not kept in a file.
    rerun: Rerun | None = field(default=None, repr=False, compare=False)
    #: How `summary` and `report` write the changes to try, if they are not told.
    write: Callable[[Change], str] = field(default=in_python, repr=False, compare=False)

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """Findings beyond notes."""
        return tuple(finding for finding in self.findings if finding.severity != "note")

    @property
    def first(self) -> Finding | None:
        """The cause to fix first; None if nothing is suspicious."""
        return self.alarms[0] if self.alarms else None

    @with_known_options
    def try_cures(self, seconds: float = 60.0) -> Trials:
        """Try the changes of the first findings, each alone and those that helped together, within so many seconds.

        Each is a short run from the same split and seed, and a second one from another seed, judged before and after
        on the validation rows. Raises `UsageError` if the run cannot be made again: if the diagnosis comes from a
        file.
        """
        from anyarray_mlp.diagnosis.trying import try_cures

        check_positive("seconds", seconds)
        if self.rerun is None:
            raise UsageError(
                "This diagnosis comes from a file, which does not hold the data: type anyarray-mlp diagnose RUN "
                "--try, or use the diagnosis that fit or train_table gives."
            )
        return try_cures(self.alarms, self.measure, self.rerun, seconds)

    @property
    def measure(self) -> str:
        """What the score of a trial is called: that of rare classes is balanced."""
        if not self.record.is_classification:
            return "R²"
        return "balanced accuracy" if self.is_about_rare_classes else "accuracy"

    @property
    def is_about_rare_classes(self) -> bool:
        """Whether an alarm says that a rare class is missed, or rows are weighted."""
        return self.record.settings.weighted or any(
            finding.cause == "class_imbalance" for finding in self.alarms
        )

    def __getstate__(self) -> dict[str, Any]:
        """The findings and the record: what makes a run again does not travel to another process."""
        return {**self.__dict__, "rerun": None}

    def summary(self, limit: int = 3, write: Callable[[Change], str] | None = None) -> str:
        """A few lines: the first `limit` alarms with evidence and cure, or "nothing suspicious"."""
        alarms = self.alarms
        if not alarms:
            return "diagnosis: nothing suspicious"
        lines = [f"diagnosis: {alarms[0].title}" + (" (probably)" if len(alarms) > 1 else "")]
        lines += [f"  {finding.told(write or self.write)}" for finding in alarms[:limit]]
        if len(alarms) > limit:
            lines.append(f"  and {len(alarms) - limit} more")
        return "\n".join(lines)

    def report(self, write: Callable[[Change], str] | None = None) -> str:
        """Every finding, notes included, one per line; `write` writes the changes to try."""
        if not self.findings:
            return "nothing suspicious"
        return "\n".join(
            f"{i}. {finding.told(write or self.write)}"
            for i, finding in enumerate(self.findings, start=1)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "format": FORMAT,
            "findings": [finding.to_dict() for finding in self.findings],
            "record": self.record.to_dict(),
        }

    def to_json(self) -> str:
        """One JSON text; figures that are not finite become the texts "nan", "inf" and "-inf"."""
        return json.dumps(as_text(self.to_dict()), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Diagnosis:
        """The diagnosis of a record that `to_json` wrote, made again by the present rules."""
        try:
            return diagnose_run(RunRecord.from_dict(json.loads(text)["record"]))
        except UNREADABLE as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"This is no diagnosis record ({reason}): train again.") from None

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `diagnosis.json` into a run's folder, whole or not at all."""
        path = Path(folder) / DIAGNOSIS_NAME
        content = self.to_json().encode("ascii")
        atomic_write(path, content, overwrite=True, follow_links=False)
        return path


@with_known_options
def load_diagnosis(run: str | os.PathLike[str]) -> Diagnosis:
    """The diagnosis of a run's folder or of its `diagnosis.json`.

    Raises `StorageError` if the file is missing or cannot be read, `DataError` if it is not a diagnosis.
    """
    check_path("run", run)
    path = Path(run)
    if path.is_dir():
        path = home_of(path) / DIAGNOSIS_NAME
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise StorageError(
            f"{path} does not exist: a run writes it when it ends. Resume an interrupted run (train --resume), or "
            "train with --diagnose, which keeps what a diagnosis needs."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} could not be read: {error}.") from None
    try:
        return Diagnosis.from_json(text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def as_text(value: Any) -> Any:
    """Nested dicts and lists with infinite and NaN floats as texts."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_text(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def diagnose_run(record: RunRecord) -> Diagnosis:
    """Every rule's finding on a record, ranked."""
    found = [finding for cause in CAUSES.values() if (finding := cause.find(record)) is not None]
    return Diagnosis(tuple(ranked(without_consequences(ranked(found)))), record)


def without_consequences(findings: list[Finding]) -> list[Finding]:
    """Ranked findings; those that follow from an alarm before them become notes that say so."""
    judged: list[Finding] = []
    for finding in findings:
        causes = (
            other.cause
            for other in judged
            if other.severity != "note" and CAUSES[other.cause].brings_about(CAUSES[finding.cause])
        )
        cause = None if finding.severity == "note" else next(causes, None)
        if cause is not None:
            finding = replace(finding, severity="note", because=cause)
        judged.append(finding)
    return judged


def ranked(findings: list[Finding]) -> list[Finding]:
    """Errors before warnings before notes, then causes before their consequences."""
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), CAUSES[f.cause].order))
