"""F8 and F9: model, estimator and checkpoint files that are altered and sealed anew, so that no digest gives them away.

The mutants and the check of how each is taken are those of the test suite (`tests/fuzzing.py`). They run in a process
of their own, whose peak of memory is theirs alone and whose audit hook goes with it: this module as a command.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability.campaign import Campaign, NotRunError, Trial
from benchmarks.reliability.processes import ONE_THREAD, ROOT

#: Mutants of each process: fewer than it takes for a leak of a few bytes a file to show as a peak.
BATCH = 5000


def hostile_files(trial: Trial) -> None:
    """Check mutants of every kind of file, in batches of one process each."""
    if importlib.util.find_spec("tests.fuzzing") is None:
        raise NotRunError("tests/fuzzing.py is not there")
    batch = 100 if trial.small else BATCH
    refused = used = 0
    for turn in trial.turns(100_000 // BATCH, small=1):
        seconds = trial.deadline - time.monotonic()
        said = checked_batch(trial.seed * 1000 + turn, batch, min(seconds, 1e6))
        refused, used = refused + said["refused"], used + said["used"]
        trial.count += said["count"]
        for finding in said["findings"]:
            trial.count -= 1
            trial.check(finding, f"seed {trial.seed * 1000 + turn}")
    trial.wanted = 100_000
    trial.note(f"{refused:,} refused, {used:,} loaded and used")


def checked_batch(seed: int, count: int, seconds: float) -> dict[str, Any]:
    """What a process of its own says of so many mutants, or of those that it has time for."""
    ended = subprocess.run(
        [sys.executable, "-m", __name__, str(seed), str(count), str(seconds)],
        cwd=ROOT,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        said: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        finding = f"the process ended with {ended.returncode}: {ended.stderr[-500:]}"
        return {"count": 1, "refused": 0, "used": 0, "findings": [finding]}
    return said


def main(seed: int, count: int, seconds: float) -> None:
    """Check mutants of every base in turn and print what came of it."""
    from tests import fuzzing

    stop = time.monotonic() + seconds
    findings, done = [], 0
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = fuzzing.Fuzzer(Path(folder))
        streams = {name: fuzzing.mutants(seed, base) for name, base in fuzzing.bases().items()}
        names = list(streams)
        while done < count and (done == 0 or time.monotonic() < stop):
            name = names[done % len(names)]
            finding = fuzzer.check(next(streams[name]))
            if finding:
                findings.append(f"{name}, mutant {done // len(names)}: {finding}")
            done += 1
        said = {"count": done, "findings": findings, "refused": fuzzer.refused, "used": fuzzer.used}
    print(json.dumps(said))


ROWS = [
    Campaign(
        "F8, F9",
        "model, estimator and checkpoint files altered and sealed anew",
        "refused by one line that names the file, or loaded and usable in every way; within a second and 64 MiB, and "
        "without an audit event of code, imports, programs, sockets or files written",
        "100,000 files",
        4.0,
        hostile_files,
    )
]

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
