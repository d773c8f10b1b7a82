"""Cures that are tried: short runs from the same split and seed, before and after, on the same validation rows.

Each change of settings is tried by itself, then those that helped together. A change helped if, over all seeds, the
validation rows are predicted better by more than these rows and the seeds can differ by chance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.diagnosis.changes import Change, in_python, together
from anyarray_mlp.diagnosis.rules.findings import Finding
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.typing import Host

#: Findings whose cures are tried, changes of each, seeds, and the parts of the budget that one run may take.
FINDINGS, CHANGES, SEEDS, PARTS = 4, 4, 2, 6
#: A gain that counts, and how many standard errors of the rows' differences it must be.
LEAST_GAIN, CERTAIN = 0.005, 1.64
#: Standard deviations of training by chance alone, as far as two seeds tell, that it must be besides.
SEEDS_APART = 1.0


@dataclass(frozen=True, eq=False)
class Ran:
    """One short run: for each validation row how well it is predicted, the weight that it has, and the epochs made.

    The weighted mean of `rows` is the score. `cut` says that the time ended the run.
    """

    rows: Host
    weights: Host
    epochs: int
    seconds: float
    cut: bool

    @property
    def score(self) -> float:
        return float(np.average(self.rows, weights=self.weights))


#: Runs a changed run: the change, the place of the seed among the seeds, and the most seconds that it may take.
#: Raises `UsageError` or `DataError` for a change that cannot be.
Rerun = Callable[[Mapping[str, Any], int, float], Ran]


@dataclass(frozen=True)
class Tried:
    """A change that was tried, for the causes that it may cure.

    Attributes
    ----------
    before, after : the score for each seed, without the change and with it; a change that made the first seed worse is
        not tried with the second.
    gain, noise : the mean gain over the seeds, and what it may be by chance.
    helped : whether the gain is more than that.
    epochs, cut : epochs of the last run, and whether the time ended it.
    """

    causes: tuple[str, ...]
    change: Change
    before: tuple[float, ...]
    after: tuple[float, ...]
    gain: float
    noise: float
    helped: bool
    epochs: int
    cut: bool

    def told(self, measure: str, write: Callable[[Mapping[str, Any]], str] = in_python) -> str:
        """A line: `tried epochs=100: R² 0.42 -> 0.83 (0.81 to 0.84)`."""
        old, new = (float(np.mean(scores)) for scores in (self.before, self.after))
        spread = ""
        if len(self.after) > 1:
            spread = f" ({min(self.after):.3f} to {max(self.after):.3f})"
        said = "" if self.helped else ", which is no help"
        if not self.helped and self.gain > 0 and len(self.after) > 1:
            said = ", which may be chance"
        if self.cut:
            said += f"; the time ended it after {counted(self.epochs, 'epoch')}"
        return f"tried {write(self.change)}: {measure} {old:.3f} -> {new:.3f}{spread}{said}"


@dataclass(frozen=True)
class Trials:
    """What came of trying: every change that was tried, in order, and those for which there was no time.

    `measure` is what the scores are, `rows` the number of validation rows that they are of, `cut` whether the runs
    were shorter than the run that was diagnosed.
    """

    measure: str
    rows: int
    tried: tuple[Tried, ...]
    untried: tuple[Change, ...]
    seconds: float
    budget: float
    cut: bool = False
    refused: str = ""
    untriable: tuple[str, ...] = field(default=())

    @property
    def best(self) -> Tried | None:
        """The change that helped most; None if none did."""
        helped = [each for each in self.tried if each.helped]
        return max(helped, key=lambda each: each.gain, default=None)

    def report(self, write: Callable[[Mapping[str, Any]], str] = in_python) -> str:
        """A line for each change tried, and what follows from it; `write` writes a change."""
        if self.refused:
            return f"no cure was tried: {self.refused}"
        lines = [each.told(self.measure, write) for each in self.tried]
        lines += [
            f"to try, for which there was no time: {write(change)}" for change in self.untried
        ]
        if self.untriable:
            lines.append(f"no setting cures {', '.join(self.untriable)}: see its cure above")
        if self.tried:
            best = self.best
            lines.append(
                "nothing that was tried helped"
                if best is None
                else f"best: {write(best.change)}, {self.measure} "
                f"{float(np.mean(best.before)):.3f} -> {float(np.mean(best.after)):.3f}"
            )
        length = ", of runs that the time cut" if self.cut else ""
        lines.append(
            f"{self.measure} on {counted(self.rows, 'validation row')}{length}; "
            f"{self.seconds:.1f} of {self.budget:g} s"
        )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        best = self.best
        return {**asdict(self), "best": None if best is None else best.change}


def try_cures(
    findings: Sequence[Finding], measure: str, rerun: Rerun, seconds: float = 60.0
) -> Trials:
    """Try the changes of the first findings, each alone and those that helped together, within a time.

    `rerun` makes a changed run, and `measure` names its score. The changes of a finding are tried until one helps.
    """
    return Attempt(measure, rerun, seconds).of(findings)


class Attempt:
    """The trials of one call: what is left of the time, and the runs without a change, by seed."""

    def __init__(self, measure: str, rerun: Rerun, seconds: float) -> None:
        self.measure, self.rerun, self.budget = measure, rerun, seconds
        self.started = time.monotonic()
        self.limit = seconds / PARTS
        self.plain: dict[int, Ran] = {}
        self.longest = 0.0

    @property
    def spent(self) -> float:
        return time.monotonic() - self.started

    def has_time(self) -> bool:
        """Whether there is time for one more run as long as the longest so far."""
        return self.spent + self.longest < self.budget

    def run(self, change: Mapping[str, Any], seed: int) -> Ran:
        begun = self.spent
        ran = self.rerun(change, seed, min(self.limit, self.budget - begun))
        self.longest = max(self.longest, self.spent - begun)
        return ran

    def without(self, seed: int) -> Ran:
        """The run of a seed without a change."""
        if seed not in self.plain:
            self.plain[seed] = self.run({}, seed)
        return self.plain[seed]

    def of(self, findings: Sequence[Finding]) -> Trials:
        """What came of the changes of some findings."""
        tried: list[Tried] = []
        untried: list[Change] = []
        refused = ""
        triable = [finding for finding in findings if finding.changes][:FINDINGS]
        others = tuple(f.title for f in findings[:FINDINGS] if not f.changes)
        if not triable:
            refused = "no setting cures " + ", ".join(others) if others else "nothing is wrong"
        else:
            try:
                self.without(0)
            except (DataError, UsageError) as error:
                refused = str(error)
        for causes, change in () if refused else proposals(triable, tried):
            self.attempt(causes, change, tried, untried)
        if not refused:
            self.join(tried)
        ran = self.plain.get(0)
        return Trials(
            self.measure,
            0 if ran is None else len(ran.rows),
            tuple(tried),
            tuple(untried),
            self.spent,
            self.budget,
            ran is not None and ran.cut,
            refused,
            () if refused else others,
        )

    def join(self, tried: list[Tried]) -> None:
        """Try those that helped together, the best of each cause first."""
        helped = sorted((t for t in tried if t.helped), key=lambda t: -t.gain)
        whole = together(t.change for t in helped)
        if len(helped) > 1 and all(whole != t.change for t in helped):
            causes = tuple(dict.fromkeys(cause for t in helped for cause in t.causes))
            self.attempt(causes, whole, tried, [])

    def attempt(
        self, causes: tuple[str, ...], change: Change, tried: list[Tried], untried: list[Change]
    ) -> None:
        """Try one change, if there is time for it and it can be."""
        if not self.has_time():
            untried.append(change)
            return
        pairs: list[tuple[Ran, Ran]] = []
        try:
            for seed in range(SEEDS):
                if not self.has_time():
                    break
                before = self.without(seed)
                if not self.has_time():
                    break
                pairs.append((before, self.run(change, seed)))
                if pairs[-1][1].score <= before.score:
                    break  # it does not help for certain: the time goes to the next
        except (DataError, UsageError):
            return  # it does not go with the other settings
        if not pairs:
            untried.append(change)
            return
        tried.append(judged(causes, change, pairs))


def proposals(
    findings: Sequence[Finding], tried: Sequence[Tried]
) -> Iterator[tuple[tuple[str, ...], Change]]:
    """The causes and changes to try next, as `tried` grows: the next of a finding until one of its own helped."""
    for place in range(CHANGES):
        for finding in findings:
            if place >= len(finding.changes):
                continue
            change = finding.changes[place]
            if any(t.change == change or (t.helped and finding.cause in t.causes) for t in tried):
                continue
            causes = tuple(other.cause for other in findings if change in other.changes)
            yield causes, change


def judged(causes: tuple[str, ...], change: Change, pairs: Sequence[tuple[Ran, Ran]]) -> Tried:
    """Whether a change helped, from the runs without and with it for each seed."""
    before = tuple(old.score for old, _ in pairs)
    after = tuple(new.score for _, new in pairs)
    gains = np.array(after) - np.array(before)
    weights = pairs[0][0].weights
    rows = np.mean([new.rows - old.rows for old, new in pairs], axis=0)
    gain = float(np.average(rows, weights=weights))
    spread = np.average((rows - gain) ** 2, weights=weights)
    size = weights.sum() ** 2 / (weights**2).sum()  # as many rows of equal weight tell as much
    noise = CERTAIN * math.sqrt(float(spread) / max(size, 1.0))
    if len(gains) > 1:
        # What is worse than a constant is as bad as one, however bad.
        apart = np.array(after) - np.maximum(before, 0.0)
        noise = max(noise, SEEDS_APART * float(np.std(apart, ddof=1)))
    last = pairs[-1][1]
    helped = len(pairs) == SEEDS and bool(np.all(gains > 0)) and gain > max(noise, LEAST_GAIN)
    return Tried(causes, change, before, after, gain, noise, helped, last.epochs, last.cut)
