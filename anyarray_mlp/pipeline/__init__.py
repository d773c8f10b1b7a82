"""From raw data to a trained model, and from a trained model to predictions on raw data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.pipeline.trained_model import TrainedModel
    from anyarray_mlp.pipeline.training import TrainedTable, train_table

#: Where each public name lives.
HOMES = {
    "TrainedModel": "trained_model",
    "TrainedTable": "training",
    "train_table": "training",
}

__all__ = ["TrainedModel", "TrainedTable", "train_table"]

__getattr__, __dir__ = lazy(__name__, HOMES)
