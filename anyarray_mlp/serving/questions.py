"""What a request asks: the rows in its body, read and checked as `predict` does, as inputs of the network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from anyarray_mlp.data.sources import features_of_table
from anyarray_mlp.data.unknown import about_unknown, without_unknown
from anyarray_mlp.errors import DataError, OutOfMemoryError
from anyarray_mlp.pipeline.trained_model import TrainedModel, inputs
from anyarray_mlp.tables.source import Source
from anyarray_mlp.typing import Host

#: What messages call the body of a request.
BODY = Path("body")
FORMS = 'give a list of objects, as in [{"width": 1.5, "colour": "red"}], or of lists of values'


@dataclass(frozen=True)
class Question:
    """Inputs (n, i), their scale as `inputs` gives it, and what was decided about categories that are not known."""

    x: Host
    scale: float | None
    warnings: tuple[str, ...] = ()


def question_of(trained: TrainedModel, body: bytes, is_json: bool, dtype: str) -> Question:
    """The rows of a body of JSON or CSV; `DataError` for what cannot be read, or does not fit the model."""
    try:
        features = rows_of_json(trained, body) if is_json else table_of(trained, body)
        if not len(features):
            raise DataError(f"{BODY}: holds no rows: {FORMS}.")
        return encoded(trained, features, dtype)
    except MemoryError as error:
        raise OutOfMemoryError("The rows do not fit in memory: send fewer at a time.") from error


def table_of(trained: TrainedModel, content: bytes) -> Any:
    """The features of a table, in whatever form the model's own was."""
    if not content.strip():
        raise DataError(f"{BODY}: is empty: send a table with a line of names, or JSON.")
    return features_of_table(Source(BODY, content), trained.reading, trained.schema)[0]


def rows_of_json(trained: TrainedModel, content: bytes) -> Any:
    """The features in a list of objects or of lists, which may be the `rows` of an object."""
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(f"{BODY}: is no JSON ({reason}): {FORMS}.") from None
    if isinstance(rows, dict) and set(rows) == {"rows"}:
        rows = rows["rows"]
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{BODY}: holds no rows: {FORMS}.")
    if all(isinstance(row, dict) for row in rows):
        return table_of(trained, json.dumps(rows).encode())
    if not all(isinstance(row, list) and len(row) == len(rows[0]) for row in rows):
        raise DataError(f"{BODY}: its rows are not alike: {FORMS}, all of one length.")
    try:
        return np.array(rows, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):  # texts
        names = trained.preprocessor.names
        if len(rows[0]) != len(names):
            names = trained.preprocessor.used_names
        trained.preprocessor.check_width(len(rows[0]))
        return pandas.DataFrame(rows, columns=list(names))


def encoded(trained: TrainedModel, features: Any, dtype: str) -> Question:
    """Features as inputs; categories that training has not met are gaps, or the rest of their column."""
    preprocessor = trained.preprocessor
    warnings: tuple[str, ...] = ()
    if any(column.categories for column in preprocessor.used):
        features, unknown = without_unknown(preprocessor, features)
        warnings = tuple(about_unknown(preprocessor, unknown, len(features)))
    return Question(*inputs(preprocessor, features, dtype), warnings)
