"""How one column of a table is encoded: what its cells are, and which numbers they become."""

from __future__ import annotations

import datetime
import math
import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.records import (
    NULL,
    TEXT,
    TRUTH,
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
    days_of_cell,
    days_of_column,
    middle,
    part_values,
    parts_of,
)
from anyarray_mlp.data.frames import of_arrow
from anyarray_mlp.data.moments import mean_and_scale, median_of
from anyarray_mlp.data.pieces import (
    FEWEST_EDGES,
    clipped,
    edges_of,
    piece_names,
    pieces_of,
    robust_scale,
)
from anyarray_mlp.errors import DataError, UnknownCategoryError
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.header import UNNAMED
from anyarray_mlp.tables.styles import PLAIN
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas

Kind = Literal["numeric", "robust", "binary", "categorical", "grouped", "date", "left_out"]
#: How columns of numbers are fitted: as `checking.names.NUMBERS` says, or not scaled.
Scaling: TypeAlias = Literal["none", "standard", "robust", "pieces"]

MAX_CATEGORIES = 1000
COLUMNS_AT_ONCE = 32
CELLS_AT_ONCE = 1 << 20
#: Entries encoded at a time, so that intermediate results stay in the cache.
CACHED_ENTRIES = 1 << 16


@dataclass(frozen=True)
class Part:
    """What is taken of a date: a name of `dates.PARTS`, and the mean and scale of those that grow with time.

    edges: None, or those of a `robust` column, as which the part is then encoded.
    """

    name: str
    mean: float = 0.0
    scale: float = 1.0
    edges: tuple[float, ...] | None = None

    @property
    def width(self) -> int:
        """Number of encoded columns: sine and cosine of what lies on a circle."""
        return 2 if self.name in CYCLES else 1 + pieces_between(self.edges)

    def to_json(self) -> dict[str, Any]:
        """The part in JSON types; `edges` only if it has them."""
        record: dict[str, Any] = {"name": self.name, "mean": self.mean, "scale": self.scale}
        return record if self.edges is None else record | {"edges": list(self.edges)}


@dataclass(frozen=True)
class Column:
    """How one column is encoded.

    numeric: a gap becomes `median`, then (value - mean) / scale; where `median` is None a gap is refused.
    robust: a gap becomes `median`, then z = (value - mean) / scale, with the median as mean, is clipped to
        z / sqrt(1 + (z / 3)^2).
        One column more for each piece between two of `edges`, the share of it that lies below the value; and, if
        `marks_gaps`, a last one that is 1 for a gap.
    binary: one column that is 0 for the first of two categories and 1 for the second; a gap becomes `median`, the
        fraction of rows in the second one.
    categorical: one column of 0 and 1 for each category; a gap is a row of zeros.
    grouped: the same with one column more, the last, for all other categories, seen in training or not.
    date: written in `form`; one column for each of `parts` that grows with time, scaled, and two, sine and cosine, for
        each that lies on a circle. A gap counts as the day `median`, and is 0 on the circles; `marks_gaps` as above.
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
    edges: tuple[float, ...] = ()
    marks_gaps: bool = False

    @property
    def width(self) -> int:
        """Number of encoded columns that this one becomes."""
        if self.kind in ("categorical", "grouped"):
            return len(self.categories) + (self.kind == "grouped")
        if self.kind == "date":
            return sum(part.width for part in self.parts) + self.marks_gaps
        if self.kind == "robust":
            return 1 + pieces_between(self.edges) + self.marks_gaps
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
        of_gaps = (f"{self.name} (missing)",) if self.marks_gaps else ()
        if self.kind == "robust":
            return (self.name, *piece_names(self.name, self.edges), *of_gaps)
        if self.kind == "date":
            names = tuple(name for part in self.parts for name in self.names_of_part(part))
            return (*names, *of_gaps)
        named = self.categories[1:] if self.kind == "binary" else self.categories
        names = tuple(f"{self.name}={category}" for category in named)
        return (*names, f"{self.name}=(the rest)") if self.kind == "grouped" else names

    def names_of_part(self, part: Part) -> tuple[str, ...]:
        """The names of the columns that a part of a date becomes."""
        if part.name in GROWING:
            name = f"{self.name} ({part.name})"
            return (name, *piece_names(name, part.edges or ()))
        return f"{self.name} ({part.name}, sine)", f"{self.name} ({part.name}, cosine)"

    def to_json(self) -> dict[str, Any]:
        """All that `column_from` needs, in JSON types; what only some kinds have is left out of others."""
        keys = ("name", "kind", "median", "mean", "scale")
        record: dict[str, Any] = {key: getattr(self, key) for key in keys}
        record["categories"] = list(self.categories)
        if self.kind == "date":
            record |= {"form": self.form, "parts": [part.to_json() for part in self.parts]}
        if self.kind == "robust":
            record["edges"] = list(self.edges)
        return record | ({"marks_gaps": True} if self.marks_gaps else {})


def pieces_between(edges: Sequence[float] | None) -> int:
    """How many pieces lie between some edges."""
    return len(edges) - 1 if edges else 0


EDGES = list_of(number())
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
            table(
                {"name": one_of(PARTS), "mean": number(), "scale": number(0, ends="(]")},
                {"edges": EDGES},
            ),
            least=1,
        ),
        "edges": EDGES,
        "marks_gaps": TRUTH,
    },
)


def column_from(entry: Mapping[str, Any], place: str) -> Column:
    """One column from JSON of the right types; raises `RecordError` if its categories do not fit its kind."""
    categories = tuple(entry["categories"])
    kind = entry["kind"]
    fitting = dict.fromkeys(("numeric", "robust", "date", "left_out"), not categories)
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
    if kind == "robust":
        if "edges" not in entry:
            raise RecordError(f"{place}.edges is missing and the column is robust")
        edges = edges_from(entry["edges"], f"{place}.edges")
        return replace(column, edges=edges, marks_gaps=entry.get("marks_gaps", False))
    if kind != "date":
        return column
    for key in ("form", "parts"):
        if key not in entry:
            raise RecordError(f"{place}.{key} is missing and the column is a date")
    parts = tuple(part_from(part, f"{place}.parts[{i}]") for i, part in enumerate(entry["parts"]))
    if len({part.name for part in parts}) < len(parts):
        raise RecordError(f"{place}.parts holds a part twice")
    gaps = entry.get("marks_gaps", False)
    return replace(column, form=entry["form"], parts=parts, marks_gaps=gaps)


def part_from(entry: Mapping[str, Any], place: str) -> Part:
    """A part of a date from JSON of the right types; raises `RecordError` for edges that cannot be."""
    edges = entry.get("edges")
    if edges is not None:
        if entry["name"] not in GROWING:
            raise RecordError(f"{place}.edges is there and {entry['name']} lies on a circle")
        edges = edges_from(edges, f"{place}.edges")
    return Part(entry["name"], float(entry["mean"]), float(entry["scale"]), edges)


def edges_from(entry: Sequence[float], place: str) -> tuple[float, ...]:
    """Edges from JSON; raises `RecordError` unless they ascend within a range that is finite."""
    edges = tuple(map(float, entry))
    if edges and (len(edges) < FEWEST_EDGES or not math.isfinite(edges[-1] - edges[0])):
        raise RecordError(f"{place} must be none or at least {FEWEST_EDGES}, of a finite range")
    if any(low >= high for low, high in pairwise(edges)):
        raise RecordError(f"{place} must ascend")
    return edges


@dataclass(frozen=True)
class Places:
    """How to name a row in an error: by the file's line if the table knows it."""

    lines: Host | None

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


def fit_column(
    name: str, values: Cells, places: Places, scaling: Scaling, vocabulary: Cells | None = None
) -> Column:
    """The encoding of one column of training rows as it is, its categories from `vocabulary` if given."""
    words = values if vocabulary is None else vocabulary
    if is_numeric(words):
        return fit_numbers(name, values, places, scaling)
    categories = sorted(count_texts(words))
    if len(categories) > MAX_CATEGORIES:
        raise DataError(
            f"column {shown(name)} holds {len(categories):,} different texts in {len(words):,} rows, "
            f"more than the {MAX_CATEGORIES:,} allowed; drop that column"
        )
    return fit_categories(name, values, places, categories, words)


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


def fit_numbers(name: str, values: Cells, places: Places, scaling: Scaling) -> Column:
    """The encoding of a column of numbers."""
    numbers = checked_numbers(name, values, places)
    known = without_gaps(numbers)
    if len(known) == 0:
        raise DataError(f"column {shown(name)} holds no values at all; drop that column")
    if scaling in ("robust", "pieces"):
        middle, scale = robust_scale(known, f"column {shown(name)}")
        edges = edges_of(known) if scaling == "pieces" else ()
        marks = len(known) < len(numbers)
        return Column(name, "robust", middle, middle, scale, edges=edges, marks_gaps=marks)
    median = median_of(known)
    if scaling == "none":
        return Column(name, "numeric", median=median)
    # A gap counts as the median, because that is what it is encoded as.
    filled = numbers if known is numbers else np.where(np.isnan(numbers), median, numbers)
    mean, scale = mean_and_scale(filled, f"column {shown(name)}")
    return Column(name, "numeric", median, mean, scale)


def without_gaps(numbers: Host) -> Host:
    """The numbers that are there, all of them as they are if none is missing."""
    gaps = np.isnan(numbers)
    return numbers[~gaps] if gaps.any() else numbers


def fit_categories(
    name: str, values: Cells, places: Places, categories: Sequence[str], words: Cells
) -> Column:
    """The encoding of all categories of a column, one column for two of them if none of its `words` is a gap."""
    column = Column(name, "categorical", categories=tuple(categories))
    # Two categories and a gap are three states; one number would impose an order on them.
    if len(categories) != 2 or gaps_in(words).any():
        return column
    ones = int(category_places(column, values, places).sum())
    return replace(column, kind="binary", median=ones / len(values))


def category(value: Any) -> str:
    """The text that stands for a categorical value; 3.0 and 3 are the same category."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    return str(value)


def checked_numbers(name: str, values: Cells, places: Places) -> Host:
    """The column as float64, gaps nan; raises `DataError` for a text, a date or an infinity."""
    if values.dtype.kind == "M":
        raise DataError(
            f"column {shown(name)} holds dates; the column must be numeric, as it was in training"
        )
    values = as_array(values)
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
    name: str, values: Cells, places: Places, scaling: Scaling, form: str
) -> Column | None:
    """The encoding of a column of dates, its parts those that vary in training rows; None if no part does."""
    days = checked_dates(name, values, form, places)
    known = days[~np.isnan(days)]
    parts = parts_of(known)
    if not parts:
        return None
    median = middle(known)
    filled = np.where(np.isnan(days), median, days)
    scaled = [fit_part(part, name, known, filled, scaling) for part in parts]
    marks = scaling in ("robust", "pieces") and len(known) < len(days)
    return Column(name, "date", median, form=form, parts=tuple(scaled), marks_gaps=marks)


def fit_part(part: str, name: str, known: Host, filled: Host, scaling: Scaling) -> Part:
    """One part of dates, from the days that are known, and those of all rows with gaps filled."""
    if part not in GROWING or scaling == "none":
        return Part(part)
    if scaling == "standard":
        return Part(part, *mean_and_scale(part_values(part, filled), f"column {shown(name)}"))
    values = part_values(part, known)
    edges = edges_of(values) if scaling == "pieces" else ()
    return Part(part, *robust_scale(values, f"column {shown(name)}"), edges)


def days_of_cells(cells: Cells, form: str) -> Host:
    """Days since 1970 of a column, nan for gaps and for cells that have not this form."""
    if isinstance(cells, CodedTexts):
        return cells.spread([days_of_cell(text, form) for text in cells.levels], float, np.nan)
    return days_of_column(cells, form, is_gap)


def checked_dates(name: str, values: Cells, form: str, places: Places) -> Host:
    """Days since 1970 (n,), nan for gaps; raises `DataError` for a cell that is no date of this form."""
    days = days_of_cells(values, form)
    wrong = np.isnan(days) & ~gaps_in(values)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{places.at(row)}, column {shown(name)}: {shown(values[row])} is not a date as in training ({form}); "
            "correct it, or leave it empty if it is missing"
        )
    return days


def date_inputs(column: Column, values: Cells, places: Places) -> Host:
    """The columns (n, width) that dates become."""
    days = checked_dates(column.name, values, column.form, places)
    gaps = np.isnan(days)
    assert column.median is not None  # see `column_from`
    filled = np.where(gaps, column.median, days)
    inputs = []
    for part in column.parts:
        found = part_values(part.name, filled)
        if part.name not in GROWING:
            inputs.append(np.where(gaps[:, None], 0.0, circle(part.name, found)))
        elif part.edges is None:
            inputs.append(((found - part.mean) / part.scale)[:, None])
        else:
            inputs.append(robust_inputs(found, part))
    if column.marks_gaps:
        inputs.append(gaps[:, None])
    return np.concatenate(inputs, axis=1)


def robust_inputs(numbers: Host, fitted: Column | Part) -> Host:
    """Numbers (n,) without gaps, scaled and clipped, and their pieces, (n, 1 + pieces)."""
    scaled = clipped(numbers, fitted.mean, fitted.scale)[:, None]
    if not fitted.edges:
        return scaled
    return np.concatenate([scaled, pieces_of(numbers, fitted.edges)], axis=1)


def write_robust(column: Column, values: Cells, places: Places, target: Host) -> None:
    """Write the inputs (n, width) of a robust column, a block of rows after the other."""
    numbers = checked_numbers(column.name, values, places)
    median = column.mean if column.median is None else column.median
    rows = max(1, CACHED_ENTRIES // column.width)
    for start in range(0, len(numbers), rows):
        block = numbers[start : start + rows]
        gaps = np.isnan(block)
        found = robust_inputs(np.where(gaps, median, block), column)
        target[start : start + rows, : found.shape[1]] = found
        if column.marks_gaps:
            target[start : start + rows, -1] = gaps


def category_places(column: Column, values: Cells, places: Places) -> NDArray[np.int64]:
    """The index (n,) of each value's category, -1 for a gap; raises `UnknownCategoryError` for one that has none."""
    met = positions(column, values)
    if column.rest is not None:
        met[met == UNKNOWN] = column.rest
    unknown = met == UNKNOWN
    if unknown.any():
        row = int(unknown.argmax())
        raise UnknownCategoryError(
            f"{places.at(row)}, column {shown(column.name)}: {shown(values[row])} was not seen "
            f"in training{suggestion(values[row], column.categories)}; the known values are "
            f"{listed(column.categories)}"
        )
    return met


#: The index of a gap, and of a value without a category.
NO_VALUE, UNKNOWN = -1, -2


def positions(column: Column, cells: Cells) -> NDArray[np.int64]:
    """The index (n,) of each cell's category, `NO_VALUE` for a gap, `UNKNOWN` for one that has none."""
    if isinstance(cells, CodedTexts):
        known = [column.position(text) for text in cells.levels]
        return cells.spread([UNKNOWN if at is None else at for at in known], np.int64, NO_VALUE)
    found = np.full(len(cells), NO_VALUE)
    for row, value in enumerate(cells):
        if not is_gap(value):
            place = column.position(value)
            found[row] = UNKNOWN if place is None else place
    return found


def is_gap(value: Any) -> bool:
    """Whether a cell is missing: None, nan or pandas.NA."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # comparing pandas.NA gives pandas.NA, which has no truth value
        return True


def is_number(value: Any) -> bool:
    """Whether a cell is a number that `float` takes: Python's, NumPy's, a Decimal or a fraction."""
    return isinstance(value, (numbers.Real, np.bool_, Decimal))
