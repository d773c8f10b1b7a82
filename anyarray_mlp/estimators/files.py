"""Fitted estimators in the project's model file, which the command line reads too.

The file holds the network and its weights, the labels, and, as text in its metadata, the estimator's parameters and
fitted figures. Nothing in it is code: callables, generators and the optimiser's state stay behind (pickle keeps the
last two).
"""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.data.preprocessing import Column
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.estimators.base import BaseMLP
from anyarray_mlp.estimators.classifier import MLPClassifier
from anyarray_mlp.estimators.constraints import check_parameters
from anyarray_mlp.estimators.labels import Labels
from anyarray_mlp.estimators.networks import CountedMLP, counts_otherwise
from anyarray_mlp.estimators.placement import host_vector
from anyarray_mlp.estimators.regressor import MLPRegressor
from anyarray_mlp.estimators.weights import present_network, weights_of
from anyarray_mlp.model import MLP
from anyarray_mlp.persistence import load
from anyarray_mlp.trained import TrainedModel, network_of

Host = NDArray[Any]

ESTIMATORS: dict[str, type[BaseMLP]] = {
    "MLPClassifier": MLPClassifier,
    "MLPRegressor": MLPRegressor,
}
#: Fitted attributes that are kept as they are.
FIGURES = (
    "n_features_in_",
    "n_outputs_",
    "n_layers_",
    "out_activation_",
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "loss_curve_",
    "validation_loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "converged_",
)
KINDS = ("binary", "multiclass", "multilabel")


def save_model(
    estimator: MLPClassifier | MLPRegressor, path: str | os.PathLike[str], overwrite: bool = True
) -> None:
    """Write a fitted estimator to a model file, whole and durable or not at all.

    Parameters that are no data are left at their defaults: `random_state` where it is a generator, `initializer`
    and `scoring` where they are callables, `on_epoch`.

    Raises NotFittedError for an estimator that is not fitted; the errors of `persistence.save`.
    """
    name = type(estimator).__name__
    if ESTIMATORS.get(name) is not type(estimator):
        raise UsageError(
            f"save_model keeps an MLPClassifier or an MLPRegressor, got {name}: name the estimator itself, "
            "not what it is part of."
        )
    estimator = copy.copy(estimator)  # another thread may be fitting it
    check_is_fitted(estimator)
    parts = weights_of(estimator)
    columns = getattr(estimator, "feature_names_in_", None)
    names = None if columns is None else [str(column) for column in columns]
    record = {
        "class": name,
        "parameters": {
            key: packed(value)
            for key, value in estimator.get_params(deep=False).items()
            if not (
                callable(value) or key == "on_epoch" or isinstance(value, np.random.RandomState)
            )
        },
        "figures": {key: packed(vars(estimator)[key]) for key in FIGURES if key in vars(estimator)},
        "feature_names": names,
        "labels": packed_labels(estimator),
    }
    inputs = names or [f"x{i}" for i in range(parts[0].shape[0])]
    TrainedModel(
        present_network(estimator, parts),
        host_vector(list(parts)),
        Preprocessor(tuple(Column(column, "numeric") for column in inputs)),
        target_encoder(estimator),
        {"estimator": json.dumps(record, allow_nan=False)},
    ).save(path, overwrite)


def load_model(path: str | os.PathLike[str]) -> MLPClassifier | MLPRegressor:
    """The estimator of a file that `save_model` wrote, fitted, on the host.

    It predicts as the saved one did; `partial_fit` and a warm start go on from its weights with a fresh optimiser.

    Raises `ModelFileError` for a file that is damaged, or holds a model that no estimator was saved with, and the
    other errors of `persistence.load`.
    """
    source = os.fspath(path)
    file = load(path)
    if "estimator" not in file.metadata:
        raise ModelFileError(
            f"{source} holds a model of the command line, not an estimator: read it with TrainedModel.load, or use "
            "anyarray-mlp predict."
        )
    mlp, parameters = network_of(file, source)
    try:
        return restored(json.loads(file.metadata["estimator"]), mlp, parameters)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(
            f"{source} describes no estimator that can be ({error}): save it again."
        ) from error


def restored(record: Mapping[str, Any], mlp: MLP, parameters: Host) -> MLPClassifier | MLPRegressor:
    """The estimator of a record; any of several errors where the record cannot be."""
    owner = ESTIMATORS[record["class"]]
    estimator = owner(**{key: unpacked(value) for key, value in record["parameters"].items()})
    check_parameters(estimator)
    for key, value in record["figures"].items():
        if key not in FIGURES:
            raise ValueError(f"an attribute {key!r}")
        setattr(estimator, key, unpacked(value))
    counted = counts_otherwise(mlp.output, mlp.loss, mlp.sizes[-1])
    network = CountedMLP(**vars_of(mlp)) if counted and owner is MLPRegressor else mlp
    parts = [np.array(part) for part in mlp.layout.split(parameters)]
    n = mlp.layout.n_layers
    estimator.__dict__.update(_network=network, coefs_=parts[:n], intercepts_=parts[n:])
    estimator.n_features_in_ = mlp.sizes[0]
    names = record["feature_names"]
    if names is not None:
        if not all(isinstance(name, str) for name in names) or len(names) != mlp.sizes[0]:
            raise ValueError("feature names that do not fit")
        estimator.feature_names_in_ = np.array(names, dtype=object)
    if isinstance(estimator, MLPClassifier):
        estimator._set_labels(unpacked_labels(record["labels"], mlp.sizes[-1]))
    return estimator


def vars_of(mlp: Any) -> dict[str, Any]:
    """The fields that make an equal network."""
    names = ("sizes", "activation", "output", "loss", "dropout", "bias")
    return {name: getattr(mlp, name) for name in names}


def target_encoder(estimator: Any) -> TargetEncoder:
    """How the command line turns the outputs into answers."""
    labels = labels_of(estimator)
    if labels is None:
        k = estimator.coefs_[-1].shape[1]
        return TargetEncoder("regression", mean=(0.0,) * k, scale=(1.0,) * k, flat=k == 1)
    if labels.kind == "multilabel":
        return TargetEncoder("multilabel", classes=labels.classes, flat=False)
    return TargetEncoder("classification", classes=labels.classes)


def labels_of(estimator: Any) -> Labels | None:
    """The labels of a classifier; a regressor has none."""
    return estimator._known_labels() if isinstance(estimator, MLPClassifier) else None


def packed_labels(estimator: Any) -> dict[str, Any] | None:
    """Kind, values and dtype of the labels, as JSON."""
    labels = labels_of(estimator)
    if labels is None:
        return None
    values, kind = labels.classes.tolist(), labels.classes.dtype.kind
    if kind not in "biufU" and not all(isinstance(value, str) for value in values):
        raise UsageError(
            f"classes_ of dtype {labels.classes.dtype} cannot be kept in a model file: use texts or numbers."
        )
    return {
        "kind": labels.kind,
        "values": values,
        "dtype": "object" if kind not in "biufU" else str(labels.classes.dtype),
        "sparse": labels.sparse,
    }


def unpacked_labels(record: Mapping[str, Any], n_outputs: int) -> Labels:
    """The labels of a record, which must fit the number of outputs."""
    dtype = np.dtype(record["dtype"])
    classes = np.array(record["values"], dtype=dtype)
    if dtype.kind not in "biufUO" or classes.ndim != 1 or record["kind"] not in KINDS:
        raise ValueError("labels that cannot be")
    if dtype.kind == "O" and not all(isinstance(value, str) for value in record["values"]):
        raise ValueError("labels that are no text")
    labels = Labels(record["kind"], classes, record["sparse"] is True)
    if labels.n_outputs != n_outputs or len(classes) == 0:
        raise ValueError(f"{len(classes)} classes for {n_outputs} outputs")
    return labels


def packed(value: Any) -> Any:
    """A parameter or figure as JSON, from which `unpacked` makes an equal one."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, range):
        value = list(value)
    if hasattr(value, "tolist"):  # an array, a table's column
        value = value.tolist()
    if isinstance(value, tuple):
        return {"tuple": [packed(item) for item in value]}
    if isinstance(value, list):
        return [packed(item) for item in value]
    if isinstance(value, Mapping):
        return {"dict": [[packed(key), packed(item)] for key, item in value.items()]}
    raise UsageError(f"A {type(value).__name__} cannot be kept in a model file: use plain values.")


def unpacked(value: Any) -> Any:
    """The inverse of `packed`."""
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(unpacked(item) for item in content)
    if kind == "dict":
        return {unpacked(key): unpacked(item) for key, item in content}
    raise ValueError(f"a value of kind {kind!r}")
