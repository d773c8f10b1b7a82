"""What is searched: settings of the network and of its training, within what is sensible for so many rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anyarray_mlp.pipeline.settings import Settings

#: Draws a value of a name from an Optuna trial.
Draw = Callable[[Any], Any]

#: Settings that every candidate has, unless they are given: the best epoch counts, as the tabular preset has it.
FIXED: Mapping[str, Any] = {"keep_epoch": "best", "epochs": 80}


def space(settings: Settings, rows: int, *, is_table: bool, is_classes: bool) -> dict[str, Draw]:
    """What is drawn for a data set, by the field of the settings."""
    widest = 512 if rows >= 20_000 else 256
    found: dict[str, Draw] = {
        "hidden_layer_sizes": lambda trial: layers(trial, widest),
        "activation": lambda trial: trial.suggest_categorical("activation", ["relu", "silu"]),
        "dropout": lambda trial: trial.suggest_float("dropout", 0.0, 0.4, step=0.05),
        "learning_rate_init": lambda trial: trial.suggest_float(
            "learning_rate_init", 5e-4, 2e-2, log=True
        ),
        "learning_rate": lambda trial: trial.suggest_categorical(
            "learning_rate", ["constant", "cosine", "coslog4"]
        ),
        "alpha": lambda trial: trial.suggest_float("alpha", 1e-6, 3e-2, log=True),
        "batch_size": lambda trial: trial.suggest_categorical("batch_size", sizes(rows)),
    }
    if is_table and settings.table.standardize:
        found["numbers"] = lambda trial: trial.suggest_categorical(
            "numbers", ["standard", "robust", "pieces"]
        )
    if is_classes:
        found["label_smoothing"] = lambda trial: trial.suggest_categorical(
            "label_smoothing", [0.0, 0.05, 0.1]
        )
    return found


def sizes(rows: int) -> list[int]:
    """How many samples a step may have: eight steps an epoch, and more."""
    return [size for size in (8, 16, 32, 64, 128, 256) if size * 8 <= rows] or [8]


def layers(trial: Any, widest: int) -> tuple[int, ...]:
    """One to three layers of one width, a power of two."""
    widths = [width for width in (16, 32, 64, 128, 256, 512) if width <= widest]
    depth: int = trial.suggest_int("layers", 1, 3)
    width: int = trial.suggest_categorical("width", widths)
    return (width,) * depth


#: What the tabular preset would be drawn as: the candidate after the settings as they are.
SECOND = {
    "layers": 2,
    "width": 128,
    "activation": "relu",
    "dropout": 0.1,
    "learning_rate_init": 0.004,
    "learning_rate": "coslog4",
    "alpha": 1e-6,
    "numbers": "pieces",
    "label_smoothing": 0.0,
}
