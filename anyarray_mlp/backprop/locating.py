"""The line in the user's source that a finding is likely about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from anyarray_mlp.backprop.causes.catalogue import CATALOGUE
from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.checks.scales import WHOLE
from anyarray_mlp.backprop.understanding import Understanding
from anyarray_mlp.backprop.user.source_lines import (
    SourceLine,
    backward_lines,
    executed_lines,
    gradient_hints,
    likely_line,
)

IN_FORWARD = frozenset(
    [
        "softmax_over_batch",
        "batch_coupled",
        "rows_do_not_sum_to_one",
        "bias_missing",
        "max_over_batch",
        "overflow",
        "constant_output",
    ]
)
# If only a weight or a bias has these, the line of its own gradient is meant.
OF_ONE_GRADIENT = frozenset([*WHOLE, "transposed"])
IN_LOSS = frozenset(["log_of_zero", "loss_reported_differs", "softmax_twice"])


class Locator:
    """Finds lines in the user's functions, each of which is traced at most once."""

    def __init__(self, known: Understanding) -> None:
        self.known = known
        self.user = known.user
        self.traces: dict[str, list[SourceLine]] = {}

    def located(self, finding: BackpropFinding) -> BackpropFinding:
        """The finding with the line in the user's source that is likely meant."""
        if finding.cause in ("targets_out_of_reach", "weights_not_finite"):
            return finding
        names = tuple(
            str(p.path).split(".")[-1]
            for p in self.user.parameters
            if p.layer + 1 in finding.layers and (p.kind in finding.where or not finding.where)
        )
        hints = CATALOGUE[finding.cause].hints
        if finding.only_of and finding.cause in OF_ONE_GRADIENT:
            hints = (*gradient_hints(names), *hints)
        line = likely_line(self.lines_of(finding), hints, names, finding.layer)
        return finding if line is None else replace(finding, location=line.place, line=line.text)

    def lines_of(self, finding: BackpropFinding) -> list[SourceLine]:
        """The executed lines in which to look for a mistake."""
        kept = self.executed
        if finding.cause == "random_numbers":
            return kept(finding.where)
        if finding.cause in IN_FORWARD:
            return kept("forward")
        if finding.cause in IN_LOSS and self.user.loss is not None:
            own = [line for line in kept("loss") if line not in kept("forward")]
            return own or kept("loss")
        in_update = "update" in finding.where or self.user.gradients is None
        source = "train_step" if in_update else "gradients"
        if finding.cause == "label_shape_broadcast" and "loss" in finding.detail:
            source = "loss"
        passed = kept("forward") if self.user.loss is None else [*kept("forward"), *kept("loss")]
        return backward_lines(kept(source), passed)

    def executed(self, name: str) -> list[SourceLine]:
        """The lines that one of the user's functions executes."""
        if name not in self.traces:
            known, user = self.known, self.user
            x, y = known.samples.x, known.samples.y
            if known.samples.layout == "single":
                x, y = known.samples.one(0)
            calls: dict[str, Callable[[], Any]] = {
                "forward": lambda: user.output(x),
                "loss": lambda: user.one_loss(x, y),
                "gradients": lambda: user.raw_gradients(x, y),
                "train_step": lambda: user.step(x, y, None),
            }
            user.write(known.values)
            self.traces[name] = executed_lines(calls[name])
        return self.traces[name]
