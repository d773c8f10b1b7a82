"""F16: memory that runs out, by RLIMIT_AS and by a control group."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.reliability.campaign import Campaign, Trial
from benchmarks.reliability.processes import Commands
from benchmarks.reliability.runs import CLOCK, RunFolders, setting

MIB = 1 << 20
WIDE = setting("wide", "classes.csv --hidden 500,500", 6)
HALF = ("--epochs", "3")
#: MiB of address space beyond what the process has when it starts: from far too few to enough.
LIMITS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    12,
    14,
    16,
    18,
    20,
    24,
    28,
    32,
    36,
    40,
    48,
    56,
    64,
    80,
    96,
    128,
    256,
    512,
    1024,
)
ROWS_OF_TABLE = 200_000
GROUPS = Path("/sys/fs/cgroup")


def out_of_memory(trial: Trial) -> None:
    """Starve a run that resumes, one that reads a large table, and a prediction."""
    commands = Commands(trial.folder)
    folders = RunFolders(commands)
    begun = folders.new()
    commands.run(WIDE.train(begun, *HALF), CLOCK)
    expected = folders.outcome(WIDE)
    model = (begun / "model.safetensors").read_bytes()
    limits = [(name, most) for most in LIMITS for name in ("resume", "read", "predict")]
    table = trial.folder / "large.csv"
    enough = 0
    for name, most in trial.each(limits, small=3, share=0.6):
        folder = folders.new(begun) if name == "resume" else folders.new()
        if not table.exists() and name != "resume":
            write_large(table, ROWS_OF_TABLE // (40 if trial.small else 1))
        of_name: dict[str, list[str | Path]] = {
            "resume": [*WIDE.train(folder, "--resume")],
            "read": ["train", table, "--epochs", "1", "--quiet", "--no-diagnose", "--out", folder],
            "predict": ["predict", begun / "model.safetensors", "classes.csv", "--out", folder.with_suffix(".csv")],
        }  # fmt: skip
        ended = commands.run(of_name[name], CLOCK, ("limit_memory", most * MIB))
        enough += ended.code == 0
        problem = ended.problem(71, 0)
        if not problem and name == "resume":
            if ended.code and (folder / "model.safetensors").read_bytes() != model:
                problem = "the model that was there was changed"
            problem = problem or folders.left_over(folder) or folders.finish(folder, WIDE)
        elif not problem and ended.code and folder.exists():
            problem = folders.left_over(folder)
        trial.check(problem, f"{name} with {most} MiB more")
        folders.discard(folder)
    trial.note(f"{enough} of {trial.count} had enough")

    try:
        with control_group() as group:
            killed = 0
            for most in trial.each([2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256], small=1):
                folder = folders.new(begun)
                (group / LIMIT_FILES[group_version()]).write_text(str(most * MIB))
                ended = commands.run(
                    WIDE.train(folder, "--resume"), CLOCK, ("join_group", str(group))
                )
                killed += ended.code == -signal.SIGKILL
                problem = ended.problem(0, 71, -signal.SIGKILL) or folders.finish(folder, WIDE)
                trial.check(problem, f"a control group of {most} MiB")
                folders.discard(folder)
            trial.note(
                f"{killed} were killed by the control group's limit, and resumed to the same bits"
            )
    except OSError as error:
        trial.note(f"no control group: {error}")
    assert expected.metrics


def write_large(path: Path, rows: int) -> None:
    """A table of numbers that takes far more memory than the command itself."""
    with path.open("w") as stream:
        stream.write("a,b,c,d,y\n")
        for n in range(rows):
            stream.write(f"{n % 97 / 97:.5f},{n % 89 / 89:.5f},{n % 83},{n % 7 / 7:.5f},{n % 2}\n")


LIMIT_FILES = {1: "memory.limit_in_bytes", 2: "memory.max"}


def group_version() -> int:
    """The version of Linux's control groups that limits memory here."""
    return 1 if (GROUPS / "memory").is_dir() else 2


@contextlib.contextmanager
def control_group() -> Iterator[Path]:
    """A control group of our own. Raises OSError where none can be made."""
    parent = GROUPS / "memory" if group_version() == 1 else GROUPS
    group = parent / f"anyarray-mlp-{os.getpid()}"
    group.mkdir()
    try:
        if not (group / LIMIT_FILES[group_version()]).exists():
            raise OSError(f"{group} has no limit of memory")
        yield group
    finally:
        for _ in range(100):  # the kernel takes a moment to see that its last process is gone
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


ROWS = [
    Campaign(
        "F16",
        "memory that runs out: RLIMIT_AS from 1 MiB to 1 GiB in training, reading and predicting; a control group",
        "exit 71 with one line, or success; the model that was there and the checkpoint kept, no temporary left, and "
        "the run ends with the bits of an undisturbed one (also where the kernel killed it)",
        "28 limits of three commands, and 12 control groups",
        1.0,
        out_of_memory,
    )
]
