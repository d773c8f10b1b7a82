"""From a table's file to the first step of training: time and memory, beside pandas and scikit-learn.

`python -m benchmarks.table_speed` writes `benchmarks/results/table_speed.md`. Each contender has a process of its own,
a new one for every round; they take turns. CPU time, which a busy machine changes least. Memory is read from /proc, so
this runs on Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import THREAD_VARIABLES
from benchmarks.report import heading

#: What a contender is started with: it prints its CPU seconds and the peak of its memory beyond what it imported.
MEASURE = """
import json, sys, time

def peak():
    # Not ru_maxrss, which begins with what the process had that started this one.
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

{imports}
before, start = peak(), time.process_time()
decoded = run(sys.argv[1])
print(json.dumps({{"cpu": time.process_time() - start, "peak": peak() - before, "decoded": decoded / 2**20}}))
"""
#: Reading alone; the bytes of the arrays it gives, texts as codes.
READ = """
import pandas
from anyarray_mlp.tables import read_table
def run(path):
    return sum(each.codes.nbytes if hasattr(each, "codes") else each.nbytes for each in read_table(path).kept)
"""
#: All that comes before the first step of `train`: read, split, encoded, the network's first parameters.
PLAN = """
import pandas
from anyarray_mlp.pipeline.plan import make_plan
from anyarray_mlp.pipeline.settings import Settings
def run(path):
    prepared = make_plan(path, Settings.of("train_table", None, {"preset": "plain"})).prepared
    parts = (prepared.training, prepared.validation, prepared.test)
    return sum(part.x.nbytes for part in parts)
"""
PANDAS_READ = """
import pandas
def run(path):
    return pandas.read_csv(path).memory_usage().sum().item()
"""
#: The same with pandas and scikit-learn, whose encoding of categories is sparse or dense.
PEERS = """
import pandas
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler
def run(path):
    table = pandas.read_csv(path)
    y = table.pop("y")
    parts = train_test_split(table, y, test_size=0.28, random_state=0)
    numbers = [name for name in table if table[name].dtype.kind in "if"]
    texts = [name for name in table if name not in numbers]
    encoder = ColumnTransformer([
        ("numbers", StandardScaler(), numbers),
        ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output={sparse}), texts),
    ])
    found = [encoder.fit_transform(parts[0]), encoder.transform(parts[1])]
    return sum(x.data.nbytes if hasattr(x, "indptr") else x.nbytes for x in found)
"""
CONTENDERS = {
    "read_table": READ,
    "pandas.read_csv": PANDAS_READ,
    "file to first step": PLAN,
    "pandas + ColumnTransformer, sparse": PEERS.format(sparse=True),
    "pandas + ColumnTransformer, dense": PEERS.format(sparse=False),
}
#: Nobody asks for huge pages: a GB of these took from 0.1 to 2 s, by how the machine's memory lay just then.
SMALL_PAGES = {"NUMPY_MADVISE_HUGEPAGE": "0"}
#: Memory that the dense encoding of the largest table would need, which few machines have.
DENSE_AT_MOST = 200_000


@dataclass(frozen=True)
class File:
    """A table to read: how it is made, and the most CPU seconds that it may take up to the first step."""

    name: str
    write: Callable[[Path], None]
    rows: int
    bound: float | None = None


def wide(rows: int, width: int) -> Callable[[Path], None]:
    """Writes numbers of four decimals and a target of two texts."""

    def write(path: Path) -> None:
        rng = np.random.default_rng(0)
        names = ",".join(f"gene{place}" for place in range(width))
        with path.open("w") as file:
            file.write(f"{names},y\n")
            for row in range(rows):
                numbers = map(repr, rng.normal(size=width).round(4).tolist())
                file.write(f"{','.join(numbers)},{'ab'[row % 2]}\n")

    return write


def tall(rows: int) -> Callable[[Path], None]:
    """Writes 20 columns of numbers and 10 of 5 to 1,000 texts, 2 % of some cells empty, and a target of two texts."""

    def write(path: Path) -> None:
        import pandas

        rng = np.random.default_rng(0)
        columns: dict[str, Any] = {}
        for place in range(20):
            decimal = rng.normal(size=rows).round(4)
            whole = rng.integers(0, 5000, rows)
            column = pandas.Series(decimal if place % 2 else whole)
            gaps = rng.random(rows) < 0.02 * (place % 3 == 0)
            columns[f"n{place}"] = column.astype("Float64" if place % 2 else "Int64").mask(gaps)
        for place, levels in enumerate((5, 8, 12, 20, 35, 60, 100, 200, 500, 1000)):
            texts = np.array([f"{('city', 'code', 'kind')[place % 3]}_{k}" for k in range(levels)])
            column = pandas.Series(texts[rng.integers(0, levels, rows)], dtype=object)
            columns[f"t{place}"] = column.mask(rng.random(rows) < 0.02 * (place % 3 == 1))
        columns["y"] = np.where(rng.random(rows) < 0.5, "yes", "no")
        pandas.DataFrame(columns).to_csv(path, index=False)

    return write


def files(scale: float) -> list[File]:
    """The tables, with a share of the rows of the tall ones."""
    return [
        File("40 x 20,000", wide(40, 20_000), 40, 2.0),
        File("200 x 20,000", wide(200, 20_000), 200),
        File("40 x 99,999", wide(40, 99_999), 40, 20.0),
        File(f"{round(100_000 * scale):,} x 30", tall(round(100_000 * scale)), 100_000),
        File(f"{round(1_000_000 * scale):,} x 30", tall(round(1_000_000 * scale)), 1_000_000),
    ]


def measured(contender: str, path: Path) -> dict[str, float]:
    """What one run of a contender in a new process took."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), **SMALL_PAGES}
    command = [sys.executable, "-c", MEASURE.format(imports=contender), str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


Runs = dict[str, list[dict[str, float]]]


def median_of(runs: Runs, name: str, figure: str) -> float:
    """The median of a figure over the rounds of a contender."""
    return statistics.median(run[figure] for run in runs[name])


def ratio_of(runs: Runs, over: str, under: str) -> float:
    """The median of the ratios of CPU time within a round."""
    pairs = zip(runs[over], runs[under], strict=True)
    return statistics.median(a["cpu"] / b["cpu"] for a, b in pairs)


def goals(file: File, runs: Runs) -> list[tuple[str, float, str, bool]]:
    """Each goal on a table: what is asked, what was found, the bound, and whether it is met."""
    found = []
    seconds = median_of(runs, "file to first step", "cpu")
    if file.bound is not None:
        asked = "seconds from file to first step"
        found.append((asked, seconds, f"<= {file.bound:g}", seconds <= file.bound))
    memory = median_of(runs, "read_table", "peak") / median_of(runs, "read_table", "decoded")
    found.append(("peak memory of reading / decoded arrays", memory, "<= 3", memory <= 3))
    for name in CONTENDERS:
        if name.startswith("pandas +") and name in runs and file.bound is None and file.rows > 1000:
            quicker = ratio_of(runs, name, "file to first step")
            found.append((f"{name} / file to first step", quicker, ">= 2", quicker >= 2))
    return found


def page(results: dict[File, Runs], rounds: int) -> str:
    """The results in Markdown."""
    lines = [
        "# Tables: from the file to the first step",
        "",
        *heading(1, rounds, "python -m benchmarks.table_speed", "cpu"),
        "CPU seconds; memory is the peak of a fresh process beyond its imports. The first step needs dense rows: "
        "`pandas + ColumnTransformer, sparse` stops short of them. NumPy does without huge pages in all of them "
        "(`NUMPY_MADVISE_HUGEPAGE=0`), whose cost depends on how the machine's memory lies.",
        "",
        "| goal | table | bound | found | |",
        "|---|---|---|---|---|",
    ]
    for file, runs in results.items():
        for asked, value, bound, met in goals(file, runs):
            lines.append(
                f"| {asked} | {file.name} | {bound} | {value:.3g} | {'met' if met else 'missed'} |"
            )
    lines += [
        "",
        "| table | contender | CPU seconds | peak MiB | result MiB |",
        "|---|---|---|---|---|",
    ]
    for file, runs in results.items():
        for name in runs:
            cpu, peak, decoded = (median_of(runs, name, key) for key in ("cpu", "peak", "decoded"))
            lines.append(f"| {file.name} | {name} | {cpu:.2f} | {peak:,.0f} | {decoded:,.0f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run all and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows of tall tables")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/table_speed.md"))
    options = parser.parse_args()
    results: dict[File, Runs] = {}
    with tempfile.TemporaryDirectory() as folder:
        for file in files(options.scale):
            path = Path(folder) / "table.csv"
            file.write(path)
            chosen = {
                name: contender
                for name, contender in CONTENDERS.items()
                if not (name.endswith("dense") and file.rows > DENSE_AT_MOST)
                and not (name.startswith("pandas +") and file.bound is not None)
            }
            results[file] = {name: [] for name in chosen}
            for _ in range(options.rounds):
                for name, contender in chosen.items():
                    results[file][name].append(measured(contender, path))
    options.out.write_text(page(results, options.rounds), encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
