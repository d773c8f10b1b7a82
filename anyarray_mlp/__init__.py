"""Multilayer perceptrons on any array library: one backprop, gradients that agree.

Public names are loaded when first used, so importing the package loads no array library beyond NumPy, and
neither scikit-learn nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anyarray_mlp.backends import Backend, backend_statuses, select_backend
    from anyarray_mlp.backprop import check_backprop
    from anyarray_mlp.diagnosis.fitting import fit
    from anyarray_mlp.errors import AnyArrayMLPError
    from anyarray_mlp.estimators import (
        CollapsedFitWarning,
        MLPClassifier,
        MLPRegressor,
        load_model,
        save_model,
    )
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.network.optimizers import (
        Optimizer,
        adam,
        adamw,
        momentum,
        nesterov,
        rmsprop,
        sgd,
    )
    from anyarray_mlp.parity.finite_differences import gradcheck
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.pipeline.training import train_table
    from anyarray_mlp.training import EarlyStopping, Epoch, Fit, Recipe, predict, train

__version__ = "0.1.0"

#: Where each public name lives.
HOMES = {
    "MLP": "network.mlp",
    "AnyArrayMLPError": "errors",
    "Backend": "backends",
    "CollapsedFitWarning": "estimators",
    "EarlyStopping": "training",
    "Epoch": "training",
    "Fit": "training",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "Optimizer": "network.optimizers",
    "Recipe": "training",
    "TrainedModel": "pipeline.trained_model",
    "adam": "network.optimizers",
    "adamw": "network.optimizers",
    "backend_statuses": "backends",
    "check_backprop": "backprop",
    "fit": "diagnosis.fitting",
    "gradcheck": "parity.finite_differences",
    "load_model": "estimators",
    "momentum": "network.optimizers",
    "nesterov": "network.optimizers",
    "predict": "training",
    "rmsprop": "network.optimizers",
    "save_model": "estimators",
    "select_backend": "backends",
    "sgd": "network.optimizers",
    "train": "training",
    "train_table": "pipeline.training",
}

__all__ = [
    "MLP",
    "AnyArrayMLPError",
    "Backend",
    "CollapsedFitWarning",
    "EarlyStopping",
    "Epoch",
    "Fit",
    "MLPClassifier",
    "MLPRegressor",
    "Optimizer",
    "Recipe",
    "TrainedModel",
    "adam",
    "adamw",
    "backend_statuses",
    "check_backprop",
    "fit",
    "gradcheck",
    "load_model",
    "momentum",
    "nesterov",
    "predict",
    "rmsprop",
    "save_model",
    "select_backend",
    "sgd",
    "train",
    "train_table",
]


def __getattr__(name: str) -> Any:
    try:
        home = HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
