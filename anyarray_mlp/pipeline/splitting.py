"""Which rows of a data set are trained on, which are validated on, and which test the final model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import counted, listed, shown, suggestion
from anyarray_mlp.data import Dataset, split_by_folds, split_indices
from anyarray_mlp.data.cells import as_array, as_columns, count_texts, is_gap, is_numeric
from anyarray_mlp.data.dates import AMBIGUOUS, days_of_column, form_of
from anyarray_mlp.data.roles import as_numbers, told_forms
from anyarray_mlp.data.stored_frame import StoredFrame
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.pipeline.table import Table
from anyarray_mlp.typing import Host

Rows = NDArray[np.int64]
#: Labels that are looked at at a time, and classes whose places take a byte.
ROWS_AT_ONCE, MOST_PLACES = 1 << 16, 256


@dataclass(frozen=True)
class Split:
    """Rows to train on, to validate on and to test on, ascending; `notes` says what was decided.

    dataset : without the columns that only say which rows belong together.
    folds : of several networks, what each of them holds out: places among the rows to train on, ascending.
    """

    dataset: Dataset
    training: Rows
    validation: Rows
    test: Rows
    notes: tuple[str, ...] = ()
    folds: tuple[Rows, ...] = ()


@dataclass(frozen=True, eq=False)
class Rule:
    """What keeps rows together or in order.

    groups, times : at most one of them, (n,), by the `cells` of column `name`.
    labels : the classes of the rows, (n,), if there are any.
    """

    name: str = ""
    groups: Host | None = None
    times: Host | None = None
    cells: Host | None = None
    labels: Host | None = None

    def hold_out(self, rows: Rows, fraction: float, seed: int, stream: str) -> tuple[Rows, Rows]:
        """Some rows in those to keep and a fraction to hold out."""
        if fraction == 0:
            return rows, rows[:0]
        parts = {"labels": self.labels, "groups": self.groups, "times": self.times}
        given = {name: part[rows] for name, part in parts.items() if part is not None}
        kept, held_out = split_indices(
            len(rows), fraction=fraction, seed=seed, stream=stream, **given
        )
        return rows[kept], rows[held_out]


def split(
    dataset: Dataset, table: Table, seed: int, members: int = 1, tested: Rows | None = None
) -> Split:
    """Split the rows of a data set as the settings say; its own test set, if it has one, is not looked at.

    Of several members, all rows that are left are to train on, and each holds some out. `tested` are the rows to test
    on, if they are not to be drawn.

    Raises `DataError` for a column that is not there or does not say what it should, and where nothing is left to
    validate on.
    """
    fractions = (
        0.0 if dataset.validation is not None else table.validation_fraction,
        table.test_fraction,
    )
    if table.folds is not None:
        return split_by_column(dataset, table, seed, members)
    rule, dataset = rule_of(dataset, table)
    rest = np.arange(len(dataset))
    test = rest[:0]
    if tested is not None:
        rest, test = np.setdiff1d(rest, tested), tested
    elif dataset.test is None and table.test is None:
        rest, test = rule.hold_out(rest, table.test_fraction, seed, "test split")
    if members > 1:
        folds = held_out_by_each(rule, rest, fractions, seed, members)
        notes = (note_of(rule, {"test": test}, rest),) if rule.name else ()
        return Split(dataset, rest, rest[:0], test, tuple(filter(None, notes)), folds)
    training, validation = validation_rows(rule, rest, fractions, seed, len(test))
    parts = {"test": test, "validation": validation}
    notes = (note_of(rule, parts, training),) if rule.name else ()
    return Split(dataset, training, validation, test, tuple(filter(None, notes)))


def validation_rows(
    rule: Rule, rest: Rows, fractions: tuple[float, float], seed: int, tested: int
) -> tuple[Rows, Rows]:
    """The rows to train on and to validate on; a `DataError` that names both fractions where there can be none."""
    validation_fraction, test_fraction = fractions
    try:
        return rule.hold_out(rest, validation_fraction, seed, "validation split")
    except DataError as error:
        held_out = (
            f" after test_fraction={test_fraction:g} has held out {tested:,}" if tested else ""
        )
        raise DataError(
            f"validation_fraction={validation_fraction:g} of the {counted(len(rest), 'row')} left{held_out} cannot be "
            f"had: {error}; or set validation_fraction=0"
        ) from None


def held_out_by_each(
    rule: Rule, rows: Rows, fractions: tuple[float, float], seed: int, members: int
) -> tuple[Rows, ...]:
    """What each of several networks holds out to validate on, as places among the rows; nothing if that is no share.

    Each holds out other rows as long as there are any, then the first ones come again. So all rows are seen, and those
    of a class that are all left for the last are never held out. Raises `DataError` where the first cannot have any.
    """
    if not fractions[0]:
        return ()
    parts = dealt(rule, rows, fractions[0], members, seed, "validation split")
    if not parts:
        validation_rows(rule, rows, fractions, seed, 0)  # says why
    places = [np.searchsorted(rows, part) for part in parts if len(part)]
    return tuple(places[number % len(places)] for number in range(members))


def dealt(
    rule: Rule, rows: Rows, fraction: float, number: int, seed: int, stream: str
) -> list[Rows]:
    """A fraction of the rows, the same fraction of them from what is left, and so on, as long as there are any.

    The last share is what is left, without rows of classes that no other rows have.
    """
    left = rows
    parts: list[Rows] = []
    for taken in range(min(number, int(1.0 / fraction + 1e-9))):
        share = fraction / (1.0 - taken * fraction)
        try:
            if share < 1.0 - 1e-9:
                left, part = rule.hold_out(left, share, seed, stream)
            else:
                part = of_classes_elsewhere(rule.labels, rows, left)
        except DataError:
            break
        parts.append(part)
    return parts


def of_classes_elsewhere(labels: Host | None, rows: Rows, some: Rows) -> Rows:
    """Those of some rows whose class others of the rows have as well; all if there are no classes."""
    if labels is None:
        return some
    others = labels[np.setdiff1d(rows, some, assume_unique=True)]
    return some[np.isin(labels[some], others)]


def rule_of(dataset: Dataset, table: Table) -> tuple[Rule, Dataset]:
    """How rows are held out, and the data set without a column of groups, which tells nothing of a new group.

    A column of times stays an input unless it is to be dropped.
    """
    labels = labels_of(dataset)
    if table.is_by_time:
        assert table.split is not None
        name = str(table.splitting)
        cells = column_of(dataset, name, "split")
        times = times_of(dataset, name, cells, table)
        kept = without_column(dataset, name) if name in table.drop else dataset
        return Rule(name, times=times, cells=cells, labels=labels), kept
    if table.group is not None:
        values = column_of(dataset, table.group, "group")
        missing = np.array([is_gap(value) for value in values], dtype=bool)
        if missing.any():
            raise missing_value(dataset, table.group, missing, "to which group its row belongs")
        groups = values if values.dtype.kind in "biuf" else values.astype(str)
        kept = dataset if table.group in table.keep else without_column(dataset, table.group)
        return Rule(table.group, groups=groups, labels=labels), kept
    return Rule(labels=labels), dataset


def labels_of(dataset: Dataset) -> Host | None:
    """The classes of the rows, if there are any; of a table on disk with few classes as their places among these."""
    if dataset.task != "classification":
        return None
    labels = dataset.target
    if not isinstance(dataset.features, StoredFrame):
        return labels
    parts = range(0, len(labels), ROWS_AT_ONCE)
    distinct = np.unique(
        np.concatenate([np.unique(labels[start : start + ROWS_AT_ONCE]) for start in parts])
    )
    if len(distinct) > MOST_PLACES:
        return labels
    places = np.empty(len(labels), np.uint8)
    for start in parts:
        part = slice(start, start + ROWS_AT_ONCE)
        places[part] = np.searchsorted(distinct, labels[part])
    dataset.features.shelf.release()
    return places


def split_by_column(dataset: Dataset, table: Table, seed: int, members: int) -> Split:
    """The split that a column of folds says; without validation rows in it, they are drawn from those to train on."""
    assert table.folds is not None
    if dataset.test is not None:
        raise DataError(f"{dataset.name} has a test set of its own; leave folds out")
    values = column_of(dataset, table.folds, "folds")
    missing = np.array([is_gap(value) for value in values], dtype=bool)
    if missing.any():
        raise missing_value(dataset, table.folds, missing, "to which part its row belongs")
    found = split_by_folds(values, table.folds)
    dataset = without_column(dataset, table.folds)
    training, validation = found.training, found.validation
    if not len(validation):
        labels = labels_of(dataset)
        fractions, rule = (table.validation_fraction, 0.0), Rule(labels=labels)
        if members > 1:
            folds = held_out_by_each(rule, training, fractions, seed, members)
            return Split(dataset, training, validation, found.test, (found.note,), folds)
        training, validation = validation_rows(rule, training, fractions, seed, 0)
    return Split(dataset, training, validation, found.test, (found.note,))


def column_of(dataset: Dataset, name: str, setting: str) -> Host:
    """A column of a table, by name, as numbers, texts or times."""
    features = dataset.features if dataset.others is None else dataset.others
    if not hasattr(features, "iloc"):
        raise UsageError(
            f"{setting} names a column of a table, and {dataset.name} is none: leave it out."
        )
    if name in names_of_target(dataset):
        raise DataError(
            f"{dataset.name}: {setting} names column {shown(name)}, which is the target; name another one of them"
        )
    names = [str(column) for column in features.columns]
    if name not in names:
        raise DataError(
            f"{dataset.name}: {setting} names no column: {shown(name)}{suggestion(name, names)}; the columns are "
            f"{listed(names)}"
        )
    table = features.iloc[:, [names.index(name)]]
    ((_, values),) = as_columns(table, None).items
    return as_array(values)


def names_of_target(dataset: Dataset) -> tuple[str, ...]:
    """The columns of the target."""
    names = dataset.target_name
    return (names,) if isinstance(names, str) else names


def without_column(dataset: Dataset, name: str) -> Dataset:
    """The data set without one of its features; beside pixels, it is none."""
    if dataset.others is not None:
        return dataset
    kept = [column for column in dataset.features.columns if str(column) != name]
    if not kept:
        raise DataError(f"{dataset.name}: no feature is left beside column {shown(name)}")
    return replace(dataset, features=dataset.features[kept], feature_names=tuple(map(str, kept)))


def missing_value(dataset: Dataset, name: str, missing: Host, what: str) -> DataError:
    """The error for a row in which a column does not say what it must."""
    row = int(missing.argmax())
    index = (dataset.features if dataset.others is None else dataset.others).index
    place = f"line {index[row]}" if index.name == "line" else f"row {row} (from 0)"
    return DataError(
        f"{dataset.name}: {place}, column {shown(name)} does not say {what}; fill it in, or delete the row"
    )


def times_of(dataset: Dataset, name: str, values: Host, table: Table) -> Host:
    """When each row was, as numbers (n,), by the cells of a column."""
    form: str | None = told_forms(table.date).get(name) or None
    if values.dtype.kind != "M" and is_numeric(values) and form is None:
        times = as_numbers(values)
    else:
        if values.dtype.kind != "M" and form is None:
            form = form_of(count_texts(values))
            if form == AMBIGUOUS:
                raise DataError(
                    f"{dataset.name}: the dates of column {shown(name)} are d/m/y as well as m/d/y; say which with "
                    f"date={[f'{name}:d/m/y']} or date={[f'{name}:m/d/y']}"
                )
            if form is None:
                raise DataError(
                    f"{dataset.name}: column {shown(name)} holds neither numbers nor dates of one form, so no row is "
                    "later than another; write dates as 2024-01-31"
                )
        times = days_of_column(values, form or "datetime", is_gap)
    missing = np.isnan(times)
    if missing.any():
        raise missing_value(dataset, name, missing, "when its row was")
    return times


def note_of(rule: Rule, parts: dict[str, Rows], training: Rows) -> str:
    """What a split by time or by group came to."""
    held = {name: rows for name, rows in parts.items() if len(rows)}
    if not held:
        return ""
    if rule.times is not None:
        times, cells = rule.times, rule.cells
        assert cells is not None
        said = [
            f"{counted(len(rows), 'row')} of {name} from {cells[rows[times[rows].argmin()]]} on"
            for name, rows in held.items()
        ]
        last = cells[training[times[training].argmax()]]
        return f"split by time, column {shown(rule.name)}: {' and '.join(said)}, rows to train on up to {last}"
    groups: Any = rule.groups
    said = [
        f"{counted(len(np.unique(groups[rows])), 'group')} ({counted(len(rows), 'row')}) of {name}"
        for name, rows in held.items()
    ]
    own = counted(len(np.unique(groups[training])), "group")
    return f"split by group, column {shown(rule.name)}: {' and '.join(said)}, {own} to train on"
