"""3. XOR on a table of 4,123 rows, with learning rate and momentum

The question: XOR as a table of a few thousand rows, split into training and test rows, learned with a learning rate
and momentum. At a learning rate of 1 the weights run off to -10,000; at a lower one it hardly learns, and the loss
that is printed goes up and down.

The answer, three mistakes: the sigmoid's derivative is taken of the sigmoid's value, so that it never falls below 0.19
and nothing stops a weight; the gradient is a sum over 3,298 rows, so that a rate of 1 means 3,298; and the loss
printed, the mean of `y**2 - output**2`, is not the one that is trained.
"""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from anyarray_mlp import MLP, Fit, fit, momentum, predict, select_backend
from anyarray_mlp.backprop import check_backprop
from anyarray_mlp.data import Preprocessor, load, split_indices
from examples.common import BLUE, GREEN, GREY, ORANGE, PERCENT, RED, Options, Report, drawing, run

Array = Any

ROWS = 4123
HIDDEN = 4


def write_table(path: Path, rows: int) -> None:
    """A CSV of random bits a, b and their exclusive or."""
    bits = np.random.default_rng(4123).integers(0, 2, (rows, 2))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "a xor b"])
        writer.writerows([a, b, a ^ b] for a, b in bits.tolist())


# ---- as it was asked -----------------------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def sigmoid_derivative(x: Array) -> Array:
    return sigmoid(x) * (1 - sigmoid(x))


class HandWritten:
    """2-4-1 with momentum."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.weights1 = rng.uniform(-1, 1, (2, HIDDEN))
        self.weights2 = rng.uniform(-1, 1, (HIDDEN, 1))
        self.bias1 = np.zeros((1, HIDDEN))
        self.bias2 = np.zeros((1, 1))
        self.velocity: list[Array] = [0.0, 0.0, 0.0, 0.0]

    def feedforward(self, x: Array) -> Array:
        self.layer1 = sigmoid(x @ self.weights1 + self.bias1)
        self.output = sigmoid(self.layer1 @ self.weights2 + self.bias2)
        return self.output

    def loss(self, output: Array, y: Array) -> float:
        return float(np.mean(y**2 - output**2))

    def train(self, x: Array, y: Array, learning_rate: float, momentum: float = 0.9) -> None:
        output = self.feedforward(x)
        delta2 = (output - y) * sigmoid_derivative(output)
        delta1 = delta2 @ self.weights2.T * sigmoid_derivative(self.layer1)
        gradients = [
            x.T @ delta1,
            delta1.sum(0, keepdims=True),
            self.layer1.T @ delta2,
            delta2.sum(0, keepdims=True),
        ]
        parameters = [self.weights1, self.bias1, self.weights2, self.bias2]
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            self.velocity[i] = momentum * self.velocity[i] - learning_rate * gradient
            parameter += self.velocity[i]


# ---- right ---------------------------------------------------------------------------------------


def learn(x: Array, y: Array, x_test: Array, y_test: Array, epochs: int) -> tuple[MLP, Fit]:
    """2-4-1, sigmoid and squared error as asked; small batches, gradients averaged, momentum 0.9."""
    mlp = MLP((2, HIDDEN, 1), "logistic", output="logistic", loss="squared_error")
    result = fit(
        mlp,
        x,
        y,
        optimizer=momentum(0.9),
        learning_rate_init=0.2,
        batch_size=32,
        epochs=epochs,
        validation=(x_test, y_test),
        metrics=["accuracy"],
        seed=1,
    )
    return mlp, result


def main(options: Options, report: Report) -> None:
    rows, epochs = (600, 150) if options.quick else (ROWS, 30)
    with TemporaryDirectory() as folder:
        table = Path(folder) / "xor.csv"
        write_table(table, rows)
        data = load(table, target="a xor b")
    train, test = split_indices(len(data), fraction=0.2, seed=0)
    preprocessor = Preprocessor.fit(data.features.iloc[train], standardize=False)
    x, x_test = (preprocessor.transform(data.features.iloc[rows]) for rows in (train, test))
    y, y_test = (np.asarray(data.target)[rows, None].astype(np.float64) for rows in (train, test))
    report.say(
        f"{len(data):,} rows read from {table.name}: {len(train):,} to train on, {len(test):,} to test"
    )

    mlp, result = learn(x, y, x_test, y_test, epochs)
    outputs = predict(mlp, result.parameters, x_test, backend=select_backend())
    report.figure("test accuracy", np.mean((outputs > 0.5) == y_test), PERCENT, at_least=1.0)
    error = float(np.mean((outputs - y_test) ** 2))
    report.figure("test mean squared error", error, "{:.2g}", at_most=0.01)
    report.figure("largest weight", np.abs(result.parameters).max(), "{:.1f}", at_most=30)

    network = HandWritten()
    finding = check_backprop(
        network,
        x[:200],
        y[:200],
        weights=["weights1", "weights2"],
        biases=["bias1", "bias2"],
        forward="feedforward",
        loss="loss",
        train_step="train",
        momentum=0.9,
    )
    report.finding(
        "hand-written",
        finding,
        ["loss_reported_differs", "derivative_of_activated", "mean_missing"],
    )
    runs = {rate: run_off(x, y, rate, 300) for rate in (1.0, 0.0003)}
    lowest, _, true = runs[1.0]
    steps = next(i for i, weight in enumerate(lowest, 1) if weight < -10_000)
    report.figure("hand-written at rate 1: steps to a weight below -10,000", steps, "{:.0f}")
    report.figure("hand-written at learning rate 1: mean squared error", true[-1], "{:.3f}")
    report.figure("hand-written at 1/n of it: mean squared error", runs[0.0003][2][-1], "{:.3f}")
    report.reached(
        f"test accuracy {report.figures['test accuracy']}, mean squared error {error:.2g}; hand-written, at "
        f"rate 1: a weight below -10,000 after {steps} steps"
    )
    draw(result, runs, report)


def run_off(
    x: Array, y: Array, rate: float, steps: int
) -> tuple[list[float], list[float], list[float]]:
    """The hand-written network trained: its lowest weight, the loss that it prints and the true one."""
    network = HandWritten()
    lowest, printed, true = [], [], []
    with np.errstate(over="ignore"):
        for _ in range(steps):
            network.train(x, y, rate)
            output = network.feedforward(x)
            lowest.append(float(min(network.weights1.min(), network.weights2.min())))
            printed.append(network.loss(output, y))
            true.append(float(np.mean((y - output) ** 2)))
    return lowest, printed, true


def draw(
    result: Fit, runs: dict[float, tuple[list[float], list[float], list[float]]], report: Report
) -> None:
    figure = drawing(10.0, 3.3, "XOR as a table of 4,123 rows")
    left, middle, right = figure.subplots(1, 3)
    epochs = range(1, len(result.history) + 1)
    left.plot(epochs, result.loss_curve, color=BLUE, label="training")
    left.plot(epochs, result.validation_curve, color=ORANGE, label="test", linestyle="--")
    left.set(yscale="log", xlabel="epoch", title="right: half the squared error")
    left.legend()
    middle.plot(np.abs(runs[1.0][0]), color=RED)
    middle.axhline(10_000, color=GREY, linewidth=0.8, linestyle=":")
    middle.set(yscale="log", xlabel="step", title="hand-written, rate 1: size of the lowest weight")
    right.plot(runs[0.0003][1], color=GREEN, label="printed: mean of y² - output²")
    right.plot(runs[0.0003][2], color=BLUE, label="mean squared error")
    right.axhline(0, color=GREY, linewidth=0.8)
    right.set(xlabel="step", title="hand-written, rate 1/n: its loss")
    right.legend()
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
