"""The weights of a recorded loop: values that a later turn reads in the same place, changed by a sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from anyarray_mlp.backprop.tracing.tape import Node, Place, ancestors, descendants

#: Operations that a chain of updates goes through, at these operands.
SUMS = frozenset(["add", "subtract", "in-place"])
FIRST_OPERAND = frozenset(
    [
        "add.at",
        "subtract.at",
        "T",
        "transpose",
        "write",
        "flat",
        "read",
        "reshape",
        "asarray",
        "array",
        "copy",
        "ravel",
        "astype",
    ]
)
#: What changes a weight: one of these is in its update.
CHANGES = frozenset(["add", "subtract", "add.at", "subtract.at"])
LONGEST_CHAIN = 150


@dataclass(frozen=True)
class Found:
    """A weight: its first value, its value at the next turn, and where a turn reads it first."""

    start: Node
    final: Node
    reader: Node
    next_reader: Node
    #: The next turn reads the first value again, as if there had been no update.
    is_lost: bool = False

    @property
    def is_read_again(self) -> bool:
        return self.next_reader is not self.final


def find_weights(nodes: Sequence[Node]) -> list[Found]:
    """All weights that a loop updates, in the order in which they are first read."""
    readings: dict[tuple[Place, int, str], list[tuple[Node, Node]]] = {}
    for node in nodes:
        for place, operand in enumerate(node.operands):
            if operand.is_float:
                readings.setdefault((node.place, place, kind_of(node)), []).append((operand, node))
    found: dict[Node, Found] = {}
    for named in named_updates(nodes):
        found.setdefault(named.start, named)
    for read in readings.values():
        for weight in changed(read):
            known = found.get(weight.start)
            if known is None or not known.is_read_again or weight.reader.index < known.reader.index:
                found[weight.start] = weight
    readers: dict[Node, list[Node]] = {start: [] for start in found}
    for node in nodes:
        for operand in node.operands:
            if operand in readers:
                readers[operand].append(node)
    return independent(nodes, [lost(f, readers[f.start]) for f in found.values()])


def lost(found: Found, readers: Sequence[Node]) -> Found:
    """A weight with whether the next turn reads its first value again, where it was read before its update."""
    if found.is_read_again:
        return found
    before: dict[Place, Node] = {}
    for reader in readers:
        if reader.index < found.final.index:
            before.setdefault(reader.place, reader)
        elif reader.place in before and reader is not found.final:
            first = before[reader.place]
            return replace(found, reader=first, next_reader=reader, is_lost=True)
    return found


def named_updates(nodes: Sequence[Node]) -> Iterator[Found]:
    """Values that a statement changes under their own name, `w -= ...` or `w = w - ...`, after another read them.

    So a loop of a single turn is understood, too.
    """
    read: dict[Node, Node] = {}
    for node in nodes:
        name = node.operation.split(" ")[0]
        if name in ("add", "subtract") and node.value.size and is_update_statement(node):
            for operand in node.operands:
                known = (
                    operand in read and operand.is_float and operand.value.shape == node.value.shape
                )
                if known and line_of(read[operand]) != line_of(node) and target_is(node, operand):
                    yield Found(operand, node, read[operand], node)
        for operand in node.operands:
            read.setdefault(operand, node)


def is_update_statement(node: Node) -> bool:
    """Does an operation give its result a name?"""
    from anyarray_mlp.backprop.tracing.source import spot, target_of

    return bool(node.place and target_of(spot(*node.place[0])))


def target_is(node: Node, operand: Node) -> bool:
    """Is the operand's own text the name that the result is given?"""
    from anyarray_mlp.backprop.tracing.source import operand_texts, spot, target_of

    target = target_of(spot(*node.place[0]))
    texts = operand_texts(node)
    at = node.operands.index(operand)
    return at < len(texts) and texts[at] == target


def kind_of(node: Node) -> str:
    """An operation without its arguments."""
    return "[]" if node.operation.startswith("[") else node.operation


def changed(read: Sequence[tuple[Node, Node]]) -> Iterator[Found]:
    """Among what one place reads in turn: values that earlier ones became by sums."""
    seen: dict[Node, Node] = {}
    done: set[Node] = set()
    lowest = min((operand.index for operand, _ in read[:1]), default=0)
    for operand, reader in read:
        lowest = min(lowest, operand.index)
        if operand not in seen and seen and operand.operands:
            line = line_of(reader)
            for before in chain(operand, lowest):
                if before in seen:
                    if (
                        before not in done
                        and line_of(operand) != line
                        and not own_line(operand, line)
                    ):
                        done.add(before)
                        yield Found(before, operand, seen[before], reader)
                    break
        seen.setdefault(operand, reader)


def own_line(operand: Node, line: tuple[object, int]) -> bool:
    """Was the operand summed up on the line that reads it?"""
    return any(line_of(node) == line for node in list(chain(operand))[:1])


def line_of(node: Node) -> tuple[object, int]:
    """The code and the line of an operation."""
    from anyarray_mlp.backprop.tracing.source import spot

    if not node.place:
        return (None, 0)
    code, instruction = node.place[0]
    return (code, spot(code, instruction).line)


def chain(node: Node, lowest: int = 0) -> Iterator[Node]:
    """The values that a value was made from by sums alone, nearest first; none from before `lowest`."""
    todo, seen = [node], {node}
    while todo and len(seen) < LONGEST_CHAIN:
        current = todo.pop(0)
        for before in links(current):
            if before not in seen and before.index >= lowest:
                seen.add(before)
                yield before
                todo.append(before)


def shortest_chain(node: Node, start: Node) -> list[Node]:
    """The values between a value and one that it was made from by sums, both included."""
    back = {node: node}
    todo = [node]
    while todo and start not in back:
        current = todo.pop(0)
        for before in links(current):
            if before not in back:
                back[before] = current
                todo.append(before)
    if start not in back:
        return []
    told = [start]
    while told[-1] is not node:
        told.append(back[told[-1]])
    return told


def links(node: Node) -> list[Node]:
    """The operands that a sum carries on."""
    name = node.operation.split(" ")[0]
    if name in SUMS:
        same = [o for o in node.operands if o.is_float and o.value.shape == node.value.shape]
        same = same or [o for o in node.operands if o.is_float and o.value.size == node.value.size]
        # A bias that takes the shape of its gradient: a number, or a column that is not summed over the samples.
        return same + [o for o in node.operands if o.is_float and o not in same]
    if name == "multiply":  # (1 - decay) * w
        several = node.value.size > 1
        scalars = [o for o in node.operands if o.value.size == 1 and (several or not o.operands)]
        return [o for o in node.operands if o.is_float and o not in scalars] if scalars else []
    if name in FIRST_OPERAND or name.startswith("["):
        return [
            o
            for o in node.operands[:1]
            if o.is_float and (name != "array" or o.value.size == node.value.size)
        ]
    return []


def independent(nodes: Sequence[Node], found: list[Found]) -> list[Found]:
    """Without those that are made of other weights, or whose change does not depend on any."""
    starts = {f.start for f in found}
    made: set[Node] = set()
    for node in nodes:
        if any(operand in starts or operand in made for operand in node.operands):
            made.add(node)
    roots = starts - made
    kept = []
    for one in found:
        if one.start not in roots or not is_changed(one):
            continue
        # What was added to it depends on the weights, this one or others.
        added = ancestors([one.final])
        if (roots - {one.start}) & added or depends_twice(one, added):
            kept.append(one)
    kept.sort(key=lambda f: f.reader.index)
    return kept


def is_changed(one: Found) -> bool:
    """Is something added to the value? A buffer that is only written is no weight."""
    way = shortest_chain(one.final, one.start)
    return any(n.operation.split(" ")[0] in CHANGES for n in way)


def depends_twice(one: Found, added: set[Node]) -> bool:
    """Does the change of a weight depend on the weight itself?"""
    way = descendants(sorted(added, key=lambda n: n.index), {one.start}) - {one.start}
    return any(kind_of(n) not in SUMS and not n.moves for n in way)
