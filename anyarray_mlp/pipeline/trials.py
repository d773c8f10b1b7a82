"""Cures of a run on a table, tried: the plan made again with other settings, the rows split as they were."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.diagnosis.again import Job, seed_of
from anyarray_mlp.diagnosis.changes import new_values
from anyarray_mlp.diagnosis.trying import Ran
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline.plan import Plan, initial_parameters, make_plan
from anyarray_mlp.pipeline.run import Run
from anyarray_mlp.pipeline.settings import SECTIONS, Settings


def changed(settings: Settings, change: Mapping[str, Any]) -> Settings:
    """Settings with other values, by name; `UsageError` for what does not go together."""
    parts = {name: getattr(settings, name) for name in SECTIONS}
    current = {f.name: getattr(part, f.name) for part in parts.values() for f in fields(part)}
    new = new_values(current, change)
    for name, part in parts.items():
        own = {f.name: new.pop(f.name) for f in fields(part) if f.name in new}
        if own:
            parts[name] = replace(part, **own)
    if new:
        raise UsageError(f"{', '.join(sorted(new))}: no setting of a table's run.")
    return Settings(**parts)


def with_seed(plan: Plan, place: int) -> Plan:
    """The plan with another seed of training; the rows stay split as they are."""
    if place == 0:
        return plan
    recipe = replace(plan.settings.recipe, seed=seed_of(plan.settings.recipe.seed, place))
    prepared = plan.prepared
    (parameters,) = initial_parameters(plan.model.mlp, [recipe], is_table=prepared.is_table)
    first, *others = plan.networks
    return replace(
        plan,
        settings=replace(plan.settings, recipe=recipe),
        model=replace(plan.model, parameters=parameters),
        networks=(replace(first, seed=recipe.seed), *others),
    )


@dataclass(frozen=True, eq=False)
class TableAgain:
    """Makes a run on a table again, of several networks the first. `plan` is that of the run itself, if it was made."""

    data: Any
    settings: Settings
    balanced: bool
    epoch_seconds: float
    plan: Plan | None = None

    def __call__(self, change: Mapping[str, Any], seed: int, limit: float) -> Ran:
        plan = self.plan
        if change or plan is None:
            data, rest = self.data, dict(change)
            if hasattr(data, "iloc") and "text" in rest:
                # How a file is read is not said of a table in memory: its columns are made texts.
                names = rest.pop("text")
                texts = data[list(names)].astype(str).where(data[list(names)].notna())
                data = data.assign(**{name: texts[name] for name in names})
            plan = make_plan(data, changed(self.settings, rest))
        plan = with_seed(plan, seed)
        own = plan.networks[0]
        x, targets, weight, validation = Run.of(plan).rows_of_first()
        if validation is None:
            raise UsageError(
                "there are no validation rows to judge a cure on: raise validation_fraction."
            )
        if own.stopping is not None:
            own.stopping.reset()
        # A rate that changes over the run starts again.
        recipe = replace(plan.recipe(own), learning_rate=plan.settings.recipe.schedule(x.shape[0]))
        job = Job(
            plan.model.mlp,
            (x, targets, weight),
            validation,
            recipe,
            plan.backend,
            plan.prepared.training.input_scale,
            np.atleast_2d(plan.model.parameters)[0],
            self.balanced,
        )
        return job.run(limit, self.epoch_seconds)


def triable(
    diagnosis: Diagnosis, data: Any, settings: Settings, epoch_seconds: float, plan: Plan | None
) -> Diagnosis:
    """The diagnosis of a run on a table, whose `try_cures` makes that run again."""
    again = TableAgain(data, settings, diagnosis.is_about_rare_classes, epoch_seconds, plan)
    return replace(diagnosis, rerun=again)


def data_of(kept: Mapping[str, Any], run: str | os.PathLike[str]) -> Any:
    """The data that a run's folder names; `UsageError` where they were a table in memory."""
    if kept["data"] == "DataFrame":
        raise UsageError(
            f"{os.fspath(run)} was trained on a table in memory, which its folder does not hold: use the diagnosis "
            "of train_table, whose try_cures has it."
        )
    return kept["data"]
