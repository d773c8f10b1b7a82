"""How often faults planted in tables are named first, and how often healthy runs on tables raise an alarm.

    python -m benchmarks.diagnosis.table_runs --data DIR [--aside] [--plants 4] [--healthy 6] [--out FILE]

DIR is the folder of files of `benchmarks.tables`. Rules may be tuned on the tables of `table_faults.CLASSES` and
`VALUES`; those that are set aside are run with `--aside`, once. Strong faults and subtle ones are counted apart.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.diagnosis import Diagnosis
from anyarray_mlp.errors import AnyArrayMLPError, DivergedError
from anyarray_mlp.pipeline.plan import make_plan
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.pipeline.training import fit_and_diagnose
from benchmarks.diagnosis import table_faults
from benchmarks.diagnosis.planted_faults import generator
from benchmarks.diagnosis.runs import machine, sentence, share
from benchmarks.diagnosis.table_faults import FAULTS, TARGET, Case, healthy, planted, suited


@dataclass(frozen=True)
class Result:
    """One run: what was planted ("" for nothing), where, and what was said."""

    fault: str
    table: str
    seed: int
    subtle: bool
    accept: tuple[str, ...]
    alarms: tuple[str, ...]
    said: str
    skill: float | None

    @property
    def first(self) -> bool:
        return bool(self.alarms) and self.alarms[0] in self.accept

    @property
    def detected(self) -> bool:
        return bool(set(self.accept) & set(self.alarms))


def diagnosis_of(case: Case) -> Diagnosis | str:
    """What is said of a case, or the error that refuses it."""
    options = {"preset": "plain", "target": TARGET, **case.options}
    try:
        plan = make_plan(case.frame, Settings.of("train_table", None, options))
        if case.alter is not None:
            plan = case.alter(plan)
        _, diagnosis = fit_and_diagnose(plan, (), True)
    except DivergedError as error:
        diagnosis = error.diagnosis
    except AnyArrayMLPError as error:
        return str(error)
    assert diagnosis is not None
    return diagnosis


def judge(case: Case, seed: int) -> Result:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = diagnosis_of(case)
    known = (case.fault, case.table, seed, case.subtle, case.accept)
    if isinstance(said, str):
        return Result(*known, (), f"refused: {said}", None)
    alarms = tuple(finding.cause for finding in said.alarms)
    return Result(*known, alarms, sentence(said), said.record.outcome.validation_skill)


def results(
    tables: list[str], folder: Path, plants: int, runs: int, only: list[str], first_seed: int
) -> list[Result]:
    """Every fault on `plants` tables each, and `runs` healthy runs of each table."""
    found = []
    for fault in only or [*FAULTS]:
        names = suited(fault, tables)
        order = generator("order", fault).permutation(len(names))
        for k in range(plants):
            name, seed = names[order[k % len(names)]], first_seed + k
            found.append(judge(planted(fault, name, seed, folder), seed))
            print(found[-1].first, fault, name, found[-1].said[:160], flush=True)
    for name in tables:
        for k in range(runs):
            found.append(judge(healthy(name, first_seed + k, folder), first_seed + k))
            if found[-1].alarms:
                print("ALARM", name, found[-1].said[:160], flush=True)
    return found


def table(found: list[Result], seconds: float, command: str) -> str:
    """The report in Markdown, with every miss."""
    plain = [r for r in found if not r.fault]
    lines = [
        "# diagnose on tables with planted faults",
        "",
        f"{date.today()}, {machine()}; `{command}`, {seconds:.0f} s.",
        "",
        "| | runs | detected | right cause first |",
        "|---|---:|---:|---:|",
    ]
    for kind, subtle in (("strong", False), ("subtle", True)):
        part = [r for r in found if r.fault and r.subtle == subtle]
        if part:
            lines.append(
                f"| {kind} faults | {len(part)} | {share(r.detected for r in part)} | {share(r.first for r in part)} |"
            )
    if plain:
        alarmed = share(bool(r.alarms) for r in plain)
        lines += ["", f"Healthy runs with an alarm: {alarmed} of {len(plain)}."]
    by_fault: dict[str, list[Result]] = defaultdict(list)
    for r in found:
        if r.fault:
            by_fault[r.fault].append(r)
    lines += ["", "| fault | runs | detected | first |", "|---|---:|---:|---:|"]
    for fault, part in by_fault.items():
        name = f"{fault} (subtle)" if part[0].subtle else fault
        lines.append(
            f"| {name} | {len(part)} | {sum(r.detected for r in part)} | {sum(r.first for r in part)} |"
        )
    lines += ["", "Misses:", "", "| planted | table | seed | skill | said |", "|---|---|---:|---:|---|"]  # fmt: skip
    for r in [*(r for r in found if r.fault and not r.first), *(r for r in plain if r.alarms)]:
        skill = "-" if r.skill is None else f"{r.skill:.2f}"
        said = r.said.replace("|", "/")
        lines.append(f"| {r.fault or 'nothing'} | {r.table} | {r.seed} | {skill} | {said} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--aside", action="store_true")
    parser.add_argument("--plants", type=int, default=4)
    parser.add_argument("--healthy", type=int, default=6)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/diagnose_tables.md"))
    given: Any = parser.parse_args()
    classes, values = table_faults.CLASSES, table_faults.VALUES
    if given.aside:
        classes, values = table_faults.ASIDE_CLASSES, table_faults.ASIDE_VALUES
    started = time.perf_counter()
    found = results(
        [*classes, *values], given.data, given.plants, given.healthy, given.only, given.seed
    )
    command = f"python -m benchmarks.diagnosis.table_runs{' --aside' if given.aside else ''}"
    command += f" --plants {given.plants} --healthy {given.healthy} --seed {given.seed}"
    text = table(found, time.perf_counter() - started, command)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)
    given.out.with_suffix(".json").write_text(json.dumps([asdict(r) for r in found]))
    print(text[: text.index("Misses:")])


if __name__ == "__main__":
    main()
