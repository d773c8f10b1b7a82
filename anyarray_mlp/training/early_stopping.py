"""What goes by a figure of each epoch and keeps the best: `BestEpoch` to the end, `EarlyStopping` until it is time."""

from __future__ import annotations

import math
from typing import Any

from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_not_negative, check_whole
from anyarray_mlp.errors import UsageError
from anyarray_mlp.metrics import METRICS
from anyarray_mlp.training.records import Epoch
from anyarray_mlp.typing import Host

MONITORED_LOSSES = ("loss", "validation_loss")


class BestKept:
    """What both have in common: the figure `monitor`, and the best value, its epoch and the parameters of this."""

    #: What an error calls it.
    name = ""

    def __init__(self, monitor: str) -> None:
        self.monitor = find_name("monitor", monitor, (*MONITORED_LOSSES, *METRICS), "metric")
        self.sign = -1.0
        if self.monitor not in MONITORED_LOSSES:
            self.sign = 1.0 if METRICS[self.monitor].greater_is_better else -1.0
        self.reset()

    def __call__(self, epoch: Epoch) -> bool:
        """Take note of an epoch; True when it is time to stop."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget what was seen, for another run."""
        self.best = -math.inf
        self.best_epoch = 0
        self.best_parameters: Host | None = None

    def score(self, epoch: Epoch) -> float:
        """The figure of an epoch, the more the better; `UsageError` where it is not measured."""
        value = epoch.record().get(self.monitor)
        if value is None:
            raise UsageError(
                f"{self.name} watches {self.monitor}, which is not measured: give a validation set"
                + (
                    f" and metrics=[{self.monitor!r}]."
                    if self.monitor != "validation_loss"
                    else "."
                )
            )
        return self.sign * float(value)

    def keep(self, epoch: Epoch, score: float) -> None:
        """Keep an epoch as the best so far."""
        self.best, self.best_epoch = score, epoch.epoch
        self.best_parameters = epoch.snapshot().parameters

    @property
    def value(self) -> float:
        """The figure of the best epoch."""
        return self.sign * self.best

    def state(self) -> dict[str, Any]:
        """Best score (None before the first) and its epoch, as JSON; `best_parameters` go beside."""
        best = self.best if math.isfinite(self.best) else None
        return {"best": best, "best_epoch": self.best_epoch}

    def restore(self, state: dict[str, Any], best_parameters: Host | None) -> None:
        """Go on from what `state` gave."""
        self.best = -math.inf if state["best"] is None else state["best"]
        self.best_epoch = state["best_epoch"]
        self.best_parameters = best_parameters

    @property
    def is_over(self) -> bool:
        """Whether it is time to stop."""
        return False


@with_known_options
class BestEpoch(BestKept):
    """Keeps the parameters of the best epoch, and lets training go on to its end.

    `monitor` is "loss", "validation_loss" or the name of a metric that `train` was asked for. Of epochs that a metric
    finds equal, as accuracies on few rows often are, the one of lower validation loss is the best; of those that are
    equal in all, the last.
    """

    name = "keep_epoch"

    def __init__(self, monitor: str = "validation_loss") -> None:
        super().__init__(monitor)

    def reset(self) -> None:
        """Forget what was seen, for another run."""
        super().reset()
        #: The validation loss of the best epoch, which decides between equal metrics.
        self.best_loss = math.inf

    def __call__(self, epoch: Epoch) -> bool:
        """Take note of an epoch; it is never time to stop."""
        score, loss = self.score(epoch), math.inf
        if self.monitor not in MONITORED_LOSSES and epoch.validation_loss is not None:
            loss = epoch.validation_loss
        if math.isfinite(score) and (score, -loss) >= (self.best, -self.best_loss):
            self.keep(epoch, score)
            self.best_loss = loss
        return False

    def state(self) -> dict[str, Any]:
        """As `EarlyStopping.state`, with the validation loss of the best epoch if that has a say."""
        loss = self.best_loss if math.isfinite(self.best_loss) else None
        return {**super().state(), "best_loss": loss}

    def restore(self, state: dict[str, Any], best_parameters: Host | None) -> None:
        """Go on from what `state` gave."""
        super().restore(state, best_parameters)
        self.best_loss = math.inf if state["best_loss"] is None else state["best_loss"]


@with_known_options
class EarlyStopping(BestKept):
    """Stops when a figure has not improved by `tol` for `patience` epochs; keeps the best parameters.

    `monitor` is "loss", "validation_loss" or the name of a metric that `train` was asked for.
    """

    name = "Early stopping"

    def __init__(
        self, monitor: str = "validation_loss", patience: int = 10, tol: float = 1e-4
    ) -> None:
        super().__init__(monitor)
        self.patience = check_whole("patience", patience, 1)
        self.tol = check_not_negative("tol", tol)

    def reset(self) -> None:
        """Forget what was seen, for another run."""
        super().reset()
        self.waited = 0

    def __call__(self, epoch: Epoch) -> bool:
        """Take note of an epoch; True when it is time to stop."""
        score = self.score(epoch)
        self.waited = 0 if score > self.best + self.tol else self.waited + 1
        if score > self.best:
            self.keep(epoch, score)
        return self.is_over

    def state(self) -> dict[str, Any]:
        """Best score (None before the first), its epoch and the epochs since, as JSON; `best_parameters` go beside."""
        return {**super().state(), "waited": self.waited}

    def restore(self, state: dict[str, Any], best_parameters: Host | None) -> None:
        """Go on from what `state` gave."""
        super().restore(state, best_parameters)
        self.waited = state["waited"]

    @property
    def is_over(self) -> bool:
        """Whether the patience is used up."""
        return self.waited >= self.patience
