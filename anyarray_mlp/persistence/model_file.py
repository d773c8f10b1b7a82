"""A trained model as one file: all that prediction needs, checked to the last bit on loading."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.persistence.container import decode, encode
from anyarray_mlp.persistence.files import atomic_write, read_file

KIND = "model"
SECTIONS = ("config", "preprocessing", "targets", "metadata")


@dataclass(frozen=True, eq=False)
class ModelFile:
    """What a model file holds.

    config: the network (sizes, activations, output, loss, ...), JSON.
    arrays: NumPy arrays by name ("weights.0", "biases.0", ...); bool, integers, float16/32/64.
    preprocessing: how columns become inputs, JSON.
    targets: how outputs become classes or values, JSON.
    metadata: versions, run hash, date, text by name.

    JSON here is dicts with text keys, lists, text, finite numbers, booleans and None; tuples come
    back as lists, dicts in their order. The JSON of one file is at most 3 MiB: keep large tables
    as arrays. Arrays are loaded sorted by name.
    """

    config: dict[str, Any]
    arrays: dict[str, np.ndarray]
    preprocessing: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


def save(
    path: str | os.PathLike[str],
    model_file: ModelFile,
    overwrite: bool = True,
    *,
    follow_links: bool = True,
) -> None:
    """Write a model file, whole and durable or not at all. Equal models give equal bytes.

    `follow_links` as of `atomic_write`.

    Raises OutputExistsError where the file is there and `overwrite` is false, StorageError where
    the system refuses, UsageError for content that the format does not hold.
    """
    for name, text in model_file.metadata.items():
        if not isinstance(text, str):
            raise UsageError(f"metadata[{name!r}] is a {type(text).__name__}: make it text")
    sections = {name: getattr(model_file, name) for name in SECTIONS}
    content = encode(KIND, sections, model_file.arrays)
    atomic_write(path, content, overwrite=overwrite, follow_links=follow_links)


@within_memory
def load(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file. The arrays are writable and share one block of memory.

    Raises ModelFileError for a file that is damaged, altered, of a newer version or no model at
    all; StorageError where the system cannot read it; OutOfMemoryError where it does not fit.
    """
    source = os.fspath(path)
    sections, arrays = decode(read_file(path), source, KIND, SECTIONS)
    if not all(isinstance(text, str) for text in sections["metadata"].values()):
        raise ModelFileError(f"{source} has metadata that is not text: train the model again")
    return ModelFile(arrays=arrays, **sections)
