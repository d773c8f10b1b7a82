"""What a network keeps beside its weights: counts, sizes of batches, and an optimiser's arrays."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.paths import read_path, to_host
from anyarray_mlp.backprop.user.returned import flatten
from anyarray_mlp.backprop.user.snapshots import Snapshot
from anyarray_mlp.typing import Host

# Attributes and globals that say how often a loop runs: once is one step.
LOOP_COUNTS = re.compile(
    r"((n|nb|num|max|total)_?)?epochs|(n|num|max)_?(iter|iters|iterations)_?|iterations"
)
BATCH_SIZES = re.compile(r"_?(mini_?)?batch_?size|bs")


def whole_numbers(snapshot: Snapshot) -> list[tuple[dict[Any, Any], str, int]]:
    """(namespace, name, value) of each whole number that the network or its functions keep."""
    kept = [(node, contents) for node, contents, _ in snapshot.dicts]
    kept += [(namespace, contents) for namespace, contents, _ in snapshot.globals]
    return [
        (node, name, value)
        for node, contents in kept
        for name, value in contents.items()
        if type(value) is int and isinstance(name, str)
    ]


def loop_counts(snapshot: Snapshot) -> list[tuple[dict[Any, Any], str]]:
    """(namespace, name) of each number of epochs that the network or its functions keep."""
    return [
        (node, name)
        for node, name, value in whole_numbers(snapshot)
        if value > 1 and LOOP_COUNTS.fullmatch(name.lower())
    ]


def batch_sizes(snapshot: Snapshot) -> list[tuple[dict[Any, Any], str, int]]:
    """(namespace, name, value) of each batch size."""
    return [c for c in whole_numbers(snapshot) if BATCH_SIZES.fullmatch(c[1].lower())]


def state_like_parameters(user: Any, x: Any, y: Any) -> list[Host]:
    """Other arrays of a `UserNetwork` with the shape of a parameter: what an optimizer keeps.

    Arrays of zeros, those that hold x or y, and those that a forward pass run just before has
    overwritten are left out.
    """
    parameters = [read_path(user.network, p.path) for p in user.parameters]
    shapes = {np.shape(value) for value in user.original}
    known = [array for _, array in [*flatten(x), *flatten(y)]]
    held = {id(array) for array, _ in Snapshot(user.roots).arrays}
    found = []
    for array, content in user.snapshot.arrays:
        host = to_host(content)
        if host.dtype.kind != "f" or host.shape not in shapes or not host.any():
            continue
        if id(array) not in held or not np.array_equal(to_host(array), host):
            continue
        if any(array is value or share_memory(array, value) for value in parameters):
            continue
        if not any(np.array_equal(host.ravel(), np.ravel(data)) for data in known):
            found.append(array)
    return found


def share_memory(a: Any, b: Any) -> bool:
    """Whether two arrays may lie in the same memory."""
    return np.may_share_memory(to_host(a), to_host(b))
