"""Ranks that are processes of MPI, by mpi4py."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from anyarray_mlp.errors import in_a_line
from anyarray_mlp.ranks.communicator import Communicator, LostRankError
from anyarray_mlp.typing import Host

#: Bytes of a message: of 40 MB in one, MPICH and Open MPI take two to ten times as long as in these.
SEGMENT = 1 << 20


class MpiCommunicator(Communicator):
    """A process of `mpiexec` or `srun`; `world` is mpi4py's communicator, by default that of all processes."""

    engine = "mpi"

    def __init__(self, world: Any = None) -> None:
        self.world = MPI.COMM_WORLD if world is None else world
        local = self.world.Split_type(MPI.COMM_TYPE_SHARED)
        super().__init__(self.world.Get_rank(), self.world.Get_size(), local.Get_rank())
        local.Free()

    def sum(self, array: Host) -> Host:
        """As in `Communicator`; from and into NumPy's memory."""
        return self.reduced(MPI.SUM, array)

    def max(self, array: Host) -> Host:
        """As in `Communicator`."""
        return self.reduced(MPI.MAX, array)

    def reduced(self, operation: Any, array: Host) -> Host:
        """All ranks' arrays under an operation, some of the numbers at a time."""
        found = np.empty_like(array)
        source, target = array.reshape(-1), found.reshape(-1)
        step = SEGMENT // array.itemsize
        try:
            for start in range(0, source.size, step):
                part = slice(start, start + step)
                self.world.Allreduce(source[part], target[part], operation)
        except MPI.Exception as error:
            raise lost(error) from error
        return found

    def broadcast(self, value: Any = None) -> Any:
        """As in `Communicator`."""
        try:
            return self.world.bcast(value)
        except MPI.Exception as error:
            raise lost(error) from error

    def barrier(self) -> None:
        """As in `Communicator`."""
        self.world.Barrier()

    def abort(self, exit_code: int) -> None:
        """End all ranks, this one included."""
        if self.size > 1:
            self.world.Abort(exit_code)


def lost(error: Exception) -> LostRankError:
    """What MPI says when it cannot reach another rank."""
    return LostRankError(f"MPI has lost another rank ({in_a_line(error)}): see what that one says.")
