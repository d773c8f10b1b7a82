"""What the tape shows of the gradients, beside what the numbers show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.checks.comparing import Compared
from anyarray_mlp.backprop.checks.update import Observation
from anyarray_mlp.backprop.tracing.faults import Fault
from anyarray_mlp.backprop.tracing.judge import Judgement
from anyarray_mlp.backprop.tracing.scene import Scene
from anyarray_mlp.backprop.tracing.source import spots
from anyarray_mlp.backprop.tracing.tape import descendants

#: Causes that say no more than that something is wrong there.
VAGUE = frozenset(["unexplained", "wrong_error", "wrong_operand"])


@dataclass(frozen=True)
class Tape:
    """The faults that a judgement shows."""

    judgement: Judgement | None
    seen: Observation

    def faults(self, paths: Iterable[Any]) -> list[Fault]:
        """Those that spoil any of these parameters."""
        wanted = {str(path) for path in paths}
        faults = [] if self.judgement is None else self.judgement.faults
        return [f for f in faults if paths_of(f) & wanted and f.severity == "error"]

    def other_sign(self, named: str) -> str:
        """Where the error is label - output, if that is not the line named: one of the two is to be turned."""
        bench = self.judgement.bench if self.judgement is not None else None
        for node in () if bench is None else bench.back:
            assert bench is not None
            from_label = node.operation == "subtract" and node.operands[0] not in bench.picture.hot
            if from_label and node in bench.right and node.place:
                place = spots(node)[0]
                if place.place == named:
                    return ""
                return f"the error is label - output in {place.place}: {place.text}"
        return ""

    def corrected(self, part: Compared) -> Compared:
        """Right if the tape says so and the numbers differ by no more than a kink or rounding makes."""
        cosine = part.evidence.get("cosine with the right gradient", 1.0)
        if part.state not in ("wrong", "useless") or self.judgement is None or cosine < 0.95:
            return part
        path = str(part.parameter.path)
        states = {v.state for v in self.judgement.bench.verdicts if v.weight.path == path}
        if not states or not states <= {"right", "dead"}:
            return part
        return replace(part, state="right" if part.state == "wrong" else "dead")


def exponent_of_output(scene: Scene) -> bool:
    """Does the loss raise e to the power of something made of the output?"""
    if scene.output is None:
        return False
    output = scene.output.value
    loss = [node for node in scene.tape.nodes if node.phase == "loss"]
    same = [n for n in loss if n.value.shape == output.shape and np.array_equal(n.value, output)]
    after = descendants(scene.tape.nodes, [scene.output, *same])
    return any(node.operation == "exp" and node in after for node in loss)


def paths_of(fault: Fault) -> set[str]:
    """The parameters that a fault spoils."""
    return {verdict.weight.path for verdict in fault.verdicts}


def without_doubles(findings: list[BackpropFinding]) -> list[BackpropFinding]:
    """One finding for each cause on each line; a vague one only where nothing better is named."""
    found: dict[tuple[str, str | None], BackpropFinding] = {}
    for new in findings:
        others = [f for f in findings if f.location == new.location and f.cause not in VAGUE]
        if new.location is not None and new.cause in VAGUE and others:
            continue
        old = found.get((new.cause, new.location))
        if old is not None:
            layers = tuple(sorted({*old.layers, *new.layers}))
            where = new.where if new.where == old.where else "weight, bias"
            new = replace(old, layers=layers, where=where)
        found[new.cause, new.location] = new
    return list(found.values())
