"""F4: the system refuses a file operation, or takes only part of a write."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.crash_points import HALF, PLAIN, Scenario, Stage
from benchmarks.reliability.processes import Commands, Ended, Setup
from benchmarks.reliability.runs import CLOCK, RunFolders

ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES)
SCENARIOS = (
    Scenario("new run", PLAIN),
    Scenario("resume", PLAIN, HALF, "--resume"),
    Scenario("overwrite", PLAIN, ("--seed", "8"), "--overwrite"),
)
#: Operations whose failure may be passed over: what they would have done is done by the next command.
HARMLESS = ("unlink", "close", "fsync_dir")


#: Operations that remove: where they fail, what they should have removed is left to the next command.
REMOVING = ("unlink", "remove_directory")


def problem_after(stage: Stage, folder: Path, ended: Ended, operation: str = "") -> str | None:
    """What is wrong after a refusal: exit code and line, the old model and no temporary, and that it can go on."""
    codes = (74, 0) if operation in HARMLESS or not operation else (74,)
    if problem := ended.problem(*codes):
        return problem
    if folder.exists():
        stray = [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]
        if stray and operation not in REMOVING:
            return f"left over: {stray}"
        model = folder / "model.safetensors"
        if stage.before is not None and not model.exists():
            return "the model that was there is gone"
        if model.exists() and model.read_bytes() not in (stage.old_model, stage.new_model):
            return "the model is neither the old nor the new one"
    if ended.code == 0:
        return stage.folders.left_over(folder)
    return stage.folders.finish(folder, stage.scenario.setting, stage.scenario.option)


def refusals(trial: Trial) -> None:
    """Refuse every operation of every command with every error; then let real limits do it."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
    stages = [Stage(folders, scenario) for scenario in trial.some(SCENARIOS)]
    cases = [
        (stage, at, code)
        for stage in stages
        for at in range(1, len(stage.operations) + 1)
        for code in ERRORS
    ]
    real = [case for stage in stages for case in real_limits(trial, stage)]
    for stage, name, setup, mount in trial.each(real, small=3, share=0.3):
        with place_for(stage, mount) as folder:
            ended = commands.run(stage.command(folder), CLOCK, *setup)
            unlimited = "short writes" in name
            problem = ended.problem(0) if unlimited else problem_after_limit(stage, folder, ended)
            trial.check(problem, f"{stage.scenario.name}, {name}")
    for stage, at, code in trial.each(cases, small=3):
        folder = stage.folder()
        ended = commands.run(stage.command(folder), CLOCK, ("fail_at", at, code))
        operation = stage.operations[at - 1]
        problem = problem_after(stage, folder, ended, operation)
        trial.check(
            problem, f"{stage.scenario.name}, {errno.errorcode[code]} at {at} ({operation})"
        )
        folders.discard(folder)


def problem_after_limit(stage: Stage, folder: Path, ended: Ended) -> str | None:
    """As `problem_after`; what is left is taken to a place without the limit to go on."""
    moved = stage.folders.new(folder) if folder.exists() else stage.folders.new()
    try:
        return problem_after(stage, moved, ended)
    finally:
        stage.folders.discard(moved)


Real = tuple[Stage, str, tuple[Setup, ...], str]


def real_limits(trial: Trial, stage: Stage) -> Iterator[Real]:
    """Limits of the system itself: (stage, name, setup, options of a file system to mount or "")."""
    for most in (1, 50, 99):
        yield stage, f"short writes of {most}", (("write_short", most),), ""
    for most in (
        900,
        1500,
        2000,
        3000,
        5000,
    ):  # room for the line of the error, which is a file here
        yield stage, f"RLIMIT_FSIZE {most}", (("limit_file_size", most),), ""
    for at in range(1, len(stage.operations), 7):
        yield (
            stage,
            f"a disk that is full from operation {at} on",
            (("fail_from", at, errno.ENOSPC),),
            "",
        )
    if os.geteuid() == 0:
        yield stage, "a folder of another user", (("become_nobody",),), ""
        if not can_mount():
            trial.note("no tmpfs may be mounted here: no disk was really full or read-only")
            return
        for pages in range(1, 8):
            yield (
                stage,
                f"a disk with {4 * pages} KiB left",
                (),
                f"size={4 * (pages + pages_of(stage))}k",
            )
        yield stage, "a read-only disk", (), "ro"
    else:
        trial.note("not root: no disk was really full or read-only")


@contextlib.contextmanager
def place_for(stage: Stage, mount: str) -> Iterator[Path]:
    """A folder as it is before the command, on a file system of its own where options for one are given."""
    if not mount:
        folder = stage.folder()
        yield folder
        stage.folders.discard(folder)
        return
    point = stage.folders.new()
    point.mkdir()
    run = ["mount", "-t", "tmpfs", "-o", "size=1m" if mount == "ro" else mount, "none", str(point)]
    subprocess.run(run, check=True)
    try:
        if stage.before is not None:
            for path in stage.before.iterdir():
                (point / path.name).write_bytes(path.read_bytes())
        if mount == "ro":
            subprocess.run(["mount", "-o", "remount,ro", str(point)], check=True)
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


def pages_of(stage: Stage) -> int:
    """Pages of 4 KiB that the folder takes as it is before the command."""
    files = () if stage.before is None else stage.before.iterdir()
    return sum(-(-path.stat().st_size // 4096) for path in files)


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    import tempfile

    with tempfile.TemporaryDirectory() as point:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "none", point],
            capture_output=True,
            check=False,
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", point], check=True)
        return mounted.returncode == 0


ROWS = [
    Campaign(
        "F4",
        "ENOSPC, EFBIG, EIO, EROFS, EACCES and short writes; RLIMIT_FSIZE, full and read-only disks",
        "exit 74 and one line (0 where the step may be left out), the model the old or the new one, no temporary; the "
        "command then succeeds, to the bit, once the fault is gone",
        "every operation of three commands with each of five errors, and real limits",
        3.0,
        refusals,
    )
]
