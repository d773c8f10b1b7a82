"""2. XOR with a sigmoid output and squared error, or a softmax output, by a flag

The question: one program with a flag for its output. With the sigmoid it learns XOR, with the softmax it creeps. The
backward pass is the same for both: `(output - y) * output * (1 - output)`.

The answer: that line is right for a sigmoid with squared error. For softmax with cross-entropy `output - y` is the
whole delta already; with the sigmoid's derivative on top, it vanishes where the network is most wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp import MLP, Fit, fit, predict, select_backend
from anyarray_mlp.backprop import check_backprop
from examples.common import BLUE, ORANGE, Options, Report, drawing, run

Array = Any

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
LABELS = np.array([0, 1, 1, 0])
HIDDEN = 4


# ---- as it was asked -----------------------------------------------------------------------------


class HandWritten:
    """2-4-1 with a sigmoid or 2-4-2 with a softmax; one backward pass for both."""

    def __init__(self, softmax: bool, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        outputs = 2 if softmax else 1
        self.use_softmax = softmax
        self.w1 = rng.uniform(-1, 1, (2, HIDDEN))
        self.b1 = np.zeros(HIDDEN)
        self.w2 = rng.uniform(-1, 1, (HIDDEN, outputs))
        self.b2 = np.zeros(outputs)

    def forward(self, x: Array) -> Array:
        self.hidden = np.tanh(x @ self.w1 + self.b1)
        z = self.hidden @ self.w2 + self.b2
        if self.use_softmax:
            e = np.exp(z - z.max(axis=1, keepdims=True))
            self.output = e / e.sum(axis=1, keepdims=True)
        else:
            self.output = 1 / (1 + np.exp(-z))
        return self.output

    def loss(self, x: Array, y: Array) -> float:
        output = self.forward(x)
        if self.use_softmax:
            return float(-np.sum(y * np.log(output)))
        return float(0.5 * np.sum((output - y) ** 2))

    def train(self, x: Array, y: Array, lr: float) -> None:
        output = self.forward(x)
        delta2 = (output - y) * output * (1 - output)
        delta1 = delta2 @ self.w2.T * (1 - self.hidden**2)
        self.w2 -= lr * self.hidden.T @ delta2
        self.b2 -= lr * delta2.sum(axis=0)
        self.w1 -= lr * x.T @ delta1
        self.b1 -= lr * delta1.sum(axis=0)


# ---- right ---------------------------------------------------------------------------------------


def learn(output: str, epochs: int) -> tuple[MLP, Fit]:
    """One network for each flag; its delta follows from output and loss."""
    if output == "softmax":
        mlp = MLP((2, HIDDEN, 2), "tanh", output="softmax")
        targets = LABELS
    else:
        mlp = MLP((2, HIDDEN, 1), "tanh", output="logistic", loss="squared_error")
        targets = LABELS[:, None].astype(np.float64)
    result = fit(
        mlp, X, targets, optimizer="sgd", learning_rate_init=1.0, batch_size=4, epochs=epochs
    )
    return mlp, result


def main(options: Options, report: Report) -> None:
    epochs = 800 if options.quick else 2000
    curves = {}
    for output in ("logistic", "softmax"):
        mlp, result = learn(output, epochs)
        curves[output] = result.loss_curve
        outputs = predict(mlp, result.parameters, X, backend=select_backend())
        probability = outputs[:, -1]
        right = (probability > 0.5) == LABELS
        wrong_by = np.abs(probability - LABELS).max()
        report.figure(f"{output} output: rows of 4 right", right.sum(), "{:.0f}", at_least=4)
        report.figure(f"{output} output: largest error", wrong_by, "{:.3f}", at_most=0.15)
        halfway = next(
            i for i, loss in enumerate(curves[output], 1) if loss < curves[output][0] / 10
        )
        report.figure(f"{output} output: epochs until a tenth of the first loss", halfway, "{:.0f}")

    hand_curves = {}
    for flag in (False, True):
        network = HandWritten(softmax=flag)
        y = np.eye(2)[LABELS] if flag else LABELS[:, None].astype(float)
        finding = check_backprop(
            network,
            X,
            y,
            weights=["w1", "w2"],
            biases=["b1", "b2"],
            forward="forward",
            loss="loss",
            train_step="train",
        )
        name = "softmax" if flag else "sigmoid"
        report.finding(f"hand-written, {name}", finding, ["derivative_on_fused"] if flag else [])
        if not flag and not finding.ok:
            report.missed.append("the sigmoid's backward pass is right and an alarm was given")
        hand_curves[name] = losses(network, X, y, epochs)
    for name, ours in (("sigmoid", "logistic"), ("softmax", "softmax")):
        report.figure(f"{name}: final loss", curves[ours][-1], "{:.1e}")
        report.figure(f"{name}, hand-written: final loss", hand_curves[name][-1], "{:.1e}")
    report.reached(
        f"all rows right with both; final loss {report.figures['sigmoid: final loss']} (sigmoid), "
        f"{report.figures['softmax: final loss']} (softmax; hand-written "
        f"{report.figures['softmax, hand-written: final loss']})"
    )
    draw(curves, hand_curves, report)


def losses(network: HandWritten, x: Array, y: Array, steps: int) -> list[float]:
    """The loss after each step, as a mean over the rows."""
    curve = []
    for _ in range(steps):
        network.train(x, y, 0.25)
        curve.append(network.loss(x, y) / len(x))
    return curve


def draw(curves: dict[str, list[float]], hand: dict[str, list[float]], report: Report) -> None:
    figure = drawing(8.4, 3.3, "XOR, 2-4-1 with a sigmoid and 2-4-2 with a softmax: loss by epoch")
    left, right = figure.subplots(1, 2, sharey=True)
    for axis, lines, title in (
        (left, curves, "right: each output with its own delta"),
        (right, hand, "hand-written: the sigmoid's delta for both"),
    ):
        for (name, curve), colour in zip(lines.items(), (BLUE, ORANGE), strict=True):
            axis.plot(range(1, len(curve) + 1), curve, color=colour, label=name)
        axis.set(xscale="log", yscale="log", xlabel="epoch", title=title)
        axis.legend(loc="lower left")
    left.set_ylabel("loss")
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
