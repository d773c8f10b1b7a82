"""Columns of any table as names and cells: numbers, times, texts that are told apart, objects; and which are gaps."""

from __future__ import annotations

import datetime
import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.data.dataset import Features
from anyarray_mlp.data.frames import of_arrow
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.header import UNNAMED
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas


COLUMNS_AT_ONCE = 32
CELLS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Places:
    """How to name a row in an error: by the file's line if the table knows it."""

    lines: Any

    def at(self, row: int) -> str:
        return f"row {row} (from 0)" if self.lines is None else f"line {self.lines[row]}"


#: The cells of a column: numbers, times or objects as an array (n,), or texts that are told apart already.
Cells: TypeAlias = "Host | CodedTexts"


@dataclass(frozen=True)
class Columns:
    """Features as named columns."""

    items: Iterable[tuple[str, Cells]]
    places: Places


def is_table(features: Features) -> bool:
    """Whether `features` is a DataFrame (told by its `iloc`, so that pandas need not be loaded)."""
    return hasattr(features, "iloc")


def unnamed(names: Sequence[str]) -> bool:
    """Whether the names are those given to columns that have none."""
    return any(
        all(name == f"{prefix}{name.removeprefix(prefix)}" and name.removeprefix(prefix).isdigit()
            for name in names)
        for prefix in (UNNAMED, "feature_")
    )  # fmt: skip


def array_names(features: Any, names: Sequence[str] | None) -> tuple[str, ...]:
    """The given names of an array's columns, or `feature_1`, `feature_2`, ..."""
    if names is None:
        return tuple(f"feature_{number}" for number in range(1, features.shape[1] + 1))
    if len(names) != features.shape[1]:
        raise DataError(
            f"{features.shape[1]} columns and {len(names)} names; give one name for each"
        )
    return tuple(names)


def as_columns(features: Features, names: Sequence[str] | None) -> Columns:
    """The columns of a table or an array, each numbers, texts that are told apart, or objects (n,)."""
    stored: Any = features
    if hasattr(stored, "cells"):  # a table on disk
        return Columns(stored.cells(), Places(stored.lines))
    if is_table(features):
        lines = features.index.to_numpy() if features.index.name == "line" else None
        return Columns(table_columns(features), Places(lines))
    if features.dtype.kind not in "biufO":
        raise DataError(
            f"features of type {features.dtype}; give numbers, or a DataFrame where columns hold texts"
        )
    labels = array_names(features, names)
    return Columns(array_columns(features, labels), Places(None))


def table_columns(table: pandas.DataFrame) -> Iterator[tuple[str, Cells]]:
    """Each column of a table; numbers that stand side by side come in blocks, as pandas takes long for each column."""
    names = list(map(str, table.columns))
    place = 0
    for is_float, run in groupby(table.dtypes, lambda dtype: dtype == np.float64):
        last = place + len(list(run))
        step = max(COLUMNS_AT_ONCE, CELLS_AT_ONCE // max(1, len(table))) if is_float else 1
        for start in range(place, last, step):
            if is_float:
                stop = min(start + step, last)
                block = np.ascontiguousarray(table.iloc[:, start:stop].to_numpy().T)
                yield from zip(names[start:stop], block, strict=True)
            else:
                yield names[start], column_values(table.iloc[:, start])
        place = last


def array_columns(features: Any, names: Sequence[str]) -> Iterator[tuple[str, Host]]:
    """Each column of an array; several are copied out at a time, since each copy reads every row in full."""
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        columns = np.ascontiguousarray(features[:, start : start + COLUMNS_AT_ONCE].T)
        yield from zip(names[start:], columns, strict=False)


def column_values(column: pandas.Series[Any]) -> Cells:
    """A table's column as float64 (gaps nan) if it is numeric, datetime64 if it is one, else as texts or objects.

    Gaps among objects are None. Texts are told apart where pandas knows that there is nothing else.
    """
    import pandas

    dtype = column.dtype
    if isinstance(dtype, pandas.ArrowDtype):
        found = of_arrow(column.array.__arrow_array__(), str(column.name))
        return objects(found, str(column.name)) if found.dtype.kind == "O" else found
    if isinstance(dtype, pandas.DatetimeTZDtype):
        # By the clock that the rows show.
        return np.asarray(column.dt.tz_localize(None).to_numpy())
    if dtype.kind == "M":
        return column.to_numpy()
    if pandas.api.types.is_numeric_dtype(dtype) and not pandas.api.types.is_complex_dtype(dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(dtype, pandas.StringDtype):
        codes, texts = pandas.factorize(column)
        return CodedTexts(codes, tuple(texts.tolist()))
    if isinstance(dtype, pandas.CategoricalDtype):
        levels = tuple(dtype.categories.tolist())
        if all(isinstance(level, str) for level in levels):
            return CodedTexts(column.cat.codes.to_numpy(), levels)
    if dtype.kind == "O":
        values = column.to_numpy(dtype=object, copy=True)
        values[column.isna().to_numpy()] = None
        return objects(values, str(column.name))
    raise unfit(column.name, dtype)


def objects(values: Host, name: str) -> Host:
    """A column of objects: dates as datetime64, times of day as texts, others as they are; `DataError` for lists."""
    kinds = set(map(type, values.tolist())) - {type(None)}
    for kind in kinds:
        if issubclass(kind, (list, tuple, dict, set, np.ndarray, bytes)):
            raise unfit(name, kind.__name__)
    if kinds and all(issubclass(kind, datetime.date) for kind in kinds):
        return np.array(
            ["NaT" if value is None else by_the_clock(value) for value in values],
            dtype="datetime64[us]",
        )
    if kinds == {datetime.time}:
        values[:] = [None if value is None else value.isoformat() for value in values]
    return values


def by_the_clock(value: datetime.date) -> datetime.date:
    """A date or a time without its zone."""
    return value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value


def unfit(name: object, kind: object) -> DataError:
    """The error for a column that holds neither numbers, texts nor dates."""
    return DataError(
        f"column {shown(name)} holds values of type {kind}; turn them into numbers or texts, or leave it out"
    )


def as_array(cells: Cells) -> Host:
    """A column as an array, texts as objects."""
    return cells.texts() if isinstance(cells, CodedTexts) else cells


def gaps_in(cells: Cells) -> NDArray[np.bool_]:
    """Whether each cell of a column is a gap, (n,)."""
    if isinstance(cells, CodedTexts):
        return cells.gaps
    if cells.dtype.kind != "O":
        return np.isnan(cells)
    return np.fromiter(map(is_gap, cells), np.bool_, len(cells))


def is_numeric(cells: Cells) -> bool:
    """Whether a column holds numbers (or, as objects, numbers and gaps)."""
    if isinstance(cells, CodedTexts):
        return bool(cells.gaps.all())
    if cells.dtype.kind == "M":
        return False
    return cells.dtype.kind in "biuf" or all(is_gap(value) or is_number(value) for value in cells)


def is_gap(value: Any) -> bool:
    """Whether a cell is missing: None, nan or pandas.NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # comparing pandas.NA gives pandas.NA, which has no truth value
        return True


def is_number(value: Any) -> bool:
    """Whether a cell is a number that `float` takes: Python's, NumPy's, a Decimal or a fraction."""
    return isinstance(value, (numbers.Real, np.bool_, Decimal))


def category(value: Any) -> str:
    """The text that stands for a categorical value; 3.0 and 3 are the same category."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value)


def count_texts(cells: Cells) -> dict[str, int]:
    """How many rows hold each text; numbers among them count as texts, gaps do not."""
    if isinstance(cells, CodedTexts):
        return cells.counts()
    counts: dict[str, int] = {}
    for value, count in Counter(cells.tolist()).items():
        if not is_gap(value):
            text = category(value)
            counts[text] = counts.get(text, 0) + count
    return counts
