"""One candidate: settings tried on the rows to train on, by networks that each hold out other rows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anyarray_mlp.data import Dataset
from anyarray_mlp.pipeline.plan import Plan, plan_for
from anyarray_mlp.pipeline.preparation import Prepared, prepared_set
from anyarray_mlp.pipeline.run import Run
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trials import changed
from anyarray_mlp.training import Epoch

#: Networks of a candidate, each of which holds out an equal share: so every row is validated on.
MEMBERS = 4
#: Rows from which on one network and its validation rows tell enough.
MANY_ROWS = 20_000


class StoppedError(Exception):
    """A candidate was given up before its end."""


@dataclass
class Judge:
    """Judges candidates on one data set.

    base : the settings that candidates change.
    prepared : data as encoded before, by the settings that the encoding depends on.
    """

    dataset: Dataset
    base: Settings
    prepared: dict[Any, Prepared] = field(default_factory=dict)

    @property
    def members(self) -> int:
        """How many networks a candidate has."""
        own = self.base.shape.members
        few = len(self.dataset) < MANY_ROWS and not self.base.recipe.by_lbfgs
        return max(own, MEMBERS) if few else own

    def settings_of(self, change: Mapping[str, Any]) -> Settings:
        """The settings with a change, and as many networks as candidates have; those of the final run as well."""
        more: dict[str, Any] = {}
        if self.members > self.base.shape.members:
            more = {
                "members": self.members,
                "validation_fraction": 1.0 / self.members,
                "early_stopping": False,
            }
        return changed(self.base, {**change, **more})

    def plan_of(self, settings: Settings) -> Plan:
        """The plan of settings; data are encoded once for all that encode them alike."""
        backend = settings.placement.select()
        key = settings.table
        if key not in self.prepared:
            self.prepared[key] = prepared_set(self.dataset, settings, backend.dtype)
        prepared = self.prepared[key]
        return plan_for(prepared, settings, backend, is_table=prepared.is_table)

    def value(
        self, change: Mapping[str, Any], report: Callable[[int, float], bool]
    ) -> tuple[float, float]:
        """The validation loss of a candidate, the mean of its networks', and how long it took, in seconds.

        It is that of the best epoch where the best is kept, else of the last. `report` is told the loss of each epoch,
        and gives the candidate up by answering True, which raises `StoppedError`.
        """
        settings = self.settings_of(change)
        curve: list[float] = []
        given_up = False

        def watch(epoch: Epoch) -> bool:
            nonlocal given_up
            assert epoch.validation_loss is not None
            curve.append(epoch.validation_loss)
            given_up = report(epoch.epoch, epoch.validation_loss)
            return given_up

        result = Run.of(self.plan_of(settings)).fit([watch], None)
        if result.stopped == "interrupted":
            raise KeyboardInterrupt
        if given_up or not curve:
            raise StoppedError
        keeps_best = settings.recipe.keep_epoch != "last" or settings.recipe.early_stopping
        value = np.min(curve) if keeps_best else curve[-1]
        return float(value), result.history[-1].seconds

    def rows(self) -> int:
        """How many rows a network of a candidate is trained on."""
        plan = self.plan_of(self.settings_of({}))
        held = plan.networks[0].held_out
        return len(plan.prepared.training) - (0 if held is None else len(held))
