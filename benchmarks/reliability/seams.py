"""What a child does to itself before it runs a command: the faults that are made from within.

Each function is a step of a `setup` (see `processes`). Those that count operations do so at the one seam through which
the package writes, `anyarray_mlp.persistence.files.disk`.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anyarray_mlp.persistence import files
from tests import persistence_faults as faults


def tick(seconds: float) -> None:
    """A clock that goes on by as much whenever it is read: checkpoints are due after as many epochs on any machine.

    The interval between checkpoints, and all that looks at it, stay as they are.
    """
    now = time.monotonic()

    def read() -> float:
        nonlocal now
        now += seconds
        return now

    time.monotonic = read


def count_operations(path: str) -> None:
    """Write the names of the file operations, one a line, as they come; appending to the metrics is "log"."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    class Counting(faults.WatchedFiles):
        def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
            if operation == "open" and arguments[1] & os.O_APPEND:
                operation = "log"
            os.write(descriptor, f"{operation}\n".encode())

    files.disk = Counting()


def kill_at(at: int) -> None:
    """Die ahead of an operation, half of a write done."""
    files.disk = faults.KilledFiles(at)


def fail_at(at: int, code: int, path: str = "") -> None:
    """Let an operation fail with an errno, once; the name of the operation is put into the file at `path`."""

    class Failing(faults.FailingFiles):
        def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
            if path and self.count == self.at:
                Path(path).write_text(operation)
            super().before(operation, arguments)

    files.disk = Failing(at, code)


def fail_from(at: int, code: int) -> None:
    """Let every operation that writes fail from one on, as on a disk that is full and stays full."""

    class Failing(faults.WatchedFiles):
        def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
            if self.count >= at and operation in ("write", "make_directory"):
                raise OSError(code, os.strerror(code))

    files.disk = Failing()


def write_short(most: int) -> None:
    """Take at most so many bytes in one write."""
    files.disk = faults.ShortWritingFiles(most)


def signal_at(places: Sequence[int], number: int) -> None:
    """Send this process a signal ahead of each of the operations."""

    class Signalling(faults.WatchedFiles):
        def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
            for _ in range(list(places).count(self.count)):
                os.kill(os.getpid(), number)

    files.disk = Signalling()


def stop_at(at: int) -> None:
    """Stand still ahead of an operation until somebody says to go on."""

    class Stopping(faults.WatchedFiles):
        def before(self, operation: str, arguments: tuple[Any, ...]) -> None:
            if self.count == at:
                os.kill(os.getpid(), signal.SIGSTOP)

    files.disk = Stopping()


def record(folder: str, path: str, kind: str) -> None:
    """Record the operations on a folder, and what was promised when, from which a power loss is played back."""
    from anyarray_mlp.persistence.run_folder import RunFolder

    recorder = getattr(faults, kind)(Path(folder))
    files.disk = recorder

    def promising(name: str, version: Any) -> None:
        plain = getattr(RunFolder, name)

        def kept(self: RunFolder, *arguments: Any, **options: Any) -> None:
            plain(self, *arguments, **options)
            recorder.acknowledge(version(*arguments))
            with open(path, "wb") as stream:
                pickle.dump(recorder.record, stream)

        setattr(RunFolder, name, kept)

    promising("save_checkpoint", lambda checkpoint: checkpoint.step)
    promising("save_model", lambda model: MODEL)


#: What a power loss finds promised once the model is saved: more than any checkpoint's step.
MODEL = 10**9


def sabotage(row: str) -> None:
    """Break in this process what a row must find broken."""
    from benchmarks.reliability.sabotage import SABOTAGES

    BROKEN.append(SABOTAGES[row]())
    BROKEN[-1].__enter__()


#: Contexts that were entered for good: one that is forgotten would be left.
BROKEN: list[Any] = []


def limit_memory(extra: int) -> None:
    """Allow so many bytes of address space beyond those in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + extra
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def join_group(folder: str) -> None:
    """Join a control group, whose limits hold from here on."""
    (Path(folder) / "cgroup.procs").write_text(str(os.getpid()))


def limit_file_size(most: int) -> None:
    """Allow files of so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def become_nobody() -> None:
    """Give up root's rights, to which no permission applies."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def await_start(path: str) -> None:
    """Wait, busily, until a file is there: several processes then go at once."""
    while not os.path.exists(path):
        pass
