"""A library result as a model file: what `Fit.save` writes."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from anyarray_mlp import streams
from anyarray_mlp.backends import BACKENDS, Backend
from anyarray_mlp.backends.selection import distribution_version
from anyarray_mlp.checking.messages import counted
from anyarray_mlp.checking.records import RecordError
from anyarray_mlp.checking.values import items
from anyarray_mlp.data import Preprocessor, TargetEncoder
from anyarray_mlp.data.cells import array_names
from anyarray_mlp.data.encoding import Column
from anyarray_mlp.data.labels import LABEL, labels_from
from anyarray_mlp.errors import UsageError
from anyarray_mlp.metrics import default_task
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.persistence import ModelFile
from anyarray_mlp.persistence.contents import file_of
from anyarray_mlp.typing import Host

#: What bytes that are pixels are multiplied by.
PIXEL_SCALE = 1.0 / 255.0


@dataclass(frozen=True)
class Origin:
    """What a result was trained with, as far as predictions depend on it.

    Attributes
    ----------
    config : the network, as `MLP.to_config` describes it: a result that is pickled brings no function of the user's.
    task : what the targets were taken for; None for what the output is made for.
    pixels : whether x were bytes that were divided by 255.
    columns, target_names : of tables that were trained on; () if they are not known.
    made_with : versions, backend and the like, as text.
    """

    config: dict[str, Any]
    task: str | None
    input_scale: float | None
    pixels: bool
    columns: tuple[str, ...]
    target_names: tuple[str, ...]
    made_with: dict[str, str]


def model_of(
    origin: Origin, parameters: Host, classes: Any, columns: Any, target: Any
) -> ModelFile:
    """The model file of a result with parameters (p,); the rest are those of `Fit.save`."""
    mlp, scale = MLP.from_config(origin.config, "This result"), origin.input_scale
    k = mlp.sizes[-1]
    names = names_of("columns", columns, mlp.sizes[0], "column of x") or origin.columns
    target_names = names_of("target", target, k, "output", fewest=1) or origin.target_names
    one = 1.0 if scale is None or origin.pixels else 1.0 / scale
    features = tuple(
        Column(name, "numeric", median=None, scale=one)
        for name in names or array_names(np.empty((0, mlp.sizes[0])), None)
    )
    metadata = dict(origin.made_with)
    if target_names:
        metadata["target"] = json.dumps(target_names)
    return file_of(
        mlp,
        parameters,
        Preprocessor(features, origin.pixels),
        encoder_of(mlp, origin.task or default_task(mlp), classes),
        metadata,
    )


def encoder_of(mlp: MLP, task: str, classes: Any) -> TargetEncoder:
    """How outputs become answers: the classes, by default their numbers, or the outputs themselves."""
    k = mlp.sizes[-1]
    if task != "classification" and classes is not None:
        raise UsageError(
            f"classes are for classification, and this is {task}: leave them out, or name the outputs as target."
        )
    if task == "regression":
        return TargetEncoder("regression", mean=(0.0,) * k, scale=(1.0,) * k, flat=k == 1)
    if task == "multilabel":
        return TargetEncoder("multilabel", classes=np.arange(k), flat=False)
    return TargetEncoder("classification", classes=labels(classes, max(k, 2)))


def labels(classes: Any, k: int) -> Host:
    """The labels of k classes; `UsageError` for what a model file cannot hold."""
    if classes is None:
        return np.arange(k)
    what = f"a list of {k} labels, one for each class"
    given = [
        each.item() if isinstance(each, np.generic) else each
        for each in items("classes", classes, what)
    ]
    if len(given) != k:
        raise UsageError(f"classes must be {what}, got {len(given)}.")
    try:
        for label in given:
            LABEL(label, "a label of classes")
        return labels_from(given, "classes")
    except RecordError as error:
        raise UsageError(f"These classes cannot be saved, because {error}.") from None


def names_of(
    option: str, given: Any, count: int, each: str, fewest: int | None = None
) -> tuple[str, ...]:
    """Names as texts, one for each of `count`, or `fewest` of them; () for None."""
    if given is None:
        return ()
    what = f"a list of {counted(count, 'name')}, one for each {each}"
    names = (given,) if isinstance(given, str) else items(option, given, what)
    if len(names) not in (count, fewest) or len(set(map(str, names))) < len(names):
        raise UsageError(f"{option} must be {what}, each another, got {len(names)}.")
    return tuple(map(str, names))


def made_with(backend: Backend) -> dict[str, str]:
    """What a model was made with: versions, backend, device and arithmetic."""
    from anyarray_mlp import __version__

    return {
        "anyarray_mlp": __version__,
        "backend": backend.name,
        "device": backend.device,
        "dtype": backend.dtype,
        "arithmetic": backend.arithmetic,
        "random_streams": streams.VERSION,
        "python": sys.version.split()[0],
        **versions_of(backend.name),
    }


@lru_cache(maxsize=64)
def versions_of(name: str) -> dict[str, str]:
    """The versions of a backend's packages that are installed."""
    distributions = BACKENDS[name].distributions if name in BACKENDS else ()
    found = {each: distribution_version(each) for each in distributions}
    return {each: version for each, version in found.items() if version}
