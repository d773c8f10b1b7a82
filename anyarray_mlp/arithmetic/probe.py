"""Checks that an array library, on this device, has the properties that reproducible arithmetic relies on.

`probe` runs briefly when a backend starts. It checks each property separately, with expected values from exact
integer or fraction arithmetic, so that an error names what fails. Then it computes a sample of every operation, whose
bits must have the same hash as on all machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np

from anyarray_mlp.arithmetic.library import Library, bits_for
from anyarray_mlp.arithmetic.reproducible import VERSION, ReproducibleNamespace
from anyarray_mlp.arithmetic.reproducible_array import Array
from anyarray_mlp.errors import BackendUnavailableError
from anyarray_mlp.typing import Host

Raw = Any

#: SHA-256 of the sample's bytes, by (version, dtype, slices).
GOLDEN = {
    ("1", "float32", 1): "c0bdf3bb9acbd702d60bda364e9ac9081a64f979e73899dcdb442d593d153cb9",
    ("1", "float32", 2): "33c617cd5bcdd09d1b7b6de18ba7b0ad6c1a4928c0c8f210ea8b842451d65520",
    ("1", "float64", 2): "1e69dd20ce1b9ad03fcd250dd593609bb77cd19ca3fb0d63d0fd75f4dd2ec493",
}


#: Rows, terms and columns of products: a library may choose another algorithm by size, for vectors, narrow, wide and
#: square ones, as cuBLAS does.
SHAPES = ((1, 4096, 64), (300, 64, 1), (7, 1, 300), (128, 128, 128), (500, 33, 64))


@dataclass(frozen=True)
class Property:
    """A required property: `compute(namespace, *inputs)` gives exactly `expected`."""

    name: str
    inputs: tuple[Host, ...]
    compute: Callable[..., Array]
    expected: Host


def whole_numbers(seed: int, count: int, bits: int) -> Host:
    """Random integers of `bits` bits and a sign, as float64."""
    raw = np.random.PCG64(seed).random_raw(count) >> np.uint64(64 - bits - 1)
    return raw.astype(np.float64) - 2.0**bits


def properties() -> list[Property]:
    """All properties, with inputs and expected values computed on the host."""
    return [
        rounding_to_integers(),
        rounding_to_float32(),
        exact_products(),
        largest_products(),
        *(products_of(*shape) for shape in SHAPES),
        short_products(),
        exact_sums(),
        float32_quotients(),
        float64_quotients(),
        roots(),
        exponents(),
        no_contraction(np.float32),
        no_contraction(np.float64),
        no_reassociation(),
        flushed_results(),
        wrapping_integers(),
    ]


def library_of(f: Callable[..., Raw]) -> Callable[..., Array]:
    """Turns a computation on the library's arrays into one on the namespace's arrays."""

    def compute(xp: ReproducibleNamespace, *arrays: Array) -> Array:
        return xp.wrap(f(xp.library, *(a.value for a in arrays)))

    return compute


def rounding_to_integers() -> Property:
    """Halves go to the even integer, on either side of zero."""
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.0**51 + 0.5, 1.25, -7.75])
    y = np.array([0.0, 2.0, 2.0, 0.0, -2.0, 2.0**51, 1.0, -8.0])
    return Property("rounding ties to even", (x,), library_of(lambda lib, x: lib.xp.round(x)), y)


def rounding_to_float32() -> Property:
    """Ties go to the even significand, and what is just above a tie goes up."""
    ties = 1.0 + np.array([1, 3, 5, 7]) * 2.0**-24
    x = np.concatenate([ties, ties + 2.0**-50, -ties, whole_numbers(1, 500, 45)])
    ulp = 2.0 ** (np.floor(np.log2(np.abs(x))) - 23)
    low = np.floor(np.abs(x) / ulp)
    rest = np.abs(x) / ulp - low
    y = np.sign(x) * (low + ((rest > 0.5) | ((rest == 0.5) & (low % 2 == 1)))) * ulp
    cast = library_of(lambda lib, x: lib.xp.astype(x, lib.float32))
    return Property("rounding float64 to float32", (x,), cast, y.astype(np.float32))


def exact_products() -> Property:
    """Products whose sums stay below 2^53 lose nothing."""
    a = whole_numbers(2, 32 * 700, 21).reshape(32, 700)
    b = whole_numbers(3, 700 * 40, 21).reshape(700, 40)
    y = a.astype(np.int64) @ b.astype(np.int64)  # NumPy's own loop: exact
    product = library_of(lambda lib, a, b: lib.xp.matmul(a, b))
    return Property("float64 matrix products accumulated in float64", (a, b), product, y * 1.0)


def products_of(rows: int, terms: int, columns: int) -> Property:
    """Products with as many bits as sums of so many terms leave room for lose nothing."""
    bits = (53 - bits_for(terms)) // 2
    a = whole_numbers(15, rows * terms, bits).reshape(rows, terms)
    b = whole_numbers(16, terms * columns, bits).reshape(terms, columns)
    y = a.astype(np.int64) @ b.astype(np.int64)
    product = library_of(lambda lib, a, b: lib.xp.matmul(a, b))
    name = f"float64 matrix products exact at {rows} x {terms} x {columns}"
    return Property(name, (a, b), product, y * 1.0)


def largest_products() -> Property:
    """Sums that end just below 2^53: a float64 accumulator holds them, a shorter one does not."""
    a, b = np.full((4, 1024), 2.0**21), np.full((1024, 4), 2.0**22)
    b[0] -= 1.0
    y = np.full((4, 4), 2.0**53 - 2.0**21)
    product = library_of(lambda lib, a, b: lib.xp.matmul(a, b))
    return Property("float64 matrix products exact up to 2^53", (a, b), product, y)


def short_products() -> Property:
    """Sums that stay below 2^24 lose nothing in float32."""
    a = whole_numbers(13, 16 * 256, 8).reshape(16, 256)
    b = whole_numbers(14, 256 * 16, 8).reshape(256, 16)
    y = (a.astype(np.int64) @ b.astype(np.int64)).astype(np.float32)
    product = library_of(lambda lib, a, b: lib.xp.matmul(a, b))
    inputs = (a.astype(np.float32), b.astype(np.float32))
    return Property("float32 matrix products of small integers exact", inputs, product, y)


def exact_sums() -> Property:
    """Column sums below 2^53 lose nothing."""
    x = whole_numbers(4, 4000, 40).reshape(100, 40)
    y = np.array([float(sum(int(v) for v in column)) for column in x.T])
    return Property(
        "sums accumulated in float64", (x,), library_of(lambda lib, x: lib.xp.sum(x, axis=0)), y
    )


def float32_quotients() -> Property:
    """Quotients against exact fractions, rounded to float32."""
    a, b = whole_numbers(5, 1000, 23), np.abs(whole_numbers(6, 1000, 23)) + 1.0
    y = np.array([float(Fraction(n) / Fraction(d)) for n, d in zip(a, b, strict=True)])
    return Property(
        "quotients of float32 values",
        (a.astype(np.float32), b.astype(np.float32)),
        lambda xp, a, b: a / b,
        y.astype(np.float32),
    )


def float64_quotients() -> Property:
    """Quotients against exact fractions, rounded to float64."""
    a = 1.0 + np.abs(whole_numbers(7, 1000, 51)) * 2.0**-52
    b = 1.0 + np.abs(whole_numbers(8, 1000, 51)) * 2.0**-52
    y = np.array([float(Fraction(n) / Fraction(d)) for n, d in zip(a, b, strict=True)])
    quotient = library_of(lambda lib, a, b: a / b)
    return Property("float64 division correctly rounded", (a, b), quotient, y)


def roots() -> Property:
    """Square roots against the integer square root."""
    x = 1.0 + np.abs(whole_numbers(9, 1000, 51)) * 2.0**-52
    # isqrt of x 2^106 has one bit more than the root, which decides the rounding
    y = np.array([(isqrt(int(v * 2.0**52) << 54) + 1) // 2 * 2.0**-52 for v in x])
    near = library_of(lambda lib, x, y: lib.xp.abs(lib.xp.sqrt(x) - y) <= 2.0**-51)
    return Property("square roots within 2 ulp", (x, y), near, np.ones(len(x), dtype=bool))


def exponents() -> Property:
    """The exponent is right at and just below powers of two."""
    e = np.arange(-900, 900, 7)
    x = np.concatenate([2.0**e, 2.0**e * (2.0 - 2.0**-52), 2.0**e * 1.5])
    mantissa = library_of(lambda lib, x: lib.mantissa(x)[1])
    return Property("log2 within 1", (x,), mantissa, np.concatenate([e, e, e]) * 1.0)


def no_contraction(dtype: type[np.floating[Any]]) -> Property:
    """a b - c is zero if the product is rounded before the difference is taken."""
    bits = 22 if dtype is np.float32 else 51
    a = (1.0 + np.abs(whole_numbers(10, 500, bits)) * 2.0 ** -(bits + 1)).astype(dtype)
    b = (1.0 + np.abs(whole_numbers(11, 500, bits)) * 2.0 ** -(bits + 1)).astype(dtype)
    exact = [Fraction(float(u)) * Fraction(float(v)) for u, v in zip(a, b, strict=True)]
    c = np.array([dtype(float(p)) for p in exact])  # float32 products are exact in float64
    name = f"no contraction to a fused multiply-add in {np.dtype(dtype).name}"
    return Property(name, (a, b, c), lambda xp, a, b, c: a * b - c, np.zeros_like(a))


def no_reassociation() -> Property:
    """What rounding 1 + x loses comes back, if a compiler does not cancel the ones."""
    x = np.abs(whole_numbers(12, 500, 51)) * 2.0**-54
    whole = np.array([float(1 + Fraction(float(v))) for v in x])
    lost = np.array([float(Fraction(float(v)) - (Fraction(w) - 1)) for v, w in zip(x, whole)])  # noqa: B905

    def f(lib: Library, x: Raw) -> Raw:
        whole = lib.fence(1.0 + x)
        return x - (whole - 1.0)

    return Property("(1 + x) - 1 left as it is written", (x,), library_of(f), lost)


def flushed_results() -> Property:
    """Products below the smallest normal number become zero."""
    a = np.full(8, 2.0**-100, dtype=np.float32)
    b = 2.0 ** np.array([-20, -24, -25, -26, -30, -40, -50, -60])
    y = np.where(2.0**-100 * b < 2.0**-125, 0.0, 2.0**-100 * b)
    b32 = b.astype(np.float32)
    return Property(
        "small results set to zero", (a, b32), lambda xp, a, b: a * b, y.astype(np.float32)
    )


def wrapping_integers() -> Property:
    """Products modulo 2^32, as the hash of dropout needs them."""
    x = np.array([1, -1, 123456789, -987654321, 2**31 - 1], dtype=np.int32)
    y = [((int(v) * 0x7FEB352D + 2**31) % 2**32 - 2**31) >> 3 for v in x]
    return Property(
        "int32 products wrap",
        (x,),
        lambda xp, x: (x * 0x7FEB352D) >> 3,
        np.array(y, dtype=np.int32),
    )


# ---------------------------------------------------------------- the sample


def sample_inputs(dtype: str) -> tuple[Host, ...]:
    """Arguments for the elementwise functions, and the parts of a linear layer."""
    x = whole_numbers(20, 480, 23) * 2.0**-20  # within 8 of zero
    scales = 2.0 ** np.tile(np.arange(-12.0, 4.0), 30)
    rows, features, units = 30, 50, 20
    layer = [
        whole_numbers(seed, size, 23) * 2.0 ** (np.arange(size) * 7 % 13 - 28)
        for seed, size in ((21, rows * features), (22, features * units), (23, rows * units))
    ]
    shapes = ((rows, features), (features, units), (rows, units))
    arrays = [x * scales, *(a.reshape(s) for a, s in zip(layer, shapes, strict=True))]
    if dtype == "float64":  # use all the bits
        arrays = [a * (1.0 + 2.0**-30) for a in arrays]
    return tuple(a.astype(dtype) for a in arrays)


def sample(xp: ReproducibleNamespace, x: Array, a: Array, w: Array, dy: Array) -> tuple[Any, ...]:
    """A sample of every operation that rounds."""
    positive = xp.abs(x) + 1e-3
    y, residual = xp.linear(a, w, w[0, :])
    dx, dw, db = xp.linear_vjp(residual, dy, True)
    return (
        xp.exp(x),
        xp.expm1(x),
        xp.tanh(x),
        xp.erf(x),
        xp.logistic(x),
        xp.softplus(x),
        xp.log(positive),
        xp.log1p(positive),
        xp.sqrt(positive),
        x / positive,
        x * positive - x * 0.3 + 0.1,
        xp.sum(x),
        y,
        dx,
        dw,
        db,
    )


def sample_hash(
    xp: ReproducibleNamespace,
    dtype: str,
    asarray: Callable[[Host, str], Array],
    to_host: Callable[[Array], Host],
    jit: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> str:
    """SHA-256 of what a small sample of all operations gives; one value for each dtype."""
    arrays = [asarray(a, dtype) for a in sample_inputs(dtype)]
    digest = hashlib.sha256()
    for result in jit(sample)(*arrays):
        digest.update(np.ascontiguousarray(to_host(result)).tobytes())
    return digest.hexdigest()


def probe(
    xp: ReproducibleNamespace,
    dtype: str,
    asarray: Callable[[Host, str], Array],
    to_host: Callable[[Array], Host],
    jit: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    """Raise `BackendUnavailableError`, which names the property, if the library lacks one.

    asarray, to_host and jit are the backend's; `jit` compiles f(namespace, *arrays) if it can.
    """
    asked = properties()

    def compute_all(xp: ReproducibleNamespace, *groups: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(p.compute(xp, *group) for p, group in zip(asked, groups, strict=True))

    groups = [tuple(asarray(a, a.dtype.name) for a in p.inputs) for p in asked]
    broken = []
    for p, result in zip(asked, jit(compute_all)(*groups), strict=True):
        found = to_host(result)
        if found.dtype != p.expected.dtype or not np.array_equal(found, p.expected):
            wrong = int(np.sum(found != p.expected))
            broken.append(f"{p.name} does not hold ({wrong} of {p.expected.size} results differ)")
    if broken:
        raise BackendUnavailableError(
            f"{xp.library.xp.__name__} cannot be used for reproducible arithmetic here: "
            f"{'; '.join(broken)}. Use another backend, or leave out reproducible."
        )
    key = (VERSION, dtype, xp.slices if dtype == "float32" else 2)
    found_hash = sample_hash(xp, dtype, asarray, to_host, jit)
    if found_hash != GOLDEN[key]:
        raise BackendUnavailableError(
            f"{xp.library.xp.__name__} cannot be used for reproducible arithmetic here: a sample of "
            f"its operations has the hash {found_hash[:12]} where it must be {GOLDEN[key][:12]}. "
            "Use another backend, or leave out reproducible."
        )
