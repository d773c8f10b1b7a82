"""`RunRecord`: everything known about a training run, as numbers that fit in a JSON file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from anyarray_mlp.checking.records import typed
from anyarray_mlp.diagnosis.data_summary import DataSummary
from anyarray_mlp.diagnosis.held_out import Repeats, Shift
from anyarray_mlp.diagnosis.probe import Probe


@dataclass(frozen=True)
class Settings:
    """How the run was set up; names as in `fit`.

    `weighted` says whether rows have weights, `validation_is_later` whether validation rows are later than those that
    are trained on, `keeps_best` whether the parameters judged are those of the best epoch.
    """

    sizes: tuple[int, ...]
    activation: tuple[str, ...]
    output: str
    loss: str
    dropout: tuple[float, ...]
    alpha: float
    optimizer: str
    learning_rate_init: float
    batch_size: int
    epochs: int
    clip_norm: float | None
    early_stopping: bool
    shuffle: bool = True
    weighted: bool = False
    validation_is_later: bool = False
    keeps_best: bool = False


@dataclass(frozen=True)
class InitialLayer:
    """The weights (i, o) of a layer before training.

    `gain_in` is their root mean square times sqrt(i), near 1 to 1.4 if signals keep their scale; `gain_out` is the
    same with sqrt(o). `alike` says that all units start with equal weights, in and out.
    """

    gain_in: float
    gain_out: float
    alike: bool


@dataclass(frozen=True)
class Curve:
    """Figures of each epoch, all of the same length; `validation_loss` may be empty.

    `noise` is the standard deviation of the epoch's step losses over their mean.
    """

    loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    learning_rate: tuple[float, ...]
    noise: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """How the run ended.

    Attributes
    ----------
    stopped : as in `Fit`, or "diverged".
    steps : optimiser steps made; if "diverged", up to the first loss that is not finite.
    training_skill, validation_skill : 0 for the best constant, 1 for perfect (see `held_out.skill`).
    neighbour_skill : the same for nearest neighbours among the training rows; None if it was not needed.
    association : the largest correlation of a column with the target or with a class, times the square root of the
        number of rows: below about 4 by chance alone; None if it was not needed.
    validation_mapping : share of validation rows predicted as their class's most frequent prediction, if that is
        another class, less the same share of training rows. Near 1, the labels are encoded differently.
    predicted_counts : rows of the sample predicted as each class; empty in regression.
    clipped : share of steps whose gradient was clipped; None without clipping.
    chance, validation_chance : share of the most frequent class among the rows that the skills are of; None without
        classes.
    rows_of_class, found_of_class : validation rows of each class (training rows without a validation set) and how
        many of them are recognised, in the sample.
    missing_classes : classes of validation rows that no training row has, and how many rows each has.
    validation_neighbour_skill : how well neighbours among the training rows predict validation rows; None if it was
        not needed.
    validation_association : the largest correlation of an output with a target or a class of validation rows, times
        the square root of their number; None without validation rows.
    shift : how validation inputs differ from training inputs.
    repeats : validation rows that are also training rows.

    Skills and chance are weighted if rows have weights.
    """

    stopped: str
    steps: int
    training_skill: float
    validation_skill: float | None
    neighbour_skill: float | None
    association: float | None
    validation_mapping: float
    predicted_counts: tuple[int, ...]
    clipped: float | None
    chance: float | None = None
    validation_chance: float | None = None
    rows_of_class: tuple[int, ...] = ()
    found_of_class: tuple[int, ...] = ()
    missing_classes: tuple[tuple[int, int], ...] = ()
    validation_neighbour_skill: float | None = None
    validation_association: float | None = None
    shift: Shift | None = None
    repeats: Repeats | None = None


@dataclass(frozen=True)
class Names:
    """Names of columns, by their place as text, and of classes, by their code, if they have any."""

    columns: dict[str, str] = field(default_factory=dict)
    classes: tuple[Any, ...] = ()

    def column(self, place: int) -> str:
        """A column, as it is shown."""
        name = self.columns.get(str(place))
        return str(place) if name is None else repr(name)

    def label(self, code: int) -> str:
        """A class, as it is shown."""
        return repr(self.classes[code]) if code < len(self.classes) else str(code)


@dataclass(frozen=True)
class RunRecord:
    """A run: settings, data, initial weights, the curve, probes in order of epochs, the outcome, and names."""

    settings: Settings
    data: DataSummary
    initial: tuple[InitialLayer, ...]
    curve: Curve
    probes: tuple[Probe, ...]
    outcome: Outcome
    names: Names = field(default_factory=Names)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, except that numbers that are not finite stay as they are."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> RunRecord:
        """The record of a dict made by `to_dict`, with or without a trip through JSON.

        Raises `RecordError`, which names the field, if a field has the wrong type.
        """
        made: RunRecord = typed(cls, record, "record")
        return made

    @property
    def is_classification(self) -> bool:
        """Whether targets are classes."""
        return bool(self.data.class_counts)

    @property
    def progress(self) -> float:
        """Share of the baseline loss that training removed; 1 is all of it.

        A probe has few rows; an epoch's loss has all, but with penalty and dropout: the better of the two counts.
        """
        base = self.data.baseline_loss
        if not base:
            return self.outcome.training_skill
        loss = self.probes[-1].loss
        if self.curve.loss and self.outcome.stopped != "diverged":
            loss = min(loss, self.curve.loss[-1])
        return 1.0 - loss / base
