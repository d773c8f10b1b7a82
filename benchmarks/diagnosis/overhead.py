"""What watching costs: training time with and without a `RunMonitor`, interleaved, medians.

    python -m benchmarks.diagnosis.overhead [--out benchmarks/results/diagnose_overhead.md] [--repeats 7]

The time with it includes everything: construction, probes, the judgement at the end and the JSON record.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import MLP, fit, select_backend
from benchmarks.diagnosis.runs import machine

Array = NDArray[Any]
Problem = tuple[MLP, Array, Array, dict[str, Any]]


def mnist_size() -> Problem:
    """784-300-75-10 in batches of 128 on 60,000 rows of bytes for 5 epochs: a short run."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 60_000)
    faces = rng.integers(0, 256, (10, 784))
    x = np.where(rng.random((60_000, 784)) < 0.7, faces[labels], 0).astype(np.uint8)
    options = {"epochs": 5, "batch_size": 128, "input_scale": 1 / 255}
    return MLP((784, 300, 75, 10)), x, labels, options


def digits(hidden: int, epochs: int) -> Problem:
    """64-hidden-10 in batches of 32 on the 1,437 rows that a test set of a fifth leaves."""
    from sklearn.datasets import load_digits

    x, labels = load_digits(return_X_y=True)
    x, held, labels, held_labels = x[:1437] / 16, x[1437:] / 16, labels[:1437], labels[1437:]
    options = {"epochs": epochs, "batch_size": 32, "validation": (held, held_labels)}
    return MLP((64, hidden, 10)), x, labels, options


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "digits, 64-100-10, batch 32, 50 epochs (the defaults of `train`)": lambda: digits(100, 50),
    "digits, 64-32-10, batch 32, 20 epochs": lambda: digits(32, 20),
    "MNIST size, 784-300-75-10, batch 128, 5 epochs": mnist_size,
}


def timed(action: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the processor and of the wall."""
    processor, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - processor, time.perf_counter() - wall


def compare(problem: Problem, backend_name: str, repeats: int) -> list[float]:
    """Medians: processor seconds without and with watching, and the ratios of pairs, by processor and by wall."""
    mlp, x, targets, options = problem
    options = {**options, "backend": select_backend(backend_name)}

    def without() -> None:
        fit(mlp, x, targets, **options)

    def watched() -> None:
        fit(mlp, x, targets, diagnose=True, **options).diagnosis.to_json()

    without(), watched()  # imports and caches
    pairs = []
    for repeat in range(repeats):
        order = (without, watched) if repeat % 2 else (watched, without)
        seconds = {action.__name__: timed(action) for action in order}
        plain, more = seconds["without"], seconds["watched"]
        pairs.append((plain[0], more[0], more[0] / plain[0], more[1] / plain[1]))
    return [statistics.median(column) for column in zip(*pairs, strict=True)]


def main() -> None:
    """Time everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/diagnose_overhead.md"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--backends", default="numpy,torch,jax")
    arguments = parser.parse_args()
    command = (
        f"python -m benchmarks.diagnosis.overhead --repeats {arguments.repeats} "
        f"--backends {arguments.backends}"
    )
    lines = [
        "# What diagnose costs",
        "",
        f"{date.today()}, {machine()}, one thread for matrix products; `{command}`. Medians; a ratio is the median "
        "over pairs run one after the other, in alternating order. Everything is counted: probes, the summary of the "
        "data, the judgement and its JSON. Processor time tells more than wall time where the machine is shared, as it "
        "was here.",
        "",
        "| run | backend | without, CPU s | with, CPU s | CPU ratio | wall ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, make in PROBLEMS.items():
        problem = make()
        for backend in arguments.backends.split(","):
            if find_spec(backend) is None:
                continue
            without, watched, ratio, wall = compare(problem, backend, arguments.repeats)
            lines.append(
                f"| {name} | {backend} | {without:.3f} | {watched:.3f} | {ratio:.3f} | {wall:.3f} |"
            )
            print(lines[-1], flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
