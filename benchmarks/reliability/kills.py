"""F3: SIGKILL at random moments, the run resumed until it is done."""

from __future__ import annotations

import importlib.util
import signal
import tempfile
import time
from pathlib import Path

from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.processes import Command, Commands, Ended
from benchmarks.reliability.runs import CLOCK, Outcome, RunFolders, Setting, no_run_left, setting

#: Epochs of a run: with a checkpoint after every third, some thirty of them.
EPOCHS = 90
SETTINGS = tuple(
    setting(name, text, EPOCHS // 3 if "reproducible" in name else EPOCHS, library, name != "lbfgs")
    for name, text, library in (
        ("adam", "classes.csv --hidden 4", ""),
        (
            "sgd, cosine, one row a step",
            "classes.csv --solver sgd --learning-rate cosine --batch-size 1",
            "",
        ),
        (
            "momentum, step",
            "classes.csv --solver momentum --learning-rate step --batch-size 64",
            "",
        ),
        (
            "nesterov, L2",
            "classes.csv --solver nesterov --learning-rate exponential --alpha 0.01",
            "",
        ),
        ("adamw, warm-up, clipped", "classes.csv --solver adamw --warm-up 20 --clip-norm 0.5", ""),
        (
            "plateau",
            "classes.csv --solver rmsprop --learning-rate plateau --learning-rate-init 0.05",
            "",
        ),
        ("stopping", "classes.csv --early-stopping --patience 12 --monitor accuracy", ""),
        ("dropout, two layers", "classes.csv --hidden 8,6 --dropout 0.3", ""),
        ("class weights", "unequal.csv --class-weight balanced --learning-rate invscaling", ""),
        ("regression, float32", "values.csv --loss huber --activation tanh --dtype float32", ""),
        ("reproducible", "classes.csv --reproducible --hidden 4", ""),
        ("lbfgs", "values.csv --solver lbfgs --hidden 6", ""),
        ("torch", "classes.csv --backend torch", "torch"),
        ("jax", "classes.csv --backend jax --dtype float32", "jax"),
    )
)
#: Attempts at one run before it counts as never getting on.
MOST_ATTEMPTS = 200


class Chain:
    """One run of a setting, killed and resumed until it is done; then the next one."""

    def __init__(self, folders: RunFolders, of: Setting, trial: Trial) -> None:
        self.folders, self.setting, self.trial = folders, of, trial
        self.folder = folders.new()
        folders.outcome(of)
        started = time.monotonic()
        probe = folders.new()
        folders.commands.run(of.train(probe), CLOCK)
        self.seconds = time.monotonic() - started  # of a whole run, in the server by now warm
        folders.discard(probe)
        self.attempts = self.finished = 0

    def command(self) -> Command:
        more = ("--resume",) if self.folder.exists() else ()
        return self.folders.commands.start(self.setting.train(self.folder, *more), CLOCK)

    def kill_once(self) -> str | None:
        """Run on until one kill has hit; what was wrong, or None."""
        for _ in range(MOST_ATTEMPTS):
            command = self.command()
            time.sleep(self.trial.rng.uniform(0, 1.1 * self.seconds))
            command.signal(signal.SIGKILL)
            ended = command.wait()
            self.attempts += 1
            if ended.code == -signal.SIGKILL:
                return self.settled() if not self.setting.exact else None
            if problem := self.after(ended):
                return problem
        return f"not done after {MOST_ATTEMPTS} attempts"

    def after(self, ended: Ended) -> str | None:
        """What is wrong with an attempt that ended by itself; a run that is done is compared and begun anew."""
        if no_run_left(ended):  # it was killed before there was anything to go on with
            problem = ended.problem(65, 74)
            self.folders.discard(self.folder)
            return problem
        problem = ended.problem(0) or self.folders.left_over(self.folder, over=True)
        if not problem and self.setting.exact:
            problem = self.folders.outcome(self.setting).difference(Outcome.of(self.folder))
        self.finished += 1
        self.folders.discard(self.folder)
        return problem

    def settled(self) -> str | None:
        """Where bits are not promised: two runs from what the kill left end with the same bits, every epoch told."""
        if not self.folder.exists():
            return None
        twin = self.folders.new(self.folder)
        found = []
        for folder in (self.folder, twin):
            if problem := self.folders.finish(folder, self.setting):
                return problem
            found.append(Outcome.of(folder))
        epochs = [line.split(",")[0] for line in found[0].metrics]
        expected = [f'{{"epoch": {n}' for n in range(1, len(epochs) + 1)]
        self.finished += 1
        for folder in (self.folder, twin):
            self.folders.discard(folder)
        if epochs != expected:
            return f"the metrics are of other epochs: {epochs}"
        return found[0].difference(found[1])

    def end(self) -> str | None:
        """Let the open run end undisturbed."""
        if not self.folder.exists():
            return None
        return self.folders.finish(self.folder, self.setting)


def kills(trial: Trial) -> None:
    """Kill runs of every setting in turn."""
    chains = []
    for library in ("", "torch", "jax"):
        if library and importlib.util.find_spec(library) is None:
            trial.note(f"{library} is not installed")
            continue
        if library and trial.small:
            continue  # importing it takes longer than all else
        folder = Path(tempfile.mkdtemp(dir=trial.folder))
        folders = RunFolders(Commands(folder, library) if library else Commands(folder))
        of_library = [each for each in SETTINGS if each.library == library]
        if trial.small:
            of_library = trial.rng.sample(of_library, 1)
        chains += [Chain(folders, each, trial) for each in of_library]
    for turn in trial.turns(1000, small=3):
        chain = chains[turn % len(chains)]
        trial.check(chain.kill_once(), f"{chain.setting.name}, kill {turn}")
    for chain in chains:
        trial.wanted += 1
        trial.check(chain.end(), f"{chain.setting.name}, the last run")
    finished = sum(chain.finished for chain in chains)
    trial.note(f"{len(chains)} settings; {finished} runs ended and were compared")


ROWS = [
    Campaign(
        "F3",
        "SIGKILL at random moments, resumed until done; the shipped interval between checkpoints, on a clock by which "
        "each epoch takes ten seconds",
        "every attempt goes on or says that no run had begun; in the end the model's bytes and every line of the "
        "metrics are those of an undisturbed run (lbfgs: of a twin resumed from the same files)",
        "1,000 kills over 14 settings",
        4.0,
        kills,
    )
]
