"""`fit`: training to the end, by steps or by L-BFGS, with early stopping, callbacks and signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.options import UnknownOptionError, options_of, with_known_options
from anyarray_mlp.checking.values import check_callable
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.training.batches import checked_batch_size
from anyarray_mlp.training.callbacks import Callback, Watch, as_callbacks
from anyarray_mlp.training.early_stopping import EarlyStopping
from anyarray_mlp.training.lbfgs import minimize
from anyarray_mlp.training.loop import train
from anyarray_mlp.training.recipe import Recipe, recipe_of
from anyarray_mlp.training.records import Epoch, Fit, TrainingState
from anyarray_mlp.training.signals import interruption
from anyarray_mlp.training.state import fresh_state, to_vector
from anyarray_mlp.training.steps import StepStatistics
from anyarray_mlp.typing import Array, Host


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
    x: Array,
    targets: Array,
    recipe: Recipe | None = None,
    *,
    backend: str | Backend | None = None,
    validation: tuple[Array, Array] | None = None,
    sample_weight: Array | None = None,
    input_scale: float | None = None,
    initial: Host | TrainingState | None = None,
    callbacks: Callback | Sequence[Callback] | None = (),
    statistics: StepStatistics | None = None,
    observe: Observe | None = None,
    **options: Any,
) -> Fit:
    """Train to the end on x (n, i) and targets, (n, k) or integer labels (n,), and return what came of it.

    As `anyarray_mlp.fit`, whose `diagnose` is one use of `observe`: what makes an `Observer` of the arguments. What
    that finds is the result's `diagnosis`, and that of the `DivergedError` that ends a run.
    """
    recipe = recipe_of("fit", recipe, options, OWN)
    watchers = as_callbacks("callbacks", callbacks)
    if recipe.by_lbfgs and statistics is not None:
        raise UnknownOptionError(
            "statistics is an option of training by steps, and lbfgs has none: leave it out, or choose another "
            "optimizer."
        )
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    check_network(mlp)
    mlp.check_shapes(x, targets)  # the values are looked at where training begins
    checked_batch_size(1, x.shape[0])
    given: dict[str, Any] = {
        "backend": backend,
        "validation": validation,
        "sample_weight": sample_weight,
        "input_scale": input_scale,
    }
    # `starts` gives it up, so that it does not take memory for the whole run.
    starts = [mlp.initialize(recipe.seed, recipe.initializer) if initial is None else initial]
    del initial
    stopping = _early_stopping(recipe, starts[0])
    observer = None
    if observe is not None:
        check_callable("observe", observe, "a function that makes an Observer")
        observer = observe(
            mlp, x, targets, recipe, initial=starts[0], statistics=statistics, **given
        )
        statistics = statistics or observer.statistics
    watchers = [*(each for each in (stopping, observer) if each is not None), *watchers]
    run = _fit_lbfgs if recipe.by_lbfgs else partial(_fit_by_steps, statistics=statistics)
    try:
        result = run(mlp, x, targets, recipe, starts, watchers, given)
    except DivergedError as error:
        if observer is not None:
            error.diagnosis = observer.finish(error)
        raise
    if stopping is not None:
        result = _with_the_best(result, stopping)
    return result if observer is None else replace(result, diagnosis=observer.finish(result))


#: The options that `fit` takes itself, each with its default.
OWN = options_of(fit)


def _early_stopping(recipe: Recipe, start: Host | TrainingState) -> EarlyStopping | None:
    """What ends training early; it goes on if training does, and else begins afresh."""
    stopping = recipe.stopping()
    if stopping is not None and not isinstance(start, TrainingState):
        stopping.reset()
    return stopping


def _with_the_best(result: Fit, stopping: EarlyStopping) -> Fit:
    """The result with the best parameters that early stopping saw."""
    if stopping.best_parameters is None:
        return result
    early = stopping.is_over and result.stopped == "callback"
    return replace(
        result,
        parameters=stopping.best_parameters,
        stopped="early" if early else result.stopped,
    )


def _fit_by_steps(
    mlp: MLP,
    x: Array,
    targets: Array,
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
        watch = Watch(watchers, interrupted)
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
    x: Array,
    targets: Array,
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
