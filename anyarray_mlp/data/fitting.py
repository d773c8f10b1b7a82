"""From the cells of a column in training rows to its encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import NUMBERS, find_name
from anyarray_mlp.data.cells import (
    Cells,
    Places,
    count_texts,
    gaps_in,
    is_numeric,
)
from anyarray_mlp.data.dates import GROWING, middle, part_values, parts_of
from anyarray_mlp.data.encoding import Column, Part
from anyarray_mlp.data.inputs import category_places, checked_dates, checked_numbers, without_gaps
from anyarray_mlp.data.moments import mean_and_scale, median_of
from anyarray_mlp.data.pieces import edges_of, robust_scale
from anyarray_mlp.data.roles import Role
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.typing import Host

#: How columns of numbers are fitted: as `checking.names.NUMBERS` says, or not scaled.
Scaling: TypeAlias = Literal["none", "standard", "robust", "pieces"]


MAX_CATEGORIES = 1000


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


def scaling_of(standardize: bool, numbers: str) -> Scaling:
    """How columns of numbers are fitted; `UsageError` for what `numbers` cannot be."""
    scaling: Scaling = find_name("numbers", numbers, NUMBERS, "numbers")  # type: ignore[assignment]
    if standardize:
        return scaling
    if scaling != "standard":
        raise UsageError(f"numbers={numbers!r} scales numbers: leave standardize=False out.")
    return "none"


def fit_role(
    name: str, values: Cells, places: Places, scaling: Scaling, role: Role, everything: Cells
) -> tuple[Column, Role]:
    """The encoding of a column of training rows by its role, and the role that it has in the end."""
    if role.kind == "date":
        column = fit_dates(name, values, places, scaling, role.form)
        if column is not None:
            return column, replace(role, because=about_dates(column), undo="drop")
        role = Role("left_out", "every row to train on has the same date, or none")
    if role.kind == "numeric":
        return fit_numbers(name, values, places, scaling), role
    if role.kind == "categorical":
        return fit_categories(name, values, places, role.categories, everything), role
    if role.kind == "grouped":
        return Column(name, "grouped", categories=role.categories), role
    return Column(name, "left_out"), role


def about_dates(column: Column) -> str:
    """What a column of dates becomes, in words."""
    parts = listed_plainly([part.name for part in column.parts])
    return f"dates ({column.form}), which become {parts}"


def listed_plainly(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def varies(values: Cells) -> bool:
    """Whether a column of numbers holds at least two."""
    numbers = checked_numbers("", values, Places(None))
    known = numbers[~np.isnan(numbers)]
    return bool(known.size and known.min() < known.max())
