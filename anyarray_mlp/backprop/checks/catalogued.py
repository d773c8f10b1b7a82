"""From the user's gradients to findings: match them with known mistakes, and say it in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anyarray_mlp.backprop.checks.numerical import Slopes
from anyarray_mlp.backprop.checks.update import Observation
from anyarray_mlp.backprop.reference.catalogue import CATALOGUE, BackpropFinding
from anyarray_mlp.backprop.reference.network import LEAKY_SLOPES, LOSSES, forward
from anyarray_mlp.backprop.reference.planting import (
    Explanation,
    Planted,
    Problem,
    explain,
    fit_factor,
)
from anyarray_mlp.backprop.reference.structure import as_matrix, pick
from anyarray_mlp.backprop.understanding import Understanding
from anyarray_mlp.typing import Host

CONSTANTS = ("mean_missing", "mean_twice", "factor_two")
# These make a gradient too long or too short but keep its direction.
WHOLE = frozenset([*CONSTANTS, "wrong_scale"])
SLOPES = {
    "identity": "1",
    "logistic": "a * (1 - a)",
    "tanh": "1 - a**2",
    "relu": "1 if z > 0 else 0",
    **{f"leaky_relu({s:g})": f"1 if z > 0 else {s:g}" for s in LEAKY_SLOPES},
    "elu": "1 if z > 0 else a + 1",
    "softplus": "1 / (1 + exp(-z))",
}


@dataclass(frozen=True)
class Verdict:
    """The findings, and the explanation that they come from."""

    findings: list[BackpropFinding]
    explanation: Explanation


class Judge:
    """Compares the user's gradients, as observed, with the right ones."""

    def __init__(self, known: Understanding, seen: Observation) -> None:
        assert known.structure is not None
        self.known = known
        self.seen = seen
        self.structure = known.structure
        self.parameters = known.user.parameters
        self.chain = known.chain(known.values)

    def judge(self) -> Verdict:
        """The cheapest explanation over all possible losses."""
        known, seen = self.known, self.seen
        observed, shape_mistakes = self.observed_layers(seen.arrays)
        fitted = known.loss
        problem = Problem(
            self.chain,
            forward(self.chain, known.samples.inputs),
            known.targets,
            observed,
            seen.tolerance,
            noise=self.noise_of_layers(),
            after=None if seen.after is None else self.after_weights(seen.after),
            free_scale=seen.free_scale,
            rate=seen.rate,
            decay=fitted.decay if fitted is not None else 0.0,
            bias_decay=fitted is not None and fitted.bias_decay,
            unseen_biases=frozenset(p.layer for p in shape_mistakes if p.where == "bias"),
            shared_biases=known.shared_biases(),
            one_by_one=seen.one_by_one,
        )
        best: Explanation | None = None
        for loss, scale in known.candidate_losses(seen.one_by_one):
            with np.errstate(all="ignore"):
                told = replace(problem, scale=None if seen.free_scale else scale)
                explanation = explain(told, loss)
            if best is None or explanation.cost < best.cost - 1e-9:
                best = explanation
            if best.is_right:
                break
        assert best is not None
        return Verdict(self.findings_of(best, problem, shape_mistakes), best)

    def noise_of_layers(self) -> list[tuple[float, float]] | None:
        """The norms of the rounding in each layer's weight and bias."""
        noise = self.seen.noise
        if noise is None:
            return None
        found = [[0.0, 0.0] for _ in self.structure.layers]
        for parameter, size in zip(self.parameters, noise, strict=True):
            found[parameter.layer][parameter.kind == "bias"] = size
            if self.structure.layers[parameter.layer].bias_row is not None:
                found[parameter.layer] = [size, size]
        return [(weight, bias) for weight, bias in found]

    def observed_layers(
        self, arrays: Sequence[Host | None]
    ) -> tuple[list[tuple[Host | None, Host | None]], list[Planted]]:
        """The user's arrays as (dW (i, o), db (o,)) for each layer, and mistakes in their shapes."""
        layers: list[tuple[Host | None, Host | None]] = []
        planted: list[Planted] = []
        for layer, layout in enumerate(self.structure.layers):
            weight = pick(layer, "weight", self.parameters, arrays)
            value = pick(layer, "weight", self.parameters, self.known.values)
            bias = pick(layer, "bias", self.parameters, arrays)
            bias_value = pick(layer, "bias", self.parameters, self.known.values)
            weight = self.in_weight_shape(weight, value, layer, planted)
            if weight is not None:
                weight = as_matrix(weight, layout.transposed)
                if layout.bias_row is not None:
                    bias = weight[layout.bias_row]
                    weight = np.delete(weight, layout.bias_row, axis=0)
            if bias is not None:
                outputs = self.chain.weights[layer].shape[1]
                size = outputs if layout.bias_row is not None else np.size(bias_value)
                if self.chain.biases[layer] is None:
                    bias = None
                elif bias.size == size == outputs:
                    bias = bias.reshape(outputs)
                elif size == 1 and bias.size == 1:
                    bias = np.full(outputs, float(bias.reshape(())))
                else:
                    detail = f"shape {bias.shape} for a bias of shape {np.shape(bias_value)}"
                    planted.append(Planted("bias_wrong_axis", layer, "bias", detail))
                    bias = None
            layers.append((weight, bias))
        return layers, planted

    def in_weight_shape(
        self, weight: Host | None, value: Host, layer: int, planted: list[Planted]
    ) -> Host | None:
        """A weight's gradient in the weight's shape; if it had another one, that is a mistake by itself."""
        if weight is None or weight.shape == value.shape:
            return weight
        if weight.shape == value.shape[::-1]:
            planted.append(Planted("transposed", layer, "weight", f"shape {weight.shape}"))
            return weight.T
        if weight.size == value.size:
            return weight.reshape(value.shape)
        planted.append(Planted("unexplained", layer, "weight", f"shape {weight.shape}"))
        return None

    def after_weights(self, after_step: list[Host]) -> list[Host | None]:
        """Each layer's weight (i, o), or (n, i, o), after the step seen."""
        found: list[Host | None] = []
        for layer, layout in enumerate(self.structure.layers):
            value = pick(layer, "weight", self.parameters, self.known.values)
            after = np.asarray(pick(layer, "weight", self.parameters, after_step), np.float64)
            many = after.ndim == np.ndim(value) + 1
            matrices = [as_matrix(a, layout.transposed) for a in (after if many else [after])]
            if layout.bias_row is not None:
                matrices = [np.delete(m, layout.bias_row, axis=0) for m in matrices]
            if any(m.shape != self.chain.weights[layer].shape for m in matrices):
                found.append(None)
            else:
                found.append(np.stack(matrices) if many else matrices[0])
        return found

    def findings_of(
        self,
        explanation: Explanation,
        problem: Problem,
        shape_mistakes: list[Planted],
    ) -> list[BackpropFinding]:
        """One finding for each cause in an explanation, with all its layers."""
        planted = [*explanation.planted, *shape_mistakes]
        planted += [Planted("unexplained", layer, where) for layer, where in explanation.unmatched]
        with np.errstate(all="ignore"):
            right = self.known.right_gradients(explanation.scale, explanation.loss)
        groups: dict[str, list[Planted]] = {}
        for one in summed_to_nothing(planted, right):
            groups.setdefault(one.cause, []).append(one)
        errors = {(layer, where): error for layer, where, error in explanation.errors}
        found = []
        for cause, members in groups.items():
            layers = tuple(sorted({m.layer + 1 for m in members}))
            where = ", ".join(dict.fromkeys(m.where for m in members))
            evidence: dict[str, Any] = {}
            compared = self.most_telling(members, problem, right)
            if compared is not None:
                evidence.update(compared)
            fits = [e for (layer, _), e in errors.items() if layer + 1 in layers]
            if fits and cause != "unexplained":
                evidence["relative difference to the planted mistake"] = max(fits)
            factors = sorted({m.factor for m in members if m.factor != 1.0})
            if factors:
                evidence["factor"] = factors[0] if len(factors) == 1 else str(factors)
            detail = next((m.detail for m in members if m.detail), "")
            detail = self.word(cause, detail, explanation, layers, problem)
            whole = self.is_whole(members)
            harmless = cause in CONSTANTS and whole
            severity = "warning" if harmless else CATALOGUE[cause].severity
            if harmless:
                detail = (detail + "; " if detail else "") + (
                    "the whole gradient is longer or shorter by this factor, which a learning rate can hide"
                )
            found.append(
                BackpropFinding(
                    cause,
                    layers,
                    where if self.seen.source == "gradients" else f"{where}, seen in the update",
                    detail,
                    evidence,
                    severity=severity,
                )
            )
        return found

    def is_whole(self, members: list[Planted]) -> bool:
        """True if a factor enters at the output's delta and so reaches every gradient."""
        last = self.chain.depth - 1
        return len(members) == 1 and members[0].layer == last and members[0].where == "delta"

    def word(
        self,
        cause: str,
        detail: str,
        explanation: Explanation,
        layers: tuple[int, ...],
        problem: Problem,
    ) -> str:
        """Details of a cause in this network."""
        names = problem.chain.activations
        if cause == "loss_reported_differs":
            trained = LOSSES[detail].formula if detail in LOSSES else "1/2 sum (output - y)^2"
            return f"reported: {explanation.loss.formula}; trained: {trained}"
        if cause in ("output_derivative_missing", "derivative_on_fused", "softmax_elementwise"):
            return f"output {names[-1]}, loss {explanation.loss.formula}"
        if cause.startswith("derivative"):
            name = names[layers[-1] - 1]
            right = f", whose derivative is {SLOPES[name]}" if name in SLOPES else ""
            wrong = {
                "derivative_of_another_activation": f"; multiplied by that of {detail}",
                "derivative_formula_wrong": f"; multiplied by {detail}",
            }
            return f"activation {name}{right}{wrong.get(cause, '')}"
        if cause == "momentum_misapplied" and detail == "weights":
            return "a multiple of the weights themselves is in the update"
        return detail

    def most_telling(
        self, members: list[Planted], problem: Problem, right: list[tuple[Host, Host]]
    ) -> dict[str, Any] | None:
        """Cosine, ratio and difference between the first affected array and the right one."""
        for member in members:
            which = 1 if member.where == "bias" else 0
            array = problem.observed[member.layer][which]
            if array is None or (member.layer in problem.shared_biases and which):
                continue
            truth = right[member.layer][which]
            return compare(array, truth)
        return None


def summed_to_nothing(
    planted: Sequence[Planted], right: Sequence[tuple[Host, Host]]
) -> list[Planted]:
    """A bias that never changes because its gradient is summed over everything.

    With a softmax such a sum is zero. This is assumed if another bias is summed like that.
    """
    others = any(one.cause == "bias_wrong_axis" for one in planted)
    told = []
    for one in planted:
        bias = right[one.layer][1]
        if one.cause == "bias_not_updated" and abs(bias.sum()) <= 1e-6 * np.abs(bias).sum():
            detail = "or its gradient is summed over everything, which gives zero with a softmax"
            one = replace(one, cause="bias_wrong_axis") if others else replace(one, detail=detail)
        told.append(one)
    return told


def judge_by_numbers(
    known: Understanding, seen: Observation, slopes: Slopes
) -> list[BackpropFinding]:
    """Without a reference: compare with the numerical slopes up to signs and constants."""
    found = []
    for parameter, array, value, (index, right, error) in zip(
        known.user.parameters, seen.arrays, known.values, slopes, strict=True
    ):
        is_bias = parameter.kind == "bias"
        smooth = error <= 1e-3 * max(float(np.abs(right).max()), 1e-12)
        truth = right[smooth]
        size = float(np.abs(truth).max(initial=0.0))
        if size < 1e-10:
            if is_bias and smooth.any():
                found.append(BackpropFinding("bias_missing", (parameter.layer + 1,), "bias"))
            continue
        got = None if array is None or array.size != value.size else array.ravel()[index][smooth]
        for cause, evidence in name_by_numbers(known, seen, got, truth, is_bias):
            found.append(
                BackpropFinding(cause, (parameter.layer + 1,), parameter.kind, "", evidence)
            )
    return found


def name_by_numbers(
    known: Understanding, seen: Observation, got: Host | None, truth: Host, is_bias: bool
) -> list[tuple[str, dict[str, Any]]]:
    """What one parameter's gradient shows by its entries alone: (cause, evidence)."""
    if got is None or np.abs(got).max() <= 1e-9 * np.abs(truth).max():
        return [("bias_not_updated" if is_bias else "weights_not_updated", {})]
    factor, misfit = fit_factor(got, truth)
    evidence = compare(got, truth)
    near = 0.02 if known.single else 1e-3
    if misfit > near:
        return [("unexplained", evidence)]
    named = [("sign_flipped", evidence)] if factor < 0 else []
    size = abs(factor)
    if not seen.free_scale and abs(size - 1) > near:
        n = known.samples.count
        constants = {"mean_missing": (n,), "mean_twice": (1 / n,), "factor_two": (2.0, 0.5)}
        causes = [
            c for c, values in constants.items() if any(abs(size / v - 1) <= near for v in values)
        ]
        named.append((causes[0] if causes else "wrong_scale", {**evidence, "factor": factor}))
    return named


def compare(array: Host, right: Host) -> dict[str, Any]:
    """Cosine, ratio of lengths and largest relative difference of two gradients."""
    a, b = float(np.linalg.norm(array)), float(np.linalg.norm(right))
    cosine = float((array * right).sum() / (a * b)) if a > 0 and b > 0 else 0.0
    largest = float(np.abs(array - right).max() / max(float(np.abs(right).max()), 1e-300))
    return {
        "cosine with the right gradient": cosine,
        "ratio of lengths": a / b if b > 0 else float("inf"),
        "largest difference to the right one": largest,
    }
