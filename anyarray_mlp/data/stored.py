"""Rows that lie on disk, as plain numbers in a file, and come to memory a part at a time."""

from __future__ import annotations

import mmap
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError, StorageError, UsageError
from anyarray_mlp.typing import Host


class ArrayFile:
    """A file of numbers, read and written from several threads; it is closed once nobody has it."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.one_at_a_time = threading.Lock()
        weakref.finalize(self, file.close)

    @classmethod
    def temporary(cls) -> ArrayFile:
        """One on the disk of temporary files that has no name, so that it goes away with the process."""
        with room_on_disk():
            return cls(tempfile.TemporaryFile())

    def read(self, into: Host, offset: int) -> None:
        """Fill an array from a place on, in bytes; `DataError` for a file that ends before."""
        left = into.reshape(-1).view(np.uint8).data
        with self.one_at_a_time:
            self.file.seek(offset)
            while len(left):
                count = self.file.readinto(left)
                if not count:
                    raise DataError(
                        f"{self.file.name}: has become shorter while it was read: start again"
                    )
                left = left[count:]

    def write(self, array: Host, offset: int) -> None:
        """Write an array to a place, in bytes."""
        with self.one_at_a_time, room_on_disk():
            self.file.seek(offset)
            self.file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Raises `StorageError` where the disk of temporary files cannot be written."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Rows cannot be kept in the folder of temporary files, {tempfile.gettempdir()} "
            f"({error.strerror or type(error).__name__}): make room there, or name another one by TMPDIR."
        ) from error


class StoredRows:
    """Rows (n, i) of numbers in a file, one after the other, that training takes as it takes an array.

    `x[a:b]` and `x[places]` read rows, and `toarray()` all. Where `places` are given, ascending, these rows of the file
    are the rows.

    >>> file = ArrayFile.temporary()
    >>> file.write(np.arange(6.0), 0)
    >>> rows = StoredRows(file, np.dtype("float64"), (3, 2))
    >>> rows[1:].tolist(), rows.shape
    ([[2.0, 3.0], [4.0, 5.0]], (3, 2))
    """

    ndim = 2

    def __init__(
        self,
        file: ArrayFile,
        dtype: np.dtype[Any],
        shape: tuple[int, int],
        offset: int = 0,
        places: NDArray[np.int64] | None = None,
    ) -> None:
        self.file = file
        self.dtype = dtype
        self.offset = offset
        self.places = places
        self.in_file = shape[0]
        self.shape = (shape[0] if places is None else len(places), shape[1])

    @classmethod
    def of(cls, array: np.memmap[Any, Any]) -> StoredRows:
        """The rows of a memory map (n, i), read from its file; what was written to the map is flushed first.

        Raises `UsageError` for an array that is no part of a file, row by row.
        """
        if not is_mapped(array) or array.ndim != 2 or array.dtype.kind not in "fiub":
            raise UsageError(
                f"Rows on disk are those of a numpy.memmap (n, i) of numbers in C order, got {shown(array)}: open the "
                "file with np.load(path, mmap_mode='r') or np.memmap."
            )
        array.flush()
        file = open(cast(Any, array.filename), "rb")  # noqa: SIM115
        return cls(ArrayFile(file), array.dtype, cast(Any, array.shape), place_in_file(array))

    def __repr__(self) -> str:
        return f"<rows on disk {self.shape}, {self.dtype}>"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """What all rows would take in memory."""
        return self.shape[0] * self.row_bytes

    @property
    def row_bytes(self) -> int:
        """What a row takes."""
        return self.shape[1] * self.dtype.itemsize

    def __getitem__(self, key: Any) -> Host:
        """Rows by a slice without steps, or by their places."""
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:
            key = key[0]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self.read(start, max(start, stop))
            key = np.arange(start, stop, step)
        return self.take(np.asarray(key))

    def read(self, start: int, stop: int) -> Host:
        """The rows from `start` to before `stop`, within the rows that there are."""
        if self.places is None:
            return self.from_file(start, stop)
        places = self.places[start:stop]
        if not len(places):
            return np.empty((0, self.shape[1]), self.dtype)
        first = int(places[0])
        return self.from_file(first, int(places[-1]) + 1)[places - first]

    def take(self, places: NDArray[Any]) -> Host:
        """Some rows in any order, one read for each."""
        if places.dtype.kind == "b":
            places = np.flatnonzero(places)
        found = np.empty((len(places), self.shape[1]), self.dtype)
        for row, place in enumerate(places.tolist()):
            place += len(self) if place < 0 else 0
            found[row] = self.read(place, place + 1)[0]
        return found

    def rows(self, places: NDArray[np.int64]) -> StoredRows:
        """Some of the rows, whose places are ascending, left where they are."""
        kept = places if self.places is None else self.places[places]
        return StoredRows(self.file, self.dtype, (self.in_file, self.shape[1]), self.offset, kept)

    def toarray(self) -> Host:
        """All rows in memory."""
        return self.read(0, len(self))

    def from_file(self, start: int, stop: int) -> Host:
        """Rows by their places in the file."""
        found = np.empty((stop - start, self.shape[1]), self.dtype)
        self.file.read(found, self.offset + start * self.row_bytes)
        return found


class RowFile:
    """Takes rows as they are made, writes them to a file without a name, and gives them back as `StoredRows`."""

    def __init__(self, width: int, dtype: Any) -> None:
        self.file = ArrayFile.temporary()
        self.dtype = np.dtype(dtype)
        self.width = width
        self.n = 0

    def add(self, rows: Host) -> None:
        """More rows (m, i)."""
        rows = np.asarray(rows, dtype=self.dtype)
        self.file.write(rows, self.n * self.width * self.dtype.itemsize)
        self.n += len(rows)

    def stored(self) -> StoredRows:
        """All rows so far."""
        return StoredRows(self.file, self.dtype, (self.n, self.width))


def is_stored(x: Any) -> bool:
    """Whether x is rows on disk."""
    return isinstance(x, StoredRows)


def is_mapped(array: Any) -> bool:
    """Whether an array is rows of a file, mapped so that both have the same bytes, one row after the other."""
    if not isinstance(array, np.memmap) or array.filename is None or array.mode == "c":
        return False
    return bool(array.flags.c_contiguous and array.dtype.isnative)


def place_in_file(array: np.memmap[Any, Any]) -> int:
    """Where in its file a memory map, or a part of one, begins."""
    mapped: Any = array
    while isinstance(mapped.base, np.ndarray):
        mapped = mapped.base
    start = mapped.offset - mapped.offset % mmap.ALLOCATIONGRANULARITY
    begins = np.frombuffer(mapped.base, np.uint8).__array_interface__["data"][0]
    return int(start + array.__array_interface__["data"][0] - begins)
