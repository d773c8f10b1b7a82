"""Comparisons that decide which way a recorded code goes."""

from __future__ import annotations

from collections.abc import Sequence

from anyarray_mlp.backprop.tracing.tape import Node, ancestors


def branches(nodes: Sequence[Node], finals: list[Node]) -> list[Node]:
    """Comparisons of single numbers that decide which way the code goes, of what the new weights are made of."""
    used = {o for n in nodes for o in n.operands}
    way = ancestors(finals)
    return [
        n
        for n in nodes
        if n.value.dtype.kind == "b" and n.value.ndim == 0 and n not in used
        and any(m in way and m.operands for o in n.operands for m in shown(o))
    ]  # fmt: skip


def shown(node: Node) -> list[Node]:
    """An element or a view, and what it is taken of."""
    told = [node]
    while node.moves and node.operands:
        node = node.operands[0]
        told.append(node)
    return told
