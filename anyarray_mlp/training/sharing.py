"""Training on several ranks: what goes with it, and what all ranks must have alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from anyarray_mlp import __version__, streams
from anyarray_mlp.backends import Backend
from anyarray_mlp.data.stored import is_stored
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.before import Periodic
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.ranks.agreement import any_rank, check_alike, digest
from anyarray_mlp.ranks.communicator import Communicator
from anyarray_mlp.training.given import Given
from anyarray_mlp.training.job import Job, Rows
from anyarray_mlp.training.predicting import is_sparse
from anyarray_mlp.training.recipe import Recipe
from anyarray_mlp.training.records import TrainingState
from anyarray_mlp.typing import Host


def check_can_share(mlp: MLP, recipe: Recipe, backend: Backend, given: Given) -> None:
    """Raise `UsageError` for what cannot be trained on several ranks."""
    refused = {
        "lbfgs, which takes each step on all rows: choose another optimizer": recipe.by_lbfgs,
        "batches of your own, which come to every rank whole: give arrays": given.in_batches,
        "rows on disk: give them more memory (memory='8GB')": is_stored(given.x),
        "Periodic layers under reproducible arithmetic: leave one of the two out": backend.arithmetic
        != "plain"
        and any(isinstance(layer, Periodic) for layer in mlp.before),
    }
    for what, is_so in refused.items():
        if is_so:
            raise UsageError(f"Several ranks cannot share {what}, or the communicator.")


def check_shared(job: Job, rows: Rows, initial: TrainingState) -> None:
    """Raise `RanksError` on all ranks unless all have the same data, settings, arithmetic and start."""
    communicator, backend = job.communicator, job.backend
    if communicator is None:
        return
    validation = job.validation or ()
    data = [part for array in (*rows, *validation) for part in on_host(backend, array)]
    settings = [job.mlp.to_config(), dict(described(job.recipe)), job.epochs, job.input_scale]
    start = digest(initial.parameters, *initial.moments)
    check_alike(
        communicator,
        {
            "data": digest(*data),
            "settings": json.dumps(settings, default=repr),
            "versions": f"{__version__} {streams.VERSION} {backend.arithmetic}",
            "dtype": backend.dtype,
            "parameters to start from": f"{start} {initial.step} {json.dumps(initial.order)}",
        },
    )


def described(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """The settings by name, functions and objects by what they are called."""
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if not isinstance(value, str | int | float | list | tuple | None):
            value = getattr(value, "__qualname__", type(value).__qualname__)
        yield field.name, value


def on_host(backend: Backend, array: Any) -> list[Host | None]:
    """The arrays on the host that an array of data is made of."""
    if array is None:
        return [None]
    if is_sparse(array):
        csr = array.tocsr()
        return [csr.data, csr.indices, csr.indptr]
    return [backend.to_host(array) if backend.owns(array) else array]


def agreeing(communicator: Communicator | None, asks: Callable[[], bool]) -> Callable[[], bool]:
    """A question that all ranks answer alike: with yes if one of them does."""
    return asks if communicator is None else lambda: any_rank(communicator, bool(asks()))
