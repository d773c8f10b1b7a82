"""`Source`: the bytes of a file that is read several times, unpacked if they are compressed."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from anyarray_mlp.checking.messages import listed
from anyarray_mlp.errors import AnyArrayMLPError, DataError
from anyarray_mlp.tables.files import (
    CHUNK,
    check_expansion,
    check_memory,
    file_size,
    imported,
    unreadable,
)

if TYPE_CHECKING:
    from anyarray_mlp.tables.shelf import Shelf

HEAD = 1 << 16
#: The name of a source that is read from standard input.
STDIN = "-"


def open_zstd(stream: BinaryIO, path: Path) -> Any:
    """What unpacks Zstandard data: of Python 3.14 or later, or of the package `zstandard`."""
    with contextlib.suppress(ImportError):
        return import_module("compression.zstd").ZstdFile(stream)
    zstandard = imported("zstandard", "zstd", path, "packed by Zstandard")
    return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)


#: What a compressed file begins with, what it is called, and what opens it.
COMPRESSIONS: tuple[tuple[bytes, str, Callable[[BinaryIO, Path], Any]], ...] = (
    (b"\x1f\x8b", "gzip", lambda stream, path: gzip.GzipFile(fileobj=stream)),
    (b"BZh", "bzip2", lambda stream, path: bz2.BZ2File(stream)),
    (b"\xfd7zXZ", "xz", lambda stream, path: lzma.LZMAFile(stream)),  # noqa: SIM115
    (b"\x28\xb5\x2f\xfd", "Zstandard", open_zstd),
)
ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Source:
    """A file, streamed from the disk, or kept in memory if it was compressed; `path` is what messages call it.

    shelf: where the columns of its table are kept while it is read; None: in memory.
    """

    path: Path
    content: bytes | None
    shelf: Shelf | None = None

    @classmethod
    def of(cls, path: Path) -> Source:
        """The file at `path`, `-` being the standard input.

        Raises `DataError` for a file that is not there, is damaged, or expands out of all proportion; `StorageError`
        where it cannot be read.
        """
        if str(path) == STDIN:
            return unpacked(cls(Path("stdin"), sys.stdin.buffer.read()))
        file_size(path)
        return unpacked(cls(path, None))

    def open(self) -> BinaryIO:
        """A new stream from the first byte; `StorageError` if there is none."""
        if self.content is not None:
            return io.BytesIO(self.content)
        try:
            return self.path.open("rb")
        except OSError as error:
            raise unreadable(self.path, error) from error

    def head(self) -> bytes:
        """The first bytes."""
        with self.open() as stream:
            return stream.read(HEAD)

    def kept(self, column: Any) -> Any:
        """A column of the table where it is to be kept."""
        return column if self.shelf is None else self.shelf.keep(column)

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return file_size(self.path) if self.content is None else len(self.content)


def is_packed(head: bytes) -> bool:
    """Whether a file that begins so is compressed."""
    return head.startswith((ZIP, *(mark for mark, _, _ in COMPRESSIONS)))


def unpacked(source: Source) -> Source:
    """The source, its content decompressed if it begins as a compressed file does."""
    head = source.head()
    for mark, name, opener in COMPRESSIONS:
        if head.startswith(mark):
            with source.open() as stream:
                return Source(source.path, decompressed(source, name, opener(stream, source.path)))
    if head.startswith(ZIP):
        with source.open() as stream:
            return from_zip(source, stream)
    return source


def from_zip(source: Source, stream: BinaryIO) -> Source:
    """The one file in a zip archive; a workbook or an .npz, which are archives too, as they are."""
    try:
        archive = zipfile.ZipFile(stream)
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, ValueError) as error:
        raise DataError(
            f"{source.path}: the zip archive is damaged ({error}); fetch it again"
        ) from error
    names = [entry.filename for entry in entries]
    if any(
        name.startswith("xl/") or name.endswith(".npy") or name == "content.xml" for name in names
    ):
        return source
    files = [name for name in names if not name.startswith("__MACOSX/")]
    if len(files) != 1:
        raise DataError(
            f"{source.path}: is a zip archive of {len(files)} files, {listed(files)}; unpack it and give one of them"
        )
    try:
        inside = archive.open(files[0])
    except (
        RuntimeError,
        NotImplementedError,
    ) as error:  # a password, or a method that zipfile lacks
        raise DataError(
            f"{source.path}: the zip archive cannot be unpacked ({error}); unpack it"
        ) from error
    return Source(source.path, decompressed(source, "zip", inside))


def decompressed(source: Source, name: str, inside: Any) -> bytes:
    """What a stream holds, read in parts, so that a bomb is found before it fills the memory."""
    size, decoded = source.size, io.BytesIO()
    try:
        with inside as stream:
            while chunk := stream.read(CHUNK):
                decoded.write(chunk)
                check_expansion(source.path, decoded.tell(), size)
    except AnyArrayMLPError:
        raise
    except Exception as error:
        # Each unpacker has errors of its own, and some, of archives that were made to do harm, are no errors of it.
        if isinstance(error, MemoryError):
            raise
        check_memory(error)
        raise DataError(
            f"{source.path}: the {name} data is damaged or cut short ({error}); fetch or compress the file again"
        ) from error
    return decoded.getvalue()
