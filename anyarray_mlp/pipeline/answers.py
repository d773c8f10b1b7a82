"""What a model answers, as columns by name: predictions and probabilities in the digits that its dtype has."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.typing import Host


def answers_of(trained: TrainedModel, outputs: Host) -> dict[str, Host]:
    """Labels or values of a network's outputs (n, k): "prediction" (n,), or one for each of several targets."""
    return predictions(trained, in_few_digits(trained, trained.decode(outputs), outputs))


def in_few_digits(trained: TrainedModel, answers: Any, outputs: Any) -> Any:
    """Answers whose numbers have no more digits than the network's dtype tells apart; labels as they are."""
    if trained.targets.task != "regression":
        return answers
    columns = answers.reshape(outputs.shape).T
    units = zip(trained.targets.mean, trained.targets.scale, strict=True)
    rounded = [
        shortest(column, output, *unit)
        for column, output, unit in zip(columns, outputs.T, units, strict=True)
    ]
    return np.stack(rounded, axis=1).reshape(answers.shape)


def predictions(trained: TrainedModel, answers: Any) -> dict[str, Any]:
    """(n,) as one column, (n, k) as one for each target: by its name in the table, else by its number."""
    if answers.ndim == 1:
        return {"prediction": answers}
    return {
        f"prediction_{name}": column
        for name, column in zip(names_of(trained, answers.shape[1]), answers.T, strict=True)
    }


def names_of(trained: TrainedModel, k: int) -> tuple[str, ...]:
    """What k targets are called: their columns in the table that was trained on, or 1, 2, ..."""
    names = trained.target_names
    return names if len(set(names)) == k else tuple(str(number + 1) for number in range(k))


def probabilities(trained: TrainedModel, outputs: Any) -> dict[str, Any]:
    """A column of probabilities for each class or label."""
    columns = outputs.T
    if len(columns) == 1 and trained.targets.task == "classification":
        columns = [1.0 - columns[0], columns[0]]
    names: Any = trained.targets.classes
    if trained.targets.task == "multilabel":
        names = names_of(trained, len(columns))
    return {
        f"probability_{name}": shortest(column, column)
        for name, column in zip(names, columns, strict=False)
    }


def shortest(values: Host, outputs: Host, mean: float = 0.0, scale: float = 1.0) -> Host:
    """float64 `values` (n,) with no more digits than the network's `outputs` (n,) in its own dtype tell apart.

    The values are outputs times `scale` plus `mean`; each is rounded to the fewest decimals from which the very output
    is found again, and kept whole where none are.
    """
    rounded = np.array(values, dtype=np.float64)
    with np.errstate(all="ignore"):
        step = np.abs(np.spacing(outputs).astype(np.float64)) * scale
        exponents = np.floor(np.log10(step))
        # The first decimal that says less than one step, from one before it to one behind.
        for extra in (1, 0, -1):
            for exponent in np.unique(exponents[np.isfinite(exponents)]):
                decimals = int(-exponent) - extra
                if not -300 < decimals < 300:
                    continue
                rows = np.flatnonzero(exponents == exponent)
                candidates = np.array([round(v, decimals) for v in values[rows].tolist()])
                same = ((candidates - mean) / scale).astype(outputs.dtype) == outputs[rows]
                fresh = same & (rounded[rows] == values[rows])
                rounded[rows[fresh]] = candidates[fresh]
    return rounded


def as_rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns as one object for each row."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def as_csv(columns: Mapping[str, Sequence[Any]]) -> str:
    """Columns as CSV, their names first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue()
