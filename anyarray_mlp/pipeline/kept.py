"""The settings of a run as `config.toml` keeps them, and how two of them differ."""

from __future__ import annotations

import os
from typing import Any

#: What a command line says of this call alone.
OF_THE_CALL = (
    "out",
    "overwrite",
    "resume",
    "as_json",
    "quiet",
    "try_cures",
    "try_seconds",
    "report",
    "communicator",
    "cv",
    "log",
)
#: Settings that say where to compute, for how long and on which file, rather than what to compute.
CIRCUMSTANCES = ("device", "backend", "memory", "epochs", "data")
MOST_CHANGES = 8


def configuration(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as `config.toml` keeps them; those that are None are left out."""
    return {
        name: to_keep(value)
        for name, value in settings.items()
        if name not in OF_THE_CALL and value is not None
    }


def deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of the settings, as they are kept, that decide what is computed."""
    kept = configuration(settings)
    return {name: value for name, value in kept.items() if name not in CIRCUMSTANCES}


def changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Which values differ and how, in words; empty where none does."""
    differing = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    said = [
        f"{in_words(name)} was {in_words(before.get(name))} and is {in_words(now.get(name))}"
        for name in differing[:MOST_CHANGES]
    ]
    if len(differing) > MOST_CHANGES:
        said.append(f"{len(differing) - MOST_CHANGES} more")
    return "; ".join(said)


def in_words(value: Any) -> str:
    """A value, of a file that anybody may have written, on one short line."""
    return "not given" if value is None else ascii(value)[:60].strip("'")


def to_keep(value: Any) -> Any:
    """A setting as TOML keeps it: a list for a tuple, and for a path that is no Unicode the list of its bytes."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return list(os.fsencode(value))
    return value


def kept_path(value: Any) -> Any:
    """The path that `to_keep` made a list of bytes of; other values as they are."""
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return os.fsdecode(bytes(value))
    return value
