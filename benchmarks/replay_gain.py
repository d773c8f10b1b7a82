"""What recording and replaying a step gains over the plain loop: `python -m benchmarks.replay_gain [BACKEND]...`.

CPU time of one thread, least of some rounds; the profile says which operations of a replayed step take it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from functools import partial
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.workloads import CPU, LEARNING_RATE, Workload

ROUNDS = 5


def microseconds(run: Any, backend: Any, workload: Workload, steps: int) -> float:
    """Least CPU time of a step."""
    from anyarray_mlp import MLP, adam
    from anyarray_mlp.training import to_leaves
    from anyarray_mlp.training.predicting import on_device
    from anyarray_mlp.training.state import fresh_state
    from anyarray_mlp.training.steps import step_inputs

    mlp, rule = MLP(workload.sizes, activation=workload.activation), adam()
    data = tuple(on_device(backend, a) for a in workload.data())
    start = fresh_state(mlp, rule, mlp.initialize(0))
    moments = tuple(to_leaves(mlp, backend, moment) for moment in start.moments)
    state: Any = to_leaves(mlp, backend, start.parameters), moments
    indices, rates = workload.batches()[:steps], [LEARNING_RATE] * steps
    inputs = step_inputs(mlp, rule, backend, indices, 0, rates, 0)
    best = float("inf")
    for _ in range(ROUNDS + 1):
        started = time.process_time()
        state, _ = run(state, data, inputs)
        best = min(best, time.process_time() - started)
    return best / steps * 1e6


def profile(replay: Any, top: int = 6) -> str:
    """The operations of one step that take longest, with their shares."""
    (binding,) = replay.bindings.values()
    calls = binding.step_calls[0]
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(max(3, 60 // binding.steps)):
        for step_calls in binding.step_calls:
            for i, call in enumerate(step_calls):
                started = time.perf_counter()
                call()
                times[i].append(time.perf_counter() - started)
    spent: dict[str, float] = defaultdict(float)
    for call, seconds in zip(calls, times, strict=True):
        # The lower quartile: on a busy machine the mean is other processes' time.
        spent[label(call)] += statistics.quantiles(seconds, n=4)[0]
    total = sum(spent.values())
    first = sorted(spent.items(), key=lambda item: -item[1])[:top]
    return ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in first)


def label(call: Any) -> str:
    """The function's name."""
    return getattr(call.func, "__name__", str(call.func)) if isinstance(call, partial) else "other"


def main() -> None:
    """Print the table."""
    from anyarray_mlp import MLP, adam, select_backend
    from anyarray_mlp.backends import Backend
    from anyarray_mlp.training.steps import training_step

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="*", default=["numpy", "torch"])
    backends = parser.parse_args().backends
    print("| backend | workload | plain loop, us | replayed, us | gain | time goes to |")
    print("|---|---|---|---|---|---|")
    for name in backends:
        backend = select_backend(name)
        threadpool_limits(1)  # of the libraries that are loaded by now
        for workload in CPU:
            steps = max(2, workload.steps // 4)
            mlp = MLP(workload.sizes, activation=workload.activation)
            step = training_step(mlp, adam())
            replay = backend.compile(step)
            plain = microseconds(Backend.compile(backend, step), backend, workload, steps)
            ours = microseconds(replay, backend, workload, steps)
            gain = f"{plain / ours:.2f}"
            print(
                f"| {name} | {workload.name} | {plain:,.0f} | {ours:,.0f} | {gain} | {profile(replay)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
