"""`RunRecord`: everything known about a training run, as numbers that fit in a JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from anyarray_mlp.checking.records import typed
from anyarray_mlp.diagnosis.data_summary import DataSummary
from anyarray_mlp.diagnosis.held_out import Repeats, Shift
from anyarray_mlp.diagnosis.probe import Probe
from anyarray_mlp.diagnosis.references import Learnable


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
    learning_rate: str = "constant"
    momentum: float | None = None
    initializer: str = "auto"
    warm_up: int = 0
    weight_ratio: float = 1.0
    table: dict[str, Any] = field(default_factory=dict)

    def can_make(self, change: Mapping[str, Any]) -> bool:
        """Whether a change of settings is one: those of a table are for tables, and some value is another."""
        ours = self.current()
        if any(name not in ours for name in change):
            return False
        return any(not is_set(ours[name], value) for name, value in change.items())

    def current(self) -> dict[str, Any]:
        """The settings that a change may be about, as they are."""
        one = {
            "hidden_layer_sizes": tuple(self.sizes[1:-1]),
            "activation": self.activation[0] if len(set(self.activation)) == 1 else None,
            "dropout": max(self.dropout, default=0.0),
            "keep_epoch": "best" if self.keeps_best and not self.early_stopping else "last",
            "patience": None,
        }
        names = (
            "output",
            "loss",
            "alpha",
            "optimizer",
            "learning_rate_init",
            "learning_rate",
            "momentum",
            "batch_size",
            "epochs",
            "clip_norm",
            "early_stopping",
            "shuffle",
            "initializer",
            "warm_up",
        )
        return {**{name: getattr(self, name) for name in names}, **one, **self.table}


def is_set(value: Any, wanted: Any) -> bool:
    """Whether a setting has a value already; one of several columns, whether it names them all."""
    if (
        isinstance(wanted, tuple)
        and isinstance(value, (list, tuple))
        and wanted
        and isinstance(wanted[0], str)
    ):
        return set(wanted) <= set(value)
    if isinstance(wanted, tuple) and isinstance(value, (list, tuple)):
        return tuple(value) == wanted
    return bool(value == wanted)


@dataclass(frozen=True)
class InitialLayer:
    """The weights (i, o) of a layer before training.

    `gain_in` is their root mean square times sqrt(i), near 1 to 1.4 if signals keep their scale; `gain_out` is the
    same with sqrt(o). `alike` says that all units start with equal weights, in and out. `one_sided` is the mean of the
    weights over their root mean square: near 0 if signs are mixed.
    """

    gain_in: float
    gain_out: float
    alike: bool
    one_sided: float = 0.0


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
    learnable : what other learners reach on rows that they have not seen; empty if it was not needed.
    test_shift : how test inputs differ from training inputs.
    crowded : by what factor distances to training rows jump, in the median over the validation rows, where near copies
        or rows of the same group end; about 1.5 by chance. None if it is not known.
    ordered_errors : how far off wrong classes are, over how far off they were by chance, by the order of the classes.

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
    learnable: Learnable = field(default_factory=Learnable)
    test_shift: Shift | None = None
    crowded: float | None = None
    ordered_errors: float | None = None


@dataclass(frozen=True)
class Names:
    """Names of columns, by their place as text, and of classes, by their code, if they have any.

    `scales` has the scale and mean that brought a column's values to what the network sees, by its place as text, and
    `target` those of the targets: a finding shows the values of the file.
    """

    columns: dict[str, str] = field(default_factory=dict)
    classes: tuple[Any, ...] = ()
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    target: tuple[float, float] | None = None

    def value(self, place: int, value: float) -> str:
        """A value of a column as the file has it."""
        scale, mean = self.scales.get(str(place), (1.0, 0.0))
        return in_figures(value * scale + mean)

    def is_whole(self, place: int, value: float) -> bool:
        """Whether a value is a whole number in the file, as placeholders are; True where it is not known."""
        if str(place) not in self.scales:
            return True
        scale, mean = self.scales[str(place)]
        number = value * scale + mean
        return abs(number - round(number)) < 1e-4 * max(abs(number), abs(scale), 1.0)

    def target_value(self, value: float) -> str:
        """A value of the target as the file has it."""
        scale, mean = self.target or (1.0, 0.0)
        return in_figures(value * scale + mean)

    def column(self, place: int) -> str:
        """A column, as it is shown."""
        name = self.columns.get(str(place))
        return str(place) if name is None else repr(name)

    def plain(self, place: int) -> str:
        """A column's name, or its place."""
        return self.columns.get(str(place), str(place))

    def label(self, code: int) -> str:
        """A class, as it is shown."""
        return repr(self.classes[code]) if code < len(self.classes) else str(code)


def in_figures(value: float) -> str:
    """A value without the traces of scaling: -999 and not -998.9999."""
    return f"{float(f'{value:.5g}'):.7g}"


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
