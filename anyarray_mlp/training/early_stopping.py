"""`EarlyStopping`: a callback that ends training when a figure no longer improves."""

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


@with_known_options
class EarlyStopping:
    """Stops when a figure has not improved by `tol` for `patience` epochs; keeps the best parameters.

    `monitor` is "loss", "validation_loss" or the name of a metric that `train` was asked for.
    """

    def __init__(
        self, monitor: str = "validation_loss", patience: int = 10, tol: float = 1e-4
    ) -> None:
        self.monitor = find_name("monitor", monitor, (*MONITORED_LOSSES, *METRICS), "metric")
        self.sign = -1.0
        if self.monitor not in MONITORED_LOSSES:
            self.sign = 1.0 if METRICS[self.monitor].greater_is_better else -1.0
        self.patience = check_whole("patience", patience, 1)
        self.tol = check_not_negative("tol", tol)
        self.reset()

    def reset(self) -> None:
        """Forget what was seen, for another run."""
        self.best = -math.inf
        self.best_epoch = 0
        self.waited = 0
        self.best_parameters: Host | None = None

    def __call__(self, epoch: Epoch) -> bool:
        """Take note of an epoch; True when it is time to stop."""
        value = epoch.record().get(self.monitor)
        if value is None:
            raise UsageError(
                f"Early stopping watches {self.monitor}, which is not measured: give a validation set"
                + (
                    f" and metrics=[{self.monitor!r}]."
                    if self.monitor != "validation_loss"
                    else "."
                )
            )
        score = self.sign * value
        self.waited = 0 if score > self.best + self.tol else self.waited + 1
        if score > self.best:
            self.best, self.best_epoch = score, epoch.epoch
            self.best_parameters = epoch.snapshot().parameters
        return self.is_over

    def state(self) -> dict[str, Any]:
        """Best score (None before the first), its epoch and the epochs since, as JSON; `best_parameters` go beside."""
        best = self.best if math.isfinite(self.best) else None
        return {"best": best, "best_epoch": self.best_epoch, "waited": self.waited}

    def restore(self, state: dict[str, Any], best_parameters: Host | None) -> None:
        """Go on from what `state` gave."""
        self.best = -math.inf if state["best"] is None else state["best"]
        self.best_epoch, self.waited = state["best_epoch"], state["waited"]
        self.best_parameters = best_parameters

    @property
    def is_over(self) -> bool:
        """Whether the patience is used up."""
        return self.waited >= self.patience
