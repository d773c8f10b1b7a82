"""`class_weights`: a weight for each example from a weight for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from anyarray_mlp.checking.messages import listed, shown, suggestion
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import as_array
from anyarray_mlp.data.splitting import classes_of
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.typing import Host


@with_known_options
def class_weights(labels: Host, weights: Literal["balanced"] | Mapping[Any, float]) -> Host:
    """The weight of each example, (n,) float64.

    `"balanced"` gives every class the same sum: n / (k * rows of the class), as scikit-learn does.
    A mapping gives the weight of each label; a label that it leaves out weighs 1. Labels match by
    value or by text, so that `{"1": 2.0}` read from a command line reaches the label 1.

    Raises `UsageError` for an unknown label, a weight that is negative or not finite, or all zero.
    """
    labels = as_array("labels", labels)
    if labels.ndim != 1 or len(labels) == 0:
        raise DataError(f"class weights need labels of shape (n,), n > 0, and got {labels.shape}")
    classes, codes = classes_of(labels)
    if not isinstance(weights, Mapping):
        if not isinstance(weights, str) or weights != "balanced":
            raise UsageError(
                f"class weights are {shown(weights)}; give 'balanced' or a weight for each label"
            )
        by_class = len(labels) / (len(classes) * np.bincount(codes))
    else:
        by_class = weights_from(weights, classes)
    per_sample: Host = by_class[codes]
    return per_sample


def weights_from(weights: Mapping[Any, float], classes: Host) -> Host:
    """The weight of each of `classes`, 1 where the mapping is silent."""
    by_class = np.ones(len(classes))
    positions = {str(label): position for position, label in enumerate(classes.tolist())}
    for label, weight in weights.items():
        if str(label) not in positions:
            raise UsageError(
                f"class weight for {shown(label)}, which is not a "
                f"label{suggestion(label, positions)}; "
                f"the labels are {listed(classes.tolist())}"
            )
        if isinstance(weight, bool) or not isinstance(weight, (int, float, np.number)):
            raise UsageError(
                f"the class weight of {shown(label)} is {shown(weight)}; give a number"
            )
        if not math.isfinite(weight) or weight < 0:
            raise UsageError(
                f"the class weight of {shown(label)} is {weight}; it must be finite and not "
                "negative"
            )
        by_class[positions[str(label)]] = weight
    if not by_class.any():
        raise UsageError("every class weight is 0, so no example would count; give one a weight")
    return by_class
