"""Data larger than memory: when they stay on disk, and what is said of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from anyarray_mlp.checking.free_memory import SHARE, free_memory
from anyarray_mlp.checking.messages import memory
from anyarray_mlp.data import Dataset
from anyarray_mlp.data.columns import load_table
from anyarray_mlp.data.sources import is_table
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.tables.formats import format_of
from anyarray_mlp.tables.shelf import Shelf
from anyarray_mlp.tables.source import STDIN, Source, is_packed

#: How often the cells of a table are in memory while it is read and encoded, eight bytes each.
COPIES = 3


def load_from_disk(data: Any, settings: Settings) -> Dataset | None:
    """The data set in a file whose rows stay on disk, as memory cannot hold them; None for one that it can hold.

    Raises `UsageError` for settings that need all rows in memory.
    """
    path = path_of(data)
    if path is None:
        return None
    needed, bound = bytes_in_memory(path), bound_of(settings)
    if needed is None or bound is None or needed <= bound:
        return None
    refuse_what_needs_memory(path, settings)
    table = settings.table
    dataset = load_table(
        path,
        task=settings.recipe.task,  # type: ignore[arg-type]
        target=table.target or None,
        reading=table.reading,
        shelf=Shelf(),
    )
    note = (
        f"rows stay on disk: in memory they would take about {memory(needed)}, of {memory(bound)} that they may take "
        "(memory='2GB' sets another bound)"
    )
    return replace(dataset, notes=(note, *dataset.notes))


def path_of(data: Any) -> Path | None:
    """The path of a table; None for data that are no file, or no table."""
    if not isinstance(data, (str, os.PathLike)) or str(data) == STDIN or not is_table(data):
        return None
    return Path(data)


def bound_of(settings: Settings) -> int | None:
    """The bytes that data may take in memory; None if nobody knows."""
    given = settings.placement.memory
    if given is not None:
        return int(given)
    free = free_memory()
    return None if free is None else int(SHARE * free)


def bytes_in_memory(path: Path) -> int | None:
    """About what a table takes in memory on its way to a network; None if it cannot stay on disk."""
    source = Source(path, None)
    head = source.head()
    found = format_of(head, path)
    if found.cells is None or is_packed(head):
        return None
    cells = found.cells(source)
    return None if cells is None else COPIES * 8 * cells


def refuse_what_needs_memory(path: Any, settings: Settings) -> None:
    """Raise `UsageError` for a run that needs all rows in memory."""
    what = ""
    if settings.shape.members > 1:
        what = f"members={settings.shape.members}"
    elif settings.recipe.by_lbfgs:
        what = "lbfgs"
    if what:
        raise UsageError(
            f"{what} needs all rows of {path} in memory, and they would take more than they may: leave it out, or give "
            "a higher bound, as memory='8GB'."
        )
