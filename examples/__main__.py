"""`python -m examples`: run the examples, all or those of the given numbers, and print what they came to."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from examples.common import MissingData, Options, Report, add_options, perform

FOLDER = Path(__file__).resolve().parent
README = FOLDER / "README.md"
PICTURES = FOLDER / "pictures"
BEGIN, END = "<!-- figures: written by python -m examples --record -->", "<!-- end of figures -->"


def names() -> list[str]:
    """The examples' modules, in order."""
    return sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.py"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; 1 where a figure misses its mark."""
    parser = argparse.ArgumentParser("python -m examples", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="which ones; all by default")
    add_options(parser)
    parser.add_argument(
        "--record",
        action="store_true",
        help="write the figures into README.md and keep the pictures",
    )
    given = parser.parse_args(arguments)
    chosen = [name for name in names() if not given.numbers or int(name[:2]) in given.numbers]
    unknown = set(given.numbers) - {int(name[:2]) for name in names()}
    if unknown:
        parser.error(f"no example {min(unknown)}: there are 1 to {len(names())}")
    if given.record and (given.quick or len(chosen) < len(names())):
        parser.error("--record needs all examples in full")
    options = Options(given.quick, PICTURES if given.record else given.out)
    reports, skipped = [], []
    for name in chosen:
        module = import_module(f"examples.{name}")
        try:
            reports.append(perform(module.main, name, module.__doc__, options))
        except MissingData as error:
            skipped.append(f"{name} skipped: {error}")
            print(f"  {skipped[-1]}", file=sys.stderr)
    missed = [f"{report.name}: {text}" for report in reports for text in report.missed]
    total = sum(report.seconds for report in reports)
    print(f"\n{len(reports)} examples in {total:.0f} s of processor time")
    print(f"{len(skipped)} skipped, {len(missed)} figures missed")
    for line in (*skipped, *missed):
        print(f"  {line}", file=sys.stderr)
    if given.record and not (skipped or missed):
        write_figures(reports)
    return 1 if missed or (given.record and skipped) else 0


def write_figures(reports: Sequence[Report]) -> None:
    """Put the table of figures into README.md, between its marks."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n{table(reports)}\n{END}{after}", encoding="utf-8")
    print(f"written: {README}")


def table(reports: Sequence[Report]) -> str:
    """The figures as Markdown, with date and machine."""
    total = sum(report.seconds for report in reports)
    lines = [
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {machine()}; {total:.0f} s of processor time in all.",
        "",
        "| problem | reached | named by the checker or the diagnosis | CPU s |",
        "|---|---|---|---:|",
    ]
    for report in reports:
        number, title = report.title.replace("|", "\\|").split(". ", 1)
        problem = f"{number}. [{title}]({report.name}.py) ([picture](pictures/{report.name}.png))"
        named = ", ".join(dict.fromkeys(report.named))
        lines.append(f"| {problem} | {report.headline} | {named} | {report.seconds:.0f} |")
    return "\n".join(lines)


def machine() -> str:
    """Cores, processor and versions."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(
                line.split(":")[1].strip() for line in file if line.startswith("model name")
            )
    except (OSError, StopIteration):
        pass
    return (
        f"{os.cpu_count()} cores (one thread used), {model}, CPU only, Python "
        f"{platform.python_version()}, NumPy {np.__version__}"
    )


if __name__ == "__main__":
    sys.exit(main())
