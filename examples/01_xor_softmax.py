"""1. XOR with one hidden layer, softmax and cross-entropy

The question: a 2-5-2 network, later 2-10-2, with softmax and cross-entropy, that was to learn XOR, with the output
delta taken as `y - output`. Is it wrong to add it in the update? And does XOR need a bias?

The answer: `y - output` added is right, since the two signs cancel; mended in one place only, the loss climbs. With
logistic hidden units XOR can be learned without biases (a hidden unit gives 0.5 for an input of zeros); with tanh it
cannot, whatever the number of units: (0, 0) then always gives one half.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp import MLP, fit, predict, select_backend
from anyarray_mlp.backprop import check_backprop
from examples.common import BLUE, GREY, ORANGE, Options, Report, drawing, run

Array = Any

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
LABELS = np.array([0, 1, 1, 0])
ONE_HOT = np.eye(2)[LABELS]


# ---- as it was asked -----------------------------------------------------------------------------


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class HandWritten:
    """2-5-2 without biases; both signs are the other way round, and cancel."""

    def __init__(self, hidden: int = 5, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.w1 = rng.normal(size=(2, hidden))
        self.w2 = rng.normal(size=(hidden, 2))

    def forward(self, x: Array) -> Array:
        self.hidden = sigmoid(x @ self.w1)
        self.out = softmax(self.hidden @ self.w2)
        return self.out

    def loss(self, x: Array, y: Array) -> float:
        return float(-np.mean(np.sum(y * np.log(self.forward(x)), axis=1)))

    def gradients(self, x: Array, y: Array) -> tuple[Array, Array]:
        self.forward(x)
        delta_out = (y - self.out) / len(x)
        delta_hidden = delta_out @ self.w2.T * self.hidden * (1 - self.hidden)
        return x.T @ delta_hidden, self.hidden.T @ delta_out

    def step(self, x: Array, y: Array, rate: float) -> None:
        d1, d2 = self.gradients(x, y)
        self.w1 += rate * d1
        self.w2 += rate * d2


class MendedInOnePlace(HandWritten):
    """The update subtracts now, as the books say, and the delta is left as it was."""

    def step(self, x: Array, y: Array, rate: float) -> None:
        d1, d2 = self.gradients(x, y)
        self.w1 -= rate * d1
        self.w2 -= rate * d2


# ---- right ---------------------------------------------------------------------------------------


def learn(hidden: int, activation: str, bias: bool, seed: int, epochs: int) -> tuple[MLP, Array]:
    """A 2-hidden-2 network trained on the four rows, and its parameters."""
    mlp = MLP((2, hidden, 2), activation, output="softmax", bias=bias)
    result = fit(
        mlp,
        X,
        LABELS,
        optimizer="adam",
        learning_rate_init=0.1,
        batch_size=4,
        epochs=epochs,
        seed=seed,
    )
    return mlp, result.parameters


def main(options: Options, report: Report) -> None:
    seeds, epochs = (2, 200) if options.quick else (10, 400)
    backend = select_backend()
    kinds = [
        ("2-5-2, no bias", 5, "logistic", False),
        ("2-5-2, bias", 5, "logistic", True),
        ("2-10-2, no bias", 10, "logistic", False),
        ("2-10-2, bias", 10, "logistic", True),
        ("2-10-2, tanh, no bias", 10, "tanh", False),
    ]
    surfaces = []
    for name, hidden, activation, bias in kinds:
        solved = 0
        for seed in range(seeds):
            mlp, parameters = learn(hidden, activation, bias, seed, epochs)
            p = predict(mlp, parameters, X, backend=backend)[np.arange(4), LABELS]
            solved += bool(np.all(p > 0.9))
            if seed == 0:
                surfaces.append((name, mlp, parameters))
                at_zero = p[0]
        impossible = activation == "tanh"
        report.figure(
            f"{name}: starts of {seeds} that learn XOR",
            solved,
            "{:.0f}",
            at_least=None if impossible else seeds if bias else seeds / 2,
            at_most=0 if impossible else None,
        )
    report.figure("tanh without bias: probability at (0, 0)", at_zero, at_least=0.5, at_most=0.5)

    network = HandWritten()
    finding = check_backprop(
        network,
        X,
        ONE_HOT,
        weights=["w1", "w2"],
        forward="forward",
        loss="loss",
        gradients="gradients",
        train_step="step",
    )
    report.finding("both signs turned", finding, ["sign_flipped_twice"])
    half_mended = MendedInOnePlace()
    finding = check_backprop(
        half_mended,
        X,
        ONE_HOT,
        weights=["w1", "w2"],
        forward="forward",
        loss="loss",
        train_step="step",
    )
    report.finding("mended in one place", finding, ["sign_flipped"])
    curves = {
        "both signs turned": losses(network, 3000),
        "one sign turned": losses(half_mended, 30),
    }
    report.figure("hand-written, both signs turned: loss", curves["both signs turned"][-1])
    report.figure("hand-written, mended in one place: loss", curves["one sign turned"][-1])
    counts = [report.figures[f"{name}: starts of {seeds} that learn XOR"] for name, *_ in kinds]
    report.reached(
        f"learned from {counts[0]} and {counts[2]} of {seeds} starts without bias (2-5-2, 2-10-2), from "
        f"{counts[1]} and {counts[3]} with; with tanh and no bias from {counts[4]}"
    )
    draw(surfaces, curves, report)


def losses(network: HandWritten, steps: int) -> list[float]:
    """The loss after each step at rate 1."""
    curve = []
    for _ in range(steps):
        network.step(X, ONE_HOT, 1.0)
        curve.append(network.loss(X, ONE_HOT))
    return curve


def draw(
    surfaces: list[tuple[str, MLP, Array]], curves: dict[str, list[float]], report: Report
) -> None:
    figure = drawing(
        8.8, 4.8, "XOR: the probability of class 1, and the loss of the hand-written network"
    )
    grid = np.linspace(-0.5, 1.5, 81)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    axes = figure.subplots(2, 3).ravel()
    for axis, (name, mlp, parameters) in zip(axes, surfaces, strict=False):
        p = predict(mlp, parameters, points, backend=select_backend())[:, 1].reshape(81, 81)
        shown = axis.contourf(grid, grid, p, levels=np.linspace(0, 1, 11), cmap="RdBu_r")
        axis.contour(grid, grid, p, levels=[0.5], colors=GREY, linewidths=1)
        for label, marker in ((0, "o"), (1, "s")):
            chosen = X[label == LABELS]
            axis.scatter(*chosen.T, c="white", edgecolors="black", marker=marker, s=42, zorder=3)
        axis.set(title=name, xticks=[0, 1], yticks=[0, 1])
        axis.grid(False)
    figure.colorbar(shown, ax=list(axes[[2, 5]]), ticks=[0, 0.5, 1], shrink=0.6)
    for (name, curve), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        axes[5].plot(range(1, len(curve) + 1), curve, color=colour, label=name)
    axes[5].set(xscale="log", yscale="log", xlabel="step", title="hand-written, 2-5-2: loss")
    axes[5].legend(loc="lower left")
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
