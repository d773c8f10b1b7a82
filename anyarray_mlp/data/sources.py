"""`load`: a data set from a built-in name, a table, an `.npz`, IDX files or a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.checking.values import check_boolean, check_instance, check_path, items
from anyarray_mlp.data.builtin import BUILTIN, BUILTIN_NAMES
from anyarray_mlp.data.cells import as_array, column_values, gaps_in
from anyarray_mlp.data.chosen_columns import (
    find_column,
    frame_of,
)
from anyarray_mlp.data.columns import (
    cut,
    dataset_of,
    load_table,
)
from anyarray_mlp.data.dataset import TASKS, Dataset, Features, Task
from anyarray_mlp.data.frames import as_pandas
from anyarray_mlp.data.idx import is_idx_name, load_idx_features, load_idx_file, load_idx_folder
from anyarray_mlp.data.npz import load_npz, load_npz_features
from anyarray_mlp.data.picture_folders import load_picture_folder, pictures_at
from anyarray_mlp.data.picture_tables import picture_set, pixels_and_target, pixels_for, with_zeros
from anyarray_mlp.data.pictures import Pictures, is_picture_name, read_pictures
from anyarray_mlp.data.pixels import FEWEST_LISTED
from anyarray_mlp.data.schema import AS_TEXT, NOT_READ, Schema
from anyarray_mlp.data.targets import target_for
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.tables import ColumnReading, Reading, Table, table_in
from anyarray_mlp.tables.files import file_size, unreadable
from anyarray_mlp.tables.reading import Place
from anyarray_mlp.tables.source import STDIN, Source

if TYPE_CHECKING:
    import pandas


@with_known_options
@within_memory
def load(
    source: str | os.PathLike[str] | pandas.DataFrame,
    *,
    target: Place | Sequence[Place] | None = None,
    task: Task | None = None,
    drop: Sequence[Place] = (),
    header: bool | None = None,
    reading: Reading | None = None,
    schema: Schema | None = None,
) -> Dataset:
    """Read a data set.

    source: a table of pandas, polars or pyarrow, a built-in name (`BUILTIN_NAMES`), or the path of a table that
        `read_table` reads, an `.npz` with `x` and `y`, a folder of IDX files, an IDX images file, or a folder with a
        sub-folder of pictures for each class.
    target: for tables, the target column's name or its place from 0 (negative from the end), or
        several of them; the last column by default.
    task: overrides what `infer_task` reads from the target.
    drop, header: for tables, columns to leave out, and whether the first line names the columns
        (detected by default).
    reading: what else is to be read otherwise than the rules have it, and than the schema: of tables, and the size and
        the mode of pictures.
    schema: for tables and pictures that go to a trained model, its `Schema`: how its table was read, which columns hold
        texts, which one is the target by default, and the form of its pictures.

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
    of_pictures = is_pictures(source)
    if target is not None or drop or is_asked(chosen, learned, of_pictures):
        if chosen.image_size != learned.image_size or chosen.image_mode != learned.image_mode:
            raise UsageError(
                f"{source}: image_size and image_mode are for folders of pictures, and this is none; leave them out"
            )
        raise UsageError(
            f"{source}: target, drop and header are for tables, and this source has its own target; leave them out"
        )
    if str(source) in BUILTIN:
        return with_task(BUILTIN[str(source)](), task)
    path = Path(source)
    if of_pictures and not path.is_dir():
        raise DataError(
            f"{path}: one picture, without a class; give a folder with a sub-folder for each class"
        )
    if of_pictures:
        return with_task(load_picture_folder(path, chosen), task)
    if path.is_dir():
        return with_task(load_idx_folder(path), task)
    if is_idx_name(path.name):
        return with_task(load_idx_file(path), task)
    return load_npz(path, task=task)


@with_known_options
@within_memory
def load_features(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    header: bool | None = None,
    reading: Reading | None = None,
    schema: Schema | None = None,
) -> Features:
    """The features of `source` for prediction; it need not hold a target.

    A table is returned whole, including its target column if it has one: `Preprocessor.transform` picks the columns
    that it knows. A folder of IDX files gives its training images. Pictures may be one, several in a list, or all
    those in a folder, as `picture_files` lists them. Options are those of `load`.
    """
    chosen, _ = chosen_reading(header, reading, schema, ())
    if isinstance(source, (list, tuple)):
        if not source or not all(map(is_pictures, source)):
            raise UsageError("several sources must all be pictures, or folders of pictures")
        return features_of_pictures(source, chosen).pixels
    source = cast("str | os.PathLike[str]", source)
    if is_table(source):
        return features_of_table(Path(source), chosen, schema)[0]
    if str(source) in BUILTIN:
        return load(source).features
    path = Path(source)
    if is_pictures(source):
        return features_of_pictures([source], chosen).pixels
    if path.is_dir() or is_idx_name(path.name):
        return load_idx_features(path)
    return load_npz_features(path)


def features_of_table(
    source: Path | Source, chosen: Reading, schema: Schema | None
) -> tuple[Features, Table]:
    """The features of a table for prediction, and the table that they are of."""

    def known(names: list[str]) -> Mapping[str, ColumnReading]:
        if schema is None:
            return {}
        learned = replace(schema, reading=chosen)
        if schema.preprocessor.pixels:
            return learned.readings_of_pictures(names)
        return learned.readings(names)

    table = with_zeros(table_in(source, chosen, known), schema)
    if schema is not None and schema.preprocessor.pixels:
        path = source.path if isinstance(source, Source) else source
        return pixels_for(table, schema, path, (), chosen), table
    return frame_of(table), table


@within_memory
def load_features_and_columns(
    source: str | os.PathLike[str],
    wanted: Sequence[str] | None,
    *,
    reading: Reading,
    schema: Schema,
) -> tuple[Features, dict[str, list[str | None]]]:
    """The features of a table, as `load_features` gives them, and columns of it as they stand in the file.

    wanted: names of columns; None for all. The cells of each are texts (n,), without blanks around them; None for gaps.
    Raises `DataError` for a column that is not there, and `UsageError` for what is no table.
    """
    if not is_table(source):
        raise UsageError(
            f"only tables have columns to keep, and {shown(os.fspath(source))} is none"
        )
    opened = Source.of(Path(source))
    features, table = features_of_table(opened, reading, schema)
    names = table.all_names if wanted is None else tuple(wanted)
    absent = next((name for name in names if name not in table.all_names), None)
    if absent is not None:
        raise DataError(
            f"{opened.path}: no column {shown(absent)} to keep{suggestion(absent, table.all_names)}; the columns are "
            f"{listed(table.all_names)}"
        )

    def known(present: list[str]) -> Mapping[str, ColumnReading]:
        return {name: AS_TEXT if name in names else NOT_READ for name in present}

    kept = table_in(opened, reading, known)
    rows = {line: row for row, line in enumerate(kept.lines.tolist())}
    places = [rows.get(line) for line in table.lines.tolist()]
    if None in places:
        line = table.lines[places.index(None)]
        raise DataError(f"{opened.path}: line {line} is no row of texts, so no columns can be kept")
    by_name = kept.by_name
    return features, {name: texts_at(by_name[name], places) for name in names}


def texts_at(column: Any, rows: Sequence[Any]) -> list[str | None]:
    """The texts of a column in some rows, None for gaps."""
    cells = as_array(column)[list(rows)]
    gaps = gaps_in(cells)
    if cells.dtype.kind == "M":
        cells = np.array(
            [cell and cell.isoformat() for cell in cells.astype("datetime64[us]").tolist()]
        )
    return [None if gap else str(cell) for cell, gap in zip(cells, gaps, strict=True)]


def features_of_pictures(sources: Sequence[str | os.PathLike[str]], reading: Reading) -> Pictures:
    """The pictures in files and folders, in a form that `reading` may have."""
    return read_pictures(picture_files(sources), reading, str(sources[0]))


def picture_files(sources: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The files of pictures that `load_features` reads from files and folders, in its order."""
    return [path for source in sources for path in pictures_at(Path(source))]


def load_frame(
    frame: pandas.DataFrame,
    reading: Reading,
    learned: Reading,
    *,
    target: Place | Sequence[Place] | None,
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
    names = list(table.columns)
    if len(names) > FEWEST_LISTED:
        left = table.drop(columns=[find_column(names, column, path) for column in reading.drop])
        wanted = [find_column(names, column, path) for column in wanted]
        numbers = numbers_of(left)
        # Lists in texts are for files, which a model reads alike.
        plain = replace(reading, text=tuple(left.columns), drop=())
        found, wanted = pixels_and_target(numbers, wanted, plain, None, path)
        if found is not None and found.are_bytes:
            targets = [str(name) for name in wanted]
            return picture_set(numbers, found, targets, path, task, reading, None, left)
    features, targets = cut(list(table.columns), wanted, reading.drop, None, path)
    return dataset_of(table, path, features, targets, task)


def numbers_of(frame: pandas.DataFrame) -> Table:
    """A DataFrame as a table whose columns of other types are taken for texts."""
    columns = [
        as_array(column_values(values))
        if values.dtype.kind in "biuf"
        else np.full(len(values), None)
        for _, values in frame.items()
    ]
    names = tuple(frame.columns)
    lines = np.arange(len(frame))
    return Table(names, tuple(columns), lines=lines, all_names=names)


def chosen_reading(
    header: bool | None, reading: Reading | None, schema: Schema | None, drop: Sequence[Place]
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


def is_asked(chosen: Reading, learned: Reading, of_pictures: bool = False) -> bool:
    """Whether somebody asks for another reading than the schema's, which is for files; pictures have their own."""
    if of_pictures:
        chosen = replace(chosen, image_size=learned.image_size, image_mode=learned.image_mode)
    return replace(chosen, columns=learned.columns) != learned


def is_pictures(source: Any) -> bool:
    """Whether `source` is a picture by its name, or a folder without IDX files."""
    if not isinstance(source, (str, os.PathLike)) or str(source) in BUILTIN:
        return False
    path = Path(source)
    if not os.path.isdir(path):
        return is_picture_name(path.name)
    try:
        return not any(map(is_idx_name, os.listdir(path)))
    except OSError as error:
        raise unreadable(path, error) from error


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
    if is_picture_name(path.name):
        file_size(path)
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
    test, validation = (
        None if part is None else with_task(part, task)
        for part in (dataset.test, dataset.validation)
    )
    target = target_for(dataset.target, task)
    return replace(dataset, task=task, target=target, test=test, validation=validation)
