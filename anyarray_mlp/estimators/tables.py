"""`TableInputs`: estimators that take tables as they come, with texts and gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from anyarray_mlp.data.frames import as_pandas


class TableInputs:
    """Checks X as scikit-learn does, and leaves a DataFrame what it is."""

    def _validated(self, X: Any, reset: bool) -> Any:
        """X as a DataFrame of pandas or an array of floats."""
        X = as_pandas(X)
        if hasattr(X, "iloc") and getattr(X, "ndim", 0) == 2:
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        floats = [np.float64, np.float32]
        return validate_data(self, X, reset=reset, dtype=floats, ensure_all_finite="allow-nan")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags
