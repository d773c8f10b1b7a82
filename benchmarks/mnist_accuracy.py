"""Test accuracy on MNIST with the NumPy backend, by way of the command line.

    python benchmarks/mnist_accuracy.py PATH_TO_MNIST

writes benchmarks/results/mnist_accuracy.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = {
    "784-300-75-10, relu": ["--hidden", "300,75", "--learning-rate", "cosine"],
    "784-128-64-10, logistic": [
        "--hidden", "128,64", "--activation", "logistic",
        "--learning-rate", "cosine", "--learning-rate-init", "0.003",
    ],
}  # fmt: skip
COMMON = ["--epochs", "15", "--batch-size", "128", "--validation-fraction", "0", "--seed", "0"]
GOALS = {"784-300-75-10, relu": 0.982, "784-128-64-10, logistic": 0.975}


def main() -> None:
    """Train both networks and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="../shared/data/mnist")
    folder = parser.parse_args().folder
    lines = [
        "# MNIST, 10,000 test images, NumPy backend, float32",
        "",
        f"{datetime.date.today()}, {os.cpu_count()} cores, {platform.machine()}; made by "
        "`python benchmarks/mnist_accuracy.py PATH_TO_MNIST`. 15 epochs, Adam, batches of 128, cosine learning "
        "rate, seed 0, all 60,000 training images; the machine was shared, so the time is an upper bound.",
        "",
        "| network | test accuracy | goal | seconds of training | options |",
        "|---|---|---|---|---|",
    ]
    for name, options in RUNS.items():
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "anyarray_mlp", "train", folder, *options, *COMMON]
            done = subprocess.run(
                [*command, "--json", "--quiet", "--out", f"{out}/run"],
                check=True,
                capture_output=True,
                text=True,
            )
        summary = json.loads(done.stdout)
        accuracy = summary["scores"]["accuracy"]
        print(f"{name}: {accuracy:.4f} in {summary['seconds']:.0f} s")
        lines.append(
            f"| {name} | {accuracy:.4f} | {GOALS[name]} | {summary['seconds']:.0f} | "
            f"`{' '.join(options + COMMON)}` |"
        )
    results = Path(__file__).parent / "results"
    (results / "mnist_accuracy.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
