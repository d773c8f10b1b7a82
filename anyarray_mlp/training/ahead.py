"""`ahead`: items that a thread makes while their user is at work."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

#: How often a thread that waits looks whether anybody still wants its items.
SECONDS = 0.1
END = object()


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, made by a thread, at most `depth` of them before they are asked for.

    What goes wrong there is raised here. The thread has ended when the iterator has, or is closed.
    """
    made: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(item: Any, error: BaseException | None = None) -> bool:
        while not unwanted.is_set():
            try:
                made.put((item, error), timeout=SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(END)
        except BaseException as error:
            put(END, error)

    thread = threading.Thread(target=work, name="anyarray-mlp rows", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is END:
                return
            yield item
    finally:
        unwanted.set()
        thread.join()
