"""5. MNIST, 784-20-10, sigmoid outputs and squared error, sample by sample

The question: a network of twenty hidden units, sigmoid outputs and squared error, updated after each sample. Trained
for an hour it gives one and the same class for every image.

The answer: the forward pass is run before the first update and never again: every update uses the activations of the
first image. No image but the first has any influence beyond its label, so what is learned is how often each class
occurs. With the forward pass in the loop the network is fine as it is, and small batches make it quick.
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
HIDDEN = 20


# ---- as it was asked -----------------------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -500, 500)))


class HandWritten:
    """One hidden layer; `feed_forward` keeps what `back_propagate` needs."""

    def __init__(self, inputs: int, outputs: int = 10, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.weights_ih = rng.normal(0, inputs**-0.5, (HIDDEN, inputs))
        self.weights_ho = rng.normal(0, HIDDEN**-0.5, (outputs, HIDDEN))
        self.bias_h = np.zeros(HIDDEN)
        self.bias_o = np.zeros(outputs)
        self.learning_rate = 0.1
        self.outputs: Array | None = None

    def feed_forward(self, inputs: Array) -> Array:
        self.inputs = inputs
        self.hidden = sigmoid(self.weights_ih @ inputs + self.bias_h)
        self.outputs = sigmoid(self.weights_ho @ self.hidden + self.bias_o)
        return self.outputs

    def back_propagate(self, targets: Array) -> None:
        output_delta = (self.outputs - targets) * self.outputs * (1 - self.outputs)
        hidden_delta = (self.weights_ho.T @ output_delta) * self.hidden * (1 - self.hidden)
        self.weights_ho -= self.learning_rate * np.outer(output_delta, self.hidden)
        self.bias_o -= self.learning_rate * output_delta
        self.weights_ih -= self.learning_rate * np.outer(hidden_delta, self.inputs)
        self.bias_h -= self.learning_rate * hidden_delta

    def learn(self, sample: Array, target: Array) -> None:
        if self.outputs is None:
            self.feed_forward(sample)
        self.back_propagate(target)

    def train(self, samples: Array, targets: Array) -> None:
        for sample, target in zip(samples, targets, strict=True):
            self.learn(sample, target)


class Mended(HandWritten):
    """The forward pass for every sample."""

    def learn(self, sample: Array, target: Array) -> None:
        self.feed_forward(sample)
        self.back_propagate(target)


def squared_error(outputs: Array, targets: Array) -> float:
    return float(0.5 * np.sum((outputs - targets) ** 2))


# ---- right ---------------------------------------------------------------------------------------


def main(options: Options, report: Report) -> None:
    images = digit_images(options)
    inputs = images.x.shape[1]
    mlp = MLP((inputs, HIDDEN, 10), "logistic", output="logistic", loss="squared_error")
    result = fit(
        mlp,
        images.x,
        one_hot(images.y, 10),
        optimizer="sgd",
        learning_rate_init=2.0,
        learning_rate="cosine",
        batch_size=10,
        epochs=30 if images.name == "digits" else 10,
        input_scale=images.scale,
        validation=(images.x_test, one_hot(images.y_test, 10)),
        metrics=["accuracy"],
        task="classification",
    )
    outputs = predict(
        mlp, result.parameters, images.x_test, backend=select_backend(), input_scale=images.scale
    )
    accuracy = float(np.mean(outputs.argmax(axis=1) == images.y_test))
    report.figure(f"{images.name}: test accuracy", accuracy, PERCENT, at_least=0.93)

    n = 1000 if options.quick else 10000
    x, y = images.x[:n] * images.scale, one_hot(images.y[:n], 10)
    hand = {}
    for name, network in (("hand-written", HandWritten(inputs)), ("mended", Mended(inputs))):
        curve = []
        for _ in range(3):
            network.train(x, y)
            labels = np.array(
                [network.feed_forward(row).argmax() for row in images.x_test[:2000] * images.scale]
            )
            curve.append(float(np.mean(labels == images.y_test[:2000])))
        hand[name] = curve
        classes = len(set(labels.tolist()))
        report.figure(f"{name}: test accuracy after 3 epochs", curve[-1], PERCENT)
        mark = {"at_most": 1} if name == "hand-written" else {"at_least": 8}
        report.figure(f"{name}: classes among its answers", classes, "{:.0f}", **mark)

    finding = check_backprop(
        HandWritten(inputs),
        x[:32],
        y[:32],
        weights=["weights_ih", "weights_ho"],
        biases=["bias_h", "bias_o"],
        forward="feed_forward",
        loss=squared_error,
        train_step="learn",
        learning_rate="learning_rate",
        samples="single",
    )
    report.finding("hand-written", finding, ["stale_activations"])
    hand_text = report.figures["hand-written: test accuracy after 3 epochs"]
    report.reached(f"test accuracy {accuracy:.2%} (hand-written {hand_text}, one class for ever)")
    draw(images, [epoch.scores["accuracy"] for epoch in result.history], outputs, hand, report)


def draw(
    images: Images, curve: list[float], outputs: Array, hand: dict[str, list[float]], report: Report
) -> None:
    figure = drawing(
        8.8, 3.5, f"{images.name}, {images.x.shape[1]}-20-10, sigmoid outputs, squared error"
    )
    left, right = figure.subplots(1, 2)
    left.plot(range(1, len(curve) + 1), curve, "o-", color=BLUE, label="batches of 10, all images")
    for (name, accuracies), colour in zip(hand.items(), (RED, "#3a9a5b"), strict=True):
        left.plot(
            range(1, len(accuracies) + 1),
            accuracies,
            "s-",
            color=colour,
            label=f"{name}, one by one",
        )
    left.set(xlabel="epoch", title="test accuracy", ylim=(0, 1))
    left.legend(loc="center right")
    table = np.zeros((10, 10))
    np.add.at(table, (images.y_test, outputs.argmax(axis=1)), 1)
    share = table / table.sum(axis=1, keepdims=True)
    right.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for true, answer in np.argwhere(share >= 0.02):
        colour = "white" if share[true, answer] > 0.5 else "black"
        right.text(
            answer,
            true,
            f"{100 * share[true, answer]:.0f}",
            ha="center",
            va="center",
            color=colour,
            fontsize=7,
        )
    right.set(
        xlabel="answer",
        ylabel="digit",
        xticks=range(10),
        yticks=range(10),
        title="answers in %, right network",
    )
    right.grid(False)
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
