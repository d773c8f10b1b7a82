"""`Schema`: what a model knows of the tables that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyarray_mlp.data.preprocessing import Preprocessor
from anyarray_mlp.data.targets import TargetEncoder


@dataclass(frozen=True)
class Schema:
    """The encodings of a model, after which another table is read.

    target_names: the columns that the model predicts; empty where they are not known.
    """

    preprocessor: Preprocessor
    targets: TargetEncoder
    target_names: tuple[str, ...] = ()

    def text_columns(self, features: Sequence[str], targets: Sequence[str] = ()) -> list[str]:
        """Which columns hold categories or labels that are texts, whatever their cells look like."""
        texts = self.preprocessor.text_columns(features)
        if self.targets.classes is not None and self.targets.classes.dtype.kind == "U":
            texts += targets
        return texts
