"""Arrays that share memory: a write through one of them changes what the others hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.tape import Node, Tape


def owner(array: Host) -> Host:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def flat_positions(view: Host) -> Host | None:
    """Where in its owner's memory each element of a view lies; None if it has no such places."""
    own = owner(view)
    size = own.itemsize
    low = np.lib.array_utils.byte_bounds(own)[0]
    start = view.__array_interface__["data"][0] - low
    if view.dtype != own.dtype or start % size or any(s % size for s in view.strides):
        return None
    positions = np.full(view.shape, start // size)
    for axis, (length, stride) in enumerate(zip(view.shape, view.strides, strict=True)):
        shape = [1] * view.ndim
        shape[axis] = length
        positions = positions + (np.arange(length) * (stride // size)).reshape(shape)
    return positions


class Memory:
    """What a block of memory holds, as a node, after writes through any of its views.

    `version` counts the writes: what is known of a view at an earlier version is out of date.
    """

    def __init__(self, own: Host, content: tuple[Any, Node]) -> None:
        self.own = own
        self.positions, self.node = content
        self.version = 0
        self.is_flat = False

    def write(self, tape: Tape, positions: Host, node: Node) -> None:
        """These places now hold `node`."""
        self.version += 1
        size = self.own.size
        if positions.size == size and int(positions.max(initial=0)) == size - 1:
            self.positions, self.node, self.is_flat = positions, node, False
            return
        flat = self.flat(tape)

        def write(old: Host, new: Host) -> Host:
            written = np.array(old)
            written[positions] = new
            return written

        value = write(flat.value, node.value)
        self.node = tape.add("write", write, [flat, node], value, moves=True)

    def read(self, tape: Tape, positions: Host) -> Node:
        """The node of what these places hold now."""
        if self.positions is not None and np.array_equal(self.positions, positions):
            return self.node
        flat = self.flat(tape)
        return tape.add("read", lambda v: v[positions], [flat], flat.value[positions], moves=True)

    def flat(self, tape: Tape) -> Node:
        """The whole memory as a vector."""
        if not self.is_flat:
            positions, size = self.positions, self.own.size

            def flatten(value: Host) -> Host:
                laid = np.zeros(size, dtype=value.dtype)
                if positions is not None:
                    laid[positions] = value
                return laid

            self.node = tape.add("flat", flatten, [self.node], flatten(self.node.value), moves=True)
            self.positions, self.is_flat = np.arange(size), True
        return self.node
