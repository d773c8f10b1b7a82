"""The arithmetic: what the network's math computes with.

An arithmetic is an Array API namespace with the few functions that the standard lacks (`logistic`, `softplus`,
`erf`, `linear`, `linear_vjp`, `elementwise`). `PlainNamespace` uses a library's own operations, which round as that
library does; `ReproducibleNamespace` is built on the same library and gives the same bits everywhere. The formulas of
the network's math are written once and run on either.
"""

from __future__ import annotations

from anyarray_mlp.arithmetic.plain import PlainNamespace
from anyarray_mlp.arithmetic.reproducible import VERSION, ReproducibleNamespace

__all__ = ["VERSION", "PlainNamespace", "ReproducibleNamespace"]
