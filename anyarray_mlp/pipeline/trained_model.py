"""`TrainedModel`: a network with its parameters and all that turns raw features into answers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.selection import DTYPES
from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.out_of_memory import within_memory
from anyarray_mlp.checking.values import as_array, check_boolean, check_instance, check_path, refuse
from anyarray_mlp.data import Dataset, Preprocessor, Reading, Schema, TargetEncoder
from anyarray_mlp.data.frames import as_pandas
from anyarray_mlp.data.unknown import transformed
from anyarray_mlp.errors import UsageError
from anyarray_mlp.export import WRITERS, Model
from anyarray_mlp.markup import html, listed
from anyarray_mlp.metrics import classification_scores, exact_mean, find_score, predicted_labels
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.persistence import ModelFile, load, save
from anyarray_mlp.persistence.contents import file_of, parts_of
from anyarray_mlp.persistence.files import atomic_write
from anyarray_mlp.persistence.run_folder import model_in
from anyarray_mlp.pipeline.facts import facts_of_model
from anyarray_mlp.training.predicting import Predictor, check_parameters, plain_numpy
from anyarray_mlp.training.saving import PIXEL_SCALE
from anyarray_mlp.typing import Host

MOST_PREDICTORS = 4


@with_known_options
@dataclass(frozen=True, eq=False)
class TrainedModel:
    """What `train` saves and `predict` loads.

    Attributes
    ----------
    mlp : the network.
    parameters : (p,), weights first, then biases; (k, p) of several networks, whose answers are averaged.
    preprocessor : raw features to inputs.
    targets : labels or values to targets, and outputs back.
    metadata : versions, device and the like, as text.
    """

    mlp: MLP
    parameters: Host
    preprocessor: Preprocessor
    targets: TargetEncoder
    metadata: dict[str, str] = field(default_factory=dict)
    #: Parameters on the devices that were asked to predict, by backend and scale of the inputs.
    predictors: dict[Any, Predictor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_network(self.mlp)
        check_parameters(self.mlp, self.parameters)
        check_instance("preprocessor", self.preprocessor, Preprocessor, "a data.Preprocessor")
        check_instance("targets", self.targets, TargetEncoder, "a data.TargetEncoder")
        check_instance("metadata", self.metadata, dict, "a dict of texts")

    def _repr_html_(self) -> str:
        """What the model is and the columns that it uses, as a notebook shows it."""
        facts = {**facts_of_model(self), "columns": ", ".join(self.preprocessor.used_names[:20])}
        left = len(self.preprocessor.used_names) - 20
        facts["columns"] += f" and {left} more" if left > 0 else ""
        return html(listed(facts))

    def __getstate__(self) -> dict[str, Any]:
        """The model without what is kept on devices."""
        return {**self.__dict__, "predictors": {}}

    @property
    def target_names(self) -> tuple[str, ...]:
        """The columns that the target was in, of a table; empty where they are not known."""
        return tuple(json.loads(self.metadata.get("target", "[]")))

    @property
    def schema(self) -> Schema:
        """What the model knows of the tables that it was trained on, to read others by."""
        return Schema(self.preprocessor, self.targets, self.target_names, self.reading)

    @property
    def reading(self) -> Reading:
        """How the table or pictures that the model was trained on were read, to read others by; empty for neither."""
        reading = Reading()
        if "reading" in self.metadata:
            reading = Reading.from_json(json.loads(self.metadata["reading"]), "metadata.reading")
        images = json.loads(self.metadata.get("images", "{}"))
        return reading.with_images(images, "metadata.images")

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided of the table that the model was trained on, a sentence each."""
        return self.preprocessor.notes

    def outputs(
        self,
        features: Any,
        backend: str | Backend | None = None,
        unknown_categories: str = "rest",
    ) -> Host:
        """The network's outputs (n, k), or the mean of several's: probabilities, or values in the unit of training.

        Categories that training has not met are as `predict` says.
        """
        backend = chosen(backend)
        x, scale = inputs(self.preprocessor, features, backend.dtype, unknown_categories)
        return self.predictor(backend, scale)(x)

    def predictor(self, backend: str | Backend | None, input_scale: float | None) -> Predictor:
        """The predictor on a backend, prepared when first asked for; None stands for NumPy."""
        backend = chosen(backend)
        key = backend, input_scale
        found = self.predictors.get(key)
        if found is None:
            found = Predictor(self.mlp, self.parameters, backend, input_scale)
            if len(self.predictors) >= MOST_PREDICTORS:  # each holds the parameters once more
                self.predictors.clear()
            self.predictors[key] = found
        return found

    @with_known_options
    def predict(
        self,
        features: Any,
        backend: str | Backend | None = None,
        unknown_categories: str = "rest",
    ) -> Host:
        """Labels (n,), answers of 0 and 1 (n, k), or values in their own unit.

        `features` (n, i) are a DataFrame, whose columns are found by name, an array, or what
        `data.load_features` reads. Categories that training has not met fall into the rest of their column, or count
        as gaps if it has none, of which an `UnknownCategoryWarning` tells; with unknown_categories="refuse" those
        without a rest raise `UnknownCategoryError`.
        """
        return self.decode(self.outputs(features, backend, unknown_categories))

    def decode(self, outputs: Host) -> Host:
        """Labels or values from outputs (n, k)."""
        if self.targets.task == "classification":
            # A network of one output knows two classes, of which an estimator may have met the first only.
            codes = np.minimum(predicted_labels(outputs), self.targets.width - 1)
            return np.asarray(self.targets.decode(codes))
        if self.targets.task == "multilabel":
            outputs = outputs >= 0.5
        return self.targets.clamped(self.targets.decode(outputs))

    @with_known_options
    def scores(
        self,
        dataset: Dataset,
        backend: str | Backend | None = None,
        unknown_categories: str = "rest",
    ) -> dict[str, float]:
        """Loss and the metrics that suit the task, on a labelled set; regression in its own unit.

        Categories that training has not met are as `predict` says.
        """
        check_instance("dataset", dataset, Dataset, "a data.Dataset, as data.load gives")
        backend = chosen(backend)
        x, scale = inputs(self.preprocessor, dataset.features, backend.dtype, unknown_categories)
        encoded = encode_targets(self.mlp, self.targets, dataset.target)
        return self.scores_of_inputs(x, scale, encoded, backend)

    def scores_of_inputs(
        self, x: Host, scale: float | None, encoded: Host, backend: Backend
    ) -> dict[str, float]:
        """`scores` of what `inputs` and `encode_targets` made of a labelled set."""
        outputs, losses = self.predictor(backend, scale).outputs_and_losses(x, encoded)
        return self.scores_of_outputs(outputs, losses, encoded)

    def scores_of_outputs(self, outputs: Host, losses: Host, encoded: Host) -> dict[str, float]:
        """`scores` of the outputs for a labelled set, and their losses."""
        scores = {"loss": exact_mean(losses)}
        task = self.targets.task
        if task == "regression":
            n = len(outputs)
            truth = np.asarray(self.targets.decode(encoded)).reshape(n, -1)
            values = self.decode(outputs).reshape(n, -1)
            for name in ("r2", "mean_squared_error", "mean_absolute_error"):
                scores[name] = find_score(name, task)(values, truth, None)
            return scores
        if task == "classification":
            return scores | classification_scores(outputs, encoded)
        names = ("accuracy", "f1")
        return scores | {name: find_score(name, task)(outputs, encoded, None) for name in names}

    @with_known_options
    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the model file; errors as `persistence.save`, and `UsageError` for a model that could not be read."""
        check_path("path", path)
        check_boolean("overwrite", overwrite)
        save(path, self.to_file(), overwrite)

    @with_known_options
    def export(
        self,
        path: str | os.PathLike[str],
        to: str | None = None,
        *,
        dtype: str = "float32",
        name: str | None = None,
        overwrite: bool = False,
    ) -> None:
        """Write the model in another language, for programs without this package; `docs/export.md` describes each.

        to: "c", "onnx", or, of the weights alone, "torch" or "keras"; by the ending of `path` if None (.c, .onnx, .pt).
        dtype: in which the network computes there, "float32" as `predict` does by default, or "float64".
        name: what the model is called there; the name of the file without its ending if None.
        Raises `UsageError` for what cannot be exported, `BackendUnavailableError` for a library that is missing, and
        `OutputExistsError` and `StorageError` as `save` does.
        """
        check_path("path", path)
        check_boolean("overwrite", overwrite)
        to = language_of(path) if to is None else find_name("to", to, WRITERS)
        dtype = find_name("dtype", dtype, DTYPES)
        if name is None:
            name = Path(path).name.split(".")[0]
        elif not isinstance(name, str) or not name:
            refuse("name", "a name, such as 'iris'", name)
        model = Model(self.mlp, self.parameters, self.preprocessor, self.targets, name, dtype)
        _, write = WRITERS[to]
        atomic_write(path, write(model), overwrite=overwrite)

    def to_file(self) -> ModelFile:
        """The model as a `ModelFile`; `UsageError` where it could not be read again."""
        return file_of(self.mlp, self.parameters, self.preprocessor, self.targets, self.metadata)

    @classmethod
    @with_known_options
    @within_memory
    def load(cls, path: str | os.PathLike[str]) -> TrainedModel:
        """Read a model file, or the one in a run's folder; `ModelFileError` where it does not hold together."""
        check_path("path", path)
        if os.path.isdir(path):
            path = model_in(path)
        return cls.from_file(load(path), os.fspath(path))

    @classmethod
    def from_file(cls, file: ModelFile, source: str = "the model file") -> TrainedModel:
        """The model of a `ModelFile`; `ModelFileError`, which names `source` and the field, where one does not fit."""
        mlp, parts, preprocessor, targets = parts_of(file, source)
        parameters = mlp.layout.to_vector(tuple(parts))
        return cls(mlp, parameters, preprocessor, targets, file.metadata)


def language_of(path: str | os.PathLike[str]) -> str:
    """The language that the ending of a file says; `UsageError` if it says none."""
    for language, (ending, _) in WRITERS.items():
        if os.fspath(path).endswith(ending):
            return language
    endings = ", ".join(f"{ending} for {language}" for language, (ending, _) in WRITERS.items())
    raise UsageError(
        f"The name of {os.fspath(path)!r} does not say what to export to: end it in {endings}, or give to=."
    )


def chosen(backend: str | Backend | None) -> Backend:
    """The backend of that name, or the one given; None stands for NumPy."""
    if backend is None:
        return plain_numpy("float32")
    return backend if isinstance(backend, Backend) else select_backend(backend)


def inputs(
    preprocessor: Preprocessor, features: Any, dtype: str, unknown_categories: str = "refuse"
) -> tuple[Host, float | None]:
    """Inputs (n, i) of the network and the scale that the step applies: images stay bytes.

    Others are rounded to `dtype` at once, in which the backend computes, and which may take half the memory.
    """
    if isinstance(features, (str, bytes, dict, set)) or features is None or callable(features):
        refuse("features", "a table or an array (n, i)", features)
    features = as_pandas(features)
    if not hasattr(features, "ndim"):
        features = as_array("features", features)
    if preprocessor.pixels and features.ndim == 2 and getattr(features, "dtype", None) == np.uint8:
        preprocessor.check_width(features.shape[1])
        return features, PIXEL_SCALE
    return transformed(preprocessor, features, unknown_categories, dtype=dtype), None


def encode_targets(mlp: MLP, targets: TargetEncoder, raw: Any) -> Host:
    """Targets as the network's loss takes them: codes (n,) for cross_entropy, else (n, k) floats."""
    encoded = np.asarray(targets.encode(raw))
    if targets.task != "classification" or mlp.loss == "cross_entropy":
        return encoded
    if mlp.sizes[-1] == 1:
        return encoded.astype(np.float64)[:, None]
    rows: Host = np.eye(mlp.sizes[-1])[encoded]
    return rows
