"""Training: `train` yields one immutable `Epoch` after another, `fit` runs it to the end.

Data moves to the device once. An epoch is a few calls of a compiled run of steps, each of which does K steps
without a host sync; its losses are read once. Nothing here knows who consumes the epochs.
"""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from types import FrameType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, Step, select_backend
from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.inference import (
    PREDICTION_ROWS,
    as_inputs,
    on_device,
    predict,
    rows_at_once,
    spans,
    to_leaves,
)
from anyarray_mlp.initializers import Initializer
from anyarray_mlp.metrics import find_metric
from anyarray_mlp.model import MLP
from anyarray_mlp.optimizers import OPTIMIZERS, Optimizer, State, clip_by_norm
from anyarray_mlp.parameters import Leaves
from anyarray_mlp.schedules import Schedule, make_schedule

__all__ = [
    "PREDICTION_ROWS",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "Fit",
    "TrainingState",
    "as_inputs",
    "fit",
    "on_device",
    "predict",
    "to_leaves",
    "train",
]

Array = Any
Host = NDArray[Any]

#: 0-d figures of one step, from (xp, parameters before it, gradient); an axis of steps is put in front of each.
StepStatistics = Callable[[Any, Leaves, Leaves], tuple[Array, ...]]

#: Steps of one compiled run at most: between runs a stop can be asked for and a diverging loss is seen.
STEPS_PER_RUN = 1024
#: Bytes of the batches that one compiled run takes along where x is sparse and stays on the host.
STREAM_BYTES = 1 << 26


class Shuffles(Protocol):
    """Where the order of the samples comes from: one permutation for each epoch."""

    def permutation(self, n: int) -> NDArray[np.int64]:
        """A new order of n samples."""

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here, JSON-able."""


@dataclass(frozen=True)
class TrainingState:
    """All that training needs to go on as if it had never stopped."""

    parameters: Host
    moments: tuple[Host, ...]
    step: int
    epoch: int
    order: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to.

    Attributes
    ----------
    epoch, step : epochs and steps done so far.
    loss : mean of the steps' losses, penalty and dropout included, weighted by their samples.
    learning_rate : the last step's.
    seconds : since training began.
    validation_loss : mean loss on the validation set, or None without one.
    scores : validation metrics by name.
    complete : False where a stop was asked for before the epoch's end.
    snapshot : the training state as it is now, on the host; call it before the next epoch runs.
    on_device : the leaves and moments as they are now, on the device; look at them before the next epoch runs.
    step_losses : the loss of each step (steps,).
    statistics : what the `statistics` of `train` gave, each with an axis of steps in front.
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    seconds: float
    validation_loss: float | None
    scores: dict[str, float]
    complete: bool
    snapshot: Callable[[], TrainingState] = field(repr=False, compare=False)
    on_device: Callable[[], tuple[Leaves, State]] = field(repr=False, compare=False)
    step_losses: Host = field(repr=False, compare=False)
    statistics: tuple[Host, ...] = field(default=(), repr=False, compare=False)

    def record(self) -> dict[str, Any]:
        """The figures as a JSON-able line."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "validation_loss": self.validation_loss,
            **self.scores,
            "learning_rate": self.learning_rate,
            "seconds": round(self.seconds, 4),
        }


Callback = Callable[[Epoch], bool | None]


@dataclass(frozen=True)
class Fit:
    """What `fit` came to: final parameters (p,), one record per epoch, and why it stopped.

    `stopped` is "finished", "converged" (L-BFGS), "early", "callback" or "interrupted"; in the last case `signal`
    is the number of the signal.
    """

    parameters: Host
    history: tuple[Epoch, ...]
    stopped: str
    signal: int | None = None

    @property
    def loss_curve(self) -> list[float]:
        """Training loss, epoch by epoch."""
        return [epoch.loss for epoch in self.history]

    @property
    def hash(self) -> str:
        """sha256 of the loss curve, the validation curve and the final parameters, as little-endian bytes.

        Under reproducible arithmetic the same settings and data have the same hash everywhere.
        """
        digest = hashlib.sha256()
        for values in (self.loss_curve, self.validation_curve, self.parameters):
            array = np.ascontiguousarray(values)
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    @property
    def validation_curve(self) -> list[float]:
        """Validation loss, epoch by epoch; empty without a validation set."""
        return [e.validation_loss for e in self.history if e.validation_loss is not None]


def train(
    mlp: MLP,
    x: Array,
    targets: Array,
    *,
    backend: Backend,
    optimizer: Optimizer,
    schedule: Schedule,
    epochs: int,
    batch_size: int = 32,
    sample_weight: Array | None = None,
    validation: tuple[Array, Array] | None = None,
    metrics: Sequence[str] = (),
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
        CSR matrix stays on the host, and its batches are made dense as their turn comes.
    targets : (n, k), or integer labels (n,) with cross_entropy.
    sample_weight : (n,) or None.
    validation : (x, targets) to measure the loss and `metrics` on after each epoch.
    initial : parameters (p,) to start from, or the `TrainingState` to go on from; None draws them with `seed`.
    shuffles : the order of the samples in each epoch; None keeps theirs.
    alpha, clip_norm : L2 penalty; Euclidean norm that a gradient is scaled down to.
    input_scale : what a batch is multiplied by in the step (1/255 for images).
    stop_requested : asked between runs of steps; True ends training after the steps already running.
    statistics : figures of each step to gather on the device, read once an epoch with the losses.

    Raises
    ------
    DivergedError : the loss is no longer finite; its `parameters` are those of the epoch before, its
        `step_losses` those of the epoch that broke.
    """
    n = x.shape[0]
    batch_size = checked_batch_size(batch_size, n)
    check_host_batch(mlp, x, targets)
    started = time.perf_counter()

    streamed = hasattr(x, "tocsr")
    resident = (targets, sample_weight) if streamed else (x, targets, sample_weight)
    data = tuple(on_device(backend, a) for a in resident if a is not None)
    most = STEPS_PER_RUN
    if streamed:
        most = max(1, min(most, STREAM_BYTES // (8 * batch_size * x.shape[1])))
    start = fresh_state(mlp, optimizer, mlp.initialize(seed) if initial is None else initial)
    now = _Progress(mlp, backend, start)
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
    evaluate = Evaluation(mlp, backend, validation, metrics, input_scale) if validation else None

    for _ in range(epochs):
        order = np.arange(n) if shuffles is None else shuffles.permutation(n)
        last_finite = tuple(backend.xp.asarray(leaf, copy=True) for leaf in now.theta)
        runs: list[tuple[tuple[Array, ...], int]] = []
        rate, complete = 0.0, True
        for indices in batches(order, batch_size, most):
            rates = [schedule(now.step + k) for k in range(indices.shape[0])]
            rate = rates[-1]
            inputs = step_inputs(mlp, optimizer, backend, indices, now.step, rates, seed)
            if streamed:
                block = x[indices.ravel()].toarray().reshape(*indices.shape, x.shape[1])
                inputs = (backend.asarray(block), *inputs)
            with np.errstate(all="ignore"):  # a loss that is not finite is reported below
                (now.theta, now.moments), outputs = run((now.theta, now.moments), data, inputs)
            runs.append((outputs, indices.shape[1]))
            now.step += indices.shape[0]
            if stop_requested():
                complete = False
                break
        step_losses, *figures = (
            np.concatenate([backend.to_host(part) for part in column], dtype=np.float64)
            for column in zip(*(outputs for outputs, _ in runs), strict=True)
        )
        rows = np.concatenate([np.full(outputs[0].shape[0], size) for outputs, size in runs])
        if not np.all(np.isfinite(step_losses)):
            bad = int(np.argmin(np.isfinite(step_losses)))
            raise DivergedError(
                f"The loss became {step_losses[bad]} at step {now.step - len(step_losses) + bad + 1}, in epoch "
                f"{now.epoch + 1}: lower learning_rate_init (now {rate:.3g}), standardise the inputs, or clip the "
                "gradient with clip_norm.",
                parameters=to_vector(mlp, backend, last_finite),
                step_losses=step_losses,
            )
        now.epoch += complete
        validation_loss, scores = evaluate(now.theta) if evaluate else (None, {})
        mean_loss = math.fsum(step_losses * rows) / int(rows.sum())
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
        if not complete:
            return
        observe = getattr(schedule, "observe", None)
        if observe is not None:
            observe(mean_loss if validation_loss is None else validation_loss)


@lru_cache(maxsize=64)
def training_step(
    mlp: MLP,
    optimizer: Optimizer,
    *,
    alpha: float = 0.0,
    clip_norm: float | None = None,
    weighted: bool = False,
    input_scale: float | None = None,
    statistics: StepStatistics | None = None,
    streamed: bool = False,
) -> Step:
    """One step, pure: gather a batch, differentiate, update. The same arguments give the same function, so that a
    backend that compiles does it once.

    State is (leaves, moments); data is (x, targets) and, if `weighted`, sample weights; inputs are those of
    `step_inputs`. The outputs are the batch's loss and what `statistics` makes of its gradient before clipping.
    If `streamed`, x is not among the data: each batch of it comes ahead of the other inputs.
    """

    def step(xp: Any, state: Any, data: Any, inputs: tuple[Array, ...]) -> Any:
        theta, moments = state
        if streamed:
            x, inputs = inputs[0], inputs[1:]
            data = (None, *data)
        index = inputs[0]
        scalars = inputs[1 : 1 + optimizer.n_scalars]
        keys = inputs[1 + optimizer.n_scalars :]
        if not streamed:
            x = xp.take(data[0], index, axis=0)
        x = as_inputs(xp, x, theta[0].dtype, input_scale)
        targets = xp.take(data[1], index, axis=0)
        weight = xp.take(data[2], index, axis=0) if weighted else None
        loss, grad = mlp.loss_and_grad(
            xp, theta, x, targets, weight, alpha=alpha, dropout_keys=keys or None
        )
        figures = () if statistics is None else statistics(xp, theta, grad)
        if clip_norm is not None:
            grad = clip_by_norm(xp, grad, clip_norm)
        theta, moments = optimizer.update(xp, theta, grad, moments, scalars)
        return (theta, moments), (loss, *figures)

    return step


def batches(
    order: NDArray[np.int64], batch_size: int, most: int = STEPS_PER_RUN
) -> Iterator[NDArray[np.int64]]:
    """Index arrays (K, rows) of runs of steps: full batches, at most `most` at a time, then the rest."""
    full = len(order) // batch_size
    indices = order[: full * batch_size].reshape(full, batch_size)
    for start in range(0, full, most):
        yield indices[start : start + most]
    if len(order) > full * batch_size:
        yield order[None, full * batch_size :]


def step_inputs(
    mlp: MLP,
    optimizer: Optimizer,
    backend: Backend,
    indices: NDArray[np.int64],
    step: int,
    rates: Sequence[float],
    seed: int,
) -> tuple[Array, ...]:
    """What changes from step to step, on the device, each with a leading axis of K steps.

    Row indices (K, rows), the optimiser's scalars (K,) each, and a dropout key (K,) for each layer that drops.
    """
    scalars = optimizer.scalars(np.arange(step + 1, step + len(rates) + 1), np.array(rates))
    inputs = [backend.asarray(indices), *map(backend.asarray, scalars)]
    keys = (dropout_keys(seed, layer, step, len(rates)) for layer in mlp.dropout_layers)
    return (*inputs, *(backend.asarray(key, dtype="int32") for key in keys))


def dropout_keys(seed: int, layer: int, step: int, count: int) -> NDArray[np.int32]:
    """Keys (count,) for `functional.dropout` of `count` steps from `step` on, by SplitMix64 (Steele et al. 2014)."""
    x = np.arange(step, step + count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        x += np.uint64((seed * 0x9E3779B97F4A7C15 + layer * 0xD1B54A32D192ED03) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)


class Evaluation:
    """Loss and scores of one fixed set, moved to the device once."""

    def __init__(
        self,
        mlp: MLP,
        backend: Backend,
        held_out: tuple[Array, Array],
        metrics: Sequence[str] = (),
        input_scale: float | None = None,
    ) -> None:
        self.backend = backend
        self.rows = rows_at_once(mlp, backend)
        self.metrics = {name: find_metric(name) for name in metrics}
        self.x, self.targets = (on_device(backend, a) for a in held_out)
        self.host_targets = backend.to_host(self.targets)

        def outputs_and_losses(xp: Any, leaves: Leaves, x: Array, targets: Array) -> Any:
            x = as_inputs(xp, x, leaves[0].dtype, input_scale)
            return mlp.predict(xp, leaves, x), mlp.losses(xp, leaves, x, targets)

        self.run = backend.jit(outputs_and_losses)

    def __call__(self, leaves: Leaves) -> tuple[float, dict[str, float]]:
        """Mean loss, and the scores by name."""
        parts = [
            self.run(leaves, self.x[start:stop, ...], self.targets[start:stop, ...])
            for start, stop in spans(self.x.shape[0], self.rows)
        ]
        outputs, losses = (
            np.concatenate([self.backend.to_host(a) for a in column])
            for column in zip(*parts, strict=True)
        )
        scores = {
            name: m.score(outputs, self.host_targets, None) for name, m in self.metrics.items()
        }
        return math.fsum(losses) / len(losses), scores


def fit(
    mlp: MLP,
    x: Array,
    targets: Array,
    *,
    backend: Backend | None = None,
    optimizer: str | Optimizer = "adam",
    learning_rate_init: float = 1e-3,
    learning_rate: str | Schedule = "constant",
    epochs: int = 100,
    batch_size: int = 32,
    seed: int = 0,
    shuffle: bool = True,
    initial: Host | TrainingState | None = None,
    initializer: str | Initializer = "auto",
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Fit:
    """Train to the end and return what came of it.

    `optimizer` is a name of `optimizers.OPTIMIZERS`, "lbfgs", or an `Optimizer`; `learning_rate` a name of
    `schedules.SCHEDULES` or a function of the step. A callback that returns True ends training. Ctrl-C (or
    SIGTERM) ends it after the steps already running, and what was learned is kept; a second one aborts. The
    other options are those of `train`, or of `minimize` for lbfgs.
    """
    backend = backend or select_backend()
    starts = [mlp.initialize(seed, initializer) if initial is None else initial]
    watchers: list[Callback] = [early_stopping] if early_stopping else []
    watchers += callbacks
    if optimizer == "lbfgs":
        result = _fit_lbfgs(mlp, x, targets, backend, epochs, starts.pop(), watchers, options)
    else:
        result = _fit_by_steps(
            mlp,
            x,
            targets,
            backend,
            find_optimizer(optimizer),
            find_schedule(learning_rate, learning_rate_init, x.shape[0], batch_size, epochs),
            starts,
            Shuffler(seed) if shuffle else None,
            watchers,
            {"epochs": epochs, "batch_size": batch_size, "seed": seed, **options},
        )
    if early_stopping is not None and early_stopping.best_parameters is not None:
        stopped = (
            "early" if early_stopping.is_over and result.stopped == "callback" else result.stopped
        )
        result = replace(result, parameters=early_stopping.best_parameters, stopped=stopped)
    return result


def find_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The optimiser of a name, with its default settings."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if optimizer not in OPTIMIZERS:
        names = ", ".join([*OPTIMIZERS, "lbfgs"])
        raise UsageError(f"optimizer must be one of {names}, got {optimizer!r}.")
    return OPTIMIZERS[optimizer]()


def find_schedule(
    schedule: str | Schedule, rate: float, n: int, batch_size: int, epochs: int
) -> Schedule:
    """The schedule of a name over `epochs` passes of n samples."""
    if not isinstance(schedule, str):
        return schedule
    steps_per_epoch = -(-n // checked_batch_size(batch_size, n))
    return make_schedule(schedule, rate, steps_per_epoch=steps_per_epoch, epochs=epochs)


def check_host_batch(mlp: MLP, x: Array, targets: Array) -> None:
    """`MLP.check_batch` for NumPy arrays; to look at a device's values would wait for it."""
    if isinstance(x, np.ndarray) and isinstance(targets, np.ndarray):
        mlp.check_batch(x, targets)


def checked_batch_size(batch_size: int, n: int) -> int:
    """The size of a full batch of n samples, at most n; `UsageError` where there is none."""
    if n < 1:
        raise UsageError("There is nothing to train on: x has no rows.")
    if not batch_size >= 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size!r}.")
    return min(batch_size, n)


def _fit_by_steps(
    mlp: MLP,
    x: Array,
    targets: Array,
    backend: Backend,
    optimizer: Optimizer,
    schedule: Schedule,
    starts: list[Host | TrainingState],
    shuffles: Shuffler | None,
    watchers: Sequence[Callback],
    options: dict[str, Any],
) -> Fit:
    """`starts` holds what to start from and gives it up, so that it does not take memory for the whole run."""
    initial = starts.pop()
    if options["epochs"] < 1:
        return Fit(fresh_state(mlp, optimizer, initial).parameters, (), "finished")
    if shuffles is not None and isinstance(initial, TrainingState) and initial.order:
        shuffles.restore(initial.order)
    history: list[Epoch] = []
    stopped = "finished"
    with interruption() as interrupted:
        epochs = train(
            mlp,
            x,
            targets,
            backend=backend,
            optimizer=optimizer,
            schedule=schedule,
            initial=initial,
            shuffles=shuffles,
            stop_requested=interrupted.is_set,
            **options,
        )
        del initial
        for epoch in epochs:
            history.append(epoch)
            answers = [watcher(epoch) for watcher in watchers]
            if interrupted.is_set():
                stopped = "interrupted"
                break
            if any(answers):
                stopped = "callback"
                break
    final = to_vector(mlp, backend, history[-1].on_device()[0])
    return Fit(final, tuple(history), stopped, interrupted.signal)


class EarlyStopping:
    """Stops when a figure has not improved by `tol` for `patience` epochs; keeps the best parameters.

    `monitor` is "loss", "validation_loss" or the name of a metric that `train` was asked for.
    """

    def __init__(
        self, monitor: str = "validation_loss", patience: int = 10, tol: float = 1e-4
    ) -> None:
        if patience < 1:
            raise UsageError(f"patience must be at least 1, got {patience!r}.")
        self.monitor = monitor
        self.sign = -1.0
        if monitor not in ("loss", "validation_loss"):
            self.sign = 1.0 if find_metric(monitor).greater_is_better else -1.0
        self.patience = patience
        self.tol = tol
        self.best = -math.inf
        self.best_epoch = 0
        self.waited = 0
        self.best_parameters: Host | None = None

    def __call__(self, epoch: Epoch) -> bool:
        """Take note of an epoch; True when it is time to stop."""
        value = epoch.record().get(self.monitor)
        if value is None:
            raise UsageError(
                f"Early stopping watches {self.monitor}, which is not measured: give a validation set"
                + (
                    f" and metrics=[{self.monitor!r}]."
                    if self.monitor != "validation_loss"
                    else "."
                )
            )
        score = self.sign * value
        self.waited = 0 if score > self.best + self.tol else self.waited + 1
        if score > self.best:
            self.best, self.best_epoch = score, epoch.epoch
            self.best_parameters = epoch.snapshot().parameters
        return self.is_over

    @property
    def is_over(self) -> bool:
        """Whether the patience is used up."""
        return self.waited >= self.patience


class Interrupted(threading.Event):
    """Set by the first SIGINT or SIGTERM, whose number it keeps."""

    signal: int | None = None


@contextmanager
def interruption(
    numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM),
) -> Iterator[Interrupted]:
    """Catch the first of the signals as a request to stop; a second acts as it did before.

    Only the main thread can handle signals; elsewhere nothing changes.
    """
    asked = Interrupted()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in numbers}

    def handle(number: int, frame: FrameType | None) -> None:
        asked.signal = number
        asked.set()
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in numbers:
        signal.signal(number, handle)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fresh_state(mlp: MLP, optimizer: Optimizer, initial: Host | TrainingState) -> TrainingState:
    """The state before the first step: moments of zero."""
    if isinstance(initial, TrainingState):
        return initial
    if initial.shape != (mlp.layout.size,):
        raise UsageError(
            f"Initial parameters must have shape ({mlp.layout.size},) for sizes {mlp.sizes}, got {initial.shape}."
        )
    moments = tuple(np.zeros(mlp.layout.size) for _ in range(optimizer.n_moments))
    return TrainingState(np.asarray(initial), moments, 0, 0)


def to_vector(mlp: MLP, backend: Backend, leaves: Leaves) -> Host:
    """Leaves as a flat host vector (p,), copied."""
    return mlp.layout.to_vector(tuple(backend.to_host(leaf) for leaf in leaves))


class _Progress:
    """Where training stands on the device; snapshots taken of an earlier step are refused."""

    def __init__(self, mlp: MLP, backend: Backend, state: TrainingState) -> None:
        self.mlp = mlp
        self.backend = backend
        self.theta = to_leaves(mlp, backend, state.parameters)
        self.moments = tuple(to_leaves(mlp, backend, moment) for moment in state.moments)
        self.step = state.step
        self.epoch = state.epoch

    def on_device(self, step: int) -> tuple[Leaves, State]:
        if step != self.step:
            raise UsageError(
                f"The snapshot of step {step} was asked for at step {self.step}: take it before the next epoch runs."
            )
        return self.theta, self.moments

    def snapshot(self, step: int, epoch: int, order: dict[str, Any]) -> TrainingState:
        self.on_device(step)
        return TrainingState(
            to_vector(self.mlp, self.backend, self.theta),
            tuple(to_vector(self.mlp, self.backend, moment) for moment in self.moments),
            step,
            epoch,
            order,
        )


def minimize(
    mlp: MLP,
    x: Array,
    targets: Array,
    *,
    backend: Backend,
    epochs: int,
    initial: Host,
    report: Callable[[Epoch], bool | None],
    sample_weight: Array | None = None,
    validation: tuple[Array, Array] | None = None,
    metrics: Sequence[str] = (),
    alpha: float = 0.0,
    input_scale: float | None = None,
    gradient_tol: float = 1e-4,
    max_evaluations: int = 15000,
) -> tuple[Host, bool]:
    """Minimise the loss over all samples by L-BFGS (`scipy.optimize`, Zhu et al. 1997) from `initial` (p,).

    `report` is told each iteration as an `Epoch` and stops it by returning True. Returns the parameters and
    whether the gradient's largest entry fell to `gradient_tol`, or the loss stood still, within `epochs`
    iterations and `max_evaluations` evaluations.
    """
    from scipy.optimize import minimize as scipy_minimize

    if mlp.dropout_layers:
        raise UsageError("lbfgs needs a loss that is the same each time: set dropout to 0.")
    if backend.arithmetic != "plain":
        raise UsageError(
            "lbfgs cannot be reproducible: SciPy's sums depend on its BLAS. Use another optimizer, such as adam."
        )
    check_host_batch(mlp, x, targets)
    started = time.perf_counter()
    data = [None if a is None else on_device(backend, a) for a in (x, targets, sample_weight)]
    evaluate = Evaluation(mlp, backend, validation, metrics, input_scale) if validation else None

    def loss_and_grad(
        xp: Any, leaves: Leaves, x: Array, targets: Array, weight: Array | None
    ) -> Any:
        x = as_inputs(xp, x, leaves[0].dtype, input_scale)
        return mlp.loss_and_grad(xp, leaves, x, targets, weight, alpha=alpha)

    run = backend.jit(loss_and_grad)
    iteration = 0

    def objective(vector: Host) -> tuple[float, Host]:
        with np.errstate(all="ignore"):  # a loss that is not finite is reported below
            loss, grad = run(to_leaves(mlp, backend, vector), *data)
        value = float(backend.to_host(loss))
        if not math.isfinite(value):
            raise DivergedError(
                f"The loss became {value} in iteration {iteration + 1} of lbfgs: standardise the inputs.",
                parameters=np.array(vector),
            )
        return value, to_vector(mlp, backend, grad).astype(np.float64)

    def after_iteration(intermediate_result: Any) -> None:
        nonlocal iteration
        iteration += 1
        vector = np.array(intermediate_result.x)
        validation_loss, scores = (
            evaluate(to_leaves(mlp, backend, vector)) if evaluate else (None, {})
        )
        epoch = Epoch(
            epoch=iteration,
            step=iteration,
            loss=float(intermediate_result.fun),
            learning_rate=1.0,
            seconds=time.perf_counter() - started,
            validation_loss=validation_loss,
            scores=scores,
            complete=True,
            snapshot=lambda: TrainingState(vector, (), epoch.step, epoch.epoch),
            on_device=lambda: (to_leaves(mlp, backend, vector), ()),
            step_losses=np.array([float(intermediate_result.fun)]),
        )
        if report(epoch):
            raise StopIteration

    result = scipy_minimize(
        objective,
        np.asarray(initial, dtype=np.float64),
        method="L-BFGS-B",
        jac=True,
        callback=after_iteration,
        options={"maxiter": epochs, "maxfun": max_evaluations, "gtol": gradient_tol},
    )
    return result.x, result.status == 0


def _fit_lbfgs(
    mlp: MLP,
    x: Array,
    targets: Array,
    backend: Backend,
    epochs: int,
    initial: Host | TrainingState,
    watchers: Sequence[Callback],
    options: dict[str, Any],
) -> Fit:
    history: list[Epoch] = []
    with interruption() as interrupted:

        def report(epoch: Epoch) -> bool:
            history.append(epoch)
            answers = [watcher(epoch) for watcher in watchers]
            return any(answers) or interrupted.is_set()

        start = initial.parameters if isinstance(initial, TrainingState) else initial
        parameters, converged = minimize(
            mlp, x, targets, backend=backend, epochs=epochs, initial=start, report=report, **options
        )
    stopped = "converged" if converged else "finished"
    if interrupted.is_set():
        stopped = "interrupted"
    elif history and len(history) < epochs and not converged:
        stopped = "callback"
    return Fit(parameters, tuple(history), stopped, interrupted.signal)
