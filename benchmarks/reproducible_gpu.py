"""The hashes of training runs on the GPU beside NumPy's on the CPU, in every reproducible mode.

    python benchmarks/reproducible_gpu.py [--device cuda] [--libraries cupy,jax] [--json FILE]

`--device cpu` runs the CPU backends instead, to try the script where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

from anyarray_mlp.backends import select_backend
from anyarray_mlp.errors import BackendUnavailableError
from anyarray_mlp.network.mlp import MLP
from benchmarks.reproducible_matrix import MODES, NETWORKS, digits_hash

LIBRARIES = {"cuda": ("cupy", "torch", "jax"), "cpu": ("array_api_strict", "torch", "jax")}


def run_hash(library: str, device: str, mode: str, name: str) -> str:
    """The hash of two epochs on digits."""
    dtype, reproducible = MODES[mode]
    backend = select_backend(library, device, dtype, reproducible)  # type: ignore[arg-type]
    network, options = NETWORKS[name]
    mlp = MLP((64, 128, 64, 10), **network)
    return digits_hash(mlp, backend, 2, options)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=LIBRARIES)
    parser.add_argument("--libraries", help="of them only these, separated by commas")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    known = LIBRARIES[arguments.device]
    libraries = arguments.libraries.split(",") if arguments.libraries else known
    print(date.today())
    rows, same = [], True
    for mode in (m for m in MODES if MODES[m][1]):
        for name in NETWORKS:
            expected = run_hash("numpy", "cpu", mode, name)
            print(f"{mode}; {name}\n  numpy, cpu         {expected}")
            for library in libraries:
                began = time.perf_counter()
                try:
                    found = run_hash(library, arguments.device, mode, name)
                except BackendUnavailableError as error:
                    print(f"  {library}: {error}")
                    continue
                verdict = "same" if found == expected else "DIFFERENT"
                same &= found == expected
                seconds = time.perf_counter() - began
                print(
                    f"  {library + ', ' + arguments.device:18} {found} {verdict} ({seconds:.0f} s)",
                    flush=True,
                )
                rows.append(
                    {
                        "mode": mode,
                        "network": name,
                        "library": library,
                        "hash": found,
                        "same": found == expected,
                    }
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(
        "one hash each"
        if same and rows
        else "NOT the same"
        if rows
        else "nothing to compare: no backend on this device"
    )
    return 0 if same and rows else 1


if __name__ == "__main__":
    sys.exit(main())
