"""Speed over time: `python -m benchmarks.over_time`.

A few ratios of CPU time, each of ours to a peer's in the same run, with one thread: that is what stays the same from
one machine, and one day, to the next. Each run adds a row to `results/over_time.csv`. Exit code 1: a ratio is above
the median of the rows before it by more than `ALLOWED`, which a slower commit shows as.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import evaluation_cost, inference_speed, peers, workloads
from benchmarks.harness import interleave, limit_threads, ratio

TABLE = Path(__file__).parent / "results" / "over_time.csv"
#: What a ratio may be above those before it: on a busy machine they differ by a tenth.
ALLOWED = 1.25

Round = Callable[[], Any]


def step(name: str, place: int) -> Round:
    """Steps of a workload."""
    return peers.CPU[name](workloads.CPU[place])


def small_step(reproducible: bool) -> Round:
    """Forty steps of 64-100-10 at batch 32, in plain or reproducible arithmetic."""
    import numpy as np

    from anyarray_mlp import MLP, fit, select_backend

    backend = select_backend("numpy", reproducible=reproducible)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1280, 64), dtype=np.float32), rng.integers(0, 10, 1280)
    return lambda: fit(MLP((64, 100, 10)), x, y, backend=backend, epochs=20).history[-1].loss


def small_fit(ours: bool, solver: str) -> Round:
    """A fit of wine by an estimator."""
    from sklearn.datasets import load_wine
    from sklearn.neural_network import MLPClassifier as Theirs
    from sklearn.preprocessing import StandardScaler

    from anyarray_mlp.estimators import MLPClassifier as Ours

    x, y = load_wine(return_X_y=True)
    x = StandardScaler().fit_transform(x)

    def one_round() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float((Ours if ours else Theirs)(solver=solver, random_state=0).fit(x, y).loss_)

    return one_round


def prediction(name: str, rows: int) -> Round:
    """A hundred predictions of 784-128-64-10."""
    return inference_speed.contender(name, workloads.CPU[2], rows, 100)


def evaluation(name: str) -> Round:
    """Fifty evaluations of digits-sized rows, or as many passes."""
    made = evaluation_cost.CONTENDERS[name]("numpy", *evaluation_cost.rows(1_797, 64))

    def one_round() -> float:
        for _ in range(50):
            made()
        return 0.0

    return one_round


def reading(ours: bool, folder: str) -> Round:
    """Reading a table of 20,000 x 30 with gaps and texts to arrays."""
    import numpy as np
    import pandas as pd

    path = Path(folder) / f"{'ours' if ours else 'theirs'}.csv"
    rng = np.random.default_rng(0)
    columns = {f"n{i}": rng.standard_normal(20_000).round(4) for i in range(25)}
    columns |= {f"t{i}": rng.choice(["red", "green", "blue"], 20_000) for i in range(5)}
    pd.DataFrame(columns).mask(rng.random((20_000, 30)) < 0.01).to_csv(path, index=False)
    if not ours:
        return lambda: float(len(pd.read_csv(path)))
    from anyarray_mlp.data import read_table

    return lambda: float(len(read_table(path).names))


#: By name: the makers of two rounds with their arguments, ours and what it is measured by.
RATIOS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "step 2-10-2 / NumPy by hand": ((step, "anyarray-mlp numpy", 0), (step, "NumPy by hand", 0)),
    "step 64-128-10 / NumPy by hand": ((step, "anyarray-mlp numpy", 1), (step, "NumPy by hand", 1)),
    "step 784-128-64-10 / NumPy by hand": ((step, "anyarray-mlp numpy", 2), (step, "NumPy by hand", 2)),
    "reproducible 64-100-10 / plain": ((small_step, True), (small_step, False)),
    "fit of wine, adam / scikit-learn": ((small_fit, True, "adam"), (small_fit, False, "adam")),
    "fit of wine, lbfgs / scikit-learn": ((small_fit, True, "lbfgs"), (small_fit, False, "lbfgs")),
    "a row predicted / scikit-learn": ((prediction, "anyarray-mlp estimator", 1), (prediction, "scikit-learn", 1)),
    "evaluate / one pass": ((evaluation, "evaluate"), (evaluation, evaluation_cost.PASS)),
    "read_table / pandas.read_csv": ((reading, True), (reading, False)),
}  # fmt: skip


def measured(rounds: int, folder: str) -> dict[str, float]:
    """All ratios."""
    found = {}
    for name, pair in RATIOS.items():
        contenders = {
            who: (make, (*args, folder) if make is reading else tuple(args))
            for who, (make, *args) in zip(("ours", "peer"), pair, strict=True)
        }
        timings = interleave(contenders, rounds)
        problem = timings["ours"].problem or timings["peer"].problem
        if problem:
            raise SystemExit(f"{name}: {problem}")
        found[name] = ratio(timings, "ours", "peer", cpu=True)
        print(f"{name:40} {found[name]:6.2f}", flush=True)
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows that there are."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def earlier(path: Path) -> dict[str, list[float]]:
    """The ratios of the rows that there are, by name."""
    rows = rows_of(path)
    return {name: [float(row[name]) for row in rows if row.get(name)] for name in RATIOS if rows}


def slower(found: dict[str, float], before: dict[str, list[float]]) -> list[str]:
    """A line on each ratio that is above those before it."""
    return [
        f"{name}: {value:.2f}, before {statistics.median(before[name]):.2f}"
        for name, value in found.items()
        if before.get(name) and value > ALLOWED * statistics.median(before[name])
    ]


def add(path: Path, found: dict[str, float]) -> None:
    """Add a row, with the day and the commit; names that are new get a column."""
    rows = rows_of(path)
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    rows.append(
        {"day": str(date.today()), "commit": commit}
        | {name: f"{value:.3f}" for name, value in found.items()}
    )
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: list[str] | None = None) -> int:
    """Measure, compare, add."""
    import tempfile

    parser = argparse.ArgumentParser(prog="python -m benchmarks.over_time", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--dry-run", action="store_true", help="add no row")
    options = parser.parse_args(arguments)
    limit_threads(1)
    before = earlier(options.table)
    with tempfile.TemporaryDirectory() as folder:
        found = measured(options.rounds, folder)
    lines = slower(found, before)
    for line in lines:
        print(f"slower: {line}")
    if not options.dry_run:
        add(options.table, found)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
