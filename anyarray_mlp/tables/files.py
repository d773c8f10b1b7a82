"""Data files: opening, permissions and decompression can fail only here."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

from anyarray_mlp.errors import DataError, StorageError

CHUNK = 1 << 20
GZIP_MARK = b"\x1f\x8b"

# Compressed data may expand to 64 MiB plus 200 times the size of the file. Deflate can reach 1,032 times, but only
# for a file made to exhaust memory (or one of nothing but zeros); MNIST expands 4.7 times.
FREE_BYTES = 64 << 20
MAX_EXPANSION = 200


def file_size(path: Path) -> int:
    """Size in bytes of the regular file at `path`.

    Raises `DataError` if there is none, `StorageError` if it cannot be accessed.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: no such file; check the spelling and the folder") from None
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: not a regular file; give the path of a data file")
    return status.st_size


def unreadable(path: Path, error: OSError) -> StorageError | MemoryError:
    """The error that says why `path` could not be read."""
    if error.errno == errno.ENOMEM:
        return MemoryError()
    reason = error.strerror or type(error).__name__
    return StorageError(
        f"{path}: could not be read ({reason}); check the file's permissions and its disk"
    )


def imported(module: str, extra: str, path: Path, what: str) -> Any:
    """A module that reads a format; `DataError` that says how to install it where it is missing."""
    try:
        return import_module(module)
    except ImportError:
        raise DataError(
            f"{path}: is {what}, which needs {module.partition('.')[0]}; pip install 'anyarray-mlp[{extra}]'"
        ) from None


def check_memory(error: Exception) -> None:
    """Raise MemoryError if a decompressor's error is zlib's Z_MEM_ERROR."""
    if str(error).startswith("Error -4 "):
        raise MemoryError from None


def check_expansion(path: Path, decoded: int, size: int) -> None:
    """Raise `DataError` for data that expands to `decoded` bytes from a file of only `size` bytes."""
    limit = FREE_BYTES + MAX_EXPANSION * size
    if decoded > limit:
        raise DataError(
            f"{path}: expands to at least {decoded:,} bytes from a file of {size:,} bytes, "
            f"more than the {limit:,} allowed; if the data is genuine, store it uncompressed"
        )


def read_bytes(path: Path) -> bytes | bytearray:
    """The content of `path`, decompressed if the file starts like a gzip file."""
    size = file_size(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if content[:2] == GZIP_MARK:
        return decompress(path, content, size)
    return content


def decompress(path: Path, content: bytes, size: int) -> bytearray:
    """Decompress gzip data chunk by chunk, so that a zip bomb is detected before it fills the memory."""
    decoded = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            while chunk := stream.read(CHUNK):
                decoded += chunk
                check_expansion(path, len(decoded), size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        check_memory(error)
        raise DataError(
            f"{path}: the gzip data is damaged or cut short ({error}); fetch or compress the file again"
        ) from error
    return decoded
