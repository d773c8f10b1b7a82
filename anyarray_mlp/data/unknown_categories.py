"""Rows to predict on whose categories the model was not trained on."""

from __future__ import annotations

from typing import Any

from anyarray_mlp.data.cells import is_gap
from anyarray_mlp.data.dataset import Features
from anyarray_mlp.data.preprocessing import Preprocessor, as_columns, is_table


def without_unknown(
    preprocessor: Preprocessor, features: Features
) -> tuple[Features, dict[str, list[Any]]]:
    """The features with gaps for categories that `preprocessor` has not met.

    Returns the columns that `preprocessor.transform` takes, as it takes them, and the values left out of each column,
    in the order of the rows; columns without any are not listed. `features` itself stays as it is. Raises `DataError`
    for a column that is missing.
    """
    chosen = preprocessor.select(features)
    unknown: dict[str, list[Any]] = {}
    changed = chosen
    table = as_columns(chosen, preprocessor.names)
    for place, (column, (_, values)) in enumerate(
        zip(preprocessor.columns, table.items, strict=True)
    ):
        if not column.categories:
            continue
        rows = [
            row
            for row, value in enumerate(values)
            if not is_gap(value) and column.position(value) is None
        ]
        if not rows:
            continue
        unknown[column.name] = [values[row] for row in rows]
        known = values.astype(object)
        known[rows] = None
        if changed is chosen:
            changed = chosen.copy() if is_table(chosen) else chosen.astype(object)
        if is_table(changed):
            changed.isetitem(place, known)
        else:
            changed[:, place] = known
    return changed, unknown
