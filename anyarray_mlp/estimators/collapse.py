"""Whether a fit collapsed to the same answer for every input, or is worse than one, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.backends import select_backend
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Host

# Diagnosis also has rules for dead units, saturated units and one class. They are not shared, because the question
# differs: they read the record of a whole run, whose probe gives mean fractions of a layer before and after training,
# and they may report a suspicion, ranked among other causes. Here there are only the final parameters, on the host,
# and a warning that nobody asked for must be certain: a unit counts as failed only if it failed for every row.

#: Number of rows to examine, evenly spread over the training data.
ROWS = 256
#: With fewer rows than this, no conclusion is drawn.
FEW = 10
#: Fraction of a layer's units that must have failed for the layer to be blamed.
MOST = 0.9
#: Fraction of one class above which predicting only that class is no surprise.
IMBALANCE = 0.95
#: A layer passes no signal on if its units vary by less than this across inputs, relative to their size.
FLAT = 1e-3

#: A mean or deviation of targets above which they are called unscaled.
UNSCALED = 5.0

BOUNDED = {"logistic": (0.0, 1.0), "tanh": (-1.0, 1.0)}


class CollapsedFitWarning(UserWarning):
    """A fit ended with a network that gives the same answer for every input, or does worse than the mean of y."""


@dataclass(frozen=True)
class Cause:
    """What is wrong with a layer, and what to change."""

    finding: str
    cure: str


UNKNOWN = Cause(
    "No layer is dead or saturated, so training has learned only how frequent the answers are.",
    "Standardise the inputs (StandardScaler), make learning_rate_init 10 times larger or smaller, or train longer.",
)


def spread_rows(n: int) -> Host:
    """At most ROWS row numbers, evenly spread over n."""
    return np.unique(np.linspace(0, n - 1, min(n, ROWS)).astype(np.int64))


def collapse(
    mlp: MLP, parameters: Host, x: Host, targets: Host, learning: bool = False
) -> str | None:
    """One line on what is wrong and what to change, or None if the answers differ between inputs and are of use.

    x (n, i) and targets, codes (n,) or values (n, k), are a sample of the training data. `learning` says that the
    last epoch still improved when training reached its limit: a network that only needs more epochs has not
    collapsed.
    """
    xp = select_backend("numpy", dtype="float64").xp
    theta = (np.asarray(parameters, dtype=np.float64),)
    layers: list[Any] = list(mlp.layers(xp, theta, np.asarray(x, dtype=np.float64)))
    *hidden, (_, outputs) = layers
    answer = one_answer(mlp, outputs, targets)
    if answer is None:
        return worse_than_mean(mlp, outputs, targets)
    cause = first_cause(mlp, hidden)
    if cause is UNKNOWN and learning:
        return None
    return f"The fit ended with {answer}. {cause.finding} {cause.cure}"


def worse_than_mean(mlp: MLP, outputs: Host, targets: Host) -> str | None:
    """One line on outputs (n, k) whose squared error is above that of the targets' mean, or None."""
    if (mlp.output, mlp.loss) != ("identity", "squared_error") or len(targets) < FEW:
        return None
    mean, deviation = targets.mean(axis=0), targets.std(axis=0)
    with np.errstate(over="ignore"):
        of_mean = np.sum(np.square(deviation))
        ratio = np.mean(np.sum(np.square(outputs - targets), axis=1)) / (of_mean or np.inf)
    if not ratio > 1.0:
        return None
    largest = int(np.argmax(np.maximum(np.abs(mean), deviation)))
    cure = "Standardise the inputs (StandardScaler), change learning_rate_init, or train longer."
    if max(abs(mean[largest]), deviation[largest]) > UNSCALED:
        cure = (
            f"y is not scaled (mean {mean[largest]:.3g}, deviation {deviation[largest]:.3g}), and training begins at "
            "outputs about 0: standardise it with TransformedTargetRegressor(..., transformer=StandardScaler()), or "
            "use TabularMLPRegressor, which does so."
        )
    return (
        "The fit ended worse than a constant: on training rows its squared error is "
        f"{ratio:.3g} times that of the mean of y. {cure}"
    )


def one_answer(mlp: MLP, outputs: Host, targets: Host) -> str | None:
    """The one answer of all outputs (n, k) although the targets differ, or None."""
    if mlp.output in ("softmax", "logistic"):
        return one_class(mlp, outputs, targets)
    varies = np.std(targets, axis=0) > 0
    if len(targets) < FEW or not np.any(varies):
        return None
    spread, scale = np.std(outputs, axis=0)[varies], np.std(targets, axis=0)[varies]
    size = np.mean(np.abs(outputs), axis=0)[varies]
    if np.any((spread > FLAT * scale) | (spread > 10 * FLAT * size)):
        return None
    return "one value predicted for every input"


def one_class(mlp: MLP, outputs: Host, targets: Host) -> str | None:
    """The class that is predicted for every input although others are common, in words; else None."""
    if mlp.output == "softmax":
        truth = targets if targets.ndim == 1 else np.argmax(targets, axis=1)
        answers = np.argmax(outputs, axis=1)
    elif outputs.shape[1] == 1:
        truth, answers = targets[:, 0] > 0.5, outputs[:, 0] > 0.5
    else:
        return None  # independent labels, each of which may well be rare
    _, counts = np.unique(truth, return_counts=True)
    if (
        len(truth) < FEW
        or len(counts) < 2
        or counts.max() > IMBALANCE * len(truth)
        or np.any(answers != answers[0])
    ):
        return None
    n_classes = max(mlp.sizes[-1], 2)
    right = np.mean(truth == answers)
    return f"one class of {n_classes} predicted for every input, right for {right:.0%} of them"


def first_cause(mlp: MLP, hidden: list[tuple[Host, Host]]) -> Cause:
    """The first layer that fails, or what to try if none does."""
    for layer, (z, a) in enumerate(hidden):
        name = mlp.activation[layer]
        where = f"hidden layer {layer + 1} of {len(hidden)} ({name})"
        dead = np.mean(np.all(z <= 0, axis=0)) if name == "relu" else 0.0
        if dead >= MOST:
            return Cause(
                f"In {where} {dead:.0%} of the units are dead: they are 0 for every input and cannot learn any more.",
                "Lower learning_rate_init, standardise the inputs (StandardScaler), or use activation='leaky_relu'.",
            )
        if name in BOUNDED:
            low, high = BOUNDED[name]
            margin = 0.01 * (high - low)
            saturated = np.mean(np.all((a < low + margin) | (a > high - margin), axis=0))
            if saturated >= MOST:
                return Cause(
                    f"In {where} {saturated:.0%} of the units are saturated: "
                    "they are at the ends of their range, where gradients vanish.",
                    "Standardise the inputs (StandardScaler), lower learning_rate_init, or use activation='relu'.",
                )
    for layer, (_, a) in enumerate(hidden):
        spread, size = np.mean(np.std(a, axis=0)), np.mean(np.abs(a))
        if len(a) > 1 and spread <= FLAT * size:
            return Cause(
                f"From hidden layer {layer + 1} of {len(hidden)} ({mlp.activation[layer]}) on, the units "
                "hardly differ between inputs: the signal, and the gradient with it, fades from layer to layer.",
                "Use fewer layers, activation='relu' or 'tanh' with initializer='auto', or solver='adam'.",
            )
    return UNKNOWN
