"""F5: SIGINT, SIGTERM and SIGHUP, once, twice and three times."""

from __future__ import annotations

import signal
import time

from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.crash_points import PLAIN, STOPPING, Scenario, Stage
from benchmarks.reliability.kills import EPOCHS
from benchmarks.reliability.processes import Commands, Ended
from benchmarks.reliability.runs import CLOCK, RunFolders, setting

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONG = setting("adam", "classes.csv --hidden 4", EPOCHS)
SCENARIOS = (Scenario("new run", PLAIN), Scenario("new run, early stopping", STOPPING))


def problem_with_code(ended: Ended, number: int, in_time: bool = False) -> str | None:
    """What is wrong with the exit: 128 and the signal, the signal itself before there is anything to keep, or 0 after.

    A shell shows the first two as the same code. A signal that came `in_time` was not to be passed over.
    """
    return ended.problem(128 + number, -number, *(() if in_time else (0,)))


def signals(trial: Trial) -> None:
    """Send signals ahead of each file operation from within, and at random moments from without."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
    stages = [Stage(folders, scenario) for scenario in trial.some(SCENARIOS)]
    cases = [
        (stage, number, at, times)
        for stage in stages
        for number in SIGNALS
        for at in range(1, len(stage.operations) + 1)
        for times in (1, 2, 3)
    ]
    for stage, number, at, times in trial.each(cases, small=4, share=0.5):
        folder = stage.folder()
        places = [at, *(at + trial.rng.randint(0, 9) for _ in range(times - 1))]
        ended = commands.run(stage.command(folder), CLOCK, ("signal_at", places, int(number)))
        in_time = "log" in stage.operations[at:]  # an epoch was yet to end
        problem = problem_with_code(ended, number, in_time)
        if not problem and folder.exists():
            problem = folders.left_over(folder) or folders.finish(folder, stage.scenario.setting)
        where = f"{stage.scenario.name}, {number.name} ahead of operations {places}"
        trial.check(problem, where)
        folders.discard(folder)

    folders.outcome(LONG)
    seconds = -time.monotonic()
    probe = folders.new()
    commands.run(LONG.train(probe), CLOCK)
    seconds += time.monotonic()
    kept = 0
    for turn in trial.turns(2 * 200 * len(SIGNALS), small=2):
        number = SIGNALS[turn % len(SIGNALS)]
        times = 1 if turn % 2 == 0 else trial.rng.choice((2, 3))
        folder = folders.new()
        command = commands.start(LONG.train(folder), CLOCK)
        time.sleep(trial.rng.uniform(0, seconds))
        for n in range(times):
            if n:
                time.sleep(trial.rng.choice((0, 0.001, 0.01)))
            command.signal(number)
        ended = command.wait()
        problem = problem_with_code(ended, number)
        kept += ended.code == 128 + number
        if not problem and folder.exists():
            problem = folders.left_over(folder) or folders.finish(folder, LONG)
        trial.check(problem, f"{number.name} {times} times, turn {turn}")
        folders.discard(folder)
    trial.note(f"{kept} of the signals at random moments came while there was something to keep")


ROWS = [
    Campaign(
        "F5",
        "SIGINT, SIGTERM, SIGHUP, once to three times: ahead of each file operation, and at random moments",
        "exit 130, 143 or 129 (or the signal itself, before there is anything to keep; or 0, after), no traceback, no "
        "temporary left; `--resume` then ends with the bits of an undisturbed run",
        "every operation of two commands, and 200 of each signal at random, once and more often",
        3.0,
        signals,
    )
]
