"""Fitted estimators in the project's model file, which the command line also reads.

The file holds the network and its weights, the labels, and, as text in its metadata, the estimator's parameters and
fitted figures. The file contains no code: callables, generators and the optimiser's state are not saved (pickle keeps
the last two).
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from anyarray_mlp.backends.selection import check_choice
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.checking.records import (
    ANY_NUMBER,
    ANY_TABLE,
    NULL,
    TEXT,
    TRUTH,
    Check,
    RecordError,
    below,
    integer,
    list_of,
    model_file,
    number,
    one_of,
    table,
)
from anyarray_mlp.checking.values import check_boolean, check_path
from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.data.encoding import Column
from anyarray_mlp.data.labels import LABEL
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.estimators.base import BaseMLP
from anyarray_mlp.estimators.classifier import MLPClassifier
from anyarray_mlp.estimators.constraints import CONSTRAINTS, hidden_sizes
from anyarray_mlp.estimators.labels import Labels
from anyarray_mlp.estimators.networks import CountedMLP, counts_otherwise
from anyarray_mlp.estimators.packing import (
    LABELS,
    packed,
    packed_labels,
    unpacked,
    unpacked_labels,
)
from anyarray_mlp.estimators.placement import host_vector
from anyarray_mlp.estimators.regressor import MLPRegressor
from anyarray_mlp.estimators.weights import present_network, weights_of
from anyarray_mlp.network.functional import OUTPUTS
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.persistence import load
from anyarray_mlp.persistence.contents import network_of
from anyarray_mlp.persistence.plain_json import any_json
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.typing import Host

ESTIMATORS: dict[str, type[BaseMLP]] = {
    "MLPClassifier": MLPClassifier,
    "MLPRegressor": MLPRegressor,
}
#: Fitted attributes that are saved, and their allowed values. An estimator whose weights were set by hand lacks some.
FIGURES = {
    "n_features_in_": integer(1),
    "n_outputs_": integer(1),
    "n_layers_": integer(2),
    "out_activation_": one_of(OUTPUTS),
    "n_iter_": integer(),
    "t_": integer(),
    "loss_": ANY_NUMBER,
    "best_loss_": NULL | ANY_NUMBER,
    "loss_curve_": list_of(ANY_NUMBER),
    "validation_loss_curve_": list_of(ANY_NUMBER),
    "validation_scores_": NULL | list_of(ANY_NUMBER),
    "best_validation_score_": NULL | ANY_NUMBER,
    "converged_": TRUTH,
}
RECORD = table(
    {
        "class": one_of(ESTIMATORS),
        "parameters": ANY_TABLE,
        "figures": ANY_TABLE,
        "feature_names": NULL | list_of(TEXT),
        "labels": NULL | LABELS,
    }
)
WEIGHT = number(0)
#: The most hidden layers that an estimator's parameters may give, apart from those that its weights have.
MOST_LAYERS = 1000


@with_known_options
def save_model(
    estimator: MLPClassifier | MLPRegressor, path: str | os.PathLike[str], overwrite: bool = True
) -> None:
    """Write a fitted estimator to a model file completely and durably, or not at all.

    Parameters that are not data are saved as their defaults: `random_state` if it is a generator, `initializer` and
    `scoring` if they are callables, and `on_epoch`.

    Raises NotFittedError for an estimator that is not fitted; UsageError for what could not be loaded again, such as
    non-finite weights; the errors of `persistence.save`.
    """
    name = type(estimator).__name__
    if ESTIMATORS.get(name) is not type(estimator):
        raise UsageError(
            f"save_model saves an MLPClassifier or an MLPRegressor, got {name}: "
            "give the estimator itself, not what contains it."
        )
    check_path("path", path)
    check_boolean("overwrite", overwrite)
    estimator = copy.copy(estimator)  # another thread may be fitting it
    check_is_fitted(estimator)
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
        "labels": packed_labels(labels_of(estimator)),
    }
    model = model_of(estimator, {"estimator": json.dumps(record, allow_nan=False)})
    try:
        restored(record, model.mlp, model.mlp.layout.split(model.parameters))
    except RecordError as error:
        raise UsageError(f"This {name} cannot be saved, because {error} in the file.") from None
    model.save(path, overwrite)


def model_of(estimator: BaseMLP, metadata: dict[str, str]) -> TrainedModel:
    """The model of a fitted estimator: its columns are numbers as they are."""
    parts = weights_of(estimator)
    names = getattr(estimator, "feature_names_in_", None)
    inputs = range(parts[0].shape[0]) if names is None else names
    columns = [str(each) if names is not None else f"x{each}" for each in inputs]
    return TrainedModel(
        present_network(estimator, parts),
        host_vector(list(parts)),
        Preprocessor(tuple(Column(column, "numeric", median=None) for column in columns)),
        target_encoder(estimator),
        metadata,
    )


@with_known_options
@within_memory
def load_model(path: str | os.PathLike[str]) -> MLPClassifier | MLPRegressor:
    """The fitted estimator, on the host, from a file that `save_model` wrote.

    It predicts as the saved one did; `partial_fit` and a warm start continue from its weights with a fresh optimiser.

    Raises `ModelFileError` for a file that is damaged or holds a model that is not an estimator's, and the other
    errors of `persistence.load`.
    """
    check_path("path", path)
    source = os.fspath(path)
    file = load(path)
    if "estimator" not in file.metadata:
        raise ModelFileError(
            f"{source} holds a model of fit or of the command line, not an estimator: "
            "load it with TrainedModel.load, or use anyarray-mlp predict."
        )
    mlp, parts = network_of(file, source)
    with model_file(source):
        try:
            record = any_json(file.metadata["estimator"])
        except ValueError as error:
            raise RecordError(f"metadata.estimator cannot be read: {error}") from None
        return restored(record, mlp, [np.array(part) for part in parts])


def restored(
    record: Mapping[str, Any], mlp: MLP, parts: Sequence[Host]
) -> MLPClassifier | MLPRegressor:
    """The estimator of a record with its weights and biases; `RecordError` if the record is invalid."""
    RECORD(record, "estimator")
    if parts[0].ndim != 2:
        raise RecordError(
            f"weights.0 are those of {len(parts[0])} networks, and an estimator has one"
        )
    if not mlp.bias:
        raise RecordError("config.bias is false, but an estimator has intercepts")
    owner = ESTIMATORS[record["class"]]
    estimator = owner(**parameters_from(record["parameters"], owner, mlp))
    n = mlp.layout.n_layers
    estimator.__dict__.update(
        figures_from(record["figures"], mlp),
        _network=CountedMLP(**vars_of(mlp)) if is_counted(mlp, owner) else mlp,
        coefs_=list(parts[:n]),
        intercepts_=list(parts[n:]),
    )
    names = record["feature_names"]
    if names is not None:
        if len(names) != mlp.sizes[0]:
            raise RecordError(
                f"estimator.feature_names has {len(names)} entries for {mlp.sizes[0]} features"
            )
        estimator.feature_names_in_ = np.array(names, dtype=object)
    if (record["labels"] is not None) != isinstance(estimator, MLPClassifier):
        raise RecordError(f"estimator.labels do not suit an {record['class']}")
    if isinstance(estimator, MLPClassifier):
        estimator._set_labels(unpacked_labels(record["labels"], mlp.sizes[-1]))
    return estimator


def is_counted(mlp: MLP, owner: type[BaseMLP]) -> bool:
    """Whether the estimator computes the loss value differently from the network."""
    return owner is MLPRegressor and counts_otherwise(mlp.output, mlp.loss, mlp.sizes[-1])


def parameters_from(record: Mapping[str, Any], owner: type[BaseMLP], mlp: MLP) -> dict[str, Any]:
    """The constructor's parameters of a record, each checked, and those of the network checked against it."""
    defaults = owner().get_params(deep=False)
    constraints = {**CONSTRAINTS, **owner.own_constraints}
    values = {}
    for name, content in record.items():
        place = below("estimator.parameters", name)
        if name not in defaults:
            raise RecordError(f"{place} is not a parameter of {owner.__name__}")
        values[name] = unpacked(content, place)
        Check(constraints[name].allowed, constraints[name].holds)(values[name], place)
    merged = {**defaults, **values}
    if any(size <= 0 for size in hidden_sizes(merged["hidden_layer_sizes"])):
        raise RecordError("estimator.parameters.hidden_layer_sizes has a layer without units")
    for name in ("hidden_layer_sizes", "activation", "dropout"):
        if len(np.atleast_1d(merged[name])) > max(MOST_LAYERS, mlp.layout.n_layers):
            raise RecordError(f"estimator.parameters.{name} names more than {MOST_LAYERS} layers")
    activation = merged["activation"]
    hidden = len(mlp.activation)
    names = (activation,) * hidden if isinstance(activation, str) else tuple(activation)
    if names != mlp.activation:
        raise RecordError(
            "estimator.parameters.activation and config.activation are not the same functions"
        )
    check_class_weight(merged.get("class_weight"))
    device = merged["device"]
    if device is None:
        device = "cuda" if merged["backend"] == "cupy" else "cpu"
    try:
        check_choice(merged["backend"], device)
    except UsageError:
        raise RecordError(
            "estimator.parameters.device and .backend name no possible backend"
        ) from None
    return values


def check_class_weight(value: Any) -> None:
    """Raise `RecordError` for invalid weights by label, of one output or of several."""
    tables = value if isinstance(value, list) else [value] if isinstance(value, dict) else []
    for weights in tables:
        ANY_TABLE(weights, "estimator.parameters.class_weight")
        for label, weight in weights.items():
            LABEL(label, "a label of estimator.parameters.class_weight")
            WEIGHT(weight, "a weight of estimator.parameters.class_weight")


def figures_from(record: Mapping[str, Any], mlp: MLP) -> dict[str, Any]:
    """The fitted attributes of a record; those that describe the network agree with it."""
    figures = {}
    for name, content in record.items():
        place = below("estimator.figures", name)
        if name not in FIGURES:
            raise RecordError(f"{place} is not a figure that an estimator keeps")
        figures[name] = unpacked(content, place)
        FIGURES[name](figures[name], place)
    own = {
        "n_features_in_": mlp.sizes[0],
        "n_outputs_": mlp.sizes[-1],
        "n_layers_": len(mlp.sizes),
        "out_activation_": mlp.output,
    }
    for name, value in own.items():
        if figures.setdefault(name, value) != value:
            raise RecordError(
                f"estimator.figures.{name} is {figures[name]!r} and the network's is {value!r}"
            )
    scores, best = (figures.get(name) for name in ("validation_scores_", "best_validation_score_"))
    if (scores is None) != (best is None):
        raise RecordError(
            "estimator.figures has one of validation_scores_ and best_validation_score_ and must have both or neither"
        )
    return figures


def vars_of(mlp: Any) -> dict[str, Any]:
    """The fields from which an equal network can be made."""
    names = ("sizes", "activation", "output", "loss", "dropout", "bias")
    return {name: getattr(mlp, name) for name in names}


def target_encoder(estimator: Any) -> TargetEncoder:
    """The encoder with which the command line turns outputs into answers."""
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
