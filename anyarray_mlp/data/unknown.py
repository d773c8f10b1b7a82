"""Rows with categories that training has not met: gaps or a rest, and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.checking.callers import warn_caller
from anyarray_mlp.checking.messages import counted, listed, shown
from anyarray_mlp.checking.names import UNKNOWN_CATEGORIES, find_name
from anyarray_mlp.data.cells import as_array, as_columns, is_table
from anyarray_mlp.data.dataset import Features
from anyarray_mlp.data.frames import as_pandas
from anyarray_mlp.data.inputs import UNKNOWN, positions
from anyarray_mlp.data.preprocessing import Preprocessor
from anyarray_mlp.errors import UnknownCategoryError, UnknownCategoryWarning
from anyarray_mlp.typing import Host


def without_unknown(
    preprocessor: Preprocessor, features: Features
) -> tuple[Features, dict[str, list[Any]]]:
    """The features with gaps in place of categories that `preprocessor` has no input for.

    Returns the columns that `preprocessor.transform` needs, in the form that it takes, and the values without an input
    of their own in each column, in the order of the rows; columns without such values are not listed. In a column that
    has a rest, they stay and fall into it. `features` is not changed.
    Raises `DataError` for a missing column.
    """
    chosen = preprocessor.select(as_pandas(features))
    unknown: dict[str, list[Any]] = {}
    changed = chosen
    table = as_columns(chosen, preprocessor.used_names)
    for place, (column, (_, values)) in enumerate(zip(preprocessor.used, table.items, strict=True)):
        if not column.categories:
            continue
        rows = np.flatnonzero(positions(column, values) == UNKNOWN).tolist()
        if not rows:
            continue
        unknown[column.name] = [values[row] for row in rows]
        if column.rest is not None:
            continue
        known = as_array(values).astype(object)
        known[rows] = None
        if changed is chosen:
            changed = chosen.copy() if is_table(chosen) else chosen.astype(object)
        if is_table(changed):
            changed.isetitem(place, known)
        else:
            changed[:, place] = known
    return changed, unknown


def transformed(
    preprocessor: Preprocessor,
    features: Features,
    unknown_categories: str = "rest",
    *,
    dtype: Any = np.float64,
) -> Host:
    """`preprocessor.transform(features)`; categories without an input are gaps, or an error if they are to "refuse".

    An `UnknownCategoryWarning` names their columns. What has a rest to fall into does so without a word, as `transform`
    has it.
    """
    kind = "unknown_categories"
    wanted = find_name(kind, unknown_categories, UNKNOWN_CATEGORIES, kind)
    try:
        return preprocessor.transform(features, dtype=dtype)
    except UnknownCategoryError:
        if wanted == "refuse":
            raise
    known, unknown = without_unknown(preprocessor, features)
    for sentence in about_unknown(preprocessor, unknown, len(known), with_rest=False):
        warn_caller(sentence, UnknownCategoryWarning)
    return preprocessor.transform(known, dtype=dtype)


def about_unknown(
    preprocessor: Preprocessor,
    unknown: Mapping[str, Sequence[Any]],
    rows: int,
    with_rest: bool = True,
) -> Iterator[str]:
    """A sentence for each column of so many rows about the values that `without_unknown` found.

    with_rest: about columns that have a rest as well.
    """
    rests = {column.name for column in preprocessor.columns if column.rest is not None}
    for name, values in unknown.items():
        if name in rests and not with_rest:
            continue
        one = len(values) == 1
        hold = "holds a category that was" if one else "hold categories that were"
        hold += " rare or" if name in rests else ""
        count = "counts as a gap" if one else "count as gaps"
        if name in rests:
            count = f"{'falls' if one else 'fall'} into the rest"
        yield (
            f"column {shown(name)}: {len(values):,} of {counted(rows, 'row')} {hold} not seen in training and {count}: "
            f"{listed(dict.fromkeys(values))}"
        )
