"""`StoredFrame`: a table whose columns lie on disk, with as much of a DataFrame as its way to a network needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.data.cells import Cells
from anyarray_mlp.data.chosen_columns import frame_of
from anyarray_mlp.tables import Table
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.tables.shelf import Shelf
from anyarray_mlp.tables.table import Columns

if TYPE_CHECKING:
    import pandas

#: Bytes of the cells that are in memory at a time.
PART_BYTES = 1 << 24


class StoredFrame:
    """Rows and columns of a table on disk.

    `iloc`, `columns`, `index`, `items` and `frame[names]` are as a DataFrame has them, and read nothing yet. `cells`
    are all of a column, one in memory at a time; `parts` are DataFrames of some rows each.
    """

    ndim = 2

    def __init__(
        self,
        table: Table,
        shelf: Shelf,
        names: Sequence[str] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.table = table
        self.shelf = shelf
        self.by_name = table.by_name
        self.columns = tuple(table.names if names is None else names)
        self.rows = rows
        shelf.release()  # of what was looked at on the way here

    def __len__(self) -> int:
        return len(self.table) if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), len(self.columns)

    @property
    def iloc(self) -> Places:
        """Rows, or columns, by their places."""
        return Places(self)

    def __getitem__(self, names: Sequence[str]) -> StoredFrame:
        """Some of the columns."""
        return StoredFrame(self.table, self.shelf, names, self.rows)

    @property
    def lines(self) -> Lines:
        """The line of each row in the file."""
        return Lines(self.table.lines, self.rows)

    @property
    def index(self) -> pandas.Index[Any]:
        """The same as pandas has it."""
        import pandas

        return pandas.Index(taken(self.table.lines, self.rows), name="line")

    def column(self, name: str, rows: NDArray[np.int64] | None) -> Any:
        """Some cells of a column as the table has them; gaps in one that holds nothing."""
        if name not in self.by_name:
            return np.full(len(self.table) if rows is None else len(rows), np.nan)
        found = self.by_name[name]
        if rows is None:
            return found
        return found.rows(rows) if isinstance(found, CodedTexts) else found[rows]

    def cells(self) -> Iterator[tuple[str, Cells]]:
        """Each column, which is let go of before the next comes."""
        for name in self.columns:
            yield name, self.column(name, self.rows)
            self.shelf.release()

    def items(self) -> Iterator[tuple[str, pandas.Series[Any]]]:
        """Each column as pandas has it."""
        for name in self.columns:
            yield name, self.frame([name], self.rows)[name]

    def to_pandas(self) -> pandas.DataFrame:
        """All of it in memory."""
        return self.frame(self.columns, self.rows)

    def parts(self, size: int = PART_BYTES) -> Iterator[pandas.DataFrame]:
        """The rows in parts of about so many bytes."""
        at_once = max(1, size // (8 * max(1, len(self.columns))))
        for start in range(0, len(self), at_once):
            stop = min(start + at_once, len(self))
            rows = np.arange(start, stop) if self.rows is None else self.rows[start:stop]
            yield self.frame(self.columns, rows)

    def frame(self, names: Sequence[str], rows: NDArray[np.int64] | None) -> pandas.DataFrame:
        """Some rows of some columns in memory."""
        columns = Columns([self.column(name, rows) for name in names])
        lines = taken(self.table.lines, rows)
        found = frame_of(replace(self.table, names=tuple(names), columns=columns, lines=lines))
        self.shelf.release()
        return found


class Places:
    """What `iloc` of a frame gives."""

    def __init__(self, frame: StoredFrame) -> None:
        self.frame = frame

    def __getitem__(self, key: Any) -> StoredFrame:
        """`iloc[rows]` and `iloc[:, columns]`."""
        frame = self.frame
        if isinstance(key, tuple):
            columns = [frame.columns[place] for place in key[1]]
            return frame[columns]
        rows = np.asarray(key) if frame.rows is None else frame.rows[key]
        return StoredFrame(frame.table, frame.shelf, frame.columns, rows)


class Lines:
    """The lines of some rows, found when they are asked for."""

    def __init__(self, lines: NDArray[np.int64], rows: NDArray[np.int64] | None) -> None:
        self.lines = lines
        self.rows = rows

    def __getitem__(self, row: int) -> int:
        return int(self.lines[row if self.rows is None else self.rows[row]])


def taken(values: NDArray[np.int64], rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Some of some values; None stands for all."""
    return values if rows is None else values[rows]


def is_stored_frame(features: Any) -> bool:
    """Whether features are a table on disk."""
    return isinstance(features, StoredFrame)
