"""`Job`: what is to be trained and how; `Rows`: on which arrays. Both checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.values import checked_weight
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.losses import OF_CLASSES
from anyarray_mlp.network.mlp import MLP, check_network
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


class Rows(NamedTuple):
    """The arrays of a job: x, which may be sparse, its targets, and the weights of its samples or None."""

    x: Any
    targets: Array
    sample_weight: Array | None


@dataclass(frozen=True, eq=False)
class Job:
    """One run of training: a network, where it is computed, its recipe and its validation set.

    Attributes
    ----------
    epochs : those of the recipe, or what stands for none.
    validation : (x, targets) or None.
    metrics : the names of those to measure on it.
    validation_weight : weights of the rows of the validation set, or None.
    """

    mlp: MLP
    backend: Backend
    recipe: Recipe
    epochs: int
    validation: tuple[Array, Array] | None
    metrics: tuple[str, ...]
    input_scale: float | None
    validation_weight: Any = None

    def on_device(self, *arrays: Array | None) -> tuple[Array, ...]:
        """Those of some arrays that are there, on the device."""
        return tuple(on_device(self.backend, a) for a in arrays if a is not None)

    def batch_size(self, n: int) -> int:
        """That of the recipe, or what stands for none; a batch is no larger than the n rows there are."""
        return checked_batch_size(batch_size_of(self.recipe), n)

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
            self.validation_weight,
        )


def check_smoothing(mlp: MLP, recipe: Recipe) -> None:
    """Raise `UsageError` for smoothed labels where the targets are no classes."""
    if recipe.label_smoothing and mlp.loss not in OF_CLASSES:
        raise UsageError(
            f"label_smoothing is for classes, with the loss {' or '.join(OF_CLASSES)}, and this network's is "
            f"{mlp.loss}: leave it out."
        )


def check_fading(mlp: MLP, recipe: Recipe) -> None:
    """Raise `UsageError` for dropout that fades in a network that has none."""
    if recipe.dropout_fades and not mlp.dropout_layers:
        raise UsageError(
            "dropout_fades is for a network that drops units, and this one drops none: leave it out, or give the MLP a "
            "dropout."
        )


def checked_job(
    mlp: MLP,
    recipe: Recipe,
    backend: str | Backend | None,
    validation: Any = None,
    input_scale: Any = None,
) -> Job:
    """The job; `DataError` or `UsageError` for what cannot be."""
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    check_network(mlp)
    check_scale(input_scale)
    check_smoothing(mlp, recipe)
    check_fading(mlp, recipe)
    return Job(
        mlp,
        backend,
        recipe,
        epochs_of(recipe),
        checked_validation(mlp, validation),
        checked_metrics(mlp, recipe.metrics, recipe.task),
        input_scale,
    )


def checked_rows(mlp: MLP, x: Any, targets: Any, sample_weight: Any) -> Rows:
    """The arrays of a job; `DataError` or `UsageError` for those that nothing can be trained on."""
    check_host_batch(mlp, x, targets)
    n = x.shape[0]
    checked_batch_size(1, n)
    return Rows(x, targets, checked_weight(sample_weight, n))
