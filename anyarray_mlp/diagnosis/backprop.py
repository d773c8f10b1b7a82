"""`check_backprop`: say what is wrong with somebody's own backprop, and where.

The user's loss is differentiated numerically, their forward pass is reproduced on a reference
network, and where their gradient differs from the right one, the fewest planted mistakes that
reproduce it are named.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis import forward_checks
from anyarray_mlp.diagnosis.adapters import Adapter, Layout, UserNetwork
from anyarray_mlp.diagnosis.fitting import (
    FittedLoss,
    Structure,
    as_matrix,
    fit_loss,
    fit_structure,
    layouts,
    pick,
)
from anyarray_mlp.diagnosis.matching import Explanation, Planted, Problem, explain, fit_factor
from anyarray_mlp.diagnosis.memory import gradient_memory, step_memory
from anyarray_mlp.diagnosis.mistakes import CATALOGUE, BackpropFinding
from anyarray_mlp.diagnosis.numerical import numerical_slopes
from anyarray_mlp.diagnosis.reference import LOSSES, NAMED_LOSSES, Chain, Loss, forward, gradients
from anyarray_mlp.diagnosis.samples import (
    Samples,
    as_samples,
    outputs_of,
    outputs_one_by_one,
    targets_of,
)
from anyarray_mlp.diagnosis.source_lines import likely_line
from anyarray_mlp.errors import AnyArrayMLPError, DataError, StorageError, UsageError

Array = Any
PROBE_SEED = 20
NUMERICAL_SECONDS = 1.5
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class BackpropReport:
    """What `check_backprop` found.

    `findings` are alarms, the most telling first; `notes` are remarks that need no action;
    `understood` says what the network was taken for; `gradients` compares each parameter with the
    loss's numerical gradient.
    """

    findings: tuple[BackpropFinding, ...]
    notes: tuple[BackpropFinding, ...] = ()
    understood: dict[str, Any] = field(default_factory=dict)
    gradients: tuple[dict[str, Any], ...] = ()

    @property
    def ok(self) -> bool:
        """True where nothing is wrong."""
        return not self.findings

    @property
    def causes(self) -> tuple[str, ...]:
        """The causes found, the most telling first."""
        return tuple(dict.fromkeys(finding.cause for finding in self.findings))

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(
            {
                "ok": self.ok,
                "findings": [f.as_dict() for f in self.findings],
                "notes": [f.as_dict() for f in self.notes],
                "understood": self.understood,
                "gradients": list(self.gradients),
            },
            indent=2,
            default=float,
        )

    def __str__(self) -> str:
        lines = []
        if self.understood:
            parts = [f"{key} {value}" for key, value in self.understood.items()]
            lines.append("taken as: " + "; ".join(parts))
        if self.ok:
            lines.append("no mistake found: the gradients are those of the loss")
        else:
            number = len(self.findings)
            lines.append(f"{number} thing{'s' if number > 1 else ''} wrong, the first first:")
        for index, finding in enumerate(self.findings, 1):
            lines += ["", f"{index}. {finding}"]
        for finding in self.notes:
            lines += ["", str(finding)]
        return "\n".join(lines)


def check_backprop(
    network: Any, x: Any = None, y: Any = None, **description: Any
) -> BackpropReport:
    """Check a hand-written network's forward pass, gradients and update, and name what is wrong.

    Parameters
    ----------
    network
        An `Adapter`, or the object, dict, list or module that holds the weights.
    x, y
        Some samples and targets in the layout that the network takes: four to a few hundred.
    description
        What `Adapter` takes: `weights`, `biases`, `forward`, `loss`, `gradients`, `train_step`, ...

    Returns
    -------
    A report; `report.ok` is False where something is wrong, `print(report)` says what.

    Raises
    ------
    UsageError
        Where the description does not lead to the weights or to functions that can be called.
    DataError
        Where x and y do not go together or with the network.
    """
    if isinstance(network, Adapter):
        adapter = replace(network, **description) if description else network
    else:
        try:
            adapter = Adapter(network=network, **description)
        except TypeError as error:
            raise UsageError(f"{error}; see Adapter for what can be told") from None
    x = adapter.x if x is None else x
    y = adapter.y if y is None else y
    if x is None or y is None:
        raise UsageError("x and y are needed: some samples and their targets")
    user = UserNetwork(adapter)
    try:
        return Check(user, x, y).run()
    finally:
        user.restore()


def check_file(path: str | os.PathLike[str]) -> BackpropReport:
    """Check the network in a Python file.

    The file defines `ADAPTER` (an `Adapter` with x and y), or a function `adapter()` or `network()`
    that returns one. The file is run: check only files that you would run.

    Raises
    ------
    StorageError
        Where the file cannot be read.
    UsageError
        Where it fails to run or defines none of these.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        raise StorageError(f"{name}: no such file; give the Python file that holds the network")
    spec = importlib.util.spec_from_file_location("checked_network", name)
    if spec is None or spec.loader is None:
        raise UsageError(f"{name}: not a Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["checked_network"] = module
    folder = os.path.dirname(os.path.abspath(name))
    sys.path.insert(0, folder)
    try:
        try:
            spec.loader.exec_module(module)
            found = getattr(module, "ADAPTER", None)
            for maker in ("adapter", "network"):
                if found is None and callable(getattr(module, maker, None)):
                    found = getattr(module, maker)()
        except AnyArrayMLPError:
            raise
        except Exception as error:
            raise UsageError(
                f"{name}: running it raised {type(error).__name__}: {error}; mend that first"
            ) from error
        if not isinstance(found, Adapter):
            raise UsageError(
                f"{name}: defines no ADAPTER, adapter() or network() that gives an Adapter; add "
                "ADAPTER = Adapter(network=..., x=..., y=..., ...)"
            )
        return check_backprop(found)
    finally:
        sys.path.remove(folder)
        sys.modules.pop("checked_network", None)


@dataclass(frozen=True)
class Observation:
    """The user's gradients at the probe weights, as seen from one of their functions.

    `arrays` are in the user's shapes, in the order of the parameters; `after` the parameters after
    a step.
    """

    source: str  # "gradients" or "train_step"
    arrays: list[Array | None]
    after: list[Array] | None = None
    one_by_one: bool = False
    free_scale: bool = False
    rate: float | None = None
    findings: tuple[BackpropFinding, ...] = ()
    tolerance: float = 1e-6


class Check:
    """One run of the checks; the steps in the order of `run`."""

    def __init__(self, user: UserNetwork, x: Any, y: Any) -> None:
        self.user = user
        self.findings: list[BackpropFinding] = []
        self.structure: Structure | None = None
        dtypes = [v.dtype for v in user.original if v.dtype.kind == "f"]
        self.single = any(d == np.float32 for d in dtypes)
        self.tolerance = 2e-4 if self.single else 1e-6
        self.fit_tolerance = 2e-4 if self.single else 1e-7
        self.samples = self.find_layout(x, y)
        self.gradient_rows: list[dict[str, Any]] = []
        self.loss: FittedLoss | None = None

    # ---- understanding ---------------------------------------------------------------------------

    def find_layout(self, x: Any, y: Any) -> Samples:
        """Which way the samples lie; finds the structure on the way."""
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
        if possible is None:
            raise UsageError(
                "the forward pass could not be run on x in any layout; " + "; ".join(problems)
            )
        self.user.layout = possible.layout
        return possible

    def chains(self, samples: Samples) -> bool:
        found = layouts(self.user.parameters, self.user.original, samples.inputs.shape[1])
        return bool(found)

    def probe_outputs(self, samples: Samples) -> list[tuple[list[Array], Array]]:
        """The user's outputs at two sets of random weights."""
        probes = []
        rng = np.random.default_rng(PROBE_SEED)
        for _ in range(2):
            values = self.draw(rng, samples)
            self.user.write(values)
            probes.append((values, outputs_of(self.user, samples)))
        return probes

    def draw(self, rng: np.random.Generator, samples: Samples) -> list[Array]:
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

    def chain(self, values: Sequence[Array]) -> Chain:
        assert self.structure is not None
        return self.structure.chain(self.user.parameters, values)

    # ---- the run ---------------------------------------------------------------------------------

    def run(self) -> BackpropReport:
        rng = np.random.default_rng(PROBE_SEED + 1)
        self.values = self.pick_probe(rng)
        self.user.write(self.values)
        self.output = outputs_of(self.user, self.samples)
        self.samples = self.mend_label_shape()
        self.targets = targets_of(self.samples, self.output.shape[1])
        self.find_loss(rng)
        self.check_forward()
        self.user.write(self.values)
        if self.user.gradients is not None:
            self.check_gradients()
        if self.user.train_step is not None:
            self.check_step()
        self.user.write(self.values)
        self.check_numbers()
        return self.report()

    def pick_probe(self, rng: np.random.Generator) -> list[Array]:
        """Weights at which every layer has a gradient."""
        best: list[Array] = []
        best_size = -1.0
        for _ in range(6):
            values = self.draw(rng, self.samples)
            if self.structure is None:
                return values
            chain = self.chain(values)
            trace = forward(chain, self.samples.inputs)
            target = np.zeros_like(trace.output)
            with np.errstate(all="ignore"):
                found = gradients(chain, trace, target, LOSSES["squared_error"])
            size = min(float(np.abs(dw).max()) for dw, _ in found)
            if size > best_size:
                best, best_size = values, size
        return best

    def mend_label_shape(self) -> Samples:
        """(n,) against (n, 1): do the labels as given mean the same as in the output's shape?"""
        samples = self.samples
        if samples.layout == "single" or not hasattr(samples.y, "reshape") or samples.count < 2:
            return samples
        raw = self.user.output(samples.x)
        n = samples.count
        vector, column = (n,), (n, 1)
        given = tuple(samples.y.shape)
        lies_across = raw.shape == (1, n) and given == column
        if {raw.shape, given} != {vector, column} and not lies_across:
            return samples
        mended = replace(samples, y=samples.y.reshape(raw.shape))
        for call in (self.user_loss, self.user_arrays):
            as_given, right = attempt(call, samples), attempt(call, mended)
            if right is None:
                return samples
            if as_given is None or not same_arrays(as_given, right, self.tolerance * 100):
                shapes = f"y has shape {tuple(samples.y.shape)}, the output {raw.shape}"
                made = (
                    "" if as_given is not None else "; the call fails or changes a weight's shape"
                )
                self.findings.append(BackpropFinding("label_shape_broadcast", detail=shapes + made))
                return mended
        return samples

    def user_loss(self, samples: Samples) -> list[Array]:
        if self.user.loss is None:
            return []
        return [np.asarray(self.user.loss_value(samples.x, samples.y))]

    def user_arrays(self, samples: Samples) -> list[Array]:
        if self.user.gradients is not None:
            return [a for a in self.user.raw_gradients(samples.x, samples.y) if a is not None]
        return self.user.step(samples.x, samples.y, None)

    def find_loss(self, rng: np.random.Generator) -> None:
        """Which known loss the user's is, from its values at five sets of weights."""
        self.named = (
            NAMED_LOSSES.get(self.user.adapter.loss)
            if isinstance(self.user.adapter.loss, str)
            else None
        )
        self.loss_is_told = self.user.loss is not None
        if self.user.loss is None or self.structure is None:
            return
        points = [self.values, *(self.draw(rng, self.samples) for _ in range(4))]
        numbers = []
        for values in points:
            self.user.write(values)
            numbers.append(self.user.loss_value(self.samples.x, self.samples.y))
        self.user.write(self.values)
        tolerance = 1e-4 if self.single else 1e-5
        chains = [self.chain(values) for values in points]
        self.loss = fit_loss(numbers, chains, self.samples.inputs, self.targets, tolerance)

    # ---- forward ---------------------------------------------------------------------------------

    def check_forward(self) -> None:
        samples = self.samples
        chain = self.chain(self.values) if self.structure is not None else None
        told = self.user.adapter.activations
        says_softmax = bool(told) and told is not None and told[-1] == "softmax"
        tolerance = 1e-3 if self.single else 1e-7
        if samples.layout != "single" and samples.count > 1:
            with contextlib.suppress(Exception):
                rows = outputs_one_by_one(self.user, samples)
                if rows.shape == self.output.shape:
                    self.findings += forward_checks.batch_findings(self.output, rows, tolerance)
        if not self.has("softmax_over_batch", "batch_coupled"):
            self.findings += forward_checks.softmax_findings(chain, self.output, says_softmax)
        name = chain.activations[-1] if chain is not None else None
        if says_softmax:
            name = "softmax"
        logits = self.loss is not None and self.loss.loss.name.endswith("logits")
        if not logits:
            self.findings += forward_checks.target_findings(name, self.output, self.targets)
        self.user.write(self.user.original)
        own = outputs_of(self.user, samples)
        own_finite = bool(np.isfinite(own).all())
        if own_finite and not self.has("constant_output"):
            self.findings += forward_checks.constant_findings(samples.inputs, own, self.targets)
        if not own_finite:
            evidence: dict[str, Any] = {
                "outputs that are not finite": int((~np.isfinite(own)).sum())
            }
            self.findings.append(BackpropFinding("overflow", evidence=evidence, severity="error"))
        elif self.user.loss is not None:
            loss = attempt(self.user_loss, samples)
            if loss and not np.isfinite(loss[0]):
                evidence = {"loss at the weights given": float(loss[0])}
                self.findings.append(
                    BackpropFinding("log_of_zero", evidence=evidence, severity="error")
                )
        self.user.write(self.values)
        if chain is not None and self.structure is not None:
            unused = self.structure.unused_biases
            self.findings += forward_checks.bias_findings(
                chain, unused, samples.inputs, self.targets
            )
        if not self.has("overflow", "log_of_zero"):
            self.check_large_inputs(chain)
        self.user.write(self.values)

    def check_large_inputs(self, chain: Chain | None) -> None:
        """The same forward pass with large pre-activations at the output."""
        size = 1.0
        if chain is not None:
            size = float(np.abs(forward(chain, self.samples.inputs).z[-1]).max()) or 1.0
        last = max(p.layer for p in self.user.parameters)

        def set_size(wanted: float) -> None:
            values = [
                np.asarray(v * (wanted / size), dtype=v.dtype) if p.layer == last else v
                for p, v in zip(self.user.parameters, self.values, strict=True)
            ]
            self.user.write(values)

        def output_at(wanted: float) -> Array:
            set_size(wanted)
            return outputs_of(self.user, self.samples)

        def rows_at(wanted: float) -> Array:
            set_size(wanted)
            return outputs_one_by_one(self.user, self.samples)

        def loss_at(wanted: float) -> float:
            set_size(wanted)
            if wanted > 100:
                return 0.0
            return float(self.user_loss(self.samples)[0])

        loss = loss_at if self.user.loss is not None else None
        rows = rows_at if self.samples.layout != "single" else None
        with contextlib.suppress(OverflowError, ZeroDivisionError):
            try:
                self.findings += forward_checks.large_input_findings(output_at, rows, loss)
            except ValueError as error:
                # math.log of zero raises where numpy's gives -inf.
                if "domain" not in str(error):
                    raise
                self.findings.append(
                    BackpropFinding("log_of_zero", detail=str(error), severity="warning")
                )
            return
        detail = "the forward pass raises OverflowError or ZeroDivisionError"
        self.findings.append(BackpropFinding("overflow", detail=detail, severity="warning"))

    def has(self, *causes: str) -> bool:
        return any(finding.cause in causes for finding in self.findings)

    # ---- gradients and steps ---------------------------------------------------------------------

    def check_gradients(self) -> None:
        samples = self.samples
        sign = -1.0 if self.user.adapter.update == "+=" else 1.0
        if samples.layout == "single":
            rows = [self.user.raw_gradients(*samples.one(i)) for i in range(samples.count)]
            arrays = [add_up(column) for column in zip(*rows, strict=True)]
        else:
            arrays = self.user.raw_gradients(samples.x, samples.y)
        arrays = [None if a is None else sign * np.asarray(a, dtype=np.float64) for a in arrays]
        seen = Observation(
            "gradients",
            arrays,
            one_by_one=samples.layout == "single",
            tolerance=max(self.tolerance, 1e-6),
        )
        self.judge(seen)
        self.user.write(self.values)
        memory = gradient_memory(self.user, samples, self.tolerance)
        self.add(memory)

    def check_step(self) -> None:
        rate, free_scale = self.choose_rate()
        seen = self.observe_step(rate, free_scale)
        self.add(list(seen.findings))
        before = list(self.findings)
        if not self.adaptive:
            self.judge(seen)
        if self.has("unexplained") and self.judge_primed(rate, free_scale, before):
            return
        if self.user.gradients is not None:
            self.merge_update(before)
        self.user.write(self.values)
        if self.adaptive or self.has("label_shape_broadcast"):
            return
        small = None if rate is None else (0.05 if self.single else 0.01)
        with contextlib.suppress(ValueError, IndexError):
            memory, momentum = step_memory(
                self.user, self.samples, small if self.user.rate_is_free else rate, seen.tolerance
            )
            self.add(memory)
            self.judge_momentum(momentum, memory)

    def judge_primed(
        self, rate: float | None, free_scale: bool, before: list[BackpropFinding]
    ) -> bool:
        """Does the step need a forward pass on this batch that it does not make itself?"""
        unprimed = list(self.findings)
        self.findings = list(before)
        self.user.primed = True
        try:
            self.judge(self.observe_step(rate, free_scale))
        finally:
            self.user.primed = False
        if self.has("unexplained"):
            self.findings = unprimed
            return False
        detail = "the step is right only after forward was called with this batch and these weights"
        self.findings.append(BackpropFinding("stale_activations", detail=detail))
        return True

    def choose_rate(self) -> tuple[float | None, bool]:
        """(the learning rate of the probe, is its value unknown)."""
        told = self.user.adapter.learning_rate
        if self.user.rate_is_free:
            return 0.23, False
        if isinstance(told, (int, float)):
            return None, False
        return None, True

    def known_rate(self, rate: float | None) -> float:
        told = self.user.adapter.learning_rate
        if rate is not None:
            return rate
        return float(told) if isinstance(told, (int, float)) else 1.0

    def observe_step(self, rate: float | None, free_scale: bool) -> Observation:
        """The gradient that a training step amounts to: (before - after) / learning rate."""
        samples = self.samples
        divisor = self.known_rate(rate)
        self.adaptive = False
        findings: list[BackpropFinding] = []
        one_by_one = False
        if samples.layout == "single":
            afters = [self.user.step(*samples.one(i), rate) for i in range(samples.count)]
            one_by_one = True
        else:
            after = self.user.step(samples.x, samples.y, rate)
            afters = [after]
            if samples.count > 1:
                rows = self.row_steps(after, rate)
                if rows is not None:
                    afters, one_by_one = rows, True
        for parameter, after_value, value in zip(
            self.user.parameters, afters[0], self.values, strict=True
        ):
            if np.shape(after_value) != np.shape(value):
                findings.append(
                    self.changed_shape(parameter.layer, parameter.kind, after_value, value)
                )
        arrays: list[Array | None] = []
        largest = 0.0
        for which, value in enumerate(self.values):
            if any(np.shape(a[which]) != np.shape(value) for a in afters):
                arrays.append(None)
                continue
            start = np.asarray(value, dtype=np.float64)
            change = sum(start - np.asarray(a[which], dtype=np.float64) for a in afters)
            arrays.append(np.asarray(change) / divisor)
            largest = max(largest, float(np.abs(change).max()) / divisor)
        epsilon = float(np.finfo(np.float32 if self.single else np.float64).eps)
        weights = max(float(np.abs(v).max()) for v in self.values)
        noise = 20 * epsilon * weights / (divisor * max(largest, 1e-300))
        tolerance = min(max(self.tolerance, noise), 0.05)
        if self.user.rate_is_free and rate is not None and not findings:
            findings += self.judge_rate(arrays, rate, one_by_one)
            if findings:
                exponent_missing = findings[0].cause == "learning_rate_missing"
                factor = divisor if exponent_missing else 1 / divisor
                affected = set(findings[0].layers)
                arrays = [
                    a if a is None or p.layer + 1 not in affected else a * factor
                    for p, a in zip(self.user.parameters, arrays, strict=True)
                ]
        return Observation(
            "train_step",
            arrays,
            after=stack_rows(afters) if one_by_one else afters[0],
            one_by_one=one_by_one,
            free_scale=free_scale,
            rate=divisor if not free_scale else None,
            findings=tuple(findings),
            tolerance=tolerance,
        )

    def row_steps(self, after: list[Array], rate: float | None) -> list[list[Array]] | None:
        """Steps of single samples, where one call is a pass that updates sample by sample."""
        samples = self.samples
        if any(np.shape(a) != np.shape(v) for a, v in zip(after, self.values, strict=True)):
            return None
        try:
            in_turn = self.walk_rows(rate, reset=True)
            unreset = self.walk_rows(rate, reset=False)
            self.user.write(self.values)
            alone = [self.user.step(*samples.one(i), rate) for i in range(samples.count)]
        except Exception:
            return None
        finally:
            self.user.write(self.values)
        loose = self.tolerance * 100
        moved_by = [np.asarray(a, np.float64) - v for a, v in zip(after, self.values, strict=True)]
        summed = [
            sum(np.asarray(a[k], np.float64) - v for a in alone) for k, v in enumerate(self.values)
        ]
        if same_arrays(moved_by, summed, loose):
            return None
        if same_arrays(moved_by, in_turn, loose):
            return alone
        if same_arrays(moved_by, unreset, loose):
            self.findings.append(
                BackpropFinding(
                    "gradients_never_reset",
                    detail="within one call each sample's update repeats those of the samples before",
                )
            )
            return alone
        return None

    def walk_rows(self, rate: float | None, reset: bool) -> list[Array]:
        """The change after a step for each sample in turn; without `reset` the steps add up."""
        current = [np.asarray(v, dtype=np.float64) for v in self.values]
        total = [np.zeros(np.shape(v)) for v in self.values]
        for index in range(self.samples.count):
            self.user.write([c.astype(v.dtype) for c, v in zip(current, self.values, strict=True)])
            moved = self.user.step(*self.samples.one(index), rate)
            change = [m - c for m, c in zip(moved, current, strict=True)]
            total = change if reset else [t + c for t, c in zip(total, change, strict=True)]
            current = [c + t for c, t in zip(current, total, strict=True)]
        return [c - v for c, v in zip(current, self.values, strict=True)]

    def changed_shape(self, layer: int, kind: str, after: Array, before: Array) -> BackpropFinding:
        detail = f"a step changes the {kind}'s shape from {np.shape(before)} to {np.shape(after)}"
        cause = "bias_wrong_axis" if kind == "bias" else "label_shape_broadcast"
        return BackpropFinding(cause, (layer + 1,), kind, detail)

    def judge_rate(
        self, arrays: list[Array | None], rate: float, one_by_one: bool
    ) -> list[BackpropFinding]:
        """Does the change grow with the learning rate as it should?"""
        smaller = rate / 2
        if one_by_one:
            steps = range(self.samples.count)
            afters = [self.user.step(*self.samples.one(i), smaller) for i in steps]
        else:
            afters = [self.user.step(self.samples.x, self.samples.y, smaller)]
        missing: list[int] = []
        twice: list[int] = []
        flat = True
        for parameter, value, array, which in zip(
            self.user.parameters, self.values, arrays, range(len(arrays)), strict=True
        ):
            if array is None or not np.abs(array).max() > 0:
                continue
            change = sum(
                np.asarray(value, np.float64) - np.asarray(a[which], np.float64) for a in afters
            )
            whole = float(np.linalg.norm(array * rate))
            half = max(float(np.linalg.norm(np.asarray(change))), 1e-300)
            power = float(np.log2(whole / half))
            if abs(power) < 0.1:
                missing.append(parameter.layer + 1)
            elif abs(power - 2) < 0.2:
                twice.append(parameter.layer + 1)
            sizes = np.abs(array)
            flat &= bool(sizes.size > 1 and np.ptp(sizes[sizes > 0]) <= 0.02 * sizes.max())
        if flat and not missing and not twice:
            self.adaptive = True
        found = []
        for cause, layers in (("learning_rate_missing", missing), ("learning_rate_twice", twice)):
            if layers:
                evidence = {
                    "change at half the learning rate": "the same"
                    if layers is missing
                    else "a quarter"
                }
                found.append(
                    BackpropFinding(cause, tuple(sorted(set(layers))), "update", evidence=evidence)
                )
        return found

    # ---- judging ---------------------------------------------------------------------------------

    def candidate_losses(self) -> list[tuple[Loss, float | None]]:
        """Losses to explain the gradient with, the likeliest first, each with its known factor."""
        if self.loss is not None:
            return [(self.loss.loss, self.loss.scale)]
        if self.named is not None:
            return [(LOSSES[self.named], None)]
        assert self.structure is not None
        last = self.structure.activations[-1]
        natural = [loss for loss in LOSSES.values() if last in loss.natural_with]
        natural.sort(
            key=lambda loss: not (last.startswith("softmax") and loss.name == "cross_entropy")
        )
        return [(loss, None) for loss in natural if not loss.is_formula_mistake]

    def observed_layers(
        self, arrays: Sequence[Array | None]
    ) -> tuple[list[tuple[Array | None, Array | None]], list[Planted]]:
        """The user's arrays as (dW (i, o), db (o,)) for each layer, and what their shapes tell."""
        assert self.structure is not None
        chain = self.chain(self.values)
        layers: list[tuple[Array | None, Array | None]] = []
        planted: list[Planted] = []
        for layer, layout in enumerate(self.structure.layers):
            weight = pick(layer, "weight", self.user.parameters, arrays)
            value = pick(layer, "weight", self.user.parameters, self.values)
            bias = pick(layer, "bias", self.user.parameters, arrays)
            bias_value = pick(layer, "bias", self.user.parameters, self.values)
            weight = self.in_weight_shape(weight, value, layer, planted)
            if weight is not None:
                weight = as_matrix(weight, layout.transposed)
                if layout.bias_row is not None:
                    bias = weight[layout.bias_row]
                    weight = np.delete(weight, layout.bias_row, axis=0)
            if bias is not None:
                outputs = chain.weights[layer].shape[1]
                size = outputs if layout.bias_row is not None else np.size(bias_value)
                if chain.biases[layer] is None:
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
        self, weight: Array | None, value: Array, layer: int, planted: list[Planted]
    ) -> Array | None:
        """A weight's gradient in the weight's shape; what that takes is a mistake of its own."""
        if weight is None or weight.shape == value.shape:
            return weight
        if weight.shape == value.shape[::-1]:
            planted.append(Planted("transposed", layer, "weight", f"shape {weight.shape}"))
            return weight.T
        if weight.size == value.size:
            return weight.reshape(value.shape)
        planted.append(Planted("unexplained", layer, "weight", f"shape {weight.shape}"))
        return None

    def judge(self, seen: Observation) -> None:
        """Compare what was seen with the right gradient and name what differs."""
        if self.structure is None:
            self.judge_by_numbers(seen)
            return
        observed, shape_mistakes = self.observed_layers(seen.arrays)
        chain = self.chain(self.values)
        trace = forward(chain, self.samples.inputs)
        after = None
        if seen.after is not None:
            after = self.after_weights(seen)
        best: Explanation | None = None
        for loss, scale in self.candidate_losses():
            decay = self.loss.decay if self.loss is not None else 0.0
            problem = Problem(
                chain,
                trace,
                self.targets,
                observed,
                seen.tolerance,
                after=after,
                scale=None if seen.free_scale else scale,
                free_scale=seen.free_scale,
                rate=seen.rate,
                decay=decay,
                bias_decay=self.loss.bias_decay if self.loss is not None else False,
                unseen_biases=frozenset(p.layer for p in shape_mistakes if p.where == "bias"),
                shared_biases=self.shared_biases(),
                one_by_one=seen.one_by_one,
            )
            with np.errstate(all="ignore"):
                explanation = explain(problem, loss)
            if best is None or explanation.cost < best.cost - 1e-9:
                best, best_problem = explanation, problem
            if best.is_right:
                break
        if best is None:
            self.judge_by_numbers(seen)
            return
        self.explanation = best
        self.add(self.findings_of(best, best_problem, shape_mistakes, seen))

    def after_weights(self, seen: Observation) -> list[Array | None]:
        assert self.structure is not None
        assert seen.after is not None
        found: list[Array | None] = []
        for layer, layout in enumerate(self.structure.layers):
            value = pick(layer, "weight", self.user.parameters, self.values)
            after = np.asarray(pick(layer, "weight", self.user.parameters, seen.after), np.float64)
            many = after.ndim == np.ndim(value) + 1
            matrices = [as_matrix(a, layout.transposed) for a in (after if many else [after])]
            if layout.bias_row is not None:
                matrices = [np.delete(m, layout.bias_row, axis=0) for m in matrices]
            if any(m.shape != self.chain(self.values).weights[layer].shape for m in matrices):
                found.append(None)
            else:
                found.append(np.stack(matrices) if many else matrices[0])
        return found

    def shared_biases(self) -> frozenset[int]:
        """Layers with a single number as the bias of several units."""
        chain = self.chain(self.values)
        return frozenset(
            p.layer
            for p, v in zip(self.user.parameters, self.values, strict=True)
            if p.kind == "bias" and v.size == 1 and chain.weights[p.layer].shape[1] > 1
        )

    def right_gradients(self, scale: float, loss: Loss) -> list[tuple[Array, Array]]:
        """The right gradients (dW, db) of each layer at the probe weights."""
        chain = self.chain(self.values)
        found = gradients(chain, forward(chain, self.samples.inputs), self.targets, loss)
        decay = self.loss.decay if self.loss is not None else 0.0
        return [
            (scale * dw + decay * w, scale * db)
            for (dw, db), w in zip(found, chain.weights, strict=True)
        ]

    def findings_of(
        self,
        explanation: Explanation,
        problem: Problem,
        shape_mistakes: list[Planted],
        seen: Observation,
    ) -> list[BackpropFinding]:
        """One finding for each cause of an explanation, its layers together."""
        planted = [*explanation.planted, *shape_mistakes]
        planted += [Planted("unexplained", layer, where) for layer, where in explanation.unmatched]
        groups: dict[str, list[Planted]] = {}
        for one in planted:
            groups.setdefault(one.cause, []).append(one)
        with np.errstate(all="ignore"):
            right = self.right_gradients(explanation.scale, explanation.loss)
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
            whole = self.is_whole(members, explanation)
            harmless = cause in ("mean_missing", "mean_twice", "factor_two") and whole
            severity = "warning" if harmless else CATALOGUE[cause].severity
            if harmless:
                detail = (detail + "; " if detail else "") + (
                    "the whole gradient is longer or shorter by this factor, which a learning rate "
                    "can hide"
                )
            found.append(
                BackpropFinding(
                    {"softmaxed": "softmax_twice"}.get(cause, cause),
                    layers,
                    where if seen.source == "gradients" else f"{where}, seen in the update",
                    detail,
                    evidence,
                    severity=severity,
                )
            )
        return found

    def is_whole(self, members: list[Planted], explanation: Explanation) -> bool:
        """True where a factor enters at the output's delta and so reaches every gradient."""
        depth = len(self.structure.layers) if self.structure is not None else 0
        return len(members) == 1 and members[0].layer == depth - 1 and members[0].where == "delta"

    def word(
        self,
        cause: str,
        detail: str,
        explanation: Explanation,
        layers: tuple[int, ...],
        problem: Problem,
    ) -> str:
        """What is particular about a cause in this network."""
        names = problem.chain.activations
        if cause == "loss_reported_differs":
            trained = LOSSES[detail].formula if detail in LOSSES else "1/2 sum (output - y)^2"
            return f"reported: {explanation.loss.formula}; trained: {trained}"
        if cause == "derivative_of_another_activation":
            return (
                f"the forward pass has {names[layers[-1] - 1]}, the derivative is that of {detail}"
            )
        if cause in ("output_derivative_missing", "derivative_on_fused", "softmax_elementwise"):
            return f"output {names[-1]}, loss {explanation.loss.formula}"
        if cause.startswith("derivative"):
            return f"activation {names[layers[-1] - 1]}"
        if cause == "momentum_misapplied" and detail == "weights":
            return "a multiple of the weights themselves enters the update"
        return detail

    def most_telling(
        self, members: list[Planted], problem: Problem, right: list[tuple[Array, Array]]
    ) -> dict[str, Any] | None:
        """Cosine, ratio and difference of the first affected array against the right one."""
        for member in members:
            which = 1 if member.where == "bias" else 0
            array = problem.observed[member.layer][which]
            if array is None or (member.layer in problem.shared_biases and which):
                continue
            truth = right[member.layer][which]
            return compare(array, truth)
        return None

    def merge_update(self, before: list[BackpropFinding]) -> None:
        """Gradients and updates were both seen: what do they say together?"""
        new = [f for f in self.findings if f not in before]
        old_signs = [f for f in before if f.cause == "sign_flipped"]
        new_signs = [f for f in new if f.cause == "sign_flipped"]
        if old_signs and not new_signs and not self.adaptive:
            for sign in old_signs:
                self.findings.remove(sign)
                self.findings.append(replace(sign, cause="sign_flipped_twice", severity="warning"))
        known = {f.cause for f in before}
        for finding in new:
            if finding.cause in known and finding in self.findings:
                self.findings.remove(finding)

    def judge_momentum(self, momentum: float | None, memory: list[BackpropFinding]) -> None:
        """A first step longer or shorter by the momentum: proper forms are no mistake."""
        odd = [f for f in self.findings if f.cause == "wrong_scale"]
        told = self.user.adapter.momentum
        for finding in odd:
            factor = finding.evidence.get("factor")
            if not isinstance(factor, float):
                continue
            if momentum is not None:
                averaged = abs(factor - (1 - momentum)) < 0.03
                nesterov = any(
                    abs(factor - (1 + m)) < 0.03 and abs(m * m / (1 + m) - momentum) < 0.03
                    for m in np.linspace(0.3, 0.99, 139)
                )
                if averaged or nesterov:
                    self.findings.remove(finding)
            elif not memory and told is not None and abs(factor - (1 + told)) < 0.02:
                self.findings.remove(finding)
                detail = f"the present gradient is multiplied with 1 + momentum = {factor:.3g}"
                self.findings.append(
                    BackpropFinding(
                        "momentum_misapplied", finding.layers, "update", detail, finding.evidence
                    )
                )
        unused = told is not None and told > 0 and momentum is None and not memory
        if unused and not self.has("momentum_misapplied"):
            detail = f"momentum {told:g} is told, but no step adds anything of the one before"
            self.findings.append(BackpropFinding("momentum_misapplied", detail=detail))

    def judge_by_numbers(self, seen: Observation) -> None:
        """Without a reference: compare with the numerical slopes up to signs and constants."""
        loss = self.loss_function()
        if loss is None:
            raise UsageError(
                "the forward pass is not a chain of dense layers that is known, and no loss is given "
                "to differentiate; give loss=..., or activations=[...] (names or functions)"
            )
        sign = 1.0
        slopes = self.slopes(loss)
        for parameter, array, (index, right, error) in zip(
            self.user.parameters, seen.arrays, slopes, strict=True
        ):
            layers = (parameter.layer + 1,)
            if array is None or array.size != np.size(
                self.values[self.user.parameters.index(parameter)]
            ):
                if parameter.kind == "bias" and np.abs(right).max() > 1e-8:
                    self.add([BackpropFinding("bias_not_updated", layers, "bias")])
                continue
            got = sign * array.ravel()[index]
            smooth = error <= 1e-3 * max(float(np.abs(right).max()), 1e-12)
            got, right = got[smooth], right[smooth]
            if len(got) == 0:
                continue
            size = float(np.abs(right).max())
            if size < 1e-10:
                if parameter.kind == "bias" and not self.has("bias_missing"):
                    self.add([BackpropFinding("bias_missing", layers, "bias")])
                continue
            if np.abs(got).max() <= 1e-9 * size:
                cause = "bias_not_updated" if parameter.kind == "bias" else "weights_not_updated"
                self.add([BackpropFinding(cause, layers, parameter.kind)])
                continue
            factor, misfit = fit_factor(got, right)
            evidence = compare(got, right)
            loose = 0.02 if self.single else 1e-3
            if misfit > loose:
                self.add([BackpropFinding("unexplained", layers, parameter.kind, "", evidence)])
                continue
            if factor < 0:
                self.add([BackpropFinding("sign_flipped", layers, parameter.kind, "", evidence)])
            if not seen.free_scale and abs(abs(factor) - 1) > loose:
                cause = self.factor_cause(abs(factor), loose)
                self.add(
                    [
                        BackpropFinding(
                            cause, layers, parameter.kind, "", {**evidence, "factor": factor}
                        )
                    ]
                )

    def factor_cause(self, factor: float, near: float) -> str:
        n = self.samples.count
        for cause, constant in (
            ("mean_missing", float(n)),
            ("mean_twice", 1 / n),
            ("factor_two", 2.0),
            ("factor_two", 0.5),
        ):
            if abs(factor / constant - 1) <= near:
                return cause
        return "wrong_scale"

    # ---- the numerical gradient ------------------------------------------------------------------

    def loss_function(self) -> Callable[[Sequence[Array]], float] | None:
        """The loss of the user's forward pass as a function of their parameters."""
        samples = self.samples
        if self.user.loss is not None:

            def told(values: Sequence[Array]) -> float:
                self.user.write(values)
                return self.user.loss_value(samples.x, samples.y)

            return told
        name = self.named
        if name is None and self.structure is not None and hasattr(self, "explanation"):
            name = self.explanation.loss.name
        if name is None:
            return None
        loss = LOSSES[name]

        def named(values: Sequence[Array]) -> float:
            self.user.write(values)
            return loss.value(outputs_of(self.user, samples), self.targets)

        return named

    def slopes(self, loss: Callable[[Sequence[Array]], float]) -> list[tuple[Array, Array, Array]]:
        """Numerical slopes at the probe weights, as many as the time allows."""
        start = time.perf_counter()
        loss(self.values)
        each = max(time.perf_counter() - start, 1e-6)
        entries = int(NUMERICAL_SECONDS / (8 * each * len(self.values)))
        found = numerical_slopes(
            loss, self.values, min(max(entries, 4), 40), np.random.default_rng(PROBE_SEED)
        )
        self.user.write(self.values)
        return found

    def check_numbers(self) -> None:
        """Hold the numerical gradient against the reference's and note each parameter's figures."""
        loss = self.loss_function()
        if loss is None or self.structure is None or not hasattr(self, "explanation"):
            return
        if self.has("softmax_over_batch", "batch_coupled"):
            return
        told = self.user.loss is not None
        fitted = self.loss if told else None
        reference = fitted.loss if fitted is not None else self.explanation.loss
        scale = fitted.scale if fitted is not None else (1.0 if not told else None)
        slopes = self.slopes(loss)
        if scale is None:
            # A loss of no known formula: its slopes up to one factor.
            scale = 1.0
        right = self.right_gradients(scale, reference)
        ratios: list[float] = []
        rows = []
        for parameter, (index, slope, error) in zip(self.user.parameters, slopes, strict=True):
            truth = self.in_user_shape(parameter.layer, parameter.kind, right)
            if truth is None:
                continue
            exact = truth.ravel()[index]
            smooth = error <= 0.05 * max(float(np.abs(slope).max()), 1e-12)
            if not smooth.any():
                continue
            factor, misfit = fit_factor(slope[smooth], exact[smooth])
            if np.abs(exact).max() < 1e-9 and np.abs(slope).max() < 1e-6:
                factor, misfit = 1.0, 0.0
            ratios.append(factor if misfit < (0.05 if self.single else 1e-3) else np.nan)
            rows.append(
                {
                    "parameter": str(parameter.path),
                    "layer": parameter.layer + 1,
                    "entries": len(index),
                    "relative difference of numerical and reference": misfit,
                    "ratio": factor,
                }
            )
        self.gradient_rows = rows
        if told and fitted is None and ratios and not self.has("loss_reported_differs"):
            values = np.asarray(ratios)
            if not np.isfinite(values).all() or (values <= 0).any():
                trained = self.explanation.loss.formula
                detail = f"the numerical gradient of the loss reported is not that of {trained}"
                if not self.explanation.unmatched:
                    self.add([BackpropFinding("loss_reported_differs", detail=detail)])

    def in_user_shape(
        self, layer: int, kind: str, right: list[tuple[Array, Array]]
    ) -> Array | None:
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

    # ---- the report ------------------------------------------------------------------------------

    def add(self, findings: list[BackpropFinding]) -> None:
        """Add findings; those of one cause and detail are put together."""
        for new in findings:
            for index, old in enumerate(self.findings):
                if old.cause == new.cause and old.where == new.where:
                    layers = tuple(sorted({*old.layers, *new.layers}))
                    self.findings[index] = replace(old, layers=layers)
                    break
            else:
                self.findings.append(new)

    def report(self) -> BackpropReport:
        findings = self.without_consequences()
        findings = [self.located(finding) for finding in findings]
        findings.sort(key=lambda f: (SEVERITIES.index(f.severity), CATALOGUE[f.cause].rank))
        alarms = tuple(f for f in findings if f.severity != "note")
        notes = tuple(f for f in findings if f.severity == "note")
        return BackpropReport(alarms, notes, self.understanding(), tuple(self.gradient_rows))

    def without_consequences(self) -> list[BackpropFinding]:
        """Leave out what follows from another finding."""
        causes = {f.cause for f in self.findings}
        left = list(self.findings)
        if causes & {"softmax_over_batch", "label_shape_broadcast"}:
            left = [
                f for f in left if f.cause not in ("unexplained", "wrong_scale", "max_over_batch")
            ]
        if self.loss is not None and self.loss.loss.name == "cross_entropy_of_softmaxed_again":
            left = [
                replace(f, cause="softmax_twice") if f.cause == "loss_reported_differs" else f
                for f in left
            ]
        return left

    def understanding(self) -> dict[str, Any]:
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
                "not a known chain of dense layers: compared with numerical slopes only"
            )
        if self.loss is not None:
            told["loss"] = f"{self.loss.scale:.4g} * [{self.loss.loss.formula}]"
            if self.loss.decay:
                told["weight decay"] = f"{self.loss.decay:.4g}"
        elif self.loss_is_told:
            told["loss"] = "of no known formula"
        elif hasattr(self, "explanation"):
            told["loss"] = f"not told, best explained by {self.explanation.loss.formula}"
        return told

    def located(self, finding: BackpropFinding) -> BackpropFinding:
        """With the line of the user's source that is likely meant."""
        user = self.user
        about_forward = CATALOGUE[finding.cause].rank <= 1 or finding.cause in (
            "bias_missing", "max_over_batch", "overflow", "constant_output", "targets_out_of_reach"
        )  # fmt: skip
        about_loss = finding.cause in ("log_of_zero", "loss_reported_differs", "softmax_twice")
        bound = [user.gradients, user.train_step]
        if about_forward and finding.cause != "label_shape_broadcast":
            bound = [user.forward]
        elif about_loss and user.loss is not None:
            bound = [user.loss]
        names = tuple(
            str(p.path).split(".")[-1]
            for p in user.parameters
            if p.layer + 1 in finding.layers and (p.kind in finding.where or not finding.where)
        )
        functions = [f.function for f in bound if f is not None]
        place = likely_line(user.network, functions, CATALOGUE[finding.cause].hints, names)
        if place is None:
            return finding
        return replace(finding, location=place[0], line=place[1])


# ---- small helpers -------------------------------------------------------------------------------


def attempt(call: Callable[[Samples], list[Array]], samples: Samples) -> list[Array] | None:
    """The call's arrays, None where it fails."""
    try:
        return call(samples)
    except DataError:
        raise
    except Exception:
        return None


def same_arrays(a: Sequence[Array], b: Sequence[Array], tolerance: float) -> bool:
    """True where all arrays have the same shapes and values to a relative tolerance."""
    if len(a) != len(b) or any(np.shape(x) != np.shape(y) for x, y in zip(a, b, strict=True)):
        return False
    size = max((float(np.abs(y).max()) for y in b if np.size(y)), default=0.0)
    return all(
        bool(np.abs(x - y).max() <= tolerance * size + 1e-300) for x, y in zip(a, b, strict=True)
    )


def add_up(arrays: Sequence[Array | None]) -> Array | None:
    """The sum of one parameter's gradients over samples."""
    given = [a for a in arrays if a is not None]
    if len(given) < len(arrays) or len({np.shape(a) for a in given}) > 1:
        return None
    return sum(np.asarray(a, dtype=np.float64) for a in given)


def stack_rows(afters: Sequence[list[Array]]) -> list[Array]:
    """Each parameter after the step of each sample, stacked (n, ...)."""
    return [np.stack([np.asarray(a) for a in column]) for column in zip(*afters, strict=True)]


def compare(array: Array, right: Array) -> dict[str, Any]:
    """Cosine, ratio of lengths and largest relative difference of two gradients."""
    a, b = float(np.linalg.norm(array)), float(np.linalg.norm(right))
    cosine = float((array * right).sum() / (a * b)) if a > 0 and b > 0 else 0.0
    largest = float(np.abs(array - right).max() / max(float(np.abs(right).max()), 1e-300))
    return {
        "cosine with the right gradient": cosine,
        "ratio of lengths": a / b if b > 0 else float("inf"),
        "largest difference to the right one": largest,
    }
