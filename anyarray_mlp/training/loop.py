"""`train`: one epoch after another.

Data moves to the device once. An epoch is a few calls of a compiled run of steps, each of which does K steps
without a host sync; its losses are read once. Nothing here knows who consumes the epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_callable,
    check_instance,
    check_whole,
    checked_weight,
    is_true,
)
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.checks import is_finite
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.network.optimizers import Optimizer
from anyarray_mlp.network.schedules import Schedule
from anyarray_mlp.training.batches import (
    STEPS_PER_RUN,
    Shuffles,
    batches,
    check_host_batch,
    check_penalties,
    check_scale,
    checked_batch_size,
    checked_metrics,
    checked_order,
    checked_rates,
    checked_validation,
)
from anyarray_mlp.training.evaluation import Evaluation
from anyarray_mlp.training.predicting import is_sparse, on_device
from anyarray_mlp.training.records import Epoch, TrainingState
from anyarray_mlp.training.state import Progress, fresh_state, to_vector
from anyarray_mlp.training.steps import StepStatistics, gathered, step_inputs, training_step
from anyarray_mlp.typing import Array, Host

#: Bytes of the batches that one compiled run takes along where x is sparse and stays on the host.
STREAM_BYTES = 1 << 26
#: The same where x is dense: few, as two runs' batches are there at a time.
GATHER_BYTES = 1 << 24


@with_known_options
def train(
    mlp: MLP,
    x: Array,
    targets: Array,
    *,
    backend: str | Backend | None = None,
    optimizer: Optimizer,
    schedule: Schedule,
    epochs: int,
    batch_size: int = 32,
    sample_weight: Array | None = None,
    validation: tuple[Array, Array] | None = None,
    metrics: str | Sequence[str] = (),
    task: str | None = None,
    initial: Host | TrainingState | None = None,
    seed: int = 0,
    shuffles: Shuffles | None = None,
    alpha: float = 0.0,
    clip_norm: float | None = None,
    input_scale: float | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    statistics: StepStatistics | None = None,
) -> Iterator[Epoch]:
    """Train and yield an `Epoch` after each pass over the data.

    Parameters
    ----------
    x : (n, i), NumPy or already the backend's. uint8 stays uint8 on the device and is cast in the step. A SciPy
        CSR matrix stays on the host, and its batches are made dense as their turn comes; so do large data of which
        JAX would need a copy on the CPU.
    targets : (n, k), or integer labels (n,) with cross_entropy.
    backend : a name, or what `select_backend` gives.
    optimizer : `optimizers.adam()`, `sgd()` and so on.
    schedule : the learning rate as a function of the steps taken so far, of `schedules` or your own.
    sample_weight : (n,) or None.
    validation : (x, targets) to measure the loss and `metrics` on after each epoch, x as above.
    task : what the metrics take the targets for, "classification", "multilabel" or "regression"; None for what the
        output is made for: softmax and a single logistic output are classes, several logistic outputs labels.
    initial : parameters (p,) to start from, or the `TrainingState` to go on from; None draws them with `seed`.
    shuffles : the order of the samples in each epoch; None keeps theirs.
    alpha, clip_norm : L2 penalty, not negative; Euclidean norm that a gradient is scaled down to, positive.
    input_scale : what a batch is multiplied by in the step (1/255 for images).
    stop_requested : asked after each run of steps; True ends training there.
    statistics : figures of each step to gather on the device, read once an epoch with the losses.

    Raises
    ------
    DataError, UsageError : data or a setting that nothing can be trained with.
    DivergedError : the loss or a parameter is no longer finite; its `parameters` are those of the epoch before,
        its `step_losses` those of the epoch that broke.
    """
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    check_host_batch(mlp, x, targets)
    n = x.shape[0]
    batch_size = checked_batch_size(batch_size, n)
    check_instance("optimizer", optimizer, Optimizer, "an Optimizer, such as optimizers.adam()")
    check_callable("schedule", schedule, "a function of the step, such as lambda step: 0.001")
    epochs = check_whole("epochs", epochs, 0)
    validation = checked_validation(mlp, validation)
    metrics = checked_metrics(mlp, metrics, task)
    seed = check_whole("seed", seed, 0)
    check_penalties(alpha, clip_norm)
    check_scale(input_scale)
    check_callable("stop_requested", stop_requested)
    if statistics is not None:
        check_callable("statistics", statistics)
    if shuffles is not None and not (
        hasattr(shuffles, "permutation") and hasattr(shuffles, "state")
    ):
        raise UsageError(
            f"shuffles must have permutation(n) and state(), as data.Shuffler has, got {shown(shuffles)}."
        )
    sample_weight = checked_weight(sample_weight, n)
    started = time.perf_counter()

    sparse = is_sparse(x)
    if sparse:
        x = x.tocsr()
    streamed = sparse or (isinstance(x, np.ndarray) and backend.streams(x))
    resident = (targets, sample_weight) if streamed else (x, targets, sample_weight)
    data = tuple(on_device(backend, a) for a in resident if a is not None)
    most = STEPS_PER_RUN
    if streamed:
        room = STREAM_BYTES if sparse else GATHER_BYTES
        most = max(1, min(most, room // (8 * batch_size * x.shape[1])))
    start = fresh_state(mlp, optimizer, mlp.initialize(seed) if initial is None else initial)
    now = Progress(mlp, backend, start)
    # The host's copies are as large as the device's: let them go.
    start = initial = None  # type: ignore[assignment]
    run = backend.compile(
        training_step(
            mlp,
            optimizer,
            alpha=alpha,
            clip_norm=clip_norm,
            weighted=sample_weight is not None,
            input_scale=input_scale,
            statistics=statistics,
            streamed=streamed,
        ),
        steps=epochs * -(-n // batch_size),
    )
    evaluate = None
    if validation:
        evaluate = Evaluation(mlp, backend, validation, metrics, input_scale, task)
    finite = to_vector(mlp, backend, now.theta)

    for _ in range(epochs):
        order = np.arange(n) if shuffles is None else checked_order(shuffles.permutation(n), n)
        runs: list[tuple[tuple[Array, ...], int]] = []
        rate, complete = 0.0, True
        for indices in batches(order, batch_size, most):
            if runs and is_true(stop_requested()):
                complete = False
                break
            rates = checked_rates(schedule, now.step, indices.shape[0])
            rate = float(rates[-1])
            inputs = step_inputs(mlp, optimizer, backend, indices, now.step, rates, seed)
            if streamed:
                inputs = (gathered(backend, x, indices), *inputs)
            with np.errstate(all="ignore"):  # a loss that is not finite is reported below
                (now.theta, now.moments), outputs = run((now.theta, now.moments), data, inputs)
            if streamed and runs:
                backend.to_host(
                    runs[-1][0][0]
                )  # waits, or the host gathers far ahead of the device
            runs.append((outputs, indices.shape[1]))
            now.step += indices.shape[0]
        step_losses, *figures = (
            np.concatenate([backend.to_host(part) for part in column], dtype=np.float64)
            for column in zip(*(outputs for outputs, _ in runs), strict=True)
        )
        rows = np.concatenate([np.full(outputs[0].shape[0], size) for outputs, size in runs])
        leaves = tuple(backend.to_host(leaf) for leaf in now.theta)
        what = divergence(step_losses, leaves, now.step - len(step_losses))
        if what:
            raise DivergedError(
                f"{what}, in epoch {now.epoch + 1}: lower learning_rate_init (now {rate:.3g}), standardise the "
                "inputs, or clip the gradient with clip_norm.",
                parameters=finite,
                step_losses=step_losses,
            )
        finite = np.empty(0)  # as large as the parameters: it goes before the next copy comes
        finite = mlp.layout.to_vector(leaves)
        leaves = ()
        now.epoch += complete
        validation_loss, scores = evaluate(now.theta) if evaluate else (None, {})
        mean_loss = math.fsum(step_losses * rows) / int(rows.sum())
        observe = getattr(schedule, "observe", None)
        if complete and observe is not None:
            # Before the record goes out: who keeps the schedule's state beside the parameters' keeps the same epoch's.
            observe(mean_loss if validation_loss is None else validation_loss)
        yield Epoch(
            epoch=now.epoch,
            step=now.step,
            loss=mean_loss,
            learning_rate=rate,
            seconds=time.perf_counter() - started,
            validation_loss=validation_loss,
            scores=scores,
            complete=complete,
            snapshot=partial(
                now.snapshot, now.step, now.epoch, shuffles.state() if shuffles else {}
            ),
            on_device=partial(now.on_device, now.step),
            step_losses=step_losses,
            statistics=tuple(figures),
        )
        if not complete or is_true(stop_requested()):
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
