"""How one column of a table is encoded: what its cells are, and which numbers they become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

from anyarray_mlp.checking.records import (
    NULL,
    TEXT,
    TRUTH,
    RecordError,
    list_of,
    number,
    one_of,
    table,
)
from anyarray_mlp.data.cells import category
from anyarray_mlp.data.dates import CYCLES, FORMS, GROWING, PARTS, TEXT_FORMS
from anyarray_mlp.data.pieces import FEWEST_EDGES, piece_names
from anyarray_mlp.tables.styles import PLAIN

Kind = Literal["numeric", "robust", "binary", "categorical", "grouped", "date", "left_out"]


@dataclass(frozen=True)
class Part:
    """What is taken of a date: a name of `dates.PARTS`, and the mean and scale of those that grow with time.

    edges: None, or those of a `robust` column, as which the part is then encoded.
    """

    name: str
    mean: float = 0.0
    scale: float = 1.0
    edges: tuple[float, ...] | None = None

    @property
    def width(self) -> int:
        """Number of encoded columns: sine and cosine of what lies on a circle."""
        return 2 if self.name in CYCLES else 1 + pieces_between(self.edges)

    def to_json(self) -> dict[str, Any]:
        """The part in JSON types; `edges` only if it has them."""
        record: dict[str, Any] = {"name": self.name, "mean": self.mean, "scale": self.scale}
        return record if self.edges is None else record | {"edges": list(self.edges)}


@dataclass(frozen=True)
class Column:
    """How one column is encoded.

    numeric: a gap becomes `median`, then (value - mean) / scale; where `median` is None a gap is refused.
    robust: a gap becomes `median`, then z = (value - mean) / scale, with the median as mean, is clipped to
        z / sqrt(1 + (z / 3)^2).
        One column more for each piece between two of `edges`, the share of it that lies below the value; and, if
        `marks_gaps`, a last one that is 1 for a gap.
    binary: one column that is 0 for the first of two categories and 1 for the second; a gap becomes `median`, the
        fraction of rows in the second one.
    categorical: one column of 0 and 1 for each category; a gap is a row of zeros.
    grouped: the same with one column more, the last, for all other categories, seen in training or not.
    date: written in `form`; one column for each of `parts` that grows with time, scaled, and two, sine and cosine, for
        each that lies on a circle. A gap counts as the day `median`, and is 0 on the circles; `marks_gaps` as above.
    left_out: no column.
    """

    name: str
    kind: Kind
    median: float | None = 0.0
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    form: str = ""
    parts: tuple[Part, ...] = ()
    edges: tuple[float, ...] = ()
    marks_gaps: bool = False

    @property
    def width(self) -> int:
        """Number of encoded columns that this one becomes."""
        if self.kind in ("categorical", "grouped"):
            return len(self.categories) + (self.kind == "grouped")
        if self.kind == "date":
            return sum(part.width for part in self.parts) + self.marks_gaps
        if self.kind == "robust":
            return 1 + pieces_between(self.edges) + self.marks_gaps
        return 0 if self.kind == "left_out" else 1

    @property
    def is_text(self) -> bool:
        """Whether its cells are read as texts, whatever they look like; so are those that nobody looks at."""
        of_texts = self.kind == "date" and self.form in TEXT_FORMS
        return bool(self.categories) or of_texts or self.kind == "left_out"

    @cached_property
    def positions(self) -> dict[str, int]:
        """The index of each category."""
        return {known: place for place, known in enumerate(self.categories)}

    @property
    def rest(self) -> int | None:
        """The index of the column for all other categories, if there is one."""
        return len(self.categories) if self.kind == "grouped" else None

    def position(self, value: Any) -> int | None:
        """The index of a value's category, None for one that has none."""
        place = self.positions.get(category(value))
        if place is None and isinstance(value, str):
            # A column of whole numbers that has gaps is often written 1.0.
            number = PLAIN.number(value)
            place = self.positions.get("" if number is None else category(number))
        return place

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """The name of each encoded column: `name`, or `name=category` for the category that it marks."""
        if self.kind == "numeric":
            return (self.name,)
        of_gaps = (f"{self.name} (missing)",) if self.marks_gaps else ()
        if self.kind == "robust":
            return (self.name, *piece_names(self.name, self.edges), *of_gaps)
        if self.kind == "date":
            names = tuple(name for part in self.parts for name in self.names_of_part(part))
            return (*names, *of_gaps)
        named = self.categories[1:] if self.kind == "binary" else self.categories
        names = tuple(f"{self.name}={category}" for category in named)
        return (*names, f"{self.name}=(the rest)") if self.kind == "grouped" else names

    def names_of_part(self, part: Part) -> tuple[str, ...]:
        """The names of the columns that a part of a date becomes."""
        if part.name in GROWING:
            name = f"{self.name} ({part.name})"
            return (name, *piece_names(name, part.edges or ()))
        return f"{self.name} ({part.name}, sine)", f"{self.name} ({part.name}, cosine)"

    def to_json(self) -> dict[str, Any]:
        """All that `column_from` needs, in JSON types; what only some kinds have is left out of others."""
        keys = ("name", "kind", "median", "mean", "scale")
        record: dict[str, Any] = {key: getattr(self, key) for key in keys}
        record["categories"] = list(self.categories)
        if self.kind == "date":
            record |= {"form": self.form, "parts": [part.to_json() for part in self.parts]}
        if self.kind == "robust":
            record["edges"] = list(self.edges)
        return record | ({"marks_gaps": True} if self.marks_gaps else {})


def pieces_between(edges: Sequence[float] | None) -> int:
    """How many pieces lie between some edges."""
    return len(edges) - 1 if edges else 0


EDGES = list_of(number())
COLUMN = table(
    {
        "name": TEXT,
        "kind": one_of(get_args(Kind)),
        "median": NULL | number(),
        "mean": number(),
        "scale": number(0, ends="(]"),
        "categories": list_of(TEXT),
    },
    {
        "form": one_of(FORMS),
        "parts": list_of(
            table(
                {"name": one_of(PARTS), "mean": number(), "scale": number(0, ends="(]")},
                {"edges": EDGES},
            ),
            least=1,
        ),
        "edges": EDGES,
        "marks_gaps": TRUTH,
    },
)


def column_from(entry: Mapping[str, Any], place: str) -> Column:
    """One column from JSON of the right types; raises `RecordError` if its categories do not fit its kind."""
    categories = tuple(entry["categories"])
    kind = entry["kind"]
    fitting = dict.fromkeys(("numeric", "robust", "date", "left_out"), not categories)
    fitting["binary"] = len(categories) == 2
    if not fitting.get(kind, bool(categories)):
        raise RecordError(f"{place}.categories holds {len(categories)} and the column is {kind}")
    if len(set(categories)) < len(categories):
        raise RecordError(f"{place}.categories holds a category twice")
    if entry["median"] is None and kind != "numeric":
        raise RecordError(f"{place}.median is null and the column is {kind}")
    median = None if entry["median"] is None else float(entry["median"])
    mean, scale = float(entry["mean"]), float(entry["scale"])
    column = Column(entry["name"], kind, median, mean, scale, categories)
    if kind == "robust":
        if "edges" not in entry:
            raise RecordError(f"{place}.edges is missing and the column is robust")
        edges = edges_from(entry["edges"], f"{place}.edges")
        return replace(column, edges=edges, marks_gaps=entry.get("marks_gaps", False))
    if kind != "date":
        return column
    for key in ("form", "parts"):
        if key not in entry:
            raise RecordError(f"{place}.{key} is missing and the column is a date")
    parts = tuple(part_from(part, f"{place}.parts[{i}]") for i, part in enumerate(entry["parts"]))
    if len({part.name for part in parts}) < len(parts):
        raise RecordError(f"{place}.parts holds a part twice")
    gaps = entry.get("marks_gaps", False)
    return replace(column, form=entry["form"], parts=parts, marks_gaps=gaps)


def part_from(entry: Mapping[str, Any], place: str) -> Part:
    """A part of a date from JSON of the right types; raises `RecordError` for edges that cannot be."""
    edges = entry.get("edges")
    if edges is not None:
        if entry["name"] not in GROWING:
            raise RecordError(f"{place}.edges is there and {entry['name']} lies on a circle")
        edges = edges_from(edges, f"{place}.edges")
    return Part(entry["name"], float(entry["mean"]), float(entry["scale"]), edges)


def edges_from(entry: Sequence[float], place: str) -> tuple[float, ...]:
    """Edges from JSON; raises `RecordError` unless they ascend within a range that is finite."""
    edges = tuple(map(float, entry))
    if edges and (len(edges) < FEWEST_EDGES or not math.isfinite(edges[-1] - edges[0])):
        raise RecordError(f"{place} must be none or at least {FEWEST_EDGES}, of a finite range")
    if any(low >= high for low, high in pairwise(edges)):
        raise RecordError(f"{place} must ascend")
    return edges
