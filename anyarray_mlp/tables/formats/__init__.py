"""The formats that tables come in, told by what a file begins with; each is read in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anyarray_mlp.tables.formats.arff import is_arff, read_arff
from anyarray_mlp.tables.formats.array_file import cells_of_array, is_array, read_array
from anyarray_mlp.tables.formats.arrow import (
    cells_of_arrow,
    cells_of_parquet,
    is_arrow,
    is_parquet,
    read_arrow,
    read_parquet,
)
from anyarray_mlp.tables.formats.delimited import cells_of_text, read_delimited
from anyarray_mlp.tables.formats.json_records import is_json, read_json
from anyarray_mlp.tables.formats.libsvm import is_libsvm, read_libsvm
from anyarray_mlp.tables.formats.workbook import is_archive, read_workbook
from anyarray_mlp.tables.reading import GIVEN, Reading
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.table import Known, Table


@dataclass(frozen=True)
class Format:
    """A format: whether a file that begins so and has this path is of it, and how it is read.

    options: those fields of a `Reading` that only some formats have and this one has.
    cells: about how many cells a file has, before it is read; None of formats whose tables are in memory in any case.
    """

    name: str
    recognises: Callable[[bytes, Path], bool]
    read: Callable[[Source, Reading, Known], Table]
    options: tuple[str, ...] = ()
    cells: Callable[[Source], int | None] | None = None

    def notes(self, reading: Reading) -> Iterator[str]:
        """What is said of options that were given, or are remembered, and have no meaning here."""
        for name in GIVEN:
            if name in ("missing", *self.options) or getattr(reading, name) is None:
                continue
            yield f"{name} is not for {self.name}, and is not looked at"


#: In the order in which they are asked; the last takes every text.
FORMATS = (
    Format("Parquet", is_parquet, read_parquet, cells=cells_of_parquet),
    Format("Arrow", is_arrow, read_arrow, cells=cells_of_arrow),
    Format("an array of NumPy", is_array, read_array, cells=cells_of_array),
    Format("workbooks", is_archive, read_workbook, ("header", "decimal", "skip", "sheet")),
    Format("JSON", is_json, read_json),
    Format("ARFF", is_arff, read_arff),
    Format("LIBSVM", is_libsvm, read_libsvm),
    Format(
        "text",
        lambda head, path: True,
        read_delimited,
        ("header", "separator", "decimal", "skip"),
        cells_of_text,
    ),
)


def format_of(head: bytes, path: Path) -> Format:
    """The format of a file."""
    return next(each for each in FORMATS if each.recognises(head, path))
