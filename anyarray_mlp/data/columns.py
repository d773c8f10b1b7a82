"""Cut a table into features and target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from .dataset import Dataset, Task
from .messages import listed, shown, suggestion
from .tables import read_table
from .tasks import infer_task, target_for, tidy_target

if TYPE_CHECKING:
    import pandas

Array = Any
Column = str | int


def load_table(
    path: Path,
    *,
    target: Column | Sequence[Column] | None = None,
    task: Task | None = None,
    drop: Sequence[Column] = (),
    header: bool | None = None,
) -> Dataset:
    """The set in a text table; the target is its last column unless named.

    Raises `DataError` for an unknown column, a missing target, or a target that does not fit
    `task`.
    """
    table = read_table(path, header=header)
    # Places count in the file, so all columns are found before any is dropped.
    dropped = [find_column(table, column, path) for column in drop]
    wanted = [target] if isinstance(target, (str, int)) else list(target or ())
    names = list(dict.fromkeys(find_column(table, column, path) for column in wanted))
    both = [name for name in names if name in dropped]
    if both:
        raise DataError(
            f"{path}: column {shown(both[0])} is to be the target and to be dropped; leave one out"
        )
    table = table.drop(columns=dropped)
    if not names and table.shape[1]:
        names = [str(table.columns[-1])]
    if not names or len(names) == table.shape[1]:
        raise DataError(
            f"{path}: no column is left for the features; drop fewer, or name fewer targets"
        )
    values = target_values(table, names, task, path)
    features = table.drop(columns=names)
    chosen = infer_task(values) if task is None else task
    return Dataset(
        name=str(path),
        features=features,
        target=target_for(values, chosen),
        feature_names=tuple(features.columns),
        target_name=names[0] if len(names) == 1 else tuple(names),
        task=chosen,
    )


def find_column(table: pandas.DataFrame, column: Column, path: Path) -> str:
    """The name of a column given by name, or by its place from 0 (negative: from the end)."""
    names = list(table.columns)
    if column in names:
        return str(column)
    try:
        return str(names[int(column)])
    except IndexError:
        raise DataError(
            f"{path}: no column {column}; there are {len(names)}, counted from 0 to "
            f"{len(names) - 1}"
        ) from None
    except (TypeError, ValueError):
        raise DataError(
            f"{path}: no column {shown(column)}{suggestion(column, names)}; the columns are "
            f"{listed(names)}"
        ) from None


def target_values(
    table: pandas.DataFrame, names: list[str], task: Task | None, path: Path
) -> Array:
    """The target columns as one tidy array; raises `DataError` for a gap or an unfit text."""
    for name in names:
        missing = table[name].isna().to_numpy()
        if missing.any():
            raise DataError(
                f"{path}: line {table.index[missing][0]}, column {shown(name)}: the target is "
                "missing"
                f"{f' (and on {missing.sum() - 1} more lines)' if missing.sum() > 1 else ''}; "
                "delete such lines, or name another target"
            )
        column = table[name].to_numpy()
        if task in ("regression", "multilabel") and column.dtype.kind not in "biuf":
            raise DataError(
                f"{path}: line {table.index[0]}, column {shown(name)}: {shown(column[0])} is not "
                "a number; "
                f"a {task} target needs numbers, so name another column or use task "
                "'classification'"
            )
    values = table[names].to_numpy()
    return tidy_target(np.ascontiguousarray(values), f"{path}: the target {listed(names)}")
