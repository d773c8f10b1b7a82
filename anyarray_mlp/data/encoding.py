"""How one column of a table is encoded: what its cells are, and which numbers they become."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.records import (
    TEXT,
    RecordError,
    list_of,
    number,
    one_of,
    table,
)
from anyarray_mlp.data.dataset import Features
from anyarray_mlp.data.moments import mean_and_scale
from anyarray_mlp.errors import DataError, UnknownCategoryError
from anyarray_mlp.tables.header import UNNAMED
from anyarray_mlp.tables.styles import PLAIN
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas

Kind = Literal["numeric", "binary", "categorical"]

MAX_CATEGORIES = 1000
COLUMNS_AT_ONCE = 32


@dataclass(frozen=True)
class Column:
    """How one column is encoded.

    numeric: a gap becomes `median`, then (value - mean) / scale.
    binary: one column that is 0 for the first of two categories and 1 for the second; a gap becomes `median`, the
        fraction of rows in the second one.
    categorical: one column of 0 and 1 for each category; a gap is a row of zeros.
    """

    name: str
    kind: Kind
    median: float = 0.0
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of encoded columns that this one becomes."""
        return len(self.categories) if self.kind == "categorical" else 1

    @cached_property
    def positions(self) -> dict[str, int]:
        """The index of each category."""
        return {known: place for place, known in enumerate(self.categories)}

    def position(self, value: Any) -> int | None:
        """The index of a value's category, None for one that was not seen in training."""
        place = self.positions.get(category(value))
        if place is None and isinstance(value, str):
            # A column of whole numbers that has gaps is often written 1.0.
            number = PLAIN.number(value)
            place = self.positions.get("" if number is None else category(number))
        return place

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """The name of each encoded column: `name`, or `name=category` for the category that it marks."""
        if self.kind == "numeric":
            return (self.name,)
        named = self.categories[1:] if self.kind == "binary" else self.categories
        return tuple(f"{self.name}={category}" for category in named)


COLUMN = table(
    {
        "name": TEXT,
        "kind": one_of(get_args(Kind)),
        "median": number(),
        "mean": number(),
        "scale": number(0, ends="(]"),
        "categories": list_of(TEXT),
    }
)


def column_from(entry: Mapping[str, Any], place: str) -> Column:
    """One column from JSON of the right types; raises `RecordError` if its categories do not fit its kind."""
    categories = tuple(entry["categories"])
    fitting = {"numeric": not categories, "binary": len(categories) == 2}
    if not fitting.get(entry["kind"], bool(categories)):
        raise RecordError(
            f"{place}.categories holds {len(categories)} and the column is {entry['kind']}"
        )
    if len(set(categories)) < len(categories):
        raise RecordError(f"{place}.categories holds a category twice")
    numbers = {key: float(entry[key]) for key in ("median", "mean", "scale")}
    return Column(entry["name"], entry["kind"], **numbers, categories=categories)


@dataclass(frozen=True)
class Places:
    """How to name a row in an error: by the file's line if the table knows it."""

    lines: Host | None

    def at(self, row: int) -> str:
        return f"row {row} (from 0)" if self.lines is None else f"line {self.lines[row]}"


@dataclass(frozen=True)
class Columns:
    """Features as named one-dimensional arrays."""

    items: Iterable[tuple[str, Host]]
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
    """The columns of a table or an array, each an array of numbers or of objects (n,)."""
    if is_table(features):
        lines = features.index.to_numpy() if features.index.name == "line" else None
        items = [(str(name), column_values(values)) for name, values in features.items()]
        return Columns(items, Places(lines))
    if features.dtype.kind not in "biufO":
        raise DataError(
            f"features of type {features.dtype}; give numbers, or a DataFrame where columns hold texts"
        )
    labels = array_names(features, names)
    return Columns(array_columns(features, labels), Places(None))


def array_columns(features: Any, names: Sequence[str]) -> Iterator[tuple[str, Host]]:
    """Each column of an array; several are copied out at a time, since each copy reads every row in full."""
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        columns = np.ascontiguousarray(features[:, start : start + COLUMNS_AT_ONCE].T)
        yield from zip(names[start:], columns, strict=False)


def column_values(column: pandas.Series[Any]) -> Host:
    """A table's column as float64 (gaps nan) if it is numeric, else as objects (gaps None)."""
    import pandas

    dtype = column.dtype
    if pandas.api.types.is_numeric_dtype(dtype) and not pandas.api.types.is_complex_dtype(dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if dtype.kind == "O" or isinstance(dtype, (pandas.StringDtype, pandas.CategoricalDtype)):
        values = column.to_numpy(dtype=object, copy=True)
        values[column.isna().to_numpy()] = None
        return values
    raise DataError(
        f"column {shown(column.name)} holds values of type {dtype}; turn them into numbers or texts"
    )


def is_numeric(values: Host) -> bool:
    """Whether a column holds numbers (or, as objects, numbers and gaps)."""
    return values.dtype.kind in "biuf" or all(is_gap(value) or is_number(value) for value in values)


def fit_column(
    name: str, values: Host, places: Places, standardize: bool, vocabulary: Host | None = None
) -> Column:
    """The encoding of one column of training rows, its categories from `vocabulary` if given."""
    words = values if vocabulary is None else vocabulary
    if not is_numeric(words):
        categories = sorted({category(value) for value in words if not is_gap(value)})
        if len(categories) > MAX_CATEGORIES:
            raise DataError(
                f"column {shown(name)} holds {len(categories):,} different texts in {len(words):,} rows, "
                f"more than the {MAX_CATEGORIES:,} allowed; drop that column"
            )
        column = Column(name, "categorical", categories=tuple(categories))
        # Two categories and a gap are three states; one number would impose an order on them.
        if len(categories) != 2 or any(map(is_gap, words)):
            return column
        ones = int(category_places(column, values, places).sum())
        return replace(column, kind="binary", median=ones / len(values))
    numbers = checked_numbers(name, values, places)
    known = numbers[~np.isnan(numbers)]
    if len(known) == 0:
        raise DataError(f"column {shown(name)} holds no values at all; drop that column")
    median = float(np.median(known))
    if not standardize:
        return Column(name, "numeric", median=median)
    # A gap counts as the median, because that is what it is encoded as.
    filled = np.where(np.isnan(numbers), median, numbers)
    mean, scale = mean_and_scale(filled, f"column {shown(name)}")
    return Column(name, "numeric", median, mean, scale)


def category(value: Any) -> str:
    """The text that stands for a categorical value; 3.0 and 3 are the same category."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value)


def checked_numbers(name: str, values: Host, places: Places) -> Host:
    """The column as float64, gaps nan; raises `DataError` for a text or an infinity."""
    if values.dtype.kind == "O":
        if not is_numeric(values):
            row = next(
                row for row, value in enumerate(values) if not (is_gap(value) or is_number(value))
            )
            raise DataError(
                f"{places.at(row)}, column {shown(name)}: {shown(values[row])} is not a number; "
                "the column must be numeric, as it was in training"
            )
        values = np.array(
            [np.nan if is_gap(value) else value for value in values], dtype=np.float64
        )
    numbers = values.astype(np.float64, copy=False)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"{places.at(row)}, column {shown(name)}: {numbers[row]} is not finite; "
            "correct it, or leave it empty (nan) if it is missing"
        )
    return numbers


def category_places(column: Column, values: Host, places: Places) -> NDArray[np.int64]:
    """The index (n,) of each value's category, -1 for a gap; raises `UnknownCategoryError` for an unseen one."""
    met = np.full(len(values), -1)
    for row, value in enumerate(values):
        if is_gap(value):
            continue
        place = column.position(value)
        if place is None:
            raise UnknownCategoryError(
                f"{places.at(row)}, column {shown(column.name)}: {shown(value)} was not seen "
                f"in training{suggestion(value, column.categories)}; the known values are {listed(column.categories)}"
            )
        met[row] = place
    return met


def is_gap(value: Any) -> bool:
    """Whether a cell is missing: None, nan or pandas.NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # comparing pandas.NA gives pandas.NA, which has no truth value
        return True


def is_number(value: Any) -> bool:
    """Whether a cell is a number that `float` takes: Python's, NumPy's, a Decimal or a fraction."""
    return isinstance(value, (numbers.Real, np.bool_, Decimal))
