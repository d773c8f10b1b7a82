"""scikit-learn estimators over `train`: the same parameters and results as its MLPs, on any device, and more options.

Importing this package imports scikit-learn; `anyarray_mlp` itself does not.
"""

from __future__ import annotations

from anyarray_mlp.estimators.classifier import MLPClassifier
from anyarray_mlp.estimators.collapse import CollapsedFitWarning
from anyarray_mlp.estimators.diagnosing import DiagnosedFitWarning
from anyarray_mlp.estimators.files import load_model, save_model
from anyarray_mlp.estimators.regressor import MLPRegressor
from anyarray_mlp.estimators.tabular import TabularMLPClassifier, TabularMLPRegressor
from anyarray_mlp.estimators.transformer import TablePreprocessor

__all__ = [
    "CollapsedFitWarning",
    "DiagnosedFitWarning",
    "MLPClassifier",
    "MLPRegressor",
    "TablePreprocessor",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "load_model",
    "save_model",
]
