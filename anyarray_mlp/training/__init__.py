"""Training: `train` yields one immutable `Epoch` after another, `fit` runs it to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.training.callbacks import Callback
    from anyarray_mlp.training.early_stopping import BestEpoch, EarlyStopping
    from anyarray_mlp.training.fitting import Observer, fit
    from anyarray_mlp.training.lbfgs import minimize
    from anyarray_mlp.training.loop import train
    from anyarray_mlp.training.many import fit_many
    from anyarray_mlp.training.predicting import (
        predict,
        to_leaves,
    )
    from anyarray_mlp.training.recipe import Recipe
    from anyarray_mlp.training.records import Epoch, Fit, TrainingState
    from anyarray_mlp.training.state import to_vector
    from anyarray_mlp.training.steps import StepStatistics

#: Where each public name lives.
HOMES = {
    "BestEpoch": "early_stopping",
    "Callback": "callbacks",
    "EarlyStopping": "early_stopping",
    "Epoch": "records",
    "Fit": "records",
    "Observer": "fitting",
    "Recipe": "recipe",
    "StepStatistics": "steps",
    "TrainingState": "records",
    "fit": "fitting",
    "fit_many": "many",
    "minimize": "lbfgs",
    "predict": "predicting",
    "to_leaves": "predicting",
    "to_vector": "state",
    "train": "loop",
}

__all__ = [
    "BestEpoch",
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Fit",
    "Observer",
    "Recipe",
    "StepStatistics",
    "TrainingState",
    "fit",
    "fit_many",
    "minimize",
    "predict",
    "to_leaves",
    "to_vector",
    "train",
]

__getattr__, __dir__ = lazy(__name__, HOMES)
