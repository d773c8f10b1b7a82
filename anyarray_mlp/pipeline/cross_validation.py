"""Cross-validation: every row is scored once, by a model that was trained on none of its fold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.data import Dataset
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.persistence.files import atomic_write
from anyarray_mlp.persistence.plain_json import plain
from anyarray_mlp.persistence.run_folder import CROSS_VALIDATION_NAME
from anyarray_mlp.pipeline.plan import Plan, plan_for
from anyarray_mlp.pipeline.preparation import load_as, prepared_set
from anyarray_mlp.pipeline.run import Run
from anyarray_mlp.pipeline.scoring import scores_of
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.splitting import dealt, rule_of
from anyarray_mlp.tables.source import STDIN
from anyarray_mlp.training import Callback


@dataclass(frozen=True)
class CrossValidation:
    """What the models of the folds came to.

    Attributes
    ----------
    scores : of each fold: loss and the metrics that suit the task, on its rows.
    rows : how many rows each fold has.
    """

    scores: tuple[dict[str, float], ...]
    rows: tuple[int, ...]

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each score over the folds."""
        return {name: math.fsum(self.of(name)) / len(self.scores) for name in self.scores[0]}

    @property
    def spread(self) -> dict[str, float]:
        """The standard deviation of each score between the folds (n - 1 in the divisor)."""
        return {name: float(np.std(self.of(name), ddof=1)) for name in self.scores[0]}

    def of(self, name: str) -> list[float]:
        """One score of every fold."""
        return [scores[name] for scores in self.scores]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it; null for what is not finite."""
        record = {
            "folds": len(self.scores),
            "rows": list(self.rows),
            "scores": list(self.scores),
            "mean": self.mean,
            "spread": self.spread,
        }
        found: dict[str, Any] = plain(record, "cross_validation", null_for_nonfinite=True)
        return found

    def save(self, folder: Path) -> None:
        """Write `cross_validation.json` into a run's folder, whole or not at all."""
        content = json.dumps(self.to_dict(), indent=2).encode("ascii")
        path = folder / CROSS_VALIDATION_NAME
        atomic_write(path, content, overwrite=True, follow_links=False)


def check_folds(settings: Settings, data: Any, k: int) -> None:
    """`UsageError` for data or settings that say otherwise which rows are which."""
    table = settings.table
    if k < 2:
        raise UsageError(f"cv must be at least 2 folds, got {k}.")
    if str(data) == STDIN:
        raise UsageError(
            "cv reads the data again, which the standard input gives once: give a file."
        )
    if table.folds is not None:
        raise UsageError("cv and folds both say which rows are tested on: leave one of them out.")
    if table.is_by_time:
        raise UsageError(
            "cv would test the past by what was learned of the future, and split forbids that: leave one of them out."
        )


def cross_validated(
    data: Any,
    settings: Settings,
    k: int,
    callbacks: Sequence[Callback] = (),
    told: Callable[[int, dict[str, float]], object] = lambda fold, scores: None,
) -> CrossValidation | None:
    """Train k models as the settings say, each without one of k folds, and score each on its own fold.

    Scales and all else that is learned of the data is learned without the fold, as in any run, which knows of the rest
    no more than the names of categories. A test set that the data come with is left out. `told` is called with the
    number of each fold from 1, and its scores. None if it was interrupted.
    Errors as those of `train_table`, and `DataError` for fewer rows than folds.
    """
    check_folds(settings, data, k)
    backend = settings.placement.select()
    table = replace(settings.table, test=None, test_fraction=0.0)
    settings = replace(settings, table=table)
    dataset = replace(load_as(data, settings), test=None)
    found, sizes = [], []
    for number, fold in enumerate(folds_of(dataset, settings, k), 1):
        prepared = prepared_set(dataset, settings, backend.dtype, tested=fold)
        plan: Plan = plan_for(prepared, settings, backend, is_table=prepared.is_table)
        result = Run.of(plan).fit(callbacks, None)
        if result.stopped == "interrupted":
            return None
        found.append(scores_of(plan, plan.trained(result)))
        sizes.append(len(fold))
        told(number, found[-1])
    return CrossValidation(tuple(found), tuple(sizes))


def folds_of(dataset: Dataset, settings: Settings, k: int) -> list[Any]:
    """The rows of each fold, ascending; rows of a group stay together, and classes are spread evenly."""
    rule, _ = rule_of(dataset, settings.table)
    every = np.arange(len(dataset))
    parts = dealt(rule, every, 1.0 / k, k, settings.recipe.seed, "test split")
    if len(parts) < k or not all(map(len, parts)):
        raise DataError(
            f"{dataset.name}: {counted(len(dataset), 'row')} cannot be dealt to {k} folds: give fewer."
        )
    return parts
