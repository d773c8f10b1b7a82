"""How one column of a table is encoded: what its cells are, and which numbers they become."""

from __future__ import annotations

import datetime
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.records import (
    NULL,
    TEXT,
    RecordError,
    list_of,
    number,
    one_of,
    table,
)
from anyarray_mlp.data.dataset import Features
from anyarray_mlp.data.dates import (
    CYCLES,
    FORMS,
    GROWING,
    PARTS,
    TEXT_FORMS,
    circle,
    days_of_column,
    middle,
    part_values,
    parts_of,
)
from anyarray_mlp.data.frames import of_arrow
from anyarray_mlp.data.moments import mean_and_scale
from anyarray_mlp.errors import DataError, UnknownCategoryError
from anyarray_mlp.tables.header import UNNAMED
from anyarray_mlp.tables.styles import PLAIN
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas

Kind = Literal["numeric", "binary", "categorical", "grouped", "date", "left_out"]

MAX_CATEGORIES = 1000
COLUMNS_AT_ONCE = 32


@dataclass(frozen=True)
class Part:
    """What is taken of a date: a name of `dates.PARTS`, and the mean and scale of those that grow with time."""

    name: str
    mean: float = 0.0
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Number of encoded columns: sine and cosine of what lies on a circle."""
        return 2 if self.name in CYCLES else 1


@dataclass(frozen=True)
class Column:
    """How one column is encoded.

    numeric: a gap becomes `median`, then (value - mean) / scale; where `median` is None a gap is refused.
    binary: one column that is 0 for the first of two categories and 1 for the second; a gap becomes `median`, the
        fraction of rows in the second one.
    categorical: one column of 0 and 1 for each category; a gap is a row of zeros.
    grouped: the same with one column more, the last, for all other categories, seen in training or not.
    date: written in `form`; one column for each of `parts` that grows with time, scaled, and two, sine and cosine, for
        each that lies on a circle. A gap counts as the day `median`, and is 0 on the circles.
    left_out: no column.
    """

    name: str
    kind: Kind
    median: float | None = 0.0
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    form: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def width(self) -> int:
        """Number of encoded columns that this one becomes."""
        if self.kind in ("categorical", "grouped"):
            return len(self.categories) + (self.kind == "grouped")
        if self.kind == "date":
            return sum(part.width for part in self.parts)
        return 0 if self.kind == "left_out" else 1

    @property
    def is_text(self) -> bool:
        """Whether its cells are read as texts, whatever they look like; so are those that nobody looks at."""
        of_texts = self.kind == "date" and self.form in TEXT_FORMS
        return bool(self.categories) or of_texts or self.kind == "left_out"

    @cached_property
    def positions(self) -> dict[str, int]:
        """The index of each category."""
        return {known: place for place, known in enumerate(self.categories)}

    @property
    def rest(self) -> int | None:
        """The index of the column for all other categories, if there is one."""
        return len(self.categories) if self.kind == "grouped" else None

    def position(self, value: Any) -> int | None:
        """The index of a value's category, None for one that has none."""
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
        if self.kind == "date":
            return tuple(name for part in self.parts for name in self.names_of_part(part))
        named = self.categories[1:] if self.kind == "binary" else self.categories
        names = tuple(f"{self.name}={category}" for category in named)
        return (*names, f"{self.name}=(the rest)") if self.kind == "grouped" else names

    def names_of_part(self, part: Part) -> tuple[str, ...]:
        """The names of the columns that a part of a date becomes."""
        if part.width == 1:
            return (f"{self.name} ({part.name})",)
        return f"{self.name} ({part.name}, sine)", f"{self.name} ({part.name}, cosine)"

    def to_json(self) -> dict[str, Any]:
        """All that `column_from` needs, in JSON types; what only dates have is left out of others."""
        record = asdict(self)
        record["categories"] = list(self.categories)
        form, parts = record.pop("form"), record.pop("parts")
        return record | {"form": form, "parts": list(parts)} if self.kind == "date" else record


COLUMN = table(
    {
        "name": TEXT,
        "kind": one_of(get_args(Kind)),
        "median": NULL | number(),
        "mean": number(),
        "scale": number(0, ends="(]"),
        "categories": list_of(TEXT),
    },
    {
        "form": one_of(FORMS),
        "parts": list_of(
            table({"name": one_of(PARTS), "mean": number(), "scale": number(0, ends="(]")}), least=1
        ),
    },
)


def column_from(entry: Mapping[str, Any], place: str) -> Column:
    """One column from JSON of the right types; raises `RecordError` if its categories do not fit its kind."""
    categories = tuple(entry["categories"])
    kind = entry["kind"]
    fitting = dict.fromkeys(("numeric", "date", "left_out"), not categories)
    fitting["binary"] = len(categories) == 2
    if not fitting.get(kind, bool(categories)):
        raise RecordError(f"{place}.categories holds {len(categories)} and the column is {kind}")
    if len(set(categories)) < len(categories):
        raise RecordError(f"{place}.categories holds a category twice")
    if entry["median"] is None and kind != "numeric":
        raise RecordError(f"{place}.median is null and the column is {kind}")
    median = None if entry["median"] is None else float(entry["median"])
    mean, scale = float(entry["mean"]), float(entry["scale"])
    column = Column(entry["name"], kind, median, mean, scale, categories)
    if kind != "date":
        return column
    for key in ("form", "parts"):
        if key not in entry:
            raise RecordError(f"{place}.{key} is missing and the column is a date")
    parts = tuple(
        Part(part["name"], float(part["mean"]), float(part["scale"])) for part in entry["parts"]
    )
    if len({part.name for part in parts}) < len(parts):
        raise RecordError(f"{place}.parts holds a part twice")
    return replace(column, form=entry["form"], parts=parts)


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
    """A table's column as float64 (gaps nan) if it is numeric, datetime64 if it is one, else as objects (gaps None)."""
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
    if dtype.kind == "O" or isinstance(dtype, (pandas.StringDtype, pandas.CategoricalDtype)):
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


def is_numeric(values: Host) -> bool:
    """Whether a column holds numbers (or, as objects, numbers and gaps)."""
    if values.dtype.kind == "M":
        return False
    return values.dtype.kind in "biuf" or all(is_gap(value) or is_number(value) for value in values)


def fit_column(
    name: str, values: Host, places: Places, standardize: bool, vocabulary: Host | None = None
) -> Column:
    """The encoding of one column of training rows as it is, its categories from `vocabulary` if given."""
    words = values if vocabulary is None else vocabulary
    if is_numeric(words):
        return fit_numbers(name, values, places, standardize)
    categories = sorted({category(value) for value in words if not is_gap(value)})
    if len(categories) > MAX_CATEGORIES:
        raise DataError(
            f"column {shown(name)} holds {len(categories):,} different texts in {len(words):,} rows, "
            f"more than the {MAX_CATEGORIES:,} allowed; drop that column"
        )
    return fit_categories(name, values, places, categories, words)


def fit_numbers(name: str, values: Host, places: Places, standardize: bool) -> Column:
    """The encoding of a column of numbers."""
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


def fit_categories(
    name: str, values: Host, places: Places, categories: Sequence[str], words: Host
) -> Column:
    """The encoding of all categories of a column, one column for two of them if none of its `words` is a gap."""
    column = Column(name, "categorical", categories=tuple(categories))
    # Two categories and a gap are three states; one number would impose an order on them.
    if len(categories) != 2 or any(map(is_gap, words)):
        return column
    ones = int(category_places(column, values, places).sum())
    return replace(column, kind="binary", median=ones / len(values))


def category(value: Any) -> str:
    """The text that stands for a categorical value; 3.0 and 3 are the same category."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value)


def checked_numbers(name: str, values: Host, places: Places) -> Host:
    """The column as float64, gaps nan; raises `DataError` for a text, a date or an infinity."""
    if values.dtype.kind == "M":
        raise DataError(
            f"column {shown(name)} holds dates; the column must be numeric, as it was in training"
        )
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


def fit_dates(
    name: str, values: Host, places: Places, standardize: bool, form: str
) -> Column | None:
    """The encoding of a column of dates, its parts those that vary in training rows; None if no part does."""
    days = checked_dates(name, values, form, places)
    known = days[~np.isnan(days)]
    parts = parts_of(known)
    if not parts:
        return None
    median = middle(known)
    filled = np.where(np.isnan(days), median, days)
    scaled = [
        Part(part, *mean_and_scale(part_values(part, filled), f"column {shown(name)}"))
        if part in GROWING and standardize
        else Part(part)
        for part in parts
    ]
    return Column(name, "date", median, form=form, parts=tuple(scaled))


def checked_dates(name: str, values: Host, form: str, places: Places) -> Host:
    """Days since 1970 (n,), nan for gaps; raises `DataError` for a cell that is no date of this form."""
    days = days_of_column(values, form, is_gap)
    wrong = np.isnan(days) & ~np.array([is_gap(value) for value in values], dtype=bool)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{places.at(row)}, column {shown(name)}: {shown(values[row])} is not a date as in training ({form}); "
            "correct it, or leave it empty if it is missing"
        )
    return days


def date_inputs(column: Column, values: Host, places: Places) -> Host:
    """The columns (n, width) that dates become."""
    days = checked_dates(column.name, values, column.form, places)
    gaps = np.isnan(days)
    assert column.median is not None  # see `column_from`
    filled = np.where(gaps, column.median, days)
    inputs = []
    for part in column.parts:
        found = part_values(part.name, filled)
        if part.name in GROWING:
            inputs.append(((found - part.mean) / part.scale)[:, None])
        else:
            inputs.append(np.where(gaps[:, None], 0.0, circle(part.name, found)))
    return np.concatenate(inputs, axis=1)


def category_places(column: Column, values: Host, places: Places) -> NDArray[np.int64]:
    """The index (n,) of each value's category, -1 for a gap; raises `UnknownCategoryError` for one that has none."""
    met = np.full(len(values), -1)
    for row, value in enumerate(values):
        if is_gap(value):
            continue
        place = column.position(value)
        place = column.rest if place is None else place
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
