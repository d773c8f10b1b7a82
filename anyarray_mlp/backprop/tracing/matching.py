"""Which true cotangent a value of the backward pass is, up to one factor over all runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from anyarray_mlp.backprop.tracing.pullback import Use
from anyarray_mlp.backprop.tracing.scene import Column, Picture
from anyarray_mlp.backprop.tracing.tape import Node
from anyarray_mlp.typing import Host

#: The largest relative difference of values that are the same.
NEAR = 1e-6
#: Of large values that are used very often, so many uses are kept.
FEW_USES = 4
MANY_NUMBERS = 100_000
#: Values of at most so many elements are known element by element.
FEW_ELEMENTS = 256


@dataclass(frozen=True)
class Match:
    """A value is `factor` times the true cotangent of `node`, transposed if `turned`.

    `whole` is false for what a single use of the value adds to the cotangent; `updated` marks a
    weight after its update, which is no cotangent but right.
    """

    node: Node
    turned: bool
    factor: float
    whole: bool = True
    updated: bool = False


class Targets:
    """All true cotangents, in all runs, to be found by their values."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.columns: list[Column] = picture.columns
        self.table: dict[int, list[tuple[Node, bool, bool, Host]]] = {}
        known = sorted({n for c in self.columns for n in c.cotangents}, key=lambda n: n.index)
        for node in known:
            self.add(node, [c.cotangent(node) for c in self.columns], True)
        self.add_elements(known)
        self.add_uses()
        self.units = {
            size: np.array([vector / np.linalg.norm(vector) for *_, vector in rows])
            for size, rows in self.table.items()
        }

    def add(self, node: Node, arrays: Sequence[Host], whole: bool) -> None:
        for turned in (False, True):
            if turned and (not whole or arrays[0].ndim != 2 or min(arrays[0].shape) == 1):
                continue
            vector = joined([a.T if turned else a for a in arrays])
            size = float(np.linalg.norm(vector))
            if np.isfinite(size) and size > 1e-14:
                self.table.setdefault(vector.size, []).append((node, turned, whole, vector))

    def add_elements(self, known: Sequence[Node]) -> None:
        """The elements of small values, where the backward pass goes through its units one by one."""
        nodes = self.picture
        if not any(n.value.ndim == 0 and n in nodes.spine and n in nodes.hot for n in nodes.back):
            return
        for node in known:
            if not 1 < node.value.size <= FEW_ELEMENTS or node in nodes.starts:
                continue
            rows = [c.cotangent(node).ravel() for c in self.columns]
            for place in range(node.value.size):
                vector = np.array([row[place] for row in rows])
                if np.linalg.norm(vector) > 1e-14:
                    self.table.setdefault(vector.size, []).append((node, False, False, vector))

    def add_uses(self) -> None:
        """What each use of a value that is used several times adds, as for one sample of a loop."""
        counts: dict[Node, int] = {}
        for use in self.columns[0].uses:
            counts[use.value] = counts.get(use.value, 0) + 1
        taken: dict[Node, int] = {}
        by_use = [{(u.value, u.by): u.cotangent for u in c.uses} for c in self.columns]
        for use in self.columns[0].uses:
            key = (use.value, use.by)
            taken[use.value] = taken.get(use.value, 0) + 1
            if (
                taken[use.value] > FEW_USES
                and use.value.value.size * counts[use.value] > MANY_NUMBERS
            ):
                continue
            if is_branch(use):
                continue
            if counts[use.value] > 1 and all(key in known for known in by_use):
                self.add(use.value, [known[key] for known in by_use], False)

    def match(self, arrays: Sequence[Host], only: Collection[Node] | None = None) -> list[Match]:
        """What these values, one array for each run, are; whole cotangents first."""
        vector = joined(arrays)
        if vector.size not in self.units or not np.isfinite(vector).all():
            return []
        size = float(np.linalg.norm(vector))
        if size < 1e-14:
            return []
        cosines = self.units[vector.size] @ (vector / size)
        found = []
        for row in np.flatnonzero(np.abs(cosines) > 1 - 1e-9):
            node, turned, whole, target = self.table[vector.size][row]
            if only is not None and node not in only:
                continue
            factor = float(vector @ target / (target @ target))
            if np.abs(vector - factor * target).max() < NEAR * np.abs(vector).max():
                found.append(Match(node, turned, factor, whole))
        found.sort(key=lambda m: (not m.whole, m.turned))
        return found

    def values(self, node: Node) -> list[Host]:
        return [c.of(node) for c in self.columns]

    def cotangents(self, node: Node) -> list[Host]:
        return [c.cotangent(node) for c in self.columns]


def is_branch(use: Use) -> bool:
    """Is a use one branch of an activation, as of `where(z > 0, z, 0.1 * z)`? Alone it is no gradient."""
    by, value = use.by, use.value
    return by.elementwise and value.value.size > 1 and by.value.shape == value.value.shape


def joined(arrays: Sequence[Host]) -> Host:
    """Arrays as one vector."""
    return np.concatenate([np.ravel(a) for a in arrays]).astype(float)


def fitted(a: Host, b: Host, near: float = NEAR) -> float | None:
    """The factor k with a = k b; None if there is none."""
    power = float(b @ b)
    if a.size != b.size or power < 1e-300 or not np.isfinite(a).all() or not np.isfinite(b).all():
        return None
    factor = float(a @ b) / power
    if abs(factor) < 1e-12 or np.abs(a - factor * b).max() > near * np.abs(a).max():
        return None
    return factor


def combined(a: Host, parts: Sequence[Host]) -> Host | None:
    """The coefficients k with a = sum k_i parts_i; None if there are none."""
    matrix = np.stack(parts, axis=1)
    if a.size < 2 * matrix.shape[1] or not np.isfinite(matrix).all() or not np.isfinite(a).all():
        return None
    sizes = np.linalg.norm(matrix, axis=0)
    if (sizes < 1e-14).any():
        return None
    scaled, *_ = np.linalg.lstsq(matrix / sizes, a, rcond=None)
    if np.abs(matrix / sizes @ scaled - a).max() > NEAR * np.abs(a).max():
        return None
    return np.asarray(scaled / sizes)
