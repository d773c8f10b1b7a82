"""Columns that somebody names: by their names, or by their places from 0."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.reading import Place


def find_columns(names: Sequence[str], wanted: Sequence[Place], path: Path) -> set[int]:
    """The places of some columns."""
    return {find_place(names, column, path) for column in wanted}


def find_place(names: Sequence[str], column: Place, path: Path) -> int:
    """The place of a column given by name or by number, from 0 (negative: from the end); `DataError` for any other."""
    if column in names:
        return list(names).index(str(column))
    try:
        number = place(column)
        return range(len(names))[number]
    except IndexError:
        raise DataError(
            f"{path}: no column {shown(place(column))}; there are {len(names)}, counted from 0 to {len(names) - 1}"
        ) from None
    except (TypeError, ValueError):
        raise DataError(
            f"{path}: no column {shown(column)}{suggestion(column, names)}; the columns are {listed(names)}"
        ) from None


def place(column: Place) -> int:
    """A column number in plain digits; `ValueError` for any other text, such as 1_0 or 01."""
    if isinstance(column, str) and not re.fullmatch(r"-?(0|[1-9][0-9]*)", column):
        raise ValueError(column)
    return int(column)
