"""Replay: a recorded step as a flat list of calls into buffers that are allocated once.

`Replay` binds a plan (`backends.replay.planning`) to arrays and runs it. Each operation is the library's own,
on operands of the same layout as in the plain loop, so on NumPy the results equal the plain loop's bit for bit.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from operator import is_ as is_same
from typing import Any

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.backends.base import Arrays, Run, Step
from anyarray_mlp.backends.replay.planning import (
    Call,
    Library,
    Memory,
    Plan,
    Slot,
    block_rows,
    plan,
)
from anyarray_mlp.backends.replay.recording import (
    Node,
    NotRecordableError,
    Spec,
    Value,
    leaves,
    record,
    structure,
    substitute,
)

#: The most shapes of arguments for which `ReplayedCall` keeps buffers.
MOST_BINDINGS = 16
#: Shapes of batches that a step is recorded for; further ones run without, as each recording keeps its buffers.
MOST_PLANS = 64
#: A call is replayed if its arguments (except the first) have at most this many entries: for larger ones, the
#: operations dominate and replay gains nothing.
SMALL_CALL = 1 << 20


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
        if place.block:
            spec = Spec(
                (block_rows(spec, self.plan.block), *spec.shape[1:]), spec.dtype, spec.strides
            )
        self.fixed[value] = self.library.lay_out(self.memories[place.memory], place.offset, spec)
        return self.fixed[value]


class Replay:
    """A step as `Backend.compile` returns it: recorded once for each set of shapes, then replayed.

    If a step cannot be recorded, `plain` runs it. `recordings` counts the programs recorded so far.
    """

    def __init__(self, step: Step, xp: PlainNamespace, library: Library, plain: Run) -> None:
        self.step = step
        self.xp = xp
        self.library = library
        self.plain = plain
        self.plans: dict[Any, Plan | None] = {}
        self.bindings: dict[Any, Binding] = {}
        self.recordings = 0
        self.lock = threading.Lock()

    def __call__(self, state: Any, data: Any, inputs: Arrays) -> tuple[Any, Arrays]:
        """Run the steps of `inputs`; one call at a time, because calls share buffers."""
        with self.lock:
            return self.run(state, data, inputs)

    def run(self, state: Any, data: Any, inputs: Arrays) -> tuple[Any, Arrays]:
        """Record, plan and bind what is new, and run."""
        state_leaves, data_leaves = leaves(state), leaves(data)
        count = inputs[0].shape[0]
        first = tuple(array[0, ...] for array in inputs)
        key = self.signature(state, data, first)
        if key not in self.plans:
            few = len(self.plans) < MOST_PLANS
            self.plans[key] = self.make_plan(state, data, first) if few else None
        plan = self.plans[key]
        if plan is None or any(self.library.out_of_range(inputs[i], n) for i, n in plan.indices):
            return self.plain(state, data, inputs)
        binding = self.bindings.get(key)
        if (
            binding is None
            or binding.steps < min(count, plan.steps)
            or any(a is not b for a, b in zip(binding.state, state_leaves, strict=True))
            or any(a is not b for a, b in zip(binding.data, data_leaves, strict=True))
        ):
            owned = self.own(state_leaves)
            binding = Binding(plan, self.library, owned, data_leaves, min(count, plan.steps))
            self.bindings[key] = binding
        specs = [value.spec for value in plan.program.outputs]
        outputs = [self.library.empty(spec, count) for spec in specs]
        with self.library.running():
            self.repeat(binding, inputs, outputs)
        final = iter(binding.state)
        return substitute(state, lambda _: next(final)), tuple(outputs)

    def signature(self, *nests: Any) -> Any:
        """The key of a plan: the nesting and specs of all arrays, without the inputs' axis of steps."""
        return tuple(
            (repr(structure(nest)), *map(self.library.spec, leaves(nest))) for nest in nests
        )

    def make_plan(self, state: Any, data: Any, inputs: Arrays) -> Plan | None:
        """The plan of the step for arrays like these, or None if it cannot be recorded."""
        self.recordings += 1
        try:
            return plan(record(self.step, self.xp, self.library, state, data, inputs), self.library)
        except NotRecordableError:
            return None

    def own(self, state: list[Any]) -> list[Any]:
        """The leaves of the state, which is consumed; read-only leaves are copied."""
        owned: list[Any] = []
        for leaf in state:
            shared = any(self.library.share_memory(leaf, other) for other in owned)
            usable = self.library.is_writable(leaf) and not shared
            owned.append(leaf if usable else self.xp.asarray(leaf, copy=True))
        return owned

    def repeat(self, binding: Binding, inputs: Arrays, outputs: list[Any]) -> None:
        """Run the steps of `inputs` and fill `outputs`, which both have an axis of steps in front."""
        copy = self.library.copy
        count = inputs[0].shape[0]
        for start in range(0, count, binding.steps):
            n = min(binding.steps, count - start)
            for array, buffer in zip(inputs, binding.inputs, strict=True):
                copy(array[start : start + n, ...], buffer[:n, ...])()
            if binding.captured is not None and n == binding.steps:
                binding.captured()
            else:
                for call in binding.ahead:
                    call()
                for calls in binding.step_calls[:n]:
                    for call in calls:
                        call()
            for buffer, column in zip(binding.outputs, outputs, strict=True):
                copy(buffer[:n, ...], column[start : start + n, ...])()


class ReplayedCall:
    """A function as `Backend.jit` returns it: calls with few rows are replayed, others run unchanged.

    The arrays of the first argument (the parameters) are used in place; the others are copied into buffers, and the
    results are copied out. A call concurrent with another thread's runs without replay.
    """

    def __init__(self, function: Callable[..., Any], xp: PlainNamespace, library: Library) -> None:
        self.function = function
        self.xp = xp
        self.library = library
        self.lock = threading.Lock()
        self.plans: dict[Any, tuple[Plan, Any] | None] = {}
        self.bindings: dict[Any, tuple[list[Any], BoundCall | None]] = {}

    def __call__(self, first: Any, *others: Any) -> Any:
        """`function(xp, first, *others)`."""
        if all(self.is_small(array) for array in others) and self.lock.acquire(blocking=False):
            try:
                return self.replay(first, others)
            finally:
                self.lock.release()
        return self.function(self.xp, first, *others)

    def is_small(self, array: Any) -> bool:
        """Whether an argument is an array of few entries."""
        return self.library.is_array(array) and math.prod(array.shape) <= SMALL_CALL

    def replay(self, first: Any, others: Arrays) -> Any:
        """Replay the call if it has been bound; bind it if its parameters come a second time."""
        key = tuple([(array.shape, array.dtype) for array in others])
        fixed = leaves(first)
        bound, call = self.bindings.get(key, ([], None))
        if len(bound) != len(fixed) or not all(map(is_same, bound, fixed)):
            self.bindings[key] = fixed, None
            return self.function(self.xp, first, *others)
        if call is None:
            call = self.bind(key, first, fixed, others)
            if call is None:
                return self.function(self.xp, first, *others)
            self.bindings[key] = fixed, call
        return call(others)

    def bind(self, key: Any, first: Any, fixed: list[Any], others: Arrays) -> BoundCall | None:
        """The call, bound to parameters, or None if the function cannot be recorded."""
        if len(self.bindings) > MOST_BINDINGS:
            self.bindings.clear()
        nest: Any = None

        def step(xp: Any, state: Any, data: Any, inputs: Any) -> Any:
            nonlocal nest
            results = self.function(xp, data, *inputs)
            nest = structure(results)
            return (), tuple(leaves(results))

        signature = (key, repr(structure(first)), *map(self.library.spec, fixed))
        if signature not in self.plans:
            try:
                program = record(step, self.xp, self.library, (), first, others)
                self.plans[signature] = plan(program, self.library), nest
            except NotRecordableError:
                self.plans[signature] = None
        made = self.plans[signature]
        if made is None:
            return None
        return BoundCall(Binding(made[0], self.library, [], fixed, 1), made[1])


class BoundCall:
    """One step of a binding as a function of its inputs; `nest` is the structure of the results."""

    def __init__(self, binding: Binding, nest: Any) -> None:
        self.library = binding.library
        self.inputs = [buffer[0, ...] for buffer in binding.inputs]
        self.calls = [*binding.ahead, *binding.step_calls[0]]
        self.outputs = [buffer[0, ...] for buffer in binding.outputs]
        self.nest = nest

    def __call__(self, inputs: Arrays) -> Any:
        """Copy the inputs in, make the calls, copy the results out."""
        library = self.library
        for array, buffer in zip(inputs, self.inputs, strict=True):
            library.copy_now(array, buffer)
        with library.running():
            for call in self.calls:
                call()
        results = map(library.copied, self.outputs)
        return substitute(self.nest, lambda _: next(results))
