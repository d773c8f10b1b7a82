"""Sums that do not depend on the order of their terms.

Terms are rounded to whole multiples of one power of two, chosen from the largest term so that the sum of all terms
fits the 53 bits of float64. Sums of such integers are exact: any order, any split, any number of threads gives the
same. float32 terms take one slice; float64 terms take a second one for the remainder.

The three phases are separate, so that terms spread over parts (or ranks) can be summed as one: the
largest magnitude over all parts, the integer sums of each part, the value of their total.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from anyarray_mlp.arithmetic.library import Library, bits_for
from anyarray_mlp.arithmetic.shard import Shard, parted
from anyarray_mlp.typing import Array, Axes


class ExactSum:
    """Sums over a `Library`."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def sum(
        self, x: Array, axis: Axes = None, keepdims: bool = False, shard: Shard | None = None
    ) -> Array:
        """The sum of x along axes, rounded once (float32), or to about an ulp (float64).

        Where x has the rows of a shard along the axes, it is the sum over the whole batch.
        """
        xp = self.library.xp
        if x.ndim == 0:
            return x
        if axis is None and not keepdims:
            x = xp.reshape(x, (-1,))
        axes = (
            tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        )
        axes = tuple(a % x.ndim for a in axes)
        count = math.prod(x.shape[a] for a in axes)
        if count == 0:
            return xp.sum(x, axis=axis, keepdims=keepdims)
        largest = self.largest(x, axes)
        if shard is not None:
            count = shard.whole(count)
            (largest,) = self.largest_of_all([largest])
        sums = self.integers(x, largest, count, axes)
        if shard is not None:
            sums = self.totals(sums, shard)
        y = self.value(sums, largest, count, x.dtype)
        if keepdims:
            return y
        return xp.reshape(y, tuple(n for a, n in enumerate(x.shape) if a not in axes))

    def largest(self, x: Array, axes: tuple[int, ...]) -> Array:
        """max |x| along axes, which stay as axes of length 1."""
        lib, xp = self.library, self.library.xp
        if 0 in axes:
            (m,) = lib.by_rows(
                lambda x: (xp.max(xp.abs(x), axis=axes, keepdims=True),), x, join="max"
            )
        else:
            (m,) = lib.by_rows(lambda x: (xp.max(xp.abs(x), axis=axes, keepdims=True),), x)
        return m

    def integers(
        self, x: Array, largest: Array, count: int, axes: tuple[int, ...]
    ) -> tuple[Array, ...]:
        """Sums of x's slices, integer-valued float64; `count` is the number of terms over all parts."""
        lib, xp = self.library, self.library.xp
        bits = 53 - bits_for(count)
        s, _ = lib.scale(largest, bits)

        def slices(x: Array, s: Array) -> tuple[Array, ...]:
            t = lib.up(x) * s
            q = xp.round(t)
            parts = [q]
            if x.dtype == lib.float64:
                parts.append(xp.round((t - q) * 2.0**bits))
            return tuple(xp.sum(p, axis=axes, keepdims=True) for p in parts)

        sums: tuple[Array, ...] = lib.by_rows(slices, x, s, join="sum" if 0 in axes else "rows")
        return sums

    # ------------------------------------------------------------ over all shards of a batch

    def largest_of_all(self, each: Sequence[Array]) -> list[Array]:
        """The largest magnitudes over all ranks, of those here, some arrays of one dtype: one message."""
        xp: Any = self.library.xp
        vector = xp.concat([xp.reshape(largest, (-1,)) for largest in each])
        return parted(xp, xp.largest_over_ranks(vector), each)

    def totals(self, sums: Sequence[Array], shard: Shard) -> tuple[Array, ...]:
        """The integer sums of all shards, of those of this one: as few bits as they come in, and exact."""
        xp: Any = self.library.xp
        if not shard.counts:
            sums = [xp.zeros_like(array) for array in sums]
        return tuple(xp.summed_over_ranks(array) for array in sums)

    def value(self, sums: tuple[Array, ...], largest: Array, count: int, dtype: Any) -> Array:
        """The value of integer sums, rounded to dtype."""
        lib = self.library
        bits = 53 - bits_for(count)
        _, u = lib.scale(largest, bits)
        y = sums[0] * u
        if len(sums) > 1:
            y = y + sums[1] * (u * 2.0**-bits)
        return lib.down(y, dtype)
