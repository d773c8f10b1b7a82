"""8. MNIST, 784-300-75-10, relu, relu, softmax

The question: a network trained sample by sample whose accuracy climbs as it should, while the loss that is printed
after each epoch climbs too.

The answer: the softmax divides by the sum over the whole array. For one sample, as in training, that is right. For the
batch that is evaluated it runs over all images at once: the largest stays largest in each row, so the accuracy is
right, but every probability is that of one image among thousands, and the surer the network is of some images, the
less is left for the others.
"""

from __future__ import annotations

from itertools import pairwise
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


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def softmax(z: Array) -> Array:
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


class HandWritten:
    """784-300-75-10, trained with one sample at a time and evaluated with all."""

    def __init__(self, sizes: tuple[int, int, int, int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        pairs = list(pairwise(sizes))
        self.weights = [rng.normal(0, np.sqrt(2 / i), (i, o)) for i, o in pairs]
        self.biases = [np.zeros(o) for _, o in pairs]

    def forward(self, x: Array) -> Array:
        self.a0 = x
        self.a1 = relu(self.a0 @ self.weights[0] + self.biases[0])
        self.a2 = relu(self.a1 @ self.weights[1] + self.biases[1])
        return softmax(self.a2 @ self.weights[2] + self.biases[2])

    def train_sample(self, x: Array, y: Array, lr: float) -> None:
        d3 = self.forward(x) - y
        d2 = (self.weights[2] @ d3) * (self.a2 > 0)
        d1 = (self.weights[1] @ d2) * (self.a1 > 0)
        for i, (a, d) in enumerate(((self.a0, d1), (self.a1, d2), (self.a2, d3))):
            self.weights[i] -= lr * np.outer(a, d)
            self.biases[i] -= lr * d


def cross_entropy(p: Array, y: Array) -> float:
    return float(-np.mean(np.sum(y * np.log(p + 1e-300), axis=1)))


# ---- right ---------------------------------------------------------------------------------------


def main(options: Options, report: Report) -> None:
    images = digit_images(options)
    sizes = (images.x.shape[1], 300, 75, 10)
    mlp = MLP(sizes, "relu", output="softmax")
    result = fit(
        mlp,
        images.x,
        images.y,
        learning_rate_init=1e-3,
        learning_rate="cosine",
        batch_size=128,
        epochs=20 if images.name == "digits" else 10,
        input_scale=images.scale,
        validation=(images.x_test, images.y_test),
        metrics=["accuracy"],
    )
    outputs = predict(
        mlp, result.parameters, images.x_test, backend=select_backend(), input_scale=images.scale
    )
    accuracy = float(np.mean(outputs.argmax(axis=1) == images.y_test))
    mark = 0.98 if images.name == "MNIST" else 0.95
    report.figure(f"{images.name}: test accuracy", accuracy, PERCENT, at_least=mark)
    report.figure(f"{images.name}: test cross-entropy", result.validation_curve[-1], "{:.3f}")

    x, y = images.x[:24] * images.scale, one_hot(images.y[:24], 10)
    # The mistakes are the same in a smaller network, and are found sooner.
    finding = check_backprop(
        HandWritten((sizes[0], 30, 20, 10)),
        x,
        y,
        weights=["weights.0", "weights.1", "weights.2"],
        biases=["biases.0", "biases.1", "biases.2"],
        forward="forward",
        loss=cross_entropy,
        train_step=train_batch,
    )
    report.finding("hand-written", finding, ["softmax_over_batch"])
    printed, true, accuracies = train_by_hand(HandWritten(sizes), images, 2 if options.quick else 6)
    report.figure("hand-written: loss printed after the first epoch", printed[0], "{:.2f}")
    report.figure(
        "hand-written: loss printed after the last epoch",
        printed[-1],
        "{:.2f}",
        at_least=printed[0],
    )
    report.figure("hand-written: true loss after the last epoch", true[-1], "{:.2f}")
    report.figure(
        "hand-written: accuracy after the last epoch",
        accuracies[-1],
        PERCENT,
        at_least=accuracies[0],
    )
    report.reached(
        f"test accuracy {accuracy:.2%}; hand-written: accuracy {accuracies[0]:.2%} to {accuracies[-1]:.2%} "
        f"while the loss printed goes from {printed[0]:.1f} to {printed[-1]:.1f}"
    )
    draw(images, result.history, printed, true, accuracies, report)


def train_batch(network: HandWritten, x: Array, y: Array, lr: float) -> None:
    """A turn of the training loop: sample after sample."""
    for sample, target in zip(x, y, strict=True):
        network.train_sample(sample, target, lr)


def train_by_hand(
    network: HandWritten, images: Images, epochs: int
) -> tuple[list[float], list[float], list[float]]:
    """The loss printed, the true loss and the accuracy on test images, after each epoch on 2,000."""
    x, y = images.x[:2000] * images.scale, one_hot(images.y[:2000], 10)
    x_test, y_test = images.x_test[:2000] * images.scale, one_hot(images.y_test[:2000], 10)
    printed, true, accuracies = [], [], []
    for _ in range(epochs):
        train_batch(network, x, y, 0.003)
        p = network.forward(x_test)
        printed.append(cross_entropy(p, y_test))
        true.append(cross_entropy(p / p.sum(axis=1, keepdims=True), y_test))
        accuracies.append(float(np.mean(p.argmax(axis=1) == y_test.argmax(axis=1))))
    return printed, true, accuracies


def draw(
    images: Images,
    history: Any,
    printed: list[float],
    true: list[float],
    accuracies: list[float],
    report: Report,
) -> None:
    figure = drawing(9.6, 3.2, f"{images.name}, {images.x.shape[1]}-300-75-10, relu, softmax")
    left, middle, right = figure.subplots(1, 3)
    epochs = range(1, len(printed) + 1)
    left.plot(epochs, printed, "s-", color=RED, label="printed: softmax over the batch")
    left.plot(epochs, true, "o-", color=BLUE, label="softmax by rows")
    left.set(xlabel="epoch", title="hand-written: test loss", ylim=(0, None))
    left.legend(loc="center right")
    middle.plot(epochs, accuracies, "o-", color=BLUE)
    middle.set(xlabel="epoch", title="hand-written: test accuracy")
    epochs = range(1, len(history) + 1)
    right.plot(epochs, [1 - e.scores["accuracy"] for e in history], "o-", color=BLUE)
    right.set(xlabel="epoch", title="right: test images misread", yscale="log")
    right.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    right.yaxis.set_minor_formatter(lambda value, _: f"{100 * value:g} %")
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
