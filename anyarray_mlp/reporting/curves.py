"""Learning curves: what each epoch came to, and which epoch is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyarray_mlp.reporting.missing import Missing

#: What a record says beside the figures of an epoch.
OTHERS = ("epoch", "step", "learning_rate", "seconds")


@dataclass(frozen=True)
class Curves:
    """Figures of each epoch.

    Attributes
    ----------
    epochs : their numbers.
    figures : by name ("loss", "validation_loss", "accuracy", ...), one for each epoch; None where it was not finite.
    learning_rate : the last step's of each epoch.
    kept : the epoch that the model is of; of several networks, one for each.
    seconds : how long training took.
    """

    epochs: tuple[int, ...]
    figures: dict[str, tuple[float | None, ...]]
    learning_rate: tuple[float | None, ...]
    kept: tuple[int, ...]
    seconds: float


def curves_of(
    records: Sequence[Mapping[str, Any]], metadata: Mapping[str, str] | None
) -> Curves | Missing:
    """The curves of a run's records, one an epoch, and of what its model says of the kept epoch."""
    if not records:
        return Missing("the run's folder holds no record of an epoch")
    names = dict.fromkeys(name for record in records for name in record if name not in OTHERS)
    figures = {name: tuple(record.get(name) for record in records) for name in names}
    epochs = tuple(record.get("epoch", place) for place, record in enumerate(records, start=1))
    told = (metadata or {}).get("kept_epoch", str(epochs[-1]))
    return Curves(
        epochs,
        {name: values for name, values in figures.items() if any(v is not None for v in values)},
        tuple(record.get("learning_rate") for record in records),
        tuple(int(each) for each in told.split(", ")),
        float(records[-1].get("seconds") or 0.0),
    )
