"""`Plan`: from settings to all that a run needs; nothing here prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import memory
from anyarray_mlp.checking.out_of_memory import exceeds_memory
from anyarray_mlp.data import Preprocessor, Reading, TargetEncoder
from anyarray_mlp.diagnosis import Details
from anyarray_mlp.errors import OutOfMemoryError, UsageError
from anyarray_mlp.metrics import find_score
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.schedules import Schedule
from anyarray_mlp.pipeline.preparation import Prepared, prepared_and_settled
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trained_model import TrainedModel, encode_targets
from anyarray_mlp.streams import bit_generator
from anyarray_mlp.training import (
    BestEpoch,
    EarlyStopping,
    Fit,
    Recipe,
)
from anyarray_mlp.training.job import check_smoothing
from anyarray_mlp.training.records import epochs_in_words
from anyarray_mlp.training.saving import made_with
from anyarray_mlp.typing import Host


@dataclass(frozen=True, eq=False)
class Own:
    """What a network of a run has of its own.

    Attributes
    ----------
    seed : of its initial weights, its shuffles and dropout.
    held_out : places of the training rows that it is not trained on, to validate on; None if all have the same.
    schedule, stopping : the objects of this run, which remember how it went.
    """

    seed: int
    held_out: NDArray[np.int64] | None
    schedule: Schedule
    stopping: EarlyStopping | BestEpoch | None


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    settings : with their defaults filled in.
    model : the untrained one.
    targets, validation, test_targets : as the network's loss takes them.
    networks : what each network has of its own; there is one, or several that answer together.
    """

    settings: Settings
    backend: Backend
    prepared: Prepared
    model: TrainedModel
    targets: NDArray[Any]
    validation: tuple[NDArray[Any], NDArray[Any]] | None
    test_targets: NDArray[Any]
    networks: tuple[Own, ...]

    @property
    def stopping(self) -> EarlyStopping | BestEpoch | None:
        """What keeps the best epoch, of several networks that of the first."""
        return self.networks[0].stopping

    @cached_property
    def scored_on(self) -> str:
        """The rows that the model is scored on: "test"; without these "held-out", which of several networks some have
        not seen; without any "training".
        """
        if self.prepared.has_test:
            return "test"
        return "held-out" if self.prepared.folds else "training"

    @property
    def is_bag(self) -> bool:
        """Whether there are several networks, which are trained in step."""
        return len(self.networks) > 1

    @cached_property
    def metrics(self) -> list[str]:
        """The names of what is measured after each epoch: those asked for, accuracy, and what is watched."""
        metrics = list(self.settings.recipe.metrics)
        wanted = ["accuracy"] if self.prepared.targets.task == "classification" else []
        if self.stopping is not None and self.stopping.monitor not in ("loss", "validation_loss"):
            wanted.append(self.stopping.monitor)
        return metrics + [name for name in wanted if name not in metrics]

    def recipe(self, own: Own, done: int = 0) -> Recipe:
        """How the epochs of a network after those that are done are trained."""
        recipe = self.settings.recipe
        assert recipe.epochs is not None
        ends = isinstance(own.stopping, EarlyStopping)
        watching: dict[str, Any] = {"early_stopping" if ends else "keep_epoch": own.stopping}
        return replace(
            recipe,
            # Of the whole run, so that it is the same however often it goes on; lbfgs has its own.
            learning_rate=own.schedule,
            warm_up=0,
            epochs=max(0, recipe.epochs - done),
            **({} if own.stopping is None else watching),
            seed=own.seed,
            metrics=self.metrics,
            task=self.prepared.targets.task,
        )

    def trained(self, result: Fit) -> TrainedModel:
        """The model with the parameters of a result, which says what epoch it is of if that is not the last."""
        kept = result.kept_epoch
        told = {} if kept is None else {"kept_epoch": epochs_in_words(kept)}
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
            scales=scales_of(self.model.preprocessor),
            target_scale=target_scale_of(self.model.targets),
            different=self.prepared.different,
            table=self.told(),
        )

    def told(self) -> dict[str, Any]:
        """The settings of the table and the plan that a change may be about, as JSON has them."""
        table, recipe = self.settings.table, self.settings.recipe
        weight = table.class_weight
        columns = {name: list(map(str, getattr(table, name))) for name in ("drop", "text", "keep")}
        return {
            **columns,
            "standardize": table.standardize,
            "numbers": table.numbers,
            "scale_target": table.scale_target is not False,
            "class_weight": weight if isinstance(weight, (str, type(None))) else "of your own",
            "group": table.group,
            "split": table.split,
            "learning_rate": recipe.learning_rate if isinstance(recipe.learning_rate, str) else "",
            "warm_up": recipe.warm_up,
            "classes": self.prepared.targets.task == "classification",
        }


def make_plan(data: Any, settings: Settings) -> Plan:
    """Backend, data, untrained model and the rest that the settings name; raises for what cannot be."""
    backend = settings.placement.select()
    prepared, settings = prepared_and_settled(data, settings, backend.dtype)
    return plan_for(prepared, settings, backend, is_table=prepared.is_table)


def plan_for(prepared: Prepared, settings: Settings, backend: Backend, *, is_table: bool) -> Plan:
    """The plan for data that are prepared."""
    recipe, members = settings.recipe, settings.shape.members
    folds: Sequence[Any] = prepared.folds or [None] * members
    rows = [len(prepared.training) - (0 if held is None else len(held)) for held in folds]
    if recipe.batch_size is None:
        recipe = replace(recipe, batch_size=settings.base.batch_size(rows[0]))
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
    networks = tuple(
        Own(seed, held, recipe.schedule(n), best_kept(prepared, recipe))
        for seed, held, n in zip(seeds_of(recipe.seed, members), folds, rows, strict=True)
    )
    each = [replace(recipe, seed=own.seed) for own in networks]
    drawn = initial_parameters(mlp, each, is_table=is_table)
    model = TrainedModel(
        mlp,
        drawn if members > 1 else drawn[0],
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
        networks,
    )


def seeds_of(seed: int, members: int) -> list[int]:
    """The seeds of several networks: that of the run, and others that follow from it."""
    drawn = (bit_generator("member", seed, number).random_raw() for number in range(1, members))
    return [seed, *map(int, drawn)]


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


def initial_parameters(mlp: MLP, recipes: Sequence[Recipe], *, is_table: bool) -> Host:
    """Initial parameters (k, p) by the seed of each recipe; `OutOfMemoryError` where they alone are too many."""
    size = len(recipes) * mlp.layout.size
    if not exceeds_memory(8 * size):
        with suppress(MemoryError):
            drawn = [mlp.initialize(recipe.seed, recipe.initializer) for recipe in recipes]
            for vector, recipe in zip(drawn, recipes, strict=True):
                if is_table and recipe.initializer == "auto":
                    # A table has few inputs, which He's weights for rectifiers make so steep that what is drawn at
                    # random is still seen between the rows after training.
                    smaller = mlp.initialize(recipe.seed, "glorot_uniform")
                    mlp.layout.split(vector)[0][...] = mlp.layout.split(smaller)[0]
            return drawn[0][None, :] if len(drawn) == 1 else np.stack(drawn)
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
    if stopping.monitor != "loss" and not prepared.validates:
        name = "early_stopping" if recipe.early_stopping else "keep_epoch='best'"
        raise UsageError(
            f"{name} watches {stopping.monitor} on a validation set: raise validation_fraction, or use "
            "monitor='loss'."
        )
    stopping.reset()
    return stopping


def scales_of(preprocessor: Preprocessor) -> list[tuple[float, float] | None]:
    """What an input is to be multiplied by, and what added, for the value that its column has in the file.

    None for the inputs of columns that are more than scaled.
    """
    return [
        (float(column.scale), float(column.mean)) if column.kind == "numeric" else None
        for column in preprocessor.columns
        for _ in range(column.width)
    ]


def target_scale_of(targets: TargetEncoder) -> tuple[float, float] | None:
    """The same of a target of one column."""
    if targets.task != "regression" or len(targets.scale) != 1:
        return None
    return float(targets.scale[0]), float(targets.mean[0])


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
