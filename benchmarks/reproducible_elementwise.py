"""Elementwise functions of reproducible arithmetic: error against mpmath, equality of NumPy and jax.jit.

    python benchmarks/reproducible_elementwise.py [--inputs 100000000] [--samples 20000] [--json FILE]

float32 inputs are every k-th of all bit patterns, subnormals, infinities and NaN among them; float64 inputs are
random bits, with exponents mostly where the functions are not constant. The largest error in ulp is taken over
`samples` random inputs whose result is neither too small to be kept nor infinite.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

from anyarray_mlp.backends import select_backend

FUNCTIONS = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "erf",
    "logistic",
    "softplus",
    "sqrt",
    "cos",
    "sin",
    "divide",
)
CHUNK = 1 << 21


def inputs(dtype: str, count: int) -> Iterator[np.ndarray]:
    """Chunks of `count` numbers in all."""
    if dtype == "float32":
        step = max(1, 2**32 // count)
        for start in range(0, 2**32, step * CHUNK):
            stop = min(start + step * CHUNK, 2**32)
            yield np.arange(start, stop, step, dtype=np.uint64).astype(np.uint32).view(np.float32)
        return
    generator = np.random.PCG64(1)
    for start in range(0, count, CHUNK):
        raw = generator.random_raw(min(CHUNK, count - start))
        exponent = (generator.random_raw(raw.size) % np.uint64(52)) + np.uint64(1023 - 42)
        usual = (raw & np.uint64(0x800FFFFFFFFFFFFF)) | (exponent << np.uint64(52))
        anything = np.arange(raw.size) % 16 == 0
        yield np.where(anything, raw, usual).view(np.float64)


def compute(name: str, xp: Any, x: Any) -> Any:
    return x / xp.flip(x) if name == "divide" else getattr(xp, name)(x)


def differences(name: str, dtype: str, count: int) -> tuple[int, int]:
    """How many of how many results differ between NumPy and jax.jit; NaN equals NaN."""
    host = select_backend("numpy", dtype=dtype, reproducible=True)
    jitted = select_backend("jax", dtype=dtype, reproducible=True)
    run = jitted.jit(lambda xp, x: compute(name, xp, x))
    different = total = 0
    integer = np.int32 if dtype == "float32" else np.int64
    for x in inputs(dtype, count):
        with np.errstate(all="ignore"):
            a = host.to_host(compute(name, host.xp, host.asarray(x)))
        b = jitted.to_host(run(jitted.asarray(x)))
        same = (a.view(integer) == b.view(integer)) | (np.isnan(a) & np.isnan(b))
        different += int(np.sum(~same))
        total += x.size
    return different, total


def truth(name: str, x: Any) -> Any:
    if name == "logistic":
        return 1 / (1 + mpmath.exp(-x))
    if name == "softplus":
        return mpmath.log1p(mpmath.exp(x))
    return getattr(mpmath, name)(x)


def largest_error(name: str, dtype: str, samples: int) -> tuple[float, float]:
    """In ulp, and where."""
    backend = select_backend("numpy", dtype=dtype, reproducible=True)
    rng = np.random.default_rng(2)
    wide = rng.standard_normal(samples // 2) * np.exp(rng.uniform(-25, 5, samples // 2))
    x = np.concatenate([wide, rng.uniform(-12, 12, samples // 4), 1 + wide[: samples // 4] * 1e-2])
    x = x.astype(dtype)
    x = x[np.abs(x) > 2.0**-120]
    x = np.abs(x) if name in ("log", "sqrt") else x[x > -1] if name == "log1p" else x
    y = backend.to_host(getattr(backend.xp, name)(backend.asarray(x)))
    digits, smallest = (24, 2.0**-124) if dtype == "float32" else (53, 2.0**-959)
    worst, where = 0.0, 0.0
    with mpmath.workprec(160):
        for argument, value in zip(x.tolist(), y.tolist(), strict=True):
            t = truth(name, mpmath.mpf(argument))
            if not smallest <= abs(t) <= float(np.finfo(dtype).max):
                continue
            error = float(abs(mpmath.mpf(value) - t) / mpmath.ldexp(1, mpmath.frexp(t)[1] - digits))
            if error > worst:
                worst, where = error, argument
    return worst, where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000_000)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--functions", default=",".join(FUNCTIONS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print(date.today())
    rows = []
    for dtype in ("float32", "float64"):
        for name in arguments.functions.split(","):
            began = time.perf_counter()
            different, total = differences(name, dtype, arguments.inputs)
            row: dict[str, Any] = {
                "dtype": dtype, "function": name, "inputs": total, "different": different,
            }  # fmt: skip
            if name != "divide":
                row["ulp"], row["at"] = largest_error(name, dtype, arguments.samples)
            rows.append(row)
            error = f"largest error {row['ulp']:.4f} ulp at {row['at']!r}" if "ulp" in row else ""
            seconds = time.perf_counter() - began
            print(
                f"{dtype} {name:9} {different} of {total} differ; {error} ({seconds:.0f} s)",
                flush=True,
            )
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
