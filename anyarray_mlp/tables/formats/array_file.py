"""`.npy`: one array of NumPy, as a table without names or, of a structured one, with the names of its fields."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from anyarray_mlp.errors import DataError
from anyarray_mlp.tables.formats.typed import Typed, typed_table
from anyarray_mlp.tables.reading import Reading
from anyarray_mlp.tables.source import Source
from anyarray_mlp.tables.table import Known, Table

MARK = b"\x93NUMPY"
NUMBERS, TEXTS, DATES = "biuf", "UST", "M"


def is_array(head: bytes, path: Path) -> bool:
    """Whether a file begins as `.npy` does."""
    return head.startswith(MARK)


def read_array(source: Source, reading: Reading, known: Known) -> Table:
    """The rows of an array (n,), (n, i) or, as pictures for a model, (n, h, w, ...); nothing is unpickled."""
    notes: list[str] = []
    array = checked_array(source)
    pictures = array.ndim > 2
    if array.dtype.names is None:
        array = array.reshape(len(array), -1)
        names = [""] * array.shape[1]
        turn = source.shelf is not None and array.dtype.kind in NUMBERS
        parts = source.shelf.turned(array) if turn and source.shelf else array.T
    else:
        names = list(array.dtype.names)
        parts = [array[name] for name in names]  # type: ignore[assignment]

    def load(wanted: list[int]) -> Iterator[NDArray[Any]]:
        for place in wanted:
            yield cells_of(parts[place], source.path)

    typed = Typed(source.path, names, load, np.arange(1, 1 + len(array)), keep=source.kept)
    table = typed_table(typed, reading, known, notes)
    shape = "an array of pictures, without their target"
    return replace(table, lacks_target=shape) if pictures else table


def cells_of_array(source: Source) -> int | None:
    """How many cells an array says that it has; None for one that is damaged."""
    with source.open() as content:
        try:
            shape, _, _ = header_of(content)
        except (ValueError, SyntaxError, TypeError):
            return None
    return math.prod(shape)


def header_of(content: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come one after the other, and dtype that a file begins with."""
    version = npy.read_magic(content)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    return readers.get(version, npy.read_array_header_2_0)(content)


def checked_array(source: Source) -> NDArray[Any]:
    """The array in a file; `DataError` for one of objects, of no rows, or of another size than it declares."""
    with source.open() as content:
        return array_in(content, source)


def array_in(content: BinaryIO, source: Source) -> NDArray[Any]:
    """The array in an open file, mapped to memory if its columns are kept on disk."""
    try:
        shape, by_columns, dtype = header_of(content)
        declared = math.prod(shape) * dtype.itemsize
        follow = source.size - content.tell()
        if dtype.hasobject:
            raise DataError(
                f"{source.path}: holds objects, which are never read because unpickling them can run code; save "
                "numbers or texts"
            )
        if not shape or 0 in shape or (dtype.names is not None and len(shape) > 1):
            raise DataError(
                f"{source.path}: holds an array of shape {shape}; give one row for each example, (n, i)"
            )
        if min(shape) < 0 or declared != follow:
            raise ValueError(f"it declares {declared:,} bytes and {follow:,} follow")
        if source.shelf is not None and source.content is None and not by_columns:
            return source.shelf.file(source.path, shape, dtype, content.tell())
        content.seek(0)
        array: NDArray[Any] = npy.read_array(content, allow_pickle=False)
    except DataError:
        raise
    except Exception as error:
        # NumPy evaluates the header as a literal of Python, which can fail in many ways.
        if isinstance(error, MemoryError):
            raise
        said = " ".join(str(error).split())
        raise DataError(
            f"{source.path}: the .npy file is damaged or cut short ({said}); save or fetch it again"
        ) from error
    return array


def cells_of(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """A column of an array: float64, datetime64 or texts."""
    if values.ndim == 1 and values.dtype.kind in NUMBERS:
        return np.ascontiguousarray(values, dtype=np.float64)
    if values.ndim == 1 and values.dtype.kind in DATES:
        return values.astype("datetime64[us]")
    if values.ndim == 1 and values.dtype.kind in TEXTS:
        texts = values.astype(str) if values.dtype.kind != "S" else np.char.decode(values, "utf-8")
        found = np.empty(len(values), dtype=object)
        found[:] = [text.strip() for text in texts.tolist()]
        return found
    what = f"{values.dtype} of shape {values.shape[1:]}" if values.ndim > 1 else str(values.dtype)
    raise DataError(f"{path}: holds values of type {what}; save numbers or texts, one in each cell")
