"""`rule`, the decorator that turns a function into a cause, and `Finding`, one cause found in a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from anyarray_mlp.diagnosis.changes import Change, in_python
from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.symptoms import harm
from anyarray_mlp.errors import Severity

#: Groups of symptoms that many causes share: what any failed training shows, and what bad validation rows show.
TRAINING, VALIDATION = "training", "validation"


@dataclass(frozen=True)
class Finding:
    """A cause, how harmful it is, the evidence for it, and what to do about it.

    `layer` counts dense layers from 1 at the inputs; None if the cause is not in a layer. `severity` is "error" if
    training failed because of it, "warning" if it does or will do harm, "note" otherwise. `because` is the cause that
    this one follows from, which makes it a note. `changes` are settings that may cure it, each to be tried by itself,
    the most promising first.
    """

    cause: str
    severity: Severity
    evidence: str
    cure: str
    layer: int | None = None
    because: str | None = None
    changes: tuple[Change, ...] = ()

    @property
    def title(self) -> str:
        """The cause in words."""
        return REGISTRY[self.cause].title

    def __str__(self) -> str:
        return self.told()

    def told(self, write: Callable[[Change], str] = in_python) -> str:
        """A line, in which `write` writes the changes to try."""
        where = "" if self.layer is None else f" (layer {self.layer})"
        if self.because is not None:
            reason = REGISTRY[self.because].title
            return f"{self.severity}: {self.title}{where}, probably because {reason}."
        said = f"{self.severity}: {self.title}{where}: {self.evidence}. {self.cure}."
        if self.changes:
            said += f" To try: {'; '.join(write(change) for change in self.changes)}."
        return said

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "cause": self.cause,
            "severity": self.severity,
            "layer": self.layer,
            "because": self.because,
            "evidence": self.evidence,
            "cure": self.cure,
            "changes": [dict(change) for change in self.changes],
        }


@dataclass(frozen=True)
class Found:
    """What a rule returns: the evidence, what to do, the layer, and the severity if it is not the rule's own.

    `changes` are settings that may cure it; those that the run has already are left out.
    """

    evidence: str
    cure: str
    layer: int | None = None
    severity: Severity | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Cause:
    """A cause: its name, its title, its place in the order of causation, and the function that finds it.

    `symptom_of` is the group of symptoms that it belongs to, `explains` the groups and causes that follow from it.
    """

    name: str
    title: str
    order: int
    find: Callable[[RunRecord], Finding | None]
    symptom_of: str | None
    explains: tuple[str, ...]

    def brings_about(self, other: Cause) -> bool:
        """Whether `other` follows from this cause, so that it need not be fixed by itself."""
        return other.name in self.explains or other.symptom_of in self.explains


#: Every cause by name, in the order in which the files were imported; `rules.CAUSES` is in the order of causation.
REGISTRY: dict[str, Cause] = {}


def rule(
    title: str,
    *,
    order: int,
    severity: Severity | None = None,
    symptom_of: str | None = None,
    explains: tuple[str, ...] = (),
) -> Callable[[Callable[[RunRecord], Found | None]], Callable[[RunRecord], Finding | None]]:
    """Decorate a function of a run's record as the rule that finds one cause. The function's name is the cause's name.

    Parameters
    ----------
    title
        The cause in words: a sentence without capital or full stop.
    order
        Its place in the order of causation: causes come before their consequences. Of two findings of equal severity,
        the one with the lower order should be fixed first.
    severity
        The severity of its findings, unless the rule returns another. Default: "error" if training failed, "warning"
        if not.
    symptom_of
        `TRAINING` if any failed training may show this, `VALIDATION` if any bad validation rows may.
    explains
        The groups and names of causes that follow from this one. If this one is an alarm, those become notes.

    Raises
    ------
    ValueError
        If another rule has the same name or order.
    """

    def decorate(
        function: Callable[[RunRecord], Found | None],
    ) -> Callable[[RunRecord], Finding | None]:
        name = function.__name__
        for other in REGISTRY.values():
            if other.name == name or other.order == order:
                raise ValueError(
                    f"rule {name!r} with order {order}: {other.name!r} already has order {other.order}"
                )

        @wraps(function)
        def find(run: RunRecord) -> Finding | None:
            found = function(run)
            if found is None:
                return None
            grave = found.severity or severity or harm(run)
            changes = tuple(change for change in found.changes if run.settings.can_make(change))
            return Finding(name, grave, found.evidence, found.cure, found.layer, changes=changes)

        REGISTRY[name] = Cause(name, title, order, find, symptom_of, explains)
        return find

    return decorate
