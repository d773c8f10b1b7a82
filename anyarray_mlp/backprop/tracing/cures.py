"""Does another result of one operation make the weights' gradients right?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from anyarray_mlp.backprop.tracing.tape import Node, ancestors, descendants
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.backprop.tracing.verdict import Bench

#: Of a longer way to the weights, so many operations are made again.
LONGEST_WAY = 400


def cures(bench: Bench, node: Node, results: list[Host], wanted: set[Node]) -> bool:
    """With these results of `node`, one for each run, is there a right gradient of a wanted weight on the way?

    What one use of a weight adds to its gradient counts: the other uses may have the mistake, too.
    """
    finals = [w.final for w in bench.scene.weights if w.start in wanted and w.final is not None]
    way = way_from(bench, node, finals)
    made = remade_way(bench, node, results, way)
    starts = {w.start: w.final for w in bench.scene.weights if w.start in wanted}
    for after in (node, *way):
        if after not in made:
            continue
        if any(m.node in starts and not m.updated for m in bench.targets.match(made[after])):
            return True
        if after in finals:
            # An update in one operation: the change is what is compared.
            for start, final in starts.items():
                before = bench.targets.values(start)
                if final is after and all(
                    m.shape == b.shape for m, b in zip(made[after], before, strict=True)
                ):
                    change = [m - b for m, b in zip(made[after], before, strict=True)]
                    if any(m.node is start for m in bench.targets.match(change)):
                        return True
    return False


def way_from(bench: Bench, node: Node, finals: list[Node]) -> list[Node]:
    """The operations from a value to the weights' new values, in order."""
    after = descendants(bench.picture.nodes, [node]) & ancestors(finals)
    return sorted(after - {node}, key=lambda n: n.index)[:LONGEST_WAY]


def remade_way(
    bench: Bench, node: Node, results: list[Host], way: list[Node]
) -> dict[Node, list[Host]]:
    """The values on a way in all runs, made again from other results of its start."""
    made = {node: results}
    for after in way:
        known = [made.get(o) for o in after.operands]
        if after.function is None or not any(k is not None for k in known):
            continue
        values = []
        try:
            with np.errstate(all="ignore"):
                for place, column in enumerate(bench.picture.columns):
                    given = [column.of(o) if k is None else k[place]
                             for o, k in zip(after.operands, known, strict=True)]  # fmt: skip
                    values.append(np.asarray(after.function(*given), dtype=float))
        except (ValueError, TypeError, IndexError):
            continue
        made[after] = values
    return made
