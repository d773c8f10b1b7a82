"""Split a table into features and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.data.dataset import Dataset, Features, Task
from anyarray_mlp.data.encoding import as_array, column_values
from anyarray_mlp.data.pixels import (
    Found,
    bytes_in,
    find_pixels,
    is_label,
    lists_of_numbers,
    pixels_listed,
)
from anyarray_mlp.data.preprocessing import Schema
from anyarray_mlp.data.targets import are_integers, infer_task, target_for, tidy_target
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables import ColumnReading, Reading, Table, table_in
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.places import find_place
from anyarray_mlp.tables.table import Column as TableColumn
from anyarray_mlp.tables.table import Columns, nothing_in
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas

Column = str | int

#: So many different texts may be classes even if most occur once.
MOST_RARE_CLASSES = 20


def load_table(
    path: Path,
    *,
    target: Column | Sequence[Column] | None = None,
    task: Task | None = None,
    reading: Reading | None = None,
    schema: Schema | None = None,
) -> Dataset:
    """The set in a table. Unless `target` names it, the target is that of `schema`, or else the last column.

    Raises `DataError` for an unknown column, a missing target, or a target that does not fit `task`.
    """
    reading = reading or Reading()
    wanted = [target] if isinstance(target, (str, int)) else list(target or ())
    of_pictures = schema is not None and schema.preprocessor.pixels

    def known(names: list[str]) -> Mapping[str, ColumnReading]:
        if schema is None:
            return {}
        learned = replace(schema, reading=reading)
        if of_pictures:
            return learned.readings_of_pictures(names)
        return learned.readings(*cut(names, wanted, reading.drop, schema, path))

    table = table_in(path, reading, known)
    if len(table.all_names) == 1:
        raise DataError(
            f"{path}: has only one column; give features besides the target, separated by a comma, semicolon, tab, | "
            "or blanks"
        )
    if table.lacks_target:
        raise DataError(
            f"{path}: is {table.lacks_target}; save both with np.savez(path, x=..., y=...)"
        )
    table = with_zeros(table, schema)
    if schema is None and not wanted:
        wanted = [name for name in table.targets if name in table.names]
    found, wanted_by_name = None, bool(wanted)
    if schema is None or of_pictures:
        found, wanted = pixels_and_target(table, wanted, reading, schema, path)
    features, targets = cut(list(table.all_names), wanted, reading.drop, schema, path)
    check_read(table, targets, path)
    if of_pictures or (found is not None and found.are_bytes):
        return picture_set(table, found, targets, path, task, reading, schema)
    if schema is None:
        table = replace(table, notes=(*table.notes, *about_lists(table)))
    is_last = targets == list(table.all_names[-1:])
    if found is not None and not wanted_by_name and not is_last:
        note = f"{found.said} of one kind, so that {shown(targets[0])} is the target and not the last column"
        table = replace(table, notes=(*table.notes, note))
    frame, notes = frame_of(table), table.notes
    present = set(table.names)
    empty = [name for name in features if name not in present]
    if schema is None and empty:
        # Columns that hold nothing stay in their places: another table of the kind may have no header.
        frame = frame.reindex(columns=[*frame.columns, *empty])
        notes = tuple(note for note in notes if note != nothing_in(empty))
        present |= set(empty)
    kept = [name for name in features if name in present]
    dataset = dataset_of(frame, path, kept, targets, task)
    return replace(
        dataset,
        notes=notes,
        readings=table.reading.columns,
        has_last_target=is_last,
    )


def pixels_and_target(
    table: Table,
    wanted: Sequence[Column],
    reading: Reading,
    schema: Schema | None,
    path: Path,
) -> tuple[Found | None, list[Column]]:
    """The pixels of a table of pictures, if it is one, and its target, which is never one of them unless asked for."""
    names = list(table.all_names)
    besides = [find_column(names, column, path) for column in (*wanted, *reading.drop)]
    known = [] if schema is None else [name for name in schema.target_names if name in names]
    texts = [find_column(names, column, path) for column in reading.text]
    found = find_pixels(table, [*besides, *known], reading.pixels, texts)
    if found is None or wanted or known:
        return found, list(wanted)
    return found, list(found.targets(path))


def picture_set(
    table: Table,
    found: Found | None,
    targets: Sequence[str],
    path: Path,
    task: Task | None,
    reading: Reading,
    schema: Schema | None,
    frame: pandas.DataFrame | None = None,
) -> Dataset:
    """The set of a table of pictures, as bytes; of a model's, in the form of its own. `frame`: the table as it came."""
    notes = list(table.notes)
    if schema is None:
        assert found is not None
        pixels: Features = pixels_of(table, found, path)
        names, shape, image_column = found.columns, found.shape, None
        if found.is_listed:
            image_column = found.columns[0]
            names = tuple(f"{image_column}_{number}" for number in range(pixels.shape[1]))
        notes.append(about_pictures(found, pixels.shape[1], targets))
    else:
        pixels = pixels_for(table, schema, path, targets, reading)
        names, shape, image_column = schema.preprocessor.names, None, reading.image_column
    beside = [name for name in table.names if found is None or name not in set(found.columns)]
    others = columns_of(table, beside) if frame is None else frame[beside]
    values = target_values(others, targets, task, path)
    if task is None:
        check_classes(values, targets, path)
        is_named = len(targets) == 1 and is_label(targets[0])
        task = "classification" if is_named and are_integers(values) else infer_task(values)
    return Dataset(
        name=str(path),
        features=pixels,
        target=target_for(values, task),
        feature_names=names,
        target_name=targets[0] if len(targets) == 1 else tuple(targets),
        task=task,
        image_shape=shape,
        notes=tuple(notes),
        readings=table.reading.columns,
        others=others.drop(columns=list(targets)),
        image_column=image_column,
    )


def about_lists(table: Table) -> list[str]:
    """A note on columns of texts that list numbers and no pixels."""
    return [
        f"column {shown(name)}: lists numbers, which are read as texts; write each in a column of its own to use them"
        for name in lists_of_numbers(table.by_name)
    ]


def about_pictures(found: Found, width: int, targets: Sequence[str]) -> str:
    """The note on pictures that were found in a table."""
    shape = found.shape or (width,)
    size = " x ".join(map(str, shape[:2])) if found.shape else f"{width:,} pixels"
    grey = "" if not found.shape else " in three colours" if len(shape) > 2 else " in grey"
    whose = (
        f"column {shown(targets[0])} is the target"
        if len(targets) == 1
        else f"columns {listed(targets)} are"
    )
    undo = f"text=['{found.columns[0]}']" if found.is_listed else "pixels=False"
    how = "takes it as texts" if found.is_listed else "takes them as other numbers"
    return f"{found.said} the pixels of pictures of {size}{grey}, and {whose} ({undo} {how})"


def pixels_of(table: Table, found: Found, path: Path) -> Host:
    """The pictures (n, i) in a table, as bytes."""
    by_name = table.by_name
    if found.is_listed:
        name = found.columns[0]
        return pixels_listed(as_array(by_name[name]), name, table.lines.tolist(), path)
    pixels = np.empty((len(table), len(found.columns)), dtype=np.uint8)
    for place, name in enumerate(found.columns):
        pixels[:, place] = as_array(by_name[name])
    return pixels


def pixels_for(
    table: Table, schema: Schema, path: Path, besides: Sequence[str], reading: Reading
) -> Features:
    """The pictures (n, i) of a table for a model: by the names of columns, or else those that are found.

    Bytes; a DataFrame where the columns hold something else, which the model's encoding refuses with its place.
    """
    preprocessor, names = schema.preprocessor, [name for name in table.names if name not in besides]
    listed_column = reading.image_column
    if listed_column in table.names:
        column = as_array(table.by_name[str(listed_column)])
        return pixels_listed(column, str(listed_column), table.lines.tolist(), path)
    found = None
    if not preprocessor.is_by_name(names) and not preprocessor.is_by_place(names):
        found = find_pixels(table, besides, reading.pixels)
    if found is not None and found.is_listed:
        return pixels_of(table, found, path)
    if found is not None and len(found.columns) == preprocessor.n_features_in:
        return pixels_of(table, found, path)
    frame = columns_of(table, names)
    if listed_column is not None and not preprocessor.is_by_place(names):
        raise DataError(
            f"{path}: no column {shown(listed_column)}, which lists the pixels of each picture that the model knows"
        )
    chosen = preprocessor.select(frame)
    columns = [chosen.iloc[:, place].to_numpy() for place in range(chosen.shape[1])]
    if not all(bytes_in(column)[0] for column in columns):
        return chosen
    return np.stack(columns, axis=1).astype(np.uint8)


def with_zeros(table: Table, schema: Schema | None) -> Table:
    """A sparse table with the columns of a model that it does not name, which hold zeros; any other as it is."""
    if schema is None or not table.is_sparse:
        return table
    known = (*schema.preprocessor.used_names, *schema.target_names)
    present = set(table.all_names)
    absent = tuple(name for name in known if name not in present)
    zeros = np.zeros(len(table))
    return replace(
        table,
        names=(*absent, *table.names),
        columns=(*(zeros,) * len(absent), *table.columns),
        all_names=(*absent, *table.all_names),
    )


def check_read(table: Table, targets: Sequence[str], path: Path) -> None:
    """Raise `DataError` for a target without values."""
    for name in targets:
        if name not in table.names:
            raise DataError(f"{path}: column {shown(name)} holds no value; name another target")


def frame_of(table: Table) -> pandas.DataFrame:
    """A table as a DataFrame whose index has each row's line in the file; texts that are coded are categories there."""
    import pandas

    index = pandas.Index(np.asarray(table.lines, dtype=np.int64), name="line")
    kept = list(enumerate(table.kept))
    numbers = {place: as_array(column) for place, column in kept if column.dtype.kind == "f"}
    texts = {place: series_of(column, index) for place, column in kept if place not in numbers}
    frames = [pandas.DataFrame(texts, index=index)] if texts else []
    if numbers:
        # As one block, in which pandas finds a column at once.
        block = np.stack(list(numbers.values()))
        frames.append(pandas.DataFrame(block.T, index=index, columns=list(numbers), copy=False))
    frame = frames[0] if len(frames) == 1 else pandas.concat(frames, axis=1)[range(len(kept))]
    return frame.set_axis(list(table.names), axis=1)


def series_of(column: TableColumn, index: pandas.Index[Any]) -> pandas.Series[Any]:
    """A column of texts or dates as one of a DataFrame."""
    import pandas

    if not isinstance(column, CodedTexts):
        kind = None if column.dtype.kind == "M" else object
        return pandas.Series(column, index, dtype=kind)
    levels = pandas.Index(column.levels, dtype=object)
    return pandas.Series(pandas.Categorical.from_codes(column.codes, levels), index)


def columns_of(table: Table, names: Sequence[str]) -> pandas.DataFrame:
    """Some columns of a table as a DataFrame."""
    by_name = table.by_name
    columns = Columns([by_name[name] for name in names])
    return frame_of(replace(table, names=tuple(names), columns=columns))


def dataset_of(
    table: pandas.DataFrame,
    path: Path,
    features: Sequence[str],
    targets: Sequence[str],
    task: Task | None,
) -> Dataset:
    """The set in a table; `path` is what messages call it."""
    if not features:
        raise DataError(f"{path}: no column is left for the features; give one besides the target")
    values = target_values(table, targets, task, path)
    if task is None:
        check_classes(values, targets, path)
    kept = table[list(features)]
    chosen = infer_task(values) if task is None else task
    return Dataset(
        name=str(path),
        features=kept,
        target=target_for(values, chosen),
        feature_names=tuple(kept.columns),
        target_name=targets[0] if len(targets) == 1 else tuple(targets),
        task=chosen,
    )


def check_classes(values: Host, targets: Sequence[str], path: Path) -> None:
    """Raise `DataError` for texts most of which occur once, as names and ill-written numbers do."""
    if values.dtype.kind != "U" or values.ndim != 1:
        return
    distinct = len(np.unique(values))
    if distinct > max(MOST_RARE_CLASSES, len(values) / 2):
        raise DataError(
            f"{path}: column {shown(targets[0])}: the target holds {distinct:,} different texts in {len(values):,} "
            f"rows, such as {shown(values[0])}, which are no classes; name another target, or say that the task is "
            "classification"
        )


def cut(
    columns: list[str],
    wanted: Sequence[Column],
    drop: Sequence[Column],
    schema: Schema | None,
    path: Path,
) -> tuple[list[str], list[str]]:
    """The names of the features and of the targets; column numbers refer to the file, before anything is dropped."""
    dropped = [find_column(columns, column, path) for column in drop]
    targets = list(dict.fromkeys(find_column(columns, column, path) for column in wanted))
    both = [name for name in targets if name in dropped]
    if both:
        raise DataError(
            f"{path}: column {shown(both[0])} is both the target and to be dropped; leave one out"
        )
    kept = [name for name in columns if name not in dropped]
    if not targets and kept:
        targets = default_targets(kept, schema, path)
    features = [name for name in kept if name not in targets]
    if not targets or not features:
        raise DataError(
            f"{path}: no column is left for the features; drop fewer, or name fewer targets"
        )
    return features, targets


def default_targets(columns: list[str], schema: Schema | None, path: Path) -> list[str]:
    """The columns that a model of this schema predicts, or else the last one."""
    known = [] if schema is None else list(schema.target_names)
    if known and all(name in columns for name in known):
        return known
    if schema is not None and known and columns[-1] in schema.preprocessor.names:
        raise DataError(
            f"{path}: no column {listed(known)}, which the model predicts; "
            "give labelled rows, or name the target's column"
        )
    return columns[-1:]


def find_column(names: list[str], column: Column, path: Path) -> str:
    """The name of a column given by name or by number, from 0 (negative: from the end)."""
    return names[find_place(names, column, path)]


def target_values(
    table: pandas.DataFrame, names: Sequence[str], task: Task | None, path: Path
) -> Host:
    """The target columns as one tidy array; raises `DataError` for a missing value or for text as numbers."""
    for name in names:
        missing = table[name].isna().to_numpy()
        if missing.any():
            raise DataError(
                f"{path}: line {table.index[missing][0]}, column {shown(name)}: "
                f"the target is missing{f' (and on {missing.sum() - 1} more lines)' if missing.sum() > 1 else ''}; "
                "delete these lines, or name another target"
            )
        column = table[name].to_numpy()
        if task in ("regression", "multilabel") and column.dtype.kind not in "biuf":
            raise DataError(
                f"{path}: line {table.index[0]}, column {shown(name)}: {shown(column[0])} is not a number; "
                f"a {task} target needs numbers, so name another column or use task 'classification'"
            )
    if len(names) == 1:
        cells = column_values(table[names[0]])
        if isinstance(cells, CodedTexts):
            texts = cells.tidy()
            found: Host = np.array(texts.levels, dtype=str)[texts.codes]
            return found
    values = table[list(names)].to_numpy()
    return tidy_target(np.ascontiguousarray(values), f"{path}: the target {listed(names)}")
