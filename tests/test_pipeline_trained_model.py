"""`TrainedModel`: raw rows to answers, the same ones after a save and a load."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anyarray_mlp import MLP, select_backend
from anyarray_mlp.data import Dataset, Preprocessor, TargetEncoder
from anyarray_mlp.errors import (
    DataError,
    UnknownCategoryError,
    UnknownCategoryWarning,
    UsageError,
)
from anyarray_mlp.pipeline import TrainedModel

#: Rows of a number and a category; a network without hidden layers, whose weights are worked out by hand.
ROWS = pd.DataFrame({"size": [1.0, 3.0, 5.0], "kind": ["red", "blue", "red"]})
KINDS = np.array(["no", "yes", "yes"])


def model() -> TrainedModel:
    """P(yes) = logistic(2 size' + 1 if red - 1 if blue), size' standardised by mean 3 and scale sqrt(8/3)."""
    preprocessor = Preprocessor.fit(ROWS)
    targets = TargetEncoder.fit(KINDS, "classification")
    assert preprocessor.encoded_names == ("size", "kind=red")
    mlp = MLP((2, 2), output="softmax")
    # Weights (2 inputs, 2 classes), then biases: only the difference of the classes counts.
    return TrainedModel(mlp, np.array([0.0, 2.0, 0.0, 2.0, 0.0, -1.0]), preprocessor, targets)


def expected() -> np.ndarray:
    size = (ROWS["size"].to_numpy() - 3.0) / np.sqrt(8.0 / 3.0)
    return 1.0 / (1.0 + np.exp(-(2.0 * size + np.where(ROWS["kind"] == "red", 1.0, -1.0))))


def test_outputs_are_those_of_the_encoded_rows() -> None:
    outputs = model().outputs(ROWS)
    np.testing.assert_allclose(outputs[:, 1], expected(), rtol=1e-6)
    np.testing.assert_allclose(outputs.sum(axis=1), 1.0, rtol=1e-6)


def test_predictions_are_labels_and_columns_may_come_in_any_order() -> None:
    labels = np.where(expected() > 0.5, "yes", "no")
    assert model().predict(ROWS).tolist() == labels.tolist()
    assert model().predict(ROWS[["kind", "size"]]).tolist() == labels.tolist()


def test_a_value_that_is_too_large_for_what_the_backend_computes_in_is_refused_with_its_place() -> (
    None
):
    rows = ROWS.assign(size=[1.0, 1e39, 5.0])
    with pytest.raises(DataError, match=r"row 1 \(from 0\), column 'size'.*too large for float32"):
        model().predict(rows)
    assert model().predict(rows, select_backend(dtype="float64")).tolist()[1] == "yes"


def test_a_saved_model_answers_as_before(tmp_path: Path) -> None:
    model().save(tmp_path / "model.safetensors")
    loaded = TrainedModel.load(tmp_path / "model.safetensors")
    assert loaded.mlp == model().mlp
    assert np.array_equal(loaded.outputs(ROWS), model().outputs(ROWS))


def test_scores_are_those_of_the_labels() -> None:
    dataset = Dataset(
        name="rows",
        features=ROWS,
        target=KINDS,
        feature_names=tuple(ROWS.columns),
        target_name="bought",
        task="classification",
    )
    right = (np.where(expected() > 0.5, "yes", "no") == KINDS).mean()
    assert model().scores(dataset)["accuracy"] == pytest.approx(right)


def test_rows_that_lack_a_column_and_parameters_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="kind"):
        model().predict(ROWS[["size"]])
    good = model()
    with pytest.raises(UsageError, match="parameters"):
        TrainedModel(good.mlp, np.zeros(5), good.preprocessor, good.targets)


def test_unknown_categories_count_as_gaps_with_a_warning_or_are_refused() -> None:
    trained = model()
    met = ROWS.assign(kind=["red", "pink", "blue"])
    gap = ROWS.assign(kind=["red", None, "blue"])
    told = "column 'kind': 1 of 3 rows holds a category that was not seen in training and counts as a gap: 'pink'"
    with pytest.warns(UnknownCategoryWarning, match=told) as caught:
        outputs = trained.outputs(met)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(outputs, trained.outputs(gap))
    with pytest.warns(UnknownCategoryWarning, match=told) as caught:
        labels = trained.predict(met)
    assert caught[0].filename == __file__
    assert labels.tolist() == trained.predict(gap).tolist()
    names = tuple(ROWS.columns)
    data = Dataset("rows", gap, KINDS, names, "bought", "classification")
    with pytest.warns(UnknownCategoryWarning, match=told):
        scores = trained.scores(replace(data, features=met))
    assert scores == trained.scores(data)
    for answer in (trained.outputs, trained.predict):
        with pytest.raises(UnknownCategoryError, match="'pink' was not seen"):
            answer(met, unknown_categories="refuse")
        with pytest.raises(UsageError, match="unknown_categories"):
            answer(ROWS, unknown_categories="keep")
