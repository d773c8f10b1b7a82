"""From raw data to a trained model, and from a trained model to predictions on raw data."""

from __future__ import annotations

from anyarray_mlp.pipeline.trained_model import TrainedModel

__all__ = ["TrainedModel"]
