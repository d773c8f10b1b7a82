"""Matrix products that do not depend on the BLAS, its threads or its order of additions.

Each operand is split into slices of integers, relative to the largest entry of each row (or column),
with so few bits that every product of slices, and every partial sum of it, is an integer of at most
53 bits. A float64 matrix product of slices is then exact, in whatever order it is summed (Ozaki,
Ogita, Oishi and Rump 2012). The products of slices are scaled by powers of two, which is exact, and added from the
smallest up.

float32 operands in two slices need one float64 product, and a few bits of what it leaves out: the
first bits of one operand's first slice times those of the other's remainder. These are integers of
at most 8 bits, and a float32 matrix product of them stays within its own 24 bits, so it is exact too
(even where float32 products are rounded to bfloat16). That costs 4 times a float32 product instead of 6.

The linear layer scales its weights from both sides, W = diag(rows) W' diag(columns), so that neither a
large feature nor a large output hides the others' bits, and splits W' once for the forward product and for the
gradient with respect to the input.

Everything is about the last two axes: operands of a stack of k have an axis of k in front, and each of the stack has
the bits that it has alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from anyarray_mlp.arithmetic.exact_sum import ExactSum
from anyarray_mlp.arithmetic.library import Library, bits_for
from anyarray_mlp.arithmetic.shard import Shard
from anyarray_mlp.typing import Array

Slices = tuple[Array, ...]

#: The most bits of a slice, by the number of slices.
SLICE_BITS = {1: 26, 2: 21, 3: 26}
FLOAT64_SLICES = 3
#: Bits of the factors of a float32 correction: fewer than the minimum are not worth it.
FEWEST_SHORT_BITS, MOST_SHORT_BITS = 6, 8


@dataclass(frozen=True)
class Scheme:
    """How two operands are split: `slices` each, of `left` and `right` bits.

    short: 0, or the bits of the factors of float32 corrections, which then replace the second slices.
    """

    slices: int
    left: int
    right: int
    short: int

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Which slice of the left operand is multiplied with which of the right."""
        if self.short:
            return (0, 0), (1, 2), (2, 1)  # slice 1 is the first bits, slice 2 the remainder's
        return tuple((i, j) for i in range(self.slices) for j in range(self.slices - i))

    @cached_property
    def shifts(self) -> tuple[int, ...]:
        """Each product counts in units of 2**-shift."""
        if self.short:
            unit = 2 * self.short + 1
            return 0, unit - self.left, unit - self.right
        return tuple(i * self.left + j * self.right for i, j in self.places)


@dataclass(frozen=True)
class Residual:
    """What the backward pass of a linear layer needs: its input, and its weights in slices."""

    x: Array
    weights: Slices
    rows: Array
    columns: Array
    scheme: Scheme
    bias: bool


class ExactMatmul:
    """Products and linear layers over a `Library`; `slices` is for float32, float64 always takes three."""

    def __init__(self, library: Library, sums: ExactSum, slices: int) -> None:
        self.library, self.sums, self.slices = library, sums, slices

    # ------------------------------------------------------------ slices

    def scheme(self, terms: int, dtype: Any) -> Scheme:
        """The scheme for sums of at most `terms` products."""
        slices = FLOAT64_SLICES if dtype == self.library.float64 else self.slices
        total, most = 53 - bits_for(terms), SLICE_BITS[slices]
        right = min(most, total // 2)
        short = min(MOST_SHORT_BITS, (24 - bits_for(terms)) // 2) if slices == 2 else 0
        return Scheme(
            slices, min(most, total - right), right, short if short >= FEWEST_SHORT_BITS else 0
        )

    def cut(self, scheme: Scheme, bits: int, x: Array, *scales: Array) -> Slices:
        """Slices of x times the scales, which make its entries at most 2**bits: integers."""
        lib, xp = self.library, self.library.xp

        def f(x: Array, *scales: Array) -> Slices:
            t = lib.up(x)
            for s in scales:
                t = t * s
            q = xp.round(t)
            if scheme.short:
                first = xp.round(q * 2.0 ** (scheme.short - bits))
                rest = xp.round((t - q) * 2.0 ** (scheme.short + 1))
                return q, xp.astype(first, lib.float32), xp.astype(rest, lib.float32)
            out = [q]
            for _ in range(scheme.slices - 1):
                t = (t - q) * 2.0**bits
                q = xp.round(t)
                out.append(q)
            return tuple(out)

        result: Slices = lib.by_rows(f, x, *scales)
        return result

    def largest(self, axis: int, x: Array, *scales: Array) -> Array:
        """max |x times the scales| of each row (axis -1) or column (axis -2), as float64."""
        lib, xp = self.library, self.library.xp

        def f(x: Array, *scales: Array) -> tuple[Array]:
            t = xp.abs(lib.up(x)) if scales else xp.abs(x)
            for s in scales:
                t = t * s
            return (xp.max(t, axis=axis, keepdims=True),)

        over_rows = axis % x.ndim == 0
        (m,) = lib.by_rows(f, x, *scales, join="max" if over_rows else "rows")
        return lib.up(m)

    # ------------------------------------------------------------ products of slices

    def products(self, scheme: Scheme, a: Slices, b: Slices) -> tuple[Array, ...]:
        """The exact products of slices, one for each of the scheme's places."""
        xp = self.library.xp
        return tuple(xp.matmul(a[i], b[j]) for i, j in scheme.places)

    def value(
        self,
        scheme: Scheme,
        products: tuple[Array, ...],
        a_scale: Array,
        b_scale: Array,
        dtype: Any,
        bias: Array | None = None,
    ) -> Array:
        """The scaled products, added from the smallest up, plus the bias; rounded to dtype.

        Every scaled product is exact, so a contraction with the addition changes nothing. Scaling comes
        before adding: some compilers fuse a matrix product with a sum that follows it.
        """
        lib, n = self.library, len(products)
        order = sorted(range(n), key=lambda k: (scheme.shifts[k], k), reverse=True)

        def f(*arrays: Array) -> tuple[Array]:
            a_scale, b_scale = arrays[n : n + 2]
            y: Any = None
            for k in order:
                term = (lib.up(arrays[k]) * a_scale) * (b_scale * 2.0 ** -scheme.shifts[k])
                y = term if y is None else term + y
            for bias in arrays[n + 2 :]:
                y = y + bias
            return (lib.down(y, dtype),)

        extra = () if bias is None else (bias,)
        (y,) = lib.by_rows(f, *products, a_scale, b_scale, *extra)
        return y

    def matmul(self, x: Array, w: Array) -> Array:
        """x (n, k) @ w (k, m)."""
        y, _ = self.linear(x, w, None)
        return y

    # ------------------------------------------------------------ the linear layer

    def linear(self, x: Array, w: Array, b: Array | None) -> tuple[Array, Residual]:
        """x (n, i) @ w (i, o) + b (o,), each row independently: the same in any batch."""
        lib, xp = self.library, self.library.xp
        if x.shape[:-2] != w.shape[:-2]:  # the same rows for all of a stack
            x = x + xp.zeros_like(w[..., :1, :1])
        # The same slices of w serve sums over inputs and over outputs.
        scheme = self.scheme(max(w.shape[-2:]), w.dtype)
        unscale, rows = lib.scale(self.largest(-1, w), 0)
        scale, columns = lib.scale(self.largest(-2, w, unscale), scheme.right)
        weights = self.cut(scheme, scheme.right, w, unscale, scale)
        features = xp.matrix_transpose(rows)
        scale, unscale = lib.scale(self.largest(-1, x, features), scheme.left)
        slices = self.cut(scheme, scheme.left, x, features, scale)
        bias = None if b is None else lib.up(b)[..., None, :]
        products = self.products(scheme, slices, weights)
        y = self.value(scheme, products, unscale, columns, x.dtype, bias)
        return y, Residual(x, weights, rows, columns, scheme, b is not None)

    def input_gradient(self, residual: Residual, dy: Array) -> Array:
        """dy (n, o) @ w^T, each row independently."""
        lib, xp, scheme = self.library, self.library.xp, residual.scheme
        scale, unscale = lib.scale(self.largest(-1, dy, residual.columns), scheme.left)
        slices = self.cut(scheme, scheme.left, dy, residual.columns, scale)
        transposed = tuple(xp.matrix_transpose(s) for s in residual.weights)
        products = self.products(scheme, slices, transposed)
        return self.value(scheme, products, unscale, xp.matrix_transpose(residual.rows), dy.dtype)

    def linear_vjp(
        self, residual: Residual, dy: Array, need_dx: bool
    ) -> tuple[Array | None, Array, Array | None]:
        """Gradients with respect to x (None unless needed), w and b (None without bias)."""
        dx = self.input_gradient(residual, dy) if need_dx else None
        dw, db = self.batch_gradient([(residual.x, dy)])
        return dx, dw, db if residual.bias else None

    # ------------------------------------------------------------ sums over the batch

    def batch_gradient(
        self, parts: list[tuple[Array, Array]], shard: Shard | None = None
    ) -> tuple[Array, Array]:
        """dw (i, o) and db (o,) of a batch in parts (x, dy), the same for any split, here and over ranks.

        Three phases, of which the first two could run in parallel over the parts, and do over the shards of ranks: the
        largest magnitude of each column over all parts, the integer sums of each part, and the value of their total.
        """
        xp = self.library.xp
        count = sum(int(x.shape[-2]) for x, _ in parts)
        x_largest, dy_largest = (self.largest(-2, a) for a in parts[0])
        for x, dy in parts[1:]:
            x_largest = xp.maximum(x_largest, self.largest(-2, x))
            dy_largest = xp.maximum(dy_largest, self.largest(-2, dy))
        if shard is not None:
            count = shard.whole(count)
            x_largest, dy_largest = self.sums.largest_of_all([x_largest, dy_largest])
        largest = x_largest, dy_largest
        products, sums = self.batch_integers(*parts[0], largest, count)
        for x, dy in parts[1:]:
            more_products, more_sums = self.batch_integers(x, dy, largest, count)
            products = tuple(a + b for a, b in zip(products, more_products, strict=True))
            sums = tuple(a + b for a, b in zip(sums, more_sums, strict=True))
        if shard is not None:
            products, sums = self.sums.totals(products, shard), self.sums.totals(sums, shard)
        return self.batch_value(products, sums, largest, count, parts[0][0].dtype)

    def batch_integers(
        self, x: Array, dy: Array, largest: tuple[Array, Array], count: int
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Integer sums for dw and db of a part of `count` samples."""
        lib, xp, scheme = self.library, self.library.xp, self.scheme(count, x.dtype)
        x_scale, _ = lib.scale(largest[0], scheme.left)
        dy_scale, _ = lib.scale(largest[1], scheme.right)
        transposed = tuple(
            xp.matrix_transpose(s) for s in self.cut(scheme, scheme.left, x, x_scale)
        )
        slices = self.cut(scheme, scheme.right, dy, dy_scale)
        products = self.products(scheme, transposed, slices)
        return products, self.sums.integers(dy, largest[1], count, (dy.ndim - 2,))

    def batch_value(
        self,
        products: tuple[Array, ...],
        sums: tuple[Array, ...],
        largest: tuple[Array, Array],
        count: int,
        dtype: Any,
    ) -> tuple[Array, Array]:
        """dw (i, o) and db (o,) of the integer sums of `count` samples."""
        lib, xp, scheme = self.library, self.library.xp, self.scheme(count, dtype)
        _, x_unscale = lib.scale(largest[0], scheme.left)
        _, dy_unscale = lib.scale(largest[1], scheme.right)
        dw = self.value(scheme, products, xp.matrix_transpose(x_unscale), dy_unscale, dtype)
        db = self.sums.value(sums, largest[1], count, dtype)
        return dw, xp.reshape(db, (*db.shape[:-2], -1))
