"""Seconds until 97 % of MNIST's test images are right, from the first step, evaluation included."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Timing, interleave

GOAL = 0.97
SIZES, BATCH, RATE, MOST_EPOCHS = (784, 128, 64, 10), 128, 1e-3, 20
Data = tuple[Any, Any, Any, Any]


def mnist(folder: str) -> Data:
    """Training and test images (n, 784) float32 in 0 ... 1, and labels."""
    from anyarray_mlp.data import load

    train = load(folder)
    test = train.test
    parts: list[Any] = []
    for part in (train, test):
        parts += [np.asarray(part.features, np.float32) / np.float32(255), np.asarray(part.target)]
    return tuple(np.asarray(p, np.int64) if p.ndim == 1 else p for p in parts)  # type: ignore


def anyarray(backend_name: str) -> Callable[[Data], Callable[[], Iterator[Any]]]:
    """This project, `train` epoch by epoch."""

    def make(data: Data) -> Callable[[], Iterator[Any]]:
        from anyarray_mlp import MLP, select_backend, train
        from anyarray_mlp.training.predicting import Predictor

        x, y, test, _ = data
        mlp, backend = MLP(SIZES), select_backend(backend_name)

        def epochs() -> Iterator[Any]:
            for epoch in train(
                mlp,
                x,
                y,
                backend=backend,
                learning_rate_init=RATE,
                epochs=MOST_EPOCHS,
                batch_size=BATCH,
            ):
                yield np.argmax(Predictor(mlp, epoch.snapshot().parameters, backend)(test), axis=1)

        return epochs

    return make


def scikit_learn(data: Data) -> Callable[[], Iterator[Any]]:
    """scikit-learn's classifier, one epoch at a time with a warm start."""
    from sklearn.neural_network import MLPClassifier

    x, y, test, _ = data

    def epochs() -> Iterator[Any]:
        model = MLPClassifier(
            SIZES[1:-1], batch_size=BATCH, learning_rate_init=RATE, alpha=0.0, random_state=0
        )
        rng = np.random.default_rng(0)
        classes = np.arange(10)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(MOST_EPOCHS):
                order = rng.permutation(len(x))
                model.partial_fit(x[order], y[order], classes=classes)
                yield model.predict(test)

    return epochs


def pytorch(data: Data) -> Callable[[], Iterator[Any]]:
    """PyTorch with fused Adam."""
    import torch

    x, y, test, _ = (torch.from_numpy(np.ascontiguousarray(a)) for a in data)

    def epochs() -> Iterator[Any]:
        torch.manual_seed(0)
        layers: list[Any] = []
        for i, o in pairwise(SIZES):
            layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
        loss_of = torch.nn.CrossEntropyLoss()
        for _ in range(MOST_EPOCHS):
            for index in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad(set_to_none=True)
                loss_of(model(x[index]), y[index]).backward()
                optimizer.step()
            with torch.inference_mode():
                yield model(test).argmax(1).numpy()

    return epochs


CONTENDERS: dict[str, Callable[[Data], Callable[[], Iterator[Any]]]] = {
    "anyarray-mlp numpy": anyarray("numpy"),
    "anyarray-mlp torch": anyarray("torch"),
    "anyarray-mlp jax": anyarray("jax"),
    "scikit-learn": scikit_learn,
    "PyTorch": pytorch,
}


def contender(name: str, folder: str) -> Callable[[], float]:
    """Rounds of training to the goal; the figure is the accuracy reached."""
    data = mnist(folder)
    epochs = CONTENDERS[name](data)

    def one_round() -> float:
        accuracy = 0.0
        started = time.perf_counter()
        for predicted in epochs():
            accuracy = float(np.mean(predicted == data[3]))
            if accuracy >= GOAL:
                break
        one_round.seconds = time.perf_counter() - started  # type: ignore[attr-defined]
        return accuracy

    return one_round


def measure(folder: Path, rounds: int) -> dict[str, Timing]:
    """Timings by contender."""
    return interleave({name: (contender, (name, str(folder))) for name in CONTENDERS}, rounds)
