"""What ranks agree on: whether one of them asks for something, what they have alike, what each has a part of."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping

import numpy as np

from anyarray_mlp.errors import RanksError
from anyarray_mlp.ranks.communicator import Communicator
from anyarray_mlp.typing import Host


def any_rank(communicator: Communicator | None, asks: bool) -> bool:
    """Whether this rank or another asks for it."""
    if communicator is None:
        return asks
    return bool(communicator.max(np.array([float(asks)]))[0])


def joined(communicator: Communicator, part: Host, start: int, n: int) -> Host:
    """All n rows of an array of which each rank has a part, from `start` on; every number is sent as it is."""
    whole = np.zeros((n, *part.shape[1:]), part.dtype)
    whole[start : start + len(part)] = part
    return communicator.sum(whole)


def check_alike(communicator: Communicator, found: Mapping[str, str]) -> None:
    """Raise `RanksError` on all ranks where one has something else than rank 0; `found` are texts by what they are."""
    first: Mapping[str, str] = communicator.broadcast(dict(found))
    names = sorted(first)
    differs = np.zeros((communicator.size, len(names)))
    differs[communicator.rank] = [found.get(name) != first[name] for name in names]
    differs = communicator.sum(differs)
    if np.any(differs):
        rank = int(np.argmax(np.any(differs, axis=1)))
        what = [name for name, differ in zip(names, differs[rank], strict=True) if differ]
        raise RanksError(
            f"Rank {rank} has other {' and '.join(what)} than rank 0: give all ranks the same files, settings and "
            "versions."
        )


def check_in_step(communicator: Communicator, parameters: Host) -> None:
    """Raise `RanksError` on all ranks where one has come to other parameters than another."""
    mark = float(zlib.crc32(np.ascontiguousarray(parameters).data))
    high, low = communicator.max(np.array([mark, -mark]))
    if high != -low:
        raise RanksError(
            "Ranks have come to different parameters, as on machines of several kinds their rounding may differ: train "
            "reproducibly, or on machines of one kind."
        )


def digest(*arrays: Host | None) -> str:
    """A digest of arrays, their shapes and their dtypes."""
    found = hashlib.sha256()
    for array in arrays:
        if array is None:
            found.update(b"none")
            continue
        found.update(f"{array.shape} {array.dtype.str}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
