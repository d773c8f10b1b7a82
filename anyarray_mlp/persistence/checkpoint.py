"""The state of a training run on disk, so that a run that was stopped can resume."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.checking.records import LARGEST, integer, model_file, table
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.persistence.container import decode, encode
from anyarray_mlp.persistence.files import atomic_write, names_in, read_file, real_path, remove

KIND = "checkpoint"
FILE_NAME = re.compile(r"checkpoint-(\d{10,})\.safetensors", re.ASCII)
POSITION = table({"step": integer()})


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run; `step` orders checkpoints (epoch or step number, not negative).

    arrays: NumPy arrays by name: weights, optimiser moments and so on.
    state: the rest as JSON (epoch, generator state, early stopping, configuration, versions, ...).
    """

    step: int
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]


def checkpoint_path(folder: str | os.PathLike[str], step: int) -> Path:
    """The path of a step's checkpoint in a folder."""
    return real_path(folder) / f"checkpoint-{step:010d}.safetensors"


def checkpoint_steps(folder: str | os.PathLike[str]) -> list[int]:
    """Steps of the checkpoints in a folder, including damaged ones, oldest first."""
    found = (FILE_NAME.fullmatch(name) for name in names_in(real_path(folder)))
    return sorted(int(match[1]) for match in found if match)


def save_checkpoint(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, *, keep: int = 2
) -> Path:
    """Write a checkpoint and, once it is verified on disk, remove all but the last `keep`.

    Checkpoints of later steps are removed too: the run went back to an earlier step and they are obsolete. Only the
    holder of the folder's lock may call this. Raises the same errors as `model_file.save`.
    """
    if keep < 2:
        raise UsageError(f"keep={keep}: keep at least 2 checkpoints, in case the newest is lost")
    if type(checkpoint.step) is not int or not 0 <= checkpoint.step <= LARGEST:
        raise UsageError(f"step={checkpoint.step!r}: give an integer of at least 0")
    path = checkpoint_path(folder, checkpoint.step)
    sections = {"state": checkpoint.state, "position": {"step": checkpoint.step}}
    content = encode(KIND, sections, checkpoint.arrays)
    atomic_write(path, content, overwrite=True, follow_links=False)
    steps = checkpoint_steps(folder)
    kept = [step for step in steps if step <= checkpoint.step][-keep:]
    for step in steps:
        if step not in kept:
            remove(checkpoint_path(folder, step))
    return path


@within_memory
def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a file. Raises the same errors as `model_file.load`."""
    source = os.fspath(path)
    content = read_file(path, follow_links=False)
    sections, arrays = decode(content, source, KIND, ("state", "position"))
    with model_file(source, "use an earlier checkpoint"):
        POSITION(sections["position"], "position")
    step = sections["position"]["step"]
    named = FILE_NAME.fullmatch(os.path.basename(source))
    if named and int(named[1]) != step:
        raise ModelFileError(
            f"{source} holds another step than its name says: use another checkpoint"
        )
    return Checkpoint(step, arrays, sections["state"])


def load_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint | None:
    """The newest undamaged checkpoint of a folder, or None if there are no checkpoints.

    Warns (RuntimeWarning) about each damaged one that it skips; raises ModelFileError if all are damaged.
    """
    failure = None
    for step in reversed(checkpoint_steps(folder)):
        try:
            return read_checkpoint(checkpoint_path(folder, step))
        except ModelFileError as error:
            failure = error
            warnings.warn(f"{error}; trying the previous checkpoint", RuntimeWarning, stacklevel=2)
    if failure is not None:
        raise ModelFileError(
            f"{folder} has no undamaged checkpoint: start the run again"
        ) from failure
    return None
