"""Settings that are declared once: a field of a dataclass says what it may be, what it does and how it is written.

Validation, flags, help texts, keys of `config.toml` and the answer to a misspelt name all follow from the field.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.values import (
    check_boolean,
    check_real,
    check_whole,
    is_boolean,
    items,
    refuse,
)
from anyarray_mlp.errors import UsageError


class Kind(Protocol):
    """What a setting may be."""

    def check(self, name: str, value: Any) -> Any:
        """The value as it is kept; `UsageError`, naming the setting, for any other."""


@dataclass(frozen=True)
class Whole:
    """A whole number of at least `least`."""

    least: int = 0

    def check(self, name: str, value: Any) -> int:
        """The integer."""
        return check_whole(name, value, self.least)


@dataclass(frozen=True)
class Number:
    """A finite number of at least `low`, or above it if that is open, and below `high`."""

    low: float = 0.0
    high: float = math.inf
    open_low: bool = False

    def check(self, name: str, value: Any) -> float:
        """The number as it came."""
        if self.high < math.inf:
            allowed = f"a number in {'(' if self.open_low else '['}{self.low:g}, {self.high:g})"
        else:
            allowed = (
                "positive and finite" if self.open_low else f"at least {self.low:g} and finite"
            )
        return check_real(name, value, allowed, self.holds)

    def holds(self, value: float) -> bool:
        """Whether a number is within."""
        return (value > self.low if self.open_low else value >= self.low) and value < self.high


@dataclass(frozen=True)
class Truth:
    """True or False, or what `own` finds to be an object that says more; `switch`: a flag that can only be set."""

    own: Callable[[Any], bool] | None = None
    what: str = ""
    switch: bool = False

    def check(self, name: str, value: Any) -> Any:
        """The boolean or the object."""
        if self.own is None or is_boolean(value):
            return check_boolean(name, value)
        if not self.own(value):
            refuse(name, self.what, value)
        return value


#: The names of a table, or a function that gives them when a value is checked: the table may take long to load.
Known = Iterable[str] | Callable[[], Iterable[str]]


def names_in(known: Known) -> tuple[str, ...]:
    """The names of a table."""
    return tuple(known() if callable(known) else known)


@dataclass(frozen=True)
class Name:
    """One name of a table, or what `own` finds to be an object of the user's.

    kind: what the names are called in `checking.names`. listed: whether help lists them as choices.
    find: the canonical name of a value, if there are more names than those of the table.
    """

    kind: str
    names: Known
    own: Callable[[Any], bool] | None = None
    what: str = ""
    listed: bool = False
    find: Callable[[Any], str] | None = None

    def check(self, name: str, value: Any) -> Any:
        """The canonical name, or the object."""
        if self.find is not None and (self.own is None or isinstance(value, str)):
            return self.find(value)
        if self.own is None or isinstance(value, str):
            return find_name(name, value, names_in(self.names), self.kind)
        if not self.own(value):
            raise UsageError(f"{name} must be {self.what.format(value=shown(value))}.")
        return value


@dataclass(frozen=True)
class Names:
    """One name of a table or several; `find` as for `Name`."""

    kind: str
    names: Known
    alone: bool = False
    find: Callable[[Any], str] | None = None

    def check(self, name: str, value: Any) -> Any:
        """The canonical names; one that comes alone stays so if `alone`."""
        if isinstance(value, str):
            found = self.found(name, value)
            return found if self.alone else (found,)
        given = items(name, value, f"a list of names among {', '.join(names_in(self.names))}")
        return tuple(self.found(name, each) for each in given)

    def found(self, name: str, value: Any) -> str:
        """The canonical name."""
        if self.find is not None:
            return self.find(value)
        return find_name(name, value, names_in(self.names), self.kind)


@dataclass(frozen=True)
class Setting:
    """What a field says of itself.

    key: its name in `config.toml` and, with dashes, as a flag; empty: it has neither.
    kind, allowed: what it may be, and what it may be on the command line.
    optional: whether None says that it is not given.
    default, show_default: what it is on the command line if it is not given there, and whether help says so.
    """

    field: str
    key: str
    kind: Kind
    help: str
    optional: bool
    default: Any
    show_default: bool
    allowed: Kind


def setting(default: Any, kind: Kind, help: str = "", **more: Any) -> Any:
    """A dataclass field with a default, a kind and a help text.

    more: `key` (its own name by default; None for no flag), `flag_default` and `flag_kind` for the command line where
        they differ, `show_default` in the help, `optional` (by default if `default` is None).
    """
    return dataclasses.field(default=default, metadata={"setting": (kind, help, more)})


def settings_of(section: Any) -> Iterator[Setting]:
    """The settings of a dataclass, or of an object of one, in order."""
    for field in dataclasses.fields(section):
        kind, help, more = field.metadata["setting"]
        key = more.get("key", field.name)
        yield Setting(
            field.name,
            key or "",
            kind,
            help,
            more.get("optional", field.default is None),
            more.get("flag_default", field.default),
            more.get("show_default", True),
            more.get("flag_kind", kind),
        )


def check_settings(section: Any) -> None:
    """Check every field of a frozen dataclass, and keep what its kind makes of it."""
    for each in settings_of(section):
        value = getattr(section, each.field)
        if not (value is None and each.optional):
            object.__setattr__(section, each.field, each.kind.check(each.field, value))


def names_of(*sections: Any) -> list[str]:
    """The names of the settings of some dataclasses."""
    return [field.name for section in sections for field in dataclasses.fields(section)]


def chosen(settings: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of some settings that have one of these names."""
    return {name: settings[name] for name in names if name in settings}
