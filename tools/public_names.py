"""The public face as text: every name in the `__all__` of a public package, with its signature, one a line.

Annotations are left out: type checkers hold those. What a name of one package is in another stands as `= other.name`.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

API = Path(__file__).parent.parent / "docs" / "api.txt"
ROOT = "anyarray_mlp"

#: The packages and modules whose `__all__` is the API; all else is private. Rooms first, the face that gathers their
#: names last.
PACKAGES = (
    "errors",
    "network",
    "metrics",
    "backends",
    "data",
    "training",
    "persistence",
    "parity",
    "diagnosis",
    "backprop",
    "pipeline",
    "estimators",
    "accelerate",
    "tracking",
    "",
)

#: Types of values whose repr is the same on every Python.
PLAIN = (bool, int, float, str, tuple, type(None))

HEADER = """\
# The public names of anyarray-mlp and how they are called. Written by `python -m tools`, held by tests/test_package.py.
# A name that leaves, or a parameter that leaves or becomes required, goes through the deprecation of CONTRIBUTING.md.
"""


def module_name(package: str) -> str:
    """The full name of a public package."""
    return f"{ROOT}.{package}" if package else ROOT


def names_of(package: str) -> dict[str, Any]:
    """What a package exports, by name."""
    module = import_module(module_name(package))
    return {name: getattr(module, name) for name in sorted(module.__all__)}


def lines() -> list[str]:
    """The lines of `docs/api.txt`, without its header."""
    result: list[str] = []
    homes: dict[int, str] = {}
    for package in PACKAGES:
        for name, value in names_of(package).items():
            full = f"{module_name(package)}.{name}"
            named = isinstance(value, (type, types.FunctionType))
            home = homes.setdefault(id(value), full) if named else full
            result += [f"{full} = {home}"] if home != full else described(full, value)
    return result


def described(full: str, value: Any) -> list[str]:
    """The lines of one name: a class has one more for each public member of its own."""
    if isinstance(value, type):
        lines = [f"class {full}{signature_of(value)}"]
        for name, member in members_of(value):
            lines += member_lines(f"{full}.{name}", member)
        return lines
    if inspect.isroutine(value):
        return [f"{full}{signature(value)}"]
    return [f"{full}: {kind(value)}"]


def members_of(owner: type) -> Iterator[tuple[str, Any]]:
    """Public members that the package itself gives to a class, those of its bases included; a record's fields stand in
    its signature."""
    members: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.split(".")[0] == ROOT:
            members |= vars(base)
    fields = getattr(owner, "__dataclass_fields__", {})
    for name in sorted(members.keys() - fields.keys()):
        if not name.startswith("_") and is_ours(members[name]):
            yield name, members[name]


def is_ours(member: Any) -> bool:
    """Whether a member was written here: not what a decorator, a metaclass or another library adds."""
    function = unwrapped(member)
    if isinstance(function, types.FunctionType):
        return function.__module__.split(".")[0] == ROOT
    return type(member) in PLAIN


def unwrapped(member: Any) -> Any:
    """The function within a method, a property or a descriptor of scikit-learn's `available_if`."""
    if isinstance(member, (classmethod, staticmethod)):
        return member.__func__
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    return getattr(member, "fn", member)


def member_lines(full: str, member: Any) -> list[str]:
    """The line of a method, a property or a constant of a class."""
    if isinstance(member, (property, cached_property)):
        return [f"{full}: property"]
    function = unwrapped(member)
    if isinstance(function, types.FunctionType):
        return [f"{full}{signature(function, bound=not isinstance(member, staticmethod))}"]
    return [f"{full} = {member!r}"]


def signature_of(owner: type) -> str:
    """How a class is called; nothing if it has the constructor of another library."""
    for base in owner.__mro__:
        for name in ("__init__", "__new__"):
            constructor = vars(base).get(name)
            if isinstance(constructor, types.FunctionType):
                ours = base.__module__.split(".")[0] == ROOT
                return signature(constructor, bound=True) if ours else ""
    return ""


def signature(function: Any, bound: bool = False) -> str:
    """A signature without annotations, and without self or cls if `bound`."""
    parameters = list(inspect.signature(function).parameters.values())[bound:]
    plain = [p.replace(annotation=p.empty, default=Shown.of(p.default)) for p in parameters]
    return str(inspect.Signature(plain))


class Shown:
    """A default that is printed alike by every Python and library version."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    @classmethod
    def of(cls, default: Any) -> Any:
        """The default itself if its repr is its value, else a `Shown` that prints its name or `...`."""
        if type(default) is tuple:
            return tuple(cls.of(value) for value in default)
        if default is inspect.Parameter.empty or type(default) in PLAIN:
            return default
        return cls(default.__name__ if isinstance(default, type) else "...")


def kind(value: Any) -> str:
    """What a name is that is neither a class nor a function."""
    return type(value).__name__ if isinstance(value, (*PLAIN, list, dict, frozenset)) else "type"


def text() -> str:
    """The whole file."""
    return HEADER + "\n".join(lines()) + "\n"


def write() -> Path:
    """Write `docs/api.txt` anew."""
    API.write_text(text(), encoding="utf-8")
    return API
