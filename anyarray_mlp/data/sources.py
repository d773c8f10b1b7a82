"""`load`: a data set from a built-in name, a table, an `.npz` or IDX files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.checking.values import check_boolean, check_instance, check_path, items
from anyarray_mlp.data.builtin import BUILTIN, BUILTIN_NAMES
from anyarray_mlp.data.columns import Column, cut, dataset_of, frame_of, load_table, with_zeros
from anyarray_mlp.data.dataset import TASKS, Dataset, Features, Task
from anyarray_mlp.data.frames import as_pandas
from anyarray_mlp.data.idx import is_idx_name, load_idx_features, load_idx_file, load_idx_folder
from anyarray_mlp.data.npz import load_npz, load_npz_features
from anyarray_mlp.data.preprocessing import Schema
from anyarray_mlp.data.targets import target_for
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.tables import ColumnReading, Reading, table_in
from anyarray_mlp.tables.files import file_size
from anyarray_mlp.tables.source import STDIN

if TYPE_CHECKING:
    import pandas


@with_known_options
@within_memory
def load(
    source: str | os.PathLike[str] | pandas.DataFrame,
    *,
    target: Column | Sequence[Column] | None = None,
    task: Task | None = None,
    drop: Sequence[Column] = (),
    header: bool | None = None,
    reading: Reading | None = None,
    schema: Schema | None = None,
) -> Dataset:
    """Read a data set.

    source: a table of pandas, polars or pyarrow, a built-in name (`BUILTIN_NAMES`), or the path of a table that
        `read_table` reads, an `.npz` with `x` and `y`, a folder of IDX files, or an IDX images file.
    target: for tables, the target column's name or its place from 0 (negative from the end), or
        several of them; the last column by default.
    task: overrides what `infer_task` reads from the target.
    drop, header: for tables, columns to leave out, and whether the first line names the columns
        (detected by default).
    reading: for tables, what else is to be read otherwise than the rules of `read_table` have it, and than the schema.
    schema: for tables that go to a trained model, its `Schema`: how its table was read, which columns hold texts, and
        which one is the target by default.

    Raises `DataError` naming file, line, column, value and remedy; `StorageError` if the file cannot be read;
    `OutOfMemoryError` if it does not fit in memory; `UsageError` for options that do not fit the source.
    """
    if task is not None and (not isinstance(task, str) or task not in TASKS):
        raise UsageError(f"task is {shown(task)}; it must be one of {listed(TASKS)}")
    drop = items("drop", drop, "a list of columns")
    source = as_pandas(source)
    chosen, learned = chosen_reading(header, reading, schema, drop)
    if not isinstance(source, (str, os.PathLike)) and hasattr(source, "iloc"):
        return load_frame(source, chosen, learned, target=target, task=task)
    source = cast("str | os.PathLike[str]", source)
    if is_table(source):
        return load_table(Path(source), target=target, task=task, reading=chosen, schema=schema)
    if target is not None or drop or is_asked(chosen, learned):
        raise UsageError(
            f"{source}: target, drop and header are for tables, and this source has its own target; leave them out"
        )
    if str(source) in BUILTIN:
        return with_task(BUILTIN[str(source)](), task)
    path = Path(source)
    if path.is_dir():
        return with_task(load_idx_folder(path), task)
    if is_idx_name(path.name):
        return with_task(load_idx_file(path), task)
    return load_npz(path, task=task)


@with_known_options
@within_memory
def load_features(
    source: str | os.PathLike[str],
    *,
    header: bool | None = None,
    reading: Reading | None = None,
    schema: Schema | None = None,
) -> Features:
    """The features of `source` for prediction; it need not hold a target.

    A table is returned whole, including its target column if it has one: `Preprocessor.transform` picks the columns
    that it knows. A folder of IDX files gives its training images. Options are those of `load`.
    """
    chosen, _ = chosen_reading(header, reading, schema, ())

    def known(names: list[str]) -> Mapping[str, ColumnReading]:
        return {} if schema is None else replace(schema, reading=chosen).readings(names)

    if is_table(source):
        return frame_of(with_zeros(table_in(Path(source), chosen, known), schema))
    if str(source) in BUILTIN:
        return load(source).features
    path = Path(source)
    if path.is_dir() or is_idx_name(path.name):
        return load_idx_features(path)
    return load_npz_features(path)


def load_frame(
    frame: pandas.DataFrame,
    reading: Reading,
    learned: Reading,
    *,
    target: Column | Sequence[Column] | None,
    task: Task | None,
) -> Dataset:
    """The set in a DataFrame, whose columns are called by their names as texts."""
    if reading.header != learned.header:
        raise UsageError("header is for files, and a DataFrame names its columns: leave it out.")
    if is_asked(replace(reading, drop=()), learned):
        raise UsageError(
            "How a table is read is for files, and a DataFrame is read already: leave it out."
        )
    table = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()][0]
        raise DataError(f"The DataFrame has two columns {shown(twice)}: rename one.")
    wanted = [target] if isinstance(target, (str, int)) else list(target or ())
    path = Path("DataFrame")
    features, targets = cut(list(table.columns), wanted, reading.drop, None, path)
    return dataset_of(table, path, features, targets, task)


def chosen_reading(
    header: bool | None, reading: Reading | None, schema: Schema | None, drop: Sequence[Column]
) -> tuple[Reading, Reading]:
    """All that is asked for in one, and what the schema says; `UsageError` for what has the wrong type."""
    if header is not None:
        check_boolean("header", header)
    if schema is not None:
        check_instance("schema", schema, Schema, "a data.Schema, as TrainedModel.schema")
    learned = Reading() if schema is None else schema.reading
    if reading is None:
        reading = learned
    check_instance("reading", reading, Reading, "a data.Reading, as TrainedModel.reading")
    chosen = replace(
        reading,
        header=reading.header if header is None else header,
        drop=tuple(drop) or reading.drop,
        columns={**learned.columns, **reading.columns},
    )
    return chosen, learned


def is_asked(chosen: Reading, learned: Reading) -> bool:
    """Whether somebody asks for another reading than the schema's, which is for files."""
    return replace(chosen, columns=learned.columns) != learned


def is_table(source: str | os.PathLike[str]) -> bool:
    """Whether `source` is a table; raises `DataError` if it cannot be read at all."""
    if isinstance(source, (str, os.PathLike)) and ("\0" in str(source) or not str(source)):
        raise DataError(f"the data is {shown(str(source))}; give a built-in name or a path")
    check_path("source", source)
    if str(source) in BUILTIN:
        return False
    path = Path(source)
    if str(source) == STDIN:
        return True
    if path.is_dir() or is_idx_name(path.name):
        return False
    if not path.suffix and not os.path.lexists(path):
        raise DataError(
            f"{path}: no such file or built-in set{suggestion(path, BUILTIN_NAMES)}; "
            f"the built-in sets are {listed(BUILTIN_NAMES)}"
        )
    file_size(path)
    return path.suffix.lower() != ".npz"


def with_task(dataset: Dataset, task: Task | None) -> Dataset:
    """The set with another task than its own, if its target allows it."""
    if task is None or task == dataset.task:
        return dataset
    if task == "regression" and dataset.target.dtype.kind == "U":
        raise DataError(f"{dataset.name}: the target is text; regression needs numbers")
    test = None if dataset.test is None else with_task(dataset.test, task)
    return replace(dataset, task=task, target=target_for(dataset.target, task), test=test)
