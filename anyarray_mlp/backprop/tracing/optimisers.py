"""What an optimiser makes of a right gradient: momentum, memories, corrections, decay."""

from __future__ import annotations

import numpy as np

from anyarray_mlp.backprop.tracing.faults import Fault
from anyarray_mlp.backprop.tracing.matching import fitted, joined
from anyarray_mlp.backprop.tracing.tape import Node, ancestors, descendants
from anyarray_mlp.backprop.tracing.verdict import Bench, Verdict
from anyarray_mlp.streams import generator

#: A weight that loses or gains more than this part in one step is no weight decay.
MOST_DECAY = 0.3


def optimiser_faults(bench: Bench) -> list[Fault]:
    """Signs, decay, memories and corrections of steps that are no multiple of the gradient."""
    found = [f for v in bench.verdicts if v.state == "optimiser" and (f := step_fault(bench, v))]
    told = [
        f
        for v in bench.verdicts
        if v.state in ("right", "optimiser") and (f := exchanged_rates(bench, v))
    ]
    return found + told


def step_fault(bench: Bench, verdict: Verdict) -> Fault | None:
    """What is wrong with the step of one weight."""
    scene, node = bench.scene, verdict.weight.final
    if verdict.decay is not None:
        gradient, weight = verdict.decay
        why = f"the change is {gradient:.4g} * gradient + {weight:.4g} * weight"
        if abs(weight) > MOST_DECAY:
            place = meets_weight(bench, verdict)
            return Fault(
                place, [verdict], "momentum_misapplied", f"{why}: the memory is the weight itself"
            )
        if scene.exact and abs(weight) > 1e-12:
            return Fault(meets_weight(bench, verdict), [verdict], "weight_decay_differs", why)
        return None
    if verdict.factor > 0:
        return Fault(node, [verdict], "sign_flipped", "the step goes up the loss")
    return no_memory(bench, verdict) or wrong_first_step(bench, verdict)


def wrong_first_step(bench: Bench, verdict: Verdict) -> Fault | None:
    """Adam's first step is as long as the learning rate; another constant shows a wrong correction."""
    rate = bench.scene.rate
    if not rate or verdict.change[0].size <= 3 or not memories(bench, verdict):
        return None
    step = np.abs(verdict.change[0]).ravel()
    step = step[step > 0.5 * step.max()]
    ratio = float(step.mean()) / rate
    if np.ptp(step) > 1e-2 * step.max() or abs(ratio - 1) < 5e-2:
        return None
    why = f"the first step is {ratio:.4g} times the learning rate"
    return Fault(root_taken(bench, verdict), [verdict], "adam_bias_correction", why)


def no_memory(bench: Bench, verdict: Verdict) -> Fault | None:
    """A step divided by the root of the present gradient's square alone: the memory is new at each step."""
    way = between(bench, verdict)
    if not any(n.operation == "sqrt" for n in way) or memories(bench, verdict):
        return None
    square = next(
        (
            n
            for n in way
            if n.operation in ("square", "power")
            or (len(n.operands) == 2 and n.operands[0] is n.operands[1])
        ),
        None,
    )
    if square is None:
        return None
    why = "the memory of the squared gradients is overwritten in each step instead of kept"
    return Fault(square, [verdict], "momentum_misapplied", why)


def exchanged_rates(bench: Bench, verdict: Verdict) -> Fault | None:
    """A running mean that keeps less of its memory than it takes of the gradient, as 0.1 * v + 0.9 * g."""
    for memory in memories(bench, verdict):
        after = descendants(bench.picture.nodes, [memory])
        way = between(bench, verdict)
        meeting = next((n for n in way if n in after and n.operation in ("add", "subtract")), None)
        if meeting is None:
            continue
        gradient = next((o for o in meeting.operands if o in bench.picture.spine), meeting)
        if gradient.operation == "multiply":
            gradient = next((o for o in gradient.operands if o in bench.picture.spine), gradient)
        taken = fitted(
            joined(bench.targets.values(meeting)), joined(bench.targets.values(gradient))
        )
        shaken = generator("recorded code", 0).random(memory.value.shape)
        kept_of = bench.picture.tape.replay({memory: shaken})[meeting.index] - meeting.value
        kept = fitted(np.ravel(kept_of), np.ravel(shaken))
        if taken is None or kept is None or kept <= 0:
            continue
        if abs(abs(taken) + kept - 1) < 1e-9 and kept < 0.5:
            why = (
                f"the memory keeps {kept:.4g} of itself and takes {abs(taken):.4g} of the gradient"
            )
            return Fault(meeting, [verdict], "momentum_misapplied", f"{why}: exchanged?")
    return None


def source_of(bench: Bench, verdict: Verdict) -> Node | None:
    """The last value of the backward pass that is the weight's gradient."""
    if verdict.source is not None:
        return verdict.source
    way = ancestors([verdict.weight.final]) if verdict.weight.final is not None else set()
    known = [
        n
        for n in bench.back
        if n in way
        and any(
            m.node is verdict.weight.start and m.whole and not m.updated
            for m in bench.right.get(n, ())
        )
    ]
    return known[0] if known else None


def between(bench: Bench, verdict: Verdict) -> list[Node]:
    """The operations from the gradient to the new weight."""
    source, final = source_of(bench, verdict), verdict.weight.final
    if source is None or final is None:
        return []
    after = descendants(bench.picture.nodes, [source]) & ancestors([final])
    return sorted(after - {source}, key=lambda n: n.index)


def memories(bench: Bench, verdict: Verdict) -> list[Node]:
    """Zeros of the weight's size that its new value is made of, but not its gradient."""
    final, start = verdict.weight.final, verdict.weight.start
    if final is None or start.value.size < 2:
        return []
    source = source_of(bench, verdict)
    return sorted(
        (
            n
            for n in ancestors([final]) - (ancestors([source]) if source is not None else set())
            if (not n.operands or n.operation.startswith(("zeros", "full"))) and n.is_float and n is not start
            and n.value.size == start.value.size and not np.any(n.value)
        ),
        key=lambda n: n.index,
    )  # fmt: skip


def meets_weight(bench: Bench, verdict: Verdict) -> Node | None:
    """Where the weight itself comes into its step."""
    final, start = verdict.weight.final, verdict.weight.start
    for node in between(bench, verdict):
        if node is not final and any(
            start in ancestors([o]) for o in node.operands if o not in bench.picture.spine
        ):
            return node
    return final


def root_taken(bench: Bench, verdict: Verdict) -> Node | None:
    """Where the step's root is taken, or what it is taken of, if that was corrected."""
    for node in between(bench, verdict):
        if node.operation == "sqrt":
            corrected = node.operands[0].operation in ("divide", "true_divide")
            return node.operands[0] if corrected else node
    return verdict.weight.final


def adds_itself(bench: Bench, node: Node) -> bool:
    """Is a gradient added to a multiple of itself, as a momentum that multiplies the present gradient?"""
    if node.operation not in ("add", "subtract") or len(node.operands) != 2:
        return False
    known = [bench.right.get(o) for o in node.operands]
    return all(k and not k[0].updated for k in known) and known[0][0].node is known[1][0].node  # type: ignore[index]
