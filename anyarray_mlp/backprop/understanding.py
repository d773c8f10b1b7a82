"""Understand a user's network by calling it: its layout, its layers' widths, and weights to probe it at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.checks.losses import NAMED_LOSSES
from anyarray_mlp.backprop.user.adapter import Layout, Parameter
from anyarray_mlp.backprop.user.kept import state_like_parameters
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.samples import (
    Samples,
    as_samples,
    check_finite,
    outputs_of,
    targets_of,
)
from anyarray_mlp.backprop.user.widths import Width, layer_widths
from anyarray_mlp.errors import AnyArrayMLPError, DataError, UsageError
from anyarray_mlp.typing import Host

#: Sets of random weights from which the probe is chosen.
PROBES = 6


class Understanding:
    """How a user's network was understood, at one set of random probe weights.

    Attributes
    ----------
    samples, loss_samples
        The user's samples for gradients and steps, and for the loss; labels have the output's
        shape if the user's own would broadcast.
    values
        The probe weights, in the user's shapes: random, so that all-zero or saturated weights hide
        nothing.
    unused
        The parameters that the output does not depend on.
    output, targets
        (n, k), the user's output at the probe weights and what it should be.
    named
        The name of a loss that was given by name.
    findings
        What was found wrong on the way.
    """

    def __init__(self, user: UserNetwork, x: Any, y: Any) -> None:
        self.user = user
        self.findings: list[BackpropFinding] = []
        self.single = any(v.dtype == np.float32 for v in user.original)
        self.tolerance = 2e-4 if self.single else 1e-5
        told = user.adapter.loss
        self.named = NAMED_LOSSES.get(told) if isinstance(told, str) and user.loss is None else None
        rng = streams.generator("gradient probe", 0)
        check_finite(x, y)
        self.samples = self.loss_samples = self.find_layout(x, y)
        self.values, self.unused = self.pick_probe(rng)
        self.check_guess()
        if self.samples.layout == "single":
            user.settle_batches(*self.samples.one(0))
        user.optimizer_state = self.find_optimizer_state()
        user.write(self.values)
        user.find_counters(*self.whole_batch())
        user.write(self.values)
        self.output = outputs_of(user, self.samples)
        self.mend_label_shape()
        self.targets = targets_of(self.samples, self.output.shape[1])

    # ---- the layout ------------------------------------------------------------------------------

    def find_layout(self, x: Any, y: Any) -> Samples:
        """The samples' layout: that in which the forward pass treats each sample by itself."""
        told = self.user.adapter.samples
        nested = isinstance(x, (list, tuple)) and len(x) > 0 and np.ndim(x[0]) == 2
        candidates: list[Layout] = ["rows", "columns", "single"]
        if told is not None:
            candidates = [told]
        elif nested or (hasattr(x, "shape") and len(x.shape) == 3):
            candidates = ["single", "rows"]
        problems: list[str] = []
        possible: list[tuple[float, Samples]] = []
        for layout in candidates:
            self.user.layout = layout
            try:
                samples = as_samples(x, y, layout)
                self.user.write(self.draw(streams.generator("layout probe", 0), samples))
                fit = self.fit_of(samples)
            except AnyArrayMLPError as error:
                if told is not None:
                    raise
                problems.append(f"{layout}: {error}")
                continue
            except Exception as error:
                problems.append(f"{layout}: {type(error).__name__}: {error}")
                continue
            possible.append((fit, samples))
        if not possible:
            raise UsageError("the forward pass fails on x in every layout; " + "; ".join(problems))
        samples = max(possible, key=lambda p: p[0])[1]
        self.user.layout = samples.layout
        return samples

    def fit_of(self, samples: Samples) -> float:
        """How well a layout fits: a batch of one sample gives what it gives in the batch."""
        output = outputs_of(self.user, samples)
        widths = layer_widths(self.user.parameters, self.user.original, samples.inputs.shape[1])
        chain = 0.5 * (bool(widths) and widths[-1].units == output.shape[1])
        if samples.layout == "single":
            return 2.0 + chain
        try:
            alone = np.ravel(self.user.output(samples.one(0)[0]))
        except Exception:
            return 1.0 + chain
        if alone.size != output.shape[1]:
            return 1.0 + chain
        return (4.0 if same_arrays([alone], [output[0]], 1e-4) else 3.0) + chain

    # ---- the probe -------------------------------------------------------------------------------

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

    def pick_probe(self, rng: np.random.Generator) -> tuple[list[Host], list[Parameter]]:
        """Weights at which every parameter moves the output; the parameters that never do."""
        best: tuple[float, list[Host]] = (-1.0, [])
        moved = np.zeros(len(self.user.parameters), dtype=bool)
        for _ in range(PROBES):
            values = self.draw(rng, self.samples)
            with np.errstate(all="ignore"):
                influence = self.influence(values)
            moved |= influence > 0
            least = float(influence[moved].min(initial=np.inf))
            if least > best[0]:
                best = least, values
        unused = [p for p, m in zip(self.user.parameters, moved, strict=True) if not m]
        return best[1] or values, unused

    def influence(self, values: Sequence[Host]) -> Host:
        """By how much each parameter moves the output."""
        self.user.write(values)
        usual = outputs_of(self.user, self.samples)
        found = []
        for which, value in enumerate(values):
            other = list(values)
            other[which] = np.asarray(value * 0.8 + 0.1, dtype=value.dtype)
            self.user.write(other)
            change = np.abs(outputs_of(self.user, self.samples) - usual).max()
            rounding = 4 * np.finfo(value.dtype).eps * max(1.0, float(np.abs(usual).max()))
            found.append(float(change) if np.isfinite(change) and change > rounding else 0.0)
        return np.asarray(found)

    def check_guess(self) -> None:
        """Refuse weights that were guessed and have nothing to do with the output."""
        if self.user.guessed and any(p.kind == "weight" for p in self.unused):
            found = ", ".join(str(parameter.path) for parameter in self.user.parameters)
            raise UsageError(
                f"the arrays found for weights and biases ({found}) do not reproduce the forward pass; name them: "
                "weights=['W1', 'W2'], biases=['b1', 'b2']"
            )

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
        for array in state_like_parameters(user, samples.x, samples.y):
            without = seen([array])
            if without is not None and same_arrays(without, usual, 0.0):
                silent.append(array)
        return silent

    # ---- calls -----------------------------------------------------------------------------------

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

    # ---- in words --------------------------------------------------------------------------------

    @property
    def widths(self) -> list[Width]:
        """The layers, if the weights' shapes make a chain."""
        inputs = self.samples.inputs.shape[1]
        return layer_widths(self.user.parameters, self.user.original, inputs)

    def summary(self) -> dict[str, Any]:
        """How the network was understood, in words."""
        told: dict[str, Any] = {"samples": self.samples.layout, "n": self.samples.count}
        widths = self.widths
        if widths:
            units = [str(width.units) for width in widths]
            told["layers"] = "-".join([str(self.samples.inputs.shape[1]), *units])
            lie = {w.turned for w in widths if w.turned is not None}
            if len(lie) == 1:
                told["weights"] = "(out, in)" if lie == {True} else "(in, out)"
        if self.user.loss is not None:
            told["loss"] = "the function given"
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
