"""Remember the state of somebody's network and put it back, keeping every object's identity.

A user's functions may close over the very arrays and lists that they change, so a deep copy would
not be seen by them. A `Snapshot` walks from the network through objects, dicts, lists and closures,
and on `restore` writes the old contents into the same containers.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

import numpy as np

DATA_TYPES = (np.ndarray, np.generic, int, float, complex, str, bytes, bool, list, dict, tuple, set)

# Larger arrays are taken for data sets, which a training step reads and does not write.
LARGEST_KEPT = 2_000_000


def is_tensor(value: Any) -> bool:
    """True for a PyTorch tensor, told without importing PyTorch."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


class Snapshot:
    """The contents of everything reachable from `roots`, taken when it is made.

    Modules (and the `globals()` dict of one) are searched for data only: arrays, numbers, lists,
    dicts and instances of classes written in that module.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.seen: dict[int, Any] = {}
        self.arrays: list[tuple[Any, Any]] = []
        self.lists: list[tuple[list[Any], list[Any]]] = []
        self.dicts: list[tuple[dict[Any, Any], dict[Any, Any], bool]] = []
        self.slots: list[tuple[Any, dict[str, Any]]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.generators: list[tuple[Any, Any]] = []
        self.global_random = np.random.get_state()  # noqa: NPY002 - the user's code may draw from it
        for root in roots:
            self.walk(root)

    def walk(self, root: Any) -> None:
        stack = [root]
        while stack:
            node = stack.pop()
            if node is None or isinstance(
                node, (int, float, complex, str, bytes, type, np.generic)
            ):
                continue
            if id(node) in self.seen:
                continue
            self.seen[id(node)] = node
            stack.extend(self.visit(node))

    def visit(self, node: Any) -> list[Any]:
        """Record one object and return what it holds."""
        if isinstance(node, np.ndarray):
            if node.flags.writeable and node.size <= LARGEST_KEPT:
                self.arrays.append((node, node.copy()))
            return list(node.flat) if node.dtype == object else []
        if is_tensor(node):
            self.arrays.append((node, node.detach().clone()))
            return []
        if isinstance(node, np.random.Generator):
            self.generators.append((node.bit_generator, node.bit_generator.state))
            return []
        if isinstance(node, np.random.RandomState):
            self.generators.append((node, node.get_state()))
            return []
        if isinstance(node, list):
            self.lists.append((node, list(node)))
            return list(node)
        if isinstance(node, (tuple, set, frozenset)):
            return list(node)
        if isinstance(node, dict):
            of_module = "__name__" in node and "__builtins__" in node
            kept = module_data(node) if of_module else dict(node)
            self.dicts.append((node, kept, of_module))
            return list(kept.values())
        if isinstance(node, types.ModuleType):
            return [vars(node)]
        if isinstance(node, types.MethodType):
            return [node.__self__, node.__func__]
        if isinstance(node, types.FunctionType):
            return self.visit_closure(node)
        in_slots = {n: getattr(node, n) for n in slot_names(type(node)) if hasattr(node, n)}
        if in_slots:
            self.slots.append((node, in_slots))
        inside = list(in_slots.values())
        if hasattr(node, "__dict__"):
            inside.append(node.__dict__)
        return inside

    def visit_closure(self, function: types.FunctionType) -> list[Any]:
        inside: list[Any] = list(function.__defaults__ or ())
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            self.cells.append((cell, content))
            inside.append(content)
        return inside

    def restore(self) -> None:
        """Put everything back as it was."""
        for cell, content in self.cells:
            cell.cell_contents = content
        for some_dict, dict_contents, of_module in self.dicts:
            if not of_module:
                some_dict.clear()
            some_dict.update(dict_contents)
        for some_list, list_contents in self.lists:
            some_list[:] = list_contents
        for node, names in self.slots:
            for name, value in names.items():
                setattr(node, name, value)
        for array, array_contents in self.arrays:
            if isinstance(array, np.ndarray):
                array[...] = array_contents
            else:
                array.detach().copy_(array_contents)
        for generator, state in self.generators:
            if isinstance(generator, np.random.RandomState):
                generator.set_state(state)
            else:
                generator.state = state
        np.random.set_state(self.global_random)  # noqa: NPY002


def module_data(namespace: dict[str, Any]) -> dict[str, Any]:
    """The data among a module's globals: what its functions could change."""
    own = namespace["__name__"]
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("__")
        and (
            isinstance(value, DATA_TYPES)
            or is_tensor(value)
            or (not isinstance(value, (type, types.ModuleType)) and type(value).__module__ == own)
        )
    }


def slot_names(kind: type) -> list[str]:
    """Names of the slots of a class and its bases."""
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names.extend([slots] if isinstance(slots, str) else slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]
