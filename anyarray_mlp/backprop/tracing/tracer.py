"""`Tracer`: an array that puts every operation on it on the tape that is recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.arguments import (
    float_of,
    plain_key,
    pull,
    push,
    small_float,
    stripped,
    text,
    widened,
)
from anyarray_mlp.backprop.tracing.numpy_names import ELEMENTWISE, METHODS, MOVES, UNDISPATCHED
from anyarray_mlp.backprop.tracing.tape import Node, Tape, bare
from anyarray_mlp.typing import Host

#: What is written into arrays larger than this, as when data is prepared row by row, is not followed.
LARGEST_WRITTEN = 500_000


class Recorder:
    """The tape that records now, if any."""

    tape: Tape | None = None


class Tracer(np.ndarray[Any, Any]):
    """An array with its node on the tape, and the version of its memory that the node stands for."""

    node: Node | None = None
    version = 0

    def __array_finalize__(self, source: Any) -> None:
        self.node, self.version = None, 0

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if method == "at":
            return write_at(ufunc, *inputs)
        if options.get("where") is True:
            del options["where"]
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
        elementwise = method == "__call__" and ufunc.signature is None
        if out is None:
            return record(name, function, inputs, options, elementwise)
        targets = out if isinstance(out, tuple) else (out,)
        return record_into(targets[0], name, function, inputs, options, elementwise)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        if name in ("copyto", "fill_diagonal", "put", "place", "putmask"):
            return record_change(name, function, args, kwargs)
        if name == "shape" or name == "ndim" or name == "size":
            return function(*stripped(args), **stripped(kwargs))
        if kwargs.get("out") is not None:
            target = kwargs.pop("out")
            target = target[0] if isinstance(target, tuple) else target
            return record_into(target, name, function, args, kwargs, name in ELEMENTWISE)
        return record(name, function, args, kwargs, name in ELEMENTWISE)

    def __getitem__(self, key: Any) -> Any:
        if self.node is None and self.size > LARGEST_WRITTEN and Recorder.tape is not None:
            part = bare(self)[plain_key(index_key(key))]  # of an array that is not followed
            return traced(part, None) if isinstance(part, np.ndarray) else part
        return record(f"[{text(key)}]", lambda v, k: v[k], (self, index_key(key)), {}, moves=True)

    def __setitem__(self, key: Any, value: Any) -> None:
        key = index_key(key)
        tape, base = Recorder.tape, bare(self)
        if tape is None:
            base[plain_key(key)] = stripped(value)
            return
        if base.size > LARGEST_WRITTEN:
            base[plain_key(key)] = stripped(value)
            tape.forget(self)
            return
        before = tape.node_of(self)
        if isinstance(value, (list, tuple)):
            value = as_recorded(value)
        given = tape.node_of(value)
        leaves: list[Any] = []
        shape = pull(key, leaves, numbers=False)
        indices = [tape.node_of(leaf) for leaf in leaves]

        def write(old: Host, new: Host, *found: Host) -> Host:
            written = np.array(old)
            written[push(shape, found)] = new
            return written

        base[plain_key(key)] = stripped(value)
        after = tape.add(f"[{text(key)}]=", write, [before, given, *indices], base, moves=True)
        tape.written(self, before, after)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> Any:
        return record("T", lambda v: v.T, (self,), {}, moves=True)

    def tolist(self) -> Any:
        return [row.tolist() for row in self] if self.ndim else self

    def item(self, *index: Any) -> Any:
        return self.reshape(-1)[index[0] if index else 0]

    def fill(self, value: Any) -> None:
        self[...] = value

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __copy__(self) -> Any:
        return self.copy()

    def __index__(self) -> int:
        value = bare(self).item()
        if isinstance(value, float) and value.is_integer():
            return int(value)  # a whole number that was recorded as a float
        return int(np.ndarray.__index__(self))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(bare(self).item()) if self.ndim == 0 else id(self)

    def __reduce__(self) -> Any:
        return bare(self).__reduce__()

    def __round__(self, digits: int | None = None) -> Any:
        return np.round(self, digits or 0) if digits else round(float(self))

    def __format__(self, spec: str) -> str:
        return format(bare(self).item() if self.ndim == 0 else bare(self), spec)

    def __repr__(self) -> str:
        return repr(bare(self).item() if self.ndim == 0 else bare(self))

    __str__ = __repr__


class MatrixTracer(Tracer):
    """`np.matrix` on the tape: always two-dimensional, `*` is the matrix product."""

    def __mul__(self, other: Any) -> Any:
        return np.dot(self, other) if np.ndim(other) else np.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return np.dot(other, self) if np.ndim(other) else np.multiply(other, self)

    def __imul__(self, other: Any) -> Any:
        return self.__mul__(other)

    def __pow__(self, power: Any, mod: None = None) -> Any:
        return np.linalg.matrix_power(self, power)

    @property
    def A(self) -> Any:
        return record("asarray", lambda v: np.asarray(v), (Tracer.view(self, Tracer),), {})

    @property
    def A1(self) -> Any:
        return self.A.ravel()

    def __getitem__(self, key: Any) -> Any:
        found = Tracer.__getitem__(self, key)
        if isinstance(found, Tracer) and found.ndim == 1:
            column = (
                isinstance(key, tuple) and len(key) == 2 and isinstance(key[1], (int, np.integer))
            )
            return as_matrix(found.reshape(-1, 1) if column else found.reshape(1, -1))
        return found


# ---- recording -----------------------------------------------------------------------------------


def traced(value: Any, node: Node | None, matrix: bool = False) -> Tracer:
    """`value` as a recorded array, in the same memory."""
    array = value if isinstance(value, np.ndarray) else np.array(value)
    made = array.view(MatrixTracer if matrix and array.ndim == 2 else Tracer)
    if node is not None:
        made.node = node
        tape = Recorder.tape
        if tape is not None and made.ndim:
            memory = tape.memories.get(id(owner_of(made)))
            tape.remember(made, node, 0 if memory is None else memory.version)
    return made


def owner_of(array: Any) -> Host:
    """The array that owns the memory of one."""
    from anyarray_mlp.backprop.tracing.memory import owner

    return owner(bare(array))


def record(
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    options: dict[str, Any],
    elementwise: bool = False,
    moves: bool = False,
) -> Any:
    """Call `function` on plain arrays, and put the call on the tape."""
    tape = Recorder.tape
    if tape is None:
        return function(*stripped(tuple(args)), **stripped(options))
    leaves: list[Any] = []
    shape = pull(tuple(args), leaves, numbers=elementwise)
    keys = pull(widened(options), leaves, numbers=False)
    nodes = [tape.node_of(leaf) for leaf in leaves]
    given = [bare(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
    result = function(*push(shape, given), **push(keys, given))
    if getattr(getattr(result, "dtype", None), "kind", "") == "O":
        return function(*args, **options) if function in UNDISPATCHED else result

    def again(*values: Any) -> Any:
        return function(*push(shape, values), **push(keys, values))

    moves = moves or name in MOVES
    label = name + "".join(f" {k}={v}" for k, v in options.items() if k in ("axis", "keepdims"))
    if isinstance(result, (list, tuple)):
        parts = []
        for index, part in enumerate(result):
            if not isinstance(part, (np.ndarray, np.generic)):
                parts.append(part)
                continue
            pick = picked(again, index)
            parts.append(
                traced(part, tape.add(f"{label}[{index}]", pick, nodes, part, moves=moves))
            )
        return type(result)(parts) if not hasattr(result, "_fields") else tuple(parts)
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    matrix = any(isinstance(leaf, MatrixTracer) for leaf in leaves) and name != "asarray"
    if matrix and np.ndim(result) == 1 and options.get("axis") is not None:
        axis = options["axis"]
        result = np.expand_dims(result, axis)
        plain = again

        def again(*values: Any) -> Any:
            return np.expand_dims(plain(*values), axis)

    if isinstance(result, np.matrix):
        result = np.asarray(result)
    node = tape.add(label, again, nodes, result, elementwise, moves)
    node.arguments = (shape, keys)
    return traced(result, node, matrix)


def picked(again: Callable[..., Any], index: int) -> Callable[..., Any]:
    """One of several results."""
    return lambda *values: again(*values)[index]


def record_into(
    target: Any,
    name: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    options: dict[str, Any],
    elementwise: bool,
) -> Any:
    """An operation with `out=`, as `a += b` is: the target's memory is written."""
    tape = Recorder.tape
    if tape is None:
        function(*stripped(tuple(args)), out=bare(target), **stripped(options))
        return target
    if isinstance(target, Tracer) and target.ndim == 0:
        return record(name, function, args, options, elementwise)
    before = tape.node_of(target)
    result = record(name, function, args, options, elementwise)
    np.copyto(bare(target), bare(result), casting="same_kind")
    after = tape.node_of(result)
    if after.value.shape != target.shape or after.value.dtype != target.dtype:
        shape, kind = target.shape, target.dtype

        def fit(value: Host) -> Host:
            return np.broadcast_to(value, shape).astype(kind)

        after = tape.add("in-place", fit, [after], bare(target), moves=True)
    tape.written(target, before, after)
    return target


def record_change(name: str, function: Any, args: Any, kwargs: Any) -> None:
    """A function that writes into its first argument."""
    tape, target = Recorder.tape, args[0]
    if tape is None or not isinstance(target, np.ndarray):
        function(*stripped(args), **stripped(kwargs))
        return
    before = tape.node_of(target)
    given = [tape.node_of(a) for a in args[1:] if isinstance(a, (np.ndarray, float))]
    leaves: list[Any] = []
    shape = pull(tuple(args[1:]), leaves, numbers=False)
    given = [tape.node_of(leaf) for leaf in leaves]
    rest = stripped(kwargs)

    def change(old: Host, *values: Any) -> Host:
        written = np.array(old)
        function(written, *push(shape, values), **rest)
        return written

    function(bare(target), *stripped(args[1:]), **rest)
    after = tape.add(name, change, [before, *given], bare(target), moves=True)
    tape.written(target, before, after)


def write_at(ufunc: Any, target: Any, key: Any, *values: Any) -> None:
    """`np.add.at(target, key, value)`."""
    tape = Recorder.tape
    key = index_key(key)
    if tape is None:
        ufunc.at(bare(target), plain_key(key), *stripped(values))
        return
    before = tape.node_of(target)
    leaves: list[Any] = []
    shape = pull((key, *values), leaves, numbers=False)
    nodes = [tape.node_of(leaf) for leaf in leaves]

    def change(old: Host, *found: Any) -> Host:
        written = np.array(old)
        ufunc.at(written, *push(shape, found))
        return written

    ufunc.at(bare(target), plain_key(key), *stripped(values))
    after = tape.add(f"{ufunc.__name__}.at", change, [before, *nodes], bare(target))
    tape.written(target, before, after)


def index_key(key: Any) -> Any:
    """An index whose single recorded numbers are plain ones if they are whole and not an operand of interest."""
    if isinstance(key, tuple):
        return tuple(index_key(part) for part in key)
    if isinstance(key, list) and any(isinstance(part, Tracer) for part in key):
        return as_recorded(key)
    return key


def as_recorded(value: Any) -> Any:
    """A nested list with recorded numbers as a recorded array."""
    if holds_tracer(value):
        return record("array", np.array, (value,), {})
    return np.asarray(value)


def holds_tracer(value: Any) -> bool:
    """Is anything recorded in nested lists?"""
    if isinstance(value, Tracer):
        return True
    return isinstance(value, (list, tuple)) and any(holds_tracer(item) for item in value)


def as_matrix(value: Any) -> Any:
    """A recorded `np.matrix`."""
    if Recorder.tape is None:
        return np.asmatrix(value)
    array = value if isinstance(value, Tracer) else as_recorded(value)
    made = record("reshape", lambda v: np.atleast_2d(v) + 0.0, (array,), {}, moves=True)
    return traced(bare(made), made.node, matrix=True)


def method(name: str) -> Callable[..., Any]:
    """A method of arrays, recorded."""
    original = getattr(np.ndarray, name)

    def call(self: Any, *args: Any, **options: Any) -> Any:
        target = options.pop("out", None)
        if name == "astype":
            args = (np.float64 if small_float(args, options) else float_of(args, options),)
            options = {}
        if target is not None:
            return record_into(target, name, original, (self, *args), options, False)
        return record(name, original, (self, *args), options, name == "clip")

    call.__name__ = name
    return call


for _name in METHODS:
    if hasattr(np.ndarray, _name):
        setattr(Tracer, _name, method(_name))
