"""Curves, settings, the model and the diagnosis of a run, where teams look: CSV, TensorBoard, MLflow, Weights & Biases.

    with log_to("tensorboard", "logs/first", settings={"width": 30}) as log:
        fit(network, x, y, callbacks=log)
        MLPClassifier(on_epoch=log).fit(x, y)

`anyarray-mlp train --log` writes the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyarray_mlp.checking.lazy import lazy

if TYPE_CHECKING:
    from anyarray_mlp.tracking.logs import Log, log_to

#: Where each public name lives.
HOMES = {"Log": "logs", "log_to": "logs"}

__all__ = ["Log", "log_to"]

__getattr__, __dir__ = lazy(__name__, HOMES)
