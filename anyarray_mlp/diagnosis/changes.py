"""Changes of settings that may cure a finding, by the names that `fit` and `train_table` have for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: Settings that take new values, each with the value that it is given.
Change = dict[str, Any]

#: Settings of a table's columns, to which a change adds.
ADDED_TO = ("drop", "numeric", "text", "keep", "date", "missing")


def in_python(change: Mapping[str, Any]) -> str:
    """A change as arguments: `epochs=100, early_stopping=True`."""
    return ", ".join(f"{name}={value!r}" for name, value in change.items())


def together(changes: Iterable[Mapping[str, Any]]) -> Change:
    """Several changes as one; of two values of a setting the first counts, and lists of columns are joined."""
    whole: Change = {}
    for change in changes:
        for name, value in change.items():
            if name in whole and name in ADDED_TO:
                whole[name] = tuple(dict.fromkeys((*whole[name], *value)))
            else:
                whole.setdefault(name, value)
    return whole


def new_values(current: Mapping[str, Any], change: Mapping[str, Any]) -> Change:
    """The settings that a change makes of current ones; those of the optimiser's own go with it."""
    new = {
        name: tuple(dict.fromkeys((*(current.get(name) or ()), *value)))
        if name in ADDED_TO
        else value
        for name, value in change.items()
    }
    if "optimizer" in new and new["optimizer"] not in ("momentum", "nesterov"):
        new.setdefault("momentum", 0.9)
    if new.get("early_stopping") and current.get("keep_epoch") not in (None, "last"):
        new.setdefault("keep_epoch", "last")
    return new
