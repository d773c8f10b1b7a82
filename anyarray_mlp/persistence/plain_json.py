"""Values that JSON preserves: one canonical text for each value, and an error for what JSON would change."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from anyarray_mlp.errors import UsageError


def plain(value: Any, where: str, *, null_for_nonfinite: bool = False) -> Any:
    """`value` as dict, list, str, int, float, bool and None; tuples and NumPy scalars are converted.

    Raises UsageError, which names the place as `where`, for what would not come back the same: other types, keys that
    are not text, NaN and infinity (which `null_for_nonfinite` turns into None).
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        if null_for_nonfinite:
            return None
        raise UsageError(f"{where} is {value}, which JSON cannot hold: give a finite number")
    if value is None or isinstance(value, (str, int, float)):
        return value
    try:
        if isinstance(value, (list, tuple)):
            return [
                plain(item, f"{where}[{index}]", null_for_nonfinite=null_for_nonfinite)
                for index, item in enumerate(value)
            ]
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise UsageError(f"{where} has the key {key!r}: use a string")
            return {
                key: plain(item, f"{where}.{key}", null_for_nonfinite=null_for_nonfinite)
                for key, item in value.items()
            }
    except RecursionError:
        raise UsageError(f"{where:.60} is nested too deeply: flatten it") from None
    raise UsageError(
        f"{where} is a {type(value).__name__}: give text, numbers, lists or dicts (NumPy arrays go with the arrays)"
    )


def encode_json(value: Any) -> str:
    """The canonical JSON text of a plain value: ASCII, keys in their order, no spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def decode_json(text: str) -> Any:
    """The value of a text that `encode_json` wrote; ValueError for any other text."""
    try:
        value = json.loads(text)
        # Duplicate keys, NaN, 1e999, spaces and other spellings do not survive encoding again.
        if encode_json(value) != text:
            raise ValueError("it is not the canonical text of its value")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def any_json(text: str) -> Any:
    """The value of JSON in any spelling; ValueError for other text, duplicate keys and non-finite numbers."""
    try:
        value = json.loads(text, object_pairs_hook=distinct)
        json.dumps(value, allow_nan=False)  # NaN, Infinity and 1e999 are read as floats
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of these pairs; ValueError for a duplicate key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a duplicate key")
    return found
