"""`Answers`: what a model says of rows whose truth is known, from which it is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp import streams
from anyarray_mlp.backends import Backend
from anyarray_mlp.data import Dataset
from anyarray_mlp.metrics import true_labels
from anyarray_mlp.pipeline.preparation import Part, Prepared, rows
from anyarray_mlp.pipeline.scoring import held_out_rows, outputs_held_out
from anyarray_mlp.pipeline.trained_model import TrainedModel, encode_targets
from anyarray_mlp.training.predicting import losses_of, plain_numpy
from anyarray_mlp.typing import Host


@dataclass(frozen=True, eq=False)
class Answers:
    """A model, and its outputs for rows whose truth is known.

    Attributes
    ----------
    which : the rows: "test", "held-out" (each answered by the networks that have not seen it), "validation" or
        "training".
    rows : as they were read.
    part : as the network sees them.
    outputs, losses, encoded : (n, k), (n,), and the truth as the loss takes it.
    constant : the outputs (k,) that suit the training rows best where no row is looked at: their mean.
    """

    model: TrainedModel
    which: str
    rows: Dataset
    part: Part
    outputs: Host
    losses: Host
    encoded: Host
    constant: Host

    @property
    def task(self) -> str:
        """Of the model."""
        return self.model.targets.task

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of classes, or of the columns that a multilabel model predicts."""
        targets = self.model.targets
        if self.task == "multilabel":
            names, k = self.model.target_names, self.outputs.shape[1]
            return names if len(names) == k else tuple(str(place + 1) for place in range(k))
        assert targets.classes is not None
        return tuple(map(str, targets.classes.tolist()))

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """Whether each row is of each class or has each label (n, k)."""
        if self.task == "multilabel":
            return np.asarray(self.encoded > 0.5)
        return np.asarray(true_labels(self.encoded)[:, None] == np.arange(len(self.labels)))

    @cached_property
    def probabilities(self) -> Host:
        """What the outputs say of each class or label (n, k); of a single output those of two classes."""
        if self.task == "classification" and self.outputs.shape[1] == 1:
            return np.concatenate([1.0 - self.outputs, self.outputs], axis=1)
        return self.outputs[:, : len(self.labels)]

    def __len__(self) -> int:
        return len(self.outputs)


def answers_of(model: TrainedModel, prepared: Prepared, dtype: str = "float32") -> Answers:
    """The answers on the rows that tell most: those to test on, else others that were not trained on, if any."""
    backend = plain_numpy(dtype)
    which = best_rows(prepared)
    if which == "held-out":
        return held_out_by_members(model, prepared, backend)
    parts = {
        "test": prepared.test,
        "training": prepared.training,
        "validation": prepared.validation,
    }
    part = parts[which]
    assert part is not None
    encoded = encode_targets(model.mlp, model.targets, part.y)
    outputs, losses = model.predictor(backend, part.input_scale).outputs_and_losses(part.x, encoded)
    constant = constant_outputs(model, prepared)
    return Answers(model, which, prepared.raw[which], part, outputs, losses, encoded, constant)


def best_rows(prepared: Prepared) -> str:
    """The rows that a model is best judged on."""
    if prepared.has_test:
        return "test"
    if prepared.folds:
        return "held-out"
    return "training" if prepared.validation is None else "validation"


def held_out_by_members(model: TrainedModel, prepared: Prepared, backend: Backend) -> Answers:
    """The answers of several networks, each on the rows that it has not seen."""
    places = held_out_rows(prepared)
    training = prepared.training
    part = replace(training, x=training.x[places], y=training.y[places])
    encoded = encode_targets(model.mlp, model.targets, part.y)
    outputs = outputs_held_out(model, prepared, backend)
    losses = losses_of(model.mlp, outputs, encoded)
    read = rows(prepared.raw["training"], places)
    constant = constant_outputs(model, prepared)
    return Answers(model, "held-out", read, part, outputs, losses, encoded, constant)


def constant_outputs(model: TrainedModel, prepared: Prepared) -> Host:
    """The mean (k,) of what the outputs should be for the training rows."""
    encoded = encode_targets(model.mlp, model.targets, prepared.training.y)
    if encoded.ndim == 1:
        shares = np.bincount(encoded, minlength=model.mlp.sizes[-1]) / len(encoded)
        return np.asarray(shares)
    mean: Host = encoded.mean(axis=0, dtype=np.float64)
    return mean


def some_of(n: int, most: int, purpose: int = 0) -> NDArray[Any]:
    """The places of all of n rows, or of so many of them that are drawn, in order."""
    if n <= most:
        return np.arange(n)
    drawn = streams.generator("report rows", 0, purpose).choice(n, most, replace=False)
    return np.sort(drawn)
