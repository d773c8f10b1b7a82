"""What a fitted estimator holds beside its weights, as JSON and back: parameters, figures and labels."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from anyarray_mlp.checking.records import (
    FRACTION,
    NOT_FINITE,
    NULL,
    TEXT,
    TRUTH,
    Check,
    RecordError,
    integer,
    list_of,
    one_of,
    table,
)
from anyarray_mlp.data.labels import LABEL, labels_from
from anyarray_mlp.errors import UsageError
from anyarray_mlp.estimators.labels import Labels
from anyarray_mlp.typing import Host

KINDS = ("binary", "multiclass", "multilabel")
#: The dtypes of labels, by the names that `str` gives them on any machine; texts are "<U" with their width.
LABEL_DTYPES = {
    str(dtype): dtype
    for name in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    for dtype in (np.dtype(f"<{name}"), np.dtype(f">{name}"))
}
TEXT_DTYPE = re.compile(r"[<>]U([0-9]{1,9})")
LABELS = table(
    {
        "kind": one_of(KINDS),
        "values": list_of(LABEL, least=1),
        "dtype": Check(
            f"object, <U and a width, or one of {', '.join(LABEL_DTYPES)}",
            lambda value: (
                isinstance(value, str)
                and (value in ("object", *LABEL_DTYPES) or bool(TEXT_DTYPE.fullmatch(value)))
            ),
        ),
        "sparse": TRUTH,
    }
)
#: `packed` gives numbers within these bounds, which no seed, count or label exceeds.
PACKED_INTEGER = integer(-(2**64), 2**64)
PACKED_DEPTH = 8
PACKED = NULL | TRUTH | TEXT | PACKED_INTEGER | FRACTION


def packed(value: Any) -> Any:
    """A parameter or figure as JSON, from which `unpacked` restores an equal one."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, range):
        value = list(value)
    if hasattr(value, "tolist"):  # an array, a table's column
        value = value.tolist()
    if isinstance(value, tuple):
        return {"tuple": [packed(item) for item in value]}
    if isinstance(value, list):
        return [packed(item) for item in value]
    if isinstance(value, Mapping):
        return {"dict": [[packed(key), packed(item)] for key, item in value.items()]}
    raise UsageError(f"A {type(value).__name__} cannot be saved in a model file: use plain values.")


def unpacked(value: Any, place: str, depth: int = PACKED_DEPTH) -> Any:
    """The inverse of `packed`; `RecordError` for what it cannot produce."""
    if depth == 0:
        raise RecordError(f"{place} is nested too deeply")
    if isinstance(value, list):
        return [unpacked(item, place, depth - 1) for item in value]
    if not isinstance(value, dict):
        PACKED(value, place)
        return value
    kind, content = next(iter(value.items())) if len(value) == 1 else ("", None)
    if kind == "float" and isinstance(content, str) and content in NOT_FINITE:
        return NOT_FINITE[content]
    if kind == "tuple" and isinstance(content, list):
        return tuple(unpacked(item, place, depth - 1) for item in content)
    if kind == "dict" and isinstance(content, list):
        pairs = [unpacked(pair, place, depth - 1) for pair in content]
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 2:
                raise RecordError(f"{place} has an entry that is not a pair of label and weight")
            LABEL(pair[0], f"a label of {place}")
        return dict(pairs)
    raise RecordError(
        f"{place} is {reprlib.repr(value)} and must be a value that an estimator keeps"
    )


def packed_labels(labels: Labels | None) -> dict[str, Any] | None:
    """Kind, values and dtype of the labels, as JSON; None for none."""
    if labels is None:
        return None
    values, kind = labels.classes.tolist(), labels.classes.dtype.kind
    known = kind == "U" or str(labels.classes.dtype) in LABEL_DTYPES
    if not known and not all(isinstance(value, str) for value in values):
        raise UsageError(
            f"classes_ of dtype {labels.classes.dtype} cannot be saved in a model file: use texts or numbers."
        )
    return {
        "kind": labels.kind,
        "values": values,
        "dtype": str(labels.classes.dtype) if known else "object",
        "sparse": labels.sparse,
    }


def unpacked_labels(record: Mapping[str, Any], n_outputs: int) -> Labels:
    """The labels of a record, which must fit the number of outputs; `RecordError` if they do not."""
    place, name = "estimator.labels", record["dtype"]
    texts = TEXT_DTYPE.fullmatch(name)
    classes = labels_from(record["values"], f"{place}.values", int(texts[1]) if texts else 0)
    if (classes.dtype.kind == "U") != (name == "object" or texts is not None):
        raise RecordError(f"{place}.dtype is {name}, but the labels are of another kind")
    dtype = np.dtype(object) if name == "object" else LABEL_DTYPES.get(name, classes.dtype)
    with np.errstate(over="ignore"):
        cast = classes.astype(dtype)
    if not np.array_equal(cast, classes):
        raise RecordError(f"{place}.dtype is {name}, which cannot hold the labels")
    if classes.dtype.kind == "f" and not np.all(are_whole(classes)):
        raise RecordError(
            f"{place}.values holds {classes[~are_whole(classes)][0]}: numbers must be whole, within 2^53"
        )
    labels = Labels(record["kind"], cast, record["sparse"])
    if labels.n_outputs != n_outputs:
        raise RecordError(f"{place} has {len(classes)} classes for {n_outputs} outputs")
    if labels.kind != "multilabel" and labels.kind != Labels.among(cast).kind:
        raise RecordError(f"{place}.kind is {labels.kind} for {len(classes)} classes")
    return labels


def are_whole(values: Host) -> Host:
    """Which floats scikit-learn accepts as labels: those that equal integers."""
    return np.asarray((values % 1 == 0) & (np.abs(values) <= 2**53))
