"""What the forward pass shows, before any gradient."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.understanding import Understanding, attempt
from anyarray_mlp.backprop.user.samples import outputs_of, outputs_one_by_one
from anyarray_mlp.errors import Severity
from anyarray_mlp.typing import Host

#: Outputs that stay below this at very large weights are bounded.
BOUNDED = 20.0


def batch_findings(output: Host, row_by_row: Host, tolerance: float) -> list[BackpropFinding]:
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
        detail = "each class sums to one over the samples, not each sample over the classes"
        return [BackpropFinding("softmax_over_batch", detail=detail, evidence=evidence)]
    return [BackpropFinding("batch_coupled", evidence=evidence)]


def is_softmax(output: Host) -> bool:
    """Do the rows sum to one?"""
    sums = output.sum(axis=1)
    return output.shape[1] > 1 and bool((output >= 0).all() and np.abs(sums - 1).max() < 1e-4)


def softmax_findings(output: Host, says_softmax: bool) -> list[BackpropFinding]:
    """Rows that should sum to one and do not."""
    sums = output.sum(axis=1)
    if says_softmax and np.abs(sums - 1).max() > 1e-3:
        evidence = {"smallest row sum": float(sums.min()), "largest row sum": float(sums.max())}
        return [BackpropFinding("rows_do_not_sum_to_one", evidence=evidence)]
    return []


def target_findings(output: Host, targets: Host, far: Host, softmax: bool) -> list[BackpropFinding]:
    """Targets (n, k) that the output cannot reach, to judge by `far`: outputs at very large weights."""
    low, high = float(targets.min()), float(targets.max())
    evidence: dict[str, Any] = {"targets": f"{low:g} to {high:g}"}
    if output.shape[1] == 1 and bool((output == 1).all()):
        detail = "a softmax of a single output is always 1; use a sigmoid or two outputs"
        return [BackpropFinding("constant_output", detail=detail, severity="error")]
    if softmax:
        sums = targets.sum(axis=1)
        if low < 0 or np.abs(sums - 1).max() > 1e-3:
            evidence["rows of the targets sum to"] = f"{sums.min():g} to {sums.max():g}"
            detail = "a softmax's rows sum to one, but the targets' rows do not"
            return [BackpropFinding("targets_out_of_reach", detail=detail, evidence=evidence)]
        return []
    if not far.size:
        return []
    least, most = float(far.min()), float(far.max())
    least, most = (least if least > -BOUNDED else -np.inf), (most if most < BOUNDED else np.inf)
    if low < least - 1e-3 or high > most + 1e-3:
        reach = f"{least:.3g} to {most:.3g}"
        evidence["the output reaches"] = reach
        detail = f"the output reaches {reach}, but the targets run from {low:g} to {high:g}"
        return [BackpropFinding("targets_out_of_reach", detail=detail, evidence=evidence)]
    return []


def constant_findings(x: Host, output: Host, targets: Host) -> list[BackpropFinding]:
    """The same output for different inputs."""
    if len(x) < 2 or np.ptp(x, axis=0).max() == 0 or np.ptp(targets, axis=0).max() == 0:
        return []
    spread = float(np.ptp(output, axis=0).max())
    if not np.isfinite(spread) or spread > 1e-7 * max(1.0, float(np.abs(output).max())):
        return []
    evidence = {"largest spread of an output": spread}
    return [BackpropFinding("constant_output", evidence=evidence, severity="warning")]


def bias_findings(known: Understanding) -> list[BackpropFinding]:
    """Biases that are never added, and networks without a bias that need one."""
    unused = sorted({p.layer + 1 for p in known.unused if p.kind == "bias"})
    if unused:
        return [BackpropFinding("bias_missing", tuple(unused), "bias")]
    has_bias = any(p.kind == "bias" for p in known.user.parameters)
    widths = known.widths
    if has_bias or not widths or any(width.folded for width in widths):
        return []
    x, targets = known.samples.inputs, known.targets
    same = np.ptp(x, axis=0) == 0
    if bool((x[0][same] != 0).any()):
        return []
    zero_rows = np.abs(x).max(axis=1) == 0
    if zero_rows.any():
        fixed = known.output[zero_rows][0]
        known.user.write([np.asarray(v * -1.7, dtype=v.dtype) for v in known.values])
        other = outputs_of(known.user, known.samples)[zero_rows][0]
        known.user.write(known.values)
        passes_zero = bool(np.abs(other - fixed).max() < 1e-6)
        if passes_zero and np.abs(targets[zero_rows] - fixed).max() > 1e-3:
            detail = (
                f"no layer has a bias: an input of zeros gives {fixed[0]:g} whatever the weights are, which is not its "
                "target"
            )
            return [BackpropFinding("bias_missing", detail=detail)]
    severity: Severity = "note"
    detail = "no layer has a bias: each unit's boundary passes through the origin"
    return [BackpropFinding("bias_missing", detail=detail, severity=severity)]


def forward_findings(known: Understanding) -> list[BackpropFinding]:
    """All checks of the forward pass, at the probe weights and at the user's own."""
    user, samples, output = known.user, known.samples, known.output
    told = user.adapter.activations
    says_softmax = bool(told) and told is not None and told[-1] == "softmax"
    tolerance = 1e-3 if known.single else 1e-7
    found: list[BackpropFinding] = []
    user.write(known.values)
    if samples.layout != "single" and samples.count > 1:
        with contextlib.suppress(Exception):
            rows = outputs_one_by_one(user, samples)
            if rows.shape == output.shape:
                found += batch_findings(output, rows, tolerance)
    if not found:
        found += softmax_findings(output, says_softmax)
    large = LargeInputs(known)
    softmax = says_softmax or is_softmax(output)
    found += target_findings(output, known.targets, large.reached(), softmax)
    found += own_weight_findings(known)
    found += bias_findings(known)
    if not {"overflow", "log_of_zero"} & {f.cause for f in found}:
        found += large.findings()
    user.write(known.values)
    causes = [f.cause for f in found]
    return [f for k, f in enumerate(found) if f.cause not in causes[:k]]


def own_weight_findings(known: Understanding) -> list[BackpropFinding]:
    """At the weights given: constant outputs, and numbers that are not finite."""
    user, samples = known.user, known.samples
    lost = [
        parameter
        for parameter, value in zip(user.parameters, user.original, strict=True)
        if not np.isfinite(value).all()
    ]
    if lost:
        layers = tuple(sorted({parameter.layer + 1 for parameter in lost}))
        names = ", ".join(str(parameter.path) for parameter in lost)
        return [BackpropFinding("weights_not_finite", layers, detail=f"NaN or inf in {names}")]
    user.write(user.original)
    output = outputs_of(user, samples)
    if not np.isfinite(output).all():
        evidence: dict[str, Any] = {"outputs not finite": int((~np.isfinite(output)).sum())}
        return [BackpropFinding("overflow", evidence=evidence, severity="error")]
    found = constant_findings(samples.inputs, output, known.targets)
    loss = attempt(known.user_loss, known.loss_samples)
    if loss and not np.isfinite(loss[0]):
        evidence = {"loss at the weights given": float(loss[0])}
        found.append(BackpropFinding("log_of_zero", evidence=evidence, severity="error"))
    return found


def preactivation_size(output: Host) -> float:
    """About how large the pre-activations of an output are; those above zero count most.

    exp overflows for large positive values only.
    """
    inside = bool((output > 0).all() and (output < 1).all())
    if is_softmax(output) and inside:
        z = np.log(output) - np.log(output).mean(axis=1, keepdims=True)
    else:
        z = np.log(output / (1 - output)) if inside else output
    return max(float(z.max()), 0.2 * float(np.abs(z).max())) or 1.0


class LargeInputs:
    """The same forward pass and loss with the last layer's weights made large."""

    def __init__(self, known: Understanding) -> None:
        self.known = known
        self.size = preactivation_size(known.output)

    def set_size(self, size: float) -> None:
        """Make the output's pre-activations about so large."""
        times = size / self.size
        user = self.known.user
        user.write(
            [
                np.asarray(v * times, dtype=v.dtype) if p.layer == user.depth - 1 else v
                for p, v in zip(user.parameters, self.known.values, strict=True)
            ]
        )

    def reached(self) -> Host:
        """The outputs that are finite, with the last layer's weights large, of either sign."""
        found = []
        for size in (200.0, -200.0):
            self.set_size(size)
            output = attempt(lambda s: [outputs_of(self.known.user, s)], self.known.samples)
            if output is not None:
                found.append(output[0][np.isfinite(output[0])])
        return np.concatenate(found) if found else np.empty(0)

    def findings(self) -> list[BackpropFinding]:
        """Does anything break?"""
        try:
            return self.sizes()
        except (OverflowError, ZeroDivisionError) as error:
            detail = f"the forward pass raises {type(error).__name__}: {error}"
            return [BackpropFinding("overflow", detail=detail, severity="warning")]
        except ValueError as error:
            # math.log of zero raises, while NumPy's gives -inf.
            if "math domain" not in str(error) and "positive input" not in str(error):
                raise
            return [BackpropFinding("log_of_zero", detail=str(error), severity="warning")]

    def sizes(self) -> list[BackpropFinding]:
        known = self.known
        for size in (30.0, 100.0, 1000.0):
            self.set_size(size)
            evidence: dict[str, Any] = {"pre-activations about": size}
            output = outputs_of(known.user, known.samples)
            if not np.isfinite(output).all():
                rowwise = known.samples.layout != "single" and bool(
                    np.isfinite(outputs_one_by_one(known.user, known.samples)).all()
                )
                cause = "max_over_batch" if rowwise else "overflow"
                return [BackpropFinding(cause, evidence=evidence, severity="warning")]
            # For larger ones, a loss -log(p) meets p = 0 in any code that computes p first.
            if known.user.loss is not None and size <= 100:
                loss = float(known.user_loss(known.loss_samples)[0])
                if not np.isfinite(loss):
                    evidence["loss"] = loss
                    return [BackpropFinding("log_of_zero", evidence=evidence, severity="warning")]
        return []
