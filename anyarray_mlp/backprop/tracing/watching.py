"""The user's arrays replaced by recorded ones, and their modules by stand-ins, while their code runs."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.arguments import Number
from anyarray_mlp.backprop.tracing.memory import Memory, flat_positions, owner
from anyarray_mlp.backprop.tracing.proxies import stand_in
from anyarray_mlp.backprop.tracing.tape import Node, Tape, bare
from anyarray_mlp.backprop.tracing.tracer import Tracer, traced
from anyarray_mlp.backprop.user.paths import to_host
from anyarray_mlp.backprop.user.snapshots import Snapshot, names_in, slot_names
from anyarray_mlp.backprop.user.source_lines import is_own
from anyarray_mlp.typing import Host

#: Libraries of arrays with NumPy's functions, which are run on NumPy.
FOREIGN = frozenset(["jax", "jaxlib", "cupy", "array_api_strict"])
#: Larger arrays are data, which is recorded where it is used.
LARGEST = 2_000_000


class Watch:
    """Everything reachable from `roots`, recorded; `end` puts it back.

    The recorded arrays lie in the memory of the user's own, so that what shares memory still does.
    """

    def __init__(self, tape: Tape, roots: Iterable[Any]) -> None:
        self.tape = tape
        self.made: dict[int, Tracer] = {}
        self.foreigners: dict[int, Any] = {}
        self.undo: list[Callable[[], None]] = []
        self.kept: list[Any] = []
        self.wholes: dict[int, tuple[Host, Node]] = {}
        try:
            for node in list(Snapshot(roots).seen.values()):
                self.visit(node)
        except BaseException:
            self.end()  # nothing that was replaced stays so
            raise

    def end(self) -> None:
        while self.undo:
            step = self.undo.pop()
            try:
                step()
            except Exception:
                continue  # what refuses its own value back keeps no other from its own

    def visit(self, node: Any) -> None:
        if isinstance(node, dict):
            if "__builtins__" in node:
                return  # the globals of a module: only what its functions name
            self.swap_items(node, list(node))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                new = self.converted(value)
                if new is not value:
                    node[index] = new
                    self.undo.append(partial(node.__setitem__, index, value))
        elif isinstance(node, types.FunctionType):
            self.visit_function(node)
        elif isinstance(node, types.ModuleType):
            self.swap_items(vars(node), [k for k in vars(node) if not k.startswith("__")])
        elif isinstance(node, type):
            for name, value in list(vars(node).items()):
                self.swap_attribute(node, name, value)
        else:
            for name in slot_names(type(node)):
                if hasattr(node, name):
                    self.swap_attribute(node, name, getattr(node, name))

    def swap_items(self, node: dict[Any, Any], names: Iterable[Any]) -> None:
        for name in names:
            value = node[name]
            new = self.converted(value)
            if new is not value:
                node[name] = new
                self.undo.append(partial(node.__setitem__, name, value))

    def swap_attribute(self, node: Any, name: str, value: Any) -> None:
        new = self.converted(value)
        if new is not value and not name.startswith("__"):
            self.undo.append(lambda: setattr(node, name, value))
            setattr(node, name, new)

    def visit_function(self, function: types.FunctionType) -> None:
        if is_own(function.__code__.co_filename) or function.__module__ == "__main__":
            space = function.__globals__
            names = set(names_in(function.__code__))
            self.swap_items(space, [name for name in names if name in space])
            if "float" in names and "float" not in space:
                space["float"] = Number
                self.undo.append(lambda: space.pop("float", None))
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            new = self.converted(value)
            if new is not value:
                cell.cell_contents = new
                self.undo.append(partial(setattr, cell, "cell_contents", value))

    def converted(self, value: Any) -> Any:
        """What stands for a value while the tape records."""
        if isinstance(value, np.ndarray):
            return self.recorded(value)
        if type(value).__module__.split(".")[0] in FOREIGN and hasattr(value, "dtype"):
            return self.foreign(value)
        if isinstance(value, tuple) and any(isinstance(v, (np.ndarray, tuple)) for v in value):
            items = [self.converted(v) for v in value]
            if all(a is b for a, b in zip(items, value, strict=True)):
                return value
            return value._make(items) if hasattr(value, "_make") else tuple(items)
        if isinstance(value, (types.ModuleType, types.BuiltinFunctionType)) or callable(value):
            return stand_in("", value)
        return value

    def foreign(self, value: Any) -> Any:
        """An array of another library that has NumPy's functions, as a recorded one; always the same."""
        if id(value) not in self.foreigners:
            self.kept.append(value)
            self.foreigners[id(value)] = self.recorded(np.array(to_host(value)))
        return self.foreigners[id(value)]

    def recorded(self, array: Any) -> Any:
        """The recorded array for one of the user's; always the same one."""
        if isinstance(array, Tracer) or array.dtype.kind not in "fiub":
            return array
        if array.dtype.kind == "f" and array.dtype.itemsize < 8:
            raise_precision = array.astype(np.float64)
            return self.tracer_of(array, raise_precision)
        if array.size > LARGEST:
            return array
        return self.tracer_of(array, array)

    def tracer_of(self, key: Any, array: Any) -> Tracer:
        if id(key) not in self.made:
            base = bare(array)
            self.kept.append(key)
            node = self.node_for(base)
            self.made[id(key)] = traced(base, node, isinstance(array, np.matrix))
        return self.made[id(key)]

    def node_for(self, base: Host) -> Node:
        """A leaf of its own, or a part of the leaf of the memory that it shares with others."""
        own = owner(base)
        positions = flat_positions(base)
        memory = self.tape.memories.get(id(own))
        first = self.wholes.get(id(own))
        if positions is None or own.size > LARGEST or not own.size:
            return self.tape.leaf("state", base)
        if memory is None and first is None and base.size == own.size:
            node = self.tape.leaf("state", base)
            self.wholes[id(own)] = (positions, node)
            return node
        if memory is None:
            if first is None:
                first = (np.arange(own.size), self.tape.leaf("state", own.ravel(order="K")))
            memory = self.tape.memories[id(own)] = Memory(own, first)
        return memory.read(self.tape, positions)
