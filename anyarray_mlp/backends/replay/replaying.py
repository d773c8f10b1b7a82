"""What `Backend.compile` and `Backend.jit` return: recorded, planned and bound when first called, then replayed."""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from anyarray_mlp.arithmetic.reproducible_array import unwrap
from anyarray_mlp.backends.base import Arrays, Run, Step
from anyarray_mlp.backends.replay.binding import Binding
from anyarray_mlp.backends.replay.library import Library
from anyarray_mlp.backends.replay.planning import plan
from anyarray_mlp.backends.replay.plans import Plan
from anyarray_mlp.backends.replay.recording import (
    Arithmetic,
    NotRecordableError,
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


class BoundState(NamedTuple):
    """A state and data, as a caller has them, and what they are bound to."""

    state: Any
    data: Any
    binding: Binding


def is_same(nest: Any, other: Any) -> bool:
    """Whether two nests of tuples hold the very same leaves."""
    if nest is other:
        return True
    tuples = isinstance(nest, tuple) and isinstance(other, tuple) and len(nest) == len(other)
    return tuples and all(map(is_same, nest, other))


class Replay:
    """A step as `Backend.compile` returns it: recorded once for each set of shapes, then replayed.

    If a step cannot be recorded, `plain` runs it. `recordings` counts the programs recorded so far.
    """

    def __init__(self, step: Step, xp: Arithmetic, library: Library, plain: Run) -> None:
        self.step = step
        self.xp = xp
        self.library = library
        self.plain = plain
        self.plans: dict[Any, Plan | None] = {}
        self.bindings: dict[Any, Binding] = {}
        #: By the shapes of the inputs, what the last call was bound to: most calls continue with what it gave.
        self.bound: dict[Any, BoundState] = {}
        self.recordings = 0
        self.lock = threading.Lock()

    def __call__(self, state: Any, data: Any, inputs: Arrays) -> tuple[Any, Arrays]:
        """Run the steps of `inputs`; one call at a time, because calls share buffers."""
        with self.lock:
            raw = tuple(map(unwrap, inputs))
            shapes = tuple([(array.shape, array.dtype) for array in raw])
            bound = self.bound.get(shapes)
            if bound is None or data is not bound.data or not is_same(state, bound.state):
                bound = self.bind(state, data, raw)
            ranges = () if bound is None else bound.binding.plan.indices
            if bound is None or any(self.library.out_of_range(raw[i], n) for i, n in ranges):
                return self.plain(state, data, inputs)
            self.bound[shapes] = bound
            outputs = self.run(bound.binding, raw)
        return bound.state, tuple(map(self.xp.wrap, outputs))

    def bind(self, state: Any, data: Any, inputs: Arrays) -> BoundState | None:
        """Record, plan and bind what is new; None if the step cannot be replayed."""
        raw_state, raw_data = substitute(state, unwrap), substitute(data, unwrap)
        state_leaves, data_leaves = leaves(raw_state), leaves(raw_data)
        first = tuple(array[0, ...] for array in inputs)
        key = self.signature(raw_state, raw_data, first)
        if key not in self.plans:
            few = len(self.plans) < MOST_PLANS
            self.plans[key] = self.make_plan(raw_state, raw_data, first) if few else None
        plan = self.plans[key]
        if plan is None:
            return None
        steps = min(inputs[0].shape[0], plan.steps)
        binding = self.bindings.get(key)
        if (
            binding is None
            or binding.steps < steps
            or not all(map(operator.is_, binding.state, state_leaves))
            or not all(map(operator.is_, binding.data, data_leaves))
        ):
            binding = Binding(plan, self.library, self.own(state_leaves), data_leaves, steps)
            self.bindings[key] = binding
            self.bound.clear()  # it may hold the one before, and its buffers
        held = iter(binding.state)
        return BoundState(substitute(state, lambda _: self.xp.wrap(next(held))), data, binding)

    def run(self, binding: Binding, inputs: Arrays) -> list[Any]:
        """The outputs of the steps of `inputs`."""
        count = inputs[0].shape[0]
        outputs = [self.library.empty(v.spec, count) for v in binding.plan.program.outputs]
        with self.library.running():
            self.repeat(binding, inputs, outputs)
        return outputs

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
            owned.append(leaf if usable else self.library.copied(leaf))
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

    def __init__(self, function: Callable[..., Any], xp: Arithmetic, library: Library) -> None:
        self.function = function
        self.xp = xp
        self.library = library
        self.lock = threading.Lock()
        self.plans: dict[Any, tuple[Plan, Any] | None] = {}
        self.bindings: dict[Any, tuple[list[Any], BoundCall | None]] = {}

    def __call__(self, first: Any, *others: Any) -> Any:
        """`function(xp, first, *others)`."""
        raw = tuple(map(unwrap, others))
        if all(map(self.is_small, raw)) and self.lock.acquire(blocking=False):
            try:
                call = self.bound(first, raw)
                if call is not None:
                    return substitute(call(raw), self.xp.wrap)
            finally:
                self.lock.release()
        return self.function(self.xp, first, *others)

    def is_small(self, array: Any) -> bool:
        """Whether an argument is an array of few entries."""
        return self.library.is_array(array) and math.prod(array.shape) <= SMALL_CALL

    def bound(self, first: Any, others: Arrays) -> BoundCall | None:
        """The call if it has been bound, or is bound now since its parameters come a second time; else None."""
        key = tuple([(array.shape, array.dtype) for array in others])
        fixed = leaves(first)
        bound, call = self.bindings.get(key, ([], None))
        if len(bound) != len(fixed) or not all(map(operator.is_, bound, fixed)):
            self.bindings[key] = fixed, None
            return None
        if call is None:
            first = substitute(first, unwrap)
            call = self.bind(key, first, leaves(first), others)
            if call is not None:
                self.bindings[key] = fixed, call
        return call

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
