"""Other weights, samples and labels for a recorded step, and numbers that only guard it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anyarray_mlp.backprop.tracing.tape import Node, TraceLost
from anyarray_mlp.typing import Host

#: Numbers up to this are added to keep a logarithm or a division finite; they are made smaller by this factor.
LARGEST_GUARD = 1e-5
TINY = 1e-4


def guards(nodes: Sequence[Node]) -> list[Node]:
    """The small numbers that keep a logarithm finite: they would show as a small difference in gradients."""
    return list(
        dict.fromkeys(
            operand
            for node in nodes
            if node.operation == "add"
            for operand in node.operands
            if not operand.operands
            and operand.value.size == 1
            and 0 < abs(float(operand.value.flat[0])) <= LARGEST_GUARD
        )
    )


def redrawn(value: Host, rng: np.random.Generator) -> Host:
    """Other weights, of the same size."""
    widest = max(value.shape, default=1) if value.ndim > 1 else 4
    return np.asarray(rng.standard_normal(value.shape) * 1.3 / np.sqrt(widest))


def stirred(value: Host, rng: np.random.Generator) -> Host:
    """Other samples, of a size at which nothing saturates."""
    if value.dtype.kind not in "fiu":
        return value
    scale = float(np.std(value)) or float(np.abs(value).max(initial=0.0)) or 1.0
    fresh = rng.standard_normal(value.shape)
    return fresh if not 0.05 < scale < 3 else value * 0.3 + fresh * scale


def other_labels(value: Host) -> Host:
    """Targets of the same kind that differ for every sample."""
    two = bool(np.isin(value, (0, 1)).all())
    if value.dtype.kind == "b":
        one_hot = value.ndim == 1 and value.size > 2 and value.sum() == 1
        return np.roll(value, 1) if one_hot else ~value
    if value.dtype.kind in "iu" and not two:
        return (value + 1) % (value.max() + 1) if value.max() > 0 else value + 1
    if two and value.ndim == 2:
        for axis in (1, 0):
            if value.shape[axis] > 1 and np.all(value.sum(axis) == 1):
                return np.roll(value, 1, axis)
    if two and value.ndim == 1 and value.size > 2 and value.sum() == 1:
        return np.roll(value, 1)
    if two:
        return (1 - value).astype(value.dtype)
    if value.dtype.kind == "f" and value.ndim == 2 and np.allclose(value.sum(1), 1):
        return np.roll(value, 1, 1)
    return value * 0.7 + 0.3


def fitting(target: Host, output: Host) -> Host:
    """The targets in the output's shape; class numbers become one-hot."""
    target = np.asarray(target, dtype=float)
    if target.shape == output.shape:
        return target
    if target.size == output.size:
        if target.ndim == 2 and output.ndim == 2 and target.T.shape == output.shape:
            return target.T
        return target.reshape(output.shape)
    if output.ndim == 2 and target.size in output.shape:
        by_rows = output.shape[0] == target.size
        count = output.shape[1 if by_rows else 0]
        hot = np.eye(count)[target.ravel().astype(int) % count]
        return np.asarray(hot if by_rows else hot.T)
    if target.size == 1 and output.size > 1:
        hot = np.eye(output.size)[int(target.ravel()[0]) % output.size]
        return np.asarray(hot).reshape(output.shape)
    raise TraceLost(f"targets of shape {target.shape} for an output of shape {output.shape}")
