"""`interruption`: the first Ctrl-C asks training to stop; `ending_on`: other signals that do."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

#: What asks a process to end: Ctrl-C, `kill`, and a terminal that closes (which Windows does not tell).
ENDINGS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
#: The signals that end training and let the program continue. Only Ctrl-C unless `ending_on` says otherwise: a script
#: that is asked to end (`kill`, `timeout`, a batch system) must end, not run on with one network cut short.
CAUGHT: ContextVar[Sequence[signal.Signals]] = ContextVar("caught", default=(signal.SIGINT,))


class Interrupted:
    """Whether a signal has come, and the number of the first.

    No `threading.Event`: that takes a lock, and a second signal that comes while the first is noted would wait for it
    for ever.
    """

    signal: int | None = None

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None


@contextmanager
def ending_on(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Within it, training ends on any of these signals; for a program that then saves what was learned and exits."""
    token = CAUGHT.set(numbers)
    try:
        yield
    finally:
        CAUGHT.reset(token)


@contextmanager
def interruption() -> Iterator[Interrupted]:
    """Catch the first of the signals as a request to stop; a second acts as it did before.

    Only the main thread can handle signals; elsewhere nothing changes. A signal that the process was started to
    ignore (SIGINT of a job that a shell runs in the background, SIGHUP under nohup) stays ignored.
    """
    asked = Interrupted()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in CAUGHT.get()}
    before = {n: handler for n, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def handle(number: int, frame: FrameType | None) -> None:
        asked.signal = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, handle)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
