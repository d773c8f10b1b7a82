"""`Reading`: how a table is to be read: what somebody asked for, and what was found of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from anyarray_mlp.checking.records import (
    ANY_TABLE,
    TEXT,
    TRUTH,
    RecordError,
    integer,
    list_of,
    one_of,
    table,
)
from anyarray_mlp.tables.styles import BY_NAME, PLAIN

Place = str | int


@dataclass(frozen=True, slots=True)
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
    pixels : whether columns, or the lists in a column of texts, are the pixels of pictures.
    image_size, image_mode : height and width of pictures, and "grey" or "rgb".
    image_column : the column whose texts list the pixels of a picture, where that is known from another table.
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
    pixels: bool | None = None
    image_size: tuple[int, int] | None = None
    image_mode: str | None = None
    image_column: str | None = None

    def remembered(self) -> Reading:
        """What a model keeps of it, for tables in which columns may have other places."""
        kept = Reading.from_json(self.to_json(), "the reading")
        return kept.with_images(self.images_to_json(), "the images")

    def images_to_json(self) -> dict[str, Any]:
        """All that `with_images` needs, in JSON types; empty if nothing is known of images."""
        found = {
            "size": None if self.image_size is None else list(self.image_size),
            "mode": self.image_mode,
            "column": self.image_column,
        }
        return {name: value for name, value in found.items() if value is not None}

    def with_images(self, record: Mapping[str, Any], place: str) -> Reading:
        """The reading of images that `images_to_json` describes; raises `RecordError` for any other record."""
        IMAGES(record, place)
        size = record.get("size")
        if size is not None and len(size) != 2:
            raise RecordError(f"{place}.size must be height and width")
        return replace(
            self,
            image_size=None if size is None else (size[0], size[1]),
            image_mode=record.get("mode"),
            image_column=record.get("column"),
        )

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
IMAGES = table({}, {"size": list_of(integer(1)), "mode": one_of(("grey", "rgb")), "column": TEXT})
COLUMN = table({"style": one_of(tuple(BY_NAME)), "markers": list_of(TEXT)})
