"""`BackpropReport`: what `check_backprop` found, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.markup import element, html, remark

#: Warnings of what does not spoil the training as it is.
HARMLESS = frozenset(["overflow", "log_of_zero"])


@dataclass(frozen=True)
class BackpropReport:
    """What `check_backprop` found.

    `findings` are alarms, the most important first; `notes` are remarks that need no action;
    `understood` says how the network was understood; `gradients` compares each parameter's gradient
    with the numerical gradient of the loss.
    """

    findings: tuple[BackpropFinding, ...]
    notes: tuple[BackpropFinding, ...] = ()
    understood: dict[str, Any] = field(default_factory=dict)
    gradients: tuple[dict[str, Any], ...] = ()

    @property
    def ok(self) -> bool:
        """True if nothing is wrong: at most, large numbers would overflow or meet log(0)."""
        return all(f.severity == "warning" and f.cause in HARMLESS for f in self.findings)

    @property
    def causes(self) -> tuple[str, ...]:
        """The causes found, the most important first."""
        return tuple(dict.fromkeys(finding.cause for finding in self.findings))

    def _repr_html_(self) -> str:
        """The findings and the remarks, as a notebook shows them."""
        first, *_ = str(self).partition("\n\n")
        said = [element("p", line) for line in first.splitlines()]
        remarks = [
            remark(each.severity, each.title, *str(each).splitlines())
            for each in (*self.findings, *self.notes)
        ]
        return html(*said, *([element("ol", *remarks)] if remarks else []))

    def to_json(self) -> str:
        """The report as JSON text."""
        told = {
            "ok": self.ok,
            "findings": [f.to_dict() for f in self.findings],
            "notes": [f.to_dict() for f in self.notes],
            "understood": self.understood,
            "gradients": list(self.gradients),
        }
        return json.dumps(plain(told), indent=2, allow_nan=False)

    def __str__(self) -> str:
        lines = []
        if self.understood:
            parts = [f"{key} {value}" for key, value in self.understood.items()]
            lines.append("understood as: " + "; ".join(parts))
        if not self.findings and any(note.cause == "random_numbers" for note in self.notes):
            lines.append("not checked: the gradients depend on random numbers")
        elif not self.findings:
            lines.append("no mistake found: the gradients are those of the loss")
        else:
            number = len(self.findings)
            if all(finding.severity == "warning" for finding in self.findings):
                lines.append(f"no error found, {number} warning{'s' if number > 1 else ''}:")
            elif number > 1:
                lines.append(f"{number} things wrong, the most important first:")
            else:
                lines.append("1 thing wrong:")
        for index, finding in enumerate(self.findings, 1):
            lines += ["", f"{index}. {finding}"]
        for finding in self.notes:
            lines += ["", str(finding)]
        return "\n".join(lines)


def plain(value: Any) -> Any:
    """A value as JSON can hold it; numbers that are not finite become text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (bool, str, int)) or value is None:
        return value
    number = float(value)
    return number if np.isfinite(number) else str(number)
