"""6. |sin x| on [0, pi], [0, 2 pi] and [0, 4 pi]

The question: a network with a sigmoid output fits |sin x| on [0, pi] somehow and fails on longer intervals; with the
output made linear it learns nothing useful any more.

The answer: the output was made linear in the forward pass only, and the backward pass still multiplies with
`output * (1 - output)`, which turns the sign round where the output leaves 0..1: an output that is too large is made
larger still, until it overflows. With the right derivative, two layers of 24 tanh units and L-BFGS, the input centred,
fit all three intervals. A sigmoid output could do as well, since |sin x| lies within 0..1; from the same start it does
so on the two shorter intervals and gets stuck on the longest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp import MLP, fit, predict, select_backend
from anyarray_mlp.backprop import check_backprop
from examples.common import BLUE, GREY, ORANGE, RED, Options, Report, drawing, run

Array = Any

INTERVALS = {"[0, pi]": np.pi, "[0, 2 pi]": 2 * np.pi, "[0, 4 pi]": 4 * np.pi}
POINTS = 400


# ---- as it was asked -----------------------------------------------------------------------------


class HandWritten:
    """1-16-1, tanh, whose output was a sigmoid once."""

    def __init__(self, hidden: int = 16, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.W1 = rng.normal(0, 1, (1, hidden))
        self.b1 = np.zeros((1, hidden))
        self.W2 = rng.normal(0, 0.1, (hidden, 1))
        self.b2 = np.zeros((1, 1))

    def forward(self, x: Array) -> Array:
        self.h = np.tanh(x @ self.W1 + self.b1)
        self.out = self.h @ self.W2 + self.b2
        return self.out

    def loss(self, x: Array, y: Array) -> float:
        return float(np.mean((self.forward(x) - y) ** 2))

    def backward(self, x: Array, y: Array) -> dict[str, Array]:
        out = self.forward(x)
        d2 = 2 * (out - y) / len(x) * out * (1 - out)
        d1 = d2 @ self.W2.T * (1 - self.h**2)
        return {
            "W1": x.T @ d1,
            "b1": d1.sum(0, keepdims=True),
            "W2": self.h.T @ d2,
            "b2": d2.sum(0, keepdims=True),
        }

    def step(self, x: Array, y: Array, lr: float) -> None:
        for name, gradient in self.backward(x, y).items():
            setattr(self, name, getattr(self, name) - lr * gradient)


# ---- right ---------------------------------------------------------------------------------------


def curve(length: float, points: int) -> tuple[Array, Array]:
    """x over [0, length] and |sin x|; each (points, 1)."""
    x = np.linspace(0, length, points)[:, None]
    return x, np.abs(np.sin(x))


def learn(length: float, output: str, iterations: int) -> tuple[Array, Array, Array]:
    """x, the truth and the fit at 2,001 points, five times as dense as those trained on."""
    backend = select_backend(dtype="float64")
    x, y = curve(length, POINTS)
    mlp = MLP((1, 24, 24, 1), "tanh", output=output, loss="squared_error")
    result = fit(
        mlp,
        x - length / 2,
        y,
        backend=backend,
        optimizer="lbfgs",
        epochs=iterations,
        gradient_tol=1e-7,
    )
    x, truth = curve(length, 2001)
    return x, truth, predict(mlp, result.parameters, x - length / 2, backend=backend)


def main(options: Options, report: Report) -> None:
    iterations = 200 if options.quick else 600
    fits = {}
    for output in ("identity", "logistic"):
        for name, length in INTERVALS.items():
            x, truth, fitted = learn(length, output, iterations)
            fits[output, name] = x, truth, fitted
            error = float(np.mean((fitted - truth) ** 2))
            linear = output == "identity"
            title = f"{name}, {'linear' if linear else 'sigmoid'} output: mean squared error"
            mark = 1e-2 if options.quick else 1e-3
            report.figure(title, error, "{:.1e}", at_most=mark if linear else None)

    x, y = curve(np.pi, 100)
    finding = check_backprop(
        HandWritten(),
        x,
        y,
        weights=["W1", "W2"],
        biases=["b1", "b2"],
        forward="forward",
        loss="loss",
        gradients="backward",
    )
    report.finding("hand-written", finding, ["derivative_of_another_activation"])
    losses = run_off(HandWritten(), 4 * np.pi)
    report.figure("hand-written on [0, 4 pi]: lowest loss", min(losses), "{:.2g}")
    report.figure(
        "hand-written on [0, 4 pi]: steps until it is above 1000",
        len(losses),
        "{:.0f}",
    )
    errors = {
        output: ", ".join(
            report.figures[f"{name}, {output} output: mean squared error"] for name in INTERVALS
        )
        for output in ("linear", "sigmoid")
    }
    report.reached(
        f"mean squared error on the three intervals {errors['linear']} with a linear output, "
        f"{errors['sigmoid']} with a sigmoid"
    )
    draw(fits, losses, report)


def run_off(network: HandWritten, length: float) -> list[float]:
    """The loss after each step, until it exceeds 1000."""
    x, y = curve(length, POINTS)
    losses = [network.loss(x - length / 2, y)]
    while losses[-1] <= 1000 and len(losses) < 20000:
        network.step(x - length / 2, y, 0.02)
        losses.append(network.loss(x - length / 2, y))
    return losses


def draw(
    fits: dict[tuple[str, str], tuple[Array, Array, Array]], losses: list[float], report: Report
) -> None:
    figure = drawing(9.8, 5.2, "|sin x|: truth and fit")
    axes = figure.subplot_mosaic([["[0, pi]", "[0, 2 pi]", "loss"], ["[0, 4 pi]"] * 3])
    for name in INTERVALS:
        axis = axes[name]
        x, truth, _ = fits["identity", name]
        axis.plot(x, truth, color=GREY, linewidth=5, alpha=0.45, label="|sin x|")
        axis.plot(x, fits["identity", name][2], color=BLUE, label="linear output")
        axis.plot(
            x, fits["logistic", name][2], color=ORANGE, linestyle="--", label="sigmoid output"
        )
        axis.set(title=name.replace(" pi", "π").replace(",π", ", π"), xlabel="x")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    axes["loss"].plot(losses, color=RED)
    axes["loss"].set(yscale="log", xlabel="step", title="hand-written on [0, 4π]: loss")
    report.picture(figure)


if __name__ == "__main__":
    run(__name__, main, __doc__)
