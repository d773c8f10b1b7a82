"""11. Sigmoid outputs for many classes, or a softmax?

The question: for ten or twenty-six classes, are sigmoid outputs wrong, and which loss goes with them? The asker's
network has sigmoid outputs, the delta `output - y` and prints `-sum(y * log(output))`.

The answer: all three pairs learn. Sigmoids with squared error are the slowest, since the error is multiplied with
output * (1 - output); sigmoids with binary cross-entropy ask for each class by itself and give numbers that do not sum
to one; softmax with cross-entropy gives probabilities. What the asker prints is the softmax's loss: with sigmoid
outputs it is lowest where every output is 1, and it is not what `output - y` descends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp import MLP, Fit, fit, predict, select_backend
from anyarray_mlp.backprop import check_backprop
from anyarray_mlp.data import Preprocessor, TargetEncoder, load
from examples.common import (
    COLOURS,
    PERCENT,
    MissingData,
    Options,
    Report,
    data_folder,
    digit_images,
    drawing,
    one_hot,
    run,
)

Array = Any
Problem = tuple[Array, Array, Array, Array, float | None, int]

PAIRS = {
    "sigmoid, squared error": ("logistic", "squared_error"),
    "sigmoid, binary cross-entropy": ("logistic", "binary_cross_entropy"),
    "softmax, cross-entropy": ("softmax", "cross_entropy"),
}


# ---- as it was asked -----------------------------------------------------------------------------


class HandWritten:
    """64-32-10 with sigmoid outputs; one matrix a layer, the bias as its last row."""

    def __init__(self, inputs: int, classes: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.W1 = rng.normal(0, inputs**-0.5, (inputs + 1, 32))
        self.W2 = rng.normal(0, 32**-0.5, (33, classes))

    def forward(self, X: Array) -> Array:
        ones = np.ones((len(X), 1))
        self.a0 = np.hstack([X, ones])
        self.a1 = np.hstack([np.tanh(self.a0 @ self.W1), ones])
        self.a2 = 1 / (1 + np.exp(-self.a1 @ self.W2))
        return self.a2

    def loss(self, X: Array, Y: Array) -> float:
        return float(-np.mean(np.sum(Y * np.log(self.forward(X)), axis=1)))

    def backprop(self, X: Array, Y: Array) -> list[Array]:
        delta2 = (self.forward(X) - Y) / len(X)
        delta1 = (delta2 @ self.W2.T * (1 - self.a1**2))[:, :-1]
        return [self.a0.T @ delta1, self.a1.T @ delta2]


# ---- right ---------------------------------------------------------------------------------------


def problems(options: Options, report: Report) -> dict[str, Problem]:
    """Training and test rows of each set, what scales them, and epochs to train for."""
    quick = options.quick
    digits = digit_images(Options(quick=True))
    found: dict[str, Problem] = {
        "digits": (
            digits.x,
            digits.y,
            digits.x_test,
            digits.y_test,
            digits.scale,
            10 if quick else 20,
        )
    }
    try:
        found["printed letters"] = printed_letters(quick)
    except MissingData as error:
        report.say(f"printed letters are left out: {error}")
    images = digit_images(options)
    if images.name == "MNIST":
        found["MNIST"] = (images.x, images.y, images.x_test, images.y_test, images.scale, 6)
    return found


def printed_letters(quick: bool) -> Problem:
    """20,000 letters by 16 features, the customary split."""
    data = load(
        data_folder("letter_recognition") / "letter-recognition.data", target=0, header=False
    )
    first = 4000 if quick else 16000
    preprocessor = Preprocessor.fit(data.features.iloc[:first])
    encoder = TargetEncoder.fit(np.asarray(data.target)[:first], "classification")
    x = preprocessor.transform(data.features)
    y = np.asarray(encoder.encode(data.target))
    return x[:first], y[:first], x[16000:], y[16000:], None, 10 if quick else 20


def learn(problem: Problem, output: str, loss: str) -> tuple[Fit, Array]:
    """A network of one hidden layer of 64, and its outputs (n, k) on the test rows."""
    x, y, x_test, y_test, scale, epochs = problem
    classes = int(y.max()) + 1
    mlp = MLP((x.shape[1], 64, classes), "relu", output=output, loss=loss)
    result = fit(
        mlp,
        x,
        one_hot(y, classes),
        learning_rate_init=1e-3,
        batch_size=32,
        epochs=epochs,
        input_scale=scale,
        validation=(x_test, one_hot(y_test, classes)),
        metrics=["accuracy"],
        task="classification",
    )
    return result, predict(
        mlp, result.parameters, x_test, backend=select_backend(), input_scale=scale
    )


def main(options: Options, report: Report) -> None:
    curves: dict[str, dict[str, list[float]]] = {}
    lines = []
    for name, problem in problems(options, report).items():
        curves[name] = {}
        for pair, (output, loss) in PAIRS.items():
            result, outputs = learn(problem, output, loss)
            curve = [epoch.scores["accuracy"] for epoch in result.history]
            curves[name][pair] = curve
            sums = outputs.sum(axis=1)
            lines.append(
                f"{name:<16} {pair:<30} {curve[0]:>8.2%} {curve[len(curve) // 2 - 1]:>8.2%} {curve[-1]:>8.2%}"
                f"   {sums.min():.2f} to {sums.max():.2f}"
            )
            mark = 0.5 if options.quick else 0.8
            report.figure(
                f"{name}, {pair}",
                curve[-1],
                PERCENT,
                at_least=mark,
            )
    header = f"{'data':<16} {'output, loss':<30} {'epoch 1':>8} {'halfway':>8} {'at last':>8}   outputs sum to"
    report.say("\n" + "\n".join(["test accuracy", header, *lines]))

    digits = digit_images(Options(quick=True))
    finding = check_backprop(
        HandWritten(64, 10),
        digits.x[:64] * digits.scale,
        one_hot(digits.y[:64], 10),
        weights=["W1", "W2"],
        forward="forward",
        loss="loss",
        gradients="backprop",
    )
    report.finding("hand-written", finding, ["loss_reported_differs"])
    report.reached(
        "test accuracy with "
        + "; ".join(
            f"{pair}: "
            + ", ".join(f"{by_pair[pair][-1]:.2%} ({name})" for name, by_pair in curves.items())
            for pair in PAIRS
        )
    )
    draw(curves, report)


def draw(curves: dict[str, dict[str, list[float]]], report: Report) -> None:
    figure = drawing(
        3.2 * len(curves) + 0.4, 3.5, "Test accuracy by epoch, one hidden layer of 64, Adam"
    )
    axes = np.atleast_1d(figure.subplots(1, len(curves)))
    for axis, (name, by_pair) in zip(axes, curves.items(), strict=True):
        for (pair, curve), colour in zip(by_pair.items(), COLOURS, strict=False):
            axis.plot(range(1, len(curve) + 1), curve, ".-", color=colour, label=pair)
        axis.set(title=name, xlabel="epoch")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
