"""Tables larger than memory: resident memory and rows a second, from disk and in memory.

    python -m benchmarks.out_of_core make FOLDER --gigabytes 4.3     # a Parquet file and a CSV with the same rows
    python -m benchmarks.out_of_core run FOLDER --memory 500MB       # trains on each, and writes the table
    python -m benchmarks.out_of_core run FOLDER --memory 500MB --against 20GB   # in memory as well

Each run is a process of its own, `anyarray-mlp train`; the system says how much memory it had at most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.streams import generator

COLUMNS = 100
ROWS_AT_ONCE = 100_000
TOWNS = np.array(["Oslo", "Rome", "Lima", "Kyiv", "Bonn", "Nice"])
HERE = Path(__file__).parent
FORMATS = ("parquet", "csv")


def part_of(number: int, rows: int) -> Any:
    """Rows of numbers, some of them missing, a column of texts, and a class that a network can learn."""
    import pyarrow

    random = generator("layout probe", 0, number)
    x = np.round(random.normal(size=(rows, COLUMNS - 2)), 6)
    town = random.integers(0, len(TOWNS), rows)
    hidden = np.tanh(x[:, :5]).sum(axis=1) + (town == 1) + 0.3 * random.normal(size=rows)
    x[random.random(x.shape) < 0.001] = np.nan
    arrays = [pyarrow.array(column, from_pandas=True) for column in x.T]
    names = [f"x{place}" for place in range(COLUMNS - 2)]
    return pyarrow.table(
        [*arrays, pyarrow.array(TOWNS[town]), pyarrow.array(np.where(hidden > 0.2, "yes", "no"))],
        names=[*names, "town", "answer"],
    )


def make(folder: Path, gigabytes: float) -> None:
    """Write both files."""
    import pyarrow.csv
    import pyarrow.parquet

    rows = int(gigabytes * 1e9 / (8 * COLUMNS))
    schema = part_of(0, 1).schema
    options = pyarrow.csv.WriteOptions(quoting_style="none")
    with (
        pyarrow.parquet.ParquetWriter(folder / "table.parquet", schema) as parquet,
        pyarrow.csv.CSVWriter(folder / "table.csv", schema, write_options=options) as csv,
    ):
        for number, start in enumerate(range(0, rows, ROWS_AT_ONCE)):
            part = part_of(number, min(ROWS_AT_ONCE, rows - start))
            parquet.write_table(part)
            csv.write_table(part)


@dataclass(frozen=True)
class Measured:
    """What a run came to: megabytes at most, seconds in all and of an epoch, rows a second, and its weights."""

    what: str
    bound: str
    peak: float
    seconds: float
    epoch: float
    speed: float
    weights: bytes


def measure(path: Path, bound: str, epochs: int) -> Measured:
    """Train on a file within a bound."""
    from anyarray_mlp.persistence import load

    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "run"
        command = [sys.executable, "-m", "anyarray_mlp", "train", str(path), "--out", str(out)]
        command += ["--epochs", str(epochs), "--memory", bound, "--json", "--quiet"]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            said = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
        seconds, told = time.perf_counter() - start, json.loads(said)
        lines = (out / "metrics.jsonl").read_text().splitlines()
        ends = [json.loads(line)["seconds"] for line in lines]
        epoch = (ends[-1] - ends[0]) / (len(ends) - 1)
        weights = b"".join(
            np.asarray(array).tobytes() for array in load(out / "model.safetensors").arrays.values()
        )
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    rows = told["rows"]["training"]
    return Measured(path.name, bound, peak, seconds, epoch, rows / epoch, weights)


def report(folder: Path, found: list[Measured]) -> str:
    """The table of all runs."""
    lines = ["| file | size | `--memory` | resident at most | an epoch | rows a second | in all |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for each in found:
        size = (folder / each.what).stat().st_size / 1e9
        lines.append(
            f"| {each.what} | {size:.2f} GB | {each.bound} | {each.peak:,.0f} MB | {each.epoch:.1f} s "
            f"| {each.speed:,.0f} | {each.seconds:,.0f} s |"
        )
    same = len({each.weights for each in found}) == 1
    lines += ["", f"The weights of all runs are the same bits: {'yes' if same else 'NO'}."]
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=4.3)
    parser.add_argument("--memory", default="500MB")
    parser.add_argument("--against", help="a bound that holds the rows in memory")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    given = parser.parse_args()
    if given.what == "make":
        given.folder.mkdir(parents=True, exist_ok=True)
        make(given.folder, given.gigabytes)
        return
    bounds = [given.memory, *filter(None, [given.against])]
    found = []
    for name in given.formats:
        for bound in bounds:
            found.append(measure(given.folder / f"table.{name}", bound, given.epochs))
            print(report(given.folder, found[-1:]), flush=True)
    print("\n" + report(given.folder, found))


if __name__ == "__main__":
    main()
