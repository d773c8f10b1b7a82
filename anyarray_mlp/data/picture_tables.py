"""Tables that hold pictures: pixels in columns or in lists, or the names of picture files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.data.cells import as_array
from anyarray_mlp.data.chosen_columns import (
    check_classes,
    columns_of,
    find_column,
    target_values,
)
from anyarray_mlp.data.dataset import Dataset, Features, Task
from anyarray_mlp.data.pixels import (
    Found,
    bytes_in,
    find_pixels,
    is_label,
    lists_of_numbers,
    pixels_listed,
)
from anyarray_mlp.data.schema import Schema
from anyarray_mlp.data.targets import are_integers, infer_task, target_for
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables import Reading, Table
from anyarray_mlp.tables.reading import Place
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas


def pixels_and_target(
    table: Table,
    wanted: Sequence[Place],
    reading: Reading,
    schema: Schema | None,
    path: Path,
) -> tuple[Found | None, list[Place]]:
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
