"""From a data set to the arrays that training takes: split, encoded, weighted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.data import (
    Dataset,
    Preprocessor,
    TargetEncoder,
    class_weights,
    load,
    split_indices,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.trained import inputs

Host = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set that was split and encoded.

    `x` (n, i) and the raw target `y` are the training rows; `validation` is (x, raw target) or None. Without a
    test set, `test` is the training rows and `has_test` false.
    """

    name: str
    preprocessor: Preprocessor
    targets: TargetEncoder
    x: Host
    y: Host
    input_scale: float | None
    sample_weight: Host | None
    validation: tuple[Host, Host] | None
    test: Dataset
    has_test: bool


def prepare(settings: dict[str, Any]) -> Prepared:
    """Load, split and encode what the settings of `train` name.

    Encodings are learned from the training rows alone, so the scores on the others are honest.
    """
    options = {name: settings[name] for name in ("target", "task", "header")}
    drop = settings["drop"] or ()
    options["drop"] = (drop,) if isinstance(drop, str) else drop
    dataset = load(settings["data"], **options)

    rest = np.arange(len(dataset))
    test = dataset.test
    if test is None:
        rest, held_out = hold_out(dataset, rest, settings["test_fraction"], settings["seed"])
        test = rows(dataset, held_out) if len(held_out) else None
    kept, held_out = hold_out(dataset, rest, settings["validation_fraction"], settings["seed"] + 1)
    training = rows(dataset, kept)

    names = None if hasattr(dataset.features, "iloc") else dataset.feature_names
    preprocessor = Preprocessor.fit(
        training.features, standardize=settings["standardize"], names=names
    )
    scale_target = settings["scale_target"]
    if scale_target is None:
        scale_target = dataset.task == "regression" and settings["output"] in (None, "identity")
    targets = TargetEncoder.fit(training.target, dataset.task, scale_target=scale_target)
    x, input_scale = inputs(preprocessor, training.features)
    validation = None
    if len(held_out):
        validation_rows = rows(dataset, held_out)
        validation = (inputs(preprocessor, validation_rows.features)[0], validation_rows.target)
    return Prepared(
        name=dataset.name,
        preprocessor=preprocessor,
        targets=targets,
        x=x,
        y=training.target,
        input_scale=input_scale,
        sample_weight=sample_weights(training, settings["class_weight"]),
        validation=validation,
        test=training if test is None else test,
        has_test=test is not None,
    )


def rows(dataset: Dataset, index: NDArray[np.int64]) -> Dataset:
    """Some rows of a data set."""
    features = dataset.features
    taken = features.iloc[index] if hasattr(features, "iloc") else features[index]
    return replace(dataset, features=taken, target=dataset.target[index], test=None)


def hold_out(
    dataset: Dataset, index: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split some rows in those to keep and a fraction to hold out, stratified by class."""
    if fraction == 0:
        return index, index[:0]
    labels = dataset.target[index] if dataset.task == "classification" else None
    kept, held_out = split_indices(len(index), fraction=fraction, seed=seed, labels=labels)
    return index[kept], index[held_out]


def sample_weights(training: Dataset, class_weight: str | None) -> Host | None:
    """Weights (n,) from "balanced" or LABEL=WEIGHT,...; None without."""
    if class_weight is None:
        return None
    if training.task != "classification":
        raise UsageError(f"--class-weight is for classification, and this is {training.task}.")
    if class_weight == "balanced":
        return np.asarray(class_weights(training.target, "balanced"))
    weights = {}
    for entry in class_weight.split(","):
        label, separator, weight = entry.rpartition("=")
        try:
            weights[label] = float(weight)
        except ValueError:
            separator = ""
        if not separator:
            raise UsageError(
                f"--class-weight {class_weight!r} is neither 'balanced' nor LABEL=WEIGHT,...: mend {entry!r}."
            )
    return np.asarray(class_weights(training.target, weights))
