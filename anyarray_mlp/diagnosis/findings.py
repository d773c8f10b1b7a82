"""`Finding`: one thing that is wrong with a run, and the catalogue of causes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anyarray_mlp.errors import Severity

#: What each cause is called for people. The order is that of causation: what comes first brings about what
#: comes later, so of two findings of equal severity the first is the one to mend.
CAUSES: dict[str, str] = {
    "non_finite_data": "the data hold NaN or infinity",
    "output_cannot_reach_targets": "the output cannot reach the targets",
    "sentinel_values": "a value that stands for 'unknown' is taken for a number",
    "target_outliers": "a few rows make up nearly all that the targets vary",
    "identifier_column": "a column numbers the rows",
    "unscaled_inputs": "the inputs are not scaled",
    "unscaled_targets": "the targets are not scaled",
    "bad_initial_scale": "the initial weights are of a bad scale",
    "missing_class": "a class of the validation rows has no training rows",
    "validation_unlike_training": "the validation inputs are not like the training inputs",
    "shuffled_labels": "the labels do not belong to their rows",
    "wrong_validation_labels": "the validation labels do not fit the training labels",
    "leaking_column": "a column gives the target away",
    "repeated_rows": "validation rows are training rows as well",
    "unshuffled_rows": "the rows are sorted and not shuffled",
    "l2_too_strong": "the L2 penalty is too strong",
    "dropout_too_strong": "too many units are dropped",
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

#: What a training that is ill shows, whatever it is ill of.
TRAINING = frozenset(
    {
        "exploding_gradients",
        "vanishing_gradients",
        "batch_too_large",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "dead_units",
        "saturated_units",
        "underfitting",
        "too_few_epochs",
        "plateau",
        "one_class_predicted",
        "diverged",
    }
)
VALIDATION = frozenset({"overfitting"})
#: What a cause brings about. Such findings are no alarms beside it: to mend them by themselves would be in vain.
CONSEQUENCES: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "non_finite_data",
            "output_cannot_reach_targets",
            "sentinel_values",
            "unscaled_inputs",
            "target_outliers",
            "unscaled_targets",
            "bad_initial_scale",
            "l2_too_strong",
            "dropout_too_strong",
            "batch_too_small",
            "batch_too_large",
            *TRAINING,
        ),
        TRAINING,
    ),
    "shuffled_labels": TRAINING | VALIDATION,
    "validation_unlike_training": VALIDATION | {"wrong_validation_labels"},
    "wrong_validation_labels": VALIDATION,
    "class_imbalance": frozenset({"one_class_predicted"}),
}


@dataclass(frozen=True)
class Finding:
    """A cause, how sure and how harmful it is, the figures it rests on, and what to do.

    `layer` counts dense layers from 1, that of the inputs first; None where the cause is not in a layer. `severity` is
    "error" where training failed of it, "warning" where it does or will do harm, "note" otherwise. `because` is the
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
        return CAUSES[self.cause]

    def __str__(self) -> str:
        where = "" if self.layer is None else f" (layer {self.layer})"
        if self.because is not None:
            return f"{self.severity}: {self.title}{where}, probably because {CAUSES[self.because]}."
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
