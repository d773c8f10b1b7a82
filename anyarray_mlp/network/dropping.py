"""Dropout, whose masks are a pure function of a key: the same bits on every backend."""

from __future__ import annotations

from typing import Any

from anyarray_mlp.network.functional import Vjp
from anyarray_mlp.typing import Array, Namespace


def hash32(xp: Namespace, x: Array) -> Array:
    """Mix the bits of int32 values, one to one, with multiply-xorshift rounds (Wellons, "lowbias32").

    int32 products wrap alike in every array library; a right shift of int32 drags the sign along, so it
    is masked.
    """
    x = x ^ ((x >> 16) & 0xFFFF)
    x = x * 0x7FEB352D
    x = x ^ ((x >> 15) & 0x1FFFF)
    x = x * (0x846CA68B - (1 << 32))
    return x ^ ((x >> 16) & 0xFFFF)


#: What a probability of 1 is in numbers of 24 bits.
WHOLE = 0x1000000


def dropout_mask(
    xp: Namespace, shape: tuple[int, ...], rate: Any, key: Array, row: int = 0
) -> Array:
    """True for each unit that is kept, a pure function of (key, row + its row, column).

    The generator is counter-based: no state, the same bits on every backend, whatever the order or the
    split of the rows. `key` is a 0-d int32 array that changes with the run, the layer and the step; for a stack (k,).
    `rate` is a probability, or an array like the key of probabilities in units of 2^-24.
    """
    *stack, n, o = shape
    counter = xp.arange(row * o, (row + n) * o, dtype=xp.int32)
    key = key[..., None] if stack else key
    bits = hash32(xp, hash32(xp, counter ^ key) + key) & (WHOLE - 1)
    limit = round(rate * WHOLE) if isinstance(rate, float) else rate[..., None] if stack else rate
    return xp.reshape(bits >= limit, shape)


def dropout(xp: Namespace, a: Array, rate: float, key: Array, row: int = 0) -> tuple[Array, Vjp]:
    """Zero each unit with probability `rate` and scale the others by 1 / (1 - rate) (Srivastava et al. 2014).

    If the rate changes with the step, the key is an array (2,), for a stack (k, 2), of the key and of the rate in units
    of 2^-24.
    """
    if key.ndim < a.ndim - 1:
        scale: Any = 1.0 / (1.0 - rate)
        keep = dropout_mask(xp, a.shape, rate, key, row)
    else:
        limit: Any = key[..., 1]
        keep = dropout_mask(xp, a.shape, limit, key[..., 0], row)
        scale = float(WHOLE) / xp.astype(WHOLE - limit, a.dtype)
        scale = scale[..., None, None] if a.ndim > 2 else scale
    return xp.where(keep, a * scale, 0.0), lambda da: xp.where(keep, da * scale, 0.0)
