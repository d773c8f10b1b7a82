"""`Job`: what is to be trained, on what and how, all checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.values import checked_weight
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.batches import (
    check_host_batch,
    check_scale,
    checked_batch_size,
    checked_metrics,
    checked_validation,
)
from anyarray_mlp.training.evaluation import Evaluation
from anyarray_mlp.training.predicting import on_device
from anyarray_mlp.training.recipe import Recipe, batch_size_of, epochs_of
from anyarray_mlp.typing import Array


@dataclass(frozen=True, eq=False)
class Job:
    """One run of training: a network, where it is computed, its data and its recipe.

    Attributes
    ----------
    epochs, batch_size : those of the recipe, or what stands for none; a batch is no larger than the data.
    validation : (x, targets) or None.
    metrics : the names of those to measure on it.
    """

    mlp: MLP
    backend: Backend
    x: Any
    targets: Array
    recipe: Recipe
    epochs: int
    batch_size: int
    validation: tuple[Array, Array] | None
    metrics: tuple[str, ...]
    sample_weight: Array | None
    input_scale: float | None

    def on_device(self, *arrays: Array | None) -> tuple[Array, ...]:
        """Those of some arrays that are there, on the device."""
        return tuple(on_device(self.backend, a) for a in arrays if a is not None)

    def evaluation(self) -> Evaluation | None:
        """What measures the validation set; None without one."""
        if self.validation is None:
            return None
        return Evaluation(
            self.mlp,
            self.backend,
            self.validation,
            self.metrics,
            self.input_scale,
            self.recipe.task,
        )


def checked_job(
    mlp: MLP,
    x: Any,
    targets: Array,
    recipe: Recipe,
    backend: str | Backend | None,
    *,
    validation: Any = None,
    sample_weight: Any = None,
    input_scale: Any = None,
) -> Job:
    """The job; `DataError` or `UsageError` for data that nothing can be trained on."""
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    check_host_batch(mlp, x, targets)
    n = x.shape[0]
    check_scale(input_scale)
    return Job(
        mlp,
        backend,
        x,
        targets,
        recipe,
        epochs_of(recipe),
        checked_batch_size(batch_size_of(recipe), n),
        checked_validation(mlp, validation),
        checked_metrics(mlp, recipe.metrics, recipe.task),
        checked_weight(sample_weight, n),
        input_scale,
    )
