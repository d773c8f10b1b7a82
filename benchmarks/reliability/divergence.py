"""F15: training that diverges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.persistence import load
from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.processes import Commands
from benchmarks.reliability.runs import CLOCK, RunFolders, setting

SOLVERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop")
#: Ways to diverge: the table and arguments.
WAYS = (
    ("rate 1e6", "values.csv --learning-rate-init 1e6 --no-scale-target"),
    ("rate 1e300", "values.csv --learning-rate-init 1e300"),
    ("huge row", "huge.csv --no-standardize --no-scale-target --learning-rate-init 0.1"),
    ("rate 1e30, two layers", "values.csv --hidden 8,8 --activation identity --learning-rate-init 1e30"),
    ("rate 1e12, float32", "values.csv --dtype float32 --learning-rate-init 1e12 --hidden 4,4 --activation softplus"),
)  # fmt: skip
SOUND = setting("sound", "values.csv --hidden 4", 10)


def divergence(trial: Trial) -> None:
    """Let each solver diverge in each way: in a new folder, over a good run, and in a run that goes on."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
    lines = (trial.folder / "values.csv").read_text().splitlines()
    lines[30] = "1e200,-1e200,red,1e150"
    (trial.folder / "huge.csv").write_text("\n".join(lines) + "\n")
    good = folders.new()
    commands.run(SOUND.train(good), CLOCK)
    cases = [(way, solver, over) for way in WAYS for solver in SOLVERS for over in (False, True)]
    diverged = 0
    for (name, text), solver, over in trial.each(cases, small=4):
        how = setting(name, f"{text} --solver {solver}", 8)
        folder = folders.new(good if over else None)
        ended = commands.run(how.train(folder, *(["--overwrite"] if over else [])), CLOCK)
        diverged += ended.code == 3
        problem = ended.problem(3, 0)
        if not problem and ended.code == 3:
            problem = problem_with(folder, ended.err, good if over else None)
        elif not problem:
            problem = problem_with_sound(folder)  # the rate did not make this solver diverge
        trial.check(problem, f"{name}, {solver}{', over a good run' if over else ''}")
        folders.discard(folder)
    trial.note(f"{diverged} of {trial.count} runs diverged; the others ended with a usable model")


def problem_with_sound(folder: Path) -> str | None:
    """What is wrong with what a run left that says it ended well."""
    arrays = load(folder / "model.safetensors").arrays
    if not all(np.isfinite(array).all() for array in arrays.values()):
        return "its weights are not finite, and it ended with 0"
    if any(record["loss"] is None for record in records_in(folder)):
        return "a loss was not finite, and it ended with 0"
    return None


def records_in(folder: Path) -> list[dict[str, Any]]:
    """The lines of the metrics."""
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def problem_with(folder: Path, said: str, good: Path | None) -> str | None:
    """What is wrong after a run diverged."""
    if not any(word in said for word in ("learning-rate-init", "standardi", "clip-norm")):
        return f"does not say what to lower: {said}"
    model = folder / "model.safetensors"
    kept = model.read_bytes() if model.exists() else b""
    if good is not None and kept != (good / "model.safetensors").read_bytes():
        return "the good model that was there was replaced"
    records = records_in(folder)
    if any(record["loss"] is None for record in records):
        return "an epoch without a finite loss was told as if it had ended"
    if not records and good is None and kept:
        return "a run that learned nothing left a model"
    return None


ROWS = [
    Campaign(
        "F15",
        "divergence: rates of 1e6 and more, one huge row, with every solver; in a new folder and over a good run",
        "exit 3 with one line that says what to lower, no epoch told that was not finite, the good model kept, and no "
        "model of a run that learned nothing",
        "every solver, way and place",
        1.0,
        divergence,
    )
]
