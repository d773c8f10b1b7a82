"""From the user's gradients to findings: numbers say what is wrong, the tape says where and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.checks.comparing import Compared, Comparison
from anyarray_mlp.backprop.checks.forward import is_softmax
from anyarray_mlp.backprop.checks.losses import LOSSES, TRAINED, suits
from anyarray_mlp.backprop.checks.numerical import Numbers
from anyarray_mlp.backprop.checks.scales import CONSTANTS, name_factor
from anyarray_mlp.backprop.checks.taped import (
    VAGUE,
    Tape,
    exponent_of_output,
    paths_of,
    without_doubles,
)
from anyarray_mlp.backprop.checks.update import Observation
from anyarray_mlp.backprop.tracing.faults import Fault
from anyarray_mlp.backprop.tracing.filming import Film
from anyarray_mlp.backprop.tracing.judge import Judgement, judge
from anyarray_mlp.backprop.tracing.scene import Scene
from anyarray_mlp.backprop.tracing.wording import worded
from anyarray_mlp.backprop.understanding import Understanding

#: Causes of a step whose gradient is right.
OF_OPTIMISER = frozenset(["sign_flipped", "weight_decay_differs", "adam_bias_correction"])


@dataclass(frozen=True)
class Verdict:
    """The findings, and the comparison by numbers that they rest on."""

    findings: list[BackpropFinding]
    comparison: Comparison


class GradientJudge:
    """Compares what was seen of the user's gradients with the right ones."""

    def __init__(self, known: Understanding) -> None:
        self.known = known
        self.numbers = Numbers(known)
        self.tapes: dict[tuple[bool, bool, str | None], Judgement | None] = {}

    def compare(self, seen: Observation) -> Comparison:
        with np.errstate(all="ignore"):
            return self.numbers.compare(seen)

    def judge(self, seen: Observation) -> Verdict:
        """Everything that is wrong with the gradients seen."""
        comparison = self.compare(seen)
        if comparison.is_right:
            return Verdict([], comparison)
        tape = Tape(self.judgement(seen), seen)
        comparison = replace(comparison, parts=[tape.corrected(p) for p in comparison.parts])
        findings = self.of_directions(comparison, seen, tape)
        if not any(f.cause in ("loss_reported_differs", "only_last_sample") for f in findings):
            findings += self.of_factors(comparison, seen, tape)
        return Verdict(findings, comparison)

    def judge_adaptive(self, seen: Observation) -> list[BackpropFinding]:
        """A step of the same size whatever the gradient is: only the tape shows what is wrong with it."""
        judgement = self.judgement(seen)
        faults = [] if judgement is None else judgement.faults
        told = [f for f in faults if f.cause in OF_OPTIMISER and f.severity == "error"]
        named = [self.named(judgement, f, seen) for f in told if judgement is not None]
        return without_doubles(named)

    def is_optimiser(self, seen: Observation) -> bool:
        """Does a step make something else of the right gradient, as Adam does?"""
        judgement = self.judgement(seen)
        verdicts = [] if judgement is None else judgement.bench.verdicts
        states = {verdict.state for verdict in verdicts}
        return "optimiser" in states and states <= {"optimiser", "dead"}

    # ---- the tape --------------------------------------------------------------------------------

    def judgement(self, seen: Observation) -> Judgement | None:
        """What the tape shows of the same calls; None if they cannot be recorded."""
        key = (seen.source == "train_step", seen.one_by_one, self.compare(seen).loss)
        if key not in self.tapes:
            self.tapes[key] = self.recorded(*key)
        return self.tapes[key]

    def recorded(self, step: bool, one_by_one: bool, loss: str | None) -> Judgement | None:
        try:
            scene = self.scene(step, one_by_one)
            return judge(scene, None if scene.loss is not None else loss)
        except Exception:  # the user's code may do anything with an array that records
            return None

    def scene(self, step: bool, one_by_one: bool = False) -> Scene:
        """The user's calls on a tape."""
        known = self.known
        samples = known.samples
        if one_by_one and samples.layout != "single":
            samples = samples.some([0])
        return Film(known.user, samples, known.values, step).scene()

    def softmax_twice(self) -> bool:
        """Does the loss take the softmax of an output that is a softmax already?"""
        known = self.known
        if known.user.loss is None or not is_softmax(known.output):
            return False
        try:
            scene = self.scene(known.user.gradients is None)
        except Exception:
            return False
        return exponent_of_output(scene)

    def named(self, judgement: Judgement, fault: Fault, seen: Observation) -> BackpropFinding:
        """A fault of the tape as a finding."""
        finding = worded(judgement, fault)
        in_step = ", seen in the update" if seen.source == "train_step" else ""
        names = ", ".join(dict.fromkeys(v.weight.path for v in fault.verdicts))
        evidence = {**finding.evidence, "wrong": names}
        return replace(finding, where=finding.where + in_step, evidence=evidence)

    # ---- directions ------------------------------------------------------------------------------

    def of_directions(
        self, comparison: Comparison, seen: Observation, tape: Tape
    ) -> list[BackpropFinding]:
        """Gradients that are no multiple of the right one."""
        wrong = [part for part in comparison.wrong if named_by_numbers(part) is None]
        found: list[BackpropFinding] = []
        covered: set[str] = set()
        for fault in tape.faults(part.parameter.path for part in wrong):
            assert tape.judgement is not None
            finding = self.named(tape.judgement, fault, seen)
            part = next(p for p in wrong if str(p.parameter.path) in paths_of(fault))
            found.append(replace(finding, evidence={**part.evidence, **finding.evidence}))
            covered |= paths_of(fault)
        found = without_doubles(found)
        every = not any(
            part.state == "right" and value.size > 1
            for part, value in zip(comparison.parts, self.known.values, strict=True)
        )
        if wrong and every and all(f.cause in VAGUE for f in found):
            if self.is_one_sample(seen):
                return [self.finding("only_last_sample", wrong, seen, tape)]
            trained = self.trained_loss(seen) if self.numbers.exact else None
            if trained is not None:
                return [other_loss(trained)]
            more = self.of_another_loss(seen) if self.numbers.exact else []
            if more:
                return more
        left: dict[str, list[Compared]] = {}
        for part in comparison.wrong:
            if str(part.parameter.path) not in covered:
                left.setdefault(named_by_numbers(part) or "unexplained", []).append(part)
        return found + [self.finding(cause, parts, seen, tape) for cause, parts in left.items()]

    def of_another_loss(self, seen: Observation) -> list[BackpropFinding]:
        """Mistakes in the gradient of a usual loss that is not the one told, if they have names."""
        known = self.known
        if is_softmax(known.output) and np.abs(known.targets.sum(axis=1) - 1).max() > 1e-3:
            return []  # for targets that are no distribution, p - y is no loss's gradient
        for name in LOSSES:
            if not suits(name, known.output):
                continue
            try:
                scene = self.scene(seen.source == "train_step", seen.one_by_one)
                judgement = judge(replace(scene, loss=None, exact=False), name)
            except Exception:
                return []
            faults = [f for f in judgement.faults if f.severity == "error"]
            if not faults or any(f.cause in VAGUE for f in faults):
                continue
            found = [other_loss(name), *(self.named(judgement, f, seen) for f in faults)]
            return without_doubles(found) + self.of_sum(judgement)
        return []

    def of_sum(self, judgement: Judgement) -> list[BackpropFinding]:
        """A sum over the samples is trained, and a mean is reported."""
        known, bench = self.known, judgement.bench
        errors = [bench.right[node][0].factor for node in bench.back if node in bench.right]
        n = judgement.bench.scene.samples
        if n < 2 or not errors or abs(abs(errors[0]) / n - 1) > 0.01:
            return []
        known.user.write(known.values)
        rows = [float(known.user_loss(known.loss_samples.some([i]))[0]) for i in range(n)]
        part = float(known.user_loss(known.loss_samples.some(list(range(n))))[0])
        if abs(part * n - sum(rows)) > 1e-6 * max(map(abs, rows)):
            return []
        detail = "the gradient is a sum over the samples, the loss given their mean"
        return [BackpropFinding("mean_missing", detail=detail, severity="warning")]

    def trained_loss(self, seen: Observation) -> str | None:
        """The usual loss whose gradient this is, if it is not that of the loss told."""
        for name in TRAINED:
            if name in LOSSES and not suits(name, self.known.output):
                continue
            with np.errstate(all="ignore"):
                comparison = self.numbers.compare_with(name, seen)
            if not comparison.badness:
                return name
        return None

    def is_one_sample(self, seen: Observation) -> bool:
        """Is this the gradient of the last sample alone, or of the first?"""
        known = self.known
        if known.samples.count < 2 or seen.one_by_one:
            return False
        for index in (known.samples.count - 1, 0):
            with np.errstate(all="ignore"):
                comparison = self.numbers.compare_with(
                    None if self.numbers.exact else self.numbers.compare(seen).loss, seen, index
                )
            if not comparison.wrong and any(p.state == "right" for p in comparison.parts):
                return True
        return False

    # ---- signs, lengths, missing updates ---------------------------------------------------------

    def of_factors(
        self, comparison: Comparison, seen: Observation, tape: Tape
    ) -> list[BackpropFinding]:
        """Gradients in the right direction whose sign or length is wrong, or that are zero."""
        groups: dict[str, list[Compared]] = {}
        common = abs(comparison.factor)
        # Under a softmax, the sum over everything is zero.
        summed = any(named_by_numbers(part) == "bias_wrong_axis" for part in comparison.parts)
        for part in comparison.parts:
            kind = part.parameter.kind
            if part.state in ("still", "void"):
                cause = "bias_not_updated" if kind == "bias" else "weights_not_updated"
                if part.state == "void" and summed:
                    cause = "bias_wrong_axis"
                groups.setdefault(cause, []).append(part)
            if part.state != "right":
                continue
            if part.factor < 0:
                groups.setdefault("sign_flipped", []).append(part)
            ratio = abs(part.factor) / common
            if not comparison.same(ratio, 1.0):
                own = replace(part, evidence={**part.evidence, "factor": ratio})
                for cause in self.causes_of(ratio, kind, comparison, seen):
                    groups.setdefault(cause, []).append(own)
        found = [self.finding(cause, parts, seen, tape) for cause, parts in groups.items()]
        if comparison.exact and not comparison.same(common, 1.0):
            found += self.of_whole(comparison, seen)
        return found

    def of_whole(self, comparison: Comparison, seen: Observation) -> list[BackpropFinding]:
        """The whole gradient is longer or shorter by one factor."""
        factor = abs(comparison.factor)
        last = [part for part in comparison.parts if part.state == "right"][-1:]
        found = []
        for cause in self.causes_of(factor, "delta", comparison, seen):
            finding = self.finding(cause, last, seen)
            detail = f"the whole gradient is {factor:.4g} times that of the loss"
            if cause in CONSTANTS:
                detail += ", which a learning rate can hide"
            finding = replace(
                finding,
                where=finding.where.replace(last[0].parameter.kind, "delta"),
                detail=detail,
                severity="warning" if cause in CONSTANTS else "error",
                evidence={**finding.evidence, "factor": factor},
            )
            found.append(finding)
        return found

    def causes_of(
        self, factor: float, where: str, comparison: Comparison, seen: Observation
    ) -> list[str]:
        """The mistakes that a factor stands for."""
        n = 1 if seen.one_by_one else self.known.samples.count
        rate = seen.rate if seen.source == "train_step" else None
        near = max(comparison.near, 1e-3)
        return name_factor(factor, n, self.known.targets.shape[1], rate, near, where)

    def finding(
        self, cause: str, parts: list[Compared], seen: Observation, tape: Tape | None = None
    ) -> BackpropFinding:
        """A finding by numbers, with the line that the tape shows for it."""
        where = ", ".join(dict.fromkeys(part.parameter.kind for part in parts))
        if seen.source == "train_step":
            where += ", seen in the update"
        layers = tuple(sorted({part.parameter.layer + 1 for part in parts}))
        finding = BackpropFinding(cause, layers, where, "", dict(parts[0].evidence))
        for fault in () if tape is None else tape.faults(part.parameter.path for part in parts):
            assert tape is not None
            assert tape.judgement is not None
            shown = worded(tape.judgement, fault)
            if shown.location is not None:
                detail = tape.other_sign(shown.location) if cause == "sign_flipped" else ""
                return replace(
                    finding, location=shown.location, line=shown.line, detail=detail or shown.detail
                )
        return finding


def named_by_numbers(part: Compared) -> str | None:
    """The cause that the entries of one wrong gradient show by themselves."""
    is_bias = part.parameter.kind == "bias"
    if part.state == "turned":
        return "transposed"
    if part.state == "gap":
        return "bias_not_updated" if is_bias else "weights_not_updated"
    if part.state == "edge":
        return "bias_not_updated"
    return "bias_wrong_axis" if is_bias and part.state in ("summed", "shape") else None


def other_loss(trained: str) -> BackpropFinding:
    """The loss given is not the one whose gradient is computed."""
    detail = f"the gradient is that of {TRAINED[trained].formula}, not that of the loss given"
    return BackpropFinding("loss_reported_differs", detail=detail)
