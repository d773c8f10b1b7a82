"""`train`: one epoch after another.

Data moves to the device once. An epoch is a few calls of a compiled run of steps, each of which does K steps
without a host sync; its losses are read once. Nothing here knows who consumes the epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.backends.base import Run
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import options_of, with_known_options
from anyarray_mlp.checking.values import check_callable, is_true
from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.schedules import Schedule
from anyarray_mlp.training.batches import Shuffles, checked_rates
from anyarray_mlp.training.feeds import BatchFeed, Feed, RowFeed
from anyarray_mlp.training.given import Given, as_given
from anyarray_mlp.training.job import Job, checked_job, checked_rows
from anyarray_mlp.training.recipe import Recipe, recipe_of
from anyarray_mlp.training.records import Epoch, TrainingState
from anyarray_mlp.training.state import Progress, fresh_state, to_vector
from anyarray_mlp.training.steps import StepStatistics, step_inputs, training_step
from anyarray_mlp.typing import Array, Host


@with_known_options
def train(
    mlp: MLP,
    x: Any,
    targets: Any = None,
    recipe: Recipe | None = None,
    *,
    backend: str | Backend | None = None,
    validation: tuple[Array, Array] | None = None,
    sample_weight: Array | None = None,
    input_scale: float | None = None,
    initial: Host | TrainingState | None = None,
    shuffles: Shuffles | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    statistics: StepStatistics | None = None,
    **options: Any,
) -> Iterator[Epoch]:
    """Train and yield an `Epoch` after each pass over the data.

    Parameters
    ----------
    x : (n, i), NumPy or already the backend's. uint8 stays uint8 on the device and is cast in the step. A SciPy
        CSR matrix stays on the host, and its batches are made dense as their turn comes; so do large data of which
        JAX would need a copy on the CPU. DataFrames of pandas and polars, and lists, are converted once. Without
        targets, x gives the batches of each epoch (see `fit`).
    targets : (n, k), or integer labels (n,) with cross_entropy; (n,) for a network of one output.
    recipe : how to train, by steps; of its settings, early stopping is left to the caller.
    backend : a name, or what `select_backend` gives.
    validation : (x, targets) to measure the loss and the recipe's metrics on after each epoch, x as above.
    sample_weight : (n,) or None.
    input_scale : what a batch is multiplied by in the step (1/255 for images).
    initial : parameters (p,) to start from, or the `TrainingState` to continue from; None draws them with the seed.
    shuffles : the order of the samples in each epoch; None: what the recipe says.
    stop_requested : asked after each run of steps; True ends training there.
    statistics : figures of each step to gather on the device, read once an epoch with the losses.
    options : settings of a `Recipe`, in place of those of `recipe`.

    Raises
    ------
    DataError, UsageError : data or a setting that nothing can be trained with.
    DivergedError : the loss or a parameter is no longer finite; its `parameters` are those of the epoch before,
        its `step_losses` those of the epoch that broke.
    """
    recipe = recipe_of("train", recipe, options, (*OWN, "targets"))
    recipe.step_optimizer()
    check_network(mlp)
    given = as_given(mlp, x, targets, sample_weight, validation)
    job = checked_job(mlp, recipe, backend, given.validation, input_scale)
    check_callable("stop_requested", stop_requested)
    if statistics is not None:
        check_callable("statistics", statistics)
    feed = feed_of(job, given, shuffles, initial)
    done = initial.epoch if isinstance(initial, TrainingState) else 0
    if initial is None:
        initial = mlp.initialize(recipe.seed, recipe.initializer)
    schedule = recipe.schedule_over(feed.steps_per_epoch, done)
    return epochs_of(Stepper(job, feed, schedule, initial, statistics), stop_requested)


#: The options that `train` takes itself, each with its default.
OWN = options_of(train)


def feed_of(job: Job, given: Given, shuffles: Shuffles | None, initial: Any) -> Feed:
    """Where the steps get their rows from: batches, or arrays in the order of `shuffles` or of the recipe."""
    if shuffles is not None:
        check_shuffles(shuffles, given.in_batches)
    if given.in_batches:
        return BatchFeed(job, given.x)
    rows = checked_rows(job.mlp, given.x, given.targets, given.sample_weight)
    return RowFeed(job, rows, shuffles_of(job.recipe, initial) if shuffles is None else shuffles)


def shuffles_of(recipe: Recipe, initial: Any) -> Shuffles | None:
    """The order of the samples that a recipe asks for, continued from a state; None for as they lie."""
    if not recipe.shuffle:
        return None
    shuffles = Shuffler(recipe.seed)
    if isinstance(initial, TrainingState) and initial.order:
        shuffles.restore(initial.order)
    return shuffles


def check_shuffles(shuffles: Any, in_batches: bool) -> None:
    """Raise `UsageError` for what gives no order of the samples, and for batches, which have an order."""
    if in_batches:
        raise UsageError("shuffles is for arrays: batches come in their own order; leave it out.")
    if not (hasattr(shuffles, "permutation") and hasattr(shuffles, "state")):
        raise UsageError(
            f"shuffles must have permutation(n) and state(), as data.Shuffler has, got {shown(shuffles)}."
        )


class Pass(NamedTuple):
    """One pass over the data, or its beginning: the steps' losses, their mean over the samples, the steps' figures,
    the last rate, and whether it came to its end."""

    step_losses: Host
    loss: float
    figures: tuple[Host, ...]
    rate: float
    complete: bool


class Stepper:
    """The compiled step of a job, the data that it runs on, and where training stands."""

    def __init__(
        self,
        job: Job,
        feed: Feed,
        schedule: Schedule,
        initial: Host | TrainingState,
        statistics: StepStatistics | None,
    ) -> None:
        self.job = job
        self.feed = feed
        self.schedule = schedule
        self.statistics = statistics
        self.optimizer = job.recipe.step_optimizer()
        self.started = time.perf_counter()
        start = fresh_state(job.mlp, self.optimizer, initial)
        self.now = Progress(job.mlp, job.backend, start)

    @cached_property
    def run(self) -> Run:
        """The compiled step, as the feed's first portion shows it to be."""
        job, steps = self.job, self.feed.steps_per_epoch
        return job.backend.compile(
            training_step(
                job.mlp,
                self.optimizer,
                alpha=job.recipe.alpha,
                clip_norm=job.recipe.clip_norm,
                input_scale=job.input_scale,
                statistics=self.statistics,
                **self.feed.options,
            ),
            steps=None if steps is None else job.epochs * steps,
        )

    def pass_over(self, stop_requested: Callable[[], bool]) -> Pass:
        """Take the steps of an epoch, until a stop is asked for."""
        job, now, backend = self.job, self.now, self.job.backend
        runs: list[tuple[tuple[Array, ...], int]] = []
        rate, complete = 0.0, True
        for ahead, indices, steps, rows in self.feed.portions():
            if runs and is_true(stop_requested()):
                complete = False
                break
            rates = checked_rates(self.schedule, now.step, steps)
            rate = float(rates[-1])
            inputs = step_inputs(
                job.mlp, self.optimizer, backend, indices, now.step, rates, job.recipe.seed
            )
            with np.errstate(all="ignore"):  # a loss that is not finite is reported below
                (now.theta, now.moments), outputs = self.run(
                    (now.theta, now.moments), self.feed.data, (*ahead, *inputs)
                )
            if self.feed.waits and runs:
                # Waits, or the host gathers far ahead of the device.
                backend.to_host(runs[-1][0][0])
            runs.append((outputs, rows))
            now.step += steps
        step_losses, *figures = (
            np.concatenate([backend.to_host(part) for part in column], dtype=np.float64)
            for column in zip(*(outputs for outputs, _ in runs), strict=True)
        )
        sizes = np.concatenate([np.full(outputs[0].shape[0], size) for outputs, size in runs])
        loss = math.fsum(step_losses * sizes) / int(sizes.sum())
        return Pass(step_losses, loss, tuple(figures), rate, complete)


def epochs_of(stepper: Stepper, stop_requested: Callable[[], bool]) -> Iterator[Epoch]:
    """The epochs of a job, each as it is done."""
    job, now = stepper.job, stepper.now
    evaluate = job.evaluation()
    observe = getattr(stepper.schedule, "observe", None)
    finite = to_vector(job.mlp, job.backend, now.theta)
    for _ in range(job.epochs):
        passed = stepper.pass_over(stop_requested)
        leaves = tuple(job.backend.to_host(leaf) for leaf in now.theta)
        what = divergence(passed.step_losses, leaves, now.step - len(passed.step_losses))
        if what:
            raise DivergedError(
                f"{what}, in epoch {now.epoch + 1}: lower learning_rate_init (now {passed.rate:.3g}), standardise "
                "the inputs, or clip the gradient with clip_norm.",
                parameters=finite,
                step_losses=passed.step_losses,
            )
        finite = np.empty(0)  # as large as the parameters: it goes before the next copy comes
        finite = job.mlp.layout.to_vector(leaves)
        leaves = ()
        now.epoch += passed.complete
        validation_loss, scores = evaluate(now.theta) if evaluate else (None, {})
        if passed.complete and observe is not None:
            # Before the record goes out: who keeps the schedule's state beside the parameters' keeps the same epoch's.
            observe(passed.loss if validation_loss is None else validation_loss)
        yield Epoch(
            epoch=now.epoch,
            step=now.step,
            loss=passed.loss,
            learning_rate=passed.rate,
            seconds=time.perf_counter() - stepper.started,
            validation_loss=validation_loss,
            scores=scores,
            complete=passed.complete,
            snapshot=partial(now.snapshot, now.step, now.epoch, stepper.feed.state()),
            on_device=partial(now.on_device, now.step),
            step_losses=passed.step_losses,
            statistics=passed.figures,
        )
        if not passed.complete or is_true(stop_requested()):
            return


def divergence(step_losses: Host, leaves: Sequence[Host], step: int) -> str:
    """What is not finite after the steps that follow `step`, and since when; empty where all is."""
    finite = np.isfinite(step_losses)
    if not np.all(finite):
        bad = int(np.argmin(finite))
        return f"The loss became {step_losses[bad]} at step {step + bad + 1}"
    if not all(is_finite(leaf.reshape(-1), rows=1 << 16) for leaf in leaves):
        return f"The parameters are no longer finite after step {step + len(step_losses)}"
    return ""
