"""A trained model in one file: all that prediction needs, checked to the last bit on loading."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.network.description import MORE_FIELDS
from anyarray_mlp.persistence.container import decode, encode
from anyarray_mlp.persistence.files import atomic_write, read_file

KIND = "model"
#: Kinds of columns that version 1 of the format has no words for.
SINCE_VERSION_2 = ("robust", "grouped", "date", "left_out")
SECTIONS = ("config", "preprocessing", "targets", "metadata")


@dataclass(frozen=True, eq=False)
class ModelFile:
    """What a model file holds.

    config: the network (sizes, activations, output, loss, ...), JSON.
    arrays: NumPy arrays by name ("weights.0", "biases.0", ...); bool, integers, float16/32/64.
    preprocessing: how columns become inputs, JSON.
    targets: how outputs become classes or values, JSON.
    metadata: versions, run hash, date, text by name.

    JSON here means dicts with text keys, lists, text, finite numbers, booleans and None; tuples come back as lists,
    and dicts keep their order. The JSON of a file may take 3 MiB: keep large tables as arrays. Arrays are loaded
    sorted by name.
    """

    config: dict[str, Any]
    arrays: dict[str, np.ndarray]
    preprocessing: dict[str, Any] = field(default_factory=dict)
    targets: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def format_version(self) -> int:
        """The lowest version of the format that has words for the content.

        2 for kinds of columns and of layers that 1 lacks, for tables that readers of 1 would read otherwise, for
        predictions that are kept within bounds, and for several networks.
        """
        first = self.arrays.get("weights.0")
        several = first is not None and first.ndim == 3
        of_layers = any(name in self.config for name in MORE_FIELDS)
        if several or of_layers or "reading" in self.metadata or "low" in self.targets:
            return 2
        columns = self.preprocessing.get("columns")
        entries = columns if isinstance(columns, (list, tuple)) else ()
        kinds = [entry.get("kind") for entry in entries if isinstance(entry, dict)]
        return 2 if any(kind in SINCE_VERSION_2 for kind in kinds) else 1


def save(
    path: str | os.PathLike[str],
    model_file: ModelFile,
    overwrite: bool = True,
    *,
    follow_links: bool = True,
) -> None:
    """Write a model file completely and durably, or not at all. Equal models give equal bytes.

    `follow_links` works as in `atomic_write`.

    Raises OutputExistsError if the file exists and `overwrite` is false, StorageError if the system refuses,
    UsageError for content that the format cannot hold.
    """
    for name, text in model_file.metadata.items():
        if not isinstance(text, str):
            raise UsageError(f"metadata[{name!r}] is a {type(text).__name__}: use a string")
    sections = {name: getattr(model_file, name) for name in SECTIONS}
    content = encode(KIND, sections, model_file.arrays, model_file.format_version)
    atomic_write(path, content, overwrite=overwrite, follow_links=follow_links)


@within_memory
def load(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file. The arrays are writable and share one block of memory.

    Raises ModelFileError for a file that is damaged, altered, of a newer version or not a model at all; StorageError
    if the system cannot read it; OutOfMemoryError if it does not fit in memory.
    """
    source = os.fspath(path)
    sections, arrays = decode(read_file(path), source, KIND, SECTIONS)
    if not all(isinstance(text, str) for text in sections["metadata"].values()):
        raise ModelFileError(f"{source} has metadata that is not text: train the model again")
    return ModelFile(arrays=arrays, **sections)
