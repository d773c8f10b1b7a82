"""What the program prints, and what becomes of it where nobody reads.

`result` prints what a command was asked for, to stdout: where that cannot be written (a full disk, a stdout that is
closed), the command has failed. `tell` prints what happens on the way, to stderr, and `announce` what came of training,
whose work is the run's folder, to stdout: neither ever fails. A reader that goes away has read what it wanted: the
printing ends there and the work goes on.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

CLOSED = OSError(errno.EBADF, "it is closed")


class Stream(io.FileIO):
    """A standard stream that takes everything in silence once its reader has gone.

    Any other failure is raised once, so that Python does not meet it again when it flushes at the end; where
    `matters` is false it is not raised at all. `failure` is one that is known from the start.
    """

    def __init__(self, descriptor: int, *, matters: bool, failure: OSError | None = None) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.matters = matters
        self.failure = failure
        self.over = False

    def write(self, data: Any) -> int:
        """All of `data`, or the failure."""
        size = memoryview(data).nbytes
        if self.over:
            return size
        try:
            if self.failure is not None:
                raise self.failure
            return self.write_when_ready(data)
        except OSError as error:
            self.over = True
            if self.matters and not has_gone(error):
                raise
            return size

    def write_when_ready(self, data: Any) -> int:
        """As many bytes as are taken; a pipe that is full and does not block by itself is waited for."""
        while (written := super().write(data)) is None:
            select.select([], [self], [])
        return written


def has_gone(error: OSError) -> bool:
    """Whether an error says that nobody reads any longer."""
    return isinstance(error, ConnectionError) or (
        os.name == "nt" and error.errno == errno.EINVAL  # how Windows says it of a pipe
    )


def prepare_streams() -> None:
    """Make the standard streams such as this module says; call it before any file is opened.

    A descriptor of theirs that is closed is opened on nothing: else the next file would have its number, and what is
    printed would be written into it.
    """
    names = ("stdin", "stdout", "stderr")
    with contextlib.suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < len(names):
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 # as long as the program runs
    sys.stdout = prepared(sys.stdout, 1, matters=True)
    sys.stderr = prepared(sys.stderr, 2, matters=False)


def prepared(stream: TextIO | None, descriptor: int, *, matters: bool) -> TextIO:
    """A text stream over `Stream`; what its encoding lacks is written as an escape."""
    if stream is None:
        nothing = os.open(os.devnull, os.O_WRONLY)
        raw = Stream(nothing, matters=matters, failure=CLOSED)
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):
        # Windows writes to its console by other means.
        stream.reconfigure(errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(Stream(descriptor, matters=matters)),
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
    )


def result(text: str, *, end: str = "\n") -> None:
    """Print what was asked for to stdout; `OSError` where it cannot be written, unless its reader has gone."""
    if sys.stdout is None:
        raise CLOSED
    try:
        write(sys.stdout, text + end)
    except OSError as error:
        if not has_gone(error):
            raise


def tell(text: str, *, end: str = "\n") -> None:
    """Print to stderr, for whoever reads."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            write(sys.stderr, text + end)


def announce(text: str, kept: str) -> None:
    """Print what came of training to stdout; where that fails, tell why, and where the model is `kept`."""
    try:
        result(text)
    except OSError as error:
        tell(f"warning: the results could not be printed ({reason(error)}); the model is in {kept}")


def write(stream: TextIO, text: str) -> None:
    """Write and flush; what the encoding lacks, and bytes of a path that are no UTF-8, are written as escapes."""
    # Any other half of a surrogate pair is left to the stream.
    with contextlib.suppress(UnicodeEncodeError):
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def reason(error: OSError) -> str:
    """Why the system refused, in its words."""
    return error.strerror or type(error).__name__
