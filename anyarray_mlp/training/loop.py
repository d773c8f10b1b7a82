"""`train`: one epoch after another.

Data moves to the device once. An epoch is a few calls of a compiled run of steps, each of which does K steps
without a host sync; its losses are read once. Nothing here knows who consumes the epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import options_of, with_known_options
from anyarray_mlp.checking.values import check_callable, is_true
from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.schedules import Schedule
from anyarray_mlp.training.batches import (
    STEPS_PER_RUN,
    Shuffles,
    batches,
    checked_order,
    checked_rates,
)
from anyarray_mlp.training.job import Job, checked_job
from anyarray_mlp.training.predicting import STREAM_BYTES, is_sparse
from anyarray_mlp.training.recipe import Recipe, recipe_of
from anyarray_mlp.training.records import Epoch, TrainingState
from anyarray_mlp.training.state import Progress, fresh_state, to_vector
from anyarray_mlp.training.steps import StepStatistics, gathered, step_inputs, training_step
from anyarray_mlp.typing import Array, Host

#: Bytes of the batches that one compiled run takes along where x is dense and stays on the host (where it is sparse,
#: `STREAM_BYTES`): few, as two runs' batches are there at a time.
GATHER_BYTES = 1 << 24


@with_known_options
def train(
    mlp: MLP,
    x: Any,
    targets: Array,
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
        JAX would need a copy on the CPU.
    targets : (n, k), or integer labels (n,) with cross_entropy.
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
    recipe = recipe_of("train", recipe, options, OWN)
    recipe.step_optimizer()
    data = {"validation": validation, "sample_weight": sample_weight, "input_scale": input_scale}
    job = checked_job(mlp, x, targets, recipe, backend, **data)
    check_callable("stop_requested", stop_requested)
    if statistics is not None:
        check_callable("statistics", statistics)
    done = initial.epoch if isinstance(initial, TrainingState) else 0
    if shuffles is None and recipe.shuffle:
        shuffles = Shuffler(recipe.seed)
        if isinstance(initial, TrainingState) and initial.order:
            shuffles.restore(initial.order)
    elif shuffles is not None:
        check_shuffles(shuffles)
    if initial is None:
        initial = mlp.initialize(recipe.seed, recipe.initializer)
    stepper = Stepper(job, recipe.schedule(x.shape[0], done), initial, statistics)
    return epochs_of(stepper, shuffles, stop_requested)


#: The options that `train` takes itself, each with its default.
OWN = options_of(train)


def check_shuffles(shuffles: Any) -> None:
    """Raise `UsageError` for what gives no order of the samples."""
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
        schedule: Schedule,
        initial: Host | TrainingState,
        statistics: StepStatistics | None,
    ) -> None:
        mlp, backend, recipe = job.mlp, job.backend, job.recipe
        self.job = job
        self.schedule = schedule
        self.optimizer = recipe.step_optimizer()
        self.started = time.perf_counter()
        sparse = is_sparse(job.x)
        self.x = job.x.tocsr() if sparse else job.x
        self.streamed = sparse or (isinstance(job.x, np.ndarray) and backend.streams(job.x))
        rest = job.targets, job.sample_weight
        self.data = job.on_device(*rest) if self.streamed else job.on_device(self.x, *rest)
        self.most = STEPS_PER_RUN
        if self.streamed:
            room = STREAM_BYTES if sparse else GATHER_BYTES
            self.most = max(1, min(self.most, room // (8 * job.batch_size * job.x.shape[1])))
        self.now = Progress(mlp, backend, fresh_state(mlp, self.optimizer, initial))
        self.run = backend.compile(
            training_step(
                mlp,
                self.optimizer,
                alpha=recipe.alpha,
                clip_norm=recipe.clip_norm,
                weighted=job.sample_weight is not None,
                input_scale=job.input_scale,
                statistics=statistics,
                streamed=self.streamed,
            ),
            steps=job.epochs * -(-job.x.shape[0] // job.batch_size),
        )

    def pass_over(self, order: NDArray[np.int64], stop_requested: Callable[[], bool]) -> Pass:
        """Take the steps of an epoch, until a stop is asked for."""
        job, now, backend = self.job, self.now, self.job.backend
        runs: list[tuple[tuple[Array, ...], int]] = []
        rate, complete = 0.0, True
        for indices in batches(order, job.batch_size, self.most):
            if runs and is_true(stop_requested()):
                complete = False
                break
            rates = checked_rates(self.schedule, now.step, indices.shape[0])
            rate = float(rates[-1])
            inputs = step_inputs(
                job.mlp, self.optimizer, backend, indices, now.step, rates, job.recipe.seed
            )
            if self.streamed:
                inputs = (gathered(backend, self.x, indices), *inputs)
            with np.errstate(all="ignore"):  # a loss that is not finite is reported below
                (now.theta, now.moments), outputs = self.run(
                    (now.theta, now.moments), self.data, inputs
                )
            if self.streamed and runs:
                # Waits, or the host gathers far ahead of the device.
                backend.to_host(runs[-1][0][0])
            runs.append((outputs, indices.shape[1]))
            now.step += indices.shape[0]
        step_losses, *figures = (
            np.concatenate([backend.to_host(part) for part in column], dtype=np.float64)
            for column in zip(*(outputs for outputs, _ in runs), strict=True)
        )
        rows = np.concatenate([np.full(outputs[0].shape[0], size) for outputs, size in runs])
        loss = math.fsum(step_losses * rows) / int(rows.sum())
        return Pass(step_losses, loss, tuple(figures), rate, complete)


def epochs_of(
    stepper: Stepper, shuffles: Shuffles | None, stop_requested: Callable[[], bool]
) -> Iterator[Epoch]:
    """The epochs of a job, each as it is done."""
    job, now = stepper.job, stepper.now
    n = job.x.shape[0]
    evaluate = job.evaluation()
    observe = getattr(stepper.schedule, "observe", None)
    finite = to_vector(job.mlp, job.backend, now.theta)
    for _ in range(job.epochs):
        order = np.arange(n) if shuffles is None else checked_order(shuffles.permutation(n), n)
        passed = stepper.pass_over(order, stop_requested)
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
            snapshot=partial(
                now.snapshot, now.step, now.epoch, shuffles.state() if shuffles else {}
            ),
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
