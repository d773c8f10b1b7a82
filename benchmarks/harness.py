"""Timing contenders against one another: each in a process of its own, rounds interleaved, medians.

Threads that spin while they wait (OpenMP, OpenBLAS) slow down whatever else runs in their process or beside it,
so contenders share no process, and only one of them is working at any time.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

#: Seconds before a round, in which the threads of the contender before stop spinning, where there are several.
PAUSE = 0.3
#: Environment variables by which libraries are told how many threads to use.
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class Timing:
    """Seconds of each round of one contender, what its warm-up gave, and why it failed, if it did.

    `cpu_seconds` count only while one of its threads has a core: on a busy machine they are the steadier measure.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    figure: float = float("nan")
    problem: str | None = None
    #: What a round is divided by: its steps or predictions.
    per: int = 1

    @property
    def median(self) -> float:
        """Median of the rounds, in microseconds for each of `per`."""
        return median(self.seconds) / self.per * 1e6

    @property
    def cpu_median(self) -> float:
        """The same of the CPU time."""
        return median(self.cpu_seconds) / self.per * 1e6


def median(values: list[float]) -> float:
    """Median, nan of nothing."""
    return statistics.median(values) if values else float("nan")


def serve(connection: Connection, make: Callable[..., Callable[[], float]], args: Any) -> None:
    """The contender's process: prepare, warm up, then time one round whenever told to."""
    try:
        one_round = make(*args)
        first = one_round()
        one_round()
        connection.send(first)
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}".splitlines()[0])
        return
    while connection.recv():
        wall, cpu = time.perf_counter(), time.process_time()
        one_round()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        # A contender may know better than the clock what of its round counts.
        connection.send((getattr(one_round, "seconds", wall), cpu))


def limit_threads(threads: int | None) -> None:
    """Set the number of threads of the processes started from now on; None leaves it to the libraries."""
    for name in THREAD_VARIABLES:
        if threads is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = str(threads)
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = flags if threads == 1 else ""


def interleave(
    contenders: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]],
    rounds: int,
    at_once: bool = False,
) -> dict[str, Timing]:
    """Timings by name of makers of rounds, which are looked up by name in the processes they run in.

    `at_once`: they get ready beside one another, which needs a core and memory for each.
    """
    # JAX takes three quarters of a GPU's memory for itself otherwise, and all contenders share it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    context = multiprocessing.get_context("spawn")
    timings = {name: Timing() for name in contenders}
    answers: dict[str, Any] = {}
    started: dict[str, tuple[Any, Connection]] = {}
    running: dict[str, tuple[Any, Connection]] = {}
    for name, (make, args) in contenders.items():
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, make, args), daemon=True)
        process.start()
        theirs.close()
        started[name] = process, ours
        if not at_once:
            answers[name] = answer_of(process, ours)
    for name, (process, ours) in started.items():
        answer = answers[name] if name in answers else answer_of(process, ours)
        if isinstance(answer, str):
            timings[name].problem = answer
        else:
            timings[name].figure = answer
            running[name] = process, ours
    pause = 0.0 if os.environ.get(THREAD_VARIABLES[0]) == "1" else PAUSE
    for _ in range(rounds):
        for name, (_, connection) in running.items():
            time.sleep(pause)
            connection.send(True)
            wall, cpu = connection.recv()
            timings[name].seconds.append(wall)
            timings[name].cpu_seconds.append(cpu)
    for process, connection in running.values():
        connection.send(False)
        process.join()
    return timings


def answer_of(process: Any, connection: Connection) -> Any:
    """The figure of a contender's warm-up, or what went wrong, as text."""
    try:
        return connection.recv()
    except EOFError:
        process.join()
        return f"ended with exit code {process.exitcode}"


def ratio(timings: dict[str, Timing], name: str, to: str, cpu: bool = False) -> float:
    """Median over rounds of one contender's time over another's in the same round; nan where one failed."""
    if name not in timings or to not in timings:
        return float("nan")
    a, b = timings[name], timings[to]
    pairs = zip(a.cpu_seconds, b.cpu_seconds) if cpu else zip(a.seconds, b.seconds)  # noqa: B905
    return median([x / y for x, y in pairs if y > 0])
