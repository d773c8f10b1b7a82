"""What a contender is given and what its answer is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.tables.sources import Table, split

#: Probabilities are held above this, so that one sure error costs a finite loss.
LEAST_PROBABILITY = 1e-7
BINS = 15


@dataclass(frozen=True)
class Problem:
    """Rows to learn from and rows to answer; `seed` is the number of the split."""

    train: pd.DataFrame
    target: np.ndarray
    test: pd.DataFrame
    task: str
    #: All classes of the table, sorted; empty for a regression.
    classes: np.ndarray
    seed: int

    @property
    def is_regression(self) -> bool:
        return self.task == "regression"

    @property
    def categories(self) -> list[str]:
        """The columns of texts."""
        kinds = self.train.dtypes.items()
        return [str(name) for name, kind in kinds if not pd.api.types.is_numeric_dtype(kind)]

    @property
    def numbers(self) -> list[str]:
        """The columns of numbers."""
        texts = self.categories
        return [str(name) for name in self.train if name not in texts]


def problem_of(table: Table, seed: int) -> tuple[Problem, np.ndarray]:
    """The problem of one split, and the answers of its test rows."""
    train, test = split(table, seed)
    classes = table.classes if table.task == "classification" else np.zeros(0)
    problem = Problem(
        table.features.iloc[train].reset_index(drop=True),
        table.target[train],
        table.features.iloc[test].reset_index(drop=True),
        table.task,
        classes,
        seed,
    )
    return problem, table.target[test]


def scores(problem: Problem, answer: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Scores of an answer: values (n,), or probabilities (n, k) of the classes.

    Raises ValueError for an answer of another shape or one that is not finite.
    """
    answer = np.asarray(answer, dtype=np.float64)
    shape = (len(truth),) if problem.is_regression else (len(truth), len(problem.classes))
    if answer.shape != shape:
        raise ValueError(f"the answer has the shape {answer.shape}, not {shape}")
    if not np.isfinite(answer).all():
        raise ValueError("the answer holds values that are not finite")
    if problem.is_regression:
        error = float(np.sqrt(np.mean((answer - truth) ** 2)) / np.std(truth))
        return {"error": error}
    return class_scores(answer, np.searchsorted(problem.classes, truth))


def class_scores(probabilities: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """Error rate, log loss (nats), area under the curve, expected calibration error of (n, k) and (n,) codes."""
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    chosen = probabilities.argmax(axis=1)
    of_truth = probabilities[np.arange(len(codes)), codes]
    return {
        "error": float(np.mean(chosen != codes)),
        "log_loss": float(-np.log(np.maximum(of_truth, LEAST_PROBABILITY)).mean()),
        "auc": area(probabilities, codes),
        "ece": calibration_error(probabilities.max(axis=1), chosen == codes),
    }


def area(probabilities: np.ndarray, codes: np.ndarray) -> float:
    """Area under the ROC curve; of several classes, the mean of each against the others."""
    from scipy.stats import rankdata

    areas = []
    for place in range(1 if probabilities.shape[1] == 2 else 0, probabilities.shape[1]):
        positive = codes == place
        many, others = int(positive.sum()), int((~positive).sum())
        ranks = rankdata(probabilities[:, place])[positive].sum()
        areas.append((ranks - many * (many + 1) / 2) / (many * others))
    return float(np.mean(areas))


def calibration_error(confidence: np.ndarray, is_right: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, weighted by their rows."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    distances = np.bincount(bins, weights=is_right - confidence, minlength=BINS)
    return float(np.abs(distances).sum() / len(confidence))
