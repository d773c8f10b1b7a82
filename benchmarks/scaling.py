"""How the time of a step grows with width, depth, batch and rows: the exponents, on the NumPy backend."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.workloads import Workload


def net(width: int = 256, depth: int = 2, batch: int = 128, rows: int = 4096) -> Workload:
    """A network of `depth` hidden layers of `width` on `rows` rows; a round is about 0.1 s."""
    sizes = (width, *(width,) * depth, 10)
    work = batch * sum(a * b for a, b in pairwise(sizes))
    steps = int(np.clip(4e8 / work, rows // batch, 400))
    return Workload("", sizes, batch, "relu", steps)


#: What grows, its values, and the exponent that the arithmetic has.
SERIES: dict[str, tuple[tuple[int, ...], Callable[[int], Workload], str]] = {
    "width": ((128, 256, 512, 1024), lambda n: net(width=n, rows=0), "2 (the weights)"),
    "depth": ((1, 2, 4, 8), lambda n: net(depth=n, rows=0), "1 (the layers)"),
    "batch": ((64, 128, 256, 512, 1024), lambda n: net(batch=n, rows=0), "1 (the rows of a step)"),
}


def measure(rounds: int) -> list[dict[str, Any]]:
    """For each series: values, least microseconds a step, and the exponent fitted to them."""
    results = []
    for name, (values, make, expected) in SERIES.items():
        workloads = [make(value) for value in values]
        running = [peers.anyarray("numpy")(workload) for workload in workloads]
        best = [float("inf")] * len(values)
        for _ in range(rounds):
            for i, one_round in enumerate(running):
                started = time.process_time()
                one_round()
                spent = (time.process_time() - started) / workloads[i].steps * 1e6
                best[i] = min(best[i], spent)
        exponent = float(np.polyfit(np.log(values), np.log(best), 1)[0])
        results.append(
            {
                "grows": name,
                "values": list(values),
                "microseconds": best,
                "exponent": exponent,
                "expected": expected,
            }
        )
    results.append(epochs(rounds))
    return results


def epochs(rounds: int) -> dict[str, Any]:
    """An epoch of `fit` against the rows of the data."""
    from anyarray_mlp import MLP, adam, fit, select_backend

    values = (2_000, 8_000, 32_000)
    backend, mlp = select_backend("numpy"), MLP((64, 128, 10))
    rng = np.random.default_rng(0)
    best = [float("inf")] * len(values)
    for _ in range(rounds):
        for i, rows in enumerate(values):
            x = rng.standard_normal((rows, 64), dtype=np.float32)
            y = rng.integers(0, 10, rows)
            started = time.process_time()
            fit(mlp, x, y, backend=backend, optimizer=adam(), epochs=1, batch_size=32)
            best[i] = min(best[i], (time.process_time() - started) * 1e6)
    exponent = float(np.polyfit(np.log(values), np.log(best), 1)[0])
    return {
        "grows": "rows (an epoch)",
        "values": list(values),
        "microseconds": best,
        "exponent": exponent,
        "expected": "1 (the steps)",
    }
