"""A random order of rows on disk: the order that the rows would have in memory, by reading them once from end to end.

To take row after row from its place would be a read of the disk for each. Here rows are dealt out to piles by the first
bits of their keys, the random numbers that the order is sorted by; a pile fits in memory, where it is sorted. Rows are
read and written one after the other, and neither the order nor its keys are ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.data.sampling import Shuffler
from anyarray_mlp.data.stored import ArrayFile, StoredRows
from anyarray_mlp.typing import Host

#: Bytes of a pile, and of the rows that are dealt out at a time.
PILE_BYTES, DEAL_BYTES = 1 << 25, 1 << 24
#: Piles at most.
MOST_BITS = 12
KEY_BITS = 64


class Block(NamedTuple):
    """Some rows x (m, i), and their places (m,) among all."""

    x: Host
    places: NDArray[np.int64]


def in_order(rows: StoredRows, deal_bytes: int) -> Iterator[Block]:
    """The rows as they lie."""
    for start, stop in parts_of(rows, deal_bytes):
        yield Block(rows[start:stop], np.arange(start, stop))


def parts_of(rows: StoredRows, size: int) -> Iterator[tuple[int, int]]:
    """Starts and stops of parts of so many bytes."""
    n, at_once = len(rows), max(1, size // max(1, rows.row_bytes))
    for start in range(0, n, at_once):
        yield start, min(start + at_once, n)


class Dealt:
    """All rows on their way to a new order, the next one of a `Shuffler`, which moves on at once.

    `go_on` makes the piles, so many parts of the rows at a time; `blocks` gives the rows in their order.
    """

    def __init__(
        self,
        rows: StoredRows,
        shuffler: Shuffler,
        pile_bytes: int,
        deal_bytes: int,
    ) -> None:
        self.rows = rows
        self.keys = shuffler.keys(len(rows))
        self.state = shuffler.state()
        self.record = np.dtype(
            [("key", np.uint64), ("place", np.int64), ("x", rows.dtype, (rows.shape[1],))]
        )
        piles = -(-len(rows) * self.record.itemsize // pile_bytes)
        bits = min(max(1, (piles - 1).bit_length()), MOST_BITS)
        self.shift = np.uint64(KEY_BITS - bits)
        self.parts = list(parts_of(rows, deal_bytes))
        self.counts = np.zeros(1 << bits, np.int64)
        self.dealing = self.deal()

    def deal(self) -> Iterator[None]:
        """Deal out one part of the rows after the other."""
        counting = self.keys.copy()
        for start, stop in self.parts:
            piles = counting.draw(stop - start) >> self.shift
            self.counts += np.bincount(piles.astype(np.int64), minlength=len(self.counts))
        self.ends = np.cumsum(self.counts)
        filled = self.ends - self.counts
        self.file = ArrayFile.temporary()
        for start, stop in self.parts:
            keys = self.keys.draw(stop - start)
            piles = (keys >> self.shift).astype(np.uint16)
            order = np.argsort(piles, kind="stable")
            records = np.empty(stop - start, self.record)
            records["key"], records["place"] = keys[order], start + order
            records["x"] = self.rows[start:stop][order]
            edges = np.searchsorted(piles[order], np.arange(len(self.counts) + 1))
            for pile in np.flatnonzero(np.diff(edges)).tolist():
                dealt = records[edges[pile] : edges[pile + 1]]
                self.file.write(dealt, int(filled[pile]) * self.record.itemsize)
            filled += np.diff(edges)
            yield

    def go_on(self, parts: int) -> None:
        """Deal out so many more parts, if as many are left."""
        for _ in zip(range(parts), self.dealing, strict=False):
            pass

    def blocks(self) -> Iterator[Block]:
        """The rows in their order, a pile at a time, once all are dealt out."""
        self.go_on(len(self.parts) + 1)
        for end, count in zip(self.ends.tolist(), self.counts.tolist(), strict=True):
            if not count:
                continue
            records = np.empty(count, self.record)
            self.file.read(records, (end - count) * self.record.itemsize)
            # Records of a pile are in the order of the rows, so that equal keys stay in it, as in memory.
            order = np.argsort(records["key"], kind="stable")
            yield Block(records["x"][order], records["place"][order])
