"""Ranks that are processes of torch.distributed, on the host by gloo."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from anyarray_mlp.errors import RanksError, in_a_line
from anyarray_mlp.ranks.communicator import Communicator, LostRankError
from anyarray_mlp.typing import Host

#: How long a rank waits for one that is there and does not answer.
PATIENCE = timedelta(minutes=30)
#: Seconds that rank 0 waits at its end for the others.
FAREWELL = 10.0


class TorchCommunicator(Communicator):
    """A process of `torchrun`, or of a program that has called `init_process_group`."""

    engine = "torch"

    def __init__(self) -> None:
        if not dist.is_initialized():
            missing = [name for name in ("RANK", "WORLD_SIZE") if name not in os.environ]
            if missing:
                raise RanksError(
                    f"torch.distributed does not know the other ranks ({' and '.join(missing)} not set): start with "
                    "torchrun, or call torch.distributed.init_process_group first."
                )
            dist.init_process_group("gloo", timeout=PATIENCE)
        self.group = dist.new_group(backend="gloo", timeout=PATIENCE)
        local = int(os.environ.get("LOCAL_RANK", "0"))
        super().__init__(dist.get_rank(), dist.get_world_size(), local)

    def sum(self, array: Host) -> Host:
        """As in `Communicator`."""
        return self.reduced(dist.ReduceOp.SUM, array)

    def max(self, array: Host) -> Host:
        """As in `Communicator`."""
        return self.reduced(dist.ReduceOp.MAX, array)

    def reduced(self, operation: Any, array: Host) -> Host:
        """All ranks' arrays under an operation, in a copy."""
        found = np.array(array)
        reach(lambda: dist.all_reduce(torch.from_numpy(found), operation, self.group))
        return found

    def broadcast(self, value: Any = None) -> Any:
        """As in `Communicator`."""
        box = [value]
        reach(lambda: dist.broadcast_object_list(box, group=self.group))
        return box[0]

    def barrier(self) -> None:
        """As in `Communicator`."""
        reach(lambda: dist.barrier(self.group))

    def leave(self) -> None:
        """Rank 0, which keeps the store, waits for a word of the others: its end would cut off what they read."""
        with suppress(RuntimeError):
            store = dist.distributed_c10d._get_default_store()
            store.add("left", 1)
            until = time.monotonic() + FAREWELL
            while self.rank == 0 and store.add("left", 0) < self.size and time.monotonic() < until:
                time.sleep(0.01)

    def is_first_to_tell(self) -> bool:
        """The first that asks: rank 0 may be the one that has gone, and with it what the others ask."""
        with suppress(RuntimeError):
            store = dist.distributed_c10d._get_default_store()
            return bool(store.add("told", 1) == 1)
        return self.rank == 1


def reach(call: Callable[[], Any]) -> None:
    """Make a call to the other ranks; `LostRankError` where one of them does not answer."""
    try:
        call()
    except RuntimeError as error:
        raise LostRankError(
            f"torch.distributed has lost another rank ({in_a_line(error)}): see what that one says."
        ) from error
