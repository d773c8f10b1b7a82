"""Training: `train` yields one immutable `Epoch` after another, `fit` runs it to the end."""

from __future__ import annotations

from anyarray_mlp.training.batches import batches
from anyarray_mlp.training.callbacks import Callback, as_callbacks, tell
from anyarray_mlp.training.early_stopping import EarlyStopping
from anyarray_mlp.training.evaluation import Evaluation
from anyarray_mlp.training.fitting import Observer, fit
from anyarray_mlp.training.lbfgs import minimize
from anyarray_mlp.training.loop import train
from anyarray_mlp.training.predicting import (
    as_inputs,
    on_device,
    predict,
    to_leaves,
)
from anyarray_mlp.training.recipe import Recipe, recipe_of
from anyarray_mlp.training.records import Epoch, Fit, TrainingState, run_hash
from anyarray_mlp.training.signals import interruption
from anyarray_mlp.training.state import fresh_state, to_vector
from anyarray_mlp.training.steps import StepStatistics, dropout_keys, step_inputs, training_step

__all__ = [
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Fit",
    "Observer",
    "Recipe",
    "StepStatistics",
    "TrainingState",
    "as_callbacks",
    "as_inputs",
    "batches",
    "dropout_keys",
    "fit",
    "fresh_state",
    "interruption",
    "minimize",
    "on_device",
    "predict",
    "recipe_of",
    "run_hash",
    "step_inputs",
    "tell",
    "to_leaves",
    "to_vector",
    "train",
    "training_step",
]
