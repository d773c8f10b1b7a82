"""`BackpropFinding`: one mistake found, in words."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from anyarray_mlp.backprop.causes.catalogue import CATALOGUE
from anyarray_mlp.errors import Severity


@dataclass(frozen=True)
class BackpropFinding:
    """One mistake found.

    `layers` counts from 1 at the input (empty if no single layer is meant), `where` is the part of
    them that is wrong, `evidence` are the figures that show it, `location` is "file:line" if the
    user's source could be read, `corrected` the line as it should be, if it can be written.
    """

    cause: str
    layers: tuple[int, ...] = ()
    where: str = ""
    detail: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    location: str | None = None
    line: str | None = None
    severity: Severity = "error"
    samples: str = "rows"
    corrected: str = ""

    @property
    def layer(self) -> int | None:
        """The layer nearest to the output, if one is meant."""
        return max(self.layers) if self.layers else None

    @property
    def title(self) -> str:
        """The mistake in a few words."""
        return CATALOGUE[self.cause].title

    @property
    def only_of(self) -> str:
        """ "weight" or "bias" if only these are meant, else nothing."""
        meant = self.where.removesuffix(", seen in the update")
        return meant if meant in ("weight", "bias") else ""

    @property
    def was(self) -> str:
        """The line as it probably is."""
        return self.words[0]

    @property
    def should_be(self) -> str:
        """The line as it should be."""
        return self.words[1]

    @property
    def cure(self) -> str:
        """What to write instead."""
        return self.words[2]

    @property
    def words(self) -> tuple[str, str, str]:
        """What was, what should be, and the cure, in the layout of the samples."""
        cause = CATALOGUE[self.cause]
        words = (cause.was, cause.should_be, cause.cure)
        if self.only_of == "bias" and cause.of_bias is not None:
            words = cause.of_bias
        if self.samples == "columns":
            words = (in_columns(words[0]), in_columns(words[1]), in_columns(words[2]))
        return words

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            **asdict(self),
            "layers": list(self.layers),
            "title": self.title,
            "was": self.was,
            "should_be": self.should_be,
            "cure": self.cure,
        }

    def __str__(self) -> str:
        place = ""
        if self.layers:
            names = ", ".join(str(layer) for layer in self.layers)
            of = f"{self.only_of} of " if self.only_of else ""
            place = f" [{of}layer{'s' if len(self.layers) > 1 else ''} {names}]"
        lines = [f"{self.severity}: {self.title}{place} ({self.cause})"]
        if self.detail:
            lines.append(f"  what      {self.detail}")
        lines.append(f"  was       {self.was}")
        lines.append(f"  should be {self.should_be}")
        lines.append(f"  cure      {self.cure}")
        if self.location:
            lines.append(f"  where     {self.location}: {self.line}")
        if self.corrected:
            lines.append(f"  instead   {self.corrected}")
        if self.evidence:
            parts = [f"{key} {format_value(value)}" for key, value in self.evidence.items()]
            lines.append(f"  evidence  {'; '.join(parts)}")
        return "\n".join(lines)


SWAPPED = {"axis=0": "axis=1", "axis=1": "axis=0", "row": "column", "rows": "columns"}


def in_columns(text: str) -> str:
    """Formulas for samples in rows and weights (in, out), rewritten for columns and (out, in).

    Everything is transposed: the factors of a product swap places, and so do the axes.
    """
    text = re.sub(r"(\w+(?:\.T)?) @ (\w+(?:\.T)?)", r"\2 @ \1", text)
    return re.sub(r"axis=[01]|\brows?\b", lambda found: SWAPPED[found[0]], text)


def format_value(value: Any) -> str:
    """Three significant digits of a float; anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
