"""What the columns do to the answers: how much worse these are without one, and how they change along it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.data import Dataset
from anyarray_mlp.data.encoding import Column
from anyarray_mlp.pipeline.preparation import rows as rows_of
from anyarray_mlp.pipeline.trained_model import TrainedModel, encode_targets, inputs
from anyarray_mlp.reporting.answers import Answers, some_of
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.training.predicting import plain_numpy
from anyarray_mlp.typing import Host

#: Rows that columns are shuffled among, rows that are answered along a column, and columns that are shuffled.
SHUFFLED_ROWS, ANSWERED_ROWS, MOST_COLUMNS = 2000, 300, 100
REPEATS, STRONGEST, STEPS, MOST_VALUES, MOST_LINES = 5, 6, 20, 15, 6


@dataclass(frozen=True)
class Importance:
    """By how much the loss rises and the score falls where a column's cells are shuffled: mean and deviation."""

    column: str
    loss: float
    loss_deviation: float
    score: float
    score_deviation: float


@dataclass(frozen=True)
class Dependence:
    """The mean answer where every row has the same value of a column.

    Attributes
    ----------
    values : numbers, or categories as texts.
    answers : by what is answered, a target or the probability of a class, one for each value.
    """

    column: str
    values: tuple[Any, ...]
    answers: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Effects:
    """The importance of columns, the strongest first, from so many rows, and the dependence on the strongest.

    `score` is what falls: accuracy or R². Along `dates` no dependence is known; `left_out` columns were not looked at.
    """

    which: str
    rows: int
    score: str
    importance: tuple[Importance, ...]
    dependence: tuple[Dependence, ...]
    dates: tuple[str, ...]
    left_out: int


def effects_of(answers: Answers) -> Effects | Missing:
    """The effects of columns on rows that were held out."""
    model = answers.model
    if model.preprocessor.pixels:
        return Missing("one pixel of a picture by itself says nothing")
    some = rows_of(answers.rows, some_of(len(answers), SHUFFLED_ROWS, 1))
    columns = looked_at(model)
    found = importance(model, some, columns)
    by_name = {column.name: column for column in columns}
    strongest = [by_name[each.column] for each in found[:STRONGEST]]
    few = rows_of(answers.rows, some_of(len(answers), ANSWERED_ROWS, 2))
    answered = answered_by(answers)
    return Effects(
        answers.which,
        len(some),
        "r2" if answers.task == "regression" else "accuracy",
        found,
        tuple(
            dependence(model, few, column, answered)
            for column in strongest
            if column.kind != "date"
        ),
        tuple(column.name for column in strongest if column.kind == "date"),
        len(model.preprocessor.used) - len(columns),
    )


def looked_at(model: TrainedModel) -> list[Column]:
    """The columns that the model uses; of very many, those with the largest weights."""
    used = list(model.preprocessor.used)
    if len(used) <= MOST_COLUMNS:
        return used
    weights = model.mlp.layout.split(np.atleast_2d(model.parameters)[0])[0]
    stops = np.cumsum([column.width for column in used])
    norms = [np.linalg.norm(part) for part in np.split(weights, stops[:-1])]
    return [used[place] for place in np.sort(np.argsort(norms)[::-1][:MOST_COLUMNS])]


class Judge:
    """What scikit-learn shuffles columns for: an estimator that is fitted, and judges rows of a table."""

    def __init__(self, model: TrainedModel, table: Any) -> None:
        self.model = model
        self.table = table

    def fit(self, x: Any, y: Any) -> Judge:
        """It is."""
        return self

    def scores(self, some: Any, encoded: Host) -> dict[str, float]:
        """The loss, as a score, and the score of the task, where some columns of the table are these."""
        model, backend = self.model, plain_numpy("float32")
        x, scale = inputs(model.preprocessor, with_columns(self.table, some), backend.dtype, "rest")
        found = model.scores_of_inputs(x, scale, encoded, backend)
        return {"loss": -found["loss"], "score": found.get("r2", found.get("accuracy", np.nan))}


def importance(
    model: TrainedModel, some: Dataset, columns: Sequence[Column]
) -> tuple[Importance, ...]:
    """Permutation importance (Breiman 2001, by scikit-learn), the columns with the largest rise of the loss first."""
    from sklearn.inspection import permutation_importance

    table = as_table(some)
    names = [column.name for column in columns]
    found = permutation_importance(
        Judge(model, table),
        table[names],
        encode_targets(model.mlp, model.targets, some.target),
        scoring=Judge.scores,
        n_repeats=REPEATS,
        random_state=streams.random_state("shuffled column", 0),
    )
    loss, score = found["loss"], found["score"]
    figures = zip(
        loss.importances_mean, loss.importances_std, score.importances_mean, score.importances_std,
        strict=True,
    )  # fmt: skip
    made = [Importance(name, *map(float, each)) for name, each in zip(names, figures, strict=True)]
    return tuple(sorted(made, key=lambda each: -each.loss))


def as_table(dataset: Dataset) -> Any:
    """The features of rows as a DataFrame."""
    import pandas

    features = dataset.features
    if hasattr(features, "iloc"):
        return features
    return pandas.DataFrame(np.asarray(features), columns=list(dataset.feature_names))


def with_columns(table: Any, some: Any) -> Any:
    """A table with other cells in some of its columns."""
    if len(some.columns) == len(table.columns):
        return some
    return table.assign(**{str(name): some[name] for name in some})


def dependence(
    model: TrainedModel, some: Dataset, column: Column, answered: Mapping[str, int]
) -> Dependence:
    """Partial dependence (Friedman 2001): the mean answer of the rows, each with the same value in a column."""
    table = as_table(some)
    values = values_along(column, table[column.name])
    means = [mean_answers(model, table.assign(**{column.name: value})) for value in values]
    lines = {name: tuple(float(mean[at]) for mean in means) for name, at in answered.items()}
    return Dependence(column.name, tuple(values), lines)


def values_along(column: Column, cells: Any) -> list[Any]:
    """Values that a column takes: numbers from low to high by their shares, or the most frequent others."""
    known = cells.dropna()
    if column.kind not in ("numeric", "robust"):
        counts = known.astype(str).value_counts(sort=True)
        return sorted(counts.index[:MOST_VALUES].tolist())
    numbers = known.to_numpy(dtype=np.float64)
    different = np.unique(numbers)
    if len(different) > STEPS:
        different = np.unique(np.quantile(numbers, np.linspace(0.02, 0.98, STEPS)))
    return [float(number) for number in different]


def mean_answers(model: TrainedModel, table: Any) -> Host:
    """The mean (k,) over rows of the probabilities of classes, or of values in their own unit."""
    outputs = model.outputs(table)
    if model.targets.task == "regression":
        outputs = np.asarray(model.decode(outputs)).reshape(outputs.shape)
    elif model.targets.task == "classification" and outputs.shape[1] == 1:
        outputs = np.concatenate([1.0 - outputs, outputs], axis=1)
    mean: Host = outputs.mean(axis=0, dtype=np.float64)
    return mean


def answered_by(answers: Answers) -> dict[str, int]:
    """What is answered, by its name, and its place: targets, or classes, of two the second, of many the first few."""
    if answers.task == "regression":
        k = answers.outputs.shape[1]
        names = answers.model.target_names
        names = names if len(names) == k else tuple(f"target {place}" for place in range(k))
        return {name: place for place, name in enumerate(names[:MOST_LINES])}
    labels = answers.labels
    if answers.task == "classification" and len(labels) == 2:
        return {labels[1]: 1}
    return {label: place for place, label in enumerate(labels[:MOST_LINES])}
