"""Class labels as stored in a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from anyarray_mlp.checking.records import FRACTION, TEXT, TRUTH, RecordError, integer
from anyarray_mlp.typing import Host

LOWEST, HIGHEST = -(2**63), 2**64 - 1
LABEL = TEXT | TRUTH | integer(LOWEST, HIGHEST) | FRACTION

#: NumPy allocates the length of the longest text for every text, so a file of 3 MiB could ask for terabytes. At four
#: bytes per character this is 16 MiB.
MAX_CHARACTERS = 4 << 20


def labels_from(values: Sequence[Any], place: str, width: int = 0) -> Host:
    """Labels (n,) of one type, each of which is a `LABEL`: booleans, int64 or uint64, float64, or texts.

    `width` is the number of characters to reserve for each text, if more than the longest needs.
    Raises `RecordError` for a mixture, numbers that no dtype holds, a duplicate label, and texts that would take more
    than `MAX_CHARACTERS` in all.
    """
    kinds = {type(value) for value in values}
    if len(kinds) != 1:
        raise RecordError(f"{place} mixes labels of {len(kinds)} types and must hold one type")
    if kinds == {str}:
        width = max(1, width, max(map(len, values)))
        if width * len(values) > MAX_CHARACTERS:
            raise RecordError(
                f"{place} reserves {len(values)} texts of {width} characters "
                f"and may reserve {MAX_CHARACTERS} characters in all"
            )
        dtype = f"<U{width}"
    elif kinds == {int}:
        dtype = "uint64" if max(values) >= 2**63 else "int64"
        if dtype == "uint64" and min(values) < 0:
            raise RecordError(
                f"{place} holds {min(values)} and {max(values)}: no integer type holds both"
            )
    else:
        dtype = "bool" if kinds == {bool} else "float64"
    labels = np.array(values, dtype=dtype)
    if len(np.unique(labels)) < len(labels):
        raise RecordError(f"{place} holds a label twice")
    return labels
