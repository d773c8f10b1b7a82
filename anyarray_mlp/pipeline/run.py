"""`Plan`: from settings to all that a run needs, and the run itself; nothing here prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import memory, shown
from anyarray_mlp.checking.out_of_memory import exceeds_memory
from anyarray_mlp.data import Reading
from anyarray_mlp.diagnosis import Details, RunMonitor
from anyarray_mlp.errors import OutOfMemoryError, UsageError
from anyarray_mlp.metrics import find_score
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.schedules import Schedule
from anyarray_mlp.pipeline.preparation import Prepared, prepare
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trained_model import TrainedModel, encode_targets
from anyarray_mlp.training import (
    BestEpoch,
    Callback,
    EarlyStopping,
    Fit,
    Recipe,
    TrainingState,
    fit,
)
from anyarray_mlp.training.job import check_smoothing
from anyarray_mlp.training.saving import made_with
from anyarray_mlp.typing import Host


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    settings : with their defaults filled in.
    model : the untrained one.
    targets, validation, test_targets : as the network's loss takes them.
    schedule, stopping : the objects of this run, which remember how it went.
    """

    settings: Settings
    backend: Backend
    prepared: Prepared
    model: TrainedModel
    targets: NDArray[Any]
    validation: tuple[NDArray[Any], NDArray[Any]] | None
    test_targets: NDArray[Any]
    schedule: Schedule
    stopping: EarlyStopping | BestEpoch | None

    @cached_property
    def metrics(self) -> list[str]:
        """The names of what is measured after each epoch: those asked for, accuracy, and what is watched."""
        metrics = list(self.settings.recipe.metrics)
        wanted = ["accuracy"] if self.prepared.targets.task == "classification" else []
        if self.stopping is not None and self.stopping.monitor not in ("loss", "validation_loss"):
            wanted.append(self.stopping.monitor)
        return metrics + [name for name in wanted if name not in metrics]

    @property
    def watching(self) -> dict[str, Any]:
        """The options of a recipe that say which epoch is kept, and when training ends early."""
        if self.stopping is None:
            return {}
        ends = isinstance(self.stopping, EarlyStopping)
        return {"early_stopping" if ends else "keep_epoch": self.stopping}

    def recipe(self, done: int = 0) -> Recipe:
        """How the epochs after those that are done are trained."""
        recipe = self.settings.recipe
        assert recipe.epochs is not None
        return replace(
            recipe,
            # Of the whole run, so that it is the same however often it goes on; lbfgs has its own.
            learning_rate=self.schedule,
            warm_up=0,
            epochs=max(0, recipe.epochs - done),
            **self.watching,
            metrics=self.metrics,
            task=self.prepared.targets.task,
        )

    def trained(self, result: Fit) -> TrainedModel:
        """The model with the parameters of a result, which says what epoch it is of if that is not the last."""
        told = {} if result.kept_epoch is None else {"kept_epoch": str(result.kept_epoch)}
        metadata = {**self.model.metadata, **told}
        return replace(self.model, parameters=result.parameters, metadata=metadata)

    def details(self) -> Details:
        """What the diagnosis may know of the data."""
        classes = self.model.targets.classes
        return Details(
            column_names=self.model.preprocessor.names,
            sources=self.model.preprocessor.sources,
            class_names=() if classes is None else classes.tolist(),
            held_out=(self.prepared.test.x,) if self.prepared.has_test else (),
            validation_is_later=self.settings.table.is_by_time,
        )


def make_plan(data: Any, settings: Settings) -> Plan:
    """Backend, data, untrained model and the rest that the settings name; raises for what cannot be."""
    backend = settings.placement.select()
    prepared = prepare(data, settings, backend.dtype)
    recipe = settings.recipe
    if recipe.batch_size is None:
        recipe = replace(recipe, batch_size=default_batch_size(len(prepared.training)))
        settings = replace(settings, recipe=recipe)
    mlp = network(prepared, settings)
    targets, test_targets = (
        encode_targets(mlp, prepared.targets, part.y) for part in (prepared.training, prepared.test)
    )
    mlp.check_batch(prepared.training.x, targets)
    check_smoothing(mlp, recipe)
    validation = None
    if prepared.validation is not None:
        held_out = prepared.validation
        validation = (held_out.x, encode_targets(mlp, prepared.targets, held_out.y))
    model = TrainedModel(
        mlp,
        initial_parameters(
            mlp, recipe, is_table=bool(prepared.target_names) and not prepared.preprocessor.pixels
        ),
        prepared.preprocessor,
        prepared.targets,
        metadata(backend, prepared),
    )
    if recipe.by_lbfgs and mlp.dropout_layers:
        raise UsageError("lbfgs needs a loss that is the same each time: set dropout to 0.")
    return Plan(
        settings,
        backend,
        prepared,
        model,
        targets,
        validation,
        test_targets,
        recipe.schedule(len(prepared.training)),
        best_kept(prepared, recipe),
    )


def default_batch_size(n: int) -> int:
    """Small enough for some forty steps an epoch on little data, large enough to be quick on much."""
    return 128 if n >= 20_000 else min(32, max(4, n // 40))


def network(prepared: Prepared, settings: Settings) -> MLP:
    """The network that the settings describe, its ends fitted to the data."""
    task, shape = prepared.targets.task, settings.shape
    output = shape.output
    if output is None:
        output = {"classification": "softmax", "multilabel": "logistic"}.get(task, "identity")
    outputs = prepared.targets.width
    if task == "classification" and outputs == 2 and output != "softmax":
        outputs = 1
    sizes = (prepared.preprocessor.n_features_out, *shape.hidden_layer_sizes, outputs)
    return MLP(sizes, shape.activation, output, shape.loss, shape.dropout)


def initial_parameters(mlp: MLP, recipe: Recipe, *, is_table: bool) -> Host:
    """Initial parameters (p,); `OutOfMemoryError` where they alone are too many."""
    size = mlp.layout.size
    if not exceeds_memory(8 * size):
        with suppress(MemoryError):
            drawn = mlp.initialize(recipe.seed, recipe.initializer)
            if is_table and recipe.initializer == "auto":
                # A table has few inputs, which He's weights for rectifiers make so steep that what is drawn at random
                # is still seen between the rows after training.
                smaller = mlp.initialize(recipe.seed, "glorot_uniform")
                mlp.layout.split(drawn)[0][...] = mlp.layout.split(smaller)[0]
            return drawn
    raise OutOfMemoryError(
        f"The network has {size:,} parameters, {memory(8 * size)}, which do not fit in memory: give fewer or "
        "smaller layers with --hidden."
    )


def best_kept(prepared: Prepared, recipe: Recipe) -> EarlyStopping | BestEpoch | None:
    """What keeps the best epoch of a run, and may end it early; `UsageError` if it watches what is not measured."""
    stopping = recipe.stopping()
    if stopping is None:
        return None
    if stopping.monitor not in ("loss", "validation_loss"):
        find_score(stopping.monitor, prepared.targets.task)
    if stopping.monitor != "loss" and prepared.validation is None:
        name = "early_stopping" if recipe.early_stopping else "keep_epoch='best'"
        raise UsageError(
            f"{name} watches {stopping.monitor} on a validation set: raise validation_fraction, or use "
            "monitor='loss'."
        )
    stopping.reset()
    return stopping


@dataclass(frozen=True)
class Run:
    """What one run is given: how to train, and what `fit` and the diagnosis are told alike."""

    plan: Plan
    recipe: Recipe
    given: dict[str, Any]

    @classmethod
    def of(cls, plan: Plan, start: TrainingState | None = None) -> Run:
        """The run of a plan; `start` is where it goes on."""
        prepared = plan.prepared
        given = {
            "backend": plan.backend,
            "validation": plan.validation,
            "sample_weight": prepared.sample_weight,
            "input_scale": prepared.training.input_scale,
            "initial": plan.model.parameters if start is None else start,
        }
        return cls(plan, plan.recipe(0 if start is None else start.epoch), given)

    def monitor(self) -> RunMonitor:
        """What watches the run for a diagnosis."""
        plan = self.plan
        x = plan.prepared.training.x
        details = plan.details()
        return RunMonitor(
            plan.model.mlp, x, plan.targets, self.recipe, details=details, **self.given
        )

    def fit(self, callbacks: Sequence[Callback], monitor: RunMonitor | None) -> Fit:
        """Train the planned network on the prepared rows."""
        plan = self.plan
        watchers: list[Callback] = [*callbacks]
        if monitor is not None:
            watchers.append(monitor)
        return fit(
            plan.model.mlp,
            plan.prepared.training.x,
            plan.targets,
            self.recipe,
            callbacks=watchers,
            statistics=None if monitor is None else monitor.statistics,
            **self.given,
        )


def scores_of(plan: Plan, model: TrainedModel) -> dict[str, float]:
    """The scores of a model on the test rows, or on the training rows if there are none."""
    test = plan.prepared.test
    return model.scores_of_inputs(test.x, test.input_scale, plan.test_targets, plan.backend)


def worse_than_constant(plan: Plan, scores: dict[str, float]) -> str | None:
    """What to tell of a model of a table that the best answer without looking at a row beats on the test rows.

    That is the most frequent class or the mean of the rows to train on. None if it does not, if no rows were held
    out, and if another loss or weights of classes ask for something else.
    """
    prepared, shape = plan.prepared, plan.settings.shape
    task = prepared.targets.task
    asks_for_more = shape.loss != "auto" or prepared.sample_weight is not None
    if not prepared.has_test or not prepared.target_names or asks_for_more or task == "multilabel":
        return None
    if task == "classification":
        name, known, test = "accuracy", prepared.training.y, prepared.test.y
        labels, counts = np.unique(known, return_counts=True)
        constant = float(np.mean(test == labels[counts.argmax()]))
        answer = f"always answering {shown(labels[counts.argmax()].item())}"
    else:
        name, known, test = "r2", plan.targets, plan.test_targets
        constant = find_score("r2", task)(
            np.broadcast_to(known.mean(axis=0), test.shape), test, None
        )
        answer = "always answering the mean"
    # Not a number is no better either.
    if scores[name] >= constant:
        return None
    cure = ""
    if plan.stopping is None and plan.validation is not None:
        cure = ": keep_epoch='best' keeps the epoch that is best on the validation rows"
    return (
        f"the model is worse than a constant: {answer} has {name} {constant:.4g} on the test rows, the model "
        f"{scores[name]:.4g}{cure}"
    )


def metadata(backend: Backend, prepared: Prepared) -> dict[str, str]:
    """What the model was made with, a table's columns that it predicts, how its file was read, the form of pictures."""
    found = made_with(backend)
    if prepared.target_names:
        found["target"] = json.dumps(prepared.target_names)
    images = prepared.reading.images_to_json()
    if images:
        found["images"] = json.dumps(images)
    if prepared.reading.to_json() != Reading().to_json():
        found["reading"] = json.dumps(prepared.reading.to_json())
    return found


def default_folder(data: str, overwrite: bool) -> Path:
    """runs/NAME; or runs/NAME-2, ... where that holds a run already which is not to be replaced."""
    name = Path(data).resolve().name if Path(data).exists() else data
    name = name.removesuffix(".gz").rsplit(".", 1)[0] or "data"
    folder, number = Path("runs") / name, 1
    while folder.exists() and not overwrite:
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder
