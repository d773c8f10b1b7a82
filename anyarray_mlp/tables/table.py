"""`Table`: what a file holds, column by column, and what was decided on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from anyarray_mlp.tables.reading import Reading


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it was read.

    Attributes
    ----------
    names : of the columns, all different.
    columns : one array (n,) for each: float64 with NaN for gaps, or texts (objects) with None for gaps.
    notes : what was decided that a person might have wanted otherwise, one sentence each.
    lines : (n,), the line of the file on which each row starts, from 1.
    reading : the decisions, by which another table can be read in the same way.
    """

    names: tuple[str, ...]
    columns: tuple[NDArray[Any], ...]
    notes: tuple[str, ...] = ()
    lines: Sequence[int] = ()
    reading: Reading = field(default_factory=Reading)

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0
