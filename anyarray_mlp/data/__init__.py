"""Data: reading it, encoding it, splitting it, and ordering it for each epoch.

`load` reads a `Dataset`; `Preprocessor` and `TargetEncoder` turn it into numbers and back;
`split_indices`, `Shuffler` and `class_weights` decide which examples count, when and how much.
Neither pandas nor scikit-learn is loaded before a table or a shipped set is asked for.
"""

from __future__ import annotations

from anyarray_mlp.data.builtin import BUILTIN_NAMES
from anyarray_mlp.data.dataset import Dataset, Features, Task
from anyarray_mlp.data.preprocessing import Preprocessor
from anyarray_mlp.data.schema import Schema
from anyarray_mlp.data.shuffling import Shuffler
from anyarray_mlp.data.sources import load, load_features
from anyarray_mlp.data.splitting import split_indices
from anyarray_mlp.data.targets import TargetEncoder
from anyarray_mlp.data.tasks import infer_task
from anyarray_mlp.data.unknown_categories import without_unknown
from anyarray_mlp.data.weighting import class_weights

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
