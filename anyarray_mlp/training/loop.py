"""`train`: one epoch after another.

Data moves to the device once. An epoch is a few calls of a compiled run of steps, each of which does K steps
without a host sync; its losses are read once. Nothing here knows who consumes the epochs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import options_of, with_known_options
from anyarray_mlp.checking.values import check_callable, is_true
from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.training.batches import Shuffles
from anyarray_mlp.training.evaluation import Evaluations
from anyarray_mlp.training.feeds import BatchFeed, Feed, Order, RowFeed
from anyarray_mlp.training.given import Given, as_given
from anyarray_mlp.training.job import Job, checked_job, checked_rows
from anyarray_mlp.training.recipe import Recipe, recipe_of
from anyarray_mlp.training.records import Epoch, TrainingState
from anyarray_mlp.training.state import Member, fresh_state, to_vector
from anyarray_mlp.training.stepper import Pass, Stepper
from anyarray_mlp.training.steps import StepStatistics
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
    member, start = begun(job, feed.steps_per_epoch, initial)
    del initial
    return epochs_of(Stepper([member], [start], feed, statistics), stop_requested)


#: The options that `train` takes itself, each with its default.
OWN = options_of(train)


def feed_of(job: Job, given: Given, shuffles: Shuffles | None, initial: Any) -> Feed:
    """Where the steps get their rows from: batches, or arrays in the order of `shuffles` or of the recipe."""
    if shuffles is not None:
        check_shuffles(shuffles, given.in_batches)
    if given.in_batches:
        return BatchFeed(job, given.x)
    rows = checked_rows(job.mlp, given.x, given.targets, given.sample_weight)
    n = rows.x.shape[0]
    order = Order(n, shuffles_of(job.recipe, initial) if shuffles is None else shuffles)
    return RowFeed(job, rows, job.batch_size(n), [order])


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


def begun(
    job: Job, steps_per_epoch: int | None, initial: Host | TrainingState | None
) -> tuple[Member, TrainingState]:
    """A network to be trained and the state that it starts from: that given, or parameters drawn with the seed."""
    recipe = job.recipe
    done = initial.epoch if isinstance(initial, TrainingState) else 0
    if initial is None:
        initial = job.mlp.initialize(recipe.seed, recipe.initializer)
    schedule = recipe.schedule_over(steps_per_epoch, done)
    state = fresh_state(job.mlp, recipe.step_optimizer(), initial)
    fades_over = None
    if recipe.dropout_fades:
        if steps_per_epoch is None:
            raise UsageError(
                "dropout_fades needs to know how many batches an epoch has: give something with a len(), such as a "
                "list of batches."
            )
        fades_over = max(1, steps_per_epoch * (done + job.epochs))
    member = Member(job, schedule, state.step, state.epoch, job.epochs, fades_over=fades_over)
    return member, state


def epochs_of(stepper: Stepper, stop_requested: Callable[[], bool]) -> Iterator[Epoch]:
    """The epochs of the only network that is trained, each as it is done."""
    for told in rounds_of(stepper, stop_requested):
        ((_, epoch),) = told
        if isinstance(epoch, DivergedError):
            raise epoch
        yield epoch


#: What an epoch came to for each of several networks.
Round = list[tuple[Member, "Epoch | DivergedError"]]


def rounds_of(stepper: Stepper, stop_requested: Callable[[], bool]) -> Iterator[Round]:
    """The epochs of networks that are trained together, one of each that has not left.

    A network leaves after the last of its epochs, where it diverges, and where whoever is told says that it is over.
    Once half of them have left, the step is compiled for those that are there still.
    """
    job, now = stepper.job, stepper.now
    evaluate = Evaluations([member.job.evaluation() for member in stepper.members])
    finite = to_vector(job.mlp, job.backend, now.theta)
    for member in stepper.members:
        member.over = member.left < 1
    while not all(member.over for member in stepper.members):
        active = [place for place, member in enumerate(stepper.members) if not member.over]
        if 2 * len(active) <= len(stepper.members):
            stepper.go_on(active)
            evaluate = evaluate.of(active)
            finite = finite[active[0]] if len(active) == 1 else finite[active]
        passes = stepper.pass_over(stop_requested)
        leaves = tuple(job.backend.to_host(leaf) for leaf in now.theta)
        told: Round = [
            (member, failed)
            for place, (member, passed) in enumerate(zip(stepper.members, passes, strict=True))
            if not member.over and (failed := failure(leaves, finite, member, passed, place))
        ]
        finite = np.empty(0)  # as large as the parameters: it goes before the next copy comes
        finite = job.mlp.layout.to_vector(leaves)
        leaves = ()
        for member, _ in told:
            member.over = True
        measured = evaluate(now)
        for place, (member, passed) in enumerate(zip(stepper.members, passes, strict=True)):
            if not member.over:
                told.append((member, epoch_of(stepper, place, passed, *measured[place])))
        yield told
        if not all(passed.complete for passed in passes) or is_true(stop_requested()):
            return


def epoch_of(
    stepper: Stepper,
    place: int,
    passed: Pass,
    validation_loss: float | None,
    scores: dict[str, float],
) -> Epoch:
    """The record of a network's epoch, which it has come to the end of."""
    now, member = stepper.now, stepper.members[place]
    member.epoch += passed.complete
    member.left -= 1
    member.over = member.left < 1
    observe = getattr(member.schedule, "observe", None)
    if passed.complete and observe is not None:
        # Before the record goes out: who keeps the schedule's state beside the parameters' keeps the same epoch's.
        observe(passed.loss if validation_loss is None else validation_loss)
    order = stepper.feed.state(place)
    return Epoch(
        epoch=member.epoch,
        step=member.step,
        loss=passed.loss,
        learning_rate=passed.rate,
        seconds=time.perf_counter() - stepper.started,
        validation_loss=validation_loss,
        scores=scores,
        complete=passed.complete,
        snapshot=partial(now.snapshot, member, member.step, member.epoch, order),
        on_device=partial(now.on_device, member, member.step),
        step_losses=passed.step_losses,
        statistics=passed.figures,
    )


def failure(
    leaves: Sequence[Host], finite: Host, member: Member, passed: Pass, place: int
) -> DivergedError | None:
    """The error of a network whose losses or parameters are no longer finite.

    leaves : those of all networks; finite : their parameters after the epoch before, (p,) or (k, p).
    """
    own = leaves
    if finite.ndim == 2:
        own = [leaf.reshape(len(finite), -1)[place] for leaf in leaves]
    what = divergence(passed.step_losses, own, member.step - len(passed.step_losses))
    if not what:
        return None
    return DivergedError(
        f"{what}, in epoch {member.epoch + 1}: lower learning_rate_init (now {passed.rate:.3g}), standardise "
        "the inputs, or clip the gradient with clip_norm.",
        parameters=finite[place].copy() if finite.ndim == 2 else finite,
        step_losses=passed.step_losses,
    )


def divergence(step_losses: Host, leaves: Sequence[Host], step: int) -> str:
    """What is not finite after the steps that follow `step`, and since when; empty where all is."""
    finite = np.isfinite(step_losses)
    if not np.all(finite):
        bad = int(np.argmin(finite))
        return f"The loss became {step_losses[bad]} at step {step + bad + 1}"
    if not all(is_finite(leaf.reshape(-1), rows=1 << 16) for leaf in leaves):
        return f"The parameters are no longer finite after step {step + len(step_losses)}"
    return ""
