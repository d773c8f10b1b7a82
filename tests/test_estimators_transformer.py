"""`TablePreprocessor`: scikit-learn's checks, tables as they come, names, unknown categories."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from anyarray_mlp import MLPClassifier, TablePreprocessor
from anyarray_mlp.data import Preprocessor
from anyarray_mlp.errors import UnknownCategoryError, UnknownCategoryWarning, UsageError
from tests.beds import since_scikit_learn_1_9

TABLE = pd.DataFrame(
    {
        "age": [20.0, 31.0, np.nan, 47.0, 52.0, 66.0] * 10,
        "town": ["Rome", "Oslo", "Lima", None, "Rome", "Oslo"] * 10,
        "same": ["x"] * 60,
    }
)


@since_scikit_learn_1_9
@pytest.mark.parametrize("numbers", ["standard", "pieces"])
def test_check_estimator_passes(numbers: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(TablePreprocessor(numbers), on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert sum(result["status"] == "passed" for result in results) > 35


def test_a_table_as_it_comes() -> None:
    fitted = TablePreprocessor().fit(TABLE)
    names = ["age", "age (20 to 31)", "age (31 to 52)", "age (52 to 66)", "age (missing)"]
    assert fitted.get_feature_names_out().tolist() == [
        *names,
        "town=Lima",
        "town=Oslo",
        "town=Rome",
    ]
    assert fitted.feature_names_in_.tolist() == ["age", "town", "same"]
    assert any("column 'same': left out" in note for note in fitted.preprocessor_.notes)
    encoded = fitted.transform(TABLE)
    expected = Preprocessor.fit(TABLE, numbers="pieces").transform(TABLE)
    np.testing.assert_array_equal(encoded, expected)
    frame = fitted.set_output(transform="pandas").transform(TABLE)
    assert frame.columns.tolist() == fitted.get_feature_names_out().tolist()
    again = pickle.loads(pickle.dumps(fitted)).set_output(transform="default")
    np.testing.assert_array_equal(again.transform(TABLE), encoded)
    kept = clone(fitted).set_params(keep=["same"], numbers="standard").fit(TABLE)
    assert kept.get_feature_names_out().tolist()[-1] == "same=x"


def test_unknown_categories_warn_or_are_refused() -> None:
    fitted = TablePreprocessor().fit(TABLE)
    met, gap = TABLE.iloc[:3].copy(), TABLE.iloc[:3].copy()
    met.loc[1, "town"], gap.loc[1, "town"] = "Bern", None
    with pytest.warns(UnknownCategoryWarning, match="column 'town': 1 of 3 rows .*'Bern'"):
        encoded = fitted.transform(met)
    np.testing.assert_array_equal(encoded, fitted.transform(gap))
    with pytest.raises(UnknownCategoryError, match="'Bern' was not seen"):
        fitted.set_params(unknown_categories="refuse").transform(met)
    with pytest.raises(UsageError, match="unknown_categories"):
        fitted.set_params(unknown_categories="keep").transform(met)


def test_before_a_network_in_a_pipeline() -> None:
    x = TABLE.assign(age=TABLE["age"] + np.arange(60) / 100)
    y = (x["age"].fillna(0.0) > 45).to_numpy()
    network = MLPClassifier((8,), max_iter=60, learning_rate_init=0.05, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert make_pipeline(TablePreprocessor(), network).fit(x, y).score(x, y) == 1.0
