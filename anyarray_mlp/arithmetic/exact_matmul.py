"""Matrix products that do not depend on the BLAS, its threads or its order of additions.

Each operand is cut into slices of integers, relative to the largest entry of each row (or column),
with so few bits that every product of slices, and every partial sum of it, is an integer of at most
53 bits. A float64 matrix product of slices is then exact, in whatever order it is summed (Ozaki,
Ogita, Oishi and Rump 2012). The slices' products are scaled by powers of two, which is exact, and
added from the smallest up.

The linear layer scales its weights from both sides, W = diag(d) W' diag(u), so that neither a large
feature nor a large output hides the others' bits, and cuts W' once for the forward product and for
the gradient with respect to its input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anyarray_mlp.arithmetic.exact_sum import ExactSum
from anyarray_mlp.arithmetic.library import Library, bits_for

Array = Any
Slices = tuple[Array, ...]

# Bits of one slice at most, by the number of slices.
SLICE_BITS = {1: 26, 2: 21, 3: 26}
FLOAT64_SLICES = 3


@dataclass(frozen=True)
class Weights:
    """A weight matrix (i, o) cut for both of its products: diag(rows) (slices / 2^bits) diag(columns)."""

    slices: Slices
    rows: Array
    columns: Array
    bits: int


@dataclass(frozen=True)
class Residual:
    """What the backward pass of a linear layer needs."""

    x: Array
    weights: Weights
    dtype: Any
    bias: bool


class ExactMatmul:
    """Products and linear layers over a `Library`; `slices` for float32, float64 takes three."""

    def __init__(self, library: Library, sums: ExactSum, slices: int) -> None:
        self.library, self.sums, self.slices = library, sums, slices

    # ------------------------------------------------------------ slices

    def slice_count(self, dtype: Any) -> int:
        return FLOAT64_SLICES if dtype == self.library.float64 else self.slices

    def even_bits(self, terms: int, dtype: Any) -> tuple[int, int]:
        """Bits of both operands' slices for sums of `terms` products."""
        total = 53 - bits_for(terms)
        cap = SLICE_BITS[self.slice_count(dtype)]
        a = min(cap, total // 2)
        return a, min(cap, total - a)

    def other_bits(self, terms: int, taken: int, dtype: Any) -> int:
        """Bits that are left for the other operand."""
        return min(SLICE_BITS[self.slice_count(dtype)], 53 - bits_for(terms) - taken)

    def cut(self, bits: int, dtype: Any, x: Array, *scales: Array) -> Slices:
        """Integers: round(x times the scales), then what that leaves, times 2**bits, and so on."""
        lib, xp = self.library, self.library.xp
        count = self.slice_count(dtype)

        def f(x: Array, *scales: Array) -> Slices:
            t = lib.up(x)
            for s in scales:
                t = t * s
            q = xp.round(t)
            out = [q]
            for _ in range(count - 1):
                t = (t - q) * 2.0**bits
                q = xp.round(t)
                out.append(q)
            return tuple(out)

        result: Slices = lib.by_rows(f, x, *scales)
        return result

    def largest(self, axis: int, x: Array, *scales: Array) -> Array:
        """max |x times the scales| of each row (axis 1) or column (axis 0), as float64."""
        lib, xp = self.library, self.library.xp

        def f(x: Array, *scales: Array) -> tuple[Array]:
            t = xp.abs(lib.up(x)) if scales else xp.abs(x)
            for s in scales:
                t = t * s
            return (xp.max(t, axis=axis, keepdims=True),)

        (m,) = lib.by_rows(f, x, *scales, join="rows" if axis == 1 else "max")
        return lib.up(m)

    # ------------------------------------------------------------ products of slices

    def levels(self, a: Slices, b: Slices) -> list[tuple[Array, int, int]]:
        """Products of slices i and j with i + j below the number of slices: (product, i, j)."""
        xp, n = self.library.xp, len(a)
        return [(xp.matmul(a[i], b[j]), i, j) for i in range(n) for j in range(n - i)]

    def value(
        self,
        products: list[tuple[Array, int, int]],
        a_bits: int,
        b_bits: int,
        a_scale: Array,
        b_scale: Array,
        dtype: Any,
        bias: Array | None = None,
    ) -> Array:
        """The scaled products, added from the smallest up, plus the bias, rounded to dtype.

        Every product is exact, so a contraction with the addition changes nothing. The products are
        scaled before anything is added: some compilers would join a matrix product with a sum.
        """
        lib = self.library
        shifts = sorted((i * a_bits + j * b_bits, n) for n, (_, i, j) in enumerate(products))
        shifts.reverse()

        def f(*arrays: Array) -> tuple[Array]:
            parts, scales = arrays[: len(products)], arrays[len(products) :]
            y = None
            for shift, n in shifts:
                term = (parts[n] * scales[0]) * (scales[1] * 2.0**-shift)
                y = term if y is None else term + y
            if bias is not None:
                y = y + scales[2]
            return (lib.down(y, dtype),)

        extra = () if bias is None else (bias,)
        (y,) = lib.by_rows(f, *(p for p, _, _ in products), a_scale, b_scale, *extra)
        return y

    def matmul(self, x: Array, w: Array) -> Array:
        """x (n, k) @ w (k, m)."""
        y, _ = self.linear(x, w, None)
        return y

    # ------------------------------------------------------------ the linear layer

    def cut_weights(self, w: Array) -> Weights:
        lib, (i, o) = self.library, w.shape
        # The same slices serve sums over inputs and over outputs.
        bits = min(SLICE_BITS[self.slice_count(w.dtype)], (53 - bits_for(max(i, o))) // 2)
        unscale, rows = lib.scale(self.largest(1, w), 0)
        scale, columns = lib.scale(self.largest(0, w, unscale), bits)
        return Weights(self.cut(bits, w.dtype, w, unscale, scale), rows, columns, bits)

    def linear(self, x: Array, w: Array, b: Array | None) -> tuple[Array, Residual]:
        """x (n, i) @ w (i, o) + b (o,), each row by itself: the same in any batch."""
        lib, xp = self.library, self.library.xp
        weights = self.cut_weights(w)
        bits = self.other_bits(w.shape[0], weights.bits, x.dtype)
        rows = xp.matrix_transpose(weights.rows)
        scale, unscale = lib.scale(self.largest(1, x, rows), bits)
        cut = self.cut(bits, x.dtype, x, rows, scale)
        bias = None if b is None else xp.reshape(lib.up(b), (1, -1))
        y = self.value(
            self.levels(cut, weights.slices), bits, weights.bits, unscale, weights.columns,
            x.dtype, bias,
        )  # fmt: skip
        return y, Residual(x, weights, x.dtype, b is not None)

    def input_gradient(self, residual: Residual, dy: Array) -> Array:
        """dy (n, o) @ w^T, each row by itself."""
        lib, xp, weights = self.library, self.library.xp, residual.weights
        bits = self.other_bits(dy.shape[1], weights.bits, dy.dtype)
        scale, unscale = lib.scale(self.largest(1, dy, weights.columns), bits)
        cut = self.cut(bits, dy.dtype, dy, weights.columns, scale)
        transposed = tuple(xp.matrix_transpose(s) for s in weights.slices)
        return self.value(
            self.levels(cut, transposed), bits, weights.bits, unscale,
            xp.matrix_transpose(weights.rows), dy.dtype,
        )  # fmt: skip

    # The gradients with respect to weights and bias are sums over the batch, in three phases.

    def batch_largest(self, x: Array, dy: Array) -> tuple[Array, Array]:
        """Largest magnitudes of each column: (1, i) and (1, o). Over parts: take the maximum."""
        return self.largest(0, x), self.largest(0, dy)

    def batch_integers(
        self, x: Array, dy: Array, largest: tuple[Array, Array], count: int
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Integer sums for dw and db of `count` samples in all. Over parts: add them."""
        lib, xp = self.library, self.library.xp
        x_bits, dy_bits = self.even_bits(count, x.dtype)
        x_scale, _ = lib.scale(largest[0], x_bits)
        dy_scale, _ = lib.scale(largest[1], dy_bits)
        transposed = tuple(xp.matrix_transpose(s) for s in self.cut(x_bits, x.dtype, x, x_scale))
        products = self.levels(transposed, self.cut(dy_bits, dy.dtype, dy, dy_scale))
        return (
            tuple(product for product, _, _ in products),
            self.sums.integers(dy, largest[1], count, (0,)),
        )

    def batch_value(
        self,
        sums: tuple[tuple[Array, ...], tuple[Array, ...]],
        largest: tuple[Array, Array],
        count: int,
        dtype: Any,
    ) -> tuple[Array, Array]:
        """dw (i, o) and db (o,) of integer sums."""
        lib, xp = self.library, self.library.xp
        x_bits, dy_bits = self.even_bits(count, dtype)
        _, x_unscale = lib.scale(largest[0], x_bits)
        _, dy_unscale = lib.scale(largest[1], dy_bits)
        n = self.slice_count(dtype)
        places = [(i, j) for i in range(n) for j in range(n - i)]
        products = [(p, i, j) for p, (i, j) in zip(sums[0], places, strict=True)]
        dw = self.value(
            products, x_bits, dy_bits, xp.matrix_transpose(x_unscale), dy_unscale, dtype
        )
        db = self.sums.value(sums[1], largest[1], count, dtype)
        return dw, xp.reshape(db, (-1,))

    def linear_vjp(
        self, residual: Residual, dy: Array, need_dx: bool
    ) -> tuple[Array | None, Array, Array | None]:
        x, count = residual.x, dy.shape[0]
        dx = self.input_gradient(residual, dy) if need_dx else None
        largest = self.batch_largest(x, dy)
        dw, db = self.batch_value(
            self.batch_integers(x, dy, largest, count), largest, count, residual.dtype
        )
        return dx, dw, db if residual.bias else None
