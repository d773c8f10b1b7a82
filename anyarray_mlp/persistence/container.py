"""The bytes of a model file: a .safetensors file in a canonical form, sealed by SHA-256.

docs/model-file.md is the specification. The container is written and read here, not by the safetensors library, which
changes the order of the metadata from call to call (so equal models would differ in their bytes), writes
non-contiguous arrays incorrectly, and accepts duplicate keys and any name. Reading is strict in a single step: the
header is rebuilt from the names, dtypes, shapes and metadata that were read and must give the same bytes, so nothing
else in it can be wrong.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import anyarray_mlp
from anyarray_mlp.errors import ModelFileError, UsageError
from anyarray_mlp.persistence.plain_json import decode_json, encode_json, plain

FORMAT = "anyarray-mlp"
#: The first release of the package that reads each version of the format.
FIRST_READERS = {1: "0.1.0", 2: "0.2.0"}
FORMAT_VERSION = max(FIRST_READERS)
UNSEALED = "0" * 64
METADATA = "__metadata__"

# Parsed JSON takes up to 30 times the memory of its text if it is all brackets and 12 times otherwise, and rebuilding
# the header takes some more: with these two limits, reading any header takes at most 64 MiB.
MAX_HEADER_BYTES = 3 << 20
MAX_BRACKETS = 1 << 16
MAX_DIMENSIONS = 8
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", re.ASCII)

DTYPES = {
    "BOOL": np.dtype("?"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "F64": np.dtype("<f8"),
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class ArraySpec:
    """Name, dtype and shape of an array, from the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize

    def problem(self) -> str | None:
        """Why this cannot be an array of a model file, or None."""
        if not NAME.fullmatch(self.name):
            return f"the array name {self.name[:60]!a} (use letters, digits and . _ -)"
        if self.dtype not in DTYPES:
            return f"the dtype {self.dtype[:60]!a} of {self.name} (use one of {', '.join(DTYPES)})"
        if len(self.shape) > MAX_DIMENSIONS:
            return f"{len(self.shape)} dimensions of {self.name} (at most {MAX_DIMENSIONS})"
        if 0 in self.shape and self.shape != (0,):
            return f"the shape {self.shape} of {self.name} (without elements it must be (0,))"
        return None


def layout(specs: list[ArraySpec]) -> list[ArraySpec]:
    """The order of the arrays in the data: the widest dtype first, so that all are aligned."""
    return sorted(specs, key=lambda spec: (-DTYPES[spec.dtype].itemsize, spec.name))


def header_bytes(specs: list[ArraySpec], metadata: Mapping[str, str]) -> bytes:
    """Length field and header in their canonical form: names and keys sorted."""
    header: dict[str, Any] = {METADATA: dict(sorted(metadata.items()))}
    start = 0
    for spec in layout(specs):
        stop = start + spec.size_bytes
        header[spec.name] = {
            "data_offsets": [start, stop],
            "dtype": spec.dtype,
            "shape": list(spec.shape),
        }
        start = stop
    text = encode_json(dict(sorted(header.items()))).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def seal(specs: list[ArraySpec], metadata: Mapping[str, str], data: list[np.ndarray]) -> str:
    """SHA-256 of the whole file, with its own field taken as 64 zeros."""
    digest = hashlib.sha256(header_bytes(specs, {**metadata, "sha256": UNSEALED}))
    for block in data:
        digest.update(block.data)
    return digest.hexdigest()


def encode(
    kind: str, sections: Mapping[str, Any], arrays: Mapping[str, Any], version: int = 1
) -> bytes:
    """The file that holds `sections` (JSON values by name) and `arrays` (NumPy arrays by name).

    `version` is the lowest version of the format that has words for the content, so that older readers read what they
    can.

    Raises UsageError for content that the format cannot hold, so that every written file can be read.
    """
    metadata = {
        "format": FORMAT,
        "format_version": str(version),
        "kind": kind,
        "requires": FIRST_READERS[version],
    }
    for name, section in sections.items():
        try:
            metadata[name] = encode_json(plain(section, name))
        except ValueError as error:  # an integer of thousands of digits
            raise UsageError(f"{name} cannot be saved: {error}") from None
    specs, blocks = [], {}
    for name, value in arrays.items():
        if not isinstance(name, str):
            raise UsageError(f"an array has the name {name!r}: use a string")
        array = np.asarray(value)
        dtype = array.dtype.newbyteorder("<")
        spec = ArraySpec(name, DTYPE_NAMES.get(dtype, str(array.dtype)), array.shape)
        if problem := spec.problem():
            raise UsageError(f"a model file cannot hold {problem}: rename or convert the array")
        specs.append(spec)
        blocks[name] = np.asarray(array, dtype, order="C").reshape(-1).view(np.uint8)
    data = [blocks[spec.name] for spec in layout(specs)]
    metadata["sha256"] = seal(specs, metadata, data)
    head = header_bytes(specs, metadata)
    if problem := oversize(head):
        raise UsageError(f"the description of the model {problem}: keep large tables as arrays")
    return b"".join([head, *(block.data for block in data)])


def oversize(head: bytes) -> str | None:
    """Why a header exceeds the limits for reading, or None."""
    if len(head) > MAX_HEADER_BYTES:
        return f"takes {len(head)} bytes of at most {MAX_HEADER_BYTES}"
    if (brackets := head.count(b"[") + head.count(b"{")) > MAX_BRACKETS:
        return f"has {brackets} brackets of at most {MAX_BRACKETS}"
    return None


def decode(
    content: np.ndarray, source: str, kind: str, section_names: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """The named sections and the arrays of a file, fully checked. Arrays are views of `content`.

    `content` is the file's bytes, uint8 of shape (size,); `source` names it in errors.
    Raises ModelFileError, and nothing else, for any other bytes.
    """
    metadata, specs, data = open_header(content, source)
    blocks, start = {}, 0
    for spec in layout(specs):
        blocks[spec] = data[start : start + spec.size_bytes]
        start += spec.size_bytes
    if start != len(data):
        raise damaged(source, f"its arrays take {start} bytes and it has {len(data)}")
    if metadata.get("sha256") != seal(specs, metadata, list(blocks.values())):
        raise damaged(source, "its content does not match its SHA-256")
    if metadata.get("kind") != kind:
        raise ModelFileError(
            f"{source} holds a {metadata.get('kind', '')[:20]!a}, but a {kind!r} is needed: give another file"
        )
    arrays = {}
    for spec, block in blocks.items():
        if spec.dtype == "BOOL" and block.size and block.max() > 1:
            raise damaged(source, f"the truth values of {spec.name} are not all 0 or 1")
        arrays[spec.name] = block.view(DTYPES[spec.dtype]).reshape(spec.shape)
    sections = {}
    for name in section_names:
        try:
            sections[name] = decode_json(metadata.get(name, ""))
        except ValueError as error:
            raise damaged(source, f"its section {name} cannot be read: {error}"[:200]) from None
        if not isinstance(sections[name], dict):
            raise damaged(source, f"its section {name} is not a table")
    return sections, dict(sorted(arrays.items()))


def open_header(
    content: np.ndarray, source: str
) -> tuple[dict[str, str], list[ArraySpec], np.ndarray]:
    """Metadata, array specifications and data, after checking that the header is canonical."""
    head = content[:8].tobytes()
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > len(content) - 8:
        raise damaged(source, "it is cut off or not a model file")
    head = content[: 8 + length].tobytes()
    if problem := oversize(head):
        raise damaged(source, f"its header {problem}")
    try:
        header = decode_json(head[8:].decode("ascii").rstrip(" "))
    except ValueError as error:
        raise damaged(source, f"its header cannot be read: {error}"[:200]) from None
    if not isinstance(header, dict):
        raise damaged(source, "its header is not a table")
    metadata = header.pop(METADATA, None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ModelFileError(
            f"{source} was not written by anyarray-mlp: give a model.safetensors that was"
        )
    check_version(metadata, source)
    if not all(isinstance(text, str) for text in metadata.values()):
        raise damaged(source, "its metadata is not all text")
    specs = [array_spec(name, entry, source) for name, entry in header.items()]
    if header_bytes(specs, metadata) != head:
        raise damaged(source, "its header is not in the canonical form")
    return metadata, specs, content[8 + length :]


def check_version(metadata: Mapping[str, Any], source: str) -> None:
    """Raise `ModelFileError` for a newer version of the format, and say which release reads it."""
    found = re.fullmatch(r"(\d{1,4})", str(metadata.get("format_version")), re.ASCII)
    version = int(found[1]) if found else 0
    if version > FORMAT_VERSION:
        needed = re.fullmatch(r"\d{1,4}(\.\d{1,4}){1,2}", str(metadata.get("requires")), re.ASCII)
        raise ModelFileError(
            f"{source} has format version {version}, and anyarray-mlp {anyarray_mlp.__version__} reads "
            f"up to {FORMAT_VERSION}: install anyarray-mlp >= {needed[0] if needed else 'the one that wrote it'}"
        )
    if version < 1:
        raise damaged(source, "its format version is not a version number")


def array_spec(name: str, entry: Any, source: str) -> ArraySpec:
    """The specification of one array, its types and limits checked."""
    dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (0, 0)
    if (
        not isinstance(dtype, str)
        or not isinstance(shape, list)
        or any(type(size) is not int or size < 0 for size in shape)
    ):
        raise damaged(source, f"the entry of the array {name[:60]!a} is malformed")
    spec = ArraySpec(name, dtype, tuple(shape))
    if problem := spec.problem():
        raise damaged(source, f"a model file cannot hold {problem}")
    return spec


def damaged(source: str, reason: str) -> ModelFileError:
    """The error for a file whose content is not what was written."""
    return ModelFileError(
        f"{source} is damaged or altered: {reason}; fetch it again or train the model again"
    )
