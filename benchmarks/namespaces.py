"""Parity on array libraries that this package was not made for: which run, and what departs first.

`python -m benchmarks.namespaces` writes `benchmarks/results/namespaces.md`. Each library is judged in a process of its
own, within a limit of time; one that is not installed is left out, and said.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import processor


@dataclass(frozen=True)
class Library:
    """A namespace, what installs it, and what it has to be told."""

    namespace: str
    install: str
    arguments: tuple[str, ...] = ()


LIBRARIES = (
    Library("numpy", "numpy"),
    Library("array_api_compat.numpy", "array-api-compat"),
    Library("array_api_strict", "array-api-strict"),
    Library("array_api_compat.torch", "torch"),
    Library("jax.numpy", "jax"),
    Library("mlx.core", "'mlx[cpu]'"),
    Library("array_api_compat.dask.array", "'dask[array]'"),
    Library("dask.array", "'dask[array]'"),
    Library("cubed.array_api", "cubed"),
    Library("ndonnx", "ndonnx", ("--to-host", "ndonnx:Array.unwrap_numpy")),
    Library("blosc2", "blosc2"),
    Library("mparray", "mparray"),
    Library("paddle", "paddlepaddle"),
    Library("sparse", "sparse"),
    Library("dpnp", "dpnp"),
    Library("heat", "heat"),
    Library("cupy", "cupy-cuda13x"),
)


def judged(library: Library, dtype: str, timeout: float) -> dict[str, Any]:
    """What `anyarray-mlp parity --json` says of a library in a dtype, or the error that it ends with."""
    command = [
        sys.executable, "-W", "ignore", "-m", "anyarray_mlp", "parity", "--namespace", library.namespace,
        "--dtype", dtype, "--timeout", str(timeout), "--json", *library.arguments,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=3 * timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {3 * timeout:.0f} s, and --timeout did not stop it"}
    if done.returncode in (0, 1) and done.stdout:
        found: dict[str, Any] = json.loads(done.stdout)["comparisons"][0]
        return found
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    said = errors[-1].removeprefix("error: ") if errors else done.stderr.strip()[-300:]
    return {"error": " ".join(said.split())}


def verdict(found: dict[str, Any]) -> str:
    """A dtype of a library in a cell."""
    if "error" in found:
        return f"not compared: {found['error']}"
    stopped = found["stopped"]
    of = f"{found['cases']} of {stopped[1]}" if stopped else f"{found['cases']}"
    if not found["departures"]:
        return f"no departure in {of} cases, {found['operations']:,} operations"
    first = Counter(each["operation"] or "the compiled whole" for each in found["departures"])
    names = ", ".join(f"{name} ({count})" for name, count in first.most_common(4))
    return f"{len(found['departures'])} of {of} cases depart, first in {names}"


def page(timeout: float) -> Iterator[str]:
    """The table, and the first departure of each operation in words."""
    yield "# Parity on any array library\n"
    yield (
        f"{datetime.datetime.now():%Y-%m-%d %H:%M}, {processor()}, Python {platform.python_version()}. Made by "
        "`python -m benchmarks.namespaces`: `anyarray-mlp parity --namespace`, at most "
        f"{timeout:.0f} s for each dtype. A case that departs is told by the first operation that does."
    )
    yield "\n| namespace | version | float32 | float64 | seconds |\n|---|---|---|---|---|"
    words: list[str] = []
    absent = []
    for library in LIBRARIES:
        if importlib.util.find_spec(library.namespace.partition(".")[0]) is None:
            absent.append(f"`{library.namespace}` (`pip install {library.install}`)")
            continue
        found = {dtype: judged(library, dtype, timeout) for dtype in ("float32", "float64")}
        versions = {each.get("version") for each in found.values()} - {None}
        seconds = sum(each.get("seconds", 0.0) for each in found.values())
        cells = " | ".join(verdict(each).replace("|", "\\|") for each in found.values())
        yield f"| {library.namespace} | {', '.join(map(str, versions)) or '-'} | {cells} | {seconds:.0f} |"
        told = {}
        for each in found.values():
            for departure in each.get("departures", ()):
                told.setdefault(departure["operation"], departure["message"])
        words += [f"- `{library.namespace}`: {message}" for message in list(told.values())[:6]]
    if absent:
        yield f"\nNot installed where this was made: {', '.join(absent)}."
    if words:
        yield "\n## What departs first\n"
        yield from words


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--timeout", type=float, default=120.0, help="seconds for a library in a dtype"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/namespaces.md"))
    options = parser.parse_args()
    options.out.write_text("\n".join(page(options.timeout)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
