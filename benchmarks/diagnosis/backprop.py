"""Run `check_backprop` over all hand-written networks and write the table of results.

python -m benchmarks.diagnosis.backprop [--out benchmarks/results/check_backprop.md] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from anyarray_mlp.backprop import BackpropReport, check_backprop
from tests.corpus.cases import Case, load_cases

RESULTS = Path(__file__).parents[1] / "results" / "check_backprop.md"


@dataclass(frozen=True)
class Result:
    """What came of one case."""

    case: Case
    report: BackpropReport | None
    error: str
    seconds: float

    @property
    def causes(self) -> tuple[str, ...]:
        return self.report.causes if self.report is not None else ()

    @property
    def passed(self) -> bool:
        """No alarm on a right network; the planted cause first, all planted ones named."""
        if self.report is None:
            return False
        if self.case.is_right:
            return self.report.ok
        named = bool(self.causes) and self.causes[0] in self.case.planted
        return named and set(self.case.planted) <= set(self.causes)

    @property
    def layer_found(self) -> bool | None:
        if self.case.layer is None or self.report is None:
            return None
        layers = {n for f in self.report.findings if f.cause in self.case.planted for n in f.layers}
        return self.case.layer in layers


def run_case(case: Case) -> Result:
    """Check one network."""
    start = time.perf_counter()
    report, error = None, ""
    try:
        report = check_backprop(**case.build())
    except Exception as problem:
        error = f"{type(problem).__name__}: {problem}"
    return Result(case, report, error, time.perf_counter() - start)


def summary(results: Sequence[Result]) -> list[str]:
    """The counts, the networks written after the checker apart."""
    lines = ["| set | networks | right answer | share |", "|---|---|---|---|"]
    for name, held_out in (("written with the checker", False), ("written afterwards", True)):
        for kind, is_right in (
            ("with mistakes: the right cause first", False),
            ("right: no alarm", True),
        ):
            part = [
                r for r in results if r.case.held_out == held_out and r.case.is_right == is_right
            ]
            if part:
                good = sum(r.passed for r in part)
                lines.append(f"| {name}, {kind} | {len(part)} | {good} | {good / len(part):.1%} |")
    placed = [r.layer_found for r in results if r.layer_found is not None]
    if placed:
        lines += [
            "",
            f"The layer is right in {sum(placed)} of {len(placed)} cases that plant it in one.",
        ]
    return lines


def table(results: Iterable[Result]) -> list[str]:
    """One row for each network."""
    lines = ["| style | network | planted | found | seconds | |", "|---|---|---|---|---|---|"]
    for r in results:
        found = ", ".join(r.causes) or r.error or "nothing"
        planted = ", ".join(r.case.planted) or "nothing"
        mark = "" if r.passed else "**miss**"
        lines.append(
            f"| {r.case.style} | {r.case.name} | {planted} | {found} | {r.seconds:.2f} | {mark} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="run only the cases whose name contains one of these"
    )
    parser.add_argument(
        "--out", type=Path, default=None, help=f"write the table here ({RESULTS.name})"
    )
    parser.add_argument("--verbose", action="store_true", help="print the reports")
    chosen = parser.parse_args(arguments)
    cases = load_cases()
    if chosen.names:
        cases = [c for c in cases if any(n in f"{c.style}.{c.name}" for n in chosen.names)]
    results = []
    for case in cases:
        result = run_case(case)
        results.append(result)
        if not result.passed:
            print(
                f"miss: {case.style}.{case.name}: planted {case.planted}, found {result.causes} {result.error}"
            )
        if chosen.verbose and result.report is not None:
            print(f"--- {case.style}.{case.name}\n{result.report}\n")
    lines = ["# check_backprop on hand-written networks", ""]
    lines += [
        f"{date.today()}, {os.cpu_count()} cores, CPU only, Python {platform.python_version()}, NumPy "
        f"{np.__version__}. Made by `python -m benchmarks.diagnosis.backprop --out "
        "benchmarks/results/check_backprop.md`.",
        "",
        "A network with mistakes counts as right where the planted cause is named first and all planted "
        "ones are named; a right network where nothing is. The networks written afterwards were each run "
        "once before anything was changed: `check_backprop_held_out.md` has that result.",
        "",
    ]
    lines += [*summary(results), "", *table(results)]
    print("\n".join(summary(results)))
    if chosen.out is not None:
        chosen.out.write_text("\n".join(lines) + "\n")
    return 0 if all(r.passed for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
