"""`Dataset`: features and target as read, before any encoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from anyarray_mlp.checking.messages import listed
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.tables.reading import ColumnReading
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    import pandas

Task = Literal["classification", "regression", "multilabel"]
TASKS: tuple[str, ...] = get_args(Task)

Features: TypeAlias = "pandas.DataFrame | Any"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named set of examples.

    features: a pandas DataFrame (a table; its index counts the file's lines), or an array (n, i).
        Images are uint8, one row each, with `image_shape` their height and width.
    target: array (n,) of texts, integers or floats, or (n, k) for several outputs or labels.
    test: the set's own test examples, if it has some.
    notes: what was decided in reading a table that a person might have wanted otherwise, one sentence each.
    readings: how each column of a table is read.
    validation: examples that a set of pictures has for validation.
    others: of a table of pictures, the columns besides these and the target, a DataFrame; None for anything else.
    image_column: of a table of pictures, the column whose texts list their pixels.
    has_last_target: whether the target of a table, where nobody names one, is its last column.
    """

    name: str
    features: Features
    target: Host
    feature_names: tuple[str, ...]
    target_name: str | tuple[str, ...]
    task: Task
    image_shape: tuple[int, ...] | None = None
    test: Dataset | None = None
    notes: tuple[str, ...] = ()
    readings: Mapping[str, ColumnReading] = field(default_factory=dict)
    validation: Dataset | None = None
    others: pandas.DataFrame | None = None
    image_column: str | None = None
    has_last_target: bool = True

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UsageError(f"task is {self.task!r}; it must be one of {listed(TASKS)}")
        if self.features.ndim != 2:
            raise DataError(
                f"{self.name}: the features have shape {self.features.shape}; give one row for each example, (n, i)"
            )
        n, width = self.features.shape
        if n == 0:
            raise DataError(f"{self.name}: holds no examples; give at least one row")
        if width == 0:
            raise DataError(
                f"{self.name}: holds no features; give at least one column besides the target"
            )
        if self.target.ndim not in (1, 2) or len(self.target) != n:
            raise DataError(
                f"{self.name}: {n} rows of features and a target of shape {self.target.shape}; "
                f"give one target for each row, ({n},) or ({n}, k)"
            )
        if self.task == "multilabel" and self.target.ndim != 2:
            raise DataError(
                f"{self.name}: a multilabel target needs a column for each label and this one has one column; "
                "name several target columns (--target A --target B), or use task 'classification'"
            )
        if self.task == "classification" and self.target.ndim != 1:
            raise DataError(
                f"{self.name}: a classification target needs one label for each row "
                f"and this one has {self.target.shape[1]} columns; use task 'multilabel' or name one column"
            )
        if self.test is not None and self.test.features.shape[1] != width:
            raise DataError(
                f"{self.name}: {width} features for training and {self.test.features.shape[1]} in the test set; "
                "both need the same columns"
            )

    def __len__(self) -> int:
        return len(self.target)
