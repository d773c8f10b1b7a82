"""All file operations on the package's output: a file is complete, verified and durable, or not there at all.

`disk` is the only access to the disk. Everything that is written goes through its methods, so a test can replace it
with an object that fails, stops or forgets at any chosen operation.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import numpy as np

from anyarray_mlp.errors import ModelFileError, OutOfMemoryError, OutputExistsError
from anyarray_mlp.persistence.refusals import storage_error, storage_errors

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")
#: Signals deferred until a write has ended. SIGINT is last: only it raises, after the others' handlers are restored.
HELD = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)]
CHUNK_BYTES = 1 << 20
# A pipe is never a model: without O_NONBLOCK, opening one would wait for a writer.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
# A run's folder may come from anybody: links in it are never followed.
NO_LINK = getattr(os, "O_NOFOLLOW", 0)


class Files:
    """The operating system's file operations, one method each."""

    def open(self, path: Path, flags: int) -> int:
        """Descriptor of the opened file; a new file gets mode 0666 minus the umask."""
        return os.open(path, flags, 0o666)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def status(self, descriptor: int) -> os.stat_result:
        return os.fstat(descriptor)

    def lock(self, descriptor: int) -> None:
        """Lock an open file until it is closed; BlockingIOError if it is locked already."""
        if sys.platform == "win32":
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except PermissionError as error:
                raise BlockingIOError(*error.args) from None
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def readinto(self, descriptor: int, buffer: memoryview) -> int:
        """Number of bytes read into `buffer`, 0 at the end of the file."""
        with io.FileIO(descriptor, "rb", closefd=False) as stream:
            return stream.readinto(buffer) or 0

    def write(self, descriptor: int, data: memoryview) -> int:
        """Number of bytes written, which may be fewer than given."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """Rename `source` to `target`, replacing what has that name."""
        os.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        """Create a second name for `source`; FileExistsError if `target` exists."""
        os.link(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def make_directory(self, path: Path) -> None:
        os.mkdir(path)

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def fsync_dir(self, path: Path) -> None:
        """Make the names in a directory durable, if the file system supports it."""
        if os.name == "nt":  # a directory cannot be opened there
            return
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some network file systems lack this operation
                raise
        finally:
            os.close(descriptor)


disk = Files()


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Defer signals that would end the process until the block is done, so that nothing is left half done.

    Only the main thread can handle signals; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in HELD}
    before = {n: handler for n, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def hold(number: int, frame: FrameType | None) -> None:
        arrived.append(number)

    try:
        for number in before:
            signal.signal(number, hold)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in arrived:
            signal.raise_signal(number)


def real_path(path: str | os.PathLike[str], *, follow_links: bool = True) -> Path:
    """Absolute path with links followed, so that a linked output stays a link.

    If `follow_links` is false, links in the folder's path are followed, but the last name is kept, link or not.
    """
    if "\0" in os.fspath(path):
        raise storage_error(errno.EINVAL, f"{os.fspath(path)!r} is not a path: remove the NUL byte")
    if not follow_links:
        return real_path(Path(path).parent) / Path(path).name
    return Path(os.path.realpath(path))


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes, in as many calls as the system needs."""
    rest = memoryview(data)
    while rest:
        taken = disk.write(descriptor, rest[:CHUNK_BYTES])
        if taken <= 0:
            raise OSError(errno.EIO, "the disk accepts no more bytes")
        rest = rest[taken:]


def digest_of(path: Path) -> str:
    """SHA-256 of the file's content, read in pieces."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    descriptor = disk.open(path, READ_FLAGS)
    try:
        while count := disk.readinto(descriptor, buffer):
            digest.update(buffer[:count])
    finally:
        disk.close(descriptor)
    return digest.hexdigest()


def write_verified(descriptor: int, path: Path, data: bytes) -> None:
    """Write and close a file, flush it to the disk, read it back and compare."""
    try:
        write_all(descriptor, data)
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)
    if digest_of(path) != hashlib.sha256(data).hexdigest():
        raise OSError(errno.EIO, "what was read back differs from what was written")


def publish_new(temporary: Path, target: Path) -> None:
    """Rename the temporary file to `target` only if that name is free, in one step."""
    try:
        disk.link(temporary, target)
    except FileExistsError:
        raise output_exists(target) from None
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links (FAT, some network shares) cannot do it in one step.
        if exists(target):
            raise output_exists(target) from None
        disk.replace(temporary, target)
    else:
        disk.unlink(temporary)


def output_exists(target: Path) -> OutputExistsError:
    """The error for a target that would be overwritten unasked."""
    return OutputExistsError(
        f"{target} already exists: choose another path, or overwrite it (--overwrite, overwrite=True)"
    )


def temporary_name(target: Path) -> Path:
    """A new name in the target's folder: a rename within one folder is atomic."""
    return target.with_name(f".{target.name[:100]}.{os.getpid()}-{os.urandom(4).hex()}.tmp")


def atomic_write(
    path: str | os.PathLike[str], data: bytes, *, overwrite: bool, follow_links: bool = True
) -> None:
    """Write `data` to `path` atomically: after a crash at any point, all of the old or of the new content is there.

    On return the new content is on the disk. On an error or a signal no temporary file is left and the old content is
    untouched, unless only the last step failed (flushing the folder): then the new content is there. If
    `follow_links` is true, the target of a link is written, else the file replaces the link.

    Raises OutputExistsError if the file exists and `overwrite` is false, StorageError if the system refuses.
    """
    target = real_path(path, follow_links=follow_links)
    temporary = temporary_name(target)
    if exists(target):
        if not overwrite:
            raise output_exists(target)
        mode = os.lstat(target).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            # A rename would replace the device with a file.
            raise storage_error(
                errno.EINVAL,
                f"cannot write {target}: it is a folder or a device; give a file in it",
            )
    with signals_held(), storage_errors("write", target):
        descriptor = disk.open(
            temporary, WRITE_FLAGS | os.O_EXCL
        )  # never somebody else's file or link
        try:
            write_verified(descriptor, temporary, data)
            if overwrite:
                disk.replace(temporary, target)
            else:
                publish_new(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                disk.unlink(temporary)
            raise
        disk.fsync_dir(target.parent)


def read_file(path: str | os.PathLike[str], *, follow_links: bool = True) -> np.ndarray:
    """Content of a regular file as uint8, shape (size,), aligned for any dtype."""
    source = real_path(path, follow_links=follow_links)
    with storage_errors("read", source):
        descriptor = disk.open(source, READ_FLAGS | (0 if follow_links else NO_LINK))
        try:
            status = disk.status(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(status.st_mode):
                raise ModelFileError(f"{source} is not a regular file: give a file on a disk")
            try:
                content = np.empty(status.st_size, np.uint8)
            except MemoryError:
                raise OutOfMemoryError(
                    f"{source} takes {status.st_size} bytes, which do not fit in memory: "
                    "close other programs or use a larger machine"
                ) from None
            filled = 0
            view = content.data
            while filled < len(view) and (count := disk.readinto(descriptor, view[filled:])):
                filled += count
        finally:
            disk.close(descriptor)
    return content[:filled]


def append(path: Path, data: bytes) -> None:
    """Append `data` to a file, which is created if it does not exist. `flush` makes it durable."""
    with storage_errors("write", path):
        descriptor = disk.open(path, WRITE_FLAGS | os.O_APPEND | NO_LINK)
        try:
            write_all(descriptor, data)
        finally:
            disk.close(descriptor)


def flush(path: Path) -> None:
    """Flush a file's appended data and its name to the disk, if the file exists."""
    with storage_errors("write", path), contextlib.suppress(FileNotFoundError):
        descriptor = disk.open(path, os.O_RDWR | NO_LINK)
        try:
            disk.fsync(descriptor)
        finally:
            disk.close(descriptor)
        disk.fsync_dir(path.parent)


def exists(path: Path) -> bool:
    """Whether something has this name, even a broken link."""
    with storage_errors("read", path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.lstat(path)
        return True
    return False


def is_link(path: Path) -> bool:
    """Whether the path is a link."""
    return exists(path) and stat.S_ISLNK(os.lstat(path).st_mode)


def is_folder(path: Path) -> bool:
    """Whether the path is a folder, and not a link to one."""
    return exists(path) and stat.S_ISDIR(os.lstat(path).st_mode)


def remove(path: Path) -> None:
    """Remove a file if it exists."""
    with storage_errors("remove", path), contextlib.suppress(FileNotFoundError):
        disk.unlink(path)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, durably."""
    with storage_errors("create", path):
        if path.is_dir():
            return
        make_folder(path.parent)
        try:
            disk.make_directory(path)
        except FileExistsError:
            if not path.is_dir():  # if it is one, another process was faster
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        disk.fsync_dir(path.parent)


def names_in(folder: Path) -> list[str]:
    """Names in a folder, sorted; empty if the folder does not exist."""
    with storage_errors("read", folder), contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(folder))
    return []


def move(source: Path, target: Path) -> None:
    """Rename a file or folder within its folder, atomically and durably."""
    with storage_errors("rename", source):
        disk.replace(source, target)
        disk.fsync_dir(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder and the files in it; its name is gone in one step, whatever happens afterwards."""
    with signals_held(), storage_errors("remove", folder):
        doomed = temporary_name(folder)
        try:
            move(folder, doomed)
        except OSError:
            # If only the flush after the rename failed, the files are there under the new name.
            with contextlib.suppress(OSError):
                remove_files(doomed)
            raise
        remove_files(doomed)


def remove_files(folder: Path) -> None:
    """Remove the files in a folder, and the folder."""
    for name in names_in(folder):
        remove(folder / name)
    remove_empty_folder(folder)


def remove_empty_folder(folder: Path) -> None:
    """Remove a folder if it is empty."""
    with storage_errors("remove", folder):
        disk.remove_directory(folder)


def remove_stale_temporaries(folder: Path) -> None:
    """Remove what killed writers left. Only the holder of the folder's lock may call this."""
    for name in names_in(folder):
        if TEMPORARY.fullmatch(name):
            path = folder / name
            remove_files(path) if is_folder(path) else remove(path)
