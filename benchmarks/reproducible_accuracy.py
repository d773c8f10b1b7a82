"""How far the gradients of a whole network are from float64's, in plain and in reproducible float32.

    python benchmarks/reproducible_accuracy.py [--json FILE]

For each data set and each weight or bias, |g - g64| / |g64| in units of 2^-24 (Euclidean norms); the table gives
the largest over the parameters. Both arithmetics start from the same float32 parameters and inputs, which
float64 holds exactly. "sparse" has standardised columns that are nearly always zero; "scaled" columns span eight
orders of magnitude; the networks are measured before and after training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training import fit, to_leaves

MODES = {"plain": False, "two slices": True, "one slice": "fast"}


def standardised(x: np.ndarray) -> np.ndarray:
    scale = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(scale == 0, 1, scale)


def data_sets() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    x, y = load_digits(return_X_y=True)
    yield "digits / 16", x / 16, y
    yield "digits standardised", standardised(x), y
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random((1500, 60)) < 0.004, rng.standard_normal((1500, 60)) + 3, 0.0)
    yield (
        "sparse",
        standardised(sparse + 1e-3 * rng.standard_normal(sparse.shape)),
        rng.integers(0, 4, 1500),
    )
    yield (
        "scaled",
        rng.standard_normal((1500, 60)) * 10.0 ** rng.uniform(-5, 3, 60),
        rng.integers(0, 4, 1500),
    )
    x, y = load_wine(return_X_y=True)
    yield "wine, raw", x, y
    x, y = load_breast_cancer(return_X_y=True)
    yield "breast cancer, raw", x, y


def gradients(
    backend: Backend, mlp: MLP, vector: np.ndarray, x: np.ndarray, y: np.ndarray
) -> list[np.ndarray]:
    run = backend.jit(lambda xp, leaves, x, y: mlp.loss_and_grad(xp, leaves, x, y)[1])
    grad = run(to_leaves(mlp, backend, vector), backend.asarray(x), backend.asarray(y))
    return [np.asarray(g, dtype=np.float64) for g in mlp.layout.split(backend.to_host(grad[0]))]


def errors(mlp: MLP, vector: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    reference = gradients(select_backend("numpy", dtype="float64"), mlp, vector, x, y)
    figures = {}
    for mode, reproducible in MODES.items():
        backend = select_backend("numpy", dtype="float32", reproducible=reproducible)  # type: ignore[arg-type]
        found = gradients(backend, mlp, vector, x, y)
        figures[mode] = max(
            float(np.linalg.norm(g - r) / max(np.linalg.norm(r), 1e-300)) * 2.0**24
            for g, r in zip(found, reference, strict=True)
        )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    print(f"{date.today()}; largest relative error of a parameter's gradient, in units of 2^-24")
    rows: list[dict[str, Any]] = []
    for name, x, y in data_sets():
        x = x.astype(np.float32).astype(np.float64)
        for activation in ("relu", "tanh"):
            mlp = MLP((x.shape[1], 128, 64, int(y.max()) + 1), activation)
            fresh = mlp.initialize(0)
            trained = fit(
                mlp,
                x,
                y,
                backend=select_backend("numpy", dtype="float64"),
                epochs=15,
                clip_norm=1.0,
            ).parameters
            for stage, vector in (("fresh", fresh), ("trained", trained)):
                vector = vector.astype(np.float32).astype(np.float64)
                figures = errors(mlp, vector, x[:1024], y[:1024])
                rows.append({"data": name, "activation": activation, "stage": stage, **figures})
                print(
                    f"{name:20} {activation:5} {stage:8}"
                    + "".join(f"  {mode} {value:8.2f}" for mode, value in figures.items()),
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
