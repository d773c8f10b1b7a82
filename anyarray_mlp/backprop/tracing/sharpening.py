"""Findings of the comparison from outside, with the line and the operands that the tape shows."""

from __future__ import annotations

from dataclasses import replace

from anyarray_mlp.backprop.reference.catalogue import BackpropFinding
from anyarray_mlp.backprop.tracing.filming import Film
from anyarray_mlp.backprop.tracing.judge import judge
from anyarray_mlp.backprop.tracing.wording import findings_of
from anyarray_mlp.backprop.understanding import Understanding

#: What the tape shows best: where a gradient first goes wrong.
VAGUE = frozenset(["unexplained"])


def sharpened(findings: list[BackpropFinding], known: Understanding) -> list[BackpropFinding]:
    """The findings, with what the tape shows of the same causes, and in place of what nothing explains.

    Whatever cannot be recorded leaves the findings as they are.
    """
    if not any(finding.severity == "error" for finding in findings):
        return findings
    shown = {finding.cause: finding for finding in traced_findings(known)}
    told = []
    for finding in findings:
        same = shown.get(finding.cause)
        if finding.cause in VAGUE:
            named = [f for cause, f in shown.items() if cause not in VAGUE]
            told.append(replace(named[0], samples=finding.samples) if named else finding)
        elif same is not None and same.location is not None:
            detail = "; ".join(text for text in (finding.detail, same.detail) if text)
            told.append(replace(finding, location=same.location, line=same.line, detail=detail))
        else:
            told.append(finding)
    return told


def traced_findings(known: Understanding) -> list[BackpropFinding]:
    """What the tape shows; nothing if the network cannot be recorded."""
    user = known.user
    try:
        scene = Film(user, known.samples, known.values, step=user.gradients is None).scene()
        judgement = judge(scene, None if scene.loss is not None else told_loss(known))
    except Exception:  # the user's code may do anything with an array that records
        return []
    return findings_of(judgement)


def told_loss(known: Understanding) -> str | None:
    """The loss that was given by name."""
    loss = known.user.adapter.loss
    return loss if isinstance(loss, str) else None
