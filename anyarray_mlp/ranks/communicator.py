"""`Communicator`: what training on several ranks asks of an engine, two collectives and what little goes with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from anyarray_mlp.errors import RanksError

if TYPE_CHECKING:
    from anyarray_mlp.typing import Host


class LostRankError(RanksError):
    """Another rank has gone, or given up; why is for that one to say."""


class Communicator(ABC):
    """One rank's end of the line to the others. Every rank has to make the same calls in the same order.

    Attributes
    ----------
    engine : the name in `select_communicator`.
    rank, size : which of how many ranks this is; rank 0 is the one that prints and writes.
    local_rank : which of the ranks on its machine it is, and so which of the devices there is its own.
    """

    engine: ClassVar[str]

    def __init__(self, rank: int, size: int, local_rank: int = 0) -> None:
        self.rank = rank
        self.size = size
        self.local_rank = local_rank

    def __repr__(self) -> str:
        return f"<{self.engine} communicator, rank {self.rank} of {self.size}>"

    @abstractmethod
    def sum(self, array: Host) -> Host:
        """The sum of all ranks' arrays, of one shape and of float32 or float64; a new array, the same on all ranks.

        Nothing is promised of the order of additions: sums that are to be exact are of whole numbers that fit.
        """

    @abstractmethod
    def max(self, array: Host) -> Host:
        """The maximum of all ranks' arrays, as `sum`."""

    @abstractmethod
    def broadcast(self, value: Any = None) -> Any:
        """What rank 0 gives, a value that can be pickled; what the others give does not count."""

    @abstractmethod
    def barrier(self) -> None:
        """Wait for all ranks."""

    def leave(self) -> None:  # noqa: B027
        """Wait for the other ranks to have what they were sent last, as this process is about to end."""

    def is_first_to_tell(self) -> bool:
        """Of ranks that have all lost the same one, whether this is the one that says so."""
        return self.rank == 0

    def abort(self, exit_code: int) -> None:  # noqa: B027
        """End what the other ranks are waiting for, as this one gives up; a process may end here with this code."""
