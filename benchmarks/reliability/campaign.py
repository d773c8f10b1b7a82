"""What a row of the campaign is, how far it goes, and the table of what came of all rows."""

from __future__ import annotations

import datetime
import platform
import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

Case = TypeVar("Case")

#: Findings that are printed and kept of one row; all are counted.
MOST_SHOWN = 20


@dataclass(frozen=True)
class Campaign:
    """One row: a kind of fault, what must hold under it, and the function that makes the fault happen.

    oracle : what each check compares, in words.
    goal : how many checks without a finding the full campaign makes, in words.
    weight : share of the time among the rows.
    """

    id: str
    title: str
    oracle: str
    goal: str
    weight: float
    run: Callable[[Trial], None]


class NotRunError(Exception):
    """This machine cannot make the fault happen; says why."""


@dataclass
class Trial:
    """One run of a row: its random numbers, how far it may go, and what it found.

    folder : an empty folder of its own.
    small : whether to make only the few turns that the test suite has time for.
    seconds : wall time until no new turn is begun; infinite makes all of them.
    until_found : whether the first finding is enough.
    """

    id: str
    seed: int
    folder: Path
    small: bool = False
    seconds: float = float("inf")
    until_found: bool = False
    count: int = 0
    wanted: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed} {self.id}")
        self.deadline = time.monotonic() + self.seconds

    def turns(self, full: int, small: int, share: float = 1.0) -> Iterator[int]:
        """0, 1, ... up to the number of turns that there is time for, of which `share` is for these."""
        self.wanted += full
        now = time.monotonic()
        stop = now + share * max(0.0, self.deadline - now)
        for turn in range(min(small, full) if self.small else full):
            if (turn > 0 and time.monotonic() >= stop) or (self.until_found and self.findings):
                return
            yield turn

    def each(self, cases: Sequence[Case], small: int, share: float = 1.0) -> Iterator[Case]:
        """The cases, in a random order so that those there is time for are a fair part."""
        order = self.rng.sample(range(len(cases)), len(cases))
        for turn in self.turns(len(cases), small, share):
            yield cases[order[turn]]

    def some(self, cases: Sequence[Case]) -> Sequence[Case]:
        """All cases, or the one of them that the test suite has time for."""
        return [self.rng.choice(cases)] if self.small else cases

    def check(self, problem: str | None, where: str) -> None:
        """Count one check; `problem` is what was wrong, or None, and `where` how to come back to it."""
        self.count += 1
        if problem:
            self.findings.append(f"{where}: {problem}")
            if len(self.findings) <= MOST_SHOWN:
                print(f"  {self.id}: {where}: {' '.join(problem.split())}"[:1500], flush=True)

    def note(self, text: str) -> None:
        """Say something beside the figures, such as what could not be run here."""
        self.notes.append(text)


@dataclass(frozen=True)
class Result:
    """What came of a row."""

    campaign: Campaign
    count: int
    wanted: int
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    not_run: str = ""

    @property
    def met(self) -> str:
        """Whether the goal is met, in a word or two."""
        if self.findings:
            return "NO"
        if self.not_run:
            return "not run"
        return "yes" if self.count >= self.wanted else f"so far ({self.count / self.wanted:.0%})"

    def line(self) -> str:
        """The row in the table of results."""
        said = [*self.notes, self.not_run, *self.findings[:3]]
        cells = [
            self.campaign.id,
            self.campaign.title,
            self.campaign.oracle,
            f"{self.count:,}",
            self.campaign.goal,
            f"{len(self.findings):,}",
            self.met,
            f"{self.seconds:.0f} s",
            f"{datetime.date.today()}",
            commit(),
            "; ".join(" ".join(text.split())[:300] for text in said if text),
        ]
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def run_row(campaign: Campaign, trial: Trial) -> Result:
    """Run one row and say what came of it."""
    started = time.monotonic()
    not_run = ""
    try:
        campaign.run(trial)
    except NotRunError as error:
        not_run = str(error)
    return Result(
        campaign,
        trial.count,
        trial.wanted,
        tuple(trial.findings),
        tuple(trial.notes),
        time.monotonic() - started,
        not_run,
    )


HEADING = """# Reliability

`python -m benchmarks.reliability --full` makes every row's fault happen as often as its goal says; `--minutes 10` as
often as there is time for, `--only F1,F3` some rows. A row that is run again replaces its line here; the others stay.
"so far" is no finding in fewer checks than the goal asks for. Seed {seed}; {machine}.

| row | fault | what is checked each time | checks | goal | findings | met | time | date | commit | remarks |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def machine() -> str:
    """Processor, system and versions, in a line."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = re.findall(r"model name\s*: (.+)", cpuinfo.read_text())
        model = f"{names[0]}, {len(names)} cores" if names else model
    return f"{model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def commit() -> str:
    """The commit that ran, with + if something was changed since; empty outside a clone."""
    command = ["git", "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def keep_lines(path: Path, results: Sequence[Result], order: Sequence[str], seed: int) -> None:
    """Write the table: new lines for the results, the lines that are there for the other rows."""
    lines = {}
    if path.exists():
        for line in path.read_text().splitlines():
            if found := re.match(r"\| (F[^|]+?) \|", line):
                lines[found[1]] = line
    lines |= {result.campaign.id: result.line() for result in results}
    rows = [lines[name] for name in order if name in lines]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = HEADING.format(seed=seed, machine=machine()) + "\n".join(rows) + "\n"
    path.write_text(text)


def one_line_problem(said: Any, place: str = "") -> str | None:
    """What is wrong with an error message: it is one printable line that names the place."""
    text = str(said)
    if "\n" in text or not text.strip():
        return f"the message is not one line: {text[:300]!r}"
    if place and place not in text:
        return f"the message does not name {place}: {text[:300]!r}"
    return None
