"""4. MNIST, 784-128-64-10, logistic hidden layers

The question: a network of two logistic hidden layers that stays at 11.35 % on MNIST's test set whatever is tried.
11.35 % is the share of the digit 1 in it: the network says 1 to every image.

The answer: weights drawn uniformly from 0..1 give every unit of the first layer a sum of about 50, where a logistic
unit is 1 to the last digit and its derivative zero; and the softmax's derivative is taken elementwise, as p (1 - p).
The checker names the second in the code; the diagnosis of a run with those weights names the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp import MLP, fit, predict, select_backend
from anyarray_mlp.backprop import check_backprop
from examples.common import (
    BLUE,
    PERCENT,
    RED,
    Images,
    Options,
    Report,
    digit_images,
    drawing,
    one_hot,
    run,
)

Array = Any


# ---- as it was asked -----------------------------------------------------------------------------


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


class HandWritten:
    """Three matrices, no bias, weights between 0 and 1."""

    def __init__(self, sizes: tuple[int, int, int, int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.w1 = rng.random((sizes[0], sizes[1]))
        self.w2 = rng.random((sizes[1], sizes[2]))
        self.w3 = rng.random((sizes[2], sizes[3]))

    def forward(self, x: Array) -> Array:
        self.a1 = sigmoid(x @ self.w1)
        self.a2 = sigmoid(self.a1 @ self.w2)
        z3 = self.a2 @ self.w3
        e = np.exp(z3 - z3.max(axis=1, keepdims=True))
        self.a3 = e / e.sum(axis=1, keepdims=True)
        return self.a3

    def loss(self, x: Array, y: Array) -> float:
        return float(-np.mean(np.sum(y * np.log(self.forward(x)), axis=1)))

    def train(self, x: Array, y: Array, learning_rate: float) -> None:
        self.forward(x)
        d3 = -y / self.a3 * self.a3 * (1 - self.a3) / len(x)
        d2 = d3 @ self.w3.T * self.a2 * (1 - self.a2)
        d1 = d2 @ self.w2.T * self.a1 * (1 - self.a1)
        self.w3 -= learning_rate * self.a2.T @ d3
        self.w2 -= learning_rate * self.a1.T @ d2
        self.w1 -= learning_rate * x.T @ d1


# ---- right ---------------------------------------------------------------------------------------


def main(options: Options, report: Report) -> None:
    images = digit_images(options)
    sizes = (images.x.shape[1], 128, 64, 10)
    mlp = MLP(sizes, "logistic", output="softmax")
    settings: dict[str, Any] = {
        "optimizer": "adam",
        "learning_rate_init": 2e-3,
        "learning_rate": "cosine",
        "batch_size": 64,
        "input_scale": images.scale,
    }
    result = fit(
        mlp,
        images.x,
        images.y,
        epochs=30 if images.name == "digits" else 8,
        validation=(images.x_test, images.y_test),
        metrics=["accuracy"],
        **settings,
    )
    outputs = predict(
        mlp, result.parameters, images.x_test, backend=select_backend(), input_scale=images.scale
    )
    accuracy = float(np.mean(outputs.argmax(axis=1) == images.y_test))
    at_least = 0.97 if images.name == "MNIST" else 0.92
    report.figure(f"{images.name}: test accuracy", accuracy, PERCENT, at_least=at_least)

    x = images.x[:64] * images.scale
    y = one_hot(images.y[:64], 10)
    finding = check_backprop(
        HandWritten(sizes),
        x,
        y,
        weights=["w1", "w2", "w3"],
        forward="forward",
        loss="loss",
        train_step="train",
    )
    report.finding("hand-written", finding, ["softmax_elementwise", "constant_output"])
    hand_curve, hand_labels = train_by_hand(HandWritten(sizes), images, 8)
    stuck = float(np.mean(hand_labels == images.y_test))
    report.figure("hand-written: test accuracy", stuck, PERCENT, at_most=0.2)
    report.figure("hand-written: different answers given", len(set(hand_labels.tolist())), "{:.0f}")

    diagnosis = fit(
        mlp,
        images.x[:5000],
        images.y[:5000],
        epochs=3,
        initializer=lambda generator, fan_in, fan_out: generator.random((fan_in, fan_out)),
        **settings,
        diagnose=True,
    ).diagnosis
    report.finding(
        "this library, started from weights between 0 and 1", diagnosis, ["bad_initial_scale"]
    )
    report.reached(f"test accuracy {accuracy:.2%} (hand-written {stuck:.2%})")
    parts = mlp.layout.split(result.parameters)
    x = images.x_test[:1000] * images.scale
    units = {
        "right": sigmoid(x @ parts[0] + parts[mlp.layout.n_layers]),
        "hand-written": sigmoid(x @ HandWritten(sizes).w1),
    }
    curves = {"right": [e.scores["accuracy"] for e in result.history], "hand-written": hand_curve}
    draw(f"{images.name}, {sizes[0]}-128-64-10, logistic", curves, units, report)


def train_by_hand(network: HandWritten, images: Images, epochs: int) -> tuple[list[float], Array]:
    """The test accuracy after each epoch on up to 10,000 images, and the last answers (n,)."""
    x = images.x[:10000] * images.scale
    y = one_hot(images.y[:10000], 10)
    curve = []
    for _ in range(epochs):
        for start in range(0, len(x), 500):
            network.train(x[start : start + 500], y[start : start + 500], 0.1)
        labels = network.forward(images.x_test * images.scale).argmax(axis=1)
        curve.append(float(np.mean(labels == images.y_test)))
    return curve, labels


def draw(
    title: str, curves: dict[str, list[float]], units: dict[str, Array], report: Report
) -> None:
    figure = drawing(8.8, 3.4, title)
    left, right = figure.subplots(1, 2)
    for name, colour in (("right", BLUE), ("hand-written", RED)):
        curve = curves[name]
        left.plot(range(1, len(curve) + 1), curve, "o-", color=colour, label=name)
        values = units[name].ravel()
        share = np.full(values.size, 1 / values.size)
        right.hist(
            values, np.linspace(0, 1, 41), weights=share, color=colour, alpha=0.7, label=name
        )
    left.set(xlabel="epoch", title="test accuracy", ylim=(0, 1))
    left.legend(loc="center right")
    right.set(
        xlabel="activation",
        yscale="log",
        title="units of the first layer, share at each activation",
    )
    right.legend(loc="upper center")
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
