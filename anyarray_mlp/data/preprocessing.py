"""`Preprocessor`: a table or array of raw features as the numbers that a network takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, paired, shown, suggestion
from anyarray_mlp.checking.records import (
    TEXT,
    TRUTH,
    RecordError,
    list_of,
    model_file,
    number,
    one_of,
    table,
)
from anyarray_mlp.data.cells import is_gap, is_number
from anyarray_mlp.data.dataset import Features
from anyarray_mlp.data.moments import mean_and_scale
from anyarray_mlp.data.separators import to_number
from anyarray_mlp.data.tables import UNNAMED
from anyarray_mlp.errors import DataError, UnknownCategoryError
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas

Kind = Literal["numeric", "binary", "categorical"]

MAX_CATEGORIES = 1000
PIXEL_LEVELS = 255.0
#: Entries worked on at a time, so that what is in between stays in a cache.
CACHED_ENTRIES = 1 << 16
COLUMNS_AT_ONCE = 32


@dataclass(frozen=True)
class Column:
    """How one column is encoded.

    numeric: a gap becomes `median`, then (value - mean) / scale.
    binary: one column that is 0 for the first of two categories and 1 for the second; a gap becomes `median`, the share
        of the second one.
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
        """Encoded columns that this one becomes."""
        return len(self.categories) if self.kind == "categorical" else 1

    @cached_property
    def positions(self) -> dict[str, int]:
        """The place of each category among them."""
        return {known: place for place, known in enumerate(self.categories)}

    def position(self, value: Any) -> int | None:
        """The place of a value's category, None for one that was not met in training."""
        place = self.positions.get(category(value))
        if place is None and isinstance(value, str):
            # A column of whole numbers that has gaps is often written 1.0.
            number = to_number(value)
            place = self.positions.get("" if number is None else category(number))
        return place

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """The name of each encoded column: `name`, or `name=category` of the category that it is 1 for."""
        if self.kind == "numeric":
            return (self.name,)
        named = self.categories[1:] if self.kind == "binary" else self.categories
        return tuple(f"{self.name}={category}" for category in named)


@dataclass(frozen=True)
class Preprocessor:
    """Fitted encoding of the features; `Preprocessor.fit(features)` makes one.

    Columns of numbers are standardised, columns of texts one-hot encoded; of two texts without a gap, one is 0
    and the other 1, in one column. An array of uint8 is taken for pixels: they are divided by 255 and nothing else.
    """

    columns: tuple[Column, ...]
    pixels: bool = False

    @classmethod
    def fit(
        cls,
        features: Features,
        *,
        standardize: bool = True,
        names: Sequence[str] | None = None,
        vocabulary: Features | None = None,
    ) -> Preprocessor:
        """Learn medians, means, scales and categories from training rows.

        features: a DataFrame, or a numeric array (n, i) whose columns `names` may name.
        vocabulary: more rows of the same columns, those of `features` among them, from which the categories (and
            whether there are gaps among them, and nothing else) are learned.
        Raises `DataError` for infinite values, a column without any value, more than 1,000
        categories, or types other than numbers and texts.
        """
        if features.ndim != 2 or 0 in features.shape:
            raise DataError(f"features of shape {features.shape}; give rows and columns, (n, i)")
        if not is_table(features) and features.dtype == np.uint8:
            return cls(
                tuple(Column(name, "numeric") for name in array_names(features, names)), True
            )
        table = as_columns(features, names)
        words: Iterable[Host | None] = repeat(None)
        if vocabulary is not None:
            words = (values for _, values in as_columns(vocabulary, names).items)
        return cls(
            tuple(
                fit_column(name, values, table.places, standardize, known)
                for (name, values), known in zip(table.items, words, strict=False)
            )
        )

    @property
    def n_features_in(self) -> int:
        """Columns that `transform` takes."""
        return len(self.columns)

    @property
    def n_features_out(self) -> int:
        """Columns that `transform` gives."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that `transform` takes."""
        return tuple(column.name for column in self.columns)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """Names of the columns that `transform` gives; `name=category` where they stand for one."""
        return tuple(name for column in self.columns for name in column.encoded_names)

    @property
    def sources(self) -> tuple[int, ...]:
        """Of each column that `transform` gives, the place of the column that it was made of."""
        return tuple(
            place for place, column in enumerate(self.columns) for _ in range(column.width)
        )

    def transform(self, features: Features, *, dtype: Any = np.float64) -> Host:
        """The encoded features, (n, n_features_out), in C order.

        Columns of a DataFrame are found by name, in any order, and others are ignored (a target
        left in the file does no harm); by position where one side has no names and the counts
        agree. Arithmetic is float64 and rounded once to `dtype`.

        Raises `DataError` naming row and column for a missing column, a text among numbers, or a
        value that is infinite (also in `dtype`); `UnknownCategoryError`, which is one too, for a
        category that was not met in training (`without_unknown` makes gaps of them).
        """
        if features.ndim != 2:
            raise DataError(f"features of shape {features.shape}; give rows and columns, (n, i)")
        if self.pixels and not is_table(features) and features.dtype == np.uint8:
            self.check_width(features.shape[1])
            levels = (np.arange(256) / PIXEL_LEVELS).astype(dtype)
            image: Host = levels[features]
            return image
        quick = self.transform_numbers(features, dtype)
        if quick is not None:
            return quick
        table = as_columns(self.select(features), self.names)
        encoded = np.zeros((len(features), self.n_features_out), dtype=dtype)
        start = 0
        for column, (_, values) in zip(self.columns, table.items, strict=True):
            target = encoded[:, start : start + column.width]
            if column.kind == "categorical":
                met = category_places(column, values, table.places)
                rows = np.flatnonzero(met >= 0)
                target[rows, met[rows]] = 1
            else:
                target[:, 0] = self.numbers(column, values, table.places, dtype)
            start += column.width
        return encoded

    @cached_property
    def moments(self) -> tuple[Host, Host] | None:
        """Means and scales of all columns, where all hold numbers."""
        if self.pixels or any(column.categories for column in self.columns):
            return None
        means, scales = zip(*((column.mean, column.scale) for column in self.columns), strict=True)
        return np.array(means), np.array(scales)

    def transform_numbers(self, features: Features, dtype: Any) -> Host | None:
        """All columns of an array at once, or None where one needs a closer look: a gap, a text, an overflow."""
        if is_table(features) or features.dtype.kind not in "biuf" or self.moments is None:
            return None
        means, scales = self.moments
        if features.shape[1] != len(means):
            return None
        encoded = np.empty(features.shape, dtype)
        rows = max(1, CACHED_ENTRIES // len(means))
        with np.errstate(over="ignore", under="ignore"):
            for start in range(0, len(features), rows):
                block = features[start : start + rows].astype(np.float64)
                scaled = ((block - means) / scales).astype(dtype)
                if not np.isfinite(scaled).all():
                    return None
                encoded[start : start + rows] = scaled
        return encoded

    def numbers(self, column: Column, values: Host, places: Places, dtype: Any) -> Host:
        """One column that becomes one, filled and scaled, rounded to `dtype`."""
        if column.kind == "binary":
            met = category_places(column, values, places)
            numbers = np.where(met < 0, np.nan, met)
        else:
            numbers = checked_numbers(column.name, values, places)
        gaps = np.isnan(numbers)
        if self.pixels:
            outside = gaps | (numbers < 0) | (numbers > PIXEL_LEVELS) | (numbers % 1 != 0)
            if outside.any():
                row = int(outside.argmax())
                divided = np.nanmin(numbers) >= 0 and np.nanmax(numbers) <= 1
                raise DataError(
                    f"{places.at(row)}, column {shown(column.name)}: {numbers[row]} is no pixel; the model was "
                    "trained on pixels, which are whole numbers from 0 to 255"
                    + (
                        ", and these look divided by 255 already: give them undivided"
                        if divided
                        else ""
                    )
                )
            return numbers / PIXEL_LEVELS
        filled = np.where(gaps, column.median, numbers)
        with np.errstate(over="ignore", under="ignore"):
            scaled = ((filled - column.mean) / column.scale).astype(dtype)
        overflow = ~np.isfinite(scaled)
        if overflow.any():
            row = int(overflow.argmax())
            raise DataError(
                f"{places.at(row)}, column {shown(column.name)}: {filled[row]} is too large for "
                f"{np.dtype(dtype)}; standardise the features, or write them in a larger unit"
            )
        return scaled

    def check_width(self, width: int) -> None:
        """Refuse an array of another number of columns."""
        if width != self.n_features_in:
            raise DataError(
                f"the data has {width} feature(s) and the model was trained on "
                f"{self.n_features_in}: "
                f"{listed(self.names)}; give the same columns"
            )

    def select(self, features: Features) -> Features:
        """The columns that were fitted, in their order."""
        if not is_table(features):
            self.check_width(features.shape[1])
            return features
        present = [str(name) for name in features.columns]
        absent = [name for name in self.names if name not in present]
        if not absent:
            return features.iloc[:, [present.index(name) for name in self.names]]
        if len(present) == self.n_features_in and (unnamed(present) or unnamed(self.names)):
            return features
        if unnamed(present):
            raise DataError(
                f"the table has {len(present)} columns without names and the model was trained on "
                f"{self.n_features_in}: {listed(self.names)}; give these columns, or a header"
            )
        raise DataError(
            f"{missing_columns(absent, [name for name in present if name not in self.names])}; the model was "
            f"trained on {listed(self.names)} and the table has {listed(present)}"
        )

    def text_columns(self, present: Sequence[str]) -> list[str]:
        """Those of a table's columns that hold categories, found as `transform` finds them."""
        named = all(name in present for name in self.names)
        by_place = len(present) == self.n_features_in and (unnamed(present) or unnamed(self.names))
        found = self.names if named or not by_place else present
        pairs = zip(self.columns, found, strict=True)
        return [name for column, name in pairs if column.categories and name in present]

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs, in types that JSON has (floats survive it bit by bit)."""
        columns = [asdict(column) for column in self.columns]
        for column in columns:
            column["categories"] = list(column["categories"])
        return {"pixels": self.pixels, "columns": columns}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], source: str = "the model") -> Preprocessor:
        """The preprocessor that `to_json` described.

        Raises `ModelFileError`, which names `source`, the field and what it must be, for anything else.
        """
        with model_file(source):
            PREPROCESSING(record, "preprocessing")
            entries = enumerate(record["columns"])
            columns = tuple(
                column_from(entry, f"preprocessing.columns[{i}]") for i, entry in entries
            )
            if record["pixels"] and any(column.kind != "numeric" for column in columns):
                raise RecordError("preprocessing.pixels is true and a column holds categories")
            return cls(columns, record["pixels"])


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
PREPROCESSING = table({"pixels": TRUTH, "columns": list_of(COLUMN, least=1)})


def column_from(entry: Mapping[str, Any], place: str) -> Column:
    """One column from JSON of the right types; raises `RecordError` where its categories cannot be."""
    categories = tuple(entry["categories"])
    fitting = {"numeric": not categories, "binary": len(categories) == 2}
    if not fitting.get(entry["kind"], bool(categories)):
        raise RecordError(
            f"{place}.categories holds {len(categories)} and the column is {entry['kind']}"
        )
    if len(set(categories)) < len(categories):
        raise RecordError(f"{place}.categories holds one twice")
    numbers = {key: float(entry[key]) for key in ("median", "mean", "scale")}
    return Column(entry["name"], entry["kind"], **numbers, categories=categories)


@dataclass(frozen=True)
class Places:
    """How to name a row in an error: by the file's line where a table knows it."""

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


def missing_columns(absent: Sequence[str], spare: Sequence[str]) -> str:
    """Which columns are missing, and which of the table's, that nothing else matches, each may be."""
    meant = paired(absent, spare)
    if len(absent) == 1:
        likely = "".join(f" (did you mean {shown(name)}?)" for name in meant.values())
        return f"column {shown(absent[0])} is missing{likely}"
    likely = ", ".join(f"{shown(new)} for {shown(old)}" for old, new in list(meant.items())[:12])
    return f"columns {listed(absent)} are missing{f' (did you mean {likely}?)' if likely else ''}"


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
            f"features of type {features.dtype}; give numbers, or a DataFrame where columns hold "
            "texts"
        )
    labels = array_names(features, names)
    return Columns(array_columns(features, labels), Places(None))


def array_columns(features: Any, names: Sequence[str]) -> Iterator[tuple[str, Host]]:
    """Each column of an array; several are taken out at a time, as each row is read for it from end to end."""
    for start in range(0, len(names), COLUMNS_AT_ONCE):
        columns = np.ascontiguousarray(features[:, start : start + COLUMNS_AT_ONCE].T)
        yield from zip(names[start:], columns, strict=False)


def column_values(column: pandas.Series[Any]) -> Host:
    """A table's column as float64 (gaps nan) where it is numeric, else as objects (gaps None)."""
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
    """The encoding of one column of training rows, its categories from `vocabulary` where that is given."""
    words = values if vocabulary is None else vocabulary
    if not is_numeric(words):
        categories = sorted({category(value) for value in words if not is_gap(value)})
        if len(categories) > MAX_CATEGORIES:
            raise DataError(
                f"column {shown(name)} holds {len(categories):,} different texts in "
                f"{len(words):,} rows, "
                f"more than the {MAX_CATEGORIES:,} allowed; drop that column"
            )
        column = Column(name, "categorical", categories=tuple(categories))
        # Two categories and a gap are three states, which one number could only put in line.
        if len(categories) != 2 or any(map(is_gap, words)):
            return column
        ones = int(category_places(column, values, places).sum())
        return replace(column, kind="binary", median=ones / len(values))
    numbers = checked_numbers(name, values, places)
    known = numbers[~np.isnan(numbers)]
    if len(known) == 0:
        raise DataError(f"column {shown(name)} holds no value at all; drop that column")
    median = float(np.median(known))
    if not standardize:
        return Column(name, "numeric", median=median)
    # A gap counts as the median, as it will be encoded.
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
            "correct it, or leave it empty (nan) where it is missing"
        )
    return numbers


def category_places(column: Column, values: Host, places: Places) -> NDArray[np.int64]:
    """The place (n,) of each value's category, -1 for a gap; raises `UnknownCategoryError` for one that was not met."""
    met = np.full(len(values), -1)
    for row, value in enumerate(values):
        if is_gap(value):
            continue
        place = column.position(value)
        if place is None:
            raise UnknownCategoryError(
                f"{places.at(row)}, column {shown(column.name)}: {shown(value)} was not seen in "
                "training"
                f"{suggestion(value, column.categories)}; the known values are "
                f"{listed(column.categories)}"
            )
        met[row] = place
    return met
