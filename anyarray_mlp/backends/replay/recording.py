"""Recording: run a step once on stand-ins for its arrays and record what it does, as a `Program`.

A step is pure and the shapes of its arrays do not change from one call to the next, so its operations are the same
each time. Once recorded, they can be replayed with every buffer allocated in advance
(`anyarray_mlp.backends.replay.binding`). A step that reads a value (`if loss > 1`, `float(x)`) cannot be recorded: it
raises `NotRecordableError`, and the caller runs the step without replay.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from anyarray_mlp.arithmetic import PlainNamespace, ReproducibleNamespace
from anyarray_mlp.arithmetic.reproducible_array import unwrap

#: What a recorded step computes with.
Arithmetic = PlainNamespace | ReproducibleNamespace


def recordable(xp: Any) -> Arithmetic | None:
    """A backend's arithmetic if its steps can be recorded: not one that traces or bounds what is computed."""
    return xp if type(xp) in (PlainNamespace, ReproducibleNamespace) else None


class NotRecordableError(Exception):
    """The step does something that depends on the values of its arrays."""


@dataclass(frozen=True)
class Spec:
    """Shape, dtype and strides (in entries) of an array."""

    shape: tuple[int, ...]
    dtype: Any
    strides: tuple[int, ...]


@dataclass(eq=False, repr=False)
class Value:
    """An array of a program: an argument, a constant, or the result of a node.

    `base` is the value of which this one is a view. `source` says where an argument comes from: ("state", 0) is
    the first leaf of the state, and so on for "data" and "inputs".
    """

    spec: Spec
    base: Value | None = None
    source: tuple[str, int] | None = None
    constant: Any = None
    node: Node | None = None

    @property
    def root(self) -> Value:
        """The value whose memory holds this one."""
        return self if self.base is None else self.base.root


@dataclass(eq=False, repr=False)
class Node:
    """One operation. `args` and `kwargs` hold values in place of the call's arrays, also within lists."""

    op: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Value

    @property
    def operands(self) -> list[Value]:
        """All values among the arguments."""
        return [leaf for leaf in leaves((self.args, self.kwargs)) if isinstance(leaf, Value)]


@dataclass
class Program:
    """What a step does: nodes in order, and the values of its new state and of its outputs."""

    arguments: dict[str, list[Value]]
    nodes: list[Node] = field(default_factory=list)
    state: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)


class Library(Protocol):
    """What recording needs from an array library."""

    def is_array(self, value: Any) -> bool:
        """Whether a result is an array; NumPy scalars count as arrays."""

    def spec(self, array: Any) -> Spec:
        """Its shape, dtype and strides."""

    def share_memory(self, a: Any, b: Any) -> bool:
        """Whether one is a view of the other."""

    def stand_in(self, array: Any) -> Any:
        """An array of the same spec whose values do not matter and whose memory is not yet touched."""

    def quietly(self) -> AbstractContextManager[Any]:
        """A context in which arithmetic on stand-ins does not warn."""


#: Functions whose result shapes depend on values.
DATA_DEPENDENT = frozenset(
    {"nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values", "argwhere"}
)
#: Functions that query dtypes and shapes and compute nothing.
ABOUT_TYPES = frozenset(
    {"result_type", "can_cast", "isdtype", "finfo", "iinfo", "broadcast_shapes"}
)
#: Results larger than this many bytes are replaced by stand-ins, so that recording takes little memory.
STAND_IN_BYTES = 1 << 20


class Recorder:
    """Records the calls that its namespace and its arrays pass on to it."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.nodes: list[Node] = []

    def argument(self, array: Any, source: tuple[str, int]) -> Recorded:
        """A stand-in for an argument of the step."""
        value = Value(self.library.spec(array), source=source)
        return Recorded(self, self.library.stand_in(array), value)

    def constant(self, array: Any) -> Recorded:
        """An array that is the same in every step."""
        return Recorded(self, array, Value(self.library.spec(array), constant=array))

    def call(
        self, op: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call a function of the library and record it; results that depend on no argument are constants."""
        inputs = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Recorded)]
        result = function(*substitute(args, concrete), **substitute(kwargs, concrete))
        if not self.library.is_array(result):
            if not inputs or op in ABOUT_TYPES:
                return result
            raise NotRecordableError(f"{op} returned {type(result).__name__}, not an array.")
        if op in DATA_DEPENDENT and inputs:
            raise NotRecordableError(f"The shape of the result of {op} depends on values.")
        if all(i.value.constant is not None for i in inputs):
            return self.constant(result)
        base = next((i for i in inputs if self.library.share_memory(result, i.array)), None)
        out = Value(self.library.spec(result), base=None if base is None else base.value)
        to_values = (substitute(args, self.value), substitute(kwargs, self.value))
        out.node = Node(op, function, *to_values, out)
        self.nodes.append(out.node)
        if base is None and getattr(result, "nbytes", 0) > STAND_IN_BYTES:
            result = self.library.stand_in(result)
        return Recorded(self, result, out)

    def function(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, recorded under `name`."""

        def call(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, function, args, kwargs)

        return call

    def namespace(self, xp: Any) -> RecordingLibrary:
        """A library's namespace whose calls are recorded."""
        return RecordingLibrary(self, xp)

    def value(self, leaf: Any) -> Any:
        """The value for an array among a call's arguments; other arguments unchanged."""
        if isinstance(leaf, Recorded):
            return leaf.value
        return self.constant(leaf).value if self.library.is_array(leaf) else leaf


class Recorded:
    """Stands for an array while a step is recorded. Has the standard's attributes and operators."""

    #: Leave `array + recorded` to `Recorded.__radd__`.
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recorder: Recorder, array: Any, value: Value) -> None:
        self.recorder = recorder
        self.array = array
        self.value = value

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    device = property(lambda self: self.array.device)
    T = property(lambda self: self.recorder.call("T", lambda x: x.T, (self,), {}))
    mT = property(lambda self: self.recorder.call("mT", lambda x: x.mT, (self,), {}))

    @property
    def size(self) -> int:
        """Number of entries."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    def __getitem__(self, key: Any) -> Any:
        if any(
            isinstance(leaf, Recorded) or self.recorder.library.is_array(leaf)
            for leaf in leaves(key)
        ):
            raise NotRecordableError("Indexing by an array cannot be recorded; use take.")
        return self.recorder.call("getitem", operator.getitem, (self, key), {})

    def __len__(self) -> int:
        return int(self.shape[0])

    def refuse(self, *_: Any) -> Any:
        """For anything that needs the values."""
        raise NotRecordableError("The step reads the value of an array.")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __array__ = __iter__ = refuse
    __setitem__ = __dlpack__ = refuse


#: Operators, and the corresponding functions of the standard.
OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
    "matmul": "matmul",
}
COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


def _add_operators() -> None:
    def method(op: str, function: Callable[..., Any], swap: bool = False) -> Any:
        def call(self: Recorded, *others: Any) -> Any:
            args = (*others, self) if swap else (self, *others)
            return self.recorder.call(op, function, args, {})

        return call

    def augmented(op: str, function: Callable[..., Any]) -> Any:
        def call(self: Recorded, other: Any) -> Any:
            result = self.recorder.call(op, function, (self, other), {})
            if (result.shape, result.dtype) != (self.shape, self.dtype):
                raise NotRecordableError(
                    f"Augmented {op} would change {self.shape} {self.dtype} to {result.shape} {result.dtype}."
                )
            return result

        return call

    for name, op in OPERATORS.items():
        function = getattr(operator, f"__{name}__")
        setattr(Recorded, f"__{name}__", method(op, function))
        setattr(Recorded, f"__r{name}__", method(op, function, swap=True))
        setattr(Recorded, f"__i{name}__", augmented(op, function))
    for name, op in (COMPARISONS | UNARY).items():
        setattr(Recorded, f"__{name}__", method(op, getattr(operator, f"__{name}__")))


_add_operators()


class RecordingLibrary:
    """A library's namespace whose functions record; everything else (dtypes, constants) is passed through."""

    def __init__(self, recorder: Recorder, module: Any) -> None:
        self.recorder = recorder
        self.module = module
        self.__name__ = f"recording {module.__name__}"

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.module, name)
        if not callable(attribute) or isinstance(attribute, type):
            return attribute
        return self.recorder.function(name, attribute)


def record(
    step: Callable[..., Any],
    xp: Arithmetic,
    library: Library,
    state: Any,
    data: Any,
    inputs: Any,
) -> Program:
    """The program of `step(xp, state, data, inputs)`, recorded by running it once on stand-ins.

    Raises `NotRecordableError`, or whatever the step raises.
    """
    recorder = Recorder(library)
    namespace = xp.through(recorder)
    arguments: dict[str, list[Value]] = {"state": [], "data": [], "inputs": []}

    def stand_ins(kind: str, nest: Any) -> Any:
        def stand_in(leaf: Any) -> Any:
            recorded = recorder.argument(leaf, (kind, len(arguments[kind])))
            arguments[kind].append(recorded.value)
            return namespace.wrap(recorded)

        return substitute(nest, stand_in)

    with library.quietly():
        new_state, outputs = step(
            namespace,
            stand_ins("state", state),
            stand_ins("data", data),
            stand_ins("inputs", inputs),
        )
    if structure(new_state) != structure(state):
        raise NotRecordableError("The new state is nested differently from the old one.")
    program = Program(arguments, recorder.nodes)
    for values, nest in ((program.state, new_state), (program.outputs, outputs)):
        for leaf in map(unwrap, leaves(nest)):
            if not isinstance(leaf, Recorded):
                raise NotRecordableError(f"The step returned {type(leaf).__name__}, not an array.")
            values.append(leaf.value)
    if any(
        (new.spec.shape, new.spec.dtype) != (old.spec.shape, old.spec.dtype)
        for new, old in zip(program.state, arguments["state"], strict=True)
    ):
        raise NotRecordableError("The new state has other shapes or dtypes than the old one.")
    return program


def concrete(leaf: Any) -> Any:
    """The array that a recorded one holds while recording."""
    return leaf.array if isinstance(leaf, Recorded) else leaf


def leaves(nest: Any) -> list[Any]:
    """The leaves of a nest of tuples, lists and dicts, in order."""
    if isinstance(nest, (tuple, list)):
        return [leaf for part in nest for leaf in leaves(part)]
    if isinstance(nest, dict):
        return [leaf for part in nest.values() for leaf in leaves(part)]
    return [nest]


def substitute(nest: Any, f: Callable[[Any], Any]) -> Any:
    """The same nest with f applied to every leaf."""
    if isinstance(nest, (tuple, list)):
        parts = [substitute(part, f) for part in nest]
        return parts if isinstance(nest, list) else tuple(parts)
    if isinstance(nest, dict):
        return {name: substitute(part, f) for name, part in nest.items()}
    return f(nest)


def structure(nest: Any) -> Any:
    """The nest without its leaves."""
    return substitute(nest, lambda leaf: None)
