"""How many bits of its inputs a backend's matrix product keeps: TF32, bfloat16 and half precision, measured."""

from __future__ import annotations

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import in_a_line

#: Large enough for the kernels that use tensor cores.
SIZE = 256

#: Fraction bits that reduced formats keep.
FORMATS = {7: "bfloat16", 10: "TF32 or half precision"}


def matmul_bits(backend: Backend) -> int:
    """Fraction bits of its inputs that a matrix product keeps: 23 in float32, 52 in float64, 10 in TF32.

    Row i of the left matrix holds 1 + 2^-i on its diagonal and the right one is the identity: each product is a
    single term, so any loss is a loss of input bits.
    """
    digits = np.finfo(backend.dtype).nmant
    bits = np.arange(1, digits + 1)
    left = np.zeros((SIZE, SIZE))
    left[bits, bits] = 1.0 + 2.0**-bits
    product = backend.jit(lambda xp, a, b: xp.matmul(a, b))(
        backend.asarray(left), backend.asarray(np.eye(SIZE))
    )
    host = backend.to_host(product)
    if host.shape != left.shape:
        raise ValueError(f"matmul gave shape {host.shape}, expected {left.shape}")
    kept = host[bits, bits].astype(np.float64) == left[bits, bits]
    return int(digits if np.all(kept) else np.argmin(kept))


def reduced_precision(backend: Backend) -> tuple[str, ...]:
    """What makes the backend's arithmetic less precise than its dtype: known settings, and what is measured.

    A product that fails is reported, not raised: a missing operation must not prevent the rest of the report.
    """
    digits = np.finfo(backend.dtype).nmant
    found = list(backend.reduced_precision())
    try:
        kept = matmul_bits(backend)
    except Exception as error:
        return (*found, f"products could not be measured: {in_a_line(error)}")
    if kept < digits:
        likely = FORMATS.get(kept)
        found.append(
            f"matmul keeps {kept} of {digits} bits of its {backend.dtype} inputs"
            + (f", as {likely} does" if likely else "")
        )
    return tuple(found)
