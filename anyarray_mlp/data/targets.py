"""Which task a raw target implies, and `TargetEncoder`: the numbers that a network is fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.records import (
    NULL,
    TRUTH,
    RecordError,
    list_of,
    model_file,
    number,
    one_of,
    table,
)
from anyarray_mlp.data.cells import is_gap, is_number
from anyarray_mlp.data.dataset import TASKS, Task
from anyarray_mlp.data.labels import LABEL, labels_from
from anyarray_mlp.data.moments import mean_and_scale
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.typing import Host

# Integers are classes if there are at most this many distinct ones, or if they number the classes 0..k-1 with ten
# rows for each.
FEW_DISTINCT = 20
ROWS_PER_CLASS = 10
# Labels that are encoded at a time, so that what is made on the way takes little memory.
ROWS_AT_ONCE = 1 << 16


def tidy_target(target: Any, name: str = "target") -> Host:
    """`target` as an array of booleans, integers, floats or texts, (n,) or (n, k).

    Arrays of Python objects become texts or numbers if all their values are of that kind.
    Raises `DataError` for a missing value, a mixture, or values of another kind.
    """
    values = np.asarray(target)
    if values.dtype.kind == "O":
        values = from_objects(values, name)
    if values.dtype.kind == "T":
        values = values.astype(str)
    if values.dtype.kind not in "biufU":
        raise DataError(
            f"{name}: values of type {values.dtype} cannot be a target; give numbers or texts"
        )
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return values


def from_objects(values: Host, name: str) -> Host:
    """An array of Python objects as one of texts or of numbers."""
    cells = values.ravel().tolist()
    for row, cell in enumerate(cells):
        if is_gap(cell):
            raise DataError(
                f"{name}: the value in row {row} (from 0) is missing; leave that row out"
            )
    if all(isinstance(cell, str) for cell in cells):
        return values.astype(str)
    if all(map(is_number, cells)):
        # NumPy recognises its own numbers and Python's; others (Decimal, Fraction) would stay objects.
        known = (bool, int, float, np.generic)
        numbers = [cell if isinstance(cell, known) else float(cell) for cell in cells]
        return np.array(numbers).reshape(values.shape)
    first = next(cell for cell in cells if not isinstance(cell, str))
    raise DataError(
        f"{name}: mixes texts and values such as {shown(first)}; give only texts or only numbers"
    )


def are_integers(values: Host) -> bool:
    """Whether every value is a finite whole number."""
    if values.dtype.kind in "iu":
        return True
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return False
    return bool((values == np.round(values)).all())


def infer_task(target: Host) -> Task:
    """The task that a tidy target implies.

    One column: texts and booleans are classes. So are whole numbers with at most 20 distinct values (and at least two
    rows for each on average), and whole numbers 0..k-1 with at least ten rows for each on average. Several columns of
    0 and 1: classification if each row has exactly one 1 (one-hot), else multilabel. Anything else is regression.
    Raises `DataError` for a target without rows.
    """
    if target.size == 0:
        raise DataError("the target is empty; give at least one row")
    if target.ndim == 2:
        if target.dtype.kind not in "U" and np.isin(target, (0, 1)).all():
            return "classification" if is_one_hot(target) else "multilabel"
        return "regression"
    if target.dtype.kind in "bU":
        return "classification"
    if not are_integers(target):
        return "regression"
    distinct = np.unique(target)
    k, n = len(distinct), len(target)
    few = k <= FEW_DISTINCT and (k <= 2 or 2 * k <= n)
    numbered = distinct[0] == 0 and distinct[-1] == k - 1 and n >= ROWS_PER_CLASS * k
    return "classification" if few or numbered else "regression"


def is_one_hot(target: Host) -> bool:
    """Whether every row of 0 and 1 has exactly one 1."""
    return target.ndim == 2 and bool(
        np.isin(target, (0, 1)).all() and (target.sum(axis=1) == 1).all()
    )


def target_for(target: Host, task: Task) -> Host:
    """The tidy target in the form that its task uses.

    Classes written 0.0, 1.0 become integers, one-hot rows the index of their 1.
    """
    if task != "classification":
        return target
    if target.ndim == 2 and target.dtype.kind != "U" and is_one_hot(target):
        return np.asarray(target.argmax(axis=1))
    if target.dtype.kind == "f" and are_integers(target) and np.abs(target).max(initial=0) < 2**53:
        return target.astype(np.int64)
    return target


@dataclass(frozen=True, eq=False)
class TargetEncoder:
    """Fitted encoding of the target; `TargetEncoder.fit(target, task)` makes one.

    classification: labels to codes 0..k-1 in sorted order.
    multilabel: columns of 0 and 1, unchanged.
    regression: numbers (n, k), standardised on request; `low` and `high`, if given, are the bounds of predictions.
    """

    task: Task
    classes: Host | None = None
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    flat: bool = True
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls, target: Any, task: Task, *, scale_target: bool = False, clamp: bool = False
    ) -> TargetEncoder:
        """Learn the classes, or the mean and scale of a regression target.

        target: (n,) labels, (n, k) of 0 and 1, or (n,) or (n, k) numbers.
        clamp: whether predictions are kept within the numbers of `target`.
        Raises `DataError` for a single class, a missing or infinite value, or a target that does
        not fit the task; `UsageError` for an unknown task, or scaling or clamping anything but a regression
        target.
        """
        if task not in TASKS:
            raise UsageError(f"task is {task!r}; it must be one of {listed(TASKS)}")
        if scale_target and task != "regression":
            raise UsageError(
                f"scale_target needs a regression target and the task is {task}; leave it out"
            )
        if clamp and task != "regression":
            raise UsageError(
                f"clamp needs a regression target and the task is {task}; leave it out"
            )
        values = target_for(tidy_target(target), task)
        if values.size == 0:
            raise DataError("the target is empty; give at least one row")
        if task == "classification":
            classes = np.unique(checked_labels(values))
            if len(classes) < 2:
                raise DataError(
                    f"the target holds only one class, {shown(classes[0])}; "
                    "give rows of at least two classes, or name another target"
                )
            return cls(task, classes=classes)
        numbers = checked_numbers(values, task)
        flat = values.ndim == 1
        if task == "multilabel":
            return cls(task, classes=np.arange(numbers.shape[1]), flat=False)
        k = numbers.shape[1]
        moments = [(0.0, 1.0)] * k
        if scale_target:
            moments = [mean_and_scale(numbers[:, column], "the target") for column in range(k)]
        return cls(
            task,
            mean=tuple(m for m, _ in moments),
            scale=tuple(s for _, s in moments),
            flat=flat,
            low=tuple(numbers.min(axis=0).tolist()) if clamp else (),
            high=tuple(numbers.max(axis=0).tolist()) if clamp else (),
        )

    @property
    def width(self) -> int:
        """Number of outputs that the network needs: one for each class, label or number."""
        return len(self.mean) if self.classes is None else len(self.classes)

    def encode(self, target: Any) -> Host:
        """Codes (n,) int64 for a classification, else float64 (n, width).

        Raises `DataError` for a label that was not seen in training, a value that is missing or not
        finite, or another number of columns.
        """
        values = target_for(tidy_target(target), self.task)
        if self.task == "classification":
            return self.codes(checked_labels(values))
        numbers = checked_numbers(values, self.task)
        if numbers.shape[1] != self.width:
            raise DataError(
                f"the target has {numbers.shape[1]} column(s) and the model was trained on {self.width}; "
                "give the same ones"
            )
        if self.task == "multilabel":
            return numbers
        scaled: Host = (numbers - np.array(self.mean)) / np.array(self.scale)
        return scaled

    def codes(self, labels: Host) -> Host:
        """The index of each label among the classes, (n,) int64."""
        classes: Any = self.classes
        if classes.dtype.kind == "U" and labels.dtype.kind != "U":
            # A column that held "3+" in training may hold only numbers in another file.
            labels = labels.astype(str)
        if (classes.dtype.kind == "U") != (labels.dtype.kind == "U"):
            raise DataError(
                f"the label {shown(labels[0])} is text and the model was trained on {listed(classes.tolist())}; "
                "give labels of the same kind"
            )
        order = np.argsort(classes)  # an estimator's classes may have been set by hand
        codes = np.empty(len(labels), np.int64)
        for start in range(0, len(labels), ROWS_AT_ONCE):
            part = labels[start : start + ROWS_AT_ONCE]
            found = np.searchsorted(classes, part, sorter=order)
            codes[start : start + ROWS_AT_ONCE] = order[np.minimum(found, len(classes) - 1)]
            unseen = classes[codes[start : start + ROWS_AT_ONCE]] != part
            if not unseen.any():
                continue
            row = start + int(unseen.argmax())
            raise DataError(
                f"the label {shown(labels[row])} in row {row} (from 0) "
                f"was not seen in training{suggestion(labels[row], classes.tolist())}; "
                f"the known labels are {listed(classes.tolist())}"
            )
        return codes

    def decode(self, encoded: Any) -> Host:
        """The inverse of `encode`: labels (n,), 0 and 1 (n, k) int64, or numbers in the original unit.

        Numbers are (n,) if the training target was. Raises `DataError` for codes out of range.
        """
        values = np.asarray(encoded)
        if self.task == "multilabel":
            return values.astype(np.int64)
        if self.task == "regression":
            columns = values[:, None] if values.ndim == 1 else values
            numbers = columns * np.array(self.scale) + np.array(self.mean)
            return np.asarray(numbers[:, 0] if self.flat else numbers)
        classes: Any = self.classes
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise DataError(
                f"codes of shape {values.shape} and type {values.dtype}; give integers (n,)"
            )
        if values.size and not 0 <= values.min() <= values.max() < len(classes):
            raise DataError(
                f"codes from {values.min()} to {values.max()}; they must be 0..{len(classes) - 1}"
            )
        labels: Host = classes[values]
        return labels

    def clamped(self, values: Any) -> Host:
        """Decoded predictions, those of a regression kept within its bounds, if it has any."""
        if not self.low:
            return np.asarray(values)
        low, high = np.array(self.low), np.array(self.high)
        bounds = (low[0], high[0]) if self.flat else (low, high)
        return np.asarray(np.clip(values, *bounds))

    def to_json(self) -> dict[str, Any]:
        """All that `from_json` needs, in JSON types."""
        bounds = {"low": list(self.low), "high": list(self.high)} if self.low else {}
        return bounds | {
            "task": self.task,
            "classes": None if self.classes is None else self.classes.tolist(),
            "mean": list(self.mean),
            "scale": list(self.scale),
            "flat": self.flat,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], source: str = "the model") -> TargetEncoder:
        """The encoder that `to_json` describes.

        Raises `ModelFileError`, which names `source`, the field and what it must be, for any other record.
        """
        with model_file(source):
            return encoder_from(record)


TARGETS = table(
    {
        "task": one_of(TASKS),
        "flat": TRUTH,
        "classes": NULL | list_of(LABEL, least=1),
        "mean": list_of(number()),
        "scale": list_of(number(0, ends="(]")),
    },
    {"low": list_of(number()), "high": list_of(number())},
)


def encoder_from(record: Mapping[str, Any]) -> TargetEncoder:
    """The encoder from JSON; raises `RecordError` for a malformed one."""
    TARGETS(record, "targets")
    task, flat = record["task"], record["flat"]
    mean, scale = (tuple(float(value) for value in record[key]) for key in ("mean", "scale"))
    if task == "regression":
        if not mean or len(mean) != len(scale):
            raise RecordError(
                f"targets has {len(mean)} means and {len(scale)} scales and must have one each for every output"
            )
        if flat and len(mean) != 1:
            raise RecordError(f"targets.flat is true and there are {len(mean)} outputs")
        low, high = (tuple(map(float, record.get(key, ()))) for key in ("low", "high"))
        in_order = all(a <= b for a, b in zip(low, high, strict=False))
        if not len(low) == len(high) in (0, len(mean)) or not in_order:
            raise RecordError(
                "targets.low and targets.high must be bounds, the lower first, one each for every output"
            )
        return TargetEncoder(task, mean=mean, scale=scale, flat=flat, low=low, high=high)
    if record["classes"] is None:
        raise RecordError("targets.classes is null and must be the list of classes")
    classes = labels_from(record["classes"], "targets.classes")
    return TargetEncoder(task, classes=classes, flat=flat)


def checked_labels(values: Host) -> Host:
    """Labels (n,), checked to have no missing one."""
    if values.ndim != 1:
        raise DataError(
            f"a classification target of shape {values.shape}; give one label for each row, (n,), "
            "or use task 'multilabel'"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        raise DataError(f"the label in row {row} (from 0) is {values[row]}; leave that row out")
    return values


def checked_numbers(values: Host, task: Task) -> Host:
    """A regression or multilabel target as finite float64 (n, k), of 0 and 1 if multilabel."""
    if values.dtype.kind == "U":
        raise DataError(
            f"the target {shown(values.ravel()[0])} is text and the task is {task}; "
            "give numbers, or use task 'classification'"
        )
    if values.ndim not in (1, 2) or (task == "multilabel" and values.ndim != 2):
        raise DataError(
            f"a {task} target of shape {values.shape}; give a row for each example, (n, k)"
        )
    numbers = values.astype(np.float64)
    if numbers.ndim == 1:
        numbers = numbers[:, None]
    wrong = ~np.isfinite(numbers) if task == "regression" else ~np.isin(numbers, (0, 1))
    if wrong.any():
        row, column = (int(place) for place in np.argwhere(wrong)[0])
        demand = "be finite" if task == "regression" else "be 0 or 1"
        raise DataError(
            f"the target in row {row}, column {column} (from 0) is {numbers[row, column]}; it must {demand}"
        )
    return numbers
