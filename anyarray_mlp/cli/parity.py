"""`anyarray-mlp parity`: the same gradients on several backends, against a float64 reference."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.cli.kinds import Kinds, Number, OneOf, Text
from anyarray_mlp.cli.options import DEVICE, json_option
from anyarray_mlp.cli.output import result, tell
from anyarray_mlp.cli.spelling import Command
from anyarray_mlp.errors import UsageError

if TYPE_CHECKING:
    from anyarray_mlp.parity import Comparison, ExactReport, Report


@click.command(cls=Command)
@click.option(
    "--backends",
    type=Kinds("backend", repeats=False),
    metavar="NAME,...",
    help="Backends to compare: numpy, cupy, torch, jax, mlx, array_api_strict; by default all that are present.",
)
@click.option(
    "--namespace",
    "namespaces",
    type=Text("the name of a module"),
    multiple=True,
    metavar="MODULE",
    help="Any importable Array API namespace; may be given several times.",
)
@click.option(
    "--to-host",
    type=Text("MODULE:FUNCTION"),
    metavar="MODULE:FUNCTION",
    help="What makes NumPy arrays of a namespace's, if they have neither __dlpack__ nor __array__.",
)
@click.option(
    "--device",
    type=DEVICE,
    metavar="cpu|cuda|cuda:N",
    help="Where to compute; by default on every kind of device that is present.",
)
@click.option("--dtype", type=OneOf("dtype", ["float32", "float64"]), help="Only this one.")
@click.option("--quick", is_flag=True, help="Run fewer cases.")
@click.option(
    "--no-trace",
    is_flag=True,
    help="Skip the check of each operation on its own, unless a case departs.",
)
@click.option(
    "--timeout",
    type=Number(0, open_low=True),
    metavar="SECONDS",
    help="Stop each comparison after this time, and tell what was reached.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Compare reproducible arithmetic instead, bit for bit with NumPy's, and print the hash.",
)
@json_option
def command(
    backends: str | tuple[str, ...] | None,
    namespaces: tuple[str, ...],
    to_host: str | None,
    device: str | None,
    dtype: str | None,
    quick: bool,
    no_trace: bool,
    timeout: float | None,
    exact: bool,
    as_json: bool,
) -> int:
    """Check that gradients agree across backends.

    The same networks, weights and batches run on each backend, device and dtype, and outputs, loss and the gradient
    of every weight and bias are compared with a float64 reference; every operation is checked on its own as well.
    Exit code 1 where one departs, 69 where a backend or device that is named is absent.
    """
    from anyarray_mlp.parity import compare, compare_exactly

    if namespaces and os.getcwd() not in sys.path:
        # As `python -m` has it: a library's authors run this where their library lies.
        sys.path.insert(0, os.getcwd())
    options: dict[str, Any] = {
        "backends": (backends,) if isinstance(backends, str) else backends,
        "namespaces": namespaces,
        "to_host": to_host,
        "device": device,
        "dtypes": ("float32", "float64") if dtype is None else (dtype,),
        "quick": quick,
        "progress": lambda what: tell(f"comparing {what}"),
    }
    if exact and timeout is not None:
        raise UsageError("--exact has no --timeout: leave it out, or add --quick.")
    if exact:
        bits = compare_exactly(**options)
        show(bits.to_dict() if as_json else exact_lines(bits))
        return 0 if bits.ok else 1
    report = compare(**options, trace=not no_trace, timeout=timeout)
    show(report.to_dict() if as_json else lines_of(report))
    return 0 if report.ok else 1


def show(report: dict[str, Any] | Iterator[str]) -> None:
    """Print a report: JSON for machines, lines for people."""
    result(json.dumps(report, indent=2) if isinstance(report, dict) else "\n".join(report))


def lines_of(report: Report) -> Iterator[str]:
    """A report as a person reads it."""
    from anyarray_mlp.parity.report import TOLERANCE

    for comparison in report.comparisons:
        yield title(comparison)
        yield from table(comparison)
        yield from departures(comparison)
        for state in comparison.reduced_precision:
            yield f"  reduced precision: {state}"
        if comparison.unchecked:
            yield f"  not checked on their own: {', '.join(comparison.unchecked)}"
        yield ""
    for name, reason in report.absent:
        yield f"not compared: {name}: {reason}"
    yield "absolute: largest difference; relative: to the parameter's largest element; ulp: in units in the last place"
    yield "of the element (large where a sum nearly cancels); of bound: share of what rounding may do, at most 100 %."
    yield f"The bound: {TOLERANCE}."
    departed = [c for c in report.comparisons if c.departures]
    verdict = (
        f"{len(departed)} of {counted(len(report.comparisons), 'comparison')} DEPART"
        if departed
        else f"no departure in {counted(len(report.comparisons), 'comparison')}"
    )
    stopped = sum(c.stopped is not None for c in report.comparisons)
    verdict += f", {stopped} STOPPED by --timeout" if stopped else ""
    yield f"{verdict} ({report.seconds:.0f} s)"


def exact_lines(report: ExactReport) -> Iterator[str]:
    """A report of bits as a person reads it."""
    yield f"{'':<38}{'numbers':>9}{'differ':>8}{'bits':>8}  hash"
    for each in report.comparisons:
        name = " ".join(filter(None, [each.backend, each.version]))
        yield (
            f"{f'{name}, {each.device}, {each.dtype}':<38}{each.numbers:>9,}{each.different_numbers:>8,}"
            f"{each.different_bits:>8,}  {each.hash[:16]}"
        )
        if each.first is not None:
            yield f"  DIFFERS first in '{each.first}'"
    for name, reason in report.absent:
        yield f"not compared: {name}: {reason}"
    yield "hash: the first 16 digits of SHA-256 over the outputs, losses and gradients of all cases, in order."
    wrong = sum(not each.ok for each in report.comparisons)
    verdict = f"{wrong} of {len(report.comparisons)} DIFFER" if wrong else "0 differing bits"
    cases = report.comparisons[0].cases if report.comparisons else 0
    yield f"{verdict} in {counted(cases, 'case')} ({report.seconds:.0f} s)"


def title(comparison: Comparison) -> str:
    """A comparison in a line."""
    name = " ".join(filter(None, [comparison.backend, comparison.version]))
    verdict = (
        "no departure"
        if not comparison.departures
        else f"{len(comparison.departures)} of {counted(comparison.cases, 'case')} DEPART"
    )
    stop = ""
    if comparison.stopped is not None:
        case, cases = comparison.stopped
        stop = (
            f"; STOPPED in {case!r}, with {cases - comparison.cases} of {cases} cases not through"
        )
    return (
        f"{name}, {comparison.device}, {comparison.dtype}: {verdict} "
        f"({counted(comparison.cases, 'case')}, {counted(comparison.operations, 'operation')}, "
        f"{comparison.seconds:.1f} s){stop}"
    )


def table(comparison: Comparison) -> Iterator[str]:
    """The largest differences of each quantity."""
    if not comparison.differences:
        return
    yield f"  {'':<11}{'absolute':>9}{'relative':>10}{'ulp':>9}{'of bound':>10}  nearest to the bound in"
    for each in comparison.differences:
        yield (
            f"  {each.quantity:<11}{each.absolute:>9.1e}{each.relative:>10.1e}{each.ulp:>9.3g}"
            f"{percent(each.share):>10}  {each.case}"
        )


def percent(share: float) -> str:
    """A share in percent, in at most eight characters."""
    return f"{share:.2%}" if share < 100 else f"{100 * share:.1e}%"


def departures(comparison: Comparison) -> Iterator[str]:
    """Each operation that is the first to depart: how often, and the first case."""
    counts = Counter(departure.operation for departure in comparison.departures)
    for operation, count in counts.most_common():
        first = next(d for d in comparison.departures if d.operation == operation)
        often = counted(count, "case")
        yield f"  {operation or 'the whole'} departs first in {often}; in '{first.case}': {first.message}"
        if first.others:
            yield f"    after it: {', '.join(first.others)}"
