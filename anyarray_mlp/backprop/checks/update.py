"""What a user's functions do to the weights: their gradients, and the gradient behind a training step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from anyarray_mlp.backprop.causes.finding import BackpropFinding
from anyarray_mlp.backprop.understanding import Understanding, same_arrays
from anyarray_mlp.backprop.user.network import UserNetwork
from anyarray_mlp.backprop.user.samples import Samples
from anyarray_mlp.typing import Host

PROBE_RATE = 0.23
TINY_RATE = 1e-5
# So slow that many updates together act like one; rounding is 1e-8 of the gradient.
SLOW_RATE = 1e-8
LARGEST_DECAY = 0.05
#: Rows of a pass over rows whose steps are compared one by one.
MOST_ROWS = 8


@dataclass(frozen=True)
class Observation:
    """The user's gradients at the probe weights, as seen through one of their functions.

    Attributes
    ----------
    source
        "gradients" or "train_step".
    arrays
        The gradients in the user's shapes, in the order of the parameters; None if one is not given
        or has changed its shape.
    tolerance, noise
        Relative rounding of the arrays; the norm of the rounding that comes on top, for each.
    after
        The parameters after a step; stacked (n, ...) if each sample made its own step.
    one_by_one, rows
        The arrays are the sum over samples that were observed one at a time; which, if these
        are not all.
    free_scale, rate
        Whether the learning rate is unknown, and the one that the arrays were divided by.
    adaptive
        The step has the same size whatever the gradient is (Adam and similar).
    findings
        Mistakes of the update itself.
    """

    source: str
    arrays: list[Host | None]
    tolerance: float
    noise: list[float] | None = None
    after: list[Host] | None = None
    one_by_one: bool = False
    rows: range | None = None
    free_scale: bool = False
    rate: float | None = None
    adaptive: bool = False
    findings: tuple[BackpropFinding, ...] = ()


def observe_gradients(known: Understanding) -> Observation:
    """The user's gradients at the probe weights; for single samples, their sum."""
    samples, user = known.samples, known.user
    sign = -1.0 if user.adapter.update == "+=" else 1.0
    user.write(known.values)
    if samples.layout == "single":
        rows = [user.raw_gradients(*samples.one(i)) for i in range(samples.count)]
        arrays = [add_up(column) for column in zip(*rows, strict=True)]
    else:
        arrays = user.raw_gradients(samples.x, samples.y)
    arrays = [None if a is None else sign * np.asarray(a, dtype=np.float64) for a in arrays]
    return Observation("gradients", arrays, known.tolerance, one_by_one=samples.layout == "single")


class StepObserver:
    """Watches one training step from the probe weights.

    With `by_rows`, a step is treated as a pass over the samples in its own order or batches, and is
    observed through steps of single samples.
    """

    def __init__(
        self, known: Understanding, by_rows: bool = False, rate: float = PROBE_RATE
    ) -> None:
        self.known = known
        self.by_rows = by_rows
        self.user: UserNetwork = known.user
        self.samples: Samples = known.samples
        self.values = known.values
        self.findings: list[BackpropFinding] = []
        self.adaptive = False
        told = self.user.adapter.learning_rate
        self.rate = rate if self.user.rate_is_free else None
        self.free_scale = self.rate is None and not isinstance(told, (int, float))
        self.divisor = self.rate or (float(told) if isinstance(told, (int, float)) else 1.0)

    def observe(self) -> Observation:
        """The gradient behind a step: (before - after) / learning rate."""
        self.user.write(self.values)
        with np.errstate(all="ignore"):
            afters, one_by_one = self.steps()
        arrays = self.changes(afters)
        noise = self.rounding(len(afters))
        if self.rate is not None and not self.findings:
            arrays = self.judge_rate(arrays, one_by_one, noise)
        return Observation(
            "train_step",
            [None if a is None else a / self.divisor for a in arrays],
            self.known.tolerance,
            noise=[n / self.divisor for n in noise],
            after=stack_rows(afters) if one_by_one else afters[0],
            one_by_one=one_by_one,
            rows=range(len(afters)) if one_by_one and self.samples.layout != "single" else None,
            free_scale=self.free_scale,
            rate=None if self.free_scale else self.divisor,
            adaptive=self.adaptive,
            findings=tuple(self.findings),
        )

    def rounding(self, steps: int) -> list[float]:
        """The norm of the rounding of each parameter's change: weights are stored to one ulp."""
        return [
            float(np.finfo(v.dtype).eps * np.sqrt(steps) * np.linalg.norm(v)) for v in self.values
        ]

    def steps(self) -> tuple[list[list[Host]], bool]:
        """(the parameters after each observed step, whether each sample was observed alone)."""
        if self.samples.layout == "single" or self.by_rows:
            return self.single_steps(self.rate, self.rows), True
        after = self.user.step(self.samples.x, self.samples.y, self.rate)
        for parameter, new, old in zip(self.user.parameters, after, self.values, strict=True):
            if np.shape(new) != np.shape(old):
                self.findings.append(
                    changed_shape(parameter.layer, parameter.kind, np.shape(new), np.shape(old))
                )
        if self.samples.count > 1 and not self.findings:
            rows = self.row_steps(after)
            if rows is not None:
                return rows, True
        return [after], False

    @property
    def rows(self) -> int:
        """Of a pass over rows, so many steps are looked at."""
        single = self.samples.layout == "single"
        return self.samples.count if single else min(self.samples.count, MOST_ROWS)

    def single_steps(self, rate: float | None, rows: int | None = None) -> list[list[Host]]:
        """The parameters after a step for each of the first samples, all from the probe weights."""
        rows = self.samples.count if rows is None else rows
        return [self.user.step(*self.samples.one(i), rate) for i in range(rows)]

    def changes(self, afters: Sequence[list[Host]]) -> list[Host | None]:
        """What all steps together subtract from each parameter."""
        arrays: list[Host | None] = []
        for which, value in enumerate(self.values):
            if any(np.shape(a[which]) != np.shape(value) for a in afters):
                arrays.append(None)
                continue
            start = np.asarray(value, dtype=np.float64)
            arrays.append(total(start - np.asarray(a[which], dtype=np.float64) for a in afters))
        return arrays

    def row_steps(self, after: list[Host]) -> list[list[Host]] | None:
        """Steps of single samples, if one call is a pass that updates sample by sample."""
        try:
            in_turn = self.walk_rows(reset=True)
            unreset = self.walk_rows(reset=False)
            self.user.write(self.values)
            alone = self.single_steps(self.rate)
        except Exception:
            return None
        finally:
            self.user.write(self.values)
        loose = self.known.tolerance * 100
        moved_by = [np.asarray(a, np.float64) - v for a, v in zip(after, self.values, strict=True)]
        summed = [
            total(np.asarray(a[k], np.float64) - v for a in alone)
            for k, v in enumerate(self.values)
        ]
        if same_arrays(moved_by, summed, loose):
            return None
        if same_arrays(moved_by, in_turn, loose):
            return alone[: self.rows]
        if same_arrays(moved_by, unreset, loose):
            self.findings.append(
                BackpropFinding(
                    "gradients_never_reset",
                    detail="within one call, each sample's update repeats those of the samples before",
                )
            )
            return alone[: self.rows]
        return None

    def is_pass_over_rows(self) -> bool:
        """At a tiny learning rate, does a step equal the sum of its samples' steps?"""
        if self.rate is None or self.known.single or self.samples.layout == "single":
            return False
        self.user.write(self.values)
        try:
            whole = self.changes([self.user.step(self.samples.x, self.samples.y, TINY_RATE)])
            rows = self.changes(self.single_steps(TINY_RATE))
        except Exception:
            return False
        pairs = [
            (w, r) for w, r in zip(whole, rows, strict=True) if w is not None and r is not None
        ]
        if len(pairs) < len(whole):
            return False
        together = np.concatenate([np.ravel(w) for w, _ in pairs])
        added = np.concatenate([np.ravel(r) for _, r in pairs])
        size = float(np.linalg.norm(together) * np.linalg.norm(added))
        return size > 0 and float(together @ added) > (1 - 1e-6) * size

    def walk_rows(self, reset: bool) -> list[Host]:
        """The change after a step for each sample in turn; without `reset` the steps add up."""
        current = [np.asarray(v, dtype=np.float64) for v in self.values]
        total = [np.zeros(np.shape(v)) for v in self.values]
        for index in range(self.samples.count):
            self.user.write([c.astype(v.dtype) for c, v in zip(current, self.values, strict=True)])
            moved = self.user.step(*self.samples.one(index), self.rate)
            change = [m - c for m, c in zip(moved, current, strict=True)]
            total = change if reset else [t + c for t, c in zip(total, change, strict=True)]
            current = [c + t for c, t in zip(current, total, strict=True)]
        return [c - v for c, v in zip(current, self.values, strict=True)]

    def judge_rate(
        self, arrays: list[Host | None], one_by_one: bool, noise: list[float]
    ) -> list[Host | None]:
        """Does the change grow with the learning rate as it should?

        With half the rate r, a change r A + B halves only A; B is what the rate does not scale.
        Returns the changes corrected as if the rate were in them once.
        """
        assert self.rate is not None
        self.user.write(self.values)
        half_rate = self.rate / 2
        if one_by_one:
            afters = self.single_steps(half_rate, self.rows)
        else:
            afters = [self.user.step(self.samples.x, self.samples.y, half_rate)]
        near = max(20 * self.known.tolerance, 1e-3)
        corrected: list[Host | None] = []
        layers: dict[str, set[tuple[int, str]]] = {
            "learning_rate_missing": set(),
            "learning_rate_twice": set(),
        }
        sizes: list[Host] = []
        for parameter, value, whole, half, rounding in zip(
            self.user.parameters, self.values, arrays, self.changes(afters), noise, strict=True
        ):
            corrected.append(whole)
            size = 0.0 if whole is None else float(np.linalg.norm(whole))
            if whole is None or half is None or size <= 50 * rounding:
                continue
            sizes.append(np.abs(whole[whole != 0]).ravel())
            if np.linalg.norm(whole - half) <= near * size:
                layers["learning_rate_missing"].add((parameter.layer + 1, parameter.kind))
                corrected[-1] = whole * self.rate
            elif np.linalg.norm(whole - 4 * half) <= near * size:
                layers["learning_rate_twice"].add((parameter.layer + 1, parameter.kind))
                corrected[-1] = whole / self.rate
            else:
                corrected[-1] = whole - self.unscaled_part(
                    parameter.layer, value, 2 * half - whole, len(afters), near * size
                )
        every = np.concatenate(sizes) if sizes else np.empty(0)
        even = every.size > 4 and np.ptp(every) <= 0.02 * every.max()
        self.adaptive = bool(even) and not any(layers.values())
        for cause, where in layers.items():
            if where:
                change = "the same" if cause == "learning_rate_missing" else "a quarter"
                evidence = {"change at half the learning rate": change}
                kinds = {kind for _, kind in where}
                of = "bias, seen in the update" if kinds == {"bias"} else "update"
                numbers = tuple(sorted({layer for layer, _ in where}))
                found = BackpropFinding(cause, numbers, of, evidence=evidence)
                self.findings.append(found)
        return corrected

    def unscaled_part(
        self, layer: int, value: Host, rest: Host, steps: int, negligible: float
    ) -> Host:
        """The part of a change that is a multiple of the weights, whatever the learning rate."""
        power = float((value * value).sum())
        share = float((value * rest).sum()) / power if power > 0 else 0.0
        of_weights = share * np.asarray(value, dtype=np.float64)
        size = float(np.linalg.norm(rest))
        if size <= negligible or value.size < 2 or np.linalg.norm(rest - of_weights) > 0.02 * size:
            return np.zeros_like(of_weights)
        share = -share / steps
        if share > 0 or share < -LARGEST_DECAY:
            detail = (
                f"{share:.3g} times the weights themselves is added, whatever the learning rate is"
            )
            evidence = {"share of the weights in the change": share}
            self.findings.append(
                BackpropFinding("momentum_misapplied", (layer + 1,), "update", detail, evidence)
            )
        return of_weights


def changed_shape(
    layer: int, kind: str, after: tuple[int, ...], before: tuple[int, ...]
) -> BackpropFinding:
    """A step that changes a parameter's shape, as broadcasting does."""
    detail = f"a step changes the {kind}'s shape from {before} to {after}"
    cause = "bias_wrong_axis" if kind == "bias" else "label_shape_broadcast"
    return BackpropFinding(cause, (layer + 1,), kind, detail)


def add_up(arrays: Sequence[Host | None]) -> Host | None:
    """The sum of one parameter's gradients over samples."""
    given = [a for a in arrays if a is not None]
    if len(given) < len(arrays) or len({np.shape(a) for a in given}) > 1:
        return None
    return total(np.asarray(a, dtype=np.float64) for a in given)


def total(arrays: Iterable[Host]) -> Host:
    """The sum of arrays of one shape."""
    return cast(Host, sum(arrays))


def stack_rows(afters: Sequence[list[Host]]) -> list[Host]:
    """Each parameter after each sample's step, stacked (n, ...)."""
    return [np.stack([np.asarray(a) for a in column]) for column in zip(*afters, strict=True)]
