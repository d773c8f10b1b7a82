"""From a data set to the arrays that training takes: split, encoded, weighted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.data import (
    ColumnReading,
    Dataset,
    Preprocessor,
    TargetEncoder,
    class_weights,
    load,
    split_indices,
)
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.trained_model import inputs
from anyarray_mlp.typing import Host


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs `x` (n, i) of the network, the scale that the step applies to them, and the raw target `y`."""

    x: Host
    input_scale: float | None
    y: Host

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set that was split and encoded.

    `target_names` are the columns of a table that hold the target. Without a test set, `test` is the training rows
    and `has_test` false. `notes` say what was decided in reading a table, `readings` how its columns are read.
    """

    name: str
    target_names: tuple[str, ...]
    preprocessor: Preprocessor
    targets: TargetEncoder
    training: Part
    validation: Part | None
    test: Part
    has_test: bool
    sample_weight: Host | None
    notes: tuple[str, ...] = ()
    readings: Mapping[str, ColumnReading] = field(default_factory=dict)


def prepare(data: Any, settings: Settings) -> Prepared:
    """Load, split and encode data: a path, a DataFrame or the name of a built-in set.

    Statistics are learned from the training rows alone, so the scores on the others are honest; the categories of a
    table from all rows that are split here, so that no seed leaves one out.
    """
    table, seed = settings.table, settings.recipe.seed
    dataset = load(
        data,
        task=settings.recipe.task,  # type: ignore[arg-type]
        target=table.target or None,
        reading=table.reading,
    )

    rest = np.arange(len(dataset))
    test = dataset.test
    if test is None:
        rest, held_out = hold_out(dataset, rest, table.test_fraction, seed, "test split")
        test = rows(dataset, held_out) if len(held_out) else None
    kept, held_out = hold_out(dataset, rest, table.validation_fraction, seed, "validation split")
    training = rows(dataset, kept)

    is_table = hasattr(dataset.features, "iloc")
    preprocessor = Preprocessor.fit(
        training.features,
        standardize=table.standardize,
        names=None if is_table else dataset.feature_names,
        vocabulary=dataset.features if is_table else None,
    )
    names = dataset.target_name
    target_names = (names,) if isinstance(names, str) else names
    scale_target = table.scale_target
    if scale_target is None:
        of_values = settings.shape.output in (None, "identity")
        scale_target = dataset.task == "regression" and of_values
    targets = TargetEncoder.fit(training.target, dataset.task, scale_target=scale_target)
    encoded = encode(preprocessor, training)
    return Prepared(
        name=dataset.name,
        target_names=target_names if is_table else (),
        preprocessor=preprocessor,
        targets=targets,
        training=encoded,
        validation=encode(preprocessor, rows(dataset, held_out)) if len(held_out) else None,
        test=encoded if test is None else encode(preprocessor, test),
        has_test=test is not None,
        sample_weight=sample_weights(training, table.class_weight),
        notes=dataset.notes,
        readings=dataset.readings,
    )


def encode(preprocessor: Preprocessor, dataset: Dataset) -> Part:
    """The rows of a data set as the network takes them."""
    x, input_scale = inputs(preprocessor, dataset.features)
    return Part(x, input_scale, dataset.target)


def rows(dataset: Dataset, index: NDArray[np.int64]) -> Dataset:
    """Some rows of a data set."""
    features = dataset.features
    taken = features.iloc[index] if hasattr(features, "iloc") else features[index]
    return replace(dataset, features=taken, target=dataset.target[index], test=None)


def hold_out(
    dataset: Dataset, index: NDArray[np.int64], fraction: float, seed: int, stream: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split some rows in those to keep and a fraction to hold out, drawn from a stream, stratified by class."""
    if fraction == 0:
        return index, index[:0]
    labels = dataset.target[index] if dataset.task == "classification" else None
    kept, held_out = split_indices(
        len(index), fraction=fraction, seed=seed, labels=labels, stream=stream
    )
    return index[kept], index[held_out]


def sample_weights(training: Dataset, class_weight: Any) -> Host | None:
    """Weights (n,) from "balanced" or a weight for each class; None without."""
    if class_weight is None:
        return None
    if training.task != "classification":
        raise UsageError(f"class_weight is for classification, and this is {training.task}.")
    return np.asarray(class_weights(training.target, class_weight))
