"""What training tells: the state that it can continue from, a record of each epoch, and what came of it all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_boolean, check_path
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.optimizers import State
from anyarray_mlp.persistence import save
from anyarray_mlp.training.saving import Origin, model_of
from anyarray_mlp.typing import Host, Leaves


@dataclass(frozen=True)
class TrainingState:
    """All that training needs to go on as if it had never stopped."""

    parameters: Host
    moments: tuple[Host, ...]
    step: int
    epoch: int
    order: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes
    ----------
    epoch, step : epochs and steps done so far.
    loss : mean of the steps' losses, penalty, dropout and smoothed labels included, weighted by their samples.
    learning_rate : the last step's.
    seconds : since training began.
    validation_loss : mean loss on the validation set, or None without one.
    scores : validation metrics by name.
    complete : False where a stop was asked for before the epoch's end.
    snapshot : the training state as it is now, on the host; call it before the next epoch runs. Of networks that are
        trained in step (`members`), a tuple of the state of each.
    on_device : the leaves and moments as they are now, on the device; look at them before the next epoch runs.
    step_losses : the loss of each step (steps,).
    statistics : what the `statistics` of `train` gave, each with an axis of steps in front.
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    seconds: float
    validation_loss: float | None
    scores: dict[str, float]
    complete: bool
    snapshot: Callable[[], Any] = field(repr=False, compare=False)
    on_device: Callable[[], tuple[Leaves, State]] = field(repr=False, compare=False)
    step_losses: Host = field(repr=False, compare=False)
    statistics: tuple[Host, ...] = field(default=(), repr=False, compare=False)

    def record(self) -> dict[str, Any]:
        """The figures as a JSON-able line."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "validation_loss": self.validation_loss,
            **self.scores,
            "learning_rate": self.learning_rate,
            "seconds": round(self.seconds, 4),
        }

    def __getstate__(self) -> dict[str, Any]:
        """The figures: where training stands on a device does not travel to another process."""
        return {**self.__dict__, "snapshot": left_behind, "on_device": left_behind}


def left_behind() -> Any:
    """In place of an epoch's state where the epoch was copied or pickled."""
    raise UsageError("A copied epoch holds figures only: take its snapshot where it was trained.")


def run_hash(losses: list[float], validation_losses: list[float], parameters: Host) -> str:
    """`Fit.hash` of a run whose epochs are told by their losses, and validation losses if there are any."""
    digest = hashlib.sha256()
    for values in (losses, validation_losses, parameters):
        array = np.ascontiguousarray(values)
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def epochs_in_words(kept: int | tuple[int, ...]) -> str:
    """The epoch that is kept, or of several networks those that are."""
    return str(kept) if isinstance(kept, int) else ", ".join(map(str, kept))


@dataclass(frozen=True)
class Fit:
    """What `fit` came to: final parameters (p,), one record per epoch, and why it stopped.

    Of several networks that answer together (`train_table(..., members=4)`) the parameters are (k, p), an epoch's
    figures the mean of theirs, `kept_epoch` a tuple, and `members` what came of each.

    `stopped` is "finished", "converged" or "stalled" (L-BFGS), "early", "callback", "diverged" (of `fit_many`, where
    `fit` raises) or "interrupted"; in the last case `signal` is the number of the signal.
    `kept_epoch` is the epoch that the parameters are of, where the best is kept; None: they are those of the end.
    `diagnosis` is the `Diagnosis` of `fit(..., diagnose=True)`;
    `origin` is what `save` needs to know beside the parameters.
    """

    parameters: Host
    history: tuple[Epoch, ...]
    stopped: str
    signal: int | None = None
    diagnosis: Any = field(default=None, repr=False, compare=False)
    origin: Origin | None = field(default=None, repr=False, compare=False)
    kept_epoch: int | tuple[int, ...] | None = None
    members: tuple[Fit, ...] = field(default=(), repr=False, compare=False)

    @with_known_options
    def save(
        self,
        path: str | os.PathLike[str],
        overwrite: bool = True,
        *,
        classes: Sequence[Any] | None = None,
        columns: Sequence[str] | None = None,
        target: str | Sequence[str] | None = None,
    ) -> None:
        """Write a model file that `anyarray-mlp predict`, `evaluate` and `TrainedModel.load` take.

        classes : the label of each class, in the order of the outputs; without, the labels are the classes' numbers.
        columns : what the columns of x are called; without, those of the DataFrame that was trained on. Rows to
            predict are found by these names, or by their order if there are none. A gap is refused.
        target : the column of the targets, or one for each output; without, that of the Series or DataFrame.

        The parameters keep every bit, and so do predictions, except that an `input_scale` which is not that of pixels
        (bytes, 1/255) is applied to the rows before they are rounded to the network's dtype.

        Raises `UsageError` for names and labels that do not fit, and the errors of `persistence.save`.
        """
        check_path("path", path)
        check_boolean("overwrite", overwrite)
        if self.origin is None:
            raise UsageError(
                "This result does not say what it was trained with: save what fit returned, or a TrainedModel."
            )
        made = dict(self.origin.made_with)
        if self.kept_epoch is not None:
            made["kept_epoch"] = epochs_in_words(self.kept_epoch)
        origin = replace(self.origin, made_with=made)
        save(path, model_of(origin, self.parameters, classes, columns, target), overwrite)

    @property
    def loss_curve(self) -> list[float]:
        """Training loss, epoch by epoch."""
        return [epoch.loss for epoch in self.history]

    @property
    def hash(self) -> str:
        """sha256 of the loss curve, the validation curve and the final parameters, as little-endian bytes.

        Under reproducible arithmetic the same settings and data have the same hash everywhere.
        """
        return run_hash(self.loss_curve, self.validation_curve, self.parameters)

    @property
    def validation_curve(self) -> list[float]:
        """Validation loss, epoch by epoch; empty without a validation set."""
        return [e.validation_loss for e in self.history if e.validation_loss is not None]
