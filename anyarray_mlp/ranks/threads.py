"""Ranks that are threads of this process: for tests, and to see what a run on several ranks does. It is no faster.

Not for JAX, whose compiled programs share the threads that they would wait for one another in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from anyarray_mlp.ranks.communicator import Communicator, LostRankError
from anyarray_mlp.typing import Host

T = TypeVar("T")


class Meeting:
    """Where the threads meet: each brings something, and each takes what all have brought."""

    def __init__(self, size: int) -> None:
        self.brought: list[Any] = [None] * size
        self.barrier = threading.Barrier(size)

    def __call__(self, rank: int, value: Any) -> list[Any]:
        """What each rank has brought."""
        try:
            self.barrier.wait()  # all have taken what was here before
            self.brought[rank] = value
            self.barrier.wait()
        except threading.BrokenBarrierError:
            raise LostRankError(f"Rank {rank} has lost another rank, which gave up.") from None
        return [*self.brought]


class ThreadCommunicator(Communicator):
    """A thread's end. `order` is that in which arrays are added, by rank."""

    engine = "threads"

    def __init__(self, meeting: Meeting, rank: int, order: list[int]) -> None:
        super().__init__(rank, len(order), rank)
        self.meeting = meeting
        self.order = order

    def sum(self, array: Host) -> Host:
        """As in `Communicator`."""
        return self.reduced(np.add, array)

    def max(self, array: Host) -> Host:
        """As in `Communicator`."""
        return self.reduced(np.maximum, array)

    def reduced(self, operation: Callable[[Host, Host], Any], array: Host) -> Host:
        """All arrays under an operation, one after the other."""
        found = self.meeting(self.rank, np.array(array))
        return np.array(reduce(operation, (found[rank] for rank in self.order)))

    def broadcast(self, value: Any = None) -> Any:
        """As in `Communicator`; the value itself, no copy."""
        return self.meeting(self.rank, value)[0]

    def barrier(self) -> None:
        """As in `Communicator`."""
        self.meeting(self.rank, None)

    def abort(self, exit_code: int) -> None:
        """As in `Communicator`; the thread goes on."""
        self.meeting.barrier.abort()


def on_threads(
    size: int, function: Callable[[Communicator], T], order: list[int] | None = None
) -> list[T]:
    """function(communicator) on `size` ranks at once; what each of them returns.

    If some raise, the others end with a `LostRankError`, and the first error that is none is raised here.
    """
    meeting = Meeting(size)
    ranks = [ThreadCommunicator(meeting, rank, order or list(range(size))) for rank in range(size)]

    def run(communicator: Communicator) -> T | BaseException:
        try:
            return function(communicator)
        except BaseException as error:
            communicator.abort(1)
            return error

    with ThreadPoolExecutor(size) as pool:
        found = [*pool.map(run, ranks)]
    errors = [each for each in found if isinstance(each, BaseException)]
    if errors:
        raise next((each for each in errors if not isinstance(each, LostRankError)), errors[0])
    return found  # type: ignore[return-value]
