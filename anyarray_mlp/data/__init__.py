"""Data: reading it, encoding it, splitting it, and ordering it for each epoch.

`load` reads a `Dataset`; `Preprocessor` and `TargetEncoder` turn it into numbers and back;
`split_indices`, `Shuffler` and `class_weights` decide which examples count, when and how much.
Neither pandas nor scikit-learn is loaded before a table or a shipped set is asked for.
"""

from __future__ import annotations

from .builtin import BUILTIN_NAMES
from .dataset import Dataset, Features, Task
from .preprocessing import Preprocessor
from .schema import Schema
from .shuffling import Shuffler
from .sources import load, load_features
from .splitting import split_indices
from .targets import TargetEncoder
from .tasks import infer_task
from .unknown_categories import without_unknown
from .weighting import class_weights

__all__ = [
    "BUILTIN_NAMES",
    "Dataset",
    "Features",
    "Preprocessor",
    "Schema",
    "Shuffler",
    "TargetEncoder",
    "Task",
    "class_weights",
    "infer_task",
    "load",
    "load_features",
    "split_indices",
    "without_unknown",
]
