"""What the system refused, as an error that names the path and the remedy."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from anyarray_mlp.errors import OutputExistsError, StorageError

CURES = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some of the quota or write elsewhere",
    errno.EACCES: "change the permissions or choose another path",
    errno.EPERM: "change the permissions or choose another path",
    errno.EROFS: "choose a path on a file system that can be written",
    errno.EFBIG: "raise the file size limit (ulimit -f) or write elsewhere",
    errno.EIO: "check the disk and write elsewhere",
    errno.ENOENT: "check the path, or create the folder first",
    errno.ENOTDIR: "a part of the path is a file: choose another path",
    errno.EISDIR: "this is a folder: give a file in it",
    errno.EEXIST: "choose another path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "links are not followed in a run's folder: put the file itself there",
}


def storage_error(code: int | None, message: str) -> StorageError:
    """A StorageError with its errno, whose text is the message alone."""
    error = StorageError(message)
    error.errno = code
    return error


def refused(error: OSError, action: str, path: Path) -> StorageError:
    """The error for what the system refused, with the path and the remedy."""
    reason = error.strerror or str(error) or type(error).__name__
    cure = CURES.get(error.errno or 0, "check the path and the disk")
    if action == "read" and error.errno == errno.ENOENT:
        cure = "check the path"
    return storage_error(error.errno, f"cannot {action} {path}: {reason}; {cure}")


@contextlib.contextmanager
def storage_errors(action: str, path: Path) -> Iterator[None]:
    """Turn any OSError into a StorageError that names the path and the remedy."""
    try:
        yield
    except (StorageError, OutputExistsError):
        raise
    except OSError as error:
        raise refused(error, action, path) from error
