"""Columns of a table that are asked for, by name or place, and their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.data.cells import as_array, column_values
from anyarray_mlp.data.dataset import Task
from anyarray_mlp.data.schema import Schema
from anyarray_mlp.data.targets import tidy_target
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables import Table
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.places import find_place
from anyarray_mlp.tables.reading import Place
from anyarray_mlp.tables.table import Column, Columns
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas


#: So many different texts may be classes even if most occur once.
MOST_RARE_CLASSES = 20


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


def series_of(column: Column, index: pandas.Index[Any]) -> pandas.Series[Any]:
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


def find_column(names: list[str], column: Place, path: Path) -> str:
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
