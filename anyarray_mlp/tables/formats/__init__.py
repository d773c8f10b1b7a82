"""The formats that tables come in, told by what a file begins with; each is read in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anyarray_mlp.tables.formats.delimited import read_delimited
from anyarray_mlp.tables.formats.json_records import is_json, read_json
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.table import Known, Table


@dataclass(frozen=True)
class Format:
    """A format: whether a file that begins so and has this path is of it, and how it is read."""

    name: str
    recognises: Callable[[bytes, Path], bool]
    read: Callable[[Source, Reading, Known], Table]


#: In the order in which they are asked; the last takes every text.
FORMATS = (
    Format("JSON", is_json, read_json),
    Format("delimited text", lambda head, path: True, read_delimited),
)


def format_of(head: bytes, path: Path) -> Format:
    """The format of a file."""
    return next(each for each in FORMATS if each.recognises(head, path))
