"""The data as they were read: each column, what its cells are, how many are missing, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.data import Dataset, Preprocessor
from anyarray_mlp.data.cells import Cells, as_array, as_columns, gaps_in, is_numeric
from anyarray_mlp.data.encoding import Column
from anyarray_mlp.pipeline.preparation import Prepared
from anyarray_mlp.tables.coded import CodedTexts
from anyarray_mlp.typing import Host

MOST_COLUMNS, MOST_VALUES, BARS, MOST_BARS = 200, 4, 30, 40
#: The kinds of columns in words.
KINDS = {
    "numeric": "number",
    "robust": "number",
    "binary": "two values",
    "categorical": "category",
    "grouped": "category",
    "date": "date",
    "left_out": "left out",
}


@dataclass(frozen=True)
class ColumnFigures:
    """A column over all rows that were read.

    Attributes
    ----------
    kind : what it is taken as.
    gaps, different : cells without a value, and different values.
    values : the smallest, the median and the largest of numbers, or the most frequent others.
    inputs : how many inputs of the network it becomes.
    note : what was decided about it.
    """

    name: str
    kind: str
    gaps: int
    different: int
    values: str
    inputs: int
    note: str


@dataclass(frozen=True)
class TargetFigures:
    """A target over all rows: how many rows each of its bars has, a class, or a range of numbers by its bounds."""

    name: str
    labels: tuple[str, ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class DataFigures:
    """The data of a run.

    Attributes
    ----------
    rows : of each part, by its name.
    width : columns that were read, beside the target.
    columns : the first of them; none of pictures, of which `what` says what they are.
    targets : a few of them.
    notes : what was decided that is not of one column.
    """

    name: str
    what: str
    rows: dict[str, int]
    width: int
    inputs: int
    columns: tuple[ColumnFigures, ...]
    targets: tuple[TargetFigures, ...]
    notes: tuple[str, ...]


def data_of(prepared: Prepared) -> DataFigures:
    """The figures of the data of a run."""
    preprocessor, parts = prepared.preprocessor, prepared.raw
    features = [part.features for part in parts.values()]
    is_pictures = preprocessor.pixels
    columns = () if is_pictures else columns_of(preprocessor, list(parts.values()))
    told = [column.note for column in columns if column.note]
    return DataFigures(
        prepared.name,
        about_pictures(parts["training"]) if is_pictures else "",
        {name: len(part) for name, part in parts.items()},
        features[0].shape[1],
        preprocessor.n_features_out,
        columns,
        targets_of(prepared),
        tuple(note for note in preprocessor.notes if not any(each in note for each in told)),
    )


def about_pictures(dataset: Dataset) -> str:
    """What pictures are, in words."""
    shape = dataset.image_shape
    if shape is None:
        return f"{dataset.features.shape[1]:,} pixels"
    return "pictures of " + " by ".join(map(str, shape)) + " pixels"


def columns_of(preprocessor: Preprocessor, parts: list[Dataset]) -> tuple[ColumnFigures, ...]:
    """The figures of the first columns, over all parts in which they are."""
    wanted = preprocessor.columns[:MOST_COLUMNS]
    cells: dict[str, list[Cells]] = {column.name: [] for column in wanted}
    for part in parts:
        for name, values in as_columns(part.features, part.feature_names).items:
            if name in cells:
                cells[name].append(values)
    return tuple(
        column_figures(column, cells[column.name], preprocessor.notes) for column in wanted
    )


def column_figures(column: Column, parts: list[Cells], notes: Iterable[str]) -> ColumnFigures:
    """The figures of one column from its cells in each part."""
    gaps = sum(int(gaps_in(part).sum()) for part in parts)
    if parts and all(is_numeric(part) and not isinstance(part, CodedTexts) for part in parts):
        numbers = np.concatenate([np.asarray(as_array(part), dtype=np.float64) for part in parts])
        numbers = numbers[~np.isnan(numbers)]
        different, values = len(np.unique(numbers)), range_of(numbers)
    else:
        counts = counted_values(parts)
        different, values = len(counts), most_frequent(counts)
    return ColumnFigures(
        column.name, KINDS[column.kind], gaps, different, values, column.width,
        note_about(column.name, notes),
    )  # fmt: skip


def range_of(numbers: Host) -> str:
    """The smallest, the median and the largest number."""
    if not len(numbers):
        return ""
    figures = (numbers.min(), np.median(numbers), numbers.max())
    return " \N{MIDDLE DOT} ".join(f"{figure:,.6g}" for figure in figures)


def counted_values(parts: list[Cells]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    counts: dict[str, int] = {}
    for part in parts:
        if isinstance(part, CodedTexts):
            rows = np.bincount(part.codes[~part.gaps], minlength=len(part.levels))
            found = zip(part.levels, rows.tolist(), strict=True)
        else:
            texts = as_array(part)[~gaps_in(part)].astype(str)
            found = zip(
                *(each.tolist() for each in np.unique(texts, return_counts=True)), strict=True
            )
        for value, rows_of_it in found:
            counts[str(value)] = counts.get(str(value), 0) + rows_of_it
    return dict(sorted(((v, n) for v, n in counts.items() if n), key=lambda pair: -pair[1]))


def most_frequent(counts: dict[str, int]) -> str:
    """The first few values, and how often they occur."""
    first = list(counts.items())[:MOST_VALUES]
    text = ", ".join(f"{value[:30]} ({rows:,})" for value, rows in first)
    return text + (", \N{HORIZONTAL ELLIPSIS}" if len(counts) > MOST_VALUES else "")


def note_about(name: str, notes: Iterable[str]) -> str:
    """What is noted of a column alone."""
    start = f"column {shown(name)}: "
    return "; ".join(note.removeprefix(start) for note in notes if note.startswith(start))


def targets_of(prepared: Prepared) -> tuple[TargetFigures, ...]:
    """The targets over all parts, the first few."""
    raw = np.concatenate([np.asarray(part.target) for part in prepared.raw.values()])
    columns = raw.reshape(len(raw), -1)
    names = prepared.target_names
    if len(names) != columns.shape[1]:
        names = tuple(f"target {place}" for place in range(columns.shape[1]))
        names = ("target",) if len(names) == 1 else names
    is_regression = prepared.targets.task == "regression"
    of_one: Any = numbers_in_bars if is_regression else labels_in_bars
    return tuple(of_one(name, columns[:, place]) for place, name in enumerate(names[:6]))


def numbers_in_bars(name: str, values: Host) -> TargetFigures:
    """The histogram of a target of numbers."""
    counts, edges = np.histogram(values.astype(np.float64), bins=BARS)
    return TargetFigures(name, (), tuple(map(float, edges)), tuple(map(int, counts)))


def labels_in_bars(name: str, values: Host) -> TargetFigures:
    """How many rows each class has, the most frequent if they are many."""
    labels, counts = np.unique(values, return_counts=True)
    first = np.sort(np.argsort(-counts, kind="stable")[:MOST_BARS])
    named = tuple(str(label) for label in labels[first].tolist())
    return TargetFigures(name, named, (), tuple(map(int, counts[first])))
