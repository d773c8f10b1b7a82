"""Save the state of a user's network and put it back, keeping every object's identity.

A user's functions may close over the arrays and lists that they change, and would not see a deep
copy. A `Snapshot` walks from the network through objects, dicts, lists, closures and
the globals that the user's functions name, and on `restore` writes the old contents into the same
containers.
"""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from anyarray_mlp.backprop.user.source_lines import is_own

RANDOM_TYPES = (np.random.Generator, np.random.RandomState, random.Random)
DATA_TYPES = (
    *(np.ndarray, np.generic, int, float, complex, str, bytes, bool, list, dict, tuple, set),
    *RANDOM_TYPES,
)

# Larger arrays are treated as data sets, which a training step reads but does not write.
LARGEST_KEPT = 2_000_000


def is_tensor(value: Any) -> bool:
    """True for a PyTorch tensor, without importing PyTorch."""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


class Snapshot:
    """The contents of everything reachable from `roots`, saved when it is created.

    Modules (and the `globals()` dict of one) are searched for data only: arrays, numbers, lists,
    dicts and instances of the user's classes. Of a function's globals, only those that it names are
    saved.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.seen: dict[int, Any] = {}
        self.arrays: list[tuple[Any, Any]] = []
        self.lists: list[tuple[list[Any], list[Any]]] = []
        self.dicts: list[tuple[dict[Any, Any], dict[Any, Any], bool]] = []
        self.slots: list[tuple[Any, dict[str, Any]]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.globals: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = []
        self.generators: list[tuple[Any, Any]] = []
        # The user's code may draw from the generators that libraries share.
        self.global_random = np.random.get_state()  # noqa: NPY002
        self.python_random = random.getstate()
        for root in roots:
            self.walk(root)

    def walk(self, root: Any) -> None:
        stack = [root]
        while stack:
            node = stack.pop()
            if node is None or isinstance(node, (int, float, complex, str, bytes, np.generic)):
                continue
            if isinstance(node, type) and not is_own_class(node):
                continue
            if id(node) in self.seen:
                continue
            self.seen[id(node)] = node
            stack.extend(self.visit(node))

    def visit(self, node: Any) -> list[Any]:  # noqa: C901 - one branch for each kind of object
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
        if isinstance(node, random.Random):
            self.generators.append((node, node.getstate()))
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
            return self.visit_function(node)
        if isinstance(node, type):
            return self.visit_class(node)
        in_slots = {n: getattr(node, n) for n in slot_names(type(node)) if hasattr(node, n)}
        if in_slots:
            self.slots.append((node, in_slots))
        inside = list(in_slots.values())
        if hasattr(node, "__dict__"):
            inside.append(node.__dict__)
        return [*inside, *type(node).__mro__]

    def visit_class(self, kind: type) -> list[Any]:
        """The data that a class of the user's shares among its instances, and its methods."""
        members = dict(vars(kind))
        data = {n: v for n, v in members.items() if not n.startswith("__") and is_data(v)}
        self.slots.append((kind, data))
        methods = [getattr(m, "__func__", getattr(m, "fget", m)) for m in members.values()]
        return [*data.values(), *(m for m in methods if isinstance(m, types.FunctionType))]

    def visit_function(self, function: types.FunctionType) -> list[Any]:
        inside: list[Any] = list(function.__defaults__ or ())
        if is_own(function.__code__.co_filename) or function.__module__ == "__main__":
            names = set(names_in(function.__code__))
            named = {n: v for n, v in function.__globals__.items() if n in names}
            kept = {n: v for n, v in named.items() if is_data(v)}
            self.globals.append((function.__globals__, kept, sorted(names - named.keys())))
            inside += kept.values()
            inside += (v for v in named.values() if isinstance(v, (types.FunctionType, type)))
            inside += (v for v in named.values() if is_own_module(v))
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            self.cells.append((cell, content))
            inside.append(content)
        return inside

    def restore(self, generators: bool = True) -> None:  # noqa: C901 - one loop for each kind of object
        """Put everything back as it was; without `generators`, random generators continue from where they are."""
        for cell, content in self.cells:
            cell.cell_contents = content
        for some_dict, dict_contents, of_module in self.dicts:
            if not of_module:
                some_dict.clear()
            some_dict.update(dict_contents)
        for namespace, contents, absent in self.globals:
            namespace.update(contents)
            for name in absent:
                namespace.pop(name, None)
        for some_list, list_contents in self.lists:
            some_list[:] = list_contents
        for node, names in self.slots:
            for name, value in names.items():
                if getattr(node, name, None) is not value:
                    setattr(node, name, value)
        for array, array_contents in self.arrays:
            if isinstance(array, np.ndarray):
                array[...] = array_contents
            else:
                array.detach().copy_(array_contents)
        if generators:
            self.restore_generators()

    def restore_generators(self) -> None:
        for generator, state in self.generators:
            if isinstance(generator, np.random.RandomState):
                generator.set_state(state)
            elif isinstance(generator, random.Random):
                generator.setstate(state)
            else:
                generator.state = state
        np.random.set_state(self.global_random)  # noqa: NPY002
        random.setstate(self.python_random)


def is_own_class(kind: type) -> bool:
    """True for a class of the user's, not of Python, an installed library or this package."""
    return is_own_module(sys.modules.get(kind.__module__))


def is_own_module(value: Any) -> bool:
    """True for a module of the user's."""
    if not isinstance(value, types.ModuleType):
        return False
    path = getattr(value, "__file__", None)
    return value.__name__ == "__main__" or (path is not None and is_own(path))


def is_data(value: Any) -> bool:
    """True for what a function could change: arrays, numbers, containers, the user's own objects."""
    return isinstance(value, DATA_TYPES) or is_tensor(value) or is_own_class(type(value))


def names_in(code: types.CodeType) -> Iterator[str]:
    """All names of globals and attributes in a function and those defined within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)


def module_data(namespace: dict[str, Any]) -> dict[str, Any]:
    """The data among a module's globals: what its functions could change."""
    own = namespace["__name__"]
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("__")
        and (is_data(value) or (not isinstance(value, type) and type(value).__module__ == own))
    }


def slot_names(kind: type) -> list[str]:
    """Names of the slots of a class and its bases."""
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names.extend([slots] if isinstance(slots, str) else slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]
