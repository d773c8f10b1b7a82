"""`Reading`: how a table is to be read: what somebody asked for, and what was found of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from anyarray_mlp.checking.records import ANY_TABLE, TEXT, TRUTH, integer, list_of, one_of, table
from anyarray_mlp.tables.styles import BY_NAME, PLAIN

Place = str | int


@dataclass(frozen=True)
class ColumnReading:
    """How the cells of one column are read: as texts, as numbers of a style with markers for gaps, or not at all."""

    kind: Literal["number", "text", "none"]
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
    sheet : the sheet of a workbook.
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
    sheet: str | None = None

    def remembered(self) -> Reading:
        """What a model keeps of it, for tables in which columns may have other places."""
        return Reading.from_json(self.to_json(), "the reading")

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs, in JSON types; plain numbers and texts are left out, which go without saying."""
        given = {
            name: list(value) if isinstance(value, tuple) else value
            for name in GIVEN
            if (value := getattr(self, name)) is not None
        }
        columns = {
            name: {"style": each.style, "markers": list(each.markers)}
            for name, each in self.columns.items()
            if each.kind == "number" and (each.style != PLAIN.name or each.markers)
        }
        return {"given": given, "columns": columns}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], place: str) -> Reading:
        """The reading that `to_json` describes; raises `RecordError` for any other record."""
        READING(record, place)
        given = {name: value for name, value in record["given"].items() if name in GIVEN}
        if "missing" in given:
            given["missing"] = tuple(given["missing"])
        columns = {}
        for name, entry in record["columns"].items():
            COLUMN(entry, f"{place}.columns.{name}")
            columns[name] = ColumnReading("number", entry["style"], tuple(entry["markers"]))
        return cls(**given, columns=columns)


#: What is remembered of what somebody asked for, and what it may be; columns have their own readings.
GIVEN: dict[str, Any] = {
    "header": TRUTH,
    "separator": TEXT,
    "decimal": one_of((".", ",")),
    "missing": list_of(TEXT),
    "skip": integer(),
    "sheet": TEXT,
}
READING = table({"given": table({}, GIVEN), "columns": ANY_TABLE})
COLUMN = table({"style": one_of(tuple(BY_NAME)), "markers": list_of(TEXT)})
