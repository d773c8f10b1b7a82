"""The folder of a training run: its model, a line of metrics per epoch, its configuration."""

from __future__ import annotations

import contextlib
import json
import os
import re
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
    HOLDER_NAME,
    LOCK_NAME,
    DirectoryLock,
    append,
    atomic_write,
    exists,
    flush,
    make_folder,
    names_in,
    read_file,
    real_path,
    remove,
    remove_stale_temporaries,
)
from anyarray_mlp.persistence.model_file import ModelFile, load, save
from anyarray_mlp.persistence.plain_json import plain
from anyarray_mlp.persistence.toml_writer import to_toml

MODEL_NAME = "model.safetensors"
METRICS_NAME = "metrics.jsonl"
CONFIG_NAME = "config.toml"
DIAGNOSIS_NAME = "diagnosis.json"
#: A key of so many parts takes `tomllib` a time that grows with their square; no configuration has one.
LONG_KEY = re.compile(r"""(?<!["'\w-])(?:["'\w-]++[ \t]*+\.[ \t]*+){32}""")
#: What a run leaves beside its model and its checkpoints.
RECORD_NAMES = (METRICS_NAME, CONFIG_NAME, DIAGNOSIS_NAME)


class RunFolder:
    """A run's folder. `RunFolder(path)` reads; `create` and `resume` lock it to write.

    with RunFolder.create("runs/digits") as run:
        run.write_config({"hidden_layer_sizes": [64]})
        run.log({"epoch": 1, "loss": 0.3})
        run.save_model(model_file)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = real_path(path)
        self.lock: DirectoryLock | None = None
        self.is_new = False

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, overwrite: bool = False) -> RunFolder:
        """Start a run: make the folder, lock it, and clear what an earlier run told and its checkpoints.

        A model that is there stays until `save_model` replaces it. Raises OutputExistsError where
        a model or checkpoint is there and `overwrite` is false, or files of these names that no run
        made, LockedError where another process writes there, StorageError where the system refuses.
        """
        run = cls(path)
        run.is_new = not exists(run.path)
        make_folder(run.path)
        foreign = [name for name in (*RECORD_NAMES, MODEL_NAME) if exists(run.path / name)]
        if foreign and not run.holds_a_run():
            raise OutputExistsError(
                f"{run.path} holds {foreign[0]}, which no run of this program made: give another --out, or move "
                "that file away"
            )
        try:
            run.acquire()
            steps = checkpoint_steps(run.path)
            if not overwrite and (steps or exists(run.model_path)):
                raise OutputExistsError(
                    f"{run.path} holds a run already: give --overwrite to replace it, --resume to "
                    "go on with it, or another --out"
                )
            for name in RECORD_NAMES:
                remove(run.path / name)
            for step in steps:
                remove(checkpoint_path(run.path, step))
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Go on with a run: lock its folder and drop the line that a crash may have left torn.

        Raises StorageError where there is no such folder or no run in it, LockedError where it is in use.
        """
        run = cls(path)
        if not exists(run.path):
            raise StorageError(f"{run.path} is not there: name the folder of a run to resume")
        if not run.holds_a_run():
            raise StorageError(f"{run.path} holds no run to resume: name the folder of one")
        try:
            run.acquire()
            run.rewind_metrics(len(run.read_metrics()))
        except BaseException:
            run.close()
            raise
        return run

    def holds_a_run(self) -> bool:
        """Whether a run made what is here: its lock, a checkpoint or a model tell."""
        if exists(self.path / LOCK_NAME) or checkpoint_steps(self.path):
            return True
        try:
            self.load_model()
        except (ModelFileError, StorageError):
            return False
        return True

    @property
    def model_path(self) -> Path:
        return self.path / MODEL_NAME

    @property
    def metrics_path(self) -> Path:
        return self.path / METRICS_NAME

    @property
    def config_path(self) -> Path:
        return self.path / CONFIG_NAME

    def log(self, record: dict[str, Any]) -> None:
        """Append one line of JSON to the metrics; NaN and infinity become null."""
        self.require_lock()
        line = json.dumps(plain(record, "record", null_for_nonfinite=True)) + "\n"
        append(self.metrics_path, line.encode("ascii"))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Records that were logged; a last line without its end was torn by a crash and dropped.

        Raises DataError, naming file and line, for a line that is no JSON table.
        """
        if not exists(self.metrics_path):
            return []
        records = []
        *lines, _ = read_file(self.metrics_path).tobytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise DataError(
                    f"{self.metrics_path}, line {number} is no JSON table: mend or remove the line"
                )
            records.append(record)
        return records

    def rewind_metrics(self, count: int) -> None:
        """Keep the first `count` records: those up to the checkpoint that a run resumes from."""
        self.require_lock()
        if exists(self.metrics_path):
            lines = read_file(self.metrics_path).tobytes().split(b"\n")[:-1]
            kept = b"".join(line + b"\n" for line in lines[:count])
            atomic_write(self.metrics_path, kept, overwrite=True)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the configuration as TOML; keys whose value is None are left out."""
        self.require_lock()
        atomic_write(self.config_path, to_toml(config).encode(), overwrite=True)

    def read_config(self) -> dict[str, Any]:
        """The configuration. Raises DataError where it is no TOML."""
        try:
            text = read_file(self.config_path).tobytes().decode()
            if LONG_KEY.search(text):
                raise ValueError("a key has too many parts")
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{self.config_path} is no TOML: {reason}; mend the line") from None

    def save_model(self, model_file: ModelFile) -> None:
        """Write the model, replacing an earlier one whole. Raises as `save` does."""
        self.require_lock()
        flush(self.metrics_path)
        save(self.model_path, model_file)

    def load_model(self) -> ModelFile:
        """The model. Raises as `load` does."""
        return load(self.model_path)

    def save_checkpoint(self, checkpoint: Checkpoint, *, keep: int = 2) -> None:
        """Write the state of the run and remove all but the last `keep` checkpoints."""
        self.require_lock()
        flush(self.metrics_path)  # no checkpoint is ahead of its metrics
        save_checkpoint(self.path, checkpoint, keep=keep)

    def load_checkpoint(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None where there is none. Raises as the function does."""
        return load_checkpoint(self.path)

    def acquire(self) -> None:
        """Lock the folder and clear what killed writers left."""
        lock = DirectoryLock(self.path)
        lock.acquire()
        self.lock = lock
        remove_stale_temporaries(self.path)

    def require_lock(self) -> None:
        if self.lock is None:
            raise UsageError(f"{self.path} is open for reading: use RunFolder.create or .resume")

    def discard_unless_begun(self) -> None:
        """Remove a folder that this run made and left before its first epoch, with the configuration in it."""
        left = set(names_in(self.path)) - {LOCK_NAME, HOLDER_NAME, CONFIG_NAME}
        if self.lock is None or not self.is_new or left:
            return
        with contextlib.suppress(OSError):
            remove(self.config_path)
            self.close()
            remove(self.path / LOCK_NAME)
            self.path.rmdir()

    def close(self) -> None:
        """Free the folder for other processes."""
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
