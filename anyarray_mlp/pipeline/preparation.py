"""From a data set to the arrays that training takes: split, encoded, weighted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import counted, listed, shown
from anyarray_mlp.data import (
    Dataset,
    Preprocessor,
    Reading,
    Schema,
    TargetEncoder,
    class_weights,
    load,
    split_by_folds,
    without_unknown,
)
from anyarray_mlp.data.cells import as_columns, unnamed
from anyarray_mlp.data.roles import identifies, repeated_keys, told_forms
from anyarray_mlp.data.stored import RowFile, is_stored
from anyarray_mlp.data.stored_frame import StoredFrame
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.pipeline.on_disk import load_from_disk, refuse_what_needs_memory
from anyarray_mlp.pipeline.presets import Facts
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.splitting import split
from anyarray_mlp.pipeline.table import Table
from anyarray_mlp.pipeline.trained_model import inputs
from anyarray_mlp.tables.source import STDIN
from anyarray_mlp.typing import Host


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs `x` (n, i) of the network, the scale that the step applies to them, and the raw target `y`."""

    x: Any
    input_scale: float | None
    y: Host

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set that was split and encoded.

    `target_names` are the columns of a table that hold the target. Without a test set, `test` is the training rows
    and `has_test` false. `folds` are what each of several networks holds out of the training rows, as places, if there
    is no validation set for all. What was decided on the way is in `preprocessor.notes`, a sentence each. `reading` is
    what a model remembers of how a table was read. `is_last`: whether the target is the last column by default.
    `different` are columns of whole numbers that are all different. `raw` are the rows as they were read, by the
    names of their parts, where they are asked for.
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
    reading: Reading = field(default_factory=Reading)
    is_last: bool = True
    different: tuple[str, ...] = ()
    folds: tuple[NDArray[np.int64], ...] = ()
    raw: Mapping[str, Dataset] = field(default_factory=dict)

    @property
    def validates(self) -> bool:
        """Whether epochs are measured on rows that are not trained on."""
        return self.validation is not None or bool(self.folds)

    @property
    def is_table(self) -> bool:
        """Whether the inputs are a table's columns, and no pixels."""
        return bool(self.target_names) and not self.preprocessor.pixels


def load_as(data: Any, settings: Settings) -> Dataset:
    """The data that settings are for, read as they say, in memory."""
    table = settings.table
    return load(
        data,
        task=settings.recipe.task,  # type: ignore[arg-type]
        target=table.target or None,
        reading=table.reading,
    )


def prepare(
    data: Any, settings: Settings, dtype: str = "float64", *, keep_rows: bool = False
) -> Prepared:
    """Load, split and encode data: a path, a DataFrame or the name of a built-in set.

    `dtype` is what the inputs are rounded to, in which the backend computes. `keep_rows`: whether the rows as they were
    read are kept beside them.

    Statistics are learned from the training rows alone, so the scores on the others are honest; the categories of a
    column with few from all rows that are split here, so that no seed leaves one out.
    """
    return prepared_and_settled(data, settings, dtype, keep_rows=keep_rows)[0]


def prepared_and_settled(
    data: Any, settings: Settings, dtype: str, *, keep_rows: bool = False
) -> tuple[Prepared, Settings]:
    """What `prepare` makes of data, and the settings that a preset has for them."""
    table = settings.table
    if str(table.test) == STDIN == str(data):
        raise UsageError("test is the standard input, which is the data already: give a file.")
    dataset = load_from_disk(data, settings)
    on_disk = dataset is not None
    if dataset is None:
        dataset = load_as(data, settings)
    # Rows on disk are for one network, which is not what is best for tables.
    is_table = hasattr(dataset.features, "iloc") and not on_disk
    settings = settings.settled(Facts(len(dataset), is_table, dataset.task))
    if on_disk:
        refuse_what_needs_memory(data, settings)
    return prepared_set(dataset, settings, dtype, keep_rows=keep_rows), settings


def prepared_set(
    dataset: Dataset,
    settings: Settings,
    dtype: str,
    sample_weight: Host | None = None,
    *,
    keep_rows: bool = False,
    tested: NDArray[np.int64] | None = None,
) -> Prepared:
    """`prepare` of a data set that is loaded; `sample_weight` (n,) weights its rows.

    tested: the rows to test on, ascending, if they are not to be drawn.
    """
    table, seed = settings.table, settings.recipe.seed
    if table.test is not None and dataset.test is not None:
        raise DataError(f"{dataset.name} has a test set of its own; leave test out")
    is_table = hasattr(dataset.features, "iloc")
    of_columns = is_table or dataset.others is not None
    if not is_table:
        refuse_settings_of_tables(dataset, table)
    parts = split(dataset, table, seed, settings.shape.members, tested)
    dataset, training = parts.dataset, rows(parts.dataset, parts.training)
    only_splits = table.splitting if table.splitting not in dataset.feature_names else None

    preprocessor = Preprocessor.fit(
        training.features,
        standardize=table.standardize,
        numbers=table.numbers,
        names=None if is_table else dataset.feature_names,
        vocabulary=dataset.features if is_table else None,
        keep=[column for column in table.keep if column != only_splits],
        date=[each for each in table.date if only_splits not in told_forms([each])],
    )
    names = dataset.target_name
    target_names = (names,) if isinstance(names, str) else names
    scale_target = table.scale_target
    if scale_target is None:
        of_values = settings.shape.output in (None, "identity")
        scale_target = dataset.task == "regression" and of_values
    reading = replace(
        table.reading,
        columns=dataset.readings,
        image_column=dataset.image_column,
        **form_of_pictures(dataset, table.reading),
    ).remembered()
    clamp = dataset.task == "regression" and settings.clamps
    targets = TargetEncoder.fit(
        training.target, dataset.task, scale_target=scale_target, clamp=clamp
    )
    notes = [*dataset.notes, *preprocessor.notes, *parts.notes]
    indices = {"validation": parts.validation, "test": parts.test}
    held_out = {name: rows(dataset, index) for name, index in indices.items() if len(index)}
    if dataset.validation is not None:
        held_out["validation"] = dataset.validation
    if dataset.test is not None:
        held_out["test"] = dataset.test
    if table.test is not None:
        schema = Schema(preprocessor, targets, target_names if of_columns else (), reading)
        held_out["test"], told = test_set(table, dataset, schema, of_columns)
        notes += told
    if is_table:
        scored = bool(table.test_fraction) or bool(parts.folds)
        notes += suggestions(dataset, preprocessor, table) if scored else []
    if dataset.others is not None:
        notes += about_others(dataset, table)
    preprocessor = replace(preprocessor, notes=tuple(dict.fromkeys(notes)))

    for name, part in held_out.items():
        check_labels(part, targets, name)
    encoded = encode(preprocessor, training, dtype)
    found = {name: encode(preprocessor, part, dtype) for name, part in held_out.items()}
    return Prepared(
        name=dataset.name,
        target_names=target_names if of_columns else (),
        preprocessor=preprocessor,
        targets=targets,
        training=encoded,
        validation=found.get("validation"),
        test=found.get("test", encoded),
        has_test="test" in found,
        sample_weight=both(
            sample_weights(training, table.class_weight),
            None if sample_weight is None else sample_weight[parts.training],
        ),
        reading=reading,
        is_last=dataset.has_last_target,
        folds=() if "validation" in found else parts.folds,
        different=all_different(training) if is_table else (),
        raw={"training": training, **held_out} if keep_rows else {},
    )


def both(one: Host | None, other: Host | None) -> Host | None:
    """The product of weights (n,), of which either may be missing."""
    if one is None or other is None:
        return other if one is None else one
    product: Host = one * other
    return product


def all_different(training: Dataset) -> tuple[str, ...]:
    """The columns of whole numbers in which no two rows have the same."""
    features: Any = training.features
    found = []
    for name, column in features.items():
        values = column.to_numpy()
        if values.dtype.kind not in "iuf" or len(values) < 2:
            continue
        # The first rows tell it of most columns.
        for part in (values[:100], values):
            numbers = np.asarray(part, dtype=np.float64)
            whole = bool(np.all(numbers == np.floor(numbers)))
            if not whole or len(np.unique(numbers)) < len(numbers):
                break
        else:
            found.append(str(name))
    return tuple(found)


def refuse_settings_of_tables(dataset: Dataset, table: Table) -> None:
    """Raise `UsageError` for a setting that names columns, of data that have none by name, or pixels alone."""
    of_rows = ("split", "group", "folds") if dataset.others is None else ()
    for setting in ("keep", "date", *of_rows):
        if getattr(table, setting) and getattr(table, setting) != "random":
            what = "is none" if dataset.others is None else "is one of pictures"
            raise UsageError(
                f"{setting} names columns of a table, and {dataset.name} {what}: leave it out."
            )


def form_of_pictures(dataset: Dataset, asked: Reading) -> dict[str, Any]:
    """What a model remembers of its pictures, to bring others to: their size and mode, as far as they are known."""
    shape = dataset.image_shape
    if shape is None or dataset.features.dtype != np.uint8 or len(shape) not in (2, 3):
        return {}
    if len(shape) == 3 and shape[2] != 3:
        return {}
    return {"image_size": tuple(shape[:2]), "image_mode": "grey" if len(shape) == 2 else "rgb"}


def about_others(dataset: Dataset, table: Table) -> list[str]:
    """Notes on the columns beside the pixels of pictures: what they could be good for, or that they are left out."""
    notes: list[str] = []
    others: Any = dataset.others
    used = {table.folds, table.group, str(table.split).removeprefix("time:")}
    names = [str(name) for name in others.columns if name not in used]
    for name in names:
        if table.folds is None and table.test is None:
            with suppress(DataError):
                split_by_folds(others[name].to_numpy(), name)
                notes.append(
                    f"column {shown(name)} says which rows are which: split by it with folds='{name}'"
                )
    if names:
        subject = f"column {shown(names[0])}" if len(names) == 1 else f"columns {listed(names)}"
        notes.append(f"{subject}: left out: beside the pixels of pictures, which are the features")
    return notes


def test_set(
    table: Table, dataset: Dataset, schema: Schema, of_columns: bool
) -> tuple[Dataset, list[str]]:
    """The test set of its own source, read as the model's tables are, and what is to be told of it."""
    names = dataset.target_name
    found = load(
        table.test,
        task=dataset.task,
        target=None if not of_columns else [names] if isinstance(names, str) else list(names),
        drop=table.drop if of_columns and unnamed(dataset.feature_names) else (),
        schema=schema,
    )
    if found.test is not None:
        found = found.test
    notes = [f"{found.name}: {note}" for note in found.notes if note not in dataset.notes]
    if schema.preprocessor.pixels or not of_columns:
        return replace(found, feature_names=dataset.feature_names), notes
    preprocessor = schema.preprocessor
    features, unknown = without_unknown(preprocessor, found.features)
    notes += [
        f"{found.name}, column {shown(name)}: {counted(len(values), 'row')} of {len(found):,} with categories that no "
        f"row to train on has, {listed(dict.fromkeys(values))}, count as {rest_of(preprocessor, name)}"
        for name, values in unknown.items()
    ]
    return replace(found, features=features, feature_names=preprocessor.used_names), notes


def rest_of(preprocessor: Preprocessor, name: str) -> str:
    """What becomes of unknown categories of a column."""
    column = next(column for column in preprocessor.columns if column.name == name)
    return "a gap" if column.rest is None else "the rest"


def suggestions(dataset: Dataset, preprocessor: Preprocessor, table: Table) -> list[str]:
    """Notes on splits that a column suggests and nobody asked for."""
    if table.test is not None or table.folds is not None:
        return []
    notes = []
    if table.split is None and table.group is None:
        dates = [
            column.name
            for column in preprocessor.columns
            if column.kind == "date" and any(part.name == "days" for part in column.parts)
        ]
        if dates:
            notes.append(
                f"the rows have dates, column {shown(dates[0])}, and those held out lie among those to train on; if "
                f"later rows are to be predicted, test on the latest with split='time:{dates[0]}'"
            )
    if table.group is None and table.split is None:
        features = dataset.features
        keys = [place for place, name in enumerate(features.columns) if identifies(str(name))]
        columns = as_columns(features.iloc[:, keys], None).items
        for name, distinct in repeated_keys(columns)[:1]:
            notes.append(
                f"the {len(dataset):,} rows share {distinct:,} values of column {shown(name)}, and rows of one are "
                f"trained on and tested on; if others are to be predicted, keep them together with group='{name}'"
            )
    return notes


def check_labels(part: Dataset, targets: TargetEncoder, name: str) -> None:
    """Raise `DataError` for classes of held-out rows that no row to train on has."""
    if targets.task != "classification":
        return
    try:
        targets.encode(part.target)
    except DataError as error:
        raise DataError(
            f"{part.name}: no row to train on has a class of the {name} rows: {error}; choose another split, or leave "
            "those rows out"
        ) from None


def encode(preprocessor: Preprocessor, dataset: Dataset, dtype: str) -> Part:
    """The rows of a data set as the network takes them; those of a table on disk are written there."""
    if isinstance(dataset.features, StoredFrame):
        file = RowFile(preprocessor.n_features_out, dtype)
        for part in dataset.features.parts():
            file.add(inputs(preprocessor, part, dtype)[0])
        return Part(file.stored(), None, dataset.target)
    x, input_scale = inputs(preprocessor, dataset.features, dtype)
    return Part(x, input_scale, dataset.target)


def rows(dataset: Dataset, index: NDArray[np.int64]) -> Dataset:
    """Some rows of a data set."""
    features: Any = dataset.features
    if is_stored(features):
        taken = features.rows(index)
    else:
        taken = features.iloc[index] if hasattr(features, "iloc") else features[index]
    target = dataset.target[index]
    if isinstance(features, StoredFrame):
        features.shelf.release()
        target = features.shelf.keep(target)
    return replace(dataset, features=taken, target=target, test=None, validation=None)


def sample_weights(training: Dataset, class_weight: Any) -> Host | None:
    """Weights (n,) from "balanced" or a weight for each class; None without."""
    if class_weight is None:
        return None
    if training.task != "classification":
        raise UsageError(f"class_weight is for classification, and this is {training.task}.")
    return np.asarray(class_weights(training.target, class_weight))
