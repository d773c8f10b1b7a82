"""Metrics: what they say does not depend on which rows they see together."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, r2_score, recall_score, roc_auc_score

from anyarray_mlp import MLP
from anyarray_mlp.backends import select_backend
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.metrics import (
    METRICS,
    accuracy,
    class_counts,
    classification_scores,
    default_task,
    exact_sum,
    find_metric,
    find_score,
    joint_counts,
    mean_absolute_error,
    mean_squared_error,
    predicted_labels,
    r2,
    separate_counts,
)
from anyarray_mlp.training import fit
from anyarray_mlp.training.evaluation import Evaluation
from anyarray_mlp.training.predicting import to_leaves

GENERATOR = np.random.default_rng(0)

#: (metric, task): outputs, targets and the score worked out by hand: unweighted, and with weights 1, 2, 3, 4.
YES_NO = np.array([[0.9], [0.5], [0.2], [0.4]])  # answers 1, 1, 0, 0
TWO = np.array([[0.1, 0.9], [0.3, 0.5], [0.3, 0.2], [0.7, 0.4]])  # classes 1, 1, 0, 0
ROWS = np.array(
    [[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.2, 0.2, 0.6]]
)  # classes 0, 1, 0, 2
ANSWERS = np.array([[0.9, 0.1], [0.5, 0.6], [0.2, 0.4], [0.3, 0.8]])  # 10, 11, 00, 01
TRUE_ANSWERS = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
VALUES = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [6.0, 0.0]])
TRUE_VALUES = np.array([[1.0, 1.0], [2.0, 2.0], [5.0, 3.0], [4.0, 4.0]])
BY_HAND = [
    ("accuracy", "classification", YES_NO, [1, 0, 0, 1], 2 / 4, 4 / 10),
    ("accuracy", "classification", YES_NO, [[1], [0.5], [0.4], [1]], 3 / 4, 6 / 10),
    ("accuracy", "classification", TWO, [1, 0, 0, 1], 2 / 4, 4 / 10),
    ("accuracy", "classification", ROWS, [0, 1, 1, 0], 2 / 4, 3 / 10),
    ("accuracy", "classification", ROWS, np.eye(3)[[0, 1, 1, 2]], 3 / 4, 7 / 10),
    ("accuracy", "multilabel", ANSWERS, TRUE_ANSWERS, 2 / 4, 4 / 10),
    ("accuracy", "multilabel", YES_NO, [[1], [0.5], [0.4], [0.5]], 3 / 4, 6 / 10),
    # Class 0: 1 of 2 found, class 1: 1 of 1, class 2: 0 of 1.
    ("balanced_accuracy", "classification", ROWS, [0, 1, 2, 0], 1.5 / 3, (1 / 5 + 1) / 3),
    ("balanced_accuracy", "classification", ROWS, np.eye(3)[[0, 1, 2, 0]], 1.5 / 3, (1 / 5 + 1) / 3),
    # Class 2 is said once and never true: nothing of it is found.
    ("balanced_accuracy", "classification", ROWS, [0, 1, 1, 0], (1 / 2 + 1 / 2) / 3, (1 / 5 + 2 / 5) / 3),
    # 2 hits / (2 hits + misses + false alarms) of each class: of 0, 1 and 2.
    ("f1", "classification", ROWS, [0, 1, 2, 0], (2 / 4 + 1 + 0) / 3, (2 / 9 + 1 + 0) / 3),
    ("f1", "multilabel", ANSWERS, TRUE_ANSWERS, (4 / 5 + 2 / 3) / 2, (6 / 10 + 8 / 10) / 2),
    # An answer that is never yes, said or true.
    ("f1", "multilabel", ANSWERS * [0.1, 1], TRUE_ANSWERS * [0, 1], (0 + 2 / 3) / 2, (0 + 8 / 10) / 2),
    # Of pairs of a yes and a no, the share in which the yes has the higher probability.
    ("roc_auc", "classification", YES_NO, [1, 0, 0, 1], 3 / 4, (1 * 5 + 4 * 3) / 25),
    ("roc_auc", "classification", TWO, [1, 0, 0, 1], 3 / 4, (1 * 5 + 4 * 3) / 25),
    ("roc_auc", "classification", ROWS, [0, 1, 2, 0], (2 / 4 + 3 / 3 + 0) / 3, (10 / 25 + 1 + 0) / 3),
    ("roc_auc", "multilabel", ANSWERS, TRUE_ANSWERS, (3 / 3 + 3 / 3) / 2, (1 + 1) / 2),
    # Squared residuals 8 and 30 of squares about the mean 10 and 5; weighted 28 and 100 of 148 - 36 x 3.6 and 10.
    ("r2", "regression", VALUES, TRUE_VALUES, (1 - 8 / 10 + 1 - 30 / 5) / 2, (1 - 28 / 18.4 + 1 - 100 / 10) / 2),
    ("mean_squared_error", "regression", VALUES, TRUE_VALUES, 38 / 8, (28 + 100) / 20),
    ("mean_absolute_error", "regression", VALUES, TRUE_VALUES, 14 / 8, (14 + 30) / 20),
]  # fmt: skip


@pytest.mark.parametrize(("name", "task", "outputs", "targets", "plain", "weighted"), BY_HAND)
def test_scores_by_hand(
    name: str, task: str, outputs: Any, targets: Any, plain: float, weighted: float
) -> None:
    score, targets = find_score(name, task), np.asarray(targets)
    assert score(outputs, targets, None) == pytest.approx(plain, rel=1e-14)
    assert score(outputs, targets) == score(outputs, targets, None)
    assert score(outputs, targets, np.arange(1.0, 5.0)) == pytest.approx(weighted, rel=1e-14)
    # Weights that are all one are none.
    assert score(outputs, targets, np.ones(4)) == pytest.approx(plain, rel=1e-14)


def test_every_metric_of_every_task_has_a_score_by_hand() -> None:
    there = {(name, task) for name, metric in METRICS.items() for task in metric.scores}
    assert there == {(name, task) for name, task, *_ in BY_HAND}


@pytest.mark.parametrize("k", [1, 2, 5])
def test_classes_are_counted_as_scikit_learn_counts_them(k: int) -> None:
    """To the bit, whatever classes the rows lack; with weights to rounding."""
    generator = np.random.default_rng(k)
    for n in (1, 2, 7, 40):
        outputs, labels = generator.random((n, k)), generator.integers(0, max(k, 2), n)
        found = predicted_labels(outputs)
        options: dict[str, Any] = {"average": "macro", "zero_division": 0}
        expected = {
            "accuracy": accuracy_score(labels, found),
            "balanced_accuracy": recall_score(labels, found, **options),
            "f1": f1_score(labels, found, **options),
        }
        assert classification_scores(outputs, labels) == expected
        weight = generator.random(n)
        for name, score in expected.items():
            each = find_score(name, "classification")
            for same in (labels, labels.astype(float), labels.astype(np.uint64)):
                assert each(outputs, same, None) == score
        options["sample_weight"] = weight
        f1 = find_score("f1", "classification")(outputs, labels, weight)
        assert f1 == pytest.approx(f1_score(labels, found, **options), rel=1e-12)
        answers = (generator.random((n, k)) < 0.4).astype(float)
        yes = find_score("f1", "multilabel")
        said = (outputs >= 0.5).astype(int)
        for used in (None, weight):
            options["sample_weight"] = used
            expected_f1 = f1_score(answers.astype(int), said, **options)
            assert yes(outputs, answers, used) == pytest.approx(expected_f1, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_are_counted_alike_by_pairs_and_one_by_one(weighted: bool) -> None:
    generator = np.random.default_rng(0)
    truth, labels = generator.integers(0, 9, (2, 50))
    weight = generator.integers(1, 5, 50) / 4 if weighted else None
    pairs, alone = (count(truth, labels, weight, 11) for count in (joint_counts, separate_counts))
    for a, b in zip(pairs, alone, strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_classes_are_counted_one_by_one() -> None:
    labels = np.array([0, 60_000, 60_000])
    counts = np.array(class_counts(labels, labels[::-1], None))
    np.testing.assert_array_equal(counts, [[0, 1], [1, 2], [1, 2]])


def test_of_nan_every_score_of_classes_is_nan() -> None:
    found = classification_scores(np.array([[0.2, 0.8], [np.nan, 0.5]]), np.array([1, 0]))
    assert found.keys() == {"accuracy", "balanced_accuracy", "f1"}
    for name, score in found.items():
        assert np.isnan(score), name


def test_labels_far_apart_are_counted_and_fractions_refused() -> None:
    f1 = find_score("f1", "classification")
    assert f1(np.eye(2), np.array([0, 10**12]), None) == pytest.approx(1 / 3)
    assert f1(np.eye(2), np.array([0, -1]), None) == pytest.approx(1 / 3)
    with pytest.raises(DataError, match="whole numbers"):
        f1(np.eye(2), np.array([0.0, 0.5]), None)
    with pytest.raises(DataError, match=r"targets must have shape \(2, 2\)"):
        find_score("f1", "multilabel")(np.eye(2), np.array([0, 1]), None)


def test_errors_alone_are_better_the_less_they_are() -> None:
    less = {name for name, metric in METRICS.items() if not metric.greater_is_better}
    assert less == {"mean_squared_error", "mean_absolute_error"}


@pytest.mark.parametrize(("outputs", "score"), [([2.0, 2.0, 2.0], 1.0), ([2.0, 2.0, 3.0], 0.0)])
def test_r2_of_constant_targets_is_one_where_they_are_met_else_zero(
    outputs: list[float], score: float
) -> None:
    column = np.array(outputs)[:, None]
    assert r2(column, np.full((3, 1), 2.0)) == score
    # 0.1 has no exact mean: what is left of the sum of squares must not be divided by.
    assert r2(column - 1.9, np.full((3, 1), 0.1)) == pytest.approx(0.0)
    # A common offset is lost in the squares, not in the squares about the mean.
    outputs, targets = np.array([[1.0], [3.0], [2.0]]), np.array([[1.0], [2.0], [6.0]])
    assert r2(outputs + 2.0**30, targets + 2.0**30) == r2(outputs, targets)
    assert r2(np.array([[1.0], [5.0]]), np.array([[1.0], [2.0]]), np.array([1.0, 0.0])) == 1.0


def test_scores_of_float32_are_worked_out_in_float64() -> None:
    outputs, targets = np.float32([[1e4 + 1], [1e4]]), np.float32([[1e4], [1e4 + 2]])
    assert mean_squared_error(outputs, targets) == 2.5
    assert mean_absolute_error(outputs, targets) == 1.5
    assert r2(outputs, targets) == -1.5
    tenth = np.float32([[0.1]])
    assert mean_squared_error(tenth, np.zeros((1, 1), np.float32)) == float(tenth[0, 0]) ** 2
    assert r2(np.float32([[0.1], [0.2]]), np.float32([[0.3], [0.1]])) == pytest.approx(
        r2_score(np.float64(np.float32([0.3, 0.1])), np.float64(np.float32([0.1, 0.2]))), rel=1e-15
    )


def test_sums_that_no_float_holds_are_infinite_or_nan_without_a_warning() -> None:
    assert exact_sum(np.array([1e308, 1e308, -1.0])) == np.inf
    assert np.isnan(exact_sum(np.array([np.inf, -np.inf])))
    assert exact_sum(np.array([1e16, 1.0, -1e16])) == 1.0


def test_sums_of_any_dtype_are_exact_and_as_large_as_a_float64() -> None:
    values = np.random.default_rng(0).lognormal(0.0, 4.0, 500)
    for dtype in ("float32", "float64", "int32"):
        kept = (values % 1e4 * 1e5).astype(dtype)
        assert exact_sum(kept) == float(sum(map(Fraction, kept.tolist())))
    largest = np.finfo(np.float32).max
    assert exact_sum(np.array([largest, largest, largest])) == 3.0 * float(largest)


def test_names_of_other_libraries_are_known_whatever_the_parameter_is_called() -> None:
    for name, ours in (("acc", "accuracy"), ("r2_score", "r2"), ("MSE", "mean_squared_error")):
        assert find_metric(name) is find_metric(name, "monitor") is METRICS[ours]
    multilabel = find_score("auc", "multilabel_classification", "monitor")
    assert multilabel is METRICS["roc_auc"].scores["multilabel"]


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda: find_metric("rmse"), f"^metric must be one of {', '.join(METRICS)}, got 'rmse'; the nearest"),
        (lambda: find_metric("rmse", "monitor"), "^monitor must be .* got 'rmse'; the nearest is 'mean_squared_error'"),
        (lambda: find_score("rmse", "regression"), "^metric must be one of accuracy"),
        (lambda: find_score("rmse", "regression", "monitor"), "^monitor must be one of accuracy"),
        (
            lambda: find_score("r2", "regresion"),
            r"^task must be one of classification, multilabel, regression, got 'regresion' \(did you mean 'regression'",
        ),
        (
            lambda: find_score("f1", "regression"),
            "^f1 is a metric of classification and multilabel, and the task is regression: use r2, mean_squared_error,",
        ),
    ],
)  # fmt: skip
def test_unknown_names_are_refused_with_the_known_ones(find: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find()


NAN = np.array([[np.nan], [1.0]])


@pytest.mark.parametrize(
    ("outputs", "targets", "weight", "message"),
    [
        ([[0.5]], [1], None, r"^outputs must be a NumPy array of numbers, got \[\[0.5\]\]"),
        (YES_NO, [1, 0, 0, 1], None, "^targets must be a NumPy array of numbers, got"),
        (YES_NO, np.array(list("abab")), None, "^targets must be a NumPy array of numbers"),
        (YES_NO.astype(object), np.ones(4), None, "^outputs must be a NumPy array of numbers"),
        (YES_NO, np.array(1.0), None, "^targets must be a NumPy array of numbers, got 1.0"),
        (YES_NO[:, 0], np.ones(4), None, r"^outputs must have shape \(n, k\), .* got \(4,\)"),
        (YES_NO[:0], np.ones(0), None, r"got \(0, 1\)"),
        (YES_NO[:, :0], np.ones(4), None, r"got \(4, 0\)"),
        (TWO, np.ones(3), None, r"^targets must have shape \(4,\) or \(4, 2\) as .* got \(3,\)"),
        (TWO, np.ones((4, 1)), None, r"got \(4, 1\)"),
        (YES_NO, np.array([0.0, 1.0, np.inf, 0.0]), None, "^targets hold numbers that are not finite"),
        (YES_NO, np.ones(4), np.ones(3), r"^sample_weight must have shape \(4,\)"),
        (NAN, np.ones(2), np.array([1.0, np.nan]), "^sample_weight holds nan in row 1"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_numbers_is_refused(
    outputs: Any, targets: Any, weight: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        accuracy(outputs, targets, weight)


def test_numbers_of_every_kind_are_scored_and_of_nan_nothing_is_said() -> None:
    answers = np.array([[1], [0]])
    for kind in (bool, np.int64, np.uint8, np.float32):
        assert accuracy(answers.astype(kind), answers.astype(kind)) == 1.0
    assert accuracy(answers[:1], answers[:1]) == 1.0
    assert np.isnan(accuracy(NAN, np.ones(2)))
    # An infinite output is one like others.
    assert accuracy(np.array([[np.inf], [0.0]]), answers) == 1.0


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
        ((2, 3, 1), "logistic", "classification"),
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
