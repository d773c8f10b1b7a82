"""Microseconds of a training step: every contender on every workload."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks import peers, workloads
from benchmarks.harness import Timing, interleave


def contender(device: str, name: str, workload: workloads.Workload) -> Callable[[], float]:
    """One contender's round; named so that another process can make it."""
    return (peers.GPU if device == "cuda" else peers.CPU)[name](workload)


def measure(
    device: str,
    names: Sequence[str],
    rounds: int,
    chosen: Sequence[workloads.Workload],
    scale: float = 1.0,
) -> dict[str, dict[str, Timing]]:
    """Timings by workload and contender; `scale` shortens the rounds."""
    results = {}
    for workload in chosen:
        short = replace(workload, steps=max(2, round(workload.steps * scale)))
        contenders = {name: (contender, (device, name, short)) for name in names}
        timings = interleave(contenders, rounds, at_once=device == "cuda")
        for timing in timings.values():
            timing.per = short.steps
        results[workload.name] = timings
    return results
