"""What can be seen in the forward pass, before any gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis.mistakes import BackpropFinding, Severity
from anyarray_mlp.diagnosis.reference import ACTIVATIONS, Chain

Array = Any


def batch_findings(output: Array, row_by_row: Array, tolerance: float) -> list[BackpropFinding]:
    """Does a batch (n, k) give what its rows give one by one?"""
    difference = float(np.abs(output - row_by_row).max())
    if difference <= tolerance * max(1.0, float(np.abs(row_by_row).max())):
        return []
    n = len(output)
    evidence = {"largest difference to row by row": difference}
    sums = output.sum(axis=1)
    if n > 1 and abs(float(output.sum()) - 1) < 1e-4:
        evidence["sum over the whole batch"] = float(output.sum())
        return [BackpropFinding("softmax_over_batch", evidence=evidence)]
    if n > 1 and np.abs(output.sum(axis=0) - 1).max() < 1e-4 and np.abs(sums - 1).max() > 1e-3:
        detail = "the columns sum to one: the sum runs over the samples"
        return [BackpropFinding("softmax_over_batch", detail=detail, evidence=evidence)]
    return [BackpropFinding("batch_coupled", evidence=evidence)]


def softmax_findings(
    chain: Chain | None, output: Array, says_softmax: bool
) -> list[BackpropFinding]:
    """Rows that should sum to one and do not."""
    sums = output.sum(axis=1)
    unnormalised = chain is not None and chain.activations[-1] == "exp"
    if (says_softmax or unnormalised) and np.abs(sums - 1).max() > 1e-3:
        evidence = {"smallest row sum": float(sums.min()), "largest row sum": float(sums.max())}
        return [BackpropFinding("rows_do_not_sum_to_one", evidence=evidence)]
    return []


def target_findings(name: str | None, output: Array, targets: Array) -> list[BackpropFinding]:
    """Targets (n, k) that the output's activation cannot reach."""
    low, high = float(targets.min()), float(targets.max())
    evidence: dict[str, Any] = {"targets": f"{low:g} to {high:g}"}
    if name in ("softmax", "softmax_over_batch", "softmax_over_samples"):
        sums = targets.sum(axis=1)
        if output.shape[1] == 1:
            detail = "a softmax of a single output is always 1; use a sigmoid or two outputs"
            return [BackpropFinding("constant_output", detail=detail, severity="error")]
        if low < 0 or np.abs(sums - 1).max() > 1e-3:
            evidence["rows of the targets sum to"] = f"{sums.min():g} to {sums.max():g}"
            detail = "a softmax's rows sum to one; the targets' rows are no distribution"
            return [BackpropFinding("targets_out_of_reach", detail=detail, evidence=evidence)]
        return []
    activation = ACTIVATIONS.get(name) if name is not None else None
    if activation is None:
        return []
    if low < activation.low - 1e-6 or high > activation.high + 1e-6:
        reach = f"{activation.low:g} to {activation.high:g}"
        evidence["the output reaches"] = reach
        detail = f"{activation.name} gives {reach}, the targets run from {low:g} to {high:g}"
        return [BackpropFinding("targets_out_of_reach", detail=detail, evidence=evidence)]
    return []


def constant_findings(x: Array, output: Array, targets: Array) -> list[BackpropFinding]:
    """The same output for inputs that differ."""
    if len(x) < 2 or np.ptp(x, axis=0).max() == 0 or np.ptp(targets, axis=0).max() == 0:
        return []
    spread = float(np.ptp(output, axis=0).max())
    if not np.isfinite(spread) or spread > 1e-7 * max(1.0, float(np.abs(output).max())):
        return []
    evidence = {"largest spread of an output": spread}
    return [BackpropFinding("constant_output", evidence=evidence, severity="warning")]


def bias_findings(
    chain: Chain, unused: tuple[int, ...], x: Array, targets: Array
) -> list[BackpropFinding]:
    """Biases that are kept and never added; a network without any that needs one."""
    if unused:
        layers = tuple(layer + 1 for layer in unused)
        return [BackpropFinding("bias_missing", layers, "bias")]
    if any(bias is not None for bias in chain.biases):
        return []
    constant_column = bool(
        (np.ptp(x, axis=0) == 0).any() and (x[0][np.ptp(x, axis=0) == 0] != 0).any()
    )
    if constant_column:
        return []
    zero_rows = np.abs(x).max(axis=1) == 0
    passes_zero = all(
        name in ACTIVATIONS and abs(float(ACTIVATIONS[name].f(np.zeros(1))[0])) < 1e-12
        for name in chain.activations[:-1]
    )
    if zero_rows.any() and passes_zero:
        last = chain.activations[-1]
        if last in ACTIVATIONS:
            fixed = np.full(targets.shape[1], float(ACTIVATIONS[last].f(np.zeros(1))[0]))
        else:
            fixed = np.full(targets.shape[1], 1 / targets.shape[1])
        if np.abs(targets[zero_rows] - fixed).max() > 1e-3:
            detail = (
                "no layer has a bias: an input of zeros gives "
                f"{fixed[0]:g} whatever the weights are, and its target is another"
            )
            return [BackpropFinding("bias_missing", detail=detail)]
    severity: Severity = "note"
    detail = "no layer has a bias: each unit's boundary passes through the origin"
    return [BackpropFinding("bias_missing", detail=detail, severity=severity)]


def large_input_findings(
    output_at: Callable[[float], Array],
    rows_at: Callable[[float], Array] | None,
    loss_at: Callable[[float], float] | None,
) -> list[BackpropFinding]:
    """Does the forward pass or the loss break where the pre-activations are large?

    The functions give the output (n, k) and the loss with all pre-activations of the last layer
    about as large as their argument.
    """
    for size in (30.0, 100.0, 1000.0):
        output = output_at(size)
        if not np.isfinite(output).all():
            evidence = {"pre-activations about": size}
            if rows_at is not None and np.isfinite(rows_at(size)).all():
                return [BackpropFinding("max_over_batch", evidence=evidence, severity="warning")]
            return [BackpropFinding("overflow", evidence=evidence, severity="warning")]
        if loss_at is not None:
            loss = loss_at(size)
            if not np.isfinite(loss):
                evidence = {"pre-activations about": size, "loss": loss}
                return [BackpropFinding("log_of_zero", evidence=evidence, severity="warning")]
    return []
