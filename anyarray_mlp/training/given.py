"""Data as users have them: tables and lists become arrays, once and exactly; arrays of any library stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from anyarray_mlp.checking.free_memory import is_large
from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.checking.values import items
from anyarray_mlp.data.cells import is_gap
from anyarray_mlp.data.stored import StoredRows, is_mapped
from anyarray_mlp.errors import DataError, UsageError, in_a_line
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.recipe import Recipe
from anyarray_mlp.typing import Host

#: The kinds of NumPy's dtypes that a network computes with.
NUMBERS = "fiub"
CURE = {
    "x": "turn it into numbers, or use train_table, which encodes the columns of a table",
    "targets": "give numbers, classes as integers from 0, or use train_table, which takes labels as they are",
}


class Given(NamedTuple):
    """What is to be trained on, as arrays, and what its columns are called: () if they have no names."""

    x: Any
    targets: Any
    sample_weight: Any
    validation: Any
    columns: tuple[str, ...]
    target_names: tuple[str, ...]

    @property
    def in_batches(self) -> bool:
        """Whether x is what gives batches, each with its targets and weights."""
        return self.targets is None


def as_given(
    mlp: MLP, x: Any, targets: Any, sample_weight: Any = None, validation: Any = None
) -> Given:
    """The arrays of what a user gave; `DataError` for what holds no numbers, and for tables of other columns.

    Without targets, x gives batches and stays as it is.
    """
    if isinstance(targets, Recipe):
        raise UsageError(
            "targets is a Recipe: with batches, which bring their targets, write recipe=..."
        )
    if targets is None and sample_weight is not None:
        raise UsageError(
            "sample_weight is for arrays: in batches give the weights as the third item of each."
        )
    columns = () if targets is None else column_names(x)
    if validation is not None:
        pair = items("validation", validation, "a pair (x, targets)")
        if len(pair) != 2:
            raise UsageError(f"validation must be a pair (x, targets), got {len(pair)} items.")
        there = column_names(pair[0])
        if columns and there and columns != there:
            raise DataError(
                f"The validation set has the columns {listed(there)} and x has {listed(columns)}: give the same ones, "
                "in the same order."
            )
        try:
            validation = inputs_of(pair[0]), as_targets(mlp, pair[1])
        except DataError as error:
            raise DataError(f"The validation set: {error}") from None
    weight = None if sample_weight is None else as_rows("sample_weight", sample_weight)
    if targets is None:
        return Given(x, None, None, validation, (), ())
    rows = inputs_of(x), as_targets(mlp, targets)
    return Given(*rows, weight, validation, columns, column_names(targets))


def inputs_of(x: Any) -> Any:
    """Inputs as `as_rows` has them; a memory map that is large beside what is free of memory stays on disk."""
    rows = as_rows("x", x)
    if is_mapped(rows) and rows.ndim == 2 and is_large(rows.nbytes):
        return StoredRows.of(rows)
    return rows


def as_targets(mlp: MLP, targets: Any) -> Any:
    """Targets as an array; one number for each row, (n,), is (n, 1) for a network of one output."""
    targets = as_rows("targets", targets)
    one_each = mlp.sizes[-1] == 1 and len(getattr(targets, "shape", ())) == 1
    return targets[:, None] if one_each else targets


def as_rows(name: str, value: Any) -> Any:
    """The array of a DataFrame or Series of pandas or polars, or of lists; arrays of numbers are returned as they are.

    The columns of a table come to the type that NumPy joins theirs to. Raises `DataError`, which names the first entry
    that is no number.
    """
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in NUMBERS else numbers(name, value)
    frame = columns_of(value)
    if frame is not None:
        return joined(name, frame)
    if is_column(value):
        return column_of(name, value)
    if is_array(value):
        return value
    if isinstance(value, str | bytes | dict | set) or not isinstance(value, Iterable):
        raise DataError(f"{name} must be an array, a table or a list of rows, got {shown(value)}.")
    if hasattr(value, "__next__"):
        raise DataError(
            f"{name} must be an array, a table or a list of rows, got a {type(value).__name__}: to train on batches "
            "give these alone, without targets."
        )
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        if "inhomogeneous" in str(error):
            raise DataError(f"{name} has rows of different lengths: give each as many.") from None
        raise DataError(f"{name} is no array of numbers ({in_a_line(error)}).") from None
    if array.dtype.kind in "US":  # the numbers beside texts became texts themselves
        array = np.asarray(value, dtype=object)
    return array if array.dtype.kind in NUMBERS else numbers(name, array)


def is_array(value: Any) -> bool:
    """Whether a value is an array, of any library, or a sparse matrix."""
    return hasattr(value, "shape") and hasattr(value, "dtype") and not is_column(value)


def is_column(value: Any) -> bool:
    """Whether a value is a Series of pandas or polars (told by what they have, so that neither need be loaded)."""
    return hasattr(value, "to_numpy") and hasattr(value, "name") and hasattr(value, "dtype")


def columns_of(value: Any) -> list[tuple[str, Any]] | None:
    """Names and columns of a DataFrame of pandas or polars; None for anything else."""
    if hasattr(value, "iloc") and getattr(value, "ndim", 0) == 2:
        return [(str(name), column) for name, column in value.items()]
    if hasattr(value, "get_columns"):
        return [(str(column.name), column) for column in value.get_columns()]
    return None


def column_names(value: Any) -> tuple[str, ...]:
    """The names of a table's columns, or of a column; () if it has none, or one comes twice."""
    frame = columns_of(value)
    if frame is not None:
        names = tuple(name for name, _ in frame)
        return names if len(set(names)) == len(names) else ()
    name = value.name if is_column(value) else None
    return (str(name),) if name not in (None, "") else ()


def joined(name: str, frame: list[tuple[str, Any]]) -> Host:
    """The columns of a table side by side, (n, columns)."""
    columns = [column_of(name, column, f" of column {shown(title)}") for title, column in frame]
    if not columns:
        raise DataError(f"{name} has no columns.")
    return np.stack(columns, axis=1, dtype=np.result_type(*{each.dtype for each in columns}))


def column_of(name: str, column: Any, where: str = "") -> Host:
    """The numbers (n,) of a table's column, without gaps."""
    values = np.asarray(column.to_numpy())
    if hasattr(column.dtype, "categories"):
        raise DataError(f"{name} holds categories{where}: {cure_of(name)}.")
    if values.dtype.kind not in NUMBERS:
        values = numbers(name, values, where)
    gaps = np.isnan(values) if values.dtype.kind == "f" else np.zeros(0)
    if gaps.any():
        refuse_gap(name, int(gaps.argmax()), where)
    return values


def numbers(name: str, values: Host, where: str = "") -> Host:
    """An array of Python's numbers as one of NumPy's; `DataError`, which names the first entry that is none."""
    if values.ndim == 0:
        raise DataError(f"{name} must be an array, a table or a list of rows, got {shown(values)}.")
    found = values.ravel().tolist() if values.dtype.kind == "O" else []
    if found and all(isinstance(each, Real | np.bool_) for each in found):
        array = np.array(found)
        if array.dtype.kind in NUMBERS:
            return array.reshape(values.shape)
    bad = next((n for n, v in enumerate(found) if not isinstance(v, Real | np.bool_)), 0)
    row = int(np.unravel_index(bad, values.shape)[0]) if values.size else 0
    entry = values.ravel()[bad : bad + 1].tolist()
    if entry and is_gap(entry[0]):
        refuse_gap(name, row, where)
    example = f", such as {shown(entry[0])} in row {row}{where}" if entry else ""
    raise DataError(
        f"{name} must hold numbers, got dtype {values.dtype}{example}: {cure_of(name)}."
    )


def refuse_gap(name: str, row: int, where: str) -> None:
    """Raise `DataError` for a value that is missing."""
    raise DataError(
        f"{name} has no value in row {row}{where}: fill the gaps, or use train_table, which does."
    )


def cure_of(name: str) -> str:
    """What to do about data that are no numbers."""
    return CURE.get(name, "give numbers")
