"""`train_table`: from raw data to a trained model in one call; and a run that leaves all it came to in a folder."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from anyarray_mlp.checking.callers import warn_caller
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_boolean, check_path
from anyarray_mlp.data.frames import as_pandas
from anyarray_mlp.data.roles import LEFT_OUT
from anyarray_mlp.diagnosis import Diagnosis, RunMonitor
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.markup import element, html, listed
from anyarray_mlp.persistence import RunFolder
from anyarray_mlp.pipeline.checkpoints import Checkpoints
from anyarray_mlp.pipeline.kept import configuration
from anyarray_mlp.pipeline.plan import Plan, make_plan
from anyarray_mlp.pipeline.run import Run, diagnosed
from anyarray_mlp.pipeline.scoring import scores_of
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.pipeline.trials import triable
from anyarray_mlp.ranks.communicator import Communicator, LostRankError
from anyarray_mlp.training import Callback, Fit, Recipe, TrainingState
from anyarray_mlp.training.callbacks import as_callbacks


@dataclass(frozen=True, eq=False)
class TrainedTable:
    """What came of `train_table`.

    Attributes
    ----------
    model : predicts from raw features, and saves itself.
    scores : loss and the metrics that suit the task, on the rows that `scored_on` names: "test"; if there are none
        "held-out", those that each of several networks has not seen, answered by it alone; else "training".
    diagnosis : what went wrong, or None if nobody asked.
    fit : the epochs, and why training stopped.
    path : the run's folder, or None.
    """

    model: TrainedModel
    scores: dict[str, float]
    scored_on: str
    diagnosis: Diagnosis | None
    fit: Fit
    path: Path | None = None

    def _repr_html_(self) -> str:
        """The scores, the model and the diagnosis, as a notebook shows them."""
        scores = {name.replace("_", " "): f"{value:.4g}" for name, value in self.scores.items()}
        parts = [element("p", f"scores on the {self.scored_on} rows"), listed(scores)]
        found = "" if self.diagnosis is None else self.diagnosis._repr_html_()
        return html(*parts) + self.model._repr_html_() + found

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about the data that a person might have wanted otherwise, a sentence each."""
        return self.model.preprocessor.notes


@with_known_options
def train_table(
    data: Any,
    *,
    target: str | int | Sequence[str | int] | None = None,
    recipe: Recipe | None = None,
    diagnose: bool = True,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    callbacks: Callback | Sequence[Callback] | None = (),
    **options: Any,
) -> TrainedTable:
    """Train a network on raw data: read, split, encode, train, score on rows that were held out, diagnose.

    With the same settings the model has the same bits as that of `anyarray-mlp train`.

    Parameters
    ----------
    data : the path of a table, an .npz, a folder of IDX images or of pictures, one sub-folder a class, a table of
        pandas, polars or pyarrow, or the name of a built-in set.
    target : the column to predict, by name or place, or several; the last one by default.
    recipe : how to train; what it leaves open is the preset's.
    diagnose : whether to look for what went wrong.
    out : a folder to keep the run in, as `anyarray-mlp train --out` does; `overwrite` replaces one that is there.
    callbacks : as those of `fit`.
    options : by name, `preset` ("tabular", what is most accurate on tables and the default for them; "plain", one small
        network, the default for all else) and settings that go before its own: of the network (`hidden_layer_sizes`,
        `activation`, `output`, `loss`, `dropout`, `members`), of the data (`drop`, `header`, `separator`, `decimal`,
        `missing`, `skip`, `sheet`, `numeric`, `text`, `keep`, `date`, `split`, `group`, `folds`, `test`, `pixels`,
        `image_size`, `image_mode`, `standardize`, `numbers`, `scale_target`, `clamp_target`, `test_fraction`,
        `validation_fraction`, `class_weight`), of where to compute (`device`, `backend`, `dtype`, `reproducible`), and
        of a `Recipe`, in place of its own.

    Raises `DataError`, `UsageError` and the like for what cannot be, and `DivergedError`, which has the diagnosis,
    if the loss is no longer finite.
    """
    settings = Settings.of("train_table", recipe, {"target": target, **options})
    data = as_pandas(data)
    if "test_fraction" in options and (settings.table.test is not None or settings.table.folds):
        raise UsageError("test and folds say which rows are the test set: leave test_fraction out.")
    if not hasattr(data, "iloc"):
        check_path("data", data)
    watchers = as_callbacks("callbacks", callbacks)
    check_boolean("diagnose", diagnose)
    check_boolean("overwrite", overwrite)
    if out is not None:
        check_path("out", out)
        settings.to_keys()
    return train_as(data, settings, out, overwrite, watchers, diagnose)


def train_as(
    data: Any,
    settings: Settings,
    out: str | os.PathLike[str] | None,
    overwrite: bool,
    watchers: Sequence[Callback],
    diagnose: bool,
) -> TrainedTable:
    """`train_table` of settings that are whole."""
    plan = make_plan(data, settings)
    left_out = [note for note in plan.prepared.preprocessor.notes if f": {LEFT_OUT}: " in note]
    if left_out:
        warn_caller("; ".join(left_out), UserWarning)
    if out is None:
        done, found = fit_and_diagnose(plan, watchers, diagnose)
        return trained(plan, done, can_try(found, data, plan, done))
    kept = configuration({"data": name_of(data), **plan.settings.to_keys(), "diagnose": diagnose})
    with RunFolder.create(out, overwrite=overwrite) as folder:
        try:
            folder.write_config(kept)
            checkpoints = Checkpoints(folder, plan, kept, tell=warnings.warn)
            ended = train_in(folder, plan, checkpoints, None, watchers, diagnose)
        except BaseException:
            folder.discard_unless_begun()
            raise
        found = can_try(ended.diagnosis, data, plan, ended.fit)
        result = trained(plan, ended.fit, found)
        return replace(result, path=folder.path if ended.is_kept else None)


def can_try(diagnosis: Diagnosis | None, data: Any, plan: Plan, result: Fit) -> Diagnosis | None:
    """A diagnosis whose `try_cures` makes this run again."""
    if diagnosis is None:
        return None
    epochs = max(len(result.history), 1)
    seconds = result.history[-1].seconds / epochs if result.history else 0.0
    return triable(diagnosis, data, plan.settings, seconds, plan)


def name_of(data: Any) -> str:
    """What a run's folder calls its data."""
    return "DataFrame" if hasattr(data, "iloc") else os.fspath(data)


def trained(plan: Plan, result: Fit, diagnosis: Diagnosis | None) -> TrainedTable:
    """What a run came to."""
    model = plan.trained(result)
    return TrainedTable(model, scores_of(plan, model), plan.scored_on, diagnosis, result)


def fit_and_diagnose(
    plan: Plan, callbacks: Sequence[Callback], diagnose: bool
) -> tuple[Fit, Diagnosis | None]:
    """Train as planned; a `DivergedError` has the diagnosis."""
    run = Run.of(plan)
    monitor = run.monitor() if diagnose else None
    try:
        result = run.fit(callbacks, monitor)
    except DivergedError as error:
        error.diagnosis = None if monitor is None else monitor.finish(error)
        raise
    return result, None if monitor is None else diagnosed(monitor, result)


class Ended(NamedTuple):
    """What came of a run in a folder, and whether the folder keeps it."""

    fit: Fit
    diagnosis: Diagnosis | None
    is_kept: bool


def train_in(
    folder: RunFolder,
    plan: Plan,
    checkpoints: Checkpoints,
    start: Sequence[TrainingState] | None,
    callbacks: Sequence[Callback],
    diagnose: bool,
    communicator: Communicator | None = None,
) -> Ended:
    """Train as planned, from where each network goes on, and leave the results in an open run folder.

    A run that was interrupted before its first epoch had ended leaves nothing. A `DivergedError` has the diagnosis,
    and the folder the parameters of the epoch before. With a `communicator` to other ranks, these call `follow_in`.
    """
    run = Run.of(plan, start, communicator)
    monitor = run.monitor() if diagnose else None
    try:
        result = run.fit(
            [lambda epoch: folder.log(epoch.record()), *callbacks, checkpoints], monitor
        )
    except LostRankError:
        checkpoints.save_last()
        raise
    except DivergedError as error:
        keep_diverged(folder, plan, checkpoints, monitor, error)
        raise
    checkpoints.save_last()
    if learned_nothing(folder, checkpoints, result):
        folder.discard_unless_begun()
        return Ended(result, None, is_kept=False)
    folder.save_model(plan.trained(result).to_file())
    diagnosis = None if monitor is None else diagnosed(monitor, result)
    if diagnosis is not None:
        diagnosis.save(folder.home)
    if result.stopped != "interrupted":
        # Only now: a run whose model was not saved has not ended.
        checkpoints.save_last("early" if result.stopped == "callback" else result.stopped)
    folder.take_over()
    return Ended(result, diagnosis, is_kept=True)


def follow_in(
    plan: Plan,
    start: Sequence[TrainingState] | None,
    diagnose: bool,
    communicator: Communicator,
) -> None:
    """Share in the run of rank 0, which keeps all that comes of it."""
    run = Run.of(plan, start, communicator)
    statistics = run.monitor().statistics if diagnose else None
    run.fit([], None, statistics)


def learned_nothing(folder: RunFolder, checkpoints: Checkpoints, result: Fit) -> bool:
    """Whether a run was interrupted before there was anything to keep."""
    interrupted = result.stopped == "interrupted" and not checkpoints.epochs
    return interrupted and (folder.replaces or not result.history)


def keep_diverged(
    folder: RunFolder,
    plan: Plan,
    checkpoints: Checkpoints,
    monitor: RunMonitor | None,
    error: DivergedError,
) -> None:
    """Keep the last epoch's parameters, if there is one, and what went wrong, which the error has from here on."""
    last = checkpoints.last
    if last is not None:
        model = replace(plan.model, parameters=last.arrays["parameters"])
        folder.save_model(model.to_file())
    if monitor is not None:
        error.diagnosis = monitor.finish(error)
        if last is not None or not folder.replaces:
            error.diagnosis.save(folder.home)
    if last is not None:
        checkpoints.save_last("diverged")
        folder.take_over()
