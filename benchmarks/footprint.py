"""What the package costs before and beside the arithmetic: start-up time and memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

#: What is started, as arguments of Python.
STARTS = {
    "python -c pass": ["-c", "pass"],
    "import anyarray_mlp": ["-c", "import anyarray_mlp"],
    "select_backend()": ["-c", "import anyarray_mlp; anyarray_mlp.select_backend()"],
    "anyarray-mlp --help": ["-m", "anyarray_mlp", "--help"],
    "import numpy": ["-c", "import numpy"],
    "import sklearn.neural_network": ["-c", "import sklearn.neural_network"],
    "import torch": ["-c", "import torch"],
    "import jax": ["-c", "import jax"],
}

#: Peak memory of a fit: kilobytes before it (imports, data) and at its peak. Arguments: backend, sizes, rows,
#: batch, "bytes" or "floats".
FIT = """
import json, resource, sys
import numpy as np
from anyarray_mlp import MLP, fit, select_backend
from anyarray_mlp.backends import Backend
name, sizes, rows, batch, kind = sys.argv[1:]
sizes, rows, batch = tuple(map(int, sizes.split("-"))), int(rows), int(batch)
backend = select_backend(name)
imports = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rng = np.random.default_rng(0)
x = np.empty((rows, sizes[0]), np.uint8 if kind == "bytes" else np.float32)
for i in range(0, rows, 1000):
    x[i : i + 1000] = rng.integers(0, 256, x[i : i + 1000].shape)
y = rng.integers(0, sizes[-1], rows)
mlp = MLP(sizes)
result = fit(mlp, x, y, backend=backend, epochs=2, batch_size=batch,
             input_scale=1 / 255 if kind == "bytes" else None)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "imports": imports * 1024, "peak": peak * 1024, "data": x.nbytes + y.nbytes,
    "parameters": mlp.layout.size * 4, "activations": 4 * batch * sum(sizes),
}))
"""
FITS = {
    #: Next to nothing: what a library takes for itself once it runs.
    "2-10-2, batch 4, 400 rows of float32": ("2-10-2", 400, 4, "floats"),
    "784-300-75-10, batch 128, 60,000 images as bytes": ("784-300-75-10", 60_000, 128, "bytes"),
    "784-300-75-10, batch 128, 60,000 rows of float32": ("784-300-75-10", 60_000, 128, "floats"),
    "784-4096-4096-10, batch 64, 4,096 images as bytes": ("784-4096-4096-10", 4_096, 64, "bytes"),
}


def start_up(rounds: int) -> dict[str, float]:
    """Median milliseconds of each start."""
    seconds: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(rounds):
        for name, arguments in STARTS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) * 1e3 for name, values in seconds.items()}


def memory(
    rounds: int, backends: tuple[str, ...] = ("numpy", "torch", "jax")
) -> list[dict[str, object]]:
    """Megabytes of each fit: at its peak, of the imports alone, and what the goal allows beyond these.

    Of the rounds the one with the median peak: XLA's compiler takes now more, now less.
    """
    rows: list[dict[str, object]] = []
    for name, arguments in FITS.items():
        for backend in backends:
            command = [sys.executable, "-c", FIT, backend, *map(str, arguments)]
            runs = [
                json.loads(
                    subprocess.run(command, check=True, capture_output=True, text=True).stdout
                )
                for _ in range(rounds)
            ]
            found = sorted(runs, key=lambda run: run["peak"])[rounds // 2]
            allowed = found["data"] + 6 * found["parameters"] + found["activations"]
            rows.append(
                {
                    "fit": name,
                    "backend": backend,
                    "peak": found["peak"] / 1e6,
                    "imports": found["imports"] / 1e6,
                    "data + 6 parameters + activations": allowed / 1e6,
                    "rest": (found["peak"] - found["imports"] - allowed) / 1e6,
                }
            )
    return rows
