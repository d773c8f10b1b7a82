"""The targets: their classes, order and outliers, what the output can reach, and the best constant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.diagnosis.columns import correlation
from anyarray_mlp.network.losses import with_parameter
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.typing import Host


def as_classes(targets: Host, mlp: MLP) -> NDArray[np.int64] | None:
    """Class codes (n,) of labels, one-hot rows or a column of 0 and 1; None for values and for several labels."""
    if targets.ndim == 1:
        is_labels = targets.dtype.kind in "iu" and targets.size and targets.min() >= 0
        return targets.astype(np.int64) if is_labels else None
    if mlp.loss == "poisson" or not np.all((targets == 0) | (targets == 1)):
        return None
    if targets.shape[1] == 1:
        return np.asarray(targets[:, 0], dtype=np.int64)
    return np.argmax(targets, axis=1) if np.all(targets.sum(axis=1) == 1) else None


def outlier_share(targets: Host) -> float:
    """Share of all squared distances from the median in the 1 % of the rows (at least one) farthest from it."""
    values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    distances = np.sort(((values - np.median(values, axis=0)) ** 2).sum(axis=1))
    total = distances.sum()
    return float(distances[-max(1, len(values) // 100) :].sum() / total) if total > 0 else 0.0


def order_of(targets: Host, classes: Host | None) -> float:
    """How much less than by chance the targets of consecutive rows differ: 1 if the rows are sorted."""
    if classes is not None:
        shares = np.bincount(classes) / len(classes)
        by_chance = 1.0 - float((shares**2).sum())
        differ = float(np.mean(classes[1:] != classes[:-1])) if len(classes) > 1 else by_chance
    else:
        values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
        by_chance = 2.0 * float(values.var(axis=0).sum())
        steps = np.diff(values, axis=0)
        differ = float((steps**2).sum(axis=1).mean()) if len(steps) else by_chance
    return 1.0 - differ / by_chance if by_chance > 0 else 0.0


def out_of_reach(mlp: MLP, targets: Host) -> tuple[float, str]:
    """Share of targets that the output cannot produce, and what it can produce."""
    if targets.ndim == 1 and mlp.loss == "cross_entropy":
        k = mlp.sizes[-1]
        return float(np.mean((targets < 0) | (targets >= k))), f"labels 0 to {k - 1}"
    if mlp.output == "logistic":
        return float(np.mean((targets < 0) | (targets > 1))), "values between 0 and 1"
    if mlp.output == "softmax":
        off = (targets < 0) | (targets > 1)
        if targets.ndim == 2:
            off |= np.abs(targets.sum(axis=1, keepdims=True) - 1.0) > 1e-3
        return float(np.mean(off)), "rows between 0 and 1 that sum to one"
    if mlp.output == "exp":
        return float(np.mean(targets < 0)), "positive values"
    return 0.0, "any value"


def baseline_loss(mlp: MLP, targets: Host, weight: Host | None = None) -> float | None:
    """The loss of the best constant output, whatever the output can reach; None if there is no formula.

    `weight` (n,) weights the rows of labels; for values it only weights the mean.
    """
    if targets.ndim == 1 and mlp.loss == "cross_entropy":
        if targets.size == 0 or targets.min() < 0:
            return None
        counts = np.bincount(targets.astype(np.int64), weights=weight)
        return entropy(counts / counts.sum()) if counts.sum() > 0 else None
    values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
    if weight is not None and not weight.sum() > 0:
        return None
    mean = np.average(values, axis=0, weights=weight)
    loss: float | None
    name, parameter = with_parameter(mlp.loss)
    match name:
        case "cross_entropy":
            loss = entropy(mean)
        case "binary_cross_entropy":
            inside = np.clip(mean, 0.0, 1.0)
            loss = sum(entropy(np.array([p, 1.0 - p])) for p in inside)
        case "squared_error":
            loss = float(0.5 * values.var(axis=0).sum())
        case "absolute_error":
            loss = float(np.abs(values - np.median(values, axis=0)).mean(axis=0).sum())
        case "huber":
            distance = np.abs(values - np.median(values, axis=0))
            near = np.minimum(distance, parameter)
            loss = float((near * (distance - 0.5 * near)).mean(axis=0).sum())
        case "quantile":
            error = values - np.quantile(values, parameter, axis=0)
            pinball = np.maximum(parameter * error, (parameter - 1.0) * error)
            loss = float(pinball.mean(axis=0).sum())
        case _:
            loss = None  # Poisson's loss has no scale: its zero is arbitrary
    return loss if loss is not None and np.isfinite(loss) and loss > 0 else None


def entropy(shares: Host) -> float:
    """-sum p log p."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def association(x: Host, targets: Host, classes: Host | None) -> float:
    """The largest |correlation| of a column with a target or a class's indicator, times sqrt(n)."""
    if classes is None:
        wanted = np.asarray(targets, dtype=np.float64).reshape(len(x), -1)
    else:
        wanted = (classes[:, None] == np.unique(classes)[None, :]).astype(np.float64)
    found = np.abs(correlation(np.asarray(x, dtype=np.float64), wanted)).max()
    return float(found * np.sqrt(len(x)))
