"""`Reading`: how a table is to be read: what somebody asked for, and what was found of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from anyarray_mlp.checking.records import TEXT, RecordError, list_of, one_of, table
from anyarray_mlp.tables.styles import BY_NAME

Place = str | int


@dataclass(frozen=True)
class ColumnReading:
    """How the cells of one column are read: as texts, or as numbers of a style with markers for gaps."""

    kind: Literal["number", "text"]
    style: str = "plain"
    markers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What somebody asked for; None and () leave it to the rules.

    Attributes
    ----------
    header : whether the first line of the table names its columns.
    separator : what stands between columns; a blank stands for any number of blanks and tabs.
    decimal : the decimal mark, "." or ",".
    missing : the cells that are gaps besides the usual ones; with these given, no other marker is looked for.
    skip : the lines before the table.
    numeric : columns of numbers, in which everything else is a gap.
    text : columns of texts, whatever they look like.
    drop : columns that are left out.
    columns : how each column is read, by name, where that is known from another table.
    """

    header: bool | None = None
    separator: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] | None = None
    skip: int | None = None
    numeric: tuple[Place, ...] = ()
    text: tuple[Place, ...] = ()
    drop: tuple[Place, ...] = ()
    columns: Mapping[str, ColumnReading] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs, in JSON types: how the columns are read."""
        return {
            name: {"kind": each.kind, "style": each.style, "markers": list(each.markers)}
            for name, each in self.columns.items()
        }


COLUMN = table({"kind": one_of(("number", "text")), "style": one_of(tuple(BY_NAME)), "markers": list_of(TEXT)})


def columns_from(record: Any, place: str) -> dict[str, ColumnReading]:
    """How columns are read, from JSON; raises `RecordError` for anything else."""
    if not isinstance(record, dict):
        raise RecordError(f"{place} is no table")
    for name, entry in record.items():
        COLUMN(entry, f"{place}.{name}")
    return {
        name: ColumnReading(entry["kind"], entry["style"], tuple(entry["markers"]))
        for name, entry in record.items()
    }
