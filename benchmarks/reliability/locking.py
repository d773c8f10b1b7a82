"""F6: several processes want one folder at once."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.crash_points import PLAIN
from benchmarks.reliability.processes import Command, Commands, Ended
from benchmarks.reliability.runs import CLOCK, Outcome, RunFolders, operations, setting

PROCESSES = 8
LONG = setting("adam", "classes.csv --hidden 4", 150)
#: Ways to come to one folder: the option of the command, and the epochs of the run that is there before.
WAYS = (("new", "", 0), ("resume", "--resume", 30), ("overwrite", "--overwrite", 30))


def problem_with_losers(running: list[Command], ended: list[Ended]) -> str | None:
    """What is wrong with how the eight ended: one goes on, the others end with 75 and name it."""
    winners = [place for place, each in enumerate(ended) if each.code == 0]
    if len(winners) != 1:
        return f"{len(winners)} went on; exit codes {[each.code for each in ended]}: {ended[0].err[-300:]}"
    holder = running[winners[0]].pid
    for place, each in enumerate(ended):
        if place == winners[0]:
            continue
        # Who comes when the winner has ended finds its run there.
        if each.code == 73:
            problem = each.problem(73)
        else:
            problem = each.problem(75)
            named = re.search(r"in use by process (\d+) on ", each.err)
            if not problem and (named is None or int(named[1]) != holder):
                problem = f"names another holder than {holder}: {each.err}"
        if problem:
            return problem
    return None


def contention(trial: Trial) -> None:
    """Let a reader and a writer cross at every point, then eight processes loose on one folder, again and again."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
    crossings(trial, folders, share=0.5)
    expected = folders.outcome(LONG)
    before = {}
    ways = trial.some(WAYS)
    for name, option, epochs in ways:
        if option:
            before[name] = folders.new()
            commands.run(LONG.train(before[name], "--epochs", str(epochs)), CLOCK)
    late = 0
    for turn in trial.turns(200, small=1):
        name, option, _ = ways[turn % len(ways)]
        folder = folders.new(before.get(name))
        flag = trial.folder / f"go-{turn}"
        command = LONG.train(folder, *filter(None, [option]))
        # On the real clock: whoever finds the folder locked waits for the holder's name by it.
        setup = ("await_start", str(flag))
        running = [commands.start(command, setup) for _ in range(PROCESSES)]
        flag.touch()
        ended = [each.wait() for each in running]
        late += sum(each.code == 73 for each in ended)
        problem = problem_with_losers(running, ended)
        problem = (
            problem
            or folders.left_over(folder, over=True)
            or expected.difference(Outcome.of(folder))
        )
        trial.check(problem, f"{name}, round {turn}")
        folders.discard(folder)
    trial.note(f"{late} came after the winner had ended, and were told that a run is there")


class Crossing:
    """Two commands on one folder, one of which stands still ahead of an operation while the other runs to its end."""

    def __init__(self, folders: RunFolders) -> None:
        self.folders = folders
        self.before = folders.new()
        folders.commands.run(PLAIN.train(self.before, "--seed", "8"), CLOCK)
        self.operations: dict[str, int] = {}
        for kind in ("overwrite", "predict"):
            folder = folders.new(self.before)
            self.operations[kind] = len(operations(folders.commands, self.arguments(kind, folder)))
            folders.discard(folder)
        self.either = {self.answers(self.before)}
        folder = folders.new(self.before)
        folders.commands.run(self.arguments("overwrite", folder), CLOCK)
        self.either.add(self.answers(folder))
        folders.discard(folder)

    def arguments(self, kind: str, folder: Path) -> list[str]:
        if kind == "overwrite":
            return PLAIN.train(folder, "--overwrite")
        table = str(self.folders.root / "classes.csv")
        return ["predict", str(folder / "model.safetensors"), table]

    def answers(self, folder: Path) -> str:
        return self.folders.commands.run(self.arguments("predict", folder)).out

    def problem(self, stopped: str, at: int) -> str | None:
        """What is wrong when the other command runs while this one stands still ahead of an operation."""
        commands = self.folders.commands
        folder = self.folders.new(self.before)
        standing = commands.start(self.arguments(stopped, folder), CLOCK, ("stop_at", at))
        problem = None
        reader = writer = None
        if standing.stands_still():
            if stopped == "overwrite":
                reader = commands.run(self.arguments("predict", folder))
                second = commands.run(PLAIN.train(folder, "--resume"))
                # Before it has the lock, and after, the second has the folder, and a seed that is not its run's.
                locked = LOCKING < at <= self.operations[stopped] - LOCKING
                problem = second.problem(75, *(() if locked else (0, 2)))
            else:
                writer = commands.run(self.arguments("overwrite", folder), CLOCK)
                problem = writer.problem(0)
            standing.signal(signal.SIGCONT)
        ended = standing.wait()
        if stopped == "predict":
            reader = ended
        problem = problem or ended.problem(0)
        if not problem and reader is not None:
            problem = reader.problem(0)
            if not problem and reader.out not in self.either:
                problem = "the answers are of neither run"
        self.folders.discard(folder)
        return problem


#: Operations at either end of a command within which it locks its folder and frees it, with room to spare.
LOCKING = 12


def crossings(trial: Trial, folders: RunFolders, share: float) -> None:
    """Let one command stand still ahead of each of its operations while another comes to the same folder."""
    crossing = Crossing(folders)
    cases = [
        (stopped, at)
        for stopped, count in crossing.operations.items()
        for at in range(1, count + 1)
    ]
    for stopped, at in trial.each(cases, small=3, share=share):
        trial.check(crossing.problem(stopped, at), f"{stopped} standing still at {at}")


ROWS = [
    Campaign(
        "F6",
        "several processes in one folder: a reader or a second writer at every operation of a first; eight at once "
        "that train into a new one, resume, overwrite",
        "a prediction is that of the old or of the new run; of the writers one ends with 0 and the bits of an "
        "undisturbed run, the others with 75, naming its process",
        "every operation, and 200 rounds of eight",
        2.0,
        contention,
    )
]
