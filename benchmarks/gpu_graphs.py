"""The proof of captured training steps, to run on a machine with an NVIDIA GPU: `python -m benchmarks.gpu_graphs`.

For CuPy and PyTorch: a CUDA graph is made; what it computes is what the plain loop computes, also after memory that
was free at the capture has been filled with something else; the host is free while an epoch runs; and the share of
the device's float32 peak on a wide network. Exit code 1 where any of this fails.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from itertools import pairwise
from typing import Any

import numpy as np

from anyarray_mlp import MLP, adam, select_backend
from anyarray_mlp.backends import Backend
from anyarray_mlp.training import to_leaves
from anyarray_mlp.training.predicting import on_device
from anyarray_mlp.training.state import fresh_state
from anyarray_mlp.training.steps import step_inputs, training_step
from benchmarks.workloads import GPU, LEARNING_RATE

ROWS, BATCH, STEPS = 6_000, 128, 200
#: Losses of the first steps are compared. Later, what a last bit changed has grown: on a CPU too, PyTorch's fused
#: operations are 4e-3 away from its plain loop after 400 steps.
NEAR, NEAR_ENOUGH = 20, 1e-5


def start(backend: Backend, mlp: MLP) -> Any:
    """Parameters and moments on the device."""
    state = fresh_state(mlp, adam(), mlp.initialize(0))
    moments = tuple(to_leaves(mlp, backend, moment) for moment in state.moments)
    return to_leaves(mlp, backend, state.parameters), moments


def check(name: str) -> bool:
    """Captured against plain, with memory disturbed in between."""
    backend, mlp, rule = select_backend(name, "cuda"), MLP((784, 300, 75, 10)), adam()
    rng = np.random.default_rng(0)
    data = tuple(
        on_device(backend, a)
        for a in (rng.standard_normal((ROWS, 784), dtype=np.float32), rng.integers(0, 10, ROWS))
    )
    step = training_step(mlp, rule)
    indices = rng.integers(0, ROWS, (STEPS, BATCH))
    inputs = step_inputs(mlp, rule, backend, indices, 0, [LEARNING_RATE] * STEPS, 0)
    plain = Backend.compile(backend, step)

    def difference(state: Any) -> tuple[Any, float]:
        """The state after all steps, and how far losses of the first steps are from the plain loop's."""
        with backend.on_device():
            _, expected = plain(copied(backend, state), data, inputs)
        state, losses = captured(state, data, inputs)
        far = backend.to_host(losses[0])[:NEAR] - backend.to_host(expected[0])[:NEAR]
        return state, float(np.max(np.abs(far)))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        captured = backend.compile(step)
        state, first = difference(start(backend, mlp))
    for warning in caught:
        print(f"{name}: {warning.message}")
    filler = [backend.asarray(np.full(1 << 26, np.nan, np.float32)) for _ in range(4)]
    state, second = difference(state)
    backend.synchronize()
    started = time.perf_counter()
    captured(state, data, inputs)
    asked = time.perf_counter() - started
    backend.synchronize()
    done = time.perf_counter() - started
    print(
        f"{name}: {'graph' if not caught else 'NO GRAPH'}, largest difference of a loss {max(first, second):.2e}, "
        f"{done / STEPS * 1e6:.1f} us a step, host busy for {asked / done:.0%} of it, {len(filler)} fillers"
    )
    return not caught and max(first, second) < NEAR_ENOUGH


def copied(backend: Backend, state: Any) -> Any:
    """The same numbers in memory of their own."""
    if isinstance(state, tuple):
        return tuple(copied(backend, part) for part in state)
    return backend.asarray(backend.to_host(state))


def share_of_peak(name: str) -> float:
    """Share of the device's own best float32 product rate that the wide network's products reach."""
    workload = GPU[-1]
    from benchmarks.peers import anyarray

    one_round = anyarray(name, "cuda")(workload)
    one_round()
    started = time.perf_counter()
    one_round()
    seconds = (time.perf_counter() - started) / workload.steps
    layers = list(pairwise(workload.sizes))
    flops = 2 * workload.batch * (3 * sum(i * o for i, o in layers) - layers[0][0] * layers[0][1])
    backend = select_backend(name, "cuda")
    xp, n = backend.xp, 8192
    with backend.on_device():
        a, b = (backend.asarray(np.ones((n, n), np.float32)) for _ in range(2))
        best = 0.0
        for _ in range(5):
            backend.synchronize()
            started = time.perf_counter()
            for _ in range(5):
                xp.matmul(a, b)
            backend.synchronize()
            best = max(best, 5 * 2 * n**3 / (time.perf_counter() - started))
    print(f"{name}: {flops / seconds / 1e12:.1f} TFLOP/s of {best / 1e12:.1f} measured at the peak")
    return flops / seconds / best


def main() -> int:
    """Check every library that is here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="*", default=["cupy", "torch"])
    failed = False
    for name in parser.parse_args().backends:
        failed |= not check(name)
        failed |= share_of_peak(name) < 0.7
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
