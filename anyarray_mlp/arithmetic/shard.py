"""`Shard`: the rows of a batch that are computed here, where the others are computed by other ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from anyarray_mlp.typing import Array


class Shard(NamedTuple):
    """Neighbouring rows of a batch.

    A rank for which a batch has no row takes one that is another rank's too, and `counts` is False: so every rank
    computes on arrays that have rows, the largest magnitudes stay what they are, and its sums are left out.

    Attributes
    ----------
    start : the place of the first row in the batch.
    rows : how many there are here.
    of : how many the whole batch has.
    counts : whether the rows here are counted here.
    """

    start: int
    rows: int
    of: int
    counts: bool = True

    @classmethod
    def of_rank(cls, rank: int, ranks: int, n: int) -> Shard:
        """The share of one of several ranks of a batch of n rows: sizes differ by one row at most."""
        start, stop = n * rank // ranks, n * (rank + 1) // ranks
        if start < stop:
            return cls(start, stop - start, n)
        return cls(min(start, n - 1), 1, n, counts=False)

    @property
    def span(self) -> slice:
        """Where the rows lie in the batch."""
        return slice(self.start, self.start + self.rows)

    def whole(self, count: int) -> int:
        """How many terms a sum over the whole batch has, of one that has `count` terms here."""
        return count // self.rows * self.of


def parted(xp: Any, vector: Array, like: Sequence[Array]) -> list[Array]:
    """A vector as arrays one after the other, in the shapes of others."""
    found, start = [], 0
    for array in like:
        stop = start + math.prod(array.shape)
        found.append(xp.reshape(vector[start:stop], tuple(array.shape)))
        start = stop
    return found
