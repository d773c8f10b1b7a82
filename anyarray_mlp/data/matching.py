"""Columns of a table that are not those that were named, or that a model was trained on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from anyarray_mlp.checking.messages import listed, paired, shown, suggestion
from anyarray_mlp.data.cells import unnamed
from anyarray_mlp.errors import DataError


def check_named(wanted: Iterable[str], columns: Collection[str]) -> None:
    """Raise `DataError` for a column to keep, or to read as dates, that is not there."""
    for name in wanted:
        if name not in columns:
            raise DataError(
                f"no column {shown(name)} to keep or to read as dates{suggestion(name, columns)}; "
                f"the columns are {listed(columns)}"
            )


def unmatched(names: Sequence[str], absent: Sequence[str], present: Sequence[str]) -> DataError:
    """The error for a table of columns `present`, of which `absent` are missing; `names` were trained on."""
    if unnamed(names):
        return DataError(
            f"the table has {len(present)} columns, {listed(present)}, and the model was trained on "
            f"{len(names)} without names; give these alone, in their order"
        )
    if unnamed(present):
        return DataError(
            f"the table has {len(present)} columns without names and the "
            f"model was trained on {len(names)}: {listed(names)}; give these columns, or a header"
        )
    known = set(names)
    spare = [name for name in present if name not in known]
    return DataError(
        f"{missing_columns(absent, spare)}; "
        f"the model was trained on {listed(names)} and the table has {listed(present)}"
    )


def missing_columns(absent: Sequence[str], spare: Sequence[str]) -> str:
    """Which columns are missing, and which unmatched column of the table each may be."""
    meant = paired(absent, spare)
    if len(absent) == 1:
        likely = "".join(f" (did you mean {shown(name)}?)" for name in meant.values())
        return f"column {shown(absent[0])} is missing{likely}"
    likely = ", ".join(f"{shown(new)} for {shown(old)}" for old, new in list(meant.items())[:12])
    return f"columns {listed(absent)} are missing{f' (did you mean {likely}?)' if likely else ''}"
