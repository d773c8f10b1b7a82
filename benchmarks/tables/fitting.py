"""Fits in processes of their own, one at a time: `Worker` hands jobs out, and `main` is the process that it starts.

That process imports the libraries once and forks for each job, so that a fit starts from a clean state, can be stopped
by a limit of time, and its CPU time and memory are its own: imports are not counted. Everything has one thread.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Of every library that may be at work.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


class Worker:
    """A process of some Python that has imported `modules` and answers one job at a time."""

    def __init__(self, python: str, modules: list[str], packages: tuple[str, ...] = ()) -> None:
        # Warnings of libraries about the tables are none of this benchmark's.
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}  # fmt: skip
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.tables.fitting"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )
        #: Versions of those of `packages` that the Python has.
        self.versions = self.ask({"modules": modules, "packages": packages})

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, and a fit that it has begun."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a message: the record of a job, which has a `problem` if the fit failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(message), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"problem": "the process that forks the fits has ended"}
        line = self.process.stdout.readline()
        return (
            json.loads(line) if line else {"problem": "the process that forks the fits has ended"}
        )


def fit(job: dict[str, Any]) -> dict[str, Any]:
    """Scores, CPU seconds and the peak of memory (MB) of a job: `table`, `split`, `contender`, `options`, `data`."""
    from benchmarks.tables import contenders
    from benchmarks.tables.problems import problem_of, scores
    from benchmarks.tables.sources import all_sources, read

    contender = contenders.PEERS.get(job["contender"], contenders.OURS)
    folder = None if job["data"] is None else Path(job["data"])
    problem, truth = problem_of(read(all_sources()[job["table"]], folder), job["split"])
    before = cpu_seconds()
    answer = contender.fit(problem, **job["options"])
    used = cpu_seconds() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**scores(problem, answer, truth), "cpu": used, "memory": peak}


def cpu_seconds() -> float:
    """User and system time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def versions(packages: list[str]) -> dict[str, str]:
    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def forked(job: dict[str, Any]) -> dict[str, Any]:
    """The record of a job that a child process does; the alarm ends one that takes longer than `limit` seconds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.setitimer(signal.ITIMER_REAL, job["limit"])
        with os.fdopen(writing, "w") as stream:
            json.dump(attempted(job), stream)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        content = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        too_long = f"took more than {job['limit']:.0f} s"
        return {"problem": too_long if name == "SIGALRM" else f"ended by {name}"}
    return dict(json.loads(content))


def attempted(job: dict[str, Any]) -> dict[str, Any]:
    """The record of a fit, or what it raised: whatever a library raises is a result of the benchmark."""
    try:
        return fit(job)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        return {"problem": f"{type(error).__name__}: {error}"[:300]}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print would mix with the answers
    for line in sys.stdin:
        message = json.loads(line)
        if "modules" in message:
            for module in message["modules"]:
                with contextlib.suppress(ImportError):
                    importlib.import_module(module)
            answer: dict[str, Any] = versions(message["packages"])
        else:
            answer = forked(message)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
