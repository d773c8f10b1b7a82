"""`Table`: what a file holds, column by column, and what was decided on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import listed, shown
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.reading import ColumnReading, Reading

#: A column as it is kept: numbers or texts as they are, or texts that are told apart already.
Column = NDArray[Any] | CodedTexts

#: How the columns of a table are read, after those of another one, from their names.
Known = Callable[[list[str]], Mapping[str, ColumnReading]]


def nothing_known(names: list[str]) -> Mapping[str, ColumnReading]:
    """The first table of its kind."""
    return {}


def nothing_in(names: list[str]) -> str:
    """The note on columns that are left out since they hold nothing."""
    subject = f"column {shown(names[0])}" if len(names) == 1 else f"columns {listed(names)}"
    return f"{subject}: left out: no row has a value"


class Columns(Sequence[NDArray[Any]]):
    """The columns of a table as arrays; one of coded texts becomes an array when somebody asks for it.

    kept : the columns as they are.
    """

    def __init__(self, kept: Sequence[Column]) -> None:
        self.kept = tuple(kept)
        self.arrays: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.kept)

    @overload
    def __getitem__(self, place: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[NDArray[Any], ...]: ...

    def __getitem__(self, place: int | slice) -> NDArray[Any] | tuple[NDArray[Any], ...]:
        if isinstance(place, slice):
            return tuple(self[each] for each in range(len(self))[place])
        column = self.kept[place]
        if not isinstance(column, CodedTexts):
            return column
        place %= len(self)
        if place not in self.arrays:
            self.arrays[place] = column.texts()
        return self.arrays[place]


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
    columns: Sequence[NDArray[Any]]
    notes: tuple[str, ...] = ()
    lines: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    all_names: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)
    targets: tuple[str, ...] = ()
    is_sparse: bool = False
    lacks_target: str = ""

    def __len__(self) -> int:
        return len(self.kept[0]) if self.kept else 0

    @property
    def kept(self) -> tuple[Column, ...]:
        """The columns as they are kept, texts by their codes where they have some."""
        columns = self.columns
        return columns.kept if isinstance(columns, Columns) else tuple(columns)

    @property
    def by_name(self) -> dict[str, Column]:
        """The columns as they are kept, each by its name."""
        return dict(zip(self.names, self.kept, strict=True))
