"""Several processes that train one network: how fast, with which bits, and what a kill does.

`python -m benchmarks.ranks speed|hashes|kills [--reduced]` replaces its section of `benchmarks/results/ranks.md`.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.rank_processes import environment, gloo, under_mpiexec

RESULTS = Path(__file__).parent / "results" / "ranks.md"
PATIENCE = 1800
TRAIN = ("train", "iris", "--reproducible", "--no-diagnose", "--json")
VARIANTS = {
    "plain": (),
    "dropout": ("--dropout", "0.3"),
    "early stopping": ("--early-stopping", "--patience", "1"),
    "class weights": ("--class-weight", "balanced"),
}


# --- speed ---------------------------------------------------------------------------------------


def work(engine: str) -> None:
    """One rank of the speed's run: epochs of 784-1024-1024-10 in batches of 1,024, the seconds of each printed."""
    from anyarray_mlp import MLP, train

    random = np.random.default_rng(0)
    x = random.standard_normal((8192, 784), dtype=np.float32)
    labels = random.integers(0, 10, len(x))
    before = time.perf_counter()
    for epoch in train(
        MLP((784, 1024, 1024, 10)),
        x,
        labels,
        backend="numpy",
        epochs=6,
        batch_size=1024,
        communicator=engine,
    ):
        now = time.perf_counter()
        if os.environ.get("PMI_RANK", "0") == "0":
            print(f"{epoch.epoch} {now - before:.4f}", flush=True)
        before = now


def seconds_of(ranks: int) -> list[float]:
    """The seconds of each epoch but the first, in which buffers are made."""
    worker = ("work", "--engine", "mpi" if ranks > 1 else "none")
    command = under_mpiexec(ranks, *worker, module="benchmarks.ranks")
    if ranks == 1:
        command = [sys.executable, "-m", "benchmarks.ranks", *worker]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return [float(line.split()[1]) for line in done.stdout.splitlines()][1:]


def speed(reduced: bool) -> str:
    """One rank and two in turn."""
    one: list[float] = []
    two: list[float] = []
    for _ in range(2 if reduced else 6):
        one += seconds_of(1)
        two += seconds_of(2)
    best, middle = min(one) / min(two), statistics.median(one) / statistics.median(two)
    return (
        "784-1024-1024-10, batches of 1,024 of 8,192 rows, adam, plain NumPy, one thread a rank, mpi; "
        "seconds of an epoch.\n\n"
        "| ranks | fewest | median | epochs |\n|---|---|---|---|\n"
        f"| 1 | {min(one):.3f} | {statistics.median(one):.3f} | {len(one)} |\n"
        f"| 2 | {min(two):.3f} | {statistics.median(two):.3f} | {len(two)} |\n\n"
        f"Two ranks are {best:.2f} times as fast by the fewest seconds, {middle:.2f} by the medians; the goal is 1.7 "
        f"on a quiet machine, and the load was {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores."
    )


# --- hashes --------------------------------------------------------------------------------------


def combinations(reduced: bool) -> Iterator[tuple[str, int, str, str, int]]:
    """Engine, ranks, library, variant and batch size: 25 rows leave uneven shares, and ranks of 8 without a row."""
    if reduced:
        yield from (("mpi", ranks, "numpy", "dropout", 25) for ranks in (2, 3, 5, 8))
        yield from (("mpi", 2, "numpy", variant, 40) for variant in VARIANTS)
        yield from (("gloo", 3, library, "early stopping", 25) for library in ("numpy", "torch"))
        return
    for ranks, library in itertools.product((1, 2, 3, 5, 8), ("numpy", "torch", "jax")):
        yield from (("mpi", ranks, library, variant, 25) for variant in VARIANTS)
    for ranks, library in itertools.product((2, 3), ("numpy", "torch", "jax")):
        yield from (("gloo", ranks, library, variant, 40) for variant in VARIANTS)


def hash_of(folder: Path, engine: str, ranks: int, *flags: str) -> str:
    """What a run of some ranks prints as its hash."""
    if engine == "gloo":
        processes = gloo(ranks, folder, *flags)
        told = [process.communicate(timeout=PATIENCE)[0] for process in processes]
        return str(json.loads(told[0])["hash"])
    command = under_mpiexec(ranks, *flags)
    if engine == "alone":
        command = [sys.executable, "-m", "anyarray_mlp", *flags]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )
    return str(json.loads(done.stdout)["hash"])


def hashes(reduced: bool) -> str:
    """Every combination, against the hash of one process."""
    wanted: dict[Any, str] = {}
    same, other = 0, []
    for engine, ranks, library, variant, batch in combinations(reduced):
        with tempfile.TemporaryDirectory() as name:
            flags = (*TRAIN, *VARIANTS[variant], "--epochs", "3", "--batch-size", str(batch))
            if (variant, batch) not in wanted:
                wanted[variant, batch] = hash_of(Path(name), "alone", 1, *flags, "--out", "alone")
            shared = (*flags, "--backend", library, "--out", "shared")
            found = hash_of(Path(name), engine, ranks, *shared)
        if found == wanted[variant, batch]:
            same += 1
        else:
            other.append(f"{engine} {ranks} {library} {variant} {batch}")
        print(engine, ranks, library, variant, batch, found[:12], flush=True)
    return (
        f"Hash of losses and parameters of `train iris --reproducible`, against that of one process with NumPy: "
        f"{same} of {same + len(other)} combinations of engine, ranks, library and variant have it"
        + (f"; others: {'; '.join(other)}." if other else ".")
    )


# --- kills ---------------------------------------------------------------------------------------


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            child = int(stat.parent.name)
            found += [child, *children_of(child)]
    return found


def ranks_of(engine: str, count: int, folder: Path, *flags: str) -> tuple[list[Any], list[int]]:
    """Processes to wait for, and the process numbers of the ranks."""
    if engine == "gloo":
        processes = gloo(count, folder, *flags)
        return processes, [process.pid for process in processes]
    silent = subprocess.DEVNULL
    started = subprocess.Popen(
        under_mpiexec(count, *flags), cwd=folder, env=environment(), stdout=silent, stderr=silent
    )
    ranks: list[int] = []
    while len(ranks) < count:
        time.sleep(0.05)
        names = {pid: Path(f"/proc/{pid}/cmdline") for pid in children_of(started.pid)}
        ranks = [p for p, n in names.items() if n.exists() and b"anyarray_mlp" in n.read_bytes()]
        ranks = [p for p in ranks if b"hydra" not in names[p].read_bytes()]
    return [started], ranks


def kills(reduced: bool) -> str:
    """Kill a rank at a random moment; how long the others live, and whether the run resumes to the same bits."""
    random, lived, wrong = np.random.default_rng(0), [], 0
    count = 6 if reduced else 50
    for number in range(count):
        engine, size = ("mpi", "gloo")[number % 2], int(random.integers(2, 4))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            long = (*TRAIN, "--batch-size", "25", "--epochs", "100000", "--out", "run")
            waited, ranks = ranks_of(engine, size, folder, *long)
            metrics = [folder / "run" / "metrics.jsonl"]
            while not (metrics[0].exists() and metrics[0].read_text().count("\n") > 1):
                time.sleep(0.05)
            time.sleep(float(random.uniform(0, 2)))
            os.kill(ranks[int(random.integers(len(ranks)))], signal.SIGKILL)
            since = time.monotonic()
            for process in waited:
                process.communicate(timeout=PATIENCE)
            lived.append(time.monotonic() - since)
            flags = ("--epochs", str(3 + metrics[0].read_text().count("\n")))
            other = 1 + size % 3
            resume = ("train", "--resume", "--json", "--out", "run", *flags)
            resumed = hash_of(folder, "mpi", other, *resume)
            alone = (*TRAIN, "--batch-size", "25", *flags, "--out", "alone")
            wrong += resumed != hash_of(folder, "alone", 1, *alone)
        print(engine, size, other, f"{lived[-1]:.2f} s", wrong, flush=True)
    return (
        f"{count} kills of random ranks of 2 and 3, mpi and gloo in turn: the others ended after {max(lived):.1f} s "
        f"at most (median {statistics.median(lived):.1f}; goal 10), and {count - wrong} of {count} runs, resumed on "
        "another number of ranks, came to the hash of one process that nothing had happened to."
    )


# --- all of it -----------------------------------------------------------------------------------

SECTIONS = {"speed": speed, "hashes": hashes, "kills": kills}


def write(name: str, text: str, reduced: bool) -> None:
    """Put a section in place of the one before."""
    today = datetime.date.today().isoformat()
    form = ", reduced form" if reduced else ""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, CPU only"
    section = (
        f"## {name}\n\n{today}, {machine}{form}. `python -m benchmarks.ranks {name}`\n\n{text}\n"
    )
    kept = RESULTS.read_text() if RESULTS.exists() else ""
    parts = {part.split("\n")[0]: f"## {part}" for part in re.split(r"^## ", kept, flags=re.M)[1:]}
    parts[name] = section
    body = "\n".join(parts[each].rstrip("\n") + "\n" for each in SECTIONS if each in parts)
    RESULTS.write_text(f"# Several processes that train one network\n\n{body}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=[*SECTIONS, "work"])
    parser.add_argument("--engine", default="none", help="of work, which the others start")
    parser.add_argument("--reduced", action="store_true", help="a small part, where time is short")
    given = parser.parse_args()
    if given.what == "work":
        work(given.engine)
    else:
        write(given.what, SECTIONS[given.what](given.reduced), given.reduced)


if __name__ == "__main__":
    main()
