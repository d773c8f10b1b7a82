"""F2: the power fails in the middle of a training command; what was not flushed is kept, dropped or turned to noise."""

from __future__ import annotations

import hashlib
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anyarray_mlp.errors import AnyArrayMLPError
from anyarray_mlp.persistence import load, load_checkpoint
from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.crash_points import HALF, PLAIN, STOPPING, Scenario
from benchmarks.reliability.processes import Commands
from benchmarks.reliability.runs import CLOCK, RunFolders
from benchmarks.reliability.seams import MODEL
from tests.persistence_faults import after_power_loss

SCENARIOS = (
    Scenario("new run", PLAIN),
    Scenario("resume", PLAIN, HALF, "--resume"),
    Scenario("overwrite", PLAIN, ("--seed", "8"), "--overwrite"),
    Scenario("new run, early stopping", STOPPING),
)
RECORDERS = ("RecordingFiles", "RecordingWithoutFsync", "RecordingWithoutFsyncDir")
#: Schedules in which leaving out a flush must show: enough for dozens of broken promises.
PROOFS = 60


class Play:
    """The record of one command, from which power losses are played back."""

    def __init__(self, folders: RunFolders, scenario: Scenario, recorder: str) -> None:
        self.folders, self.scenario = folders, scenario
        before = folders.new()
        if scenario.before is None:
            before.mkdir()
        else:
            folders.commands.run(scenario.setting.train(before, *scenario.before), CLOCK)
        live = folders.new(before)
        path = folders.root / "record"
        options = [scenario.option] if scenario.option else []
        ended = folders.commands.run(
            scenario.setting.train(live, *options), CLOCK, ("record", str(live), str(path), recorder)
        )  # fmt: skip
        if problem := ended.problem(0):
            raise RuntimeError(f"{scenario.name}: {problem}")
        with path.open("rb") as stream:  # a file of our own child
            self.record: list[tuple[Any, ...]] = pickle.load(stream)
        self.known: dict[bytes, str | None] = {}
        for folder in (before, live):
            folders.discard(folder)

    def left(self, seed: str, folder: Path) -> int:
        """Put into a folder what a power loss leaves; what had been promised then."""
        files, promised = after_power_loss(self.record, random.Random(seed))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / ".lock").touch()  # a process that dies leaves it
        return promised

    def problem(self, seed: str) -> str | None:
        """What is wrong after a power loss: by what is on the disk, then by what the command line makes of it."""
        folder = self.folders.new()
        promised = self.left(seed, folder)
        if problem := broken_promise(folder, promised):
            shutil.rmtree(folder)
            return problem
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            content = path.read_bytes() if path.is_file() else b"a folder"
            digest.update(f"{path.relative_to(folder)} {len(content)} ".encode() + content)
        state = digest.digest()
        if state not in self.known:  # many schedules leave the same files
            self.known[state] = self.folders.finish(
                folder, self.scenario.setting, self.scenario.option
            )
        shutil.rmtree(folder)
        return self.known[state]


def broken_promise(folder: Path, promised: int) -> str | None:
    """What is missing or damaged of what the command had been told is safe.

    A run that replaces another is in a folder within until it takes the other's place.
    """
    homes = [folder, *(path for path in folder.iterdir() if path.is_dir())]
    models, steps = 0, [0]
    try:
        for home in homes:
            if (home / "model.safetensors").exists():
                load(home / "model.safetensors")
                models += 1
            if found := load_checkpoint(home):
                steps.append(found.step)
    except (AnyArrayMLPError, RuntimeWarning) as error:
        return str(error)
    if promised == MODEL and not models:
        return "the model that was saved is not there"
    if promised < MODEL and max(steps) < promised:
        return f"checkpoint {promised} was saved, and {max(steps)} is there"
    return None


def power_losses(trial: Trial) -> None:
    """Play back power losses, and show that leaving out either kind of flush would be found."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
    scenarios = trial.some(SCENARIOS)
    plays = {
        recorder: [Play(folders, scenario, recorder) for scenario in scenarios]
        for recorder in RECORDERS
    }
    for recorder in RECORDERS[1:]:
        broken = sum(
            problem_or_warning(play, f"{trial.seed} {n}", broken_promise_only) is not None
            for play in plays[recorder]
            for n in range(PROOFS // len(scenarios))
        )
        missing = recorder.removeprefix("RecordingWithout")
        trial.note(f"without {missing}, {broken} of {PROOFS} schedules break a promise")
        trial.wanted += 1
        trial.check(None if broken else "no schedule shows that it is missing", missing)
    sound = plays[RECORDERS[0]]
    for turn in trial.turns(10_000, small=12):
        play = sound[turn % len(sound)]
        seed = f"{trial.seed} {turn}"
        problem = problem_or_warning(play, seed, Play.problem)
        trial.check(problem, f"{play.scenario.name}, schedule {seed}")
    states = sum(len(play.known) for play in sound)
    trial.note(f"{states} different states of the disk, each trained on from")


def broken_promise_only(play: Play, seed: str) -> str | None:
    folder = play.folders.new()
    try:
        return broken_promise(folder, play.left(seed, folder))
    finally:
        shutil.rmtree(folder)


def problem_or_warning(play: Play, seed: str, of: Callable[[Play, str], str | None]) -> str | None:
    """A problem; a warning of a damaged checkpoint is one, as what is promised was whole."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return of(play, seed)


ROWS = [
    Campaign(
        "F2",
        "the power fails: each write and each name that was not flushed is kept, dropped or turned to noise",
        "what was promised is there, whole, and `--resume` (or the same command) ends with the bits of an undisturbed "
        "run; without either flush promises are found broken",
        "10,000 schedules",
        3.0,
        power_losses,
    )
]
