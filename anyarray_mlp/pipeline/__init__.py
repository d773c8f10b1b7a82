"""From raw data to a trained model, and from a trained model to predictions on raw data."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES})
