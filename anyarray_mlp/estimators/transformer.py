"""`TablePreprocessor`: a table's columns as a network's inputs, as a transformer of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from anyarray_mlp.checking.values import check_boolean
from anyarray_mlp.data import Preprocessor
from anyarray_mlp.data.unknown import transformed
from anyarray_mlp.estimators.tables import TableInputs
from anyarray_mlp.typing import Host


class TablePreprocessor(TableInputs, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Columns of numbers, texts and dates, with gaps, as the numbers that a network learns from.

    Parameters
    ----------
    numbers : "pieces", "robust" or "standard": how columns of numbers are scaled, as in `data.Preprocessor.fit`.
    standardize : whether they are scaled at all; False goes with numbers="standard".
    keep, date : names of columns of a DataFrame, as in `data.Preprocessor.fit`.
    unknown_categories : "rest": those that `fit` has not met fall into the rest of their column or count as gaps, with
        an `UnknownCategoryWarning`; "refuse": those without a rest raise `UnknownCategoryError`.

    Attributes
    ----------
    preprocessor_ : the fitted `data.Preprocessor`; its `notes` say what was decided about the columns.
    n_features_in_, feature_names_in_ : as in scikit-learn.

    A DataFrame's columns that tell nothing of a new row are left out; an array keeps all of its columns.
    """

    preprocessor_: Preprocessor
    n_features_in_: int

    def __init__(
        self,
        numbers: str = "pieces",
        *,
        standardize: bool = True,
        keep: Sequence[str] = (),
        date: Sequence[str] = (),
        unknown_categories: str = "rest",
    ) -> None:
        self.numbers = numbers
        self.standardize = standardize
        self.keep = keep
        self.date = date
        self.unknown_categories = unknown_categories

    def fit(self, X: Any, y: Any = None) -> TablePreprocessor:
        """Learn medians, scales, edges and categories from X (n, i), a DataFrame or an array; y is not looked at."""
        check_boolean("standardize", self.standardize)
        self.preprocessor_ = Preprocessor.fit(
            self._validated(X, reset=True),
            standardize=self.standardize,
            numbers=self.numbers,
            keep=self.keep,
            date=self.date,
        )
        return self

    def transform(self, X: Any) -> Host:
        """The inputs (n, n_features_out) of X, float32 if it is an array of float32, else float64."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        dtype = getattr(X, "dtype", np.float64)
        return transformed(self.preprocessor_, X, self.unknown_categories, dtype=dtype)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The name of each column that `transform` returns, such as "age", "age (20 to 31)" and "town=Rome"."""
        check_is_fitted(self)
        return np.asarray(self.preprocessor_.encoded_names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
