"""Data: reading, encoding, splitting, and shuffling for each epoch.

`load` reads a `Dataset`; `Preprocessor` and `TargetEncoder` turn it into numbers and back;
`split_indices`, `split_by_folds`, `Shuffler` and `class_weights` decide which examples count, when and how much.
pandas and scikit-learn are loaded only when a table or a scikit-learn set is read.
"""

from __future__ import annotations

from anyarray_mlp.data.dataset import Dataset, Features, Task
from anyarray_mlp.data.folds import Folds, split_by_folds
from anyarray_mlp.data.preprocessing import Preprocessor
from anyarray_mlp.data.sampling import Shuffler, class_weights, split_indices
from anyarray_mlp.data.schema import Schema
from anyarray_mlp.data.sources import load, load_features, picture_files
from anyarray_mlp.data.stored import StoredRows
from anyarray_mlp.data.targets import TargetEncoder
from anyarray_mlp.data.unknown import without_unknown
from anyarray_mlp.tables import ColumnReading, Reading, Table, read_table

__all__ = [
    "ColumnReading",
    "Dataset",
    "Features",
    "Folds",
    "Preprocessor",
    "Reading",
    "Schema",
    "Shuffler",
    "StoredRows",
    "Table",
    "TargetEncoder",
    "Task",
    "class_weights",
    "load",
    "load_features",
    "picture_files",
    "read_table",
    "split_by_folds",
    "split_indices",
    "without_unknown",
]
