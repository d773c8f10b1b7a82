"""The folder of a training run: its model, a line of metrics per epoch, its configuration.

A run that is started in the folder of another run is first written to a folder within it, `.new-run`, and replaces
the other once it has results. To do so, `.new-run` is renamed to `.whole-run` in one step: as long as `.whole-run`
exists, it is the run, and the files around it, which are replaced one by one, do not count. So at any moment there is
exactly one complete run, the old one or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import tomllib
from pathlib import Path
from types import TracebackType
from typing import Any

from anyarray_mlp.errors import (
    DataError,
    ModelFileError,
    OutputExistsError,
    StorageError,
    UsageError,
)
from anyarray_mlp.persistence.checkpoint import (
    Checkpoint,
    checkpoint_path,
    checkpoint_steps,
    load_checkpoint,
    save_checkpoint,
)
from anyarray_mlp.persistence.files import (
    append,
    atomic_write,
    exists,
    flush,
    is_folder,
    is_link,
    make_folder,
    move,
    read_file,
    real_path,
    remove,
    remove_empty_folder,
    remove_folder,
    remove_stale_temporaries,
    signals_held,
)
from anyarray_mlp.persistence.locks import DirectoryLock
from anyarray_mlp.persistence.model_file import ModelFile, load, save
from anyarray_mlp.persistence.plain_json import plain
from anyarray_mlp.persistence.toml_writer import to_toml

MODEL_NAME = "model.safetensors"
METRICS_NAME = "metrics.jsonl"
CONFIG_NAME = "config.toml"
DIAGNOSIS_NAME = "diagnosis.json"
REPORT_NAME = "report.html"
CROSS_VALIDATION_NAME = "cross_validation.json"
#: A key of this many parts or more: `tomllib`'s time grows with their square, and no configuration has such a key.
LONG_KEY = re.compile(r"""(?<!["'\w-])(?:["'\w-]++[ \t]*+\.[ \t]*+){32}""")
#: What a run leaves besides its model and its checkpoints.
RECORD_NAMES = (METRICS_NAME, CONFIG_NAME, DIAGNOSIS_NAME, REPORT_NAME, CROSS_VALIDATION_NAME)
#: The folders of a run until it replaces an older one, and while it does so.
NEW_NAME = ".new-run"
WHOLE_NAME = ".whole-run"
#: The first line of every configuration: it distinguishes a run's file from others of that name.
CONFIG_HEADER = (
    "# What this run of anyarray-mlp was started with: it cannot change when the run goes on.\n"
)


def home_of(folder: Path) -> Path:
    """The folder that holds the run's files: `folder`, or one within it while the run is replacing another."""
    whole = folder / WHOLE_NAME
    return whole if is_folder(whole) else folder


def files_of_run(folder: Path) -> list[Path]:
    """The files of a run in a folder, including links."""
    names = [name for name in (MODEL_NAME, *RECORD_NAMES) if exists(folder / name)]
    paths = [folder / name for name in names]
    return paths + [checkpoint_path(folder, step) for step in checkpoint_steps(folder)]


def holds_results(folder: Path) -> bool:
    """Whether a run left something worth keeping: a model or a checkpoint."""
    return exists(folder / MODEL_NAME) or bool(checkpoint_steps(folder))


def model_in(path: str | os.PathLike[str]) -> Path:
    """The path of the model in a run's folder; `StorageError` if the run has none."""
    run = RunFolder(path)
    if exists(run.model_path) or not run.holds_a_run():
        return run.model_path
    named = shlex.quote(os.fspath(path))
    if checkpoint_steps(run.home):
        command = f"anyarray-mlp train --resume --out {named}"
        reason = f"its training was interrupted: resume it ({command})"
    elif exists(run.home / DIAGNOSIS_NAME):
        command = f"anyarray-mlp diagnose {named}"
        reason = f"its training learned nothing: {command} says why; train it again"
    else:
        reason = "its training ended before it had learned anything: train it again"
    raise StorageError(f"{run.path} holds a run without a model, as {reason}")


class RunFolder:
    """A run's folder. `RunFolder(path)` reads it; `create` and `resume` lock it for writing.

    with RunFolder.create("runs/digits") as run:
        run.write_config({"hidden_layer_sizes": [64]})
        run.log({"epoch": 1, "loss": 0.3})
        run.save_model(model_file)
        run.take_over()

    Links within the folder are not followed: what is written replaces a link.

    Attributes
    ----------
    path : the folder.
    home : the folder with the files of this run: `path`, or a folder within it as long as an older run is there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = real_path(path)
        self.home = home_of(self.path)
        self.lock: DirectoryLock | None = None
        self.is_new = False

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, overwrite: bool = False) -> RunFolder:
        """Start a run: create the folder and lock it. An older run in it stays until `take_over`.

        Raises OutputExistsError if the folder holds a model or checkpoint and `overwrite` is false, or holds files
        with the names of a run's files that no run wrote; LockedError if another process writes there; StorageError
        if the system refuses.
        """
        run = cls(path)
        run.is_new = not exists(run.path)
        make_folder(run.path)
        try:
            run.acquire()
            foreign = [file.name for file in files_of_run(run.path)]
            if foreign and not run.holds_a_run():
                raise OutputExistsError(
                    f"{run.path} holds {foreign[0]}, which no run of this program wrote: "
                    "give another --out, or move that file away"
                )
            kept, begun = holds_results(run.path), run.path / NEW_NAME
            if (kept or is_folder(begun)) and not overwrite:
                raise OutputExistsError(
                    f"{run.path} already holds a run: give --overwrite to replace it, "
                    "--resume to continue it, or another --out"
                )
            if exists(begun):
                remove_folder(begun) if is_folder(begun) else remove(begun)
            if kept:
                make_folder(begun)
                run.home = begun
            else:
                for file in files_of_run(run.path):
                    remove(file)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Resume the run that was started last in a folder: lock it.

        Raises StorageError if there is no such folder, no run in it, or a link among its files; LockedError if it is
        in use.
        """
        run = cls(path)
        if not exists(run.path):
            raise StorageError(f"{run.path} does not exist: give the folder of a run to resume")
        if not is_folder(run.path):
            raise StorageError(f"{run.path} is a file: give the folder of a run to resume")
        try:
            run.acquire()
            if exists(run.path / NEW_NAME / CONFIG_NAME):
                run.home = run.path / NEW_NAME
            for file in (run.home, *files_of_run(run.home)):
                if is_link(file):
                    raise StorageError(
                        f"{file} is a link, and links are not followed when a run resumes: put the file itself there"
                    )
            remove_stale_temporaries(run.home)
            if not run.holds_a_run():
                raise StorageError(f"{run.path} holds no run to resume: give the folder of a run")
        except BaseException:
            run.close()
            raise
        return run

    def holds_a_run(self) -> bool:
        """Whether a run wrote this folder, judged by its configuration, a checkpoint or a model."""
        if checkpoint_steps(self.home):
            return True
        with contextlib.suppress(ModelFileError, StorageError):
            content = read_file(self.config_path, follow_links=False)
            if content.tobytes().startswith(CONFIG_HEADER.encode()):
                return True
        with contextlib.suppress(ModelFileError, StorageError):
            self.load_model()
            return True
        return False

    @property
    def replaces(self) -> bool:
        """Whether the folder still holds an older run that this one will replace."""
        return self.home != self.path

    def take_over(self) -> None:
        """Replace the older run in the folder with this one, if there is one."""
        self.require_lock()
        if self.replaces:
            with signals_held():
                flush(self.metrics_path)
                move(self.home, self.path / WHOLE_NAME)
                self.settle()
            self.home = self.path

    def settle(self) -> None:
        """Move the files of a run that has taken over to their final place, also after a crash."""
        whole = self.path / WHOLE_NAME
        if not is_folder(whole):
            remove(whole)
            return
        files = files_of_run(whole)
        for file in files_of_run(self.path):
            if whole / file.name not in files:
                remove(file)
        for file in files:
            content = read_file(file, follow_links=False).tobytes()
            atomic_write(self.path / file.name, content, overwrite=True, follow_links=False)
        remove_folder(whole)

    @property
    def model_path(self) -> Path:
        """Where the model file is."""
        return self.home / MODEL_NAME

    @property
    def metrics_path(self) -> Path:
        """Where `metrics.jsonl` is."""
        return self.home / METRICS_NAME

    @property
    def config_path(self) -> Path:
        """Where `config.toml` is."""
        return self.home / CONFIG_NAME

    def log(self, record: dict[str, Any]) -> None:
        """Append a line of JSON to the metrics; NaN and infinity become null."""
        self.require_lock()
        line = json.dumps(plain(record, "record", null_for_nonfinite=True)) + "\n"
        append(self.metrics_path, line.encode("ascii"))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The logged records; an incomplete last line was cut off by a crash and is dropped.

        Raises DataError, which names file and line, for a line that is not a JSON table.
        """
        if not exists(self.metrics_path):
            return []
        *lines, _ = read_file(self.metrics_path).tobytes().split(b"\n")
        return [self.metrics_record(line, number) for number, line in enumerate(lines, start=1)]

    def metrics_record(self, line: bytes, number: int) -> dict[str, Any]:
        """The record of a line; DataError, which names file and line, if it is not a JSON table."""
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise DataError(
                f"{self.metrics_path}, line {number} is not a JSON table: fix the line, or move the file away"
            )
        return record

    def rewind_metrics(self, epoch: int) -> int:
        """Keep the records up to the epoch of the checkpoint from which a run resumes; returns the last one.

        What comes after is dropped unread: a crash may have damaged it. If a record has no "epoch", its line number
        counts. Raises DataError for a damaged line before that epoch.
        """
        self.require_lock()
        kept: list[bytes] = []
        last = 0
        if exists(self.metrics_path):
            content = read_file(self.metrics_path, follow_links=False).tobytes()
            for number, line in enumerate(content.split(b"\n")[:-1], start=1):
                if last >= epoch:
                    break
                told = self.metrics_record(line, number).get("epoch", number)
                if type(told) is not int or not last < told <= epoch:
                    raise DataError(
                        f"{self.metrics_path}, line {number} is not of the epoch after {last}: "
                        "fix the line, or move the file away"
                    )
                kept.append(line + b"\n")
                last = told
            atomic_write(self.metrics_path, b"".join(kept), overwrite=True, follow_links=False)
        return last

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the configuration as TOML; keys whose value is None are left out."""
        self.require_lock()
        text = CONFIG_HEADER + to_toml(config)
        atomic_write(self.config_path, text.encode(), overwrite=True, follow_links=False)

    def read_config(self) -> dict[str, Any]:
        """The configuration. Raises DataError if it is not TOML."""
        try:
            text = read_file(self.config_path).tobytes().decode()
            if LONG_KEY.search(text):
                raise ValueError("a key has too many parts")
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{self.config_path} is not TOML: {reason}; fix the line") from None

    def save_model(self, model_file: ModelFile) -> None:
        """Write the model, replacing an earlier one as a whole. Raises the same errors as `save`."""
        self.require_lock()
        flush(self.metrics_path)
        save(self.model_path, model_file, follow_links=False)

    def load_model(self) -> ModelFile:
        """The model. Raises the same errors as `load`."""
        return load(self.model_path)

    def save_checkpoint(self, checkpoint: Checkpoint, *, keep: int = 2) -> None:
        """Write the state of the run and remove all but the last `keep` checkpoints."""
        self.require_lock()
        flush(self.metrics_path)  # so that no checkpoint is ahead of its metrics
        save_checkpoint(self.home, checkpoint, keep=keep)

    def load_checkpoint(self) -> Checkpoint | None:
        """The newest undamaged checkpoint, or None if there are none. Raises the same errors as the function."""
        return load_checkpoint(self.home)

    def acquire(self) -> None:
        """Lock the folder and remove what killed writers left."""
        lock = DirectoryLock(self.path)
        lock.acquire()
        self.lock = lock
        remove_stale_temporaries(self.path)
        self.settle()
        self.home = self.path

    def require_lock(self) -> None:
        """UsageError unless this process holds the folder's lock."""
        if self.lock is None:
            raise UsageError(f"{self.path} is open for reading: use RunFolder.create or .resume")

    def discard_unless_begun(self) -> None:
        """Remove what this run wrote if it ended before its first epoch: its folder and configuration."""
        if self.lock is None:
            return
        left = {file.name for file in files_of_run(self.home)}
        with contextlib.suppress(OSError):
            if self.replaces and not holds_results(self.home):
                remove_folder(self.home)
                self.home = self.path
            elif self.is_new and left <= {CONFIG_NAME}:
                remove(self.config_path)
                self.close()
                remove_empty_folder(self.path)

    def close(self) -> None:
        """Release the folder for other processes."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
