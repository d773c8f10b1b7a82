"""The output on the tape: a softmax that is taken over the samples in place of the classes."""

from __future__ import annotations

import numpy as np

from anyarray_mlp.backprop.tracing.faults import Fault
from anyarray_mlp.backprop.tracing.scene import Column, Pair
from anyarray_mlp.backprop.tracing.verdict import Bench
from anyarray_mlp.typing import Host

#: How near to one a sum of probabilities is.
NEAR = 1e-6


def softmax_over_samples(bench: Bench) -> Fault | None:
    """Do the outputs sum to one over the samples, or over everything, and not over the classes?"""
    for pair in bench.scene.pairs:
        axes = {axis_of_classes(column, pair) for column in bench.picture.columns}
        axis = axes.pop()
        if axes or axis is None:
            continue
        outputs = [c.of(pair.output) for c in bench.picture.columns]
        if any((p < 0).any() for p in outputs) or ones([p.sum(axis=axis) for p in outputs]):
            continue
        if ones([p.sum(axis=1 - axis) for p in outputs]):
            said = "each class sums to one over the samples, not each sample over the classes"
        elif ones([p.sum() for p in outputs]):
            said = "the whole batch sums to one, not each sample"
        else:
            continue
        fault = Fault(pair.output, list(bench.verdicts), "softmax_over_batch", said)
        fault.factor_text = f"axis={axis}"
        return fault
    return None


def ones(sums: list[Host]) -> bool:
    """Is everything one?"""
    return all(bool(np.abs(s - 1).max() < NEAR) for s in sums)


def axis_of_classes(column: Column, pair: Pair) -> int | None:
    """The axis of an output along which its labels have a single one, or that is not the labels'."""
    output, label = column.of(pair.output), column.of(pair.label)
    if output.ndim != 2 or min(output.shape) < 2:
        return None
    if label.shape == output.shape:
        hot = np.isin(label, (0, 1)).all()
        fit = [axis for axis in (0, 1) if hot and np.all(label.sum(axis=axis) == 1)]
    else:
        fit = [1 - axis for axis in (0, 1) if label.ravel().size == output.shape[axis]]
    return fit[0] if len(fit) == 1 else None
