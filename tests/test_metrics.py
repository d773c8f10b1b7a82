"""Metrics: what they say does not depend on which rows they see together."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anyarray_mlp import MLP
from anyarray_mlp.backends import select_backend
from anyarray_mlp.errors import UsageError
from anyarray_mlp.inference import to_leaves
from anyarray_mlp.metrics import METRICS, default_task, find_score
from anyarray_mlp.training import Evaluation, fit

GENERATOR = np.random.default_rng(0)


def test_answers_are_scored_alike_in_rows_of_one_yes_and_of_several() -> None:
    """The first three rows have one yes each, and are no classes for that."""
    outputs = np.array([[0.9, 0.1, 0.2], [0.6, 0.7, 0.8], [0.1, 0.2, 0.4], [0.9, 0.8, 0.1]])
    targets = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 0]])
    accuracy, f1 = (find_score(name, "multilabel") for name in ("accuracy", "f1"))
    assert accuracy(outputs[:3], targets[:3], None) == pytest.approx(1 / 3)
    assert accuracy(outputs, targets, None) == pytest.approx(2 / 4)
    assert f1(outputs[:3], targets[:3], None) == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_rows_of_probabilities_are_classes_however_they_are_rounded() -> None:
    outputs = GENERATOR.dirichlet(np.ones(3), 50)
    targets = GENERATOR.dirichlet(np.ones(3), 50)
    expected = np.mean(outputs.argmax(axis=1) == targets.argmax(axis=1))
    for name in ("accuracy", "balanced_accuracy", "f1", "roc_auc"):
        score = find_score(name, "classification")
        assert score(outputs, targets * (1 + 5e-5), None) == score(outputs, targets, None), name
    assert find_score("accuracy", "classification")(outputs, targets, None) == expected


@pytest.mark.parametrize("outputs", [1, 2])
def test_two_classes_have_one_roc_curve(outputs: int) -> None:
    p, labels = GENERATOR.random(40), GENERATOR.integers(0, 2, 40)
    given = p[:, None] if outputs == 1 else np.stack([1 - p, p], axis=1)
    assert find_score("roc_auc", "classification")(given, labels, None) == roc_auc_score(labels, p)


def test_the_roc_curves_of_answers_are_averaged() -> None:
    outputs, answers = GENERATOR.random((40, 3)), GENERATOR.integers(0, 2, (40, 3)).astype(float)
    single = [roc_auc_score(answers[:, k], outputs[:, k]) for k in range(3)]
    score = find_score("roc_auc", "multilabel")(outputs, answers, None)
    assert score == pytest.approx(np.mean(single))


def test_a_class_that_no_row_has_stops_no_roc_curve() -> None:
    labels = GENERATOR.integers(0, 3, 40)
    outputs = GENERATOR.dirichlet(np.ones(3), 40)
    score = find_score("roc_auc", "classification")
    whole = roc_auc_score(labels, outputs, multi_class="ovr")
    assert score(outputs, labels, None) == pytest.approx(whole)
    unmet = np.append(outputs, np.zeros((40, 1)), axis=1)
    assert score(unmet, labels, None) == score(outputs, labels, None)
    # Of logistic outputs, whose rows have no sum to keep, too.
    assert score(outputs**0.5, labels, None) == pytest.approx(
        np.mean([roc_auc_score(labels == k, outputs[:, k]) for k in range(3)])
    )
    assert np.isnan(score(outputs, np.zeros(40, np.int64), None))


@pytest.mark.parametrize(
    ("sizes", "output", "task"),
    [
        ((2, 3), "softmax", "classification"),
        ((2, 1), "logistic", "classification"),
        ((2, 3), "logistic", "multilabel"),
        ((2, 3), "identity", "regression"),
        ((2, 1), "exp", "regression"),
    ],
)
def test_the_output_tells_the_task(sizes: tuple[int, ...], output: str, task: str) -> None:
    assert default_task(MLP(sizes, output=output)) == task


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_a_metric_of_another_task_is_refused_and_those_that_fit_are_named(task: str) -> None:
    fitting = [name for name, metric in METRICS.items() if task in metric.scores]
    assert fitting
    for name in METRICS.keys() - set(fitting):
        with pytest.raises(UsageError, match=f"task is {task}: use {', '.join(fitting)}"):
            find_score(name, task)


def test_training_refuses_a_metric_of_another_task() -> None:
    x, y = GENERATOR.random((8, 2)), GENERATOR.random((8, 1))
    with pytest.raises(UsageError, match="accuracy is a metric of classification and multilabel"):
        fit(MLP((2, 1), output="identity"), x, y, validation=(x, y), metrics=["accuracy"], epochs=1)


def test_a_validation_set_is_scored_for_the_task_that_is_named() -> None:
    mlp, backend = MLP((3, 3), output="logistic"), select_backend(dtype="float64")
    x = np.array([[4.0, 3.0, 0.0], [0.0, 5.0, 1.0]])
    leaves = to_leaves(mlp, backend, np.concatenate([np.eye(3).ravel(), np.zeros(3)]))
    targets = np.eye(3)[:2]
    for task, expected in ((None, 0.0), ("multilabel", 0.0), ("classification", 1.0)):
        evaluation = Evaluation(mlp, backend, (x, targets), ["accuracy"], task=task)
        assert evaluation(leaves)[1] == {"accuracy": expected}
