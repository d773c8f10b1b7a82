"""F1: a training command is killed ahead of every file operation that it makes."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.processes import Commands
from benchmarks.reliability.runs import CLOCK, RunFolders, Setting, operations, setting

EPOCHS = 10
PLAIN = setting("adam", "classes.csv --hidden 4", EPOCHS)
STOPPING = setting(
    "early stopping",
    "classes.csv --hidden 4 --early-stopping --patience 2 --learning-rate-init 0.05",
    EPOCHS,
)
LBFGS = setting("lbfgs", "classes.csv --hidden 4 --solver lbfgs", EPOCHS, exact=False)
HALF = ("--epochs", str(EPOCHS // 2))


@dataclass(frozen=True)
class Scenario:
    """A command to kill: what is trained, what was in the folder before, and the option that goes with it."""

    name: str
    setting: Setting
    before: tuple[str, ...] | None = None  # further arguments of the run that was there before
    option: str = ""


SCENARIOS = (
    Scenario("new run", PLAIN),
    Scenario("new run, early stopping", STOPPING),
    Scenario("new run, lbfgs", LBFGS),
    Scenario("resume", PLAIN, HALF, "--resume"),
    Scenario("resume, early stopping", STOPPING, ("--epochs", "2"), "--resume"),
    Scenario("resume, lbfgs", LBFGS, HALF, "--resume"),
    Scenario("overwrite", PLAIN, ("--seed", "8"), "--overwrite"),
    Scenario("overwrite, early stopping", STOPPING, ("--seed", "8"), "--overwrite"),
)


class Stage:
    """A scenario made ready: the folder before the command, and the operations that the command makes."""

    def __init__(self, folders: RunFolders, scenario: Scenario) -> None:
        self.folders, self.scenario = folders, scenario
        self.before: Path | None = None
        self.old_model = b""
        commands = folders.commands
        if scenario.before is not None:
            self.before = folders.new()
            ended = commands.run(scenario.setting.train(self.before, *scenario.before), CLOCK)
            if problem := ended.problem(0):
                raise RuntimeError(f"{scenario.name}: {problem}")
            self.old_model = (self.before / "model.safetensors").read_bytes()
        folder = self.folder()
        self.operations = operations(commands, self.command(folder))
        self.new_model = (folder / "model.safetensors").read_bytes()
        folders.discard(folder)

    def folder(self) -> Path:
        """A folder as it is before the command."""
        return self.folders.new(self.before)

    def command(self, folder: Path) -> list[str]:
        """The command that is disturbed; where it resumes, the epochs are those of the setting."""
        return self.scenario.setting.train(folder, *filter(None, [self.scenario.option]))

    def problem_with_what_is_left(self, folder: Path) -> str | None:
        """What is wrong with a folder in which the command was cut short."""
        model = folder / "model.safetensors"
        if self.before is not None:
            if not model.exists():
                return "the model that was there is gone"
            if model.read_bytes() not in (self.old_model, self.new_model):
                return "the model is neither the old nor the new one"
        problem = self.folders.predict(folder, *((0,) if model.exists() else (65, 74)))
        return problem or self.folders.finish(folder, self.scenario.setting, self.scenario.option)


def crash_points(trial: Trial) -> None:
    """Kill the command of each scenario ahead of each operation."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
    stages = [Stage(folders, scenario) for scenario in trial.some(SCENARIOS)]
    cases = [(stage, at) for stage in stages for at in range(1, len(stage.operations) + 1)]
    for stage, at in trial.each(cases, small=4):
        folder = stage.folder()
        ended = commands.run(stage.command(folder), CLOCK, ("kill_at", at))
        problem = ended.problem(-signal.SIGKILL) or stage.problem_with_what_is_left(folder)
        where = f"{stage.scenario.name}, operation {at} ({stage.operations[at - 1]})"
        trial.check(problem, where)
        folders.discard(folder)
    trial.note(f"{len(stages)} commands of {len(cases)} operations in all")


ROWS = [
    Campaign(
        "F1",
        "the process dies ahead of a file operation, half of a write done",
        "the model is the old or the new one, `predict` takes it, and `--resume` (or, where no run had begun, the same "
        "command) ends with the bits of an undisturbed run, with no stray file and nothing changed beside the folder",
        "every operation of eight commands",
        3.0,
        crash_points,
    )
]
