"""Split a table into features and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.data.chosen_columns import (
    check_classes,
    default_targets,
    find_column,
    frame_of,
    target_values,
)
from anyarray_mlp.data.dataset import Dataset, Task
from anyarray_mlp.data.picture_tables import about_lists, picture_set, pixels_and_target, with_zeros
from anyarray_mlp.data.schema import Schema
from anyarray_mlp.data.targets import infer_task, target_for
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables import ColumnReading, Reading, Table, table_in
from anyarray_mlp.tables.reading import Place
from anyarray_mlp.tables.table import nothing_in

if TYPE_CHECKING:
    import pandas


def load_table(
    path: Path,
    *,
    target: Place | Sequence[Place] | None = None,
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


def check_read(table: Table, targets: Sequence[str], path: Path) -> None:
    """Raise `DataError` for a target without values."""
    for name in targets:
        if name not in table.names:
            raise DataError(f"{path}: column {shown(name)} holds no value; name another target")


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


def cut(
    columns: list[str],
    wanted: Sequence[Place],
    drop: Sequence[Place],
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
