"""Find the fewest planted mistakes that turn the right gradient into the user's.

The search walks from the output to the input, as backprop does. At each layer it tries every way of
computing the delta from the one above, and every way of making the weight's and the bias's gradient
from it. What fits to rounding is kept, the explanation that assumes least first. A constant factor is
not searched: it is measured, then named (a sign, 2, the number of samples, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from anyarray_mlp.backprop.reference.network import (
    Chain,
    Delta,
    Loss,
    Trace,
    bias_gradients,
    hidden_deltas,
    output_deltas,
    weight_gradients,
)
from anyarray_mlp.typing import Host

UNMATCHED = 6.0
REPEATED = 0.3
BEAM = 40
MARGIN = 3.5
FEW = 8  # entries that more than one candidate may fit by chance, up to a factor


@dataclass(frozen=True)
class Planted:
    """One mistake: its cause, the layer (from 0) and the part of it ("delta", "weight", "bias")."""

    cause: str
    layer: int
    where: str
    detail: str = ""
    factor: float = 1.0


@dataclass(frozen=True)
class Problem:
    """What was seen of a user's gradients at one set of weights.

    `observed` holds (dW (i, o) or None, db (o,) or None) for each layer, `after` each layer's
    weight after the update if a training step was seen. `scale` is the loss's known factor, or None
    if any of `allowed` (or, with `free_scale`, any positive number) is right. `decay` is the
    coefficient of an L2 penalty in the loss.
    """

    chain: Chain
    trace: Trace
    y: Host
    observed: Sequence[tuple[Host | None, Host | None]]
    tolerance: float
    noise: Sequence[tuple[float, float]] | None = None  # norms of rounding, weight and bias
    after: Sequence[Host | None] | None = None
    scale: float | None = None
    free_scale: bool = False
    rate: float | None = None
    decay: float = 0.0
    bias_decay: bool = False
    unseen_biases: frozenset[int] = frozenset()  # layers whose bias is judged elsewhere
    shared_biases: frozenset[int] = frozenset()  # layers with one bias for all units
    one_by_one: bool = False  # each sample was seen alone, the observed arrays are their sum

    @property
    def samples(self) -> int:
        """The number of samples that a mean would be over."""
        return 1 if self.one_by_one else len(self.y)

    @property
    def outputs(self) -> int:
        return int(self.trace.output.shape[1])

    @property
    def allowed(self) -> tuple[float, ...]:
        """Factors of the summed loss that people use on purpose."""
        return usual_scales(self.samples, self.outputs)


def usual_scales(n: int, k: int) -> tuple[float, ...]:
    """Factors of 1/2 squared error, or of a cross-entropy, summed over n samples and k outputs."""
    return (1.0, 2.0, 1 / n, 2 / n, 1 / (n * k), 2 / (n * k), 1 / k, 2 / k, 0.5, 0.5 / n)


@dataclass(frozen=True)
class Explanation:
    """The mistakes that reproduce the user's gradients, and how much they assume."""

    loss: Loss
    planted: tuple[Planted, ...]
    cost: float
    scale: float
    unmatched: tuple[tuple[int, str], ...] = ()
    decay: float = 0.0
    errors: tuple[tuple[int, str, float], ...] = ()

    @property
    def is_right(self) -> bool:
        return self.cost == 0


@dataclass(frozen=True)
class State:
    """A partial explanation: the mistakes planted so far, and what they leave unexplained."""

    cost: float
    planted: tuple[Planted, ...]
    delta: Delta
    scale: float | None
    unmatched: tuple[tuple[int, str], ...]
    decay: float
    errors: tuple[tuple[int, str, float], ...] = ()


@dataclass(frozen=True)
class Fit:
    """A candidate times `factor` is the observed array, to a relative `error`.

    `slack` is the relative rounding of the observed array.
    """

    cause: str
    cost: float
    factor: float
    decay: float = 0.0
    error: float = 0.0
    slack: float = 0.0


def explain(problem: Problem, loss: Loss) -> Explanation:
    """The cheapest explanation of the observed gradients under one loss."""
    last = problem.chain.depth - 1
    states: list[State] = []
    for delta in output_deltas(problem.chain, problem.trace, problem.y, loss):
        start = State(0.0, (), delta, problem.scale, (), 0.0)
        found = match_layer(problem, last, start, delta)
        states.extend(found)
        if delta.cause == "" and any(s.cost == 0 for s in found):
            break
    states = prune(states)
    for layer in reversed(range(last)):
        after = problem.after[layer + 1] if problem.after is not None else None
        extended: list[State] = []
        for state in states:
            for delta in hidden_deltas(problem.chain, problem.trace, layer, state.delta, after):
                found = match_layer(problem, layer, state, delta)
                extended.extend(found)
                if delta.cause == "" and any(s.cost == state.cost for s in found):
                    break
        states = prune(extended)
    best = states[0]
    scale = 1.0 if best.scale is None else best.scale
    return Explanation(
        loss, best.planted, best.cost, scale, best.unmatched, best.decay, best.errors
    )


def prune(states: list[State]) -> list[State]:
    """The cheapest states, and those that a layer below may still make cheaper."""
    best = min(state.cost for state in states)
    near = [state for state in states if state.cost <= best + MARGIN]
    return sorted(near, key=lambda s: s.cost)[:BEAM]


def match_layer(problem: Problem, layer: int, state: State, delta: Delta) -> list[State]:
    """All states that follow from one way of computing this layer's delta."""
    weight, bias = problem.observed[layer]
    candidates = list(weight_gradients(problem.trace, layer, delta.delta))
    size = max((float(np.abs(c).max()) for _, _, c in candidates[:1]), default=0.0)
    noise = (0.0, 0.0) if problem.noise is None else problem.noise[layer]
    slack = [problem.tolerance + relative(n, a) for n, a in zip(noise, (weight, bias), strict=True)]
    weight_fits = fit_all(weight, candidates, slack[0], size, problem.chain.weights[layer])
    has_bias = problem.chain.biases[layer] is not None
    bias_fits = [Fit("", 0.0, np.nan)]
    if bias is not None and has_bias:
        bias_values = problem.chain.biases[layer]
        bias_fits = fit_all(
            bias,
            list(bias_gradients(delta.delta, layer in problem.shared_biases)),
            slack[1],
            size,
            bias_values if problem.bias_decay else None,
        )
    elif has_bias and layer not in problem.unseen_biases:
        bias_fits = [Fit("bias_not_updated", 1.0, np.nan)]
    found = []
    for weight_fit in weight_fits:
        for bias_fit in bias_fits:
            found.extend(combine(problem, layer, state, delta, weight_fit, bias_fit))
    return found


def relative(noise: float, array: Host | None) -> float:
    """Rounding relative to an array, at most a tenth."""
    size = 0.0 if array is None else float(np.linalg.norm(array))
    return min(3 * noise / size, 0.1) if size > 0 else 0.0


def fit_all(
    observed: Host | None,
    candidates: Sequence[tuple[str, float, Host]],
    tolerance: float,
    size: float,
    values: Host | None,
) -> list[Fit]:
    """The candidates that are the observed array up to a factor (and a multiple of `values`)."""
    if observed is None:
        return [Fit("", 0.0, np.nan)]
    if np.abs(observed).max() <= 1e-9 * max(size, 1e-30):
        right = candidates[0][2]
        if np.abs(right).max() <= 1e-12:
            return [Fit("", 0.0, np.nan)]
        return [Fit("not_updated", 1.0, np.nan)]
    fits: list[Fit] = []
    for cause, cost, candidate in candidates:
        factor, error = fit_factor(observed, candidate)
        if error <= tolerance:
            fits.append(Fit(cause, cost, factor, 0.0, error, tolerance))
            if not cause and observed.size > FEW:
                break
        elif not cause and values is not None and observed.size >= 4:
            factor, decay, error = fit_decay(observed, candidate, values)
            if error <= tolerance:
                fits.append(Fit("", 0.0, factor, decay, error, tolerance))
                break
    return fits or [Fit("unexplained", UNMATCHED, np.nan)]


def fit_factor(observed: Host, candidate: Host) -> tuple[float, float]:
    """(s, |observed - s candidate| / |observed|) of least squares."""
    power = float((candidate * candidate).sum())
    norm = float(np.linalg.norm(observed))
    if power == 0 or norm == 0 or not np.isfinite(power):
        return 1.0, np.inf
    factor = float((candidate * observed).sum()) / power
    return factor, float(np.linalg.norm(observed - factor * candidate)) / norm


def fit_decay(observed: Host, candidate: Host, values: Host) -> tuple[float, float, float]:
    """(s, decay, relative error) of observed = s candidate + decay values, by least squares."""
    u, c, v = observed.ravel(), candidate.ravel(), values.ravel()
    cc, cv, vv = float(c @ c), float(c @ v), float(v @ v)
    determinant = cc * vv - cv * cv
    if not np.isfinite(determinant) or determinant <= 1e-12 * cc * vv:
        return 1.0, 0.0, np.inf
    cu, vu = float(c @ u), float(v @ u)
    factor, decay = (vv * cu - cv * vu) / determinant, (cc * vu - cv * cu) / determinant
    left = float(np.linalg.norm(u - factor * c - decay * v))
    return factor, decay, left / max(float(np.linalg.norm(u)), 1e-300)


def combine(
    problem: Problem, layer: int, state: State, delta: Delta, weight: Fit, bias: Fit
) -> list[State]:
    """States for each way in which the measured factors can be divided up.

    A factor of the delta carries on to the layers below; a factor of the weight's or the bias's
    gradient stays where it is.
    """
    states = []
    factors = [f for f in (weight.factor, bias.factor) if np.isfinite(f)]
    unmatched = state.unmatched
    for fit, where in ((weight, "weight"), (bias, "bias")):
        if fit.cause == "unexplained":
            unmatched = (*unmatched, (layer, where))
    errors = (
        *state.errors,
        *((layer, w, f.error) for f, w in ((weight, "weight"), (bias, "bias")) if f.error),
    )
    bases = [state.scale] if state.scale is not None else base_scales(problem, factors)
    for base in bases:
        near = 5 * max(weight.slack, bias.slack, problem.tolerance)
        shared = {1.0, *(f / base for f in factors if abs(f / base - 1) > near)}
        for of_delta in shared:
            causes = filter(None, delta.cause.split("+"))
            cost, planted = state.cost, list(state.planted)
            planted.extend(Planted(cause, layer, "delta", delta.detail) for cause in causes)
            cost += delta_cost(state.planted, delta)
            cost += add_factor(problem, planted, of_delta, layer, "delta", near)
            for fit, where in ((weight, "weight"), (bias, "bias")):
                if fit.cause and fit.cause != "unexplained":
                    cause = fit.cause
                    if cause == "not_updated":
                        cause = "weights_not_updated" if where == "weight" else "bias_not_updated"
                    repeated = any(p.cause == cause for p in planted)
                    cost += REPEATED if repeated else fit.cost
                    planted.append(Planted(cause, layer, where))
                elif fit.cause:
                    cost += UNMATCHED
                if np.isfinite(fit.factor):
                    cost += add_factor(
                        problem, planted, fit.factor / base / of_delta, layer, where, near
                    )
            decay, more = judge_decay(problem, planted, weight, base, layer, state.decay)
            cost += more
            scaled = replace(delta, delta=delta.delta * of_delta, error=delta.error * of_delta)
            states.append(State(cost, tuple(planted), scaled, base, unmatched, decay, errors))
    return states


def delta_cost(before: Sequence[Planted], delta: Delta) -> float:
    """What a delta's causes cost: little if the same mistake was made in a layer above."""
    causes = [c for c in delta.cause.split("+") if c]
    known = {p.cause for p in before if p.where == "delta"}
    if causes and all(c in known for c in causes):
        return REPEATED * len(causes)
    return delta.cost


def judge_decay(
    problem: Problem, planted: list[Planted], fit: Fit, base: float, layer: int, known: float
) -> tuple[float, float]:
    """What a multiple of the weights in their gradient means: (decay found, cost)."""
    wanted = problem.decay
    # A constant factor of the whole gradient is also one of the decay.
    whole = float(np.prod([one.factor for one in planted if one.where == "delta"]))
    close = any(
        abs(fit.decay - decay) <= 0.02 * abs(decay) + 1e-6 * abs(base)
        for decay in (wanted, wanted * whole)
    )
    if not np.isfinite(fit.factor) or close:
        return known, 0.0
    in_update = fit.decay * (problem.rate or 0.0)
    repeated = any(p.cause in ("momentum_misapplied", "weight_decay_differs") for p in planted)
    if fit.decay < 0 or in_update > 0.05:
        planted.append(Planted("momentum_misapplied", layer, "weight", "weights", in_update))
        return fit.decay, REPEATED if repeated else 1.0
    if wanted != 0:
        planted.append(Planted("weight_decay_differs", layer, "weight", "", fit.decay / wanted))
        return fit.decay, REPEATED if repeated else 1.0
    return fit.decay, 0.0


def base_scales(problem: Problem, factors: Sequence[float]) -> list[float]:
    """Scales of the whole gradient that are no mistake, or the nearest to one."""
    if not factors:
        return [1.0]
    if problem.free_scale:
        return sorted({abs(f) for f in factors})
    return [
        min(problem.allowed, key=lambda a: abs(np.log(abs(f) / a)) if f else np.inf)
        for f in dict.fromkeys(factors)
    ]


def add_factor(
    problem: Problem, planted: list[Planted], factor: float, layer: int, where: str, near: float
) -> float:
    """Name a factor between the user's array and the right one; returns what it costs."""
    cost = 0.0
    if factor < 0:
        cost += charge(planted, Planted("sign_flipped", layer, where, "", -1.0), 1.0)
    size = abs(factor)
    if abs(size - 1) <= near:
        return cost
    names = name_factor(problem, size, near, where)
    if not names:
        return cost + charge(planted, Planted("wrong_scale", layer, where, "", size), 3.0)
    for cause, part in names:
        cost += charge(planted, Planted(cause, layer, where, "", part), 1.0)
    return cost


def charge(planted: list[Planted], new: Planted, cost: float) -> float:
    """Append a mistake; one that was made before costs little."""
    repeated = any(p.cause == new.cause and p.where == new.where for p in planted)
    planted.append(new)
    return REPEATED if repeated else cost


def name_factor(problem: Problem, size: float, near: float, where: str) -> list[tuple[str, float]]:
    """The constants, one or two, whose product a factor is: [(cause, constant)]."""
    n, k = problem.samples, problem.outputs
    singles: list[tuple[str, float]] = []
    if n > 1:
        singles += [("mean_missing", float(n)), ("mean_twice", 1 / n)]
    singles += [("factor_two", 2.0), ("factor_two", 0.5)]
    if k > 1:
        singles += [("mean_missing", float(k)), ("mean_twice", 1 / k)]
        if n > 1:
            singles += [("mean_missing", float(n * k)), ("mean_twice", 1 / (n * k))]
    if problem.rate is not None and problem.rate != 1:
        singles += [("learning_rate_missing", 1 / problem.rate)]
        singles += [("learning_rate_twice", problem.rate)]
    if where != "delta":
        # A mean is forgotten for the whole gradient rather than for one array.
        singles.sort(key=lambda single: single[0] != "factor_two")
    for cause, constant in singles:
        if abs(size / constant - 1) <= near:
            return [(cause, constant)]
    for i, (cause, constant) in enumerate(singles):
        for other, factor in singles[i + 1 :]:
            if other != cause and abs(size / (constant * factor) - 1) <= near:
                return [(cause, constant), (other, factor)]
    return []
