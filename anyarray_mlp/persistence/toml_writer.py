"""TOML text of a nested dict: a run's configuration, readable for people and for `tomllib`."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from anyarray_mlp.errors import UsageError

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def to_toml(table: dict[str, Any]) -> str:
    """TOML that `tomllib` reads back as `table`: text, numbers, booleans, lists, dicts.

    TOML has no null: a key whose value is None is left out. Tuples come back as lists.
    Raises UsageError for any other type and for None in a list.
    """
    return "\n".join(table_lines(table, ())).lstrip("\n") + "\n"


def table_lines(table: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    """Lines of a table: its own values first, because a sub-table ends them."""
    present = {key: value for key, value in table.items() if value is not None}
    lines = ["", f"[{'.'.join(key_text(key) for key in path)}]"] if path else []
    lines += [
        f"{key_text(key)} = {value_text(value, key)}"
        for key, value in present.items()
        if not isinstance(value, dict)
    ]
    for key, value in present.items():
        if isinstance(value, dict):
            lines += table_lines(value, (*path, key))
    return lines


def key_text(key: Any) -> str:
    """A key: bare if TOML allows it, else quoted."""
    if not isinstance(key, str):
        raise UsageError(f"the configuration has the key {key!r}: use a string")
    return key if BARE_KEY.fullmatch(key) else string_text(key)


def string_text(text: str) -> str:
    """A basic string, control characters escaped."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(f"the text {text[:60]!a} is not valid Unicode: remove the lone surrogate")
    return '"' + "".join(ESCAPES.get(character, escaped(character)) for character in text) + '"'


def escaped(character: str) -> str:
    """A control character as \\uXXXX, any other as it is."""
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x20 or code == 0x7F else character


def value_text(value: Any, key: str) -> str:
    """A value on one line; a dict within a list becomes an inline table."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return "nan"
        return repr(value)
    if isinstance(value, str):
        return string_text(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(value_text(item, key) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (
            f"{key_text(name)} = {value_text(item, key)}"
            for name, item in value.items()
            if item is not None
        )
        return "{" + ", ".join(pairs) + "}"
    raise UsageError(
        f"the configuration's {key!r} holds a {type(value).__name__}: give text, numbers, booleans, lists or dicts"
    )
