"""What reproducible arithmetic costs: processor time of a training step, as a ratio to plain arithmetic.

    python benchmarks/reproducible_cost.py [--sizes 64,100,10 --batch 32 --steps 40] [--backends numpy,torch,jax]

Each setting runs in a process of its own with one thread; its steps are timed in processor time, which other
load on the machine disturbs little, and the fastest counts. Prints a table; --json writes it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

NETWORKS = {"relu, momentum": ("relu", "momentum"), "tanh, adam": ("tanh", "adam")}
MODES = {"plain": False, "one slice": "fast", "two slices": True}
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def measure(
    library: str,
    network: str,
    mode: str,
    dtype: str,
    sizes: tuple[int, ...],
    batch: int,
    steps: int,
) -> float:
    """Processor seconds of a step: of so many in one call, the fastest of some calls."""
    import numpy as np

    from anyarray_mlp.backends import select_backend
    from anyarray_mlp.network.mlp import MLP
    from anyarray_mlp.network.optimizers import OPTIMIZERS
    from anyarray_mlp.training import to_leaves
    from anyarray_mlp.training.state import fresh_state
    from anyarray_mlp.training.steps import step_inputs, training_step

    activation, solver = NETWORKS[network]
    backend = select_backend(library, dtype=dtype, reproducible=MODES[mode])  # type: ignore[arg-type]
    mlp = MLP(sizes, activation)
    optimizer = OPTIMIZERS[solver]()
    rng = np.random.default_rng(0)
    data = (
        backend.asarray(rng.standard_normal((batch, sizes[0]))),
        backend.asarray(rng.integers(0, sizes[-1], batch)),
    )
    start = fresh_state(mlp, optimizer, mlp.initialize(0))
    state = (
        to_leaves(mlp, backend, start.parameters),
        tuple(to_leaves(mlp, backend, m) for m in start.moments),
    )
    run = backend.compile(training_step(mlp, optimizer))
    times = []
    rows = np.tile(np.arange(batch), (steps, 1))
    for done in range(0, (6 if steps == 1 else 12) * steps, steps):
        inputs = step_inputs(mlp, optimizer, backend, rows, done, [1e-3] * steps, 0)
        began = time.process_time()
        state, outputs = run(state, data, inputs)
        backend.to_host(outputs[0])
        backend.to_host(state[0][0])
        times.append((time.process_time() - began) / steps)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1024,1024,1024,1024,10")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=1, help="in one call")
    parser.add_argument("--backends", default="numpy,torch,jax")
    parser.add_argument("--dtypes", default="float32")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sizes = tuple(map(int, arguments.sizes.split(",")))
        print(measure(*arguments.one, sizes, arguments.batch, arguments.steps))
        return
    print(
        f"{date.today()}, {os.cpu_count()} cores, {platform.processor() or platform.machine()}, one thread"
    )
    print(
        f"network of {arguments.sizes}, batch {arguments.batch}; microseconds of a step, ratio to plain"
    )
    rows = []
    for dtype in arguments.dtypes.split(","):
        for library in arguments.backends.split(","):
            for network in NETWORKS:
                seconds = {}
                for mode in MODES:
                    if dtype == "float64" and mode == "one slice":
                        continue
                    command = [sys.executable, __file__, "--sizes", arguments.sizes]
                    command += ["--steps", str(arguments.steps)]
                    command += ["--batch", str(arguments.batch)]
                    command += ["--one", library, network, mode, dtype]
                    out = subprocess.run(
                        command,
                        env={**os.environ, **ONE_THREAD},
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                    seconds[mode] = float(out.stdout.split()[-1])
                ratios = {m: round(s / seconds["plain"], 2) for m, s in seconds.items()}
                rows.append(
                    {
                        "dtype": dtype,
                        "backend": library,
                        "network": network,
                        "seconds": seconds,
                        "ratios": ratios,
                    }
                )
                figures = "  ".join(
                    f"{m} {1e6 * seconds[m]:.0f} us ({ratios[m]:.2f}x)" for m in seconds
                )
                print(f"{dtype} {library:6} {network:15} {figures}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
