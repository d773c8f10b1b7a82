"""Split a table into features and target."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.data.dataset import Dataset, Task
from anyarray_mlp.data.preprocessing import Schema
from anyarray_mlp.data.tables import read_table
from anyarray_mlp.data.targets import infer_task, target_for, tidy_target
from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas

Column = str | int


def load_table(
    path: Path,
    *,
    target: Column | Sequence[Column] | None = None,
    task: Task | None = None,
    drop: Sequence[Column] = (),
    header: bool | None = None,
    schema: Schema | None = None,
) -> Dataset:
    """The set in a text table. Unless `target` names it, the target is that of `schema`, or else the last column.

    Raises `DataError` for an unknown column, a missing target, or a target that does not fit `task`.
    """
    wanted = [target] if isinstance(target, (str, int)) else list(target or ())

    def texts(columns: list[str]) -> list[str]:
        return (
            [] if schema is None else schema.text_columns(*cut(columns, wanted, drop, schema, path))
        )

    return dataset_of(
        read_table(path, header=header, texts=texts), path, wanted, task, drop, schema
    )


def dataset_of(
    table: pandas.DataFrame,
    path: Path,
    wanted: Sequence[Column],
    task: Task | None,
    drop: Sequence[Column],
    schema: Schema | None = None,
) -> Dataset:
    """The set in a table; `path` is what messages call it."""
    kept, names = cut(list(table.columns), wanted, drop, schema, path)
    values = target_values(table, names, task, path)
    features = table[kept]
    chosen = infer_task(values) if task is None else task
    return Dataset(
        name=str(path),
        features=features,
        target=target_for(values, chosen),
        feature_names=tuple(features.columns),
        target_name=names[0] if len(names) == 1 else tuple(names),
        task=chosen,
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
    if column in names:
        return str(column)
    try:
        return str(names[place(column)])
    except IndexError:
        raise DataError(
            f"{path}: no column {shown(place(column))}; there are {len(names)}, counted from 0 to {len(names) - 1}"
        ) from None
    except (TypeError, ValueError):
        raise DataError(
            f"{path}: no column {shown(column)}{suggestion(column, names)}; the columns are {listed(names)}"
        ) from None


def place(column: Column) -> int:
    """A column number in plain digits; `ValueError` for any other text, such as 1_0 or 01."""
    if isinstance(column, str) and not re.fullmatch(r"-?(0|[1-9][0-9]*)", column):
        raise ValueError(column)
    return int(column)


def target_values(table: pandas.DataFrame, names: list[str], task: Task | None, path: Path) -> Host:
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
    values = table[names].to_numpy()
    return tidy_target(np.ascontiguousarray(values), f"{path}: the target {listed(names)}")
