"""Batches of rows that lie on disk, made by a thread beside the steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.data import Shuffler, order_on_disk
from anyarray_mlp.data.order_on_disk import Block, Dealt, in_order
from anyarray_mlp.data.stored import StoredRows
from anyarray_mlp.errors import UsageError
from anyarray_mlp.training.ahead import ahead
from anyarray_mlp.training.batches import STEPS_PER_RUN, Shuffles
from anyarray_mlp.training.feeds import GATHER_BYTES, Portion
from anyarray_mlp.training.job import Job, Rows
from anyarray_mlp.typing import Array


class StoredFeed:
    """The batches that the same rows would make in memory, of one network.

    While an epoch is trained, the rows are dealt out for the next one.
    """

    waits = True

    def __init__(self, job: Job, rows: Rows, batch_size: int, shuffles: Shuffles | None) -> None:
        if shuffles is not None and not isinstance(shuffles, Shuffler):
            raise UsageError("Rows on disk are shuffled by data.Shuffler: leave shuffles out.")
        self.job = job
        self.x: StoredRows = rows.x
        weights = () if rows.sample_weight is None else (rows.sample_weight,)
        self.beside = tuple(map(np.asarray, (rows.targets, *weights)))
        self.batch_size = batch_size
        self.steps_per_epoch: int | None = -(-len(self.x) // batch_size)
        self.data: tuple[Array, ...] = ()
        self.options = {"weighted": bool(weights), "in_batches": True}
        most = GATHER_BYTES // max(1, batch_size * self.x.row_bytes)
        self.most = max(1, min(STEPS_PER_RUN, most))
        self.shuffler = shuffles
        self.left = job.epochs
        self.now: dict[str, Any] = {} if shuffles is None else shuffles.state()
        self.next: Dealt | None = None

    def portions(self) -> Iterator[Portion]:
        """One epoch, which takes every row once."""
        self.left -= 1
        size, backend = self.batch_size, self.job.backend
        for x, *beside in ahead(self.cut(self.blocks(), self.most * size)):
            full = len(x) // size * size
            for start, stop, rows in ((0, full, size), (full, len(x), len(x) - full)):
                if start == stop:
                    continue
                arrays = tuple(
                    backend.share(
                        part[start:stop].reshape(-1, rows, *part.shape[1:]),
                        "uint8" if part.dtype == np.uint8 else None,
                    )
                    for part in (x, *beside)
                )
                yield Portion(arrays, None, (stop - start) // rows, rows)

    def blocks(self) -> Iterator[Block]:
        """The rows of an epoch in their order; those of the next one are dealt out meanwhile, if there is one."""
        if self.shuffler is None:
            yield from in_order(self.x, order_on_disk.DEAL_BYTES)
            return
        dealt, self.next = self.next or self.dealt(self.shuffler), None
        self.now = dealt.state
        dealt.go_on(len(dealt.parts) + 1)
        coming = self.dealt(self.shuffler) if self.left > 0 else None
        piles = max(1, int(np.count_nonzero(dealt.counts)))
        for block in dealt.blocks():
            yield block
            if coming is not None:
                coming.go_on(-(-len(coming.parts) // piles))
        self.next = coming

    def dealt(self, shuffler: Shuffler) -> Dealt:
        """The rows on their way to the next order."""
        return Dealt(self.x, shuffler, order_on_disk.PILE_BYTES, order_on_disk.DEAL_BYTES)

    def cut(self, blocks: Iterator[Block], size: int) -> Iterator[list[Any]]:
        """The rows and what is beside them in parts of one size; the last one has the rest."""
        kept: list[Block] = []
        for block in blocks:
            kept.append(block)
            while sum(len(each.places) for each in kept) >= size:
                part, kept = taken(kept, size)
                yield self.with_beside(part)
        if kept:
            part, _ = taken(kept, sum(len(each.places) for each in kept))
            if len(part.places):
                yield self.with_beside(part)

    def with_beside(self, block: Block) -> list[Any]:
        """Rows, their targets and their weights."""
        return [block.x, *(part[block.places] for part in self.beside)]

    def state(self, place: int) -> dict[str, Any]:
        """Where the shuffles stand after the epoch that is trained."""
        return self.now

    def keep(self, places: Sequence[int]) -> None:
        """There is one network, and it is kept."""


def taken(blocks: list[Block], size: int) -> tuple[Block, list[Block]]:
    """The first rows of some blocks, and the blocks of the others."""
    first: list[Block] = []
    for number, block in enumerate(blocks):
        wanted = size - sum(len(each.places) for each in first)
        first.append(Block(block.x[:wanted], block.places[:wanted]))
        if wanted <= len(block.places):
            rest = Block(block.x[wanted:], block.places[wanted:])
            left = [rest, *blocks[number + 1 :]] if len(rest.places) else blocks[number + 1 :]
            return joined(first), left
    return joined(first), []


def joined(blocks: list[Block]) -> Block:
    """Blocks as one."""
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        np.concatenate([each.x for each in blocks]), np.concatenate([e.places for e in blocks])
    )
