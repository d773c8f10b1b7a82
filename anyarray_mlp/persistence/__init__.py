"""What a run writes to disk: model files, checkpoints and the run's folder."""

from __future__ import annotations

from anyarray_mlp.persistence.checkpoint import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from anyarray_mlp.persistence.model_file import ModelFile, load, save
from anyarray_mlp.persistence.run_folder import RunFolder

__all__ = [
    "Checkpoint",
    "ModelFile",
    "RunFolder",
    "load",
    "load_checkpoint",
    "save",
    "save_checkpoint",
]
