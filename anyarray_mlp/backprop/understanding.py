"""Understand a user's network: its layout, structure and loss; and choose the weights to probe it at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.backprop.reference.catalogue import BackpropFinding
from anyarray_mlp.backprop.reference.network import (
    LOSSES,
    NAMED_LOSSES,
    Chain,
    Loss,
    forward,
    gradients,
)
from anyarray_mlp.backprop.reference.structure import (
    FittedLoss,
    Structure,
    fit_loss,
    fit_structure,
    layouts,
)
from anyarray_mlp.backprop.user.adapter import Layout
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.samples import (
    Samples,
    as_samples,
    check_finite,
    outputs_of,
    targets_of,
)
from anyarray_mlp.errors import AnyArrayMLPError, DataError, UsageError
from anyarray_mlp.typing import Host

PROBES = 12


class Understanding:
    """How a user's network was understood, at one set of random probe weights.

    Attributes
    ----------
    samples, loss_samples
        The user's samples for gradients and steps, and for the loss; labels have the output's
        shape if the user's own would broadcast.
    structure
        How the parameters make a chain of layers; None if the forward pass is no known chain.
    values
        The probe weights, in the user's shapes: random, so that all-zero or saturated weights hide
        nothing.
    output, targets
        (n, k), the user's output at the probe weights and what it should be.
    loss, named
        The known loss that equals the user's function; the name of a loss that was given by name.
    findings
        What was found wrong on the way.
    """

    def __init__(self, user: UserNetwork, x: Any, y: Any) -> None:
        self.user = user
        self.findings: list[BackpropFinding] = []
        self.structure: Structure | None = None
        self.loss: FittedLoss | None = None
        self.single = any(v.dtype == np.float32 for v in user.original)
        self.tolerance = 2e-4 if self.single else 1e-5
        self.fit_tolerance = 2e-4 if self.single else 1e-5
        told = user.adapter.loss
        self.named = NAMED_LOSSES.get(told) if isinstance(told, str) and user.loss is None else None
        rng = streams.generator("gradient probe", 0)
        check_finite(x, y)
        self.samples = self.loss_samples = self.find_layout(x, y)
        self.values = self.pick_probe(rng)
        if self.samples.layout == "single":
            user.settle_batches(*self.samples.one(0))
        user.optimizer_state = self.find_optimizer_state()
        user.write(self.values)
        user.find_counters(*self.whole_batch())
        user.write(self.values)
        self.output = outputs_of(user, self.samples)
        self.mend_label_shape()
        self.targets = targets_of(self.samples, self.output.shape[1])
        self.find_loss(rng)

    def find_layout(self, x: Any, y: Any) -> Samples:
        """The samples' layout; finds the structure on the way."""
        told = self.user.adapter.samples
        nested = isinstance(x, (list, tuple)) and len(x) > 0 and np.ndim(x[0]) == 2
        candidates: list[Layout]
        if told is not None:
            candidates = [told]
        elif nested or (hasattr(x, "shape") and len(x.shape) == 3):
            candidates = ["single"]
        else:
            candidates = ["rows", "columns", "single"]
        problems: list[str] = []
        possible: Samples | None = None
        for layout in candidates:
            self.user.layout = layout
            try:
                samples = as_samples(x, y, layout)
                probes = self.probe_outputs(samples)
            except AnyArrayMLPError as error:
                if told is not None:
                    raise
                problems.append(f"{layout}: {error}")
                continue
            except Exception as error:
                problems.append(f"{layout}: {type(error).__name__}: {error}")
                continue
            structure = fit_structure(
                self.user.parameters,
                probes,
                samples.inputs,
                self.fit_tolerance,
                self.user.adapter.activations,
            )
            if structure is not None:
                self.structure = structure
                return samples
            chains = layouts(self.user.parameters, self.user.original, samples.inputs.shape[1])
            if possible is None or (chains and not self.chains(possible)):
                possible = samples
        if self.user.guessed:
            found = ", ".join(str(parameter.path) for parameter in self.user.parameters)
            raise UsageError(
                f"the arrays found for weights and biases ({found}) do not reproduce the forward pass; name them: "
                "weights=['W1', 'W2'], biases=['b1', 'b2']"
            )
        if possible is None:
            raise UsageError("the forward pass fails on x in every layout; " + "; ".join(problems))
        self.user.layout = possible.layout
        return possible

    def chains(self, samples: Samples) -> bool:
        found = layouts(self.user.parameters, self.user.original, samples.inputs.shape[1])
        return bool(found)

    def probe_outputs(self, samples: Samples) -> list[tuple[list[Host], Host]]:
        """The user's outputs at two sets of random weights."""
        probes = []
        rng = streams.generator("layout probe", 0)
        for _ in range(2):
            values = self.draw(rng, samples)
            self.user.write(values)
            probes.append((values, outputs_of(self.user, samples)))
        return probes

    def draw(self, rng: np.random.Generator, samples: Samples) -> list[Host]:
        """Random weights at which no unit saturates."""
        values = []
        scale = float(np.sqrt((samples.inputs**2).mean())) or 1.0
        for parameter, value in zip(self.user.parameters, self.user.original, strict=True):
            if parameter.kind == "weight":
                fan = max(value.shape) if value.ndim > 1 else value.size
                size = 1.3 / np.sqrt(fan)
                if parameter.layer == 0:
                    fan = samples.inputs.shape[1]
                    size = 1.3 / (np.sqrt(fan) * scale)
            else:
                size = 0.4
            drawn = rng.standard_normal(value.shape) * size
            values.append(np.asarray(drawn, dtype=value.dtype))
        return values

    def chain(self, values: Sequence[Host]) -> Chain:
        assert self.structure is not None
        return self.structure.chain(self.user.parameters, values)

    def pick_probe(self, rng: np.random.Generator) -> list[Host]:
        """Weights at which every layer has a gradient and every hidden derivative varies."""
        best: list[Host] = []
        best_score = (-1, -1.0)
        for _ in range(PROBES):
            values = self.draw(rng, self.samples)
            if self.structure is None:
                return values
            chain = self.chain(values)
            trace = forward(chain, self.samples.inputs)
            target = np.zeros_like(trace.output)
            with np.errstate(all="ignore"):
                found = gradients(chain, trace, target, LOSSES["squared_error"])
            varied = 0
            for layer in range(chain.depth - 1):
                activation = chain.activation(layer)
                if activation is not None:
                    varied += bool(np.ptp(activation.slope(trace.z[layer])) > 0)
            size = min(float(np.abs(dw).max()) for dw, _ in found)
            score = (varied if size > 1e-6 else -1, size)
            if score > best_score:
                best, best_score = values, score
        return best

    def find_optimizer_state(self) -> list[Host]:
        """Velocities and the like: shaped like a parameter, without influence on output and loss.

        They belong to the weights that the user trained; at the probe weights they are zero.
        """
        user, samples = self.user, self.samples

        def seen(state: list[Host]) -> list[Host] | None:
            user.optimizer_state = state
            user.write(self.values)
            return attempt(lambda s: [outputs_of(user, s), *self.user_loss(s)], samples)

        usual = seen([])
        if usual is None:
            return []
        silent = []
        for array in user.state_like_parameters(samples.x, samples.y):
            without = seen([array])
            if without is not None and same_arrays(without, usual, 0.0):
                silent.append(array)
        return silent

    def whole_batch(self) -> tuple[Any, Any]:
        """(x, y) of one call: all samples, or the first if functions take one at a time."""
        samples = self.samples
        return samples.one(0) if samples.layout == "single" else (samples.x, samples.y)

    def mend_label_shape(self) -> None:
        """(n,) against (n, 1): do the labels as given mean the same as in the output's shape?

        If not, the other checks use labels in the output's shape.
        """
        samples = self.loss_samples = self.samples
        if samples.layout == "single" or samples.count < 2:
            return
        raw = self.user.output(samples.x)
        n = samples.count
        vector, column = (n,), (n, 1)
        given = tuple(np.shape(samples.y))
        lies_across = raw.shape == (1, n) and given == column
        if {raw.shape, given} != {vector, column} and not lies_across:
            return
        y = samples.y if hasattr(samples.y, "reshape") else np.asarray(samples.y)
        corrected = replace(samples, y=y.reshape(raw.shape))
        told: list[str] = []
        for call, name in ((self.user_loss, "loss"), (self.user_arrays, "gradient")):
            as_given, right = attempt(call, samples), attempt(call, corrected)
            if right is None or (
                as_given is not None and same_arrays(as_given, right, self.tolerance * 100)
            ):
                continue
            told.append(name if as_given is not None else f"{name} (it fails)")
            if name == "loss":
                self.loss_samples = corrected
            else:
                self.samples = corrected
        if told:
            detail = f"y has shape {given}, the output {raw.shape}: this changes the {' and the '.join(told)}"
            self.findings.append(BackpropFinding("label_shape_broadcast", detail=detail))

    def user_loss(self, samples: Samples) -> list[Host]:
        """The user's loss in a list; empty if there is none."""
        if self.user.loss is None:
            return []
        return [np.asarray(self.user.loss_value(samples.x, samples.y))]

    def user_arrays(self, samples: Samples) -> list[Host]:
        if self.user.gradients is not None:
            return [a for a in self.user.raw_gradients(samples.x, samples.y) if a is not None]
        return self.user.step(samples.x, samples.y, None)

    def find_loss(self, rng: np.random.Generator) -> None:
        """Which known loss is the user's, from its values at five sets of weights."""
        if self.user.loss is None or self.structure is None:
            return
        points = [self.values, *(self.draw(rng, self.samples) for _ in range(4))]
        numbers = []
        for values in points:
            self.user.write(values)
            numbers.append(float(self.user_loss(self.loss_samples)[0]))
        self.user.write(self.values)
        tolerance = 1e-4 if self.single else 1e-5
        chains = [self.chain(values) for values in points]
        self.loss = fit_loss(numbers, chains, self.samples.inputs, self.targets, tolerance)

    def row_scale(self, fitted: FittedLoss) -> float:
        """The loss's factor for a batch of one sample: a mean has another one there."""
        one = self.loss_samples.some([0])
        with np.errstate(all="ignore"):
            whole = fitted.loss.value(self.output[:1], self.targets[:1])
            squares = sum(float((w**2).sum()) for w in self.chain(self.values).weights)
            value = attempt(self.user_loss, one)
        if not value or not np.isfinite(whole) or whole == 0 or fitted.bias_decay:
            return fitted.scale
        return (float(value[0]) - 0.5 * fitted.decay * squares) / whole

    def candidate_losses(self, one_by_one: bool = False) -> list[tuple[Loss, float | None]]:
        """Losses that may explain the gradient, the likeliest first, each with its known factor.

        With `one_by_one`, the gradients are those of batches of one sample.
        """
        if self.loss is not None:
            by_rows = one_by_one and self.samples.layout != "single"
            scale = self.row_scale(self.loss) if by_rows else self.loss.scale
            return [(self.loss.loss, scale)]
        if self.named is not None:
            return [(LOSSES[self.named], None)]
        assert self.structure is not None
        last = self.structure.activations[-1]
        natural = [loss for loss in LOSSES.values() if last in loss.natural_with]
        natural.sort(
            key=lambda loss: not (last.startswith("softmax") and loss.name == "cross_entropy")
        )
        return [(loss, None) for loss in natural if not loss.is_formula_mistake]

    def shared_biases(self) -> frozenset[int]:
        """Layers in which one number is the bias of several units."""
        chain = self.chain(self.values)
        return frozenset(
            p.layer
            for p, v in zip(self.user.parameters, self.values, strict=True)
            if p.kind == "bias" and v.size == 1 and chain.weights[p.layer].shape[1] > 1
        )

    def right_gradients(self, scale: float, loss: Loss) -> list[tuple[Host, Host]]:
        """The right gradients (dW, db) of each layer at the probe weights."""
        chain = self.chain(self.values)
        found = gradients(chain, forward(chain, self.samples.inputs), self.targets, loss)
        decay = self.loss.decay if self.loss is not None else 0.0
        return [
            (scale * dw + decay * w, scale * db)
            for (dw, db), w in zip(found, chain.weights, strict=True)
        ]

    def in_user_shape(self, layer: int, kind: str, right: list[tuple[Host, Host]]) -> Host | None:
        """The reference's gradient in the shape of the user's parameter."""
        assert self.structure is not None
        layout = self.structure.layers[layer]
        weight, bias = right[layer]
        if kind == "bias":
            if layer in self.structure.unused_biases:
                return None
            return np.asarray([bias.sum()]) if layer in self.shared_biases() else bias
        if layout.bias_row is not None:
            where = len(weight) if layout.bias_row == -1 else 0
            weight = np.insert(weight, where, bias, axis=0)
        return weight.T if layout.transposed else weight

    def softmax_twice(self) -> bool:
        """Does the loss take the softmax of an output that is a softmax already?"""
        if self.loss is None or self.structure is None:
            return False
        takes_logits = self.loss.loss.name == "cross_entropy_of_logits"
        return takes_logits and self.structure.activations[-1].startswith("softmax")

    def summary(self) -> dict[str, Any]:
        """How the network was understood, in words."""
        told: dict[str, Any] = {"samples": self.samples.layout, "n": self.samples.count}
        if self.structure is not None:
            chain = self.chain(self.values)
            sizes = [chain.weights[0].shape[0], *(w.shape[1] for w in chain.weights)]
            told["layers"] = "-".join(str(s) for s in sizes)
            told["activations"] = ", ".join(chain.activations)
            lie = {layer.transposed for layer in self.structure.layers}
            told["weights"] = (
                "mixed" if len(lie) > 1 else "(out, in)" if lie == {True} else "(in, out)"
            )
        else:
            told["forward"] = (
                "not a known chain of dense layers: only compared with the numerical gradient"
            )
        if self.loss is not None:
            told["loss"] = f"{self.loss.scale:.4g} * [{self.loss.loss.formula}]"
            if self.loss.decay:
                told["weight decay"] = f"{self.loss.decay:.4g}"
        elif self.user.loss is not None:
            told["loss"] = "no known formula"
        return told


def attempt(call: Callable[[Samples], list[Host]], samples: Samples) -> list[Host] | None:
    """The call's arrays; None if it fails."""
    try:
        return call(samples)
    except DataError:
        raise
    except Exception:
        return None


def same_arrays(a: Sequence[Host], b: Sequence[Host], tolerance: float) -> bool:
    """True if all arrays have the same shapes, and the same values to a relative tolerance."""
    if len(a) != len(b) or any(np.shape(x) != np.shape(y) for x, y in zip(a, b, strict=True)):
        return False
    size = max((float(np.abs(y).max()) for y in b if np.size(y)), default=0.0)
    return all(
        bool(np.abs(x - y).max() <= tolerance * size + 1e-300) for x, y in zip(a, b, strict=True)
    )
