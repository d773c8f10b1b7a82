"""Binding: a plan as flat lists of calls into buffers that are allocated once.

Each operation is the library's own, on operands of the same layout as in the plain loop, so on NumPy the results
equal the plain loop's bit for bit.
"""

from __future__ import annotations

import warnings
from typing import Any

from anyarray_mlp.backends.replay.library import Call, Library
from anyarray_mlp.backends.replay.plans import Memory, Plan, Slot, block_rows
from anyarray_mlp.backends.replay.recording import Node, Spec, Value, substitute


class Binding:
    """A plan bound to the arrays of a state and of data: buffers allocated, calls ready.

    `inputs` and `outputs` have an axis of `steps` steps in front. A run of n <= `steps` steps fills the first n of
    `inputs`, makes the calls of `ahead` and of `steps_calls[:n]`, and reads the first n of `outputs`.
    """

    def __init__(
        self, plan: Plan, library: Library, state: list[Any], data: list[Any], steps: int
    ) -> None:
        self.plan = plan
        self.library = library
        self.state = state
        self.data = data
        self.steps = steps
        program = plan.program
        self.inputs = [library.empty(v.spec, steps) for v in program.arguments["inputs"]]
        self.outputs = [library.empty(v.spec, steps) for v in program.outputs]
        self.memories: dict[Memory, Any] = {}
        self.prepared: dict[Value, Any] = dict(
            zip(program.arguments["inputs"], self.inputs, strict=True)
        )
        self.fixed: dict[Value, Any] = dict(zip(program.arguments["data"], data, strict=True))
        self.fixed |= zip(program.arguments["state"], state, strict=True)
        self.ahead = [call for node in plan.ahead for call in self.prepare(node)]
        self.shared_calls: dict[int, list[Call]] = {}
        self.step_calls = [self.step(position) for position in range(steps)]
        calls = [*self.ahead, *(call for calls in self.step_calls for call in calls)]
        #: All steps in one call, if the library can capture them.
        self.captured = self.capture(calls) if library.captures else None

    def capture(self, calls: list[Call]) -> Call | None:
        """One call for all steps, or None; the state is not changed."""
        before = [self.library.copied(leaf) for leaf in self.state]
        try:
            return self.library.capture(calls)
        except (
            Exception
        ) as error:  # whatever the driver or the library raises, the calls themselves still work
            warnings.warn(f"No CUDA graph ({error}): steps run one by one.", stacklevel=2)
            return None
        finally:
            for leaf, old in zip(self.state, before, strict=True):
                self.library.copy_now(old, leaf)

    # --- for several steps at once ---

    def prepare(self, node: Node) -> list[Call]:
        """The calls that compute a node for all steps at once; a view needs none."""
        rank = len(node.out.spec.shape)
        if node.out.base is not None:
            array = self.prepared[node.operands[0]]
            if node.op == "reshape":
                argument: Any = (self.steps, *node.out.spec.shape)
            else:
                key = node.args[1]
                argument = (slice(None), *(key if isinstance(key, tuple) else (key,)))
            self.prepared[node.out] = node.function(array, argument)
            return []

        def operand(leaf: Any) -> Any:
            if not isinstance(leaf, Value):
                return leaf
            if leaf not in self.prepared:
                return self.array(leaf, {})
            array = self.prepared[leaf]
            missing = rank - len(leaf.spec.shape)
            if missing <= 0 or node.op == "gather":
                return array
            return array.reshape((self.steps, *(1,) * missing, *leaf.spec.shape))

        over = self.plan.shared.get(node.out)
        out = self.library.empty(node.out.spec, self.steps) if over is None else self.prepared[over]
        self.prepared[node.out] = out
        args, kwargs = substitute(node.args, operand), substitute(node.kwargs, operand)
        return self.library.emit(node.op, node.function, args, kwargs, out)

    # --- one step ---

    def step(self, position: int) -> list[Call]:
        """The calls of one step, given its position among the steps prepared together."""
        local = {v: a[position, ...] for v, a in self.prepared.items()}
        local |= {v: self.outputs[i][position, ...] for v, i in self.plan.direct.items()}
        calls: list[Call] = []
        for time, group in enumerate(self.plan.groups):
            if any(
                v.root in local or v in local for node in group for v in (*node.operands, node.out)
            ):
                calls += self.group(group, local)
            else:
                if time not in self.shared_calls:
                    self.shared_calls[time] = self.group(group, {})
                calls += self.shared_calls[time]
        program = self.plan.program
        for i, value in enumerate(program.outputs):
            if self.plan.direct.get(value) != i:
                calls.append(
                    self.library.copy(self.array(value, local), self.outputs[i][position, ...])
                )
        for i, (new, old) in enumerate(zip(program.state, program.arguments["state"], strict=True)):
            place = self.plan.places.get(new)
            if new is not old and not (place is not None and isinstance(place.memory, Slot)):
                calls.append(self.library.copy(self.array(new, local), self.state[i]))
        return calls

    def group(self, group: list[Node], local: dict[Value, Any]) -> list[Call]:  # noqa: C901 - a group is emitted in three ways, each in a few lines
        """The calls of a group of nodes, block by block if the group has more than one node."""
        calls: list[Call] = []
        if group[0] in self.plan.vanished:
            return calls
        stored = [node.out for node in group if node.out not in self.plan.inner]

        def array_of(value: Value) -> Any:
            return self.array(value, local)

        if self.library.fuses_groups and all(
            node.op in self.library.elementwise and not node.kwargs for node in group
        ):
            return self.library.emit_group(group, stored, array_of)
        if len(group) > 1:
            whole_group = self.library.emit_whole(group, stored, array_of)
            if whole_group is not None:
                return whole_group
        rows = group[0].out.spec.shape[0] if group[0].out.spec.shape else 1
        blocks = [(0, rows)]
        if len(group) > 1:
            size = block_rows(group[0].out.spec, self.plan.block)
            blocks = [(start, min(start + size, rows)) for start in range(0, rows, size)]
        for start, stop in blocks:
            for node in group:
                whole = len(blocks) == 1

                def operand(leaf: Any, node: Node = node, whole: bool = whole) -> Any:
                    if not isinstance(leaf, Value):
                        return leaf
                    array = self.array(leaf, local)
                    place = self.plan.places.get(leaf)
                    if place is not None and place.block:
                        return array[: stop - start, ...]  # noqa: B023
                    shape = leaf.spec.shape
                    if whole or len(shape) < len(node.out.spec.shape) or shape[0] == 1:
                        return array
                    return array[start:stop, ...]  # noqa: B023

                args, kwargs = substitute(node.args, operand), substitute(node.kwargs, operand)
                calls += self.library.emit(node.op, node.function, args, kwargs, operand(node.out))
        return calls

    def array(self, value: Value, local: dict[Value, Any]) -> Any:
        """The array of a value."""
        if value in local:
            return local[value]
        if value in self.fixed:
            return self.fixed[value]
        if value.constant is not None:
            return value.constant
        node = value.node
        assert node is not None
        if value.base is not None:
            args = substitute(
                node.args, lambda a: self.array(a, local) if isinstance(a, Value) else a
            )
            array = node.function(*args, **node.kwargs)
            (local if value.root in local else self.fixed)[value] = array
            return array
        place = self.plan.places[value]
        if isinstance(place.memory, Slot):
            return self.state[place.memory.index]
        if place.memory not in self.memories:
            self.memories[place.memory] = self.library.memory(place.memory.size, place.memory.dtype)
        spec = value.spec
        if place.strides is not None:
            spec = Spec(spec.shape, spec.dtype, place.strides)
        if place.block:
            spec = Spec(
                (block_rows(spec, self.plan.block), *spec.shape[1:]), spec.dtype, spec.strides
            )
        self.fixed[value] = self.library.lay_out(self.memories[place.memory], place.offset, spec)
        return self.fixed[value]
