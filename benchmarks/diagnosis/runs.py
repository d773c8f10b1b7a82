"""How often `diagnose` finds a planted fault, names it first, and stays silent on a healthy run.

    python -m benchmarks.diagnosis.runs [--out benchmarks/results/diagnose_runs.md]

Two groups are reported apart. The rules were tuned on `TUNED` with the seeds below `FRESH`; the first group is the
same sets with seeds that set no threshold, the second is sets that set none (`HELD_OUT`).
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from anyarray_mlp import fit
from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.errors import DivergedError
from benchmarks.diagnosis.data_sets import present
from benchmarks.diagnosis.mild_faults import HARM, MILD, mildly_planted
from benchmarks.diagnosis.planted_faults import FAULTS, Plan, generator, healthy, planted, varied

HELD_OUT = ("wine", "moons", "letters", "california", "imbalanced", "friedman")
#: Seeds from here on were not used for tuning.
FRESH = 4000
#: Runs of each fault in each group, and healthy runs of each set.
PLANTED_TUNED, PLANTED_HELD_OUT, HEALTHY, VARIED, MILDLY = 5, 3, 9, 3, 8


@dataclass(frozen=True)
class Result:
    """One run: what was planted ("" for nothing), where, and what was said."""

    fault: str
    data_set: str
    seed: int
    accept: tuple[str, ...]
    alarms: tuple[str, ...]
    said: str
    validation_skill: float | None

    @property
    def detected(self) -> bool:
        return bool(set(self.accept) & set(self.alarms))

    @property
    def first(self) -> bool:
        return bool(self.alarms) and self.alarms[0] in self.accept

    @property
    def held_out(self) -> bool:
        return self.data_set in HELD_OUT


def diagnosis_of(plan: Plan) -> Diagnosis:
    """What is said of a plan's run, however it ends."""
    try:
        result = fit(plan.network(), plan.x, plan.targets, diagnose=True, **plan.fit_options())
    except DivergedError as error:
        return error.diagnosis
    return result.diagnosis


def judge(plan: Plan, seed: int) -> Result:
    """Run a plan and note what was said."""
    with np.errstate(all="ignore"):
        diagnosis = diagnosis_of(plan)
    return Result(
        plan.fault,
        plan.data_set,
        seed,
        plan.accept,
        tuple(finding.cause for finding in diagnosis.alarms),
        sentence(diagnosis),
        diagnosis.record.outcome.validation_skill,
    )


def sentence(diagnosis: Diagnosis) -> str:
    """The first alarm's evidence, and the causes after it."""
    if diagnosis.first is None:
        return "nothing suspicious"
    others = ", ".join(finding.cause for finding in diagnosis.alarms[1:])
    return f"{diagnosis.first.cause} ({diagnosis.first.evidence})" + (
        f"; {others}" if others else ""
    )


def planted_results(sets: list[str]) -> list[Result]:
    """Every fault on fresh seeds of both groups of sets; each run on another set where there are enough."""
    results = []
    for fault, (_, suited, _) in FAULTS.items():
        for group, count in ((False, PLANTED_TUNED), (True, PLANTED_HELD_OUT)):
            names = [n for n in suited if n in sets and (n in HELD_OUT) == group]
            if not names:
                continue
            order = generator("order", fault, group).permutation(len(names))
            for k in range(count):
                name = names[order[k % len(names)]]
                results.append(judge(planted(fault, name, FRESH + k), FRESH + k))
    return results


def healthy_results(sets: list[str]) -> list[Result]:
    """Healthy runs on every set, on fresh seeds: of the usual make, and of others."""
    return [
        judge(make(name, FRESH + k), FRESH + k)
        for name in sets
        for make, count in ((healthy, HEALTHY), (varied, VARIED))
        for k in range(count)
    ]


def mild_results(sets: list[str]) -> list[tuple[Result, Result]]:
    """Mild faults, each behind its healthy twin."""
    results = []
    for fault in MILD:
        for k in range(MILDLY):
            twin, plan = mildly_planted(fault, FRESH + k, sets)
            results.append((judge(twin, FRESH + k), judge(plan, FRESH + k)))
    return results


def mild_table(results: list[tuple[Result, Result]]) -> list[str]:
    """Mild faults that did harm, and those that did none."""
    lines = [
        "## Mild faults",
        "",
        "Planted so that they need do no harm (`mild_faults.py`), on all sets. *Harmful* are those whose validation "
        f"skill is at least {HARM} below that of the same run without the fault; early stopping is off in both. The "
        "rules were tuned on other seeds.",
        "",
        "| fault | runs | harmful | of these: an alarm | detected | first | harmless with an alarm |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows = []
    for fault in MILD:
        pairs = [(twin, result) for twin, result in results if result.fault == fault]
        bad = [r for twin, r in pairs if lost(twin, r) >= HARM]
        well = [r for twin, r in pairs if lost(twin, r) < HARM]
        rows.append(
            [
                len(pairs),
                len(bad),
                sum(bool(r.alarms) for r in bad),
                sum(r.detected for r in bad),
                sum(r.first for r in bad),
                sum(bool(r.alarms) for r in well),
            ]
        )
        lines.append(f"| {fault} | " + " | ".join(str(count) for count in rows[-1]) + " |")
    sums = [sum(column) for column in zip(*rows, strict=True)]
    lines.append("| all | " + " | ".join(str(count) for count in sums) + " |")
    lines += ["", "Harmful ones whose cause did not come first:", ""]
    lines += ["| planted | set | seed | skill lost | said |", "|---|---|---:|---:|---|"]
    for twin, r in results:
        if lost(twin, r) >= HARM and not r.first:
            lines.append(
                f"| {r.fault} | {r.data_set} | {r.seed} | {lost(twin, r):.2f} | {r.said} |"
            )
    return lines


def lost(twin: Result, result: Result) -> float:
    """Validation skill lost to a fault; what is worse than a constant is as bad as one."""
    return max(twin.validation_skill or 0.0, 0.0) - max(result.validation_skill or 0.0, 0.0)


def table(
    planted: list[Result],
    healthy: list[Result],
    mild: list[tuple[Result, Result]],
    seconds: float,
) -> str:
    """The report in Markdown, with every miss."""
    groups = {"fresh seeds": False, "held-out sets": True}
    lines = [
        "# diagnose on runs with planted faults",
        "",
        f"{date.today()}, {machine()}; `python -m benchmarks.diagnosis.runs`, {seconds:.0f} s. NumPy, float32.",
        "",
        "A fault counts as detected if its cause is among the alarms (errors and warnings; notes do not count), as "
        "first if it is the first of them. Rules were tuned on seeds below 4000 of the sets in the first group; *fresh "
        "seeds* are the same sets with other seeds, *held-out sets* "
        f"({', '.join(HELD_OUT)}) set no threshold, though the rules for renamed validation labels and for "
        "low learning rates were reworked after misses there on earlier seeds, and those for dropout, rare and missing "
        "classes after misses on these. `one_class_predicted` is planted by "
        "biases of the output layer that start far off, so `bad_initial_scale` counts as right there too; "
        "`overfitting` by few rows, which of many classes lack some, so there `missing_class` does. A quarter of the "
        "healthy runs are of other makes: deeper, other activations, dropout, AdamW or L-BFGS (`varied`).",
        "",
        "| | runs | detected | right cause first |",
        "|---|---:|---:|---:|",
    ]
    for name, group in [*groups.items(), ("all", None)]:
        part = [r for r in planted if group is None or r.held_out == group]
        if part:
            found, first = share(r.detected for r in part), share(r.first for r in part)
            lines.append(f"| planted, {name} | {len(part)} | {found} | {first} |")
    lines += ["", "| | runs | with an alarm |", "|---|---:|---:|"]
    for name, group in [*groups.items(), ("all", None)]:
        part = [r for r in healthy if group is None or r.held_out == group]
        if part:
            lines.append(
                f"| healthy, {name} | {len(part)} | {share(bool(r.alarms) for r in part)} |"
            )
    lines += [
        "",
        "## Planted faults",
        "",
        "| fault | sets | runs | detected | first |",
        "|---|---|---:|---:|---:|",
    ]
    by_fault: dict[str, list[Result]] = defaultdict(list)
    for result in planted:
        by_fault[result.fault].append(result)
    for fault, part in by_fault.items():
        names = ", ".join(dict.fromkeys(r.data_set for r in part))
        counts = sum(r.detected for r in part), sum(r.first for r in part)
        lines.append(f"| {fault} | {names} | {len(part)} | {counts[0]} | {counts[1]} |")
    lines += [
        "",
        "## Healthy runs",
        "",
        "| set | runs | mean validation skill | with an alarm |",
        "|---|---:|---:|---:|",
    ]
    by_set: dict[str, list[Result]] = defaultdict(list)
    for result in healthy:
        by_set[result.data_set].append(result)
    for name, part in by_set.items():
        mean = np.mean([r.validation_skill for r in part if r.validation_skill is not None])
        lines.append(f"| {name} | {len(part)} | {mean:.3f} | {sum(bool(r.alarms) for r in part)} |")
    lines += ["", "Skill is 0 for the most frequent class (or the mean) and 1 for perfection.", ""]
    lines += [
        "## Misses",
        "",
        "Every planted fault that did not come first, and every alarm on a healthy run.",
        "",
    ]
    lines += ["| planted | set | seed | detected | said |", "|---|---|---:|---|---|"]
    for r in [*(r for r in planted if not r.first), *(r for r in healthy if r.alarms)]:
        detected = "-" if not r.fault else "yes" if r.detected else "no"
        lines.append(
            f"| {r.fault or 'nothing'} | {r.data_set} | {r.seed} | {detected} | {r.said} |"
        )
    lines += ["", *mild_table(mild)]
    return "\n".join(lines) + "\n"


def share(flags: Iterable[bool]) -> str:
    """Yes of all, and per cent."""
    values = list(flags)
    return f"{sum(values)} ({sum(values) / len(values):.1%})"


def machine() -> str:
    """Cores and kind of processor."""
    name = platform.processor() or platform.machine()
    try:
        info = Path("/proc/cpuinfo").read_text()
        name = next(line.partition(": ")[2] for line in info.splitlines() if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} cores, {name}, CPU only"


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/diagnose_runs.md"))
    out: Path = parser.parse_args().out
    started = time.perf_counter()
    sets = present()
    planted, healthy, mild = planted_results(sets), healthy_results(sets), mild_results(sets)
    text = table(planted, healthy, mild, time.perf_counter() - started)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
