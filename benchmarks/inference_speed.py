"""Microseconds of a prediction: one row at a time, and many at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.harness import Timing, interleave
from benchmarks.workloads import Workload

#: Rows of a prediction and predictions of a round.
SIZES = {1: 2000, 4096: 3}


def products(workload: Workload, rows: int, calls: int) -> Callable[[], float]:
    """The matrix products alone."""
    rng = np.random.default_rng(0)
    pairs = [
        [rng.standard_normal(shape, dtype=np.float32) for shape in ((rows, i), (i, o))]
        for i, o in pairwise(workload.sizes)
    ]

    def one_round() -> float:
        for _ in range(calls):
            for a, w in pairs:
                np.dot(a, w)
        return math.nan

    return one_round


def anyarray(backend: str) -> Callable[..., Callable[[], float]]:
    """`Predictor` on a backend: what `TrainedModel.predict` calls."""

    def make(workload: Workload, rows: int, calls: int) -> Callable[[], float]:
        from anyarray_mlp import MLP, select_backend
        from anyarray_mlp.training.predicting import Predictor

        mlp = MLP(workload.sizes, activation=workload.activation)
        predictor = Predictor(mlp, mlp.initialize(0), select_backend(backend))
        return repeated(predictor, workload, rows, calls)

    return make


def estimator(workload: Workload, rows: int, calls: int) -> Callable[[], float]:
    """`predict_proba` of this project's estimator."""
    from anyarray_mlp.estimators import MLPClassifier

    return fitted(MLPClassifier, workload, rows, calls)


def scikit_learn(workload: Workload, rows: int, calls: int) -> Callable[[], float]:
    """`predict_proba` of scikit-learn's."""
    from sklearn.neural_network import MLPClassifier

    return fitted(MLPClassifier, workload, rows, calls)


def fitted(kind: Any, workload: Workload, rows: int, calls: int) -> Callable[[], float]:
    """A classifier after one pass over a few rows."""
    import warnings

    x, y = workload.data()
    n = min(len(x), 200)
    y = np.arange(n) % workload.sizes[-1]
    model = kind(workload.sizes[1:-1], activation=workload.activation, max_iter=1, batch_size=n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x[:n], y)
    return repeated(model.predict_proba, workload, rows, calls)


def pytorch(workload: Workload, rows: int, calls: int) -> Callable[[], float]:
    """PyTorch's modules under `inference_mode`, NumPy in and out."""
    import torch

    from benchmarks.peers import torch_model

    model = torch.nn.Sequential(torch_model(workload, "cpu")[0], torch.nn.Softmax(1))

    def predict(x: Any) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return repeated(predict, workload, rows, calls)


def repeated(
    predict: Callable[[Any], Any], workload: Workload, rows: int, calls: int
) -> Callable[[], float]:
    """A round of `calls` predictions of the same rows."""
    x = np.random.default_rng(0).standard_normal((rows, workload.sizes[0]), dtype=np.float32)

    def one_round() -> float:
        for _ in range(calls):
            outputs = predict(x)
        return float(outputs[0, 0])

    return one_round


CONTENDERS: dict[str, Callable[..., Callable[[], float]]] = {
    "products alone": products,
    "anyarray-mlp numpy": anyarray("numpy"),
    "anyarray-mlp torch": anyarray("torch"),
    "anyarray-mlp jax": anyarray("jax"),
    "anyarray-mlp estimator": estimator,
    "scikit-learn": scikit_learn,
    "PyTorch": pytorch,
}


def contender(name: str, workload: Workload, rows: int, calls: int) -> Callable[[], float]:
    """One contender's round; named so that another process can make it."""
    return CONTENDERS[name](workload, rows, calls)


def measure(
    rounds: int, chosen: Sequence[Workload], scale: float = 1.0
) -> dict[str, dict[str, Timing]]:
    """Timings by what is predicted and contender."""
    results = {}
    for workload in chosen:
        for rows, calls in SIZES.items():
            short = max(1, round(calls * scale))
            timings = interleave(
                {name: (contender, (name, workload, rows, short)) for name in CONTENDERS}, rounds
            )
            for timing in timings.values():
                timing.per = short
            network = "-".join(map(str, workload.sizes))
            results[f"{network}, {rows} row{'s' if rows > 1 else ''}"] = timings
    return results
