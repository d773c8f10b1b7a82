"""The losses that are known by name: what a gradient is compared with where no loss is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anyarray_mlp.typing import Host


@dataclass(frozen=True)
class Loss:
    """A loss summed over everything: `value(output, target)`, both (n, k)."""

    name: str
    formula: str
    value: Callable[[Host, Host], float]


def softmax(z: Host) -> Host:
    """exp(z) over its row's sum."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def log(p: Host) -> Host:
    """log p, kept finite at p = 0."""
    return np.log(np.maximum(p, 1e-300))


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in [
        Loss(
            "squared_error",
            "1/2 sum (output - y)^2",
            lambda o, y: float(0.5 * ((o - y) ** 2).sum()),
        ),
        Loss("cross_entropy", "-sum y log(output)", lambda o, y: float(-(y * log(o)).sum())),
        Loss(
            "binary_cross_entropy",
            "-sum y log(output) + (1 - y) log(1 - output)",
            lambda o, y: float(-(y * log(o) + (1 - y) * log(1 - o)).sum()),
        ),
        Loss(
            "cross_entropy_of_logits",
            "-sum y log(softmax(output))",
            lambda o, y: float(-(y * log(softmax(o))).sum()),
        ),
        Loss(
            "binary_cross_entropy_of_logits",
            "-sum y log(sigmoid(output)) + (1 - y) log(1 - sigmoid(output))",
            lambda o, y: float((np.logaddexp(0, o) - y * o).sum()),
        ),
    ]
}
#: What a gradient may be that of, if it is not that of the loss told.
TRAINED: dict[str, Loss] = {
    **LOSSES,
    "absolute_error": Loss(
        "absolute_error", "sum |output - y|", lambda o, y: float(np.abs(o - y).sum())
    ),
    "huber": Loss(
        "huber",
        "sum huber(output - y), threshold 1",
        lambda o, y: float(
            np.where(np.abs(o - y) <= 1, 0.5 * (o - y) ** 2, np.abs(o - y) - 0.5).sum()
        ),
    ),
}
NAMED_LOSSES = {
    "squared_error": "squared_error",
    "mse": "squared_error",
    "cross_entropy": "cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy",
    "bce": "binary_cross_entropy",
    "cross_entropy_of_logits": "cross_entropy_of_logits",
    "binary_cross_entropy_of_logits": "binary_cross_entropy_of_logits",
}


def suits(name: str, output: Host) -> bool:
    """May these outputs (n, k) go into a loss? A logarithm needs numbers between 0 and 1."""
    if name.endswith("logits"):
        return not suits("binary_cross_entropy", output)
    if name == "squared_error":
        return True
    inside = bool((output > 0).all() and (output < 1).all())
    if name == "cross_entropy":
        return inside and output.shape[1] > 1
    return inside
