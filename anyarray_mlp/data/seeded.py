"""Random integers with the same bits on every platform and NumPy version.

NumPy promises stable streams for its bit generators, not for the distributions of `Generator`;
so shuffles, splits and generated sets use raw integers alone, ordered by a stable sort.
"""

from __future__ import annotations

import numpy as np

from anyarray_mlp.typing import Host


def permutation(generator: np.random.PCG64, n: int) -> Host:
    """The numbers 0..n-1 in random order, (n,) int64."""
    return np.argsort(generator.random_raw(n), kind="stable").astype(np.int64)


def uniform(generator: np.random.PCG64, n: int) -> Host:
    """`n` numbers in [0, 1), multiples of 2**-53."""
    return (generator.random_raw(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def bell(generator: np.random.PCG64, n: int) -> Host:
    """`n` numbers of mean 0 and variance 1, nearly normal: the sum of twelve uniforms, less six.

    The sum runs over integers, so it is exact in any order.
    """
    raw = generator.random_raw(12 * n).reshape(12, n) >> np.uint64(32)
    total: Host = raw.sum(axis=0).astype(np.float64)
    return total * 2.0**-32 - 6.0
