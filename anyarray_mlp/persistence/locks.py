"""Locks: one writer to a folder, and the name of who holds it."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import time
from pathlib import Path
from types import TracebackType

from anyarray_mlp.errors import LockedError
from anyarray_mlp.persistence import files
from anyarray_mlp.persistence.files import (
    NO_LINK,
    WRITE_FLAGS,
    remove,
    signals_held,
    write_all,
)
from anyarray_mlp.persistence.refusals import storage_error, storage_errors

LOCK_NAME = ".lock"
HOLDER_NAME = ".lock-holder"
HOLDER_PATIENCE = 5.0  # seconds to wait for a new holder to write its name


class FileLock:
    """A file that exists for as long as it is locked. Raises BlockingIOError if it is locked already.

    The name is removed while the lock is held. So a process that opened the file earlier may lock a file that has
    lost its name while a third process creates and locks a new one: a lock counts only if its file still has the
    name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        while True:
            self.descriptor = files.disk.open(path, os.O_RDWR | os.O_CREAT | NO_LINK)
            try:
                files.disk.lock(self.descriptor)
                if self.has_the_name():
                    return
            except OSError as error:
                files.disk.close(self.descriptor)
                if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise storage_error(
                        error.errno,
                        f"cannot lock {path.parent}: its file system has no locks; choose a local disk",
                    ) from None
                raise
            files.disk.close(self.descriptor)

    def has_the_name(self) -> bool:
        """Whether the locked file is the one that has the name."""
        try:
            return os.path.samestat(files.disk.status(self.descriptor), os.lstat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Remove the file, then release the lock; a file that stays behind locks nobody out."""
        with contextlib.suppress(OSError):
            files.disk.unlink(self.path)
        with contextlib.suppress(OSError):
            files.disk.close(self.descriptor)
        if os.name == "nt":  # there, a file cannot be removed while anybody has it open
            with contextlib.suppress(OSError):
                files.disk.unlink(self.path)


class DirectoryLock:
    """Allows one writer to a folder. The system releases the lock when the process ends, in whatever way.

    Raises LockedError, which names the holder, if another process (or another lock in this process) holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LOCK_NAME
        self.held: FileLock | None = None

    def acquire(self) -> None:
        """Take the lock; LockedError, which names the holder, if another has it."""
        with signals_held(), storage_errors("lock", self.path):
            with contextlib.suppress(BlockingIOError):
                self.held = FileLock(self.path)
            if self.held is not None:
                try:
                    self.name_holder()
                except BaseException:
                    self.release()
                    raise
        if self.held is None:
            raise LockedError(
                f"{self.folder} is in use by {self.holder()}: wait for it to end, stop it, or choose another folder"
            )

    def name_holder(self) -> None:
        """Record who holds the lock, but not in the lock file: a hard link may share that with any other file."""
        path = self.folder / HOLDER_NAME
        remove(path)
        descriptor = files.disk.open(path, WRITE_FLAGS | os.O_EXCL)
        try:
            write_all(descriptor, f"{os.getpid()} {platform.node() or '?'}\n".encode())
        finally:
            files.disk.close(descriptor)

    def release(self) -> None:
        """Free the lock and remove its files; nothing if it is not held."""
        if self.held is None:
            return
        with signals_held():
            try:
                with contextlib.suppress(OSError):  # the next holder overwrites a stale name
                    files.disk.unlink(self.folder / HOLDER_NAME)
            finally:
                self.held.release()
                self.held = None

    def holder(self) -> str:
        """The process that holds the lock, in words."""
        deadline = time.monotonic() + HOLDER_PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                text = (self.folder / HOLDER_NAME).read_bytes()[:300].decode("utf-8", "replace")
                if found := re.fullmatch(r"(\d+) (\S+)\n", text):
                    return f"process {found[1]} on {found[2]}"
            time.sleep(0.02)
        return "another process"

    def __enter__(self) -> DirectoryLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
