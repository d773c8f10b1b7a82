"""Tables of other libraries as DataFrames of pandas: polars, eager and lazy, and pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.errors import DataError
from anyarray_mlp.typing import Host


def as_pandas(features: Any) -> Any:
    """A table of polars or pyarrow as a DataFrame of pandas, told by its methods; anything else as it is.

    Columns of types that nothing is learned from (lists, objects) are passed on, and refused where they are used.
    """
    if hasattr(features, "collect_schema") and hasattr(features, "collect"):
        features = features.collect()
    if hasattr(features, "get_columns"):
        columns = {each.name: of_polars(each) for each in features.get_columns()}
    elif hasattr(features, "column_names") and hasattr(features, "to_pandas"):
        names = features.column_names
        if len(set(names)) < len(names):
            raise DataError(
                f"the pyarrow table has two columns {max(names, key=names.count)!r}; rename one"
            )
        columns = {name: of_arrow(features.column(name), name) for name in names}
    else:
        return features
    import pandas

    return pandas.DataFrame(columns)


def of_polars(column: Any) -> Any:
    """A column of polars: as NumPy has it, dates by the clock that the rows show."""
    kind = column.dtype
    name = str(kind)
    if kind.is_decimal():
        return column.cast(float).to_numpy()
    if name.startswith("Datetime") and getattr(kind, "time_zone", None):
        return column.dt.replace_time_zone(None).to_numpy()
    if kind.is_nested() or name in ("Binary", "Object", "Time"):
        return as_objects(column.to_list())
    return column.to_numpy()


def of_arrow(column: Any, name: str) -> Host:
    """A column of pyarrow, as one of a file."""
    import pyarrow

    from anyarray_mlp.tables.formats.arrow import values_of

    if isinstance(column, pyarrow.Array):
        column = pyarrow.chunked_array([column])
    try:
        return values_of(column, name, Path("the table"), [])
    except DataError:
        return as_objects(column.to_pylist())


def as_objects(values: list[Any]) -> Host:
    """Values as an array of objects (n,), whatever they are."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
