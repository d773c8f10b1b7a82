"""Read and write the arrays of a user's network by dotted names, in any array library."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.snapshots import is_tensor
from anyarray_mlp.typing import Host

Path = str | int


def to_host(value: Any) -> Host:
    """Any array, tensor, number or nested list as a NumPy array."""
    if is_tensor(value):
        return np.asarray(value.detach().cpu().numpy())
    if hasattr(value, "get") and hasattr(value, "__cuda_array_interface__"):
        return np.asarray(value.get())
    if isinstance(value, (list, tuple)) and any(is_tensor(v) for v in value):
        return np.asarray([to_host(v) for v in value])
    if hasattr(value, "__array_namespace__") and not hasattr(value, "__array__"):
        return np.from_dlpack(value)
    return np.asarray(value)


def like(old: Any, array: Host) -> Any:
    """`array` with the type, dtype and library of `old`."""
    if isinstance(old, np.matrix):
        return np.asmatrix(array.astype(old.dtype))
    if isinstance(old, (np.ndarray, np.generic)):
        return np.asarray(array).astype(old.dtype).reshape(np.shape(old))
    if isinstance(old, list):
        return [like(o, a) for o, a in zip(old, array, strict=True)]
    if isinstance(old, tuple):
        return tuple(like(o, a) for o, a in zip(old, array, strict=True))
    if isinstance(old, (int, float)):
        return float(array)
    if is_tensor(old):
        return old.new_tensor(np.asarray(array))
    return namespace_of(old).asarray(array, dtype=old.dtype)


def namespace_of(array: Any) -> Any:
    """The library of an array."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    return sys.modules[type(array).__module__.split(".")[0]]


def child(node: Any, part: str) -> Any:
    """One step down a dotted name."""
    if isinstance(node, Mapping):
        if part in node:
            return node[part]
        return node[int(part)] if part.lstrip("-").isdigit() else node[part]
    if part.lstrip("-").isdigit():
        return node[int(part)]
    return getattr(node, part)


def read_path(root: Any, path: Path) -> Any:
    """The value under a dotted name."""
    parts = str(path).split(".")
    for index, part in enumerate(parts):
        if part == "*":
            rest = ".".join(parts[index + 1 :])
            return [read_path(item, rest) if rest else item for item in root]
        root = child(root, part)
    return root


def write_path(root: Any, path: Path, array: Host) -> Any:
    """Put `array` under a dotted name, into the existing array if possible.

    Returns `root`, or its replacement if it is a tuple.
    """
    return put(root, str(path).split("."), array)


def put(node: Any, parts: Sequence[str], array: Host) -> Any:
    """`node` with `array` under the rest of a dotted name; tuples are replaced by new ones."""
    if not parts:
        return node if write_in_place(node, array) else like(node, array)
    part, rest = parts[0], parts[1:]
    if part == "*":
        for index, value in enumerate(array):
            node = put(node, [str(index), *rest], value)
        return node
    old = child(node, part)
    new = put(old, rest, array)
    if new is old:
        return node
    if isinstance(node, tuple):
        index = int(part) if part.lstrip("-").isdigit() else type(node)._fields.index(part)  # type: ignore[attr-defined]
        items = [*node]
        items[index] = new
        return node._make(items) if hasattr(node, "_make") else tuple(items)
    if isinstance(node, Mapping):
        node[part if part in node else int(part)] = new  # type: ignore[index]
    elif part.lstrip("-").isdigit():
        node[int(part)] = new
    else:
        setattr(node, part, new)
    return node


def write_in_place(old: Any, array: Host) -> bool:
    """Write into a mutable array or nested list; False if that is not possible."""
    if isinstance(old, np.ndarray) and old.flags.writeable and old.dtype != object:
        if not np.issubdtype(old.dtype, np.floating):
            return False
        old[...] = np.asarray(array).reshape(old.shape)
        return True
    if is_tensor(old):
        old.detach().copy_(old.new_tensor(np.asarray(array)))
        return True
    if isinstance(old, list):
        for index, value in enumerate(old):
            if not write_in_place(value, array[index]):
                old[index] = like(value, array[index])
        return True
    return False
