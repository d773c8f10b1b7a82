"""`read_table`: a file as a `Table`, whatever its layout; what was decided is said, and can be overruled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.errors import AnyArrayMLPError, DataError
from anyarray_mlp.tables.files import unreadable
from anyarray_mlp.tables.formats import format_of
from anyarray_mlp.tables.formats.unread import what_is_unread
from anyarray_mlp.tables.reading import Place, Reading
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.table import Known, Table, nothing_known


@with_known_options
@within_memory
def read_table(
    path: str | os.PathLike[str],
    *,
    header: bool | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    missing: Sequence[str] | None = None,
    skip: int | None = None,
    sheet: str | None = None,
    numeric: Sequence[Place] = (),
    text: Sequence[Place] = (),
    drop: Sequence[Place] = (),
) -> Table:
    """Read a table.

    path: a text table (CSV and its kin), JSON (a list of objects, or one on each line), Parquet, Arrow or Feather, a
        workbook (.xlsx), ARFF, LIBSVM or an array (.npy), packed by gzip, bzip2, xz, Zstandard or zip or not; or "-"
        for the standard input.
    header: whether the table's first line names its columns.
    separator: what stands between columns; " " is any number of blanks and tabs.
    decimal: the decimal mark, "." or ",".
    missing: cells that are gaps besides the usual ones; with these given, no other marker is looked for.
    skip: how many lines stand before the table.
    sheet: which sheet of a workbook, where several hold something.
    numeric, text, drop: columns, by name or place from 0, that hold numbers and else gaps, that hold texts, and that
        are left out.

    Whatever is not given is found by rules, and `notes` of the table say what a person might have wanted otherwise.
    Raises `DataError` naming file, line, column and remedy for what cannot be told; `StorageError` if the file cannot
    be read; `OutOfMemoryError` if it does not fit in memory.
    """
    reading = Reading(
        header,
        separator,
        decimal,
        None if missing is None else tuple(missing),
        skip,
        tuple(numeric),
        tuple(text),
        tuple(drop),
        sheet=sheet,
    )
    return table_in(Path(path), reading)


def table_in(file: Path | Source, reading: Reading, known: Known = nothing_known) -> Table:
    """The table in a file, read as `reading` says; `known`: how columns of these names are read, from another table."""
    path = file.path if isinstance(file, Source) else file
    try:
        source = file if isinstance(file, Source) else Source.of(file)
        head = source.head()
        unread = what_is_unread(head, path)
        if unread is not None:
            raise DataError(f"{source.path}: is {unread}")
        found = format_of(head, path)
        table = found.read(source, reading, known)
        return replace(table, notes=(*found.notes(reading), *table.notes))
    except AnyArrayMLPError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
