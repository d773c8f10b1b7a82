"""`Shelf`: columns of a table that lie on disk while it is read, for tables that memory cannot hold."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.errors import StorageError
from anyarray_mlp.tables.coded import CodedTexts

#: Bytes of an array that are copied at a time.
AT_ONCE = 1 << 22


class Shelf:
    """Arrays in files without names, which go away with the process.

    They are mapped into memory: what is looked at is there until `release`, and nothing else.
    """

    def __init__(self) -> None:
        self.maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def room(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """A new array on disk, to be filled; `StorageError` where there is no room for it."""
        kind = np.dtype(dtype)
        size = max(1, int(np.prod(shape, dtype=np.int64)) * kind.itemsize)
        try:
            with tempfile.TemporaryFile() as file:
                if hasattr(os, "posix_fallocate"):
                    # Without, a full disk would end the process where it writes to the array.
                    os.posix_fallocate(file.fileno(), 0, size)
                file.truncate(size)
                mapped = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise StorageError(
                f"A table cannot be kept in the folder of temporary files, {tempfile.gettempdir()} "
                f"({error.strerror or type(error).__name__}): make room there, or name another one by TMPDIR."
            ) from error
        self.maps.add(mapped)
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(mapped, kind, count).reshape(shape)

    def file(self, path: Path, shape: tuple[int, ...], dtype: Any, offset: int) -> NDArray[Any]:
        """The numbers in a file, from a place in bytes on, as they are there."""
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.maps.add(mapped)
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(mapped, dtype, count, offset).reshape(shape)

    def keep(self, column: Any) -> Any:
        """A column, numbers, dates or texts, moved to disk unless it is there."""
        if isinstance(column, CodedTexts):
            return CodedTexts(self.keep(column.codes), column.levels)
        if column.dtype.kind == "O":
            return self.keep(coded(column))
        if is_mapped(column):
            self.release()
            return column
        return self.moved(column)

    def turned(self, array: NDArray[Any]) -> NDArray[np.float64]:
        """The columns (i, n) on disk of rows (n, i), which are read once."""
        n, width = array.shape
        columns = self.room((width, n), np.float64)
        step = max(1, AT_ONCE // (8 * width))
        for start in range(0, n, step):
            columns[:, start : start + step] = array[start : start + step].T
            self.release()
        return columns

    def moved(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy (n,) on disk."""
        kept = self.room(array.shape, array.dtype)
        step = max(1, AT_ONCE // array.dtype.itemsize)
        for start in range(0, len(array), step):
            kept[start : start + step] = array[start : start + step]
            self.release()
        return kept

    def release(self) -> None:
        """Let go of the memory of what was looked at, where the system can be asked to; the disk has it."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for each in self.maps:
                each.madvise(mmap.MADV_DONTNEED)


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether an array is a part of one that is on disk."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def coded(column: NDArray[Any]) -> CodedTexts:
    """Texts as objects (n,), None for gaps, as texts that are told apart."""
    import pandas

    codes, levels = pandas.factorize(column)
    return CodedTexts(codes.astype(np.int32), tuple(levels.tolist()))
