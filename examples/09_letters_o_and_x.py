"""9. Letters O and X, 6x6 pixels, max-pooled to 2x2, and a 4-2-2 network with softmax

The question: O and X, drawn on 6x6 pixels, are max-pooled to 2x2 and given to a 4-2-2 network with softmax, one-hot
labels and squared error. It stays at one half, or learns slowly.

The answer, two things. Max-pooling of the pixels themselves throws the letters away: O and X both have ink in every
corner, so both become four ones. Filtered with a diagonal before pooling, four numbers tell them apart. And the delta
`output - y` belongs to cross-entropy: with squared error the softmax's derivative is missing from it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp import MLP, Fit, fit, predict, select_backend
from anyarray_mlp.backprop import check_backprop
from examples.common import (
    BLUE,
    GREY,
    ORANGE,
    PERCENT,
    Options,
    Report,
    drawing,
    one_hot,
    run,
)

Array = Any

O_AND_X = """
.####.   #....#
#....#   .#..#.
#....#   ..##..
#....#   ..##..
#....#   .#..#.
.####.   #....#
"""
DIAGONAL = np.array([[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]) / 3


def letters(n: int, seed: int) -> tuple[Array, Array]:
    """Images (n, 6, 6) of O (0) and X (1), ink and paper of varying grey, and their labels (n,)."""
    rng = np.random.default_rng(seed)
    rows = [line.split() for line in O_AND_X.strip().splitlines()]
    ink = np.array([[[c == "#" for c in row[letter]] for row in rows] for letter in (0, 1)])
    labels = rng.integers(0, 2, n)
    grey = np.where(ink[labels], rng.uniform(0.6, 1.0, (n, 6, 6)), rng.uniform(0.0, 0.3, (n, 6, 6)))
    return grey, labels


def max_pool(images: Array, size: int) -> Array:
    """The largest value of each size x size window: (n, h, w) to (n, h/size, w/size)."""
    n, height, width = images.shape
    return images.reshape(n, height // size, size, width // size, size).max(axis=(2, 4))


def filtered(images: Array) -> Array:
    """Each 3x3 window's product with the diagonal, negative ones cut off: (n, 6, 6) to (n, 4, 4)."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    return np.maximum(np.einsum("nijab,ab->nij", windows, DIAGONAL), 0)


def raw(images: Array) -> Array:
    """Letters (n, 6, 6) max-pooled to (n, 2, 2)."""
    return max_pool(images, 3)


def by_filter(images: Array) -> Array:
    """Letters (n, 6, 6) filtered to (n, 4, 4) and max-pooled to (n, 2, 2)."""
    return max_pool(filtered(images), 2)


# ---- as it was asked -----------------------------------------------------------------------------


def forward(p: dict[str, Array], x: Array) -> tuple[Array, Array]:
    a1 = 1 / (1 + np.exp(-(x @ p["W1"] + p["b1"])))
    z2 = a1 @ p["W2"] + p["b2"]
    e = np.exp(z2 - z2.max(axis=1, keepdims=True))
    return a1, e / e.sum(axis=1, keepdims=True)


def loss(output: Array, y: Array) -> float:
    return float(0.5 * np.mean(np.sum((output - y) ** 2, axis=1)))


def backward(p: dict[str, Array], x: Array, y: Array) -> dict[str, Array]:
    a1, a2 = forward(p, x)
    dz2 = (a2 - y) / len(x)
    dz1 = dz2 @ p["W2"].T * a1 * (1 - a1)
    return {"W1": x.T @ dz1, "b1": dz1.sum(axis=0), "W2": a1.T @ dz2, "b2": dz2.sum(axis=0)}


# ---- right ---------------------------------------------------------------------------------------


def learn(
    x: Array, labels: Array, x_test: Array, test_labels: Array, name: str, epochs: int
) -> tuple[float, Fit]:
    """A 4-2-2 network with a loss of that name; its accuracy on the test letters, and the run."""
    mlp = MLP((4, 2, 2), "logistic", output="softmax", loss=name)
    result = fit(
        mlp,
        x,
        one_hot(labels, 2),
        optimizer="sgd",
        learning_rate_init=0.2,
        batch_size=20,
        epochs=epochs,
        validation=(x_test, one_hot(test_labels, 2)),
        metrics=["accuracy"],
        seed=2,
    )
    answers = predict(mlp, result.parameters, x_test, backend=select_backend()).argmax(axis=1)
    return float(np.mean(answers == test_labels)), result


def main(options: Options, report: Report) -> None:
    images, labels = letters(200, seed=0)
    test_images, test_labels = letters(1000, seed=1)
    epochs = 60
    ways = {"pooled as they are": raw, "filtered, then pooled": by_filter}
    runs = {}
    for way, pool in ways.items():
        x, x_test = (pool(each).reshape(len(each), 4) for each in (images, test_images))
        for name in ("squared_error", "cross_entropy"):
            accuracy, result = learn(x, labels, x_test, test_labels, name, epochs)
            runs[way, name] = result
            mark = {"at_least": 0.99} if way.startswith("filtered") else {"at_most": 0.8}
            title = f"{way}, {name.replace('_', ' ')}: test accuracy"
            report.figure(title, accuracy, PERCENT, **mark)
            if way.startswith("filtered"):
                first = next(e.epoch for e in result.history if e.scores["accuracy"] >= 0.99)
                report.figure(f"{name.replace('_', ' ')}: epochs until 99 %", first, "{:.0f}")

    rng = np.random.default_rng(0)
    parameters = {
        "W1": rng.normal(size=(4, 2)),
        "b1": np.zeros(2),
        "W2": rng.normal(size=(2, 2)),
        "b2": np.zeros(2),
    }
    finding = check_backprop(
        parameters,
        x[:40],
        one_hot(labels[:40], 2),
        weights=["W1", "W2"],
        biases=["b1", "b2"],
        forward=lambda p, x: forward(p, x)[1],
        loss=loss,
        gradients=backward,
    )
    report.finding("hand-written", finding, ["output_derivative_missing"])
    epochs_until = [
        report.figures[f"{name}: epochs until 99 %"] for name in ("squared error", "cross entropy")
    ]
    report.reached(
        f"{report.figures['filtered, then pooled, cross entropy: test accuracy']} of 1,000 test letters, after "
        f"{epochs_until[0]} epochs with squared error and {epochs_until[1]} with cross-entropy; "
        f"{report.figures['pooled as they are, cross entropy: test accuracy']} where the pixels are pooled as they are"
    )
    draw(images, labels, runs, report)


def draw(images: Array, labels: Array, runs: dict[tuple[str, str], Fit], report: Report) -> None:
    figure = drawing(9.4, 3.3, "O and X on 6x6 pixels, max-pooled to 2x2, 4-2-2")
    parts = figure.subplots(1, 3, width_ratios=[1.5, 1, 1])
    order = np.argsort(labels, kind="stable")
    chosen = images[np.concatenate([order[:3], order[-3:]])]
    pooled = [
        np.kron(way(chosen), np.ones((1, size, size))) for way, size in ((raw, 3), (by_filter, 3))
    ]
    show_images(parts[0], np.concatenate([chosen, *pooled]).reshape(18, 36), (6, 6), 6)
    parts[0].set_title("letters; pooled as they are; filtered, then pooled")
    for axis, way in zip(parts[1:], ("pooled as they are", "filtered, then pooled"), strict=True):
        for name, colour in (("squared_error", ORANGE), ("cross_entropy", BLUE)):
            accuracies = [e.scores["accuracy"] for e in runs[way, name].history]
            axis.plot(
                range(1, len(accuracies) + 1),
                accuracies,
                color=colour,
                label=name.replace("_", " "),
            )
        axis.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
        axis.set(xlabel="epoch", title=f"{way}: test accuracy", ylim=(0.4, 1.03))
        axis.legend(loc="center right")
    report.picture(figure)


def show_images(axis: Any, rows: Array, shape: tuple[int, int], columns: int) -> None:
    """Images (n, height * width) side by side in one axis, dark on light."""
    height, width = shape
    n = len(rows) // columns * columns
    tiles = np.pad(rows[:n].reshape(n, height, width), ((0, 0), (1, 1), (1, 1)))
    grid = tiles.reshape(n // columns, columns, height + 2, width + 2).swapaxes(1, 2)
    axis.imshow(grid.reshape(-1, columns * (width + 2)), cmap="Greys")
    axis.set_axis_off()


if __name__ == "__main__":
    run(__name__, main, __doc__)
