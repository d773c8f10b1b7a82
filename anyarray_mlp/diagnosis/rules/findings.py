"""`rule`, which makes a function one of the causes, and `Finding`: one cause that was found in a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from anyarray_mlp.diagnosis.record import RunRecord
from anyarray_mlp.diagnosis.symptoms import harm
from anyarray_mlp.errors import Severity

#: Groups of symptoms, which many causes bring about: what any training that fails shows, and what validation rows show.
TRAINING, VALIDATION = "training", "validation"


@dataclass(frozen=True)
class Finding:
    """A cause, how sure and how harmful it is, the figures it rests on, and what to do.

    `layer` counts dense layers from 1, that of the inputs first; None if the cause is not in a layer. `severity` is
    "error" if training failed because of it, "warning" if it does or will do harm, "note" otherwise. `because` is the
    cause that brought this one about, which makes it a note.
    """

    cause: str
    severity: Severity
    evidence: str
    cure: str
    layer: int | None = None
    because: str | None = None

    @property
    def title(self) -> str:
        """The cause in words."""
        return REGISTRY[self.cause].title

    def __str__(self) -> str:
        where = "" if self.layer is None else f" (layer {self.layer})"
        if self.because is not None:
            reason = REGISTRY[self.because].title
            return f"{self.severity}: {self.title}{where}, probably because {reason}."
        return f"{self.severity}: {self.title}{where}: {self.evidence}. {self.cure}."

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "cause": self.cause,
            "severity": self.severity,
            "layer": self.layer,
            "because": self.because,
            "evidence": self.evidence,
            "cure": self.cure,
        }


@dataclass(frozen=True)
class Found:
    """What a rule returns: the figures, what to do, the layer, and the severity if it is not that of the rule."""

    evidence: str
    cure: str
    layer: int | None = None
    severity: Severity | None = None


@dataclass(frozen=True)
class Cause:
    """A cause: its name, its title, its place in the order of causation, and the function that finds it.

    `symptom_of` is the group of symptoms that it belongs to, `explains` the groups and causes that it brings about.
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


#: Every cause by its name, as its file was imported; `rules.CAUSES` has them in the order of causation.
REGISTRY: dict[str, Cause] = {}


def rule(
    title: str,
    *,
    order: int,
    severity: Severity | None = None,
    symptom_of: str | None = None,
    explains: tuple[str, ...] = (),
) -> Callable[[Callable[[RunRecord], Found | None]], Callable[[RunRecord], Finding | None]]:
    """Make a function of a run's record the rule that finds one cause: the cause has the function's name.

    Parameters
    ----------
    title
        What the cause is called for people: a sentence without capital or full stop.
    order
        Its place in the order of causation: a cause comes before what it brings about, and of two findings of equal
        severity the one of lower order is to be fixed first.
    severity
        Of its findings, if the rule does not say; without, "error" if training failed and "warning" if not.
    symptom_of
        `TRAINING` or `VALIDATION` if any training that fails may show this, or any validation rows that do not fit.
    explains
        What this cause brings about: those groups, or names of causes. Beside it they are notes.

    Raises
    ------
    ValueError
        If another rule has the name or the order.
    """

    def decorate(
        function: Callable[[RunRecord], Found | None],
    ) -> Callable[[RunRecord], Finding | None]:
        name = function.__name__
        for other in REGISTRY.values():
            if other.name == name or other.order == order:
                raise ValueError(
                    f"rule {name!r} of order {order}: {other.name!r} is there with order {other.order}"
                )

        @wraps(function)
        def find(run: RunRecord) -> Finding | None:
            found = function(run)
            if found is None:
                return None
            grave = found.severity or severity or harm(run)
            return Finding(name, grave, found.evidence, found.cure, found.layer)

        REGISTRY[name] = Cause(name, title, order, find, symptom_of, explains)
        return find

    return decorate
