"""Multilayer perceptrons on any array library: one backprop, gradients that agree.

Public names are loaded when first used, so importing the package loads no array library beyond NumPy, and
neither scikit-learn nor pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.backends import Backend, backend_statuses, select_backend
    from anyarray_mlp.backprop import check_backprop
    from anyarray_mlp.diagnosis import fit
    from anyarray_mlp.errors import AnyArrayMLPError
    from anyarray_mlp.estimators import (
        CollapsedFitWarning,
        DiagnosedFitWarning,
        MLPClassifier,
        MLPRegressor,
        TablePreprocessor,
        TabularMLPClassifier,
        TabularMLPRegressor,
        load_model,
        save_model,
    )
    from anyarray_mlp.network import (
        MLP,
        Optimizer,
        adam,
        adamw,
        momentum,
        nesterov,
        rmsprop,
        sgd,
    )
    from anyarray_mlp.parity import gradcheck
    from anyarray_mlp.pipeline import TrainedModel, train_table
    from anyarray_mlp.training import (
        BestEpoch,
        EarlyStopping,
        Epoch,
        Fit,
        Recipe,
        fit_many,
        predict,
        train,
    )

__version__ = "0.1.0"

#: The public package that each name comes from.
HOMES = {
    "MLP": "network",
    "AnyArrayMLPError": "errors",
    "Backend": "backends",
    "BestEpoch": "training",
    "CollapsedFitWarning": "estimators",
    "DiagnosedFitWarning": "estimators",
    "EarlyStopping": "training",
    "Epoch": "training",
    "Fit": "training",
    "MLPClassifier": "estimators",
    "MLPRegressor": "estimators",
    "Optimizer": "network",
    "Recipe": "training",
    "TablePreprocessor": "estimators",
    "TabularMLPClassifier": "estimators",
    "TabularMLPRegressor": "estimators",
    "TrainedModel": "pipeline",
    "adam": "network",
    "adamw": "network",
    "backend_statuses": "backends",
    "check_backprop": "backprop",
    "fit": "diagnosis",
    "fit_many": "training",
    "gradcheck": "parity",
    "load_model": "estimators",
    "momentum": "network",
    "nesterov": "network",
    "predict": "training",
    "rmsprop": "network",
    "save_model": "estimators",
    "select_backend": "backends",
    "sgd": "network",
    "train": "training",
    "train_table": "pipeline",
}

__all__ = [
    "MLP",
    "AnyArrayMLPError",
    "Backend",
    "BestEpoch",
    "CollapsedFitWarning",
    "DiagnosedFitWarning",
    "EarlyStopping",
    "Epoch",
    "Fit",
    "MLPClassifier",
    "MLPRegressor",
    "Optimizer",
    "Recipe",
    "TablePreprocessor",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "TrainedModel",
    "adam",
    "adamw",
    "backend_statuses",
    "check_backprop",
    "fit",
    "fit_many",
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

__getattr__, __dir__ = lazy(__name__, HOMES)
