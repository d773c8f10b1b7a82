"""`export`, which the estimators have as trained models do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sklearn.utils.validation import check_is_fitted

from anyarray_mlp.checking.options import with_known_options

if TYPE_CHECKING:
    from anyarray_mlp.pipeline.trained_model import TrainedModel


class Exporting:
    """An estimator that is a model in another language, too."""

    def _model(self) -> TrainedModel:
        """What was fitted, as a model."""
        raise NotImplementedError

    @with_known_options
    def export(
        self,
        path: str | os.PathLike[str],
        to: str | None = None,
        *,
        dtype: str = "float32",
        name: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write what was fitted in another language, "c", "onnx", "torch" or "keras", as `TrainedModel.export` does.

        Raises NotFittedError for an estimator that is not fitted, and the errors of `TrainedModel.export`.
        """
        check_is_fitted(self)
        self._model().export(path, to, dtype=dtype, name=name, overwrite=overwrite)
