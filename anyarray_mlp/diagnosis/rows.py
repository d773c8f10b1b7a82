"""Which rows are looked at, and how they get to the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError
from anyarray_mlp.training.predicting import is_sparse
from anyarray_mlp.typing import Host

#: Rows that a summary looks at, evenly spread.
SUMMARY_ROWS = 1024
#: Entries of a table that are looked at in full.
FULL_CHECK = 2_000_000


def evenly(n: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` of n rows, evenly spread."""
    return np.arange(n) if n <= limit else np.linspace(0, n - 1, limit).astype(np.int64)


def many(n: int, columns: int) -> NDArray[np.int64]:
    """All of n rows if they have at most `FULL_CHECK` entries in so many columns, else evenly spread ones."""
    return evenly(n, max(SUMMARY_ROWS, FULL_CHECK // max(1, columns)))


class HostRows:
    """An array on the host or on the device, or a sparse matrix, whose rows are needed on the host, dense."""

    def __init__(self, backend: Backend, array: Any) -> None:
        self.backend = backend
        self.sparse = is_sparse(array)
        self.array = array.tocsr() if self.sparse else array
        self.n: int = array.shape[0]
        self.host: Host | None = array if isinstance(array, np.ndarray) else None

    def take(self, rows: NDArray[np.int64]) -> Host:
        """Rows, on the host."""
        if self.host is not None:
            return np.asarray(self.host[rows])
        if self.sparse:
            return np.asarray(self.array[rows].toarray())
        backend = self.backend
        return backend.to_host(backend.xp.take(self.array, backend.asarray(rows), axis=0))

    def many(self) -> NDArray[np.int64]:
        """The rows that a summary looks at: all, or evenly spread ones if they have many entries."""
        return many(self.n, self.array.shape[1])

    def whole(self) -> Host:
        """All rows, on the host."""
        return self.take(np.arange(self.n)) if self.host is None else self.host


def checked_rows(rows: Any, columns: int) -> Any:
    """More rows (m, columns); `DataError` if they are not such an array."""
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != columns:
        raise DataError(
            f"held_out must hold arrays of {columns} columns as x has, got {shown(rows)}."
        )
    return rows
