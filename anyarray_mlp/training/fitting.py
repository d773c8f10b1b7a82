"""`fit`: training to the end, by steps or by L-BFGS, with early stopping, callbacks and signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.options import UnknownOptionError, options_of, with_known_options
from anyarray_mlp.checking.values import check_callable
from anyarray_mlp.data.stored import is_stored
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.ranks.communicator import Communicator
from anyarray_mlp.ranks.selection import select_communicator
from anyarray_mlp.training.batches import checked_batch_size
from anyarray_mlp.training.callbacks import Callback, Watch, as_callbacks
from anyarray_mlp.training.early_stopping import BestKept
from anyarray_mlp.training.feeds import check_batches
from anyarray_mlp.training.given import Given, as_given
from anyarray_mlp.training.lbfgs import minimize
from anyarray_mlp.training.loop import train
from anyarray_mlp.training.recipe import Recipe, recipe_of
from anyarray_mlp.training.records import Epoch, Fit, TrainingState
from anyarray_mlp.training.saving import PIXEL_SCALE, Origin, made_with
from anyarray_mlp.training.sharing import check_can_share
from anyarray_mlp.training.signals import interruption
from anyarray_mlp.training.state import fresh_state, to_vector
from anyarray_mlp.training.steps import StepStatistics
from anyarray_mlp.typing import Host


class Observer(Protocol):
    """What watches one run as a callback and judges it at its end."""

    @property
    def statistics(self) -> StepStatistics | None:
        """Figures of each step that it wants to see, or None."""

    def __call__(self, epoch: Epoch) -> object:
        """Take note of an epoch."""

    def finish(self, result: Fit | DivergedError) -> Any:
        """The judgement, of what came of the run or of the error that ended it."""


#: Makes an observer of what `fit` takes: mlp, x, targets, recipe and, by name, the rest.
Observe = Callable[..., Observer]


@with_known_options
def fit(
    mlp: MLP,
    x: Any,
    targets: Any = None,
    recipe: Recipe | None = None,
    *,
    backend: str | Backend | None = None,
    validation: tuple[Any, Any] | None = None,
    sample_weight: Any = None,
    input_scale: float | None = None,
    initial: Host | TrainingState | None = None,
    callbacks: Callback | Sequence[Callback] | None = (),
    statistics: StepStatistics | None = None,
    observe: Observe | None = None,
    communicator: str | Communicator | None = None,
    **options: Any,
) -> Fit:
    """Train to the end on x (n, i) and targets, (n, k) or integer labels (n,), and return what came of it.

    As `anyarray_mlp.fit`, whose `diagnose` is one use of `observe`: what makes an `Observer` of the arguments. What
    that finds is the result's `diagnosis`, and that of the `DivergedError` that ends a run; of several ranks it is that
    of rank 0 alone.
    """
    recipe = recipe_of("fit", recipe, options, (*OWN, "targets"))
    watchers = as_callbacks("callbacks", callbacks)
    check_statistics(recipe, statistics)
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    check_network(mlp)
    data = as_given(mlp, x, targets, sample_weight, validation)
    check_given(mlp, data, recipe, observe)
    ranks = select_communicator(communicator)
    if ranks is not None:
        check_can_share(mlp, recipe, backend, data)
    origin = origin_of(mlp, data, recipe, backend, input_scale)
    given: dict[str, Any] = {
        "backend": backend,
        "validation": data.validation,
        "sample_weight": data.sample_weight,
        "input_scale": input_scale,
        **({} if ranks is None else {"communicator": ranks}),
    }
    # `starts` gives it up, so that it does not take memory for the whole run.
    starts = [mlp.initialize(recipe.seed, recipe.initializer) if initial is None else initial]
    del initial
    stopping = stopping_of(recipe, starts[0])
    observer = None
    if observe is not None:
        given_too = {"initial": starts[0], "statistics": statistics, **given}
        given_too.pop("communicator", None)  # it looks at the run of one rank
        observer = observe(mlp, data.x, data.targets, recipe, **given_too)
        statistics = statistics or observer.statistics
        if ranks is not None and ranks.rank > 0:
            observer = None
    watchers = [*(each for each in (stopping, observer) if each is not None), *watchers]
    run = _fit_lbfgs if recipe.by_lbfgs else partial(_fit_by_steps, statistics=statistics)
    try:
        result = run(mlp, data.x, data.targets, recipe, starts, watchers, given)
    except DivergedError as error:
        if observer is not None:
            error.diagnosis = observer.finish(error)
        raise
    result = replace(best_of(result, stopping), origin=origin)
    return result if observer is None else replace(result, diagnosis=observer.finish(result))


#: The options that `fit` takes itself, each with its default.
OWN = options_of(fit)


def check_statistics(recipe: Recipe, statistics: StepStatistics | None) -> None:
    """Raise `UnknownOptionError` for figures of steps where none are taken."""
    if recipe.by_lbfgs and statistics is not None:
        raise UnknownOptionError(
            "statistics is an option of training by steps, and lbfgs has none: leave it out, or choose another "
            "optimizer."
        )


def check_given(mlp: MLP, data: Given, recipe: Recipe, observe: Observe | None) -> None:
    """Raise `DataError` or `UsageError` for what no run can begin with; values are looked at where training begins."""
    if observe is not None:
        check_callable("observe", observe, "a function that makes an Observer")
    if not data.in_batches:
        mlp.check_shapes(data.x, data.targets)
        checked_batch_size(1, data.x.shape[0])
        if recipe.by_lbfgs and is_stored(data.x):
            raise UsageError(
                "lbfgs takes each step on all rows in memory, and these are on disk: choose another optimizer."
            )
        return
    check_batches(data.x, recipe)
    if observe is not None:
        raise UsageError(
            "A diagnosis (diagnose=True) looks at rows from all over the data, which batches do not give: join some of "
            "them to arrays, and diagnose a run on these."
        )


def origin_of(
    mlp: MLP, data: Given, recipe: Recipe, backend: Backend, input_scale: float | None
) -> Origin:
    """What a result is to know of its making, to be saved."""
    of_bytes = isinstance(data.x, np.ndarray) and data.x.dtype == np.uint8
    return Origin(
        mlp.to_config(),
        recipe.task,
        input_scale,
        of_bytes and input_scale == PIXEL_SCALE,
        data.columns,
        data.target_names,
        made_with(backend),
    )


def stopping_of(recipe: Recipe, start: Host | TrainingState | None) -> BestKept | None:
    """What keeps the best epoch; it goes on if training does, and else begins afresh."""
    stopping = recipe.stopping()
    if stopping is not None and not isinstance(start, TrainingState):
        stopping.reset()
    return stopping


def best_of(result: Fit, stopping: BestKept | None) -> Fit:
    """The result with the parameters of the best epoch, if that is kept."""
    if stopping is None or stopping.best_parameters is None:
        return result
    early = stopping.is_over and result.stopped == "callback"
    return replace(
        result,
        parameters=stopping.best_parameters,
        stopped="early" if early else result.stopped,
        kept_epoch=stopping.best_epoch,
    )


def _fit_by_steps(
    mlp: MLP,
    x: Any,
    targets: Any,
    recipe: Recipe,
    starts: list[Host | TrainingState],
    watchers: Sequence[Callback],
    given: dict[str, Any],
    statistics: StepStatistics | None,
) -> Fit:
    """Train by steps from what `starts` holds and gives up."""
    if recipe.epochs == 0:
        start = fresh_state(mlp, recipe.step_optimizer(), starts.pop())
        return Fit(start.parameters, (), "finished")
    with interruption() as interrupted:
        watch = Watch(watchers, interrupted, given.get("communicator"))
        for epoch in train(
            mlp,
            x,
            targets,
            recipe,
            initial=starts.pop(),
            stop_requested=interrupted.is_set,
            statistics=statistics,
            **given,
        ):
            if watch(epoch):
                break
    final = to_vector(mlp, given["backend"], watch.history[-1].on_device()[0])
    return Fit(final, tuple(watch.history), watch.stopped, interrupted.signal)


def _fit_lbfgs(
    mlp: MLP,
    x: Any,
    targets: Any,
    recipe: Recipe,
    starts: list[Host | TrainingState],
    watchers: Sequence[Callback],
    given: dict[str, Any],
) -> Fit:
    """Train by L-BFGS from what `starts` holds."""
    with interruption() as interrupted:
        watch = Watch(watchers, interrupted)
        minimum = minimize(mlp, x, targets, recipe, initial=starts.pop(), report=watch, **given)
    stopped = watch.stopped
    if stopped == "finished" and minimum.converged:
        stopped = "converged"
    elif stopped == "finished" and minimum.stalled:
        stopped = "stalled"
    return Fit(minimum.parameters, tuple(watch.history), stopped, interrupted.signal)
