"""The state of a training run on disk, so that a run that was stopped goes on where it was."""

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
    """Where a run is: `step` orders checkpoints (epoch or step number, not negative).

    arrays: weights, optimiser moments and the like, NumPy arrays by name.
    state: the rest as JSON (epoch, generator state, early stopping, configuration, versions, ...).
    """

    step: int
    arrays: dict[str, np.ndarray]
    state: dict[str, Any]


def checkpoint_path(folder: str | os.PathLike[str], step: int) -> Path:
    """Where the checkpoint of a step lies in a folder."""
    return real_path(folder) / f"checkpoint-{step:010d}.safetensors"


def checkpoint_steps(folder: str | os.PathLike[str]) -> list[int]:
    """Steps of the checkpoints in a folder, whole or not, oldest first."""
    found = (FILE_NAME.fullmatch(name) for name in names_in(real_path(folder)))
    return sorted(int(match[1]) for match in found if match)


def save_checkpoint(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, *, keep: int = 2
) -> Path:
    """Write a checkpoint and, once it is verified on the disk, remove all but the last `keep`.

    Checkpoints of later steps are removed too: they belong to a past that the run went back on.
    Only the holder of the folder's lock may call this. Raises as `save` of a model file does.
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
    """The checkpoint in one file. Raises as `load` of a model file does."""
    source = os.fspath(path)
    content = read_file(path, follow_links=False)
    sections, arrays = decode(content, source, KIND, ("state", "position"))
    with model_file(source, "use an earlier checkpoint"):
        POSITION(sections["position"], "position")
    step = sections["position"]["step"]
    named = FILE_NAME.fullmatch(os.path.basename(source))
    if named and int(named[1]) != step:
        raise ModelFileError(f"{source} does not hold the step of its name: use another checkpoint")
    return Checkpoint(step, arrays, sections["state"])


def load_checkpoint(folder: str | os.PathLike[str]) -> Checkpoint | None:
    """The newest checkpoint of a folder that is whole, or None where there is none at all.

    Warns (RuntimeWarning) of each damaged one that it passes over; raises ModelFileError where
    all are damaged.
    """
    failure = None
    for step in reversed(checkpoint_steps(folder)):
        try:
            return read_checkpoint(checkpoint_path(folder, step))
        except ModelFileError as error:
            failure = error
            warnings.warn(f"{error}; trying the checkpoint before it", RuntimeWarning, stacklevel=2)
    if failure is not None:
        raise ModelFileError(f"{folder} has no whole checkpoint: start the run anew") from failure
    return None
