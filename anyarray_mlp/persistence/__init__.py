"""What a run writes to disk: model files, checkpoints and the run's folder."""

from __future__ import annotations

from anyarray_mlp.persistence.checkpoint import (
    Checkpoint,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from anyarray_mlp.persistence.files import atomic_write
from anyarray_mlp.persistence.locks import DirectoryLock
from anyarray_mlp.persistence.model_file import ModelFile, load, save
from anyarray_mlp.persistence.run_folder import DIAGNOSIS_NAME, RunFolder, home_of, model_in
from anyarray_mlp.persistence.toml_writer import to_toml

__all__ = [
    "DIAGNOSIS_NAME",
    "Checkpoint",
    "DirectoryLock",
    "ModelFile",
    "RunFolder",
    "atomic_write",
    "home_of",
    "load",
    "load_checkpoint",
    "model_in",
    "read_checkpoint",
    "save",
    "save_checkpoint",
    "to_toml",
]
