"""`Table`: what a file holds, column by column, and what was decided on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.tables.reading import ColumnReading, Reading

#: How the columns of a table are read, after those of another one, from their names.
Known = Callable[[list[str]], Mapping[str, ColumnReading]]


def nothing_known(names: list[str]) -> Mapping[str, ColumnReading]:
    """The first table of its kind."""
    return {}


def nothing_in(names: list[str]) -> str:
    """The note on columns that are left out since they hold nothing."""
    subject = f"column {shown(names[0])}" if len(names) == 1 else f"columns {listed(names)}"
    return f"{subject}: left out: no row has a value"


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was read.

    Attributes
    ----------
    names : of the columns, all different.
    columns : one array (n,) for each: float64 with NaN for gaps, texts (objects) with None for gaps, or datetime64 with
        NaT for gaps, of formats that have dates.
    notes : what was decided that a person might have wanted otherwise, one sentence each.
    lines : (n,), the line of the file on which each row starts, from 1.
    all_names : of every column in the file, those that were left out too.
    reading : the decisions, by which another table can be read in the same way.
    targets : the columns that are the target by the file's format; of most formats none is.
    is_sparse : whether columns that are not there hold zeros.
    lacks_target : what the file is, if it can hold no target, as an array of pictures.
    """

    names: tuple[str, ...]
    columns: tuple[NDArray[Any], ...]
    notes: tuple[str, ...] = ()
    lines: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    all_names: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)
    targets: tuple[str, ...] = ()
    is_sparse: bool = False
    lacks_target: str = ""

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0
