"""One run of the checks on a user's network."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np

from anyarray_mlp.backprop.causes.catalogue import CATALOGUE
from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.checks.comparing import Comparison
from anyarray_mlp.backprop.checks.forward import forward_findings
from anyarray_mlp.backprop.checks.gradient import GradientJudge
from anyarray_mlp.backprop.checks.memory import gradient_memory, step_memory
from anyarray_mlp.backprop.checks.mini_batches import drawn_batch, fixed_batch
from anyarray_mlp.backprop.checks.randomness import random_backward, random_forward, random_numbers
from anyarray_mlp.backprop.checks.scales import WHOLE, Lengths
from anyarray_mlp.backprop.checks.steps import changes_more, starts_afresh
from anyarray_mlp.backprop.checks.update import (
    SLOW_RATE,
    Observation,
    StepObserver,
    observe_gradients,
)
from anyarray_mlp.backprop.locating import Locator
from anyarray_mlp.backprop.report import BackpropReport
from anyarray_mlp.backprop.understanding import Understanding
from anyarray_mlp.backprop.user.calling import role_of
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.samples import as_samples
from anyarray_mlp.errors import SEVERITIES, UsageError


class Check:
    """One run of the checks, in the order of `run`."""

    def __init__(self, user: UserNetwork, x: Any, y: Any) -> None:
        self.user = user
        self.x, self.y = x, y
        self.known = Understanding(user, x, y)
        self.findings = list(self.known.findings)
        self.judge_of = GradientJudge(self.known)
        self.comparison: Comparison | None = None

    def run(self) -> BackpropReport:
        if self.user.train_step is not None and starts_afresh(self.known):
            raise UsageError(
                "train_step makes its own weights: it ends with the same ones whatever it starts from; give a "
                "function that does one turn of its loop on the network's weights"
            )
        self.add(random_forward(self.known))
        if not self.has("random_numbers"):
            self.add(forward_findings(self.known))
            self.add(random_backward(self.known))
        if self.has("random_numbers"):
            return self.report([])
        batch = drawn_batch(self.known) if self.user.train_step is not None else None
        if batch == 0:
            self.add([random_numbers("train_step")])
            return self.report([])
        if batch is not None and batch > 1:
            return self.run_on(batch)
        if self.user.gradients is not None:
            self.check_gradients()
        if self.user.train_step is not None:
            batch = self.check_step(by_rows=batch == 1)
            if batch is not None:
                return self.run_on(batch)
        return self.report(self.rows())

    def run_on(self, batch: int) -> BackpropReport:
        """The checks on the first samples only: as many as a step uses for one update."""
        few = as_samples(self.x, self.y, self.known.samples.layout).some(list(range(batch)))
        self.user.adapter = replace(self.user.adapter, samples=few.layout)
        check = Check(self.user, few.x, few.y)
        number = f"{self.known.samples.count} rows are taken {batch} at a time"
        check.add([BackpropFinding("mini_batches", detail=number, severity="note")])
        return check.run()

    def has(self, *causes: str) -> bool:
        return any(finding.cause in causes for finding in self.findings)

    def judge(self, seen: Observation) -> None:
        """Compare what was seen with the right gradient and name what differs."""
        bad = [
            parameter
            for parameter, array in zip(self.user.parameters, seen.arrays, strict=True)
            if array is not None and not np.isfinite(array).all()
        ]
        if bad:
            layers = tuple(sorted({parameter.layer + 1 for parameter in bad}))
            kinds = ", ".join(dict.fromkeys(parameter.kind for parameter in bad))
            self.add([BackpropFinding("gradient_not_finite", layers, kinds)])
            return
        verdict = self.judge_of.judge(seen)
        self.comparison = verdict.comparison
        self.add(verdict.findings)

    def differs(self, seen: Observation) -> bool:
        """Has any gradient the wrong direction?"""
        finite = all(a is None or np.isfinite(a).all() for a in seen.arrays)
        return finite and bool(self.judge_of.compare(seen).wrong)

    def check_gradients(self) -> None:
        seen = observe_gradients(self.known)
        self.judge(seen)
        if self.has("gradient_not_finite"):
            return
        self.user.write(self.known.values)
        self.add(gradient_memory(self.user, self.known.samples, self.known.tolerance))

    def check_step(self, by_rows: bool) -> int | None:
        """Judge what a step does. Returns the rows of one update if a step makes several, else None."""
        observer = StepObserver(self.known, by_rows)
        seen = observer.observe()
        before = list(self.findings)
        if not seen.adaptive and self.differs(seen) and self.judge_of.is_optimiser(seen):
            seen = replace(seen, adaptive=True)
        if not seen.adaptive and self.differs(seen):
            batch = None if by_rows else fixed_batch(self.known)
            if batch is not None:
                return batch
            seen = self.seen_otherwise(seen, observer)
        self.add(list(seen.findings))
        if seen.adaptive:
            self.add(self.judge_of.judge_adaptive(seen))
        else:
            self.judge(seen)
        if self.user.gradients is not None and not seen.adaptive:
            self.merge_update(before)
        if changes_more(self.known):
            raise UsageError(
                "a step changes more of the network than the weights and biases named: afterwards the output is "
                "not the one that they give; name all of them, biases too"
            )
        self.user.write(self.known.values)
        if seen.adaptive or self.has("label_shape_broadcast", "gradient_not_finite"):
            return None
        rate = None
        if self.user.rate_is_free:
            rate = 0.05 if self.known.single else 0.01
        with contextlib.suppress(ValueError, IndexError):
            samples = self.known.samples.some([0]) if by_rows else self.known.samples
            memory, momentum = step_memory(self.user, samples, rate, seen.tolerance)
            self.add(memory)
            self.judge_momentum(momentum, memory)
        return None

    def seen_otherwise(self, seen: Observation, observer: StepObserver) -> Observation:
        """A step in a wrong direction: is it a pass over rows, does it need a forward pass first, or
        does one call make several updates? If that makes it right, the step so seen.
        """
        if not seen.one_by_one and observer.is_pass_over_rows():
            rows = StepObserver(self.known, by_rows=True).observe()
            if not self.differs(rows):
                return rows
        self.user.primed = True
        primed = observer.observe()
        if not self.differs(primed):
            detail = "the step is right only if forward was called before with this batch and these weights"
            self.findings.append(BackpropFinding("stale_activations", detail=detail))
            return primed
        self.user.primed = False
        if not self.user.rate_is_free:
            self.refuse_loop()
        elif not self.known.single:
            slow = StepObserver(self.known, rate=SLOW_RATE).observe()
            times = (
                0.0
                if self.differs(slow)
                else self.lengths.times(self.judge_of.compare(slow).factor)
            )
            if times >= 1.5:
                whole = abs(times - round(times)) < 0.01
                detail = f"one call makes {times:.4g} updates" if whole else ""
                note = BackpropFinding("several_updates", detail=detail, severity="note")
                self.findings.append(note)
                arrays = [None if a is None else a / times for a in slow.arrays]
                return replace(slow, arrays=arrays)
        return seen

    def refuse_loop(self) -> None:
        """Raise if a step has a loop over epochs that cannot be shortened from outside."""
        step = self.user.train_step
        if step is None or step.takes("epochs") or self.user.loop_counts:
            return
        names = getattr(getattr(step.function, "__code__", None), "co_varnames", ())
        loops = [name for name in names if "epochs" in role_of(name)]
        if loops:
            raise UsageError(
                f"train_step runs a loop of its own ({', '.join(loops)}) and cannot be compared with one update; "
                "give a function that does one turn, or make the number of epochs a parameter"
            )

    def merge_update(self, before: list[BackpropFinding]) -> None:
        """Combine what the gradients and the updates showed."""
        new = [f for f in self.findings if f not in before]
        old_signs = [f for f in before if f.cause == "sign_flipped"]
        new_signs = [f for f in new if f.cause == "sign_flipped"]
        if old_signs and not new_signs:
            for sign in old_signs:
                self.findings.remove(sign)
                self.findings.append(replace(sign, cause="sign_flipped_twice", severity="warning"))
        known = {f.cause for f in before}
        for finding in new:
            if finding.cause in known and finding in self.findings:
                self.findings.remove(finding)

    def judge_momentum(self, momentum: float | None, memory: list[BackpropFinding]) -> None:
        """A first step that momentum makes longer or shorter: proper forms are no mistake."""
        told = self.user.adapter.momentum
        factor = 1.0 if self.comparison is None else self.comparison.factor
        lengths = self.lengths
        usual = lengths.are_usual(factor)
        if momentum is not None:
            averaged = lengths.are_usual(factor / (1 - momentum))
            if not usual and (averaged or lengths.are_nesterovs(factor, momentum)):
                self.drop_whole_factors()
        elif (
            not usual and not memory and told is not None and lengths.are_usual(factor / (1 + told))
        ):
            self.drop_whole_factors()
            detail = f"the present gradient is multiplied by 1 + momentum = {1 + told:.3g}"
            self.findings.append(
                BackpropFinding("momentum_misapplied", where="update", detail=detail)
            )
        unused = told is not None and told > 0 and momentum is None and not memory
        if unused and not self.has("momentum_misapplied"):
            detail = f"momentum={told:g} was given, but no step adds anything of the step before"
            self.findings.append(BackpropFinding("momentum_misapplied", detail=detail))

    @property
    def lengths(self) -> Lengths:
        """What a whole gradient may be multiplied by."""
        samples, outputs = self.known.targets.shape
        return Lengths(samples, outputs, self.judge_of.numbers.exact)

    def drop_whole_factors(self) -> None:
        """Drop the findings that are only about the length of the whole gradient."""
        self.findings = [
            f for f in self.findings if not (f.cause in WHOLE and f.where.startswith("delta"))
        ]

    def rows(self) -> list[dict[str, Any]]:
        """The gradients against the numerical ones: a row of figures per parameter."""
        parts = [] if self.comparison is None else self.comparison.parts
        return [
            {
                "parameter": str(part.parameter.path),
                "layer": part.parameter.layer + 1,
                "state": part.state,
                "factor": part.factor,
                **part.evidence,
            }
            for part in parts
        ]

    # ---- the report ------------------------------------------------------------------------------

    def add(self, findings: list[BackpropFinding]) -> None:
        """Add findings; those with the same cause and place are merged."""
        for new in findings:
            for index, old in enumerate(self.findings):
                if old.cause == new.cause and old.where == new.where:
                    layers = tuple(sorted({*old.layers, *new.layers}))
                    self.findings[index] = replace(old, layers=layers)
                    break
            else:
                self.findings.append(new)

    def report(self, rows: list[dict[str, Any]]) -> BackpropReport:
        findings = [replace(f, samples=self.known.samples.lie) for f in self.without_consequences()]
        locator = Locator(self.known)
        findings = [f if f.location else locator.located(f) for f in findings]
        findings.sort(key=lambda f: (SEVERITIES.index(f.severity), CATALOGUE[f.cause].rank))
        alarms = tuple(f for f in findings if f.severity != "note")
        notes = tuple(f for f in findings if f.severity == "note")
        return BackpropReport(alarms, notes, self.understood(), tuple(rows))

    def understood(self) -> dict[str, Any]:
        """How the network was understood, with the loss that its gradients were compared with."""
        told = self.known.summary()
        if self.user.loss is None and self.comparison is not None:
            why = "its factor is open" if self.known.named else "none was given"
            told["loss"] = f"{self.comparison.loss} ({why})"
        return told

    def without_consequences(self) -> list[BackpropFinding]:
        """The findings without those that follow from another one."""
        causes = {f.cause for f in self.findings}
        left = list(self.findings)
        if causes & {"softmax_over_batch", "label_shape_broadcast"}:
            left = [
                f for f in left if f.cause not in ("unexplained", "wrong_scale", "max_over_batch")
            ]
        if "targets_out_of_reach" in causes:
            # For targets that are no distribution, p - y is not the gradient, but what was meant.
            left = [f for f in left if f.cause not in ("unexplained", "wrong_error")]
        if any(f.cause == "constant_output" and f.severity == "error" for f in left):
            left = [f for f in left if f.cause == "constant_output"]
        if "momentum_misapplied" in causes:
            late = ("weights_not_updated", "bias_not_updated")
            every = {p.layer + 1 for p in self.user.parameters}
            left = [f for f in left if f.cause not in late or set(f.layers) != every]
        if self.judge_of.softmax_twice():
            left = [f for f in left if f.cause not in ("loss_reported_differs", "wrong_error")]
            wrong = len(left) < len(self.findings)
            left.append(BackpropFinding("softmax_twice", severity="error" if wrong else "warning"))
        return left
