"""`Finding`: one thing that is wrong with a run, and the catalogue of causes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

#: What each cause is called for people. The order is that of causation: what comes first brings about what
#: comes later, so of two findings of equal severity the first is the one to mend.
CAUSES: dict[str, str] = {
    "non_finite_data": "the data hold NaN or infinity",
    "output_cannot_reach_targets": "the output cannot reach the targets",
    "unscaled_inputs": "the inputs are not scaled",
    "unscaled_targets": "the targets are not scaled",
    "bad_initial_scale": "the initial weights are of a bad scale",
    "shuffled_labels": "the labels do not belong to their rows",
    "wrong_validation_labels": "the validation labels are coded otherwise than the training labels",
    "leaking_column": "a column gives the target away",
    "l2_too_strong": "the L2 penalty is too strong",
    "batch_too_small": "the batch is too small",
    "batch_too_large": "the batch is too large",
    "exploding_gradients": "gradients explode",
    "vanishing_gradients": "gradients vanish",
    "learning_rate_too_high": "the learning rate is too high",
    "learning_rate_too_low": "the learning rate is too low",
    "dead_units": "units are dead",
    "saturated_units": "units are saturated",
    "class_imbalance": "classes are imbalanced",
    "underfitting": "the network is too small",
    "too_few_epochs": "training ended too early",
    "plateau": "the loss stands still",
    "one_class_predicted": "one class is predicted for every row",
    "validation_too_small": "the validation set is too small",
    "overfitting": "the network overfits",
    "duplicate_column": "columns are duplicates",
    "constant_column": "columns are constant",
    "diverged": "the loss became infinite or NaN",
}


@dataclass(frozen=True)
class Finding:
    """A cause, how sure and how harmful it is, the figures it rests on, and what to do.

    `layer` counts dense layers from 1, that of the inputs first; None where the cause is not in a layer. `severity` is
    "error" where training failed of it, "warning" where it does or will do harm, "note" otherwise.
    """

    cause: str
    severity: Severity
    evidence: str
    cure: str
    layer: int | None = None

    @property
    def title(self) -> str:
        """The cause in words."""
        return CAUSES[self.cause]

    def __str__(self) -> str:
        where = "" if self.layer is None else f" (layer {self.layer})"
        return f"{self.severity}: {self.title}{where}: {self.evidence}. {self.cure}."

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "cause": self.cause,
            "severity": self.severity,
            "layer": self.layer,
            "evidence": self.evidence,
            "cure": self.cure,
        }
