"""Planning: when each operation of a recorded program runs.

`plan` decides, from the program alone:

- consecutive elementwise operations on large arrays run block by block within the cache, or as one kernel if the
  library can;
- what depends on the data and the inputs of a step but not on the state (gathering a batch, one-hot rows) is done
  for several steps at once;
- and, by `placing`, where each value is stored.
"""

from __future__ import annotations

import math
from typing import Any

from anyarray_mlp.backends.replay.library import Library, is_elementwise
from anyarray_mlp.backends.replay.placing import Placer
from anyarray_mlp.backends.replay.plans import Plan, count_users, is_contiguous, nbytes
from anyarray_mlp.backends.replay.recording import Node, NotRecordableError, Program, Value

#: Elementwise operations of more than this many blocks run block by block.
LARGE = 4
#: The most steps prepared at once.
MOST_AHEAD = 64


def plan(program: Program, library: Library) -> Plan:
    """Plan the replay of a program. Raises `NotRecordableError` if the new state is only an alias of the old one."""
    return Planner(program, library).plan


class Planner:
    """Makes one plan; the attributes hold what is known so far."""

    def __init__(self, program: Program, library: Library) -> None:
        self.program = program
        self.library = library
        self.plan = Plan(program, library.block)
        self.nodes = live_nodes(program)
        for new, old in zip(program.state, program.arguments["state"], strict=True):
            if new.root.source is not None and new is not old:
                raise NotRecordableError("A leaf of the new state is a view of an argument.")
        if len({value.root for value in program.state}) < len(program.state):
            raise NotRecordableError("Two leaves of the new state are one array.")
        self.fuse()
        for node in self.nodes:
            self.find_gather(node)
        self.choose_ahead()
        self.nodes = [node for node in self.nodes if node not in self.plan.ahead]
        self.computed = [node for node in self.nodes if node.out.base is None]
        self.group()
        Placer(self.plan, library, self.nodes)

    def is_elementwise(self, node: Node) -> bool:
        """Whether a node may be computed in blocks."""
        return is_elementwise(node, self.library)

    def fuse(self) -> None:
        """Replace operations by fused ones."""
        users = count_users(self.nodes, self.program)

        def only_use(value: Any) -> Node | None:
            alone = isinstance(value, Value) and value.base is None and users[value] == 1
            return value.node if alone else None

        for node in self.nodes:
            fused = self.library.fuse(node, only_use)
            if fused is not None:
                node.op, node.args = fused
        self.nodes = live_nodes(self.program)

    # --- what can be prepared for several steps ---

    def choose_ahead(self) -> None:
        ready: set[Value] = set(self.program.arguments["inputs"])
        fixed: set[Value] = set(self.program.arguments["data"])
        size = sum(nbytes(value.spec) for value in ready)
        users = count_users(self.nodes, self.program)
        for node in self.nodes:
            if not self.can_go_ahead(node, ready, fixed):
                continue
            ready.add(node.out)
            self.plan.ahead.append(node)
            if node.out.base is not None:
                continue
            over = next(
                (
                    operand
                    for operand in node.operands
                    if self.is_elementwise(node)
                    and operand.node in self.plan.ahead
                    and operand.base is None
                    and operand.spec == node.out.spec
                    and users[operand] == 1
                ),
                None,
            )
            if over is None:
                size += nbytes(node.out.spec)
            else:
                self.plan.shared[node.out] = over
        self.plan.steps = max(1, min(MOST_AHEAD, self.library.ahead_bytes // max(size, 1)))

    def can_go_ahead(self, node: Node, ready: set[Value], fixed: set[Value]) -> bool:
        operands = node.operands
        if not any(operand in ready for operand in operands) or any(
            not (operand in ready or operand in fixed or operand.constant is not None)
            for operand in operands
        ):
            return False
        spec = node.out.spec
        if nbytes(spec) > self.library.ahead_bytes // 2 or (
            node.out.base is None and not is_contiguous(spec)
        ):
            return False
        return node.op in ("gather", "getitem", "reshape") or self.is_elementwise(node)

    def find_gather(self, node: Node) -> None:
        """Mark `take(data, indices of the step, axis=0)`; its indices are checked once for all steps."""
        if node.op != "take" or len(node.args) != 2 or node.kwargs != {"axis": 0}:
            return
        source, index = node.args
        if index.source is not None and index.source[0] == "inputs" and len(index.spec.shape) == 1:
            node.op = "gather"
            check = (index.source[1], source.spec.shape[0])
            if check not in self.plan.indices:
                self.plan.indices.append(check)

    # --- blocks ---

    def group(self) -> None:
        groups: list[list[Node]] = []
        closed: list[Node] = []
        for time, node in enumerate(self.computed, start=1):
            last = groups[-1] if groups and groups[-1] is not closed else []
            if (
                last
                and self.can_block(node)
                and self.can_block(last[-1])
                and node.out.spec.shape == last[-1].out.spec.shape
                and not any(
                    operand.base is not None and operand.root in {n.out for n in last}
                    for operand in node.operands
                )
            ):
                last.append(node)
            else:
                groups.append([node])
            length = self.library.kernel_length(self.computed[:time])
            if length:
                closed = self.computed[time - length : time]
                groups = [
                    rest
                    for group in groups
                    if (rest := [member for member in group if member not in closed])
                ]
                groups.append(closed)
        self.plan.groups = groups

    def can_block(self, node: Node) -> bool:
        return (
            self.is_elementwise(node)
            and is_contiguous(node.out.spec)
            and (
                self.library.fuses_groups
                or math.prod(node.out.spec.shape) > LARGE * self.plan.block
            )
        )


def live_nodes(program: Program) -> list[Node]:
    """The nodes that the new state or an output depends on."""
    wanted = set(program.state) | set(program.outputs)
    nodes = []
    for node in reversed(program.nodes):
        if node.out in wanted:
            wanted.update(node.operands)
            nodes.append(node)
    return nodes[::-1]
