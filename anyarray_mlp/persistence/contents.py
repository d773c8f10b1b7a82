"""What a model file holds, as objects and back: a network, its parameters and its encodings, found to fit together."""

from __future__ import annotations

from typing import Any

import numpy as np

from anyarray_mlp.checking.records import TEXT, RecordError, list_of, model_file
from anyarray_mlp.data import Preprocessor, Reading, TargetEncoder
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.persistence.model_file import ModelFile
from anyarray_mlp.persistence.plain_json import any_json
from anyarray_mlp.typing import Host

#: Parameters looked at together, so that the answers do not take memory beside a large network.
CHECKED_TOGETHER = 1 << 20
TARGET_NAMES = list_of(TEXT)


def file_of(
    mlp: MLP,
    parameters: Host,
    preprocessor: Preprocessor,
    targets: TargetEncoder,
    metadata: dict[str, str],
) -> ModelFile:
    """A model with parameters (p,), or of several networks (k, p), as a `ModelFile`.

    Raises `UsageError` if it could not be read again.
    """
    parts = mlp.layout.split(parameters)
    file = ModelFile(
        config=mlp.to_config(),
        arrays={
            name: np.ascontiguousarray(part)
            for name, part in zip(mlp.layout.names, parts, strict=True)
        },
        preprocessing=preprocessor.to_json(),
        targets=targets.to_json(),
        metadata=metadata,
    )
    try:
        parts_of(file, "the file")
    except ModelFileError as error:
        raise UsageError(f"This model cannot be saved, as {error}.") from None
    return file


def parts_of(file: ModelFile, source: str) -> tuple[MLP, list[Host], Preprocessor, TargetEncoder]:
    """Network, weights and biases, and encodings of a file, found to fit together."""
    mlp, parts = network_of(file, source)
    preprocessor = Preprocessor.from_json(file.preprocessing, source)
    targets = TargetEncoder.from_json(file.targets, source)
    width, outputs = targets.width, mlp.sizes[-1]
    binary = targets.task == "classification" and (width, outputs) == (2, 1)
    with model_file(source):
        if preprocessor.n_features_out != mlp.sizes[0]:
            raise RecordError(
                f"preprocessing encodes {preprocessor.n_features_out} inputs for a network of {mlp.sizes[0]}"
            )
        if width != outputs and not binary:
            raise RecordError(f"targets has {width} answers for a network of {outputs} outputs")
        TARGET_NAMES(metadata_of(file, "target", "[]"), "metadata.target")
        if "reading" in file.metadata:
            Reading.from_json(metadata_of(file, "reading"), "metadata.reading")
        Reading().with_images(metadata_of(file, "images", "{}"), "metadata.images")
    return mlp, parts, preprocessor, targets


def metadata_of(file: ModelFile, name: str, default: str = "") -> Any:
    """A text of the metadata that holds JSON; raises `RecordError` for one that does not."""
    try:
        return any_json(file.metadata.get(name, default))
    except ValueError as error:
        raise RecordError(f"metadata.{name} cannot be read: {error}") from None


def members_of(file: ModelFile) -> tuple[int, ...]:
    """The axis in front of every weight: () of one network, (k,) of several."""
    first = file.arrays.get("weights.0")
    return () if first is None or first.ndim != 3 or len(first) < 2 else first.shape[:1]


def network_of(file: ModelFile, source: str) -> tuple[MLP, list[Host]]:
    """The network of a file, and its weights and biases as the file's own arrays, finite and of one dtype.

    Those of several networks have an axis of k in front.
    """
    with model_file(source):
        layers = sum(name.startswith("weights.") for name in file.arrays)
        sizes = file.config.get("sizes")
        # What follows takes memory for each layer.
        if isinstance(sizes, list) and len(sizes) != layers + 1:
            raise RecordError(
                f"config.sizes has {len(sizes)} entries for the weights of {layers} layers"
            )
        mlp = MLP.from_config(file.config, source)
        parts: list[Host] = []
        stack = members_of(file)
        for name, own in zip(mlp.layout.names, mlp.layout.shapes, strict=True):
            array, shape = file.arrays.get(name), (*stack, *own)
            if array is None or array.shape != shape or array.dtype.kind != "f":
                found = "is missing" if array is None else f"is {array.dtype} {array.shape}"
                raise RecordError(f"{name} {found} and must be floats {shape}")
            if parts and array.dtype != parts[0].dtype:
                raise RecordError(f"{name} is {array.dtype} and the others are {parts[0].dtype}")
            if not is_finite(np.reshape(array, -1), CHECKED_TOGETHER):
                raise RecordError(f"{name} is not all finite")
            parts.append(array)
    return mlp, parts
