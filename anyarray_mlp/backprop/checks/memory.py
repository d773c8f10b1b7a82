"""What a training step keeps from the step before: momentum, sums that are never reset, old activations.

A second step is compared with the same step of a network that starts fresh from the same weights. The
difference is memory, and its form shows which kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.samples import Samples, scaled
from anyarray_mlp.typing import Host


def two_batches(samples: Samples) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Two batches of the same shape with different activations."""
    if samples.layout == "single":
        other = 1 if samples.count > 1 else 0
        x, y = samples.one(0)
        second = samples.one(other)
        if not other:
            x = scaled(x, 0.5)
        return (x, y), second
    return (scaled(samples.x, 0.5), samples.y), (samples.x, samples.y)


def norm(arrays: Sequence[Host | None]) -> float:
    """The Euclidean norm of all arrays together; those that are None count nothing."""
    return float(np.sqrt(sum(float((a**2).sum()) for a in arrays if a is not None)))


def gradient_memory(
    network: UserNetwork, samples: Samples, tolerance: float
) -> list[BackpropFinding]:
    """Does a second call of the gradients depend on the first?"""
    (xa, ya), (xb, yb) = two_batches(samples)
    first = network.raw_gradients(xa, ya)
    fresh = network.raw_gradients(xb, yb)
    network.raw_gradients(xa, ya)
    if not all(np.array_equal(a, b) for a, b in zip(network.read(), network.current, strict=True)):
        return []  # it makes an update, too, after which other gradients are right
    second = network.raw_gradients(xb, yb, fresh=False)
    rest = differences(second, fresh)
    size = norm(fresh)
    if norm(rest) <= 10 * tolerance * max(size, norm(first)):
        return []
    share, error = share_of(rest, first)
    evidence: dict[str, Any] = {
        "second call differs from a fresh one by": norm(rest) / max(size, 1e-300)
    }
    if error < 0.02 and abs(share - 1) < 0.02:
        evidence["share of the first call's gradient in the second"] = share
        return [BackpropFinding("gradients_never_reset", evidence=evidence)]
    layers = tuple(
        sorted({p.layer + 1 for p, r in zip(network.parameters, rest, strict=True)
                if r is not None and norm([r]) > 10 * tolerance * size})
    )  # fmt: skip
    if 0.5 < share <= 1.02 and error < 0.3:
        return [BackpropFinding("gradients_never_reset", layers, evidence=evidence)]
    return [BackpropFinding("stale_activations", layers, evidence=evidence)]


def differences(a: Sequence[Host | None], b: Sequence[Host | None]) -> list[Host | None]:
    """a - b, array by array; None if either is missing or the shapes differ."""
    return [
        None if x is None or y is None or np.shape(x) != np.shape(y) else x - y
        for x, y in zip(a, b, strict=True)
    ]


def share_of(rest: Sequence[Host | None], of: Sequence[Host | None]) -> tuple[float, float]:
    """(s, relative error) of rest = s * of over all arrays, if there is a rest."""
    pairs = [(r, o) for r, o in zip(rest, of, strict=True)
             if r is not None and o is not None and np.shape(r) == np.shape(o)]  # fmt: skip
    r = np.concatenate([p[0].ravel() for p in pairs])
    o = np.concatenate([p[1].ravel() for p in pairs])
    power = float(o @ o)
    if power == 0:
        return 0.0, np.inf
    share = float(o @ r) / power
    return share, float(np.linalg.norm(r - share * o) / max(float(np.linalg.norm(r)), 1e-300))


def step_memory(
    network: UserNetwork,
    samples: Samples,
    rate: float | None,
    tolerance: float,
) -> tuple[list[BackpropFinding], float | None]:
    """What the second training step keeps from the first.

    Returns
    -------
    The findings, and the momentum's coefficient if there is a proper one.
    """
    steps = two_steps(network, samples, rate)
    if steps is None:
        return [], None
    start, middle, first, second, fresh = steps
    rest = differences(second, fresh)
    size = max(norm(fresh), norm(first))
    if size == 0 or norm(rest) <= 10 * tolerance * size:
        if norm(first) == 0 and norm(second) > 0:
            return [late_velocity()], None
        return [], None
    if norm(first) <= 1e-12 * size and norm(second) > 0:
        return [late_velocity()], None
    shorter, error = share_of(rest, fresh)
    if error <= 1e-3 and abs(shorter) < 0.5:
        return [], None  # a learning rate that changes from step to step
    share, error = share_of(rest, first)
    evidence: dict[str, Any] = {
        "second step differs from a fresh one by": norm(rest) / max(norm(fresh), 1e-300)
    }
    close = 0.05
    told = network.adapter.momentum
    if error <= close:
        evidence["share of the first step in the second"] = share
        if abs(share - 1) <= 0.03 and (told is None or abs(told - 1) > 0.05):
            return [BackpropFinding("gradients_never_reset", evidence=evidence)], None
        of_gradient = share if rate is None else share * rate
        if (
            told is not None
            and not any(abs(told - usual) <= 0.05 for usual in (share, of_gradient))
            and abs(share - told**2 / (1 + told)) > 0.05
        ):
            detail = f"momentum={told:g} was given, but {share:.3g} times the last change is added"
            return [BackpropFinding("momentum_misapplied", detail=detail, evidence=evidence)], None
        if 0 < share < 1:
            return [], share
        if rate is not None and keeps_gradients(network, samples, rate, share):
            return [], of_gradient
        detail = f"{share:.3g} times the last change is added; it should be between 0 and 1"
        return [BackpropFinding("momentum_misapplied", detail=detail, evidence=evidence)], None
    finding = uneven_memory(network, rest, first, start, middle, evidence, close)
    return ([] if finding is None else [finding]), None


def two_steps(
    network: UserNetwork, samples: Samples, rate: float | None
) -> tuple[list[Host], list[Host], list[Host], list[Host], list[Host]] | None:
    """(start, weights after a step, its change, the next step's, the same of a fresh network).

    None if a step changes shapes.
    """
    (xa, ya), (xb, yb) = two_batches(samples)
    start = [np.array(v, dtype=np.float64) for v in network.current]
    begun = list(network.current)
    middle = network.step(xa, ya, rate)
    end = network.step(xb, yb, rate, fresh=False)
    if any(np.shape(a) != np.shape(b) for a, b in zip(start, end, strict=True)):
        return None
    network.write(middle)
    fresh_end = network.step(xb, yb, rate)
    network.write(begun)
    first = [m - s for m, s in zip(middle, start, strict=True)]
    second = [e - m for e, m in zip(end, middle, strict=True)]
    fresh = [e - m for e, m in zip(fresh_end, middle, strict=True)]
    return start, middle, first, second, fresh


def keeps_gradients(network: UserNetwork, samples: Samples, rate: float, share: float) -> bool:
    """Is the last gradient added, times a momentum that the rate does not scale?

    change = learning_rate * gradient + momentum * last_gradient, as in the well-known bpnn.py.
    """
    steps = two_steps(network, samples, 2 * rate)
    if steps is None or not 0 < share * rate < 1:
        return False
    _, _, first, second, fresh = steps
    half, error = share_of(differences(second, fresh), first)
    return error < 0.05 and abs(2 * half / share - 1) < 0.05


def late_velocity() -> BackpropFinding:
    """The finding for a momentum whose first step changes nothing."""
    detail = (
        "the first step changes nothing: the velocity is added before the gradient is added to it"
    )
    return BackpropFinding("momentum_misapplied", detail=detail)


def uneven_memory(
    network: UserNetwork,
    rest: Sequence[Host | None],
    first: Sequence[Host],
    start: Sequence[Host],
    middle: Sequence[Host],
    evidence: dict[str, Any],
    close: float,
) -> BackpropFinding | None:
    """Memory that is not a fixed share of the first step: by parameter, then stale values."""
    shares: list[tuple[int, float]] = []
    size = norm(rest)
    for parameter, r, f, s, m in zip(network.parameters, rest, first, start, middle, strict=True):
        if r is None or norm([r]) <= 1e-3 * size:
            continue
        for values in (s, m):
            of_weights, error = share_of([r], [values])
            if error <= close and np.size(r) > 1 and abs(of_weights) < 1.5:
                evidence["share of the weights in the second step"] = of_weights
                detail = "a multiple of the weights themselves is added"
                return BackpropFinding(
                    "momentum_misapplied", (parameter.layer + 1,), "weight", detail, evidence
                )
        share, error = share_of([r], [f])
        if error > close:
            break
        shares.append((parameter.layer + 1, share))
    else:
        if shares:
            kept = tuple(sorted({layer for layer, _ in shares}))
            evidence["share of the first step in the second"] = shares[0][1]
            if all(abs(share - 1) <= 0.03 for _, share in shares):
                return BackpropFinding("gradients_never_reset", kept, evidence=evidence)
            values_of = [share for _, share in shares]
            if np.ptp(values_of) <= 0.03 and 0 < values_of[0] < 1:
                return None
            detail = "the share of the last change differs between the parameters"
            return BackpropFinding("momentum_misapplied", kept, "update", detail, evidence)
    return BackpropFinding("stale_activations", evidence=evidence)
