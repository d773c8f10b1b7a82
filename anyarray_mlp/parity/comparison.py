"""`compare`: the same networks, parameters and batches on every backend, against the reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.backends.reproducible import ReproducibleBackend
from anyarray_mlp.backends.selection import DTYPES
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_positive
from anyarray_mlp.errors import in_a_line
from anyarray_mlp.parity.bounded import Bounded
from anyarray_mlp.parity.cases import Case, all_cases
from anyarray_mlp.parity.passes import CompiledPasses, evaluate, inputs_of, inputs_on
from anyarray_mlp.parity.precision import reduced_precision
from anyarray_mlp.parity.report import Comparison, Departure, Difference, Report
from anyarray_mlp.parity.roundoff import RoundoffNamespace
from anyarray_mlp.parity.subjects import find_subjects
from anyarray_mlp.parity.time_limit import OutOfTimeError, time_limit
from anyarray_mlp.parity.tracing import (
    FaultyOperation,
    TracedNamespace,
    Tracer,
)
from anyarray_mlp.typing import Host


@dataclass(frozen=True)
class Quantity:
    """A reference value and its error bound in the tested dtype."""

    name: str
    value: Host
    bound: Host


#: Only values are judged, not the processor's floating-point flags, of which NumPy would warn.
without_flags = np.errstate(all="ignore")


@with_known_options
def compare(
    backends: Sequence[str | Backend] | None = None,
    *,
    namespaces: Sequence[str | ModuleType] = (),
    to_host: str | Callable[[Any], Host] | None = None,
    device: str | None = None,
    dtypes: Sequence[str] = DTYPES,
    cases: Sequence[Case] | None = None,
    quick: bool = False,
    trace: bool = True,
    timeout: float | None = None,
    progress: Callable[[str], None] = lambda message: None,
) -> Report:
    """Compare outputs, loss and gradients with a float64 reference on the given backends.

    Parameters
    ----------
    backends : names, or `Backend` objects; None takes every available one, or none if namespaces are given.
    namespaces : Array API namespaces, or their dotted names, on their default device.
    to_host : what gives a NumPy array of an array of the namespaces, or its name as "module:function"; for arrays
        that have neither `__dlpack__` nor `__array__`.
    device : "cpu", "cuda", "cuda:N"; None takes every available kind of device.
    dtypes : "float32", "float64"; a `Backend` object keeps its own.
    cases : what to run; None takes all cases, or with `quick` a part of them.
    trace : also check every operation separately.
    timeout : seconds after which a comparison stops with what it has reached, and is not `ok`; outside the main
        thread, once its present case is through.
    progress : called with what is about to run.

    Raises
    ------
    BackendUnavailableError : a given backend or namespace is missing, or none is left to compare.
    UsageError : an invalid name, device or dtype.
    """
    started = time.perf_counter()
    chosen = list(all_cases(quick) if cases is None else cases)
    references = References(chosen)
    if timeout is not None:
        check_positive("timeout", timeout)
    subjects, absent = find_subjects(backends, namespaces, device, dtypes, to_host=to_host)
    comparisons = []
    for subject in subjects:
        backend = subject.make()
        progress(subject.title(backend))
        comparisons.append(compare_backend(backend, subject.version, references, trace, timeout))
    return Report(tuple(comparisons), absent, time.perf_counter() - started)


class References:
    """The reference of each case and dtype, computed once for all backends."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = cases
        self.known: dict[tuple[str, int], tuple[Case, tuple[Quantity, ...]]] = {}

    def of(self, dtype: str) -> Iterator[tuple[Case, tuple[Quantity, ...]]]:
        """Each case, rounded to the dtype, with its reference."""
        for index, case in enumerate(self.cases):
            key = (dtype, index)
            if key not in self.known:
                rounded = case.rounded(dtype)
                self.known[key] = rounded, reference(rounded, dtype)
            yield self.known[key]


def reference(case: Case, dtype: str) -> tuple[Quantity, ...]:
    """Outputs, loss and every gradient of a case in float64, with their bounds in `dtype`."""
    xp = RoundoffNamespace(dtype)
    with np.errstate(all="ignore"):
        outputs, loss, (grad,) = evaluate(xp, case, inputs_of(case, xp.exact, flat=True))
    values = case.mlp.layout.split(grad.value)
    bounds = case.mlp.layout.split(grad.error)
    quantities = [quantity("outputs", outputs), quantity("loss", loss)]
    for name, value, bound in zip(case.mlp.layout.names, values, bounds, strict=True):
        quantities.append(Quantity(name, value, bound))
    return tuple(quantities)


def quantity(name: str, array: Bounded) -> Quantity:
    """A bounded array by name."""
    return Quantity(name, array.value, np.broadcast_to(array.error, array.shape))


@without_flags
def compare_backend(
    backend: Backend,
    version: str | None,
    references: References,
    trace: bool,
    timeout: float | None = None,
) -> Comparison:
    """Run every case on a backend, compiled as a whole and, on request, operation by operation."""
    started = time.perf_counter()
    reached = Reached()
    try:
        with time_limit(timeout):
            run_cases(backend, references, trace, reached, timeout)
    except OutOfTimeError:
        reached.is_whole = False
    return Comparison(
        backend=backend.name,
        version=version,
        device=backend.device,
        dtype=backend.dtype,
        cases=reached.cases,
        operations=reached.operations,
        differences=tuple(reached.differences.values()),
        departures=tuple(reached.departures),
        reduced_precision=reduced_precision(backend) if reached.is_whole else (),
        unchecked=tuple(sorted(reached.unchecked)),
        seconds=time.perf_counter() - started,
        stopped=None if reached.is_whole else (reached.case, len(references.cases)),
    )


@dataclass
class Reached:
    """What a comparison has found so far; `cases` are through, and `case` is under way."""

    differences: dict[str, Difference] = field(default_factory=dict)
    departures: list[Departure] = field(default_factory=list)
    unchecked: set[str] = field(default_factory=set)
    operations: int = 0
    cases: int = 0
    case: str = ""
    is_whole: bool = True


def run_cases(
    backend: Backend, references: References, trace: bool, reached: Reached, timeout: float | None
) -> None:
    """Every case, or `OutOfTimeError`."""
    started = time.perf_counter()
    differences, departures = reached.differences, reached.departures
    passes = CompiledPasses(backend)
    # Reproducible arithmetic builds its operations from others; `parity.exact` checks its guarantees.
    traceable = not isinstance(backend, ReproducibleBackend)
    for case, expected in references.of(backend.dtype):
        reached.case = case.name
        if timeout is not None and time.perf_counter() - started > timeout:
            raise OutOfTimeError
        beyond: tuple[str, ...] = ()
        raised = None
        try:
            found = passes.run(case)
            for difference in differences_of(found, expected, case.name, backend.dtype):
                name = difference.quantity
                known = differences.get(name)
                differences[name] = difference if known is None else known.merged(difference)
                if not difference.share <= 1.0:
                    beyond += (name,)
        except Exception as error:
            raised = f"it raised {in_a_line(error)}"
        faults: list[FaultyOperation] = []
        if traceable and (trace or beyond or raised):
            tracer = trace_case(backend, case)
            faults = tracer.faults
            reached.operations += tracer.operations
            reached.unchecked |= tracer.unchecked
        if faults:
            departures.append(Departure.from_faults(case.name, faults, beyond))
        elif beyond or raised:
            reason = raised or f"{', '.join(beyond)} beyond the bound"
            message = f"the pass as a whole ({reason}), while every operation on its own is right"
            departures.append(Departure(case.name, None, message, beyond))
        reached.cases += 1


def trace_case(backend: Backend, case: Case) -> Tracer:
    """Run a case operation by operation; returns the tracer."""
    xp = TracedNamespace(backend, case.mlp.layout.n_layers)

    try:
        with backend.on_device():
            inputs = inputs_on(backend, case)
            traced = inputs.rebuilt([xp.wrap(array) for array in inputs.arrays()])
            evaluate(xp, case, traced)
    except Exception as error:
        if not xp.tracer.faults:
            xp.tracer.fault("the pass", f"it raised {in_a_line(error)}")
    return xp.tracer


def differences_of(
    found: dict[str, Host], expected: tuple[Quantity, ...], case: str, dtype: str
) -> Iterator[Difference]:
    """How far each quantity is off; a wrong shape or an unexpected NaN counts as infinitely far."""
    for wanted in expected:
        if wanted.name in found:
            yield difference_of(wanted, found[wanted.name], case, dtype)


def difference_of(wanted: Quantity, got: Host, case: str, dtype: str) -> Difference:
    """How far a quantity is off."""
    far = float("inf")
    if got.shape != wanted.value.shape or got.dtype != dtype:
        return Difference(wanted.name, far, far, far, far, 0.0, case)
    with np.errstate(all="ignore"):
        distance = np.abs(got.astype(np.float64) - wanted.value)
        # An expected NaN is at distance 0; any other NaN is infinitely far.
        agreed = np.isnan(got) & np.isnan(wanted.value)
        distance = np.where(agreed, 0.0, np.where(np.isnan(distance), np.inf, distance))
        scale = float(np.max(np.abs(wanted.value), initial=0.0, where=~agreed))
        place = np.spacing(np.abs(wanted.value).astype(dtype)).astype(np.float64)
        ulps = np.where(np.abs(wanted.value) > wanted.bound, distance / place, 0.0)
        # If the reference itself is not finite there is no bound, and that is not agreement.
        share = np.where(np.isfinite(wanted.bound), distance / wanted.bound, np.inf)
        share = np.where((distance == 0) & (agreed | np.isfinite(wanted.bound)), 0.0, share)
    worst = int(np.argmax(share))
    absolute = float(np.max(distance))
    return Difference(
        wanted.name,
        absolute,
        absolute / scale if scale > np.max(wanted.bound) else 0.0,
        float(np.max(ulps)),
        float(share.flat[worst]),
        float(np.ravel(wanted.bound)[worst]),
        case,
    )
