"""The figures of a report against scikit-learn and numbers worked out by hand; no chart is drawn here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from anyarray_mlp.data.dataset import Dataset
from anyarray_mlp.network import MLP
from anyarray_mlp.pipeline import TrainedModel
from anyarray_mlp.pipeline.preparation import Prepared, prepared_set
from anyarray_mlp.pipeline.settings import Settings
from anyarray_mlp.reporting.answers import Answers, answers_of, best_rows, some_of
from anyarray_mlp.reporting.classes import Classes, classes_of
from anyarray_mlp.reporting.columns import data_of
from anyarray_mlp.reporting.curves import Curves, curves_of
from anyarray_mlp.reporting.differences import Overview, cautions, differing
from anyarray_mlp.reporting.effects import Effects, effects_of
from anyarray_mlp.reporting.inside import Inside, inside_of
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.reporting.residuals import residuals_of
from anyarray_mlp.reporting.scores import area_under_roc, interval, scores_of

NO_DIAGNOSIS = Missing("nobody looked")


def table(n: int = 240, seed: int = 0) -> pd.DataFrame:
    """Two columns that tell the target, one that does not, one of texts with gaps, one with a single value."""
    random = np.random.default_rng(seed)
    kind = random.choice(["red", "green", "blue"], n).astype(object)
    kind[::20] = None
    return pd.DataFrame(
        {
            "strong": random.normal(size=n),
            "weak": random.normal(size=n),
            "noise": random.normal(size=n),
            "kind": kind,
            "always": 1.0,
        }
    )


def prepared(task: str, classes: int = 3, **settings: Any) -> Prepared:
    """A table that was split and encoded for a task, with the rows as they were read."""
    features = table()
    score = 2 * features["strong"] + 0.5 * features["weak"]
    target: Any = score.to_numpy() * 10 + 50
    if task == "classification":
        edges = np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])
        target = np.array(["low", "middle", "high", "top"])[np.searchsorted(edges, score)]
    names = tuple(features.columns)
    dataset = Dataset("rows.csv", features, target, names, "answer", task)  # type: ignore[arg-type]
    return prepared_set(dataset, Settings.of("test", None, settings), "float32", keep_rows=True)


def model_for(made: Prepared, seed: int = 1) -> TrainedModel:
    """An untrained network for it."""
    k = made.targets.width
    output = "identity" if made.targets.task == "regression" else "softmax"
    mlp = MLP((made.preprocessor.n_features_out, 5, k), "relu", output)
    parameters = mlp.initialize(seed).astype(np.float32)
    metadata = {"target": json.dumps(["answer"])}
    return TrainedModel(mlp, parameters, made.preprocessor, made.targets, metadata)


@pytest.fixture(scope="module")
def classified() -> Answers:
    made = prepared("classification")
    return answers_of(model_for(made), made)


@pytest.fixture(scope="module")
def regressed() -> Answers:
    made = prepared("regression")
    return answers_of(model_for(made), made)


def truth_and_labels(answers: Answers) -> tuple[Any, Any]:
    truth = np.asarray(answers.rows.target)
    return truth, answers.model.predict(answers.rows.features)


def test_the_rows_are_those_to_test_on_else_those_that_were_not_trained_on() -> None:
    made = prepared("classification")
    assert best_rows(made) == "test"
    assert best_rows(replace(made, has_test=False)) == "validation"
    assert best_rows(replace(made, has_test=False, validation=None)) == "training"
    folds = (np.array([0, 2]), np.array([1]))
    assert best_rows(replace(made, has_test=False, validation=None, folds=folds)) == "held-out"


def test_scores_are_those_of_scikit_learn(classified: Answers, regressed: Answers) -> None:
    truth, labels = truth_and_labels(classified)
    found = {each.name: each for each in scores_of(classified).scores}
    probabilities = classified.model.outputs(classified.rows.features)
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(truth, labels))
    assert found["f1"].value == pytest.approx(metrics.f1_score(truth, labels, average="macro"))
    area = metrics.roc_auc_score(truth, probabilities.astype(float), multi_class="ovr")
    assert found["roc_auc"].value == pytest.approx(area, abs=1e-12)
    truth, values = truth_and_labels(regressed)
    found = {each.name: each for each in scores_of(regressed).scores}
    assert found["r2"].value == pytest.approx(metrics.r2_score(truth, values), rel=1e-5)
    assert not found["mean_squared_error"].rises
    assert found["r2"].rises


def test_intervals_hold_the_score_and_have_the_width_that_theory_gives(classified: Answers) -> None:
    (accuracy,) = [each for each in scores_of(classified).scores if each.name == "accuracy"]
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low < accuracy.value < accuracy.high
    p, n = accuracy.value, len(classified)
    assert accuracy.high - accuracy.low == pytest.approx(
        2 * 1.96 * np.sqrt(p * (1 - p) / n), rel=0.15
    )


def test_the_constant_answer_is_the_mean_of_training(regressed: Answers) -> None:
    found = {each.name: each.constant for each in scores_of(regressed).scores}
    truth = np.asarray(regressed.rows.target, dtype=float)
    mean = float(
        regressed.constant[0] * regressed.model.targets.scale[0] + regressed.model.targets.mean[0]
    )
    assert found["mean_absolute_error"] == pytest.approx(np.abs(truth - mean).mean(), rel=1e-5)
    assert found["r2"] <= 0.0


def test_the_interval_leaves_out_what_is_not_known() -> None:
    assert interval(np.array([np.nan, np.nan])) == (None, None)
    low, high = interval(np.array([np.nan, *range(101)], dtype=float))
    assert (low, high) == pytest.approx((2.5, 97.5))


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_area_by_ranks_is_that_under_the_curve(levels: int) -> None:
    random = np.random.default_rng(levels)
    scores = random.integers(levels, size=(50, 3)).astype(float)
    truth = random.random((50, 3)) < 0.4
    assert area_under_roc(scores, truth) == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert np.isnan(area_under_roc(scores, np.ones_like(truth)))


def test_confusion_and_figures_of_classes_are_those_of_scikit_learn(classified: Answers) -> None:
    truth, labels = truth_and_labels(classified)
    found = classes_of(classified)
    assert isinstance(found, Classes)
    assert found.labels == ("high", "low", "middle")
    expected = metrics.confusion_matrix(truth, labels, labels=found.labels)
    assert np.array_equal(np.array(found.confusion), expected)
    told = metrics.classification_report(truth, labels, output_dict=True, zero_division=0.0)
    for each in found.by_class:
        assert each.precision == pytest.approx(told[each.label]["precision"])
        assert each.recall == pytest.approx(told[each.label]["recall"])
        assert each.rows == told[each.label]["support"]


def test_two_classes_have_one_roc_curve_and_the_calibration_of_the_second() -> None:
    made = prepared("classification", classes=2)
    found = classes_of(answers_of(model_for(made), made))
    assert isinstance(found, Classes)
    assert isinstance(found.roc, tuple)
    assert isinstance(found.calibration, tuple)
    assert [each.label for each in found.roc] == [found.labels[1]]
    (calibration,) = found.calibration
    assert calibration.what == found.labels[1]
    assert sum(calibration.rows) == found.by_class[0].rows + found.by_class[1].rows
    assert found.left_out == 0


def test_calibration_by_hand() -> None:
    from anyarray_mlp.reporting.classes import calibration

    found = calibration(
        "yes", np.array([0, 1, 1, 1], dtype=bool), np.array([0.05, 0.07, 0.95, 0.97])
    )
    assert found.predicted == pytest.approx((0.06, 0.96))
    assert found.observed == (0.5, 1.0)
    assert found.rows == (2, 2)
    assert found.error == pytest.approx((0.44 + 0.04) / 2)


def test_residuals_are_true_less_predicted(regressed: Answers) -> None:
    truth, values = truth_and_labels(regressed)
    found = residuals_of(regressed)
    assert isinstance(found, tuple)
    (of_answer,) = found
    assert of_answer.name == "answer"
    assert of_answer.mean == pytest.approx(np.mean(truth - values), rel=1e-4)
    assert sum(of_answer.counts) == len(truth)
    assert of_answer.predicted == pytest.approx(values.tolist(), rel=1e-5)


def test_what_does_not_fit_the_task_is_said(classified: Answers, regressed: Answers) -> None:
    assert residuals_of(classified) == Missing("the model predicts classes, not numbers")
    assert classes_of(regressed) == Missing("the model predicts numbers, not classes")


def linear(made: Prepared) -> TrainedModel:
    """A model that answers 3 times the first input and nothing else, in the unit of training."""
    mlp = MLP((made.preprocessor.n_features_out, 1), (), "identity")
    parameters = np.zeros(mlp.layout.size, dtype=np.float32)
    parameters[0] = 3.0
    return TrainedModel(mlp, parameters, made.preprocessor, made.targets, {"target": '["answer"]'})


def test_the_column_that_alone_is_looked_at_is_important_and_its_dependence_a_line() -> None:
    made = prepared("regression")
    found = effects_of(answers_of(linear(made), made))
    assert isinstance(found, Effects)
    first, *others = found.importance
    assert first.column == "strong"
    assert first.loss > 1.0
    assert [each.loss for each in others] == [0.0] * len(others)
    assert "always" not in [each.column for each in found.importance]
    line, *flat = found.dependence
    assert line.column == "strong"
    column = made.preprocessor.columns[0]
    slope = 3.0 * made.targets.scale[0] / column.scale
    steps = np.diff(line.answers["answer"]) / np.diff(line.values)
    assert steps == pytest.approx(np.full(len(steps), slope), rel=1e-3)
    for each in flat:
        assert np.ptp(each.answers["answer"]) == pytest.approx(0.0, abs=1e-4)
    (kind,) = [each for each in found.dependence if each.column == "kind"]
    assert kind.values == ("blue", "green", "red")


def test_shuffled_columns_lose_what_scikit_learn_says_they_lose() -> None:
    """The score of a model that is right falls to about -1 in R2, as its answers are those of other rows."""
    made = prepared("regression")
    found = effects_of(answers_of(linear(made), made))
    assert isinstance(found, Effects)
    assert found.score == "r2"
    assert found.importance[0].score > 0.5


def test_the_inside_of_a_network_is_that_of_its_weights(classified: Answers) -> None:
    found = inside_of(classified, NO_DIAGNOSIS)
    assert isinstance(found, Inside)
    model = classified.model
    first, second, *_ = model.mlp.layout.split(model.parameters)
    x = model.preprocessor.transform(classified.rows.features, dtype=np.float32)
    biases = model.parameters[first.size + second.size :][:5]
    hidden = np.maximum(x @ first + biases, 0.0)
    layer, last = found.layers
    assert layer.weight_std == pytest.approx(first.std(), rel=1e-5)
    assert layer.mean == pytest.approx(hidden.mean(), rel=1e-4)
    assert layer.parameters + last.parameters == model.mlp.layout.size
    assert layer.gradient is None
    assert sum(layer.weights.shares) == pytest.approx(1.0)
    units = {(unit.layer, unit.place): unit for unit in found.units}
    assert units[1, 2].mean == pytest.approx(hidden[:, 2].mean(), rel=1e-4)
    assert units[0, 0].name == "strong"
    assert [units[2, k].name for k in range(3)] == ["high", "low", "middle"]
    for edge in found.edges:
        w = (first, second)[edge.start.layer]
        assert edge.weight == pytest.approx(w[edge.start.place, edge.stop.place])


def test_columns_are_told_with_their_gaps_and_what_was_left_out() -> None:
    made = prepared("classification")
    found = data_of(made)
    assert sum(found.rows.values()) == 240
    by_name = {column.name: column for column in found.columns}
    assert by_name["kind"].gaps == 12
    assert by_name["kind"].different == 3
    assert by_name["strong"].kind == "number"
    assert by_name["strong"].inputs == 1
    assert by_name["always"].kind == "left out"
    assert "left out" in by_name["always"].note
    (target,) = found.targets
    assert dict(zip(target.labels, target.counts, strict=True)) == {
        "high": 80,
        "low": 80,
        "middle": 80,
    }


def test_curves_have_the_kept_epoch_and_figures_of_each() -> None:
    records = [
        {"epoch": 1, "step": 9, "loss": 2.0, "validation_loss": None, "learning_rate": 0.1, "seconds": 1.0},
        {"epoch": 2, "step": 18, "loss": 1.0, "accuracy": 0.5, "learning_rate": 0.1, "seconds": 2.5},
    ]  # fmt: skip
    found = curves_of(records, {"kept_epoch": "1, 2"})
    assert isinstance(found, Curves)
    assert found.kept == (1, 2)
    assert found.figures == {"loss": (2.0, 1.0), "accuracy": (None, 0.5)}
    assert found.seconds == 2.5
    assert isinstance(curves_of([], None), Missing)
    last = curves_of(records, None)
    assert isinstance(last, Curves)
    assert last.kept == (2,)


def test_some_of_many_rows_are_drawn_once_and_in_order() -> None:
    assert some_of(3, 5).tolist() == [0, 1, 2]
    drawn = some_of(1000, 50)
    assert len(set(drawn.tolist())) == 50
    assert drawn.tolist() == sorted(drawn.tolist()) == some_of(1000, 50).tolist()


def test_settings_that_differ_are_named_and_rows_that_differ_are_a_caution() -> None:
    one, other = (
        {"seed": 0, "alpha": 0.0, "hidden": (4,)},
        {"seed": 0, "alpha": 1.0, "solver": "sgd", "hidden": (4,)},
    )
    assert differing([one, other]) == {"alpha": (0.0, 1.0), "solver": (None, "sgd")}
    scores = scores_of(answers_of(linear(prepared("regression")), prepared("regression")))
    runs = [
        Overview("a", one, scores, Missing("x")),
        Overview("b", {**other, "seed": 1}, scores, Missing("x")),
    ]
    assert cautions(runs) == [
        "the runs were judged on different rows, so that their scores differ by chance as well"
    ]
    lost = replace(runs[0], scores=Missing("no data"))
    assert cautions([lost, runs[1]])[0] == "a has no scores: no data"
