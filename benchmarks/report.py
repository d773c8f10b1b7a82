"""The results as tables and a picture."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.harness import Timing, ratio

LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "jax", "keras", "cupy-cuda13x")


def heading(threads: int | None, rounds: int, command: str, device: str) -> list[str]:
    """What was measured, with what, where and when."""
    versions = []
    for name in LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    counted = (
        "as many threads as the libraries choose" if threads is None else f"threads: {threads}"
    )
    return [
        f"{datetime.datetime.now():%Y-%m-%d %H:%M}, {os.cpu_count()} cores, {processor()}, device {device}; "
        f"Python {platform.python_version()}, {', '.join(versions)}. BLAS and OpenMP: {counted}. "
        f"Load of the machine at the end (1, 5, 15 minutes): "
        f"{', '.join(f'{load:.1f}' for load in os.getloadavg())}.",
        "",
        f"Made by `{command}`. Every contender has a process of its own, rounds are interleaved, figures are "
        f"medians of {rounds} rounds; ratios are medians of the ratios within a round.",
        "",
    ]


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def timing_table(results: dict[str, dict[str, Timing]], unit: str, cpu: bool = False) -> list[str]:
    """Rows are contenders, columns what they were timed on, cells microseconds."""
    columns = list(results)
    names = list(next(iter(results.values())))
    lines = [f"| {unit} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        cells = []
        for column in columns:
            timing = results[column][name]
            cells.append(number(timing.cpu_median if cpu else timing.median))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    problems = {
        f"{name}: {timing.problem}"
        for timings in results.values()
        for name, timing in timings.items()
        if timing.problem
    }
    return [*lines, "", *(f"- {problem}" for problem in sorted(problems)), *([""] * bool(problems))]


def number(value: float) -> str:
    """Three figures that count, thousands apart."""
    if math.isnan(value):
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def goal_table(goals: Iterable[tuple[str, str, float, float, bool]]) -> list[str]:
    """(goal, where, found, bound, whether the bound is an upper one) as a table that says what is met."""
    lines = ["| goal | where | bound | found | |", "|---|---|---|---|---|"]
    for goal, where, found, bound, upper in goals:
        met = found <= bound if upper else found >= bound
        verdict = (
            "-"
            if math.isnan(found)
            else "met"
            if met
            else f"missed by {abs(found / bound - 1):.0%}"
        )
        sign = "<=" if upper else ">="
        lines.append(f"| {goal} | {where} | {sign} {bound:g} | {number(found)} | {verdict} |")
    return [*lines, ""]


def training_goals(
    results: dict[str, dict[str, Timing]], cpu: bool
) -> list[tuple[str, str, float, float, bool]]:
    """The goals for a step on a CPU, judged by the clock or by CPU time."""
    goals = []
    for i, (where, timings) in enumerate(results.items()):

        def over(a: str, b: str, timings: dict[str, Timing] = timings) -> float:
            return ratio(timings, a, b, cpu)

        small = i < 2
        goals += [
            ("numpy / NumPy by hand", where, over("anyarray-mlp numpy", "NumPy by hand"), 1.15, True),
            ("scikit-learn / numpy", where, over("scikit-learn", "anyarray-mlp numpy"), 3.0 if small else 1.5, False),
            ("jax / JAX scan by hand", where, over("anyarray-mlp jax", "JAX scan by hand"), 1.05, True),
            ("PyTorch / torch", where, over("PyTorch", "anyarray-mlp torch"), 2.0 if small else 1.0, False),
        ]  # fmt: skip
    for where, timings in results.items():
        if "1024-1024" not in where:
            continue
        for name in ("numpy", "torch", "jax"):
            found = ratio(timings, f"anyarray-mlp {name}", "products alone", cpu)
            goals.append((f"{name} / products alone", where, found, 1.15, True))
        found = ratio(timings, "anyarray-mlp torch", "PyTorch products alone", cpu)
        goals.append(("torch / PyTorch products alone", where, found, 1.15, True))
    return goals


def picture(
    results: dict[str, dict[str, Timing]], path: Path, device: str, cpu: bool = False
) -> None:
    """A panel for each workload: microseconds a step as bars, ours in colour."""
    draw(
        {
            where: {name: t.cpu_median if cpu else t.median for name, t in timings.items()}
            for where, timings in results.items()
        },
        path,
        f"One training step, Adam, float32: {'CPU time, one thread' if cpu else 'wall time'} "
        f"({processor()}, {device})",
    )


def draw(results: dict[str, dict[str, float]], path: Path, title: str) -> None:
    """Bars of microseconds by workload and contender."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    figure, panels = plt.subplots(
        1, len(results), figsize=(3.4 * len(results), 4.2), sharey=True, layout="constrained"
    )
    panels = [panels] if len(results) == 1 else list(panels)
    for panel, (where, values) in zip(panels, results.items(), strict=True):
        names = list(values)[::-1]
        ours = ["#c0392b" if name.startswith("anyarray-mlp") else "#95a5a6" for name in names]
        panel.barh(names, [values[name] for name in names], color=ours)
        known = [value for value in values.values() if not math.isnan(value)]
        panel.set_xscale("log")
        panel.set_xlim(10 ** math.floor(math.log10(min(known) / 1.2)), max(known) * 5)
        panel.xaxis.set_minor_formatter(NullFormatter())
        for y, name in enumerate(names):
            if not math.isnan(values[name]):
                panel.text(values[name] * 1.1, y, number(values[name]), va="center", fontsize=8)
        panel.set_title(where.replace(", batch", "\nbatch"), fontsize=9)
        panel.set_xlabel("microseconds a step")
        panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def read_table(path: Path, corner: str) -> dict[str, dict[str, float]]:
    """Figures by column and row of the table in a file of results whose first cell is `corner`."""
    lines = path.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {corner} |"))
    columns = [cell.strip() for cell in lines[first].strip("|").split("|")][1:]
    table: dict[str, dict[str, float]] = {column: {} for column in columns}
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for column, cell in zip(columns, cells, strict=True):
            table[column][name] = math.nan if cell == "-" else float(cell.replace(",", ""))
    return table


def scaling_table(rows: list[dict[str, Any]]) -> list[str]:
    """Exponents."""
    lines = [
        "| what grows | values | CPU microseconds | exponent | of the arithmetic |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        values = ", ".join(f"{v:,}" for v in row["values"])
        times = ", ".join(number(v) for v in row["microseconds"])
        lines.append(
            f"| {row['grows']} | {values} | {times} | {row['exponent']:.2f} | {row['expected']} |"
        )
    return [*lines, ""]


def memory_table(rows: list[dict[str, Any]]) -> list[str]:
    """Megabytes; the rest is what the goal grants 100 MB for."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        cells = [f"{v:,.0f}" if isinstance(v, float) else str(v) for v in row.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]
