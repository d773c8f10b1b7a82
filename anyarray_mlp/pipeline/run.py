"""`Run`: a plan trained, and the folder that it goes to by default; nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis import Diagnosis, RunMonitor
from anyarray_mlp.pipeline.plan import Plan
from anyarray_mlp.training import (
    Callback,
    Fit,
    TrainingState,
    fit,
)
from anyarray_mlp.training.bag import Network, fit_bag, together
from anyarray_mlp.training.fitting import best_of


@dataclass(frozen=True)
class Run:
    """What one run is given: how to train each network, and what `fit` and the diagnosis are told alike."""

    plan: Plan
    networks: tuple[Network, ...]
    given: dict[str, Any]

    @classmethod
    def of(cls, plan: Plan, start: Sequence[TrainingState] | None = None) -> Run:
        """The run of a plan; `start` is where each network goes on."""
        prepared = plan.prepared
        initial = start or np.atleast_2d(plan.model.parameters)
        given = {
            "backend": plan.backend,
            "sample_weight": prepared.sample_weight,
            "input_scale": prepared.training.input_scale,
        }
        done = start[0].epoch if start else 0
        everything = np.arange(len(prepared.training))
        networks = [
            Network(
                plan.recipe(own, done),
                state,
                None if own.held_out is None else np.delete(everything, own.held_out),
                plan.validation if own.held_out is None else own.held_out,
            )
            for own, state in zip(plan.networks, initial, strict=True)
        ]
        return cls(plan, tuple(networks), given)

    def monitor(self) -> RunMonitor:
        """What watches the run, of several networks the first, for a diagnosis."""
        plan, first = self.plan, self.networks[0]
        x, targets, weight, validation = self.rows_of_first()
        return RunMonitor(
            plan.model.mlp,
            x,
            targets,
            first.recipe,
            details=plan.details(),
            validation=validation,
            initial=first.initial,
            **{**self.given, "sample_weight": weight},
        )

    def rows_of_first(self) -> tuple[Any, Any, Any, tuple[Any, Any] | None]:
        """Inputs, targets and weights that the first network is trained on, and its validation set."""
        plan, first = self.plan, self.networks[0]
        x, targets, weight = plan.prepared.training.x, plan.targets, plan.prepared.sample_weight
        if not isinstance(first.validation, np.ndarray):
            return x, targets, weight, plan.validation
        validation = x[first.validation], targets[first.validation]
        weight = None if weight is None else weight[first.rows]
        return x[first.rows], targets[first.rows], weight, validation

    def fit(self, callbacks: Sequence[Callback], monitor: RunMonitor | None) -> Fit:
        """Train the planned networks on the prepared rows."""
        plan = self.plan
        arrays = plan.model.mlp, plan.prepared.training.x, plan.targets
        watching = [] if monitor is None else [monitor]
        if plan.is_bag:
            return fit_bag(
                *arrays, self.networks, callbacks=callbacks, of_first=watching, **self.given
            )
        only = self.networks[0]
        return fit(
            *arrays,
            only.recipe,
            callbacks=[*callbacks, *watching],
            statistics=None if monitor is None else monitor.statistics,
            validation=plan.validation,
            initial=only.initial,
            **self.given,
        )


def best_of_each(result: Fit, plan: Plan) -> Fit:
    """The result of a run that has ended, with the parameters of the best epoch of each network, if these are kept."""
    each = [
        best_of(replace(result, parameters=parameters), own.stopping)
        for parameters, own in zip(np.atleast_2d(result.parameters), plan.networks, strict=True)
    ]
    return together(result, each) if plan.is_bag else each[0]


def diagnosed(monitor: RunMonitor, result: Fit) -> Diagnosis:
    """What the monitor found, of several networks about the first."""
    return monitor.finish(result.members[0] if result.members else result)


def default_folder(data: str, overwrite: bool) -> Path:
    """runs/NAME; or runs/NAME-2, ... where that holds a run already which is not to be replaced."""
    name = Path(data).resolve().name if Path(data).exists() else data
    name = name.removesuffix(".gz").rsplit(".", 1)[0] or "data"
    folder = Path("runs") / name
    return folder if overwrite else free_folder(folder)


def free_folder(folder: Path) -> Path:
    """The folder, or the first of NAME-2, NAME-3, ... beside it that does not exist."""
    found, number = folder, 1
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found
