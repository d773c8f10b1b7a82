"""F6: eight processes want one folder at once."""

from __future__ import annotations

import re

from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.processes import Command, Commands, Ended
from benchmarks.reliability.runs import CLOCK, Outcome, RunFolders, setting

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
    """Let eight processes loose on one folder, again and again."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
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
        problem = problem or folders.left_over(folder) or expected.difference(Outcome.of(folder))
        trial.check(problem, f"{name}, round {turn}")
        folders.discard(folder)
    trial.note(f"{late} came after the winner had ended, and were told that a run is there")


ROWS = [
    Campaign(
        "F6",
        "eight processes train into one folder at once: a new one, resumed, overwritten",
        "one ends with 0 and the bits of an undisturbed run; the others with 75, naming its process",
        "200 rounds of eight",
        2.0,
        contention,
    )
]
