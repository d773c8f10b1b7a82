"""Faults that are put into the package itself, to show that a row would find them: the test of the tests.

Each is a context in which something is broken. A child process enters it and never leaves.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock


@contextmanager
def writing_in_place() -> Iterator[None]:
    """Files are written where they lie, not beside and renamed."""
    from anyarray_mlp.persistence import checkpoint, files, model_file, run_folder

    def write(path: Any, data: bytes, *, overwrite: bool) -> None:
        del overwrite
        with contextlib.suppress(FileNotFoundError):
            files.disk.unlink(Path(path))
        descriptor = files.disk.open(Path(path), files.WRITE_FLAGS)
        files.write_verified(descriptor, Path(path), data)

    with contextlib.ExitStack() as stack:
        for module in (checkpoint, model_file, run_folder):
            stack.enter_context(mock.patch.object(module, "atomic_write", write))
        yield


@contextmanager
def forgotten_moments() -> Iterator[None]:
    """A run that goes on starts its optimiser afresh."""
    from anyarray_mlp.pipeline.checkpoints import Checkpoints

    plain = Checkpoints.restore

    def restore(self: Any, *arguments: Any) -> Any:
        state = plain(self, *arguments)
        return state and replace(state, moments=tuple(0 * each for each in state.moments))

    with mock.patch.object(Checkpoints, "restore", restore):
        yield


@contextmanager
def temporaries_left() -> Iterator[None]:
    """What a failed write leaves is not cleared away."""
    from anyarray_mlp.persistence.files import Files

    plain = Files.unlink

    def unlink(self: Any, path: Path) -> None:
        if not path.name.endswith(".tmp"):
            plain(self, path)

    with mock.patch.object(Files, "unlink", unlink):
        yield


@contextmanager
def signals_ignored() -> Iterator[None]:
    """The process takes no notice of being asked to stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    yield


@contextmanager
def no_lock() -> Iterator[None]:
    """Anybody gets the folder."""
    from anyarray_mlp.persistence.locks import DirectoryLock

    with mock.patch.object(DirectoryLock, "acquire", return_value=None):
        yield


@contextmanager
def no_seal() -> Iterator[None]:
    """The digest of a file says nothing about it."""
    from anyarray_mlp.persistence import container

    with mock.patch.object(container, "seal", return_value=container.UNSEALED):
        yield


@contextmanager
def any_version() -> Iterator[None]:
    """Files of later versions are read as if they were of this one."""
    from anyarray_mlp.persistence import container

    with mock.patch.object(container, "check_version", return_value=None):
        yield


@contextmanager
def divergence_unseen() -> Iterator[None]:
    """Losses and weights that are not finite are taken for good."""
    from anyarray_mlp.training import loop

    with mock.patch.object(loop, "divergence", return_value=""):
        yield


@contextmanager
def no_snapshot() -> Iterator[None]:
    """Predictions read an estimator attribute by attribute while it changes."""
    from anyarray_mlp.estimators.fitted import FittedMLP

    with mock.patch.object(FittedMLP, "_now", lambda self: self):
        yield


#: What each row must find. F2 leaves the flushes out by itself.
SABOTAGES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "F1": writing_in_place,
    "F3": forgotten_moments,
    "F4": temporaries_left,
    "F5": signals_ignored,
    "F6": no_lock,
    "F7": no_seal,
    "F15": divergence_unseen,
    "F17": any_version,
    "F19": no_snapshot,
}
#: The rows whose faults happen in this process, not in children.
HERE = ("F7", "F17", "F19")
