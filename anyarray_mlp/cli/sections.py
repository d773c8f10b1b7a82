"""Flags of settings: `click` options that follow from the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from anyarray_mlp.backends.placement import Device, Memory
from anyarray_mlp.checking import settings as kinds
from anyarray_mlp.cli.flags import flag
from anyarray_mlp.cli.kinds import Integer, Kind, Kinds, Number, OneOf, Text
from anyarray_mlp.cli.options import DEVICE

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

#: What `click` is told of a kind.
BY_KIND: dict[type, Callable[[Any], dict[str, Any]]] = {
    Device: lambda kind: {"type": DEVICE, "metavar": "cpu|cuda|cuda:N|auto"},
    Memory: lambda kind: {"type": Text("an amount of memory as in 500MB"), "metavar": "SIZE"},
    kinds.Whole: lambda kind: {"type": Integer(kind.least)},
    kinds.Number: lambda kind: {"type": Number(kind.low, kind.high, kind.open_low)},
    kinds.Truth: lambda kind: {"is_flag": True} if kind.switch else {},
    kinds.Names: lambda kind: {"type": Kinds(kind.kind)},
    kinds.Name: lambda kind: {
        "type": OneOf(kind.kind, kinds.names_in(kind.names))
        if kind.listed
        else Kind(kind.kind, kind.names)
    },
}


def section_options(
    section: Any,
    *,
    but: Sequence[str] = (),
    only: Sequence[str] | None = None,
    further: dict[str, dict[str, Any]] | None = None,
) -> Decorator:
    """The options of a dataclass's settings, all but some or only some; `further` is what else `click` is told."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        wanted = [each for each in kinds.settings_of(section) if each.key]
        for each in reversed(wanted):
            if each.key not in but and (only is None or each.key in only):
                function = option(each, (further or {}).get(each.key, {}))(function)
        return function

    return decorate


def option(each: kinds.Setting, further: dict[str, Any]) -> Decorator:
    """The option of one setting."""
    name = flag(each.key)
    more: dict[str, Any] = {"help": each.help or None}
    switch = isinstance(each.allowed, kinds.Truth) and each.allowed.switch
    if isinstance(each.allowed, kinds.Truth) and not switch:
        name = f"{name}/--no-{name.removeprefix('--')}"
    if not switch:
        more["default"] = each.default
        more["show_default"] = each.show_default and each.default is not None
    more |= BY_KIND.get(type(each.allowed), lambda kind: {})(each.allowed)
    more |= further
    return click.option(name, *more.pop("names", ()), each.key, **more)
