"""`Preprocessor`: turns raw features into a network's inputs; `Schema`: the encodings that a model uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, repeat
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import listed
from anyarray_mlp.checking.records import TEXT, TRUTH, RecordError, list_of, model_file, table
from anyarray_mlp.data.cells import (
    Cells,
    Columns,
    Places,
    array_names,
    as_columns,
    is_numeric,
    is_table,
    unnamed,
)
from anyarray_mlp.data.dataset import Features
from anyarray_mlp.data.encoding import COLUMN, Column, column_from
from anyarray_mlp.data.fitting import (
    Scaling,
    fit_column,
    fit_role,
    scaling_of,
    varies,
)
from anyarray_mlp.data.frames import as_pandas
from anyarray_mlp.data.inputs import (
    CACHED_ENTRIES,
    PIXEL_LEVELS,
    category_places,
    checked_numbers,
    date_inputs,
    pixel_levels,
    standardized,
    write_robust,
)
from anyarray_mlp.data.matching import check_named, unmatched
from anyarray_mlp.data.pieces import MOST_CUT_COLUMNS
from anyarray_mlp.data.roles import Role, notes_of, role_of, told_forms
from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host


@dataclass(frozen=True)
class Preprocessor:
    """Fitted encoding of the features; `Preprocessor.fit(features)` makes one.

    Columns of numbers are standardised and columns of texts are one-hot encoded; a column of two texts without gaps
    becomes one column of 0 and 1. An array of uint8 is taken as pixels, which are only divided by 255.

    Of a table, dates become what `dates.PARTS` lists, texts that are rare count as one, and columns that tell nothing
    of a new row are left out: those with one value, those that number or identify the rows, texts that hardly ever
    recur. `notes` says each such decision in a sentence.
    """

    columns: tuple[Column, ...]
    pixels: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        features: Features,
        *,
        standardize: bool = True,
        numbers: str = "standard",
        names: Sequence[str] | None = None,
        vocabulary: Features | None = None,
        keep: Sequence[str] = (),
        date: Sequence[str] = (),
    ) -> Preprocessor:
        """Learn medians, means, scales and categories from training rows.

        features: a DataFrame, or a numeric array (n, i) whose columns `names` may name.
        standardize: whether columns of numbers are scaled at all.
        numbers: how: "standard", to mean 0 and deviation 1; "robust", by median and quartiles with a smooth clip at 3,
            and a column more that marks gaps if there are any; "pieces", the same with columns beside it that cut the
            number at its quantiles (`Column` has the formulas). Days and years of dates count as numbers.
        vocabulary: more rows of the same columns, including those of `features`, in the order of the table. Only the
            categories of columns with few, whether there are gaps among them, whether a column numbers or identifies
            the rows, and the form of its dates come from these rows.
        keep: names of columns of a table that are taken as they are: numbers, or a category for each text.
        date: names of columns of a table that hold dates although they hold numbers (years, days in digits such as
            20240131, seconds and smaller units since 1970), or NAME:FORM with one of `dates.FORMS` where several fit.
        Raises `DataError` for infinite values, a column of an array without any value, more than 1,000
        categories, no column that tells anything, or types other than numbers, texts and dates; `UsageError` for
        another `numbers`, or one without `standardize`.
        """
        scaling = scaling_of(standardize, numbers)
        features, vocabulary = as_pandas(features), as_pandas(vocabulary)
        if features.ndim != 2 or 0 in features.shape:
            raise DataError(f"features of shape {features.shape}; give rows and columns, (n, i)")
        if not is_table(features) and features.dtype == np.uint8:
            return cls(
                tuple(Column(name, "numeric") for name in array_names(features, names)), True
            )
        too_wide = scaling == "pieces" and features.shape[1] > MOST_CUT_COLUMNS
        if too_wide:
            scaling = "robust"
        notes = (NOT_CUT,) if too_wide else ()
        table = as_columns(features, names)
        words: Iterable[Cells | None] = repeat(None)
        if vocabulary is not None:
            words = (values for _, values in as_columns(vocabulary, names).items)
        if is_table(features):
            found = cls.of_table(table, words, scaling, keep, told_forms(date))
            return replace(found, notes=found.notes + notes)
        return cls(
            tuple(
                fit_column(name, values, table.places, scaling, known)
                for (name, values), known in zip(table.items, words, strict=False)
            ),
            notes=notes,
        )

    @classmethod
    def of_table(
        cls,
        table: Columns,
        words: Iterable[Cells | None],
        scaling: Scaling,
        keep: Sequence[str],
        date: Mapping[str, str],
    ) -> Preprocessor:
        """The encoding of a table's columns, each by its role."""
        fitted: dict[str, Column] = {}
        roles: dict[str, Role] = {}
        spare: dict[str, Column] = {}
        for (name, values), known in zip(table.items, words, strict=False):
            everything = values if known is None else known
            if name in keep and name not in date:
                fitted[name] = fit_column(name, values, table.places, scaling, everything)
                continue
            role = role_of(name, values, everything, date.get(name))
            fitted[name], roles[name] = fit_role(
                name, values, table.places, scaling, role, everything
            )
            if role.kind == "left_out" and is_numeric(values) and varies(values):
                spare[name] = fit_column(name, values, table.places, scaling)
        check_named((*keep, *date), fitted)
        if not any(column.width for column in fitted.values()):
            if not spare:
                raise DataError(f"no column tells anything: {'; '.join(notes_of(roles, fitted))}")
            fitted |= spare
            because = "taken although it numbers or identifies the rows, as no other column tells anything"
            roles |= dict.fromkeys(spare, Role("numeric", because, "drop"))
        return cls(tuple(fitted.values()), notes=tuple(notes_of(roles, fitted)))

    @property
    def n_features_in(self) -> int:
        """Number of columns that `transform` takes."""
        return len(self.columns)

    @property
    def n_features_out(self) -> int:
        """Number of columns that `transform` returns."""
        return sum(column.width for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that `transform` takes, those that are left out among them."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def used(self) -> tuple[Column, ...]:
        """The columns that are not left out."""
        return tuple(column for column in self.columns if column.kind != "left_out")

    @property
    def used_names(self) -> tuple[str, ...]:
        """Names of the columns that `transform` needs."""
        return tuple(column.name for column in self.used)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """Names of the columns that `transform` returns; `name=category` for those of categories."""
        return tuple(name for column in self.columns for name in column.encoded_names)

    @property
    def sources(self) -> tuple[int, ...]:
        """For each column that `transform` returns, the index of the input column that it comes from."""
        return tuple(
            place for place, column in enumerate(self.columns) for _ in range(column.width)
        )

    def transform(self, features: Features, *, dtype: Any = np.float64) -> Host:
        """The encoded features, (n, n_features_out), in C order.

        Columns of a DataFrame are found by name, in any order, and others are ignored (a target left in the file does
        no harm). They are found by position if one side has no names and the counts agree; columns that are left out
        need not be there. Arithmetic is float64, rounded once to `dtype`.

        Raises `DataError` naming row and column for a missing column, a text among numbers or dates, or a
        value that is infinite (also in `dtype`); `UnknownCategoryError`, a subclass of it, for a category that was
        not seen in training, of a column that has no rest for it (`without_unknown` turns these into gaps).
        """
        features = as_pandas(features)
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
        chosen = self.select(features)
        encoded = np.zeros((len(features), self.n_features_out), dtype=dtype)
        start = 0
        for run, numbers in self.runs(chosen):
            columns = self.used[run]
            stop = start + sum(column.width for column in columns)
            part = chosen.iloc[:, run] if is_table(chosen) else chosen[:, run]
            target = encoded[:, start:stop]
            if not (numbers and self.scale(run, np.asarray(part), target)):
                self.encode(columns, as_columns(part, None), target)
            start = stop
        return encoded

    def runs(self, chosen: Features) -> Iterator[tuple[slice, bool]]:
        """The columns that `select` gives in runs, and whether one holds numbers that are scaled all at once."""
        if is_table(chosen):
            floats = [dtype == np.float64 for dtype in chosen.dtypes]
        else:
            floats = [chosen.dtype.kind in "biuf"] * len(self.used)
        at_once = [
            column.kind == "numeric" and is_float and not self.pixels
            for column, is_float in zip(self.used, floats, strict=True)
        ]
        start = 0
        for numbers, run in groupby(at_once):
            stop = start + len(list(run))
            yield slice(start, stop), numbers
            start = stop

    def encode(self, columns: Sequence[Column], table: Columns, target: Host) -> None:
        """Write some columns, one after the other, to what is zeros now."""
        start = 0
        for column, (_, values) in zip(columns, table.items, strict=True):
            part = target[:, start : start + column.width]
            if column.kind == "date":
                part[:] = date_inputs(column, values, table.places)
            elif column.kind == "robust":
                write_robust(column, values, table.places, part)
            elif column.kind in ("categorical", "grouped"):
                met = category_places(column, values, table.places)
                rows = np.flatnonzero(met >= 0)
                part[rows, met[rows]] = 1
            else:
                part[:, 0] = self.numbers(column, values, table.places, target.dtype)
            start += column.width

    @cached_property
    def are_numbers(self) -> bool:
        """Whether all columns hold numbers that are scaled."""
        return not self.pixels and all(column.kind == "numeric" for column in self.columns)

    @cached_property
    def moments(self) -> Host:
        """Medians, means and scales (3, used) of the columns of numbers that are used, nan of others."""
        columns = [
            (column.median, column.mean, column.scale)
            if column.kind == "numeric"
            else (np.nan, np.nan, np.nan)
            for column in self.used
        ]
        return np.array(columns, dtype=np.float64).T

    def transform_numbers(self, features: Features, dtype: Any) -> Host | None:
        """All columns of an array at once, or None if one needs separate handling: a text, an overflow."""
        if is_table(features) or features.dtype.kind not in "biuf" or not self.are_numbers:
            return None
        if features.shape[1] != len(self.columns):
            return None
        encoded = np.empty(features.shape, dtype)
        return encoded if self.scale(slice(None), features, encoded) else None

    def scale(self, run: slice, numbers: Any, target: Host) -> bool:
        """Write some columns of numbers, gaps filled, or find that one needs separate handling."""
        medians, means, scales = self.moments[:, run]
        rows = max(1, CACHED_ENTRIES // len(means))
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for start in range(0, len(numbers), rows):
                block = numbers[start : start + rows].astype(np.float64)
                scaled = ((block - means) / scales).astype(target.dtype)
                if not np.isfinite(scaled).all():
                    filled = np.where(np.isnan(block), medians, block)
                    scaled = ((filled - means) / scales).astype(target.dtype)
                    if not np.isfinite(scaled).all():
                        return False
                target[start : start + rows] = scaled
        return True

    def numbers(self, column: Column, values: Cells, places: Places, dtype: Any) -> Host:
        """A column that stays a single column: gaps filled, scaled, rounded to `dtype`."""
        if column.kind == "binary":
            met = category_places(column, values, places)
            numbers = np.where(met < 0, np.nan, met)
        else:
            numbers = checked_numbers(column.name, values, places)
        if self.pixels:
            return pixel_levels(column, numbers, places)
        return standardized(column, numbers, places, dtype)

    def check_width(self, width: int) -> None:
        """Raise `DataError` for an array with another number of columns."""
        if width not in (self.n_features_in, len(self.used)):
            raise DataError(
                f"the data has {width} feature(s) and the model was trained on {self.n_features_in}: "
                f"{listed(self.names)}; give the same columns"
            )

    def select(self, features: Features) -> Features:
        """The columns that were fitted and not left out, in the order of fitting."""
        if not is_table(features):
            self.check_width(features.shape[1])
            places = self.places_of_used(features.shape[1])
            return features if places is None else features[:, places]
        present = [str(name) for name in features.columns]
        # The first column of a name has it.
        at = {name: place for place, name in reversed(list(enumerate(present)))}
        absent = [name for name in self.used_names if name not in at]
        if not absent:
            chosen = [at[name] for name in self.used_names]
            whole = chosen == list(range(len(present)))
            return features if whole else features.iloc[:, chosen]
        if self.is_by_place(present):
            places = self.places_of_used(len(present))
            return features if places is None else features.iloc[:, places]
        raise unmatched(self.names, absent, present)

    def is_by_place(self, present: Sequence[str]) -> bool:
        """Whether columns of these names can be matched by position: as many, and one side without names."""
        counts = (self.n_features_in, len(self.used))
        return len(present) in counts and (unnamed(present) or unnamed(self.names))

    def places_of_used(self, width: int) -> list[int] | None:
        """The positions among `width` columns of those that are not left out; None if those are all."""
        if width == len(self.used):
            return None
        return [place for place, column in enumerate(self.columns) if column.kind != "left_out"]

    def text_columns(self, present: Sequence[str]) -> list[str]:
        """The columns of a table whose cells are texts, matched as `transform` matches them."""
        return [name for name, column in self.matched(present).items() if column.is_text]

    def matched(self, present: Sequence[str]) -> dict[str, Column]:
        """The encodings of the columns of a table by the names that they have there, matched as `transform` does."""
        columns, found = self.columns, self.names
        if not self.is_by_name(present) and self.is_by_place(present):
            columns = self.columns if len(present) == self.n_features_in else self.used
            found = tuple(present)
        pairs, known = zip(found, columns, strict=True), set(present)
        return {name: column for name, column in pairs if name in known}

    def is_by_name(self, present: Sequence[str]) -> bool:
        """Whether columns of these names include all that are needed."""
        return set(present).issuperset(self.used_names)

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs, in JSON types (floats keep every bit)."""
        record: dict[str, Any] = {"pixels": self.pixels}
        record["columns"] = [column.to_json() for column in self.columns]
        return record | ({"notes": list(self.notes)} if self.notes else {})

    @classmethod
    def from_json(cls, record: Mapping[str, Any], source: str = "the model") -> Preprocessor:
        """The preprocessor that `to_json` describes.

        Raises `ModelFileError`, which names `source`, the field and what it must be, for any other record.
        """
        with model_file(source):
            PREPROCESSING(record, "preprocessing")
            entries = enumerate(record["columns"])
            columns = tuple(
                column_from(entry, f"preprocessing.columns[{i}]") for i, entry in entries
            )
            if record["pixels"] and any(column.kind != "numeric" for column in columns):
                raise RecordError("preprocessing.pixels is true and a column holds categories")
            return cls(columns, record["pixels"], tuple(record.get("notes", ())))


PREPROCESSING = table(
    {"pixels": TRUTH, "columns": list_of(COLUMN, least=1)}, {"notes": list_of(TEXT)}
)


NOT_CUT = f"columns of numbers are not cut into pieces, as there are more than {MOST_CUT_COLUMNS:,} columns"
