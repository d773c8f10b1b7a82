"""From the cells of a column, as its encoding says, to inputs of a network; what cannot be is told by row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.data.cells import (
    Cells,
    Places,
    as_array,
    gaps_in,
    is_gap,
    is_number,
    is_numeric,
)
from anyarray_mlp.data.dates import (
    GROWING,
    circle,
    days_of_cell,
    days_of_column,
    part_values,
)
from anyarray_mlp.data.encoding import Column, Part
from anyarray_mlp.data.pieces import clipped, pieces_of
from anyarray_mlp.errors import DataError, UnknownCategoryError
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.typing import Host

#: Entries encoded at a time, so that intermediate results stay in the cache.
CACHED_ENTRIES = 1 << 16
#: What pixels are divided by.
PIXEL_LEVELS = 255.0


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


def pixel_levels(column: Column, numbers: Host, places: Places) -> Host:
    """Pixels (n,) from 0 to 1; raises `DataError` for what is not a whole number from 0 to 255."""
    outside = np.isnan(numbers) | (numbers < 0) | (numbers > PIXEL_LEVELS) | (numbers % 1 != 0)
    if outside.any():
        row = int(outside.argmax())
        divided = np.nanmin(numbers) >= 0 and np.nanmax(numbers) <= 1
        raise DataError(
            f"{places.at(row)}, column {shown(column.name)}: {numbers[row]} is not a pixel; "
            "the model was trained on pixels, which are whole numbers from 0 to 255"
            + (", and these look already divided by 255: give them undivided" if divided else "")
        )
    return numbers / PIXEL_LEVELS


def standardized(column: Column, numbers: Host, places: Places, dtype: Any) -> Host:
    """Numbers (n,) of mean 0 and deviation 1, gaps filled, rounded to `dtype`; `DataError` for a gap without a median
    to fill it, and for a number too large."""
    gaps = np.isnan(numbers)
    filled = numbers
    if gaps.any():
        if column.median is None:
            raise DataError(
                f"{places.at(int(gaps.argmax()))}, column {shown(column.name)}: there is no value, and the model "
                "was trained on rows without gaps; fill it in, or leave the row out"
            )
        filled = np.where(gaps, column.median, numbers)
    with np.errstate(over="ignore", under="ignore"):
        scaled: Host = ((filled - column.mean) / column.scale).astype(dtype)
    overflow = ~np.isfinite(scaled)
    if overflow.any():
        row = int(overflow.argmax())
        raise DataError(
            f"{places.at(row)}, column {shown(column.name)}: {filled[row]} is too large for {np.dtype(dtype)}; "
            "standardise the features, or write them in a larger unit"
        )
    return scaled


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


def without_gaps(numbers: Host) -> Host:
    """The numbers that are there, all of them as they are if none is missing."""
    gaps = np.isnan(numbers)
    return numbers[~gaps] if gaps.any() else numbers
