"""Small training runs, and what a folder that a fault has hit must still be."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reliability.processes import Commands, Ended, Setup

#: Epochs are ten seconds long to whoever reads the clock once an epoch: a checkpoint is due after every third.
CLOCK: Setup = ("tick", 10.0)


def write_tables(folder: Path, rows: int = 60) -> None:
    """A table with classes, one with two classes of unequal size, and one with values, all learnable."""
    rng = random.Random(5)
    lines: dict[str, list[str]] = {"classes": [], "unequal": [], "values": []}
    for _ in range(rows):
        a, b, c = (rng.uniform(-1, 1) for _ in range(3))
        inputs = f"{a:.4f},{b:.4f},{rng.choice(['red', 'green', 'blue'])}"
        kind = "low" if a + b < -0.4 else "high" if a + b > 0.4 else "mid"
        lines["classes"].append(f"{inputs},{kind}")
        lines["unequal"].append(f"{inputs},{'rare' if a + c > 0.6 else 'common'}")
        lines["values"].append(f"{inputs},{math.sin(3 * a) + b:.4f}")
    for name, body in lines.items():
        (folder / f"{name}.csv").write_text("\n".join(["a,b,colour,target", *body]) + "\n")


@dataclass(frozen=True)
class Setting:
    """One way to train: the command's arguments without the folder, and the library that it needs."""

    name: str
    arguments: tuple[str, ...]
    library: str = ""
    #: Whether a resumed run ends with the bits of one that was never stopped. Not so with lbfgs, which learns the
    #: curvature anew, as --resume says.
    exact: bool = True

    def train(self, folder: str | Path, *more: str) -> list[str]:
        """The command that trains into a folder."""
        return ["train", *self.arguments, "--no-diagnose", "--quiet", "--out", str(folder), *more]


def setting(name: str, text: str, epochs: int, library: str = "", exact: bool = True) -> Setting:
    """A setting of a line of arguments."""
    arguments = (*text.split(), "--preset", "plain", "--epochs", str(epochs), "--seed", "3")
    return Setting(name, arguments, library, exact)


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves that must be the same however it got there."""

    model: bytes
    metrics: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Outcome:
        """The model's bytes, and the lines of the metrics without their time."""
        lines = []
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            record = json.loads(line)
            record.pop("seconds", None)
            lines.append(json.dumps(record))
        return cls((folder / "model.safetensors").read_bytes(), tuple(lines))

    def difference(self, other: Outcome) -> str | None:
        """How another outcome differs, or None."""
        if self.metrics != other.metrics:
            pairs = enumerate(zip(self.metrics, other.metrics, strict=False), start=1)
            first = next((n for n, (a, b) in pairs if a != b), None)
            return f"metrics of {len(self.metrics)} and {len(other.metrics)} epochs; first other line: {first}"
        return None if self.model == other.model else "the model's bytes differ"


class RunFolders:
    """Folders of runs in which faults happen, and the checks of what is left in them."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.root = commands.folder
        write_tables(self.root)
        self.count = 0
        (self.root / "neighbour").mkdir()
        (self.root / "neighbour" / "model.safetensors").write_bytes(b"another's")
        self.undisturbed: dict[Setting, Outcome] = {}

    def new(self, like: Path | None = None) -> Path:
        """A name for a folder, not made, or made as a copy of another."""
        self.count += 1
        folder = self.root / f"run-{self.count}"
        if like is not None:
            shutil.copytree(like, folder)
        return folder

    def outcome(self, of: Setting) -> Outcome:
        """What the setting's run comes to where nothing disturbs it."""
        if of not in self.undisturbed:
            folder = self.new()
            ended = self.commands.run(of.train(folder), CLOCK)
            if problem := ended.problem(0):
                raise RuntimeError(f"an undisturbed run of {of.name} failed: {problem}")
            self.undisturbed[of] = Outcome.of(folder)
            shutil.rmtree(folder)
        return self.undisturbed[of]

    def predict(self, folder: Path, *codes: int) -> str | None:
        """What is wrong with the way `predict` takes the model of a folder."""
        table = self.root / "classes.csv"
        ended = self.commands.run(["predict", str(folder / "model.safetensors"), str(table)])
        problem = ended.problem(*codes)
        return f"predict: {problem}" if problem else None

    def finish(self, folder: Path, of: Setting, option: str = "") -> str | None:
        """Go on with what is left in a folder, or start anew where no run is left; what was wrong with it, or None.

        With the option --overwrite, what is left may be the run before, which goes on as well, and is then
        overwritten. In the end there must be the model and the metrics of an undisturbed run, and nothing beside them.
        """
        whatever = ("train", "--quiet", "--out", str(folder)) if option == "--overwrite" else ()
        ended = self.commands.run([*(whatever or of.train(folder)), "--resume"], CLOCK)
        problem = None
        if whatever or (ended.code in (65, 74) and no_run_left(ended)):
            problem = ended.problem(*((0, 74) if whatever else (65, 74)))
            more = [option] if option == "--overwrite" else []
            ended = self.commands.run(of.train(folder, *more), CLOCK)
        problem = problem or ended.problem(0) or self.left_over(folder, over=True)
        if problem:
            return f"resuming: {problem}"
        if of.exact and (difference := self.outcome(of).difference(Outcome.of(folder))):
            return f"resumed: {difference}"
        return None

    def left_over(self, folder: Path, *, over: bool = False) -> str | None:
        """What lies in or beside a folder that should not, after a run was stopped there, or is `over`."""
        names = [path.name for path in folder.iterdir()]
        stray = [name for name in names if name.endswith(".tmp") or (over and name[0] == ".")]
        checkpoints = [name for name in names if name.startswith("checkpoint-")]
        if stray or len(checkpoints) > 3:  # two, and one that the next save removes
            return f"left over: {', '.join(stray or checkpoints)}"
        if (self.root / "neighbour" / "model.safetensors").read_bytes() != b"another's":
            return "the folder beside it was changed"
        return None

    def discard(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


def no_run_left(ended: Ended) -> bool:
    """Whether a folder was refused because a fault hit before there was a run in it."""
    return bool(re.search(r"does not exist|holds no run|no readable config", ended.err))


def operations(commands: Commands, arguments: Sequence[str]) -> list[str]:
    """The names of the file operations that a command makes."""
    path = commands.folder / "operations"
    ended = commands.run(arguments, CLOCK, ("count_operations", str(path)))
    if problem := ended.problem(0):
        raise RuntimeError(f"{' '.join(arguments)} failed undisturbed: {problem}")
    return path.read_text().split()


def flat(values: Any) -> str:
    """A few values in a word."""
    return " ".join(map(str, values))
