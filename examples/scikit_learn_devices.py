"""The same scikit-learn estimator on NumPy, PyTorch, JAX and CuPy arrays: everything follows X.

    python -m examples.scikit_learn_devices

Each library that is installed gets its turn, on a GPU where it finds one. The last lines train on NumPy arrays with
`device="auto"`: NumPy in, NumPy out, and a GPU in between where there is one.
"""

from __future__ import annotations

import os

os.environ.setdefault(
    "SCIPY_ARRAY_API", "1"
)  # asks for array API support; read when SciPy is imported

import importlib.util
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from anyarray_mlp import MLPClassifier

Array = Any


def torch_arrays(host: np.ndarray) -> Array:
    """On a GPU where PyTorch finds one, else on the CPU."""
    import torch

    return torch.asarray(host, device="cuda" if torch.cuda.is_available() else "cpu")


def jax_arrays(host: np.ndarray) -> Array:
    """On JAX's default device."""
    import jax.numpy as jnp

    return jnp.asarray(host)


def cupy_arrays(host: np.ndarray) -> Array:
    """On the current GPU; raises where there is none."""
    import cupy

    return cupy.asarray(host)


LIBRARIES: dict[str, Callable[[np.ndarray], Array]] = {
    "numpy": np.asarray,
    "torch": torch_arrays,
    "jax": jax_arrays,
    "cupy": cupy_arrays,
}


def main() -> int:
    """Train on each library and print a line; 1 where the accuracies are further apart than rounding explains."""
    x, y = load_digits(return_X_y=True)
    x = (x / 16.0).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
    estimator = MLPClassifier(hidden_layer_sizes=(64,), max_iter=30, random_state=0)
    accuracies = []

    print(f"{'X':<8}{'predictions':<24}{'fit, s':>8}{'accuracy':>10}")
    for name, arrays in LIBRARIES.items():
        if importlib.util.find_spec(name) is None:
            print(f"{name:<8}not installed")
            continue
        try:
            inside, outside = arrays(x_train), arrays(x_test)
        except Exception as error:  # CuPy without a GPU; the reason differs with what is missing
            print(f"{name:<8}no GPU: {type(error).__name__}")
            continue
        with config_context(array_api_dispatch=True):
            accuracies.append(report(name, estimator, inside, y_train, outside, y_test))
    estimator.set_params(device="auto")
    accuracies.append(report("auto", estimator, x_train, y_train, x_test, y_test))
    return int(max(accuracies) - min(accuracies) > 0.02)


def report(
    name: str, estimator: MLPClassifier, x: Array, y: Array, x_test: Array, y_test: Array
) -> float:
    """Fit, predict, print a line; the accuracy. y stays NumPy: it follows X."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(x, y)
    seconds = time.perf_counter() - started
    predicted = estimator.predict(x_test)
    kind = f"{type(predicted).__module__.partition('.')[0]}.{type(predicted).__name__}"
    if hasattr(predicted, "device") and not isinstance(predicted, np.ndarray):
        kind += f" ({predicted.device})"
    host = predicted.get() if hasattr(predicted, "get") else np.asarray(to_cpu(predicted))
    accuracy = float(np.mean(host == y_test))
    print(f"{name:<8}{kind:<24}{seconds:>8.2f}{accuracy:>10.4f}")
    return accuracy


def to_cpu(array: Array) -> Array:
    """PyTorch's arrays leave a GPU by name; others are read where they are."""
    return array.cpu() if hasattr(array, "cpu") else array


if __name__ == "__main__":
    raise SystemExit(main())
