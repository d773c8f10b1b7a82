"""`fit`: training to the end, by steps or by L-BFGS, with early stopping, callbacks and signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import UsageError
from anyarray_mlp.initializers import Initializer
from anyarray_mlp.model import MLP
from anyarray_mlp.optimizers import OPTIMIZERS, Optimizer
from anyarray_mlp.schedules import Schedule, make_schedule
from anyarray_mlp.training.batches import checked_batch_size
from anyarray_mlp.training.early_stopping import EarlyStopping
from anyarray_mlp.training.epochs import train
from anyarray_mlp.training.lbfgs import minimize
from anyarray_mlp.training.progress import fresh_state, to_vector
from anyarray_mlp.training.records import Callback, Epoch, Fit, TrainingState
from anyarray_mlp.training.signals import interruption

Array = Any
Host = NDArray[Any]


def fit(
    mlp: MLP,
    x: Array,
    targets: Array,
    *,
    backend: str | Backend | None = None,
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
    """Train to the end on x (n, i) and targets, (n, k) or integer labels (n,), and return what came of it.

    `backend` is a name, or what `select_backend` gives. `optimizer` is a name of `optimizers.OPTIMIZERS`, "lbfgs",
    or an `Optimizer`; `learning_rate` a name of `schedules.SCHEDULES` or a function of the step. A callback that
    returns True ends training. Ctrl-C (or SIGTERM, SIGHUP) ends it after the steps already running, and what was
    learned is kept; a second one aborts. The other options are those of `train`, or of `minimize` for lbfgs,
    and so are the errors.

    Where `initial` is a `TrainingState` to go on from, `epochs` more are run, a named schedule spans those done and
    those to come, and `early_stopping` goes on; else it begins afresh.
    """
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    mlp.check_shapes(x, targets)
    done = initial.epoch if isinstance(initial, TrainingState) else 0
    starts = [mlp.initialize(seed, initializer) if initial is None else initial]
    if early_stopping is not None and not isinstance(initial, TrainingState):
        early_stopping.reset()
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
            find_schedule(learning_rate, learning_rate_init, x.shape[0], batch_size, done + epochs),
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
    return optimizer_by_name(optimizer)


@cache
def optimizer_by_name(name: str) -> Optimizer:
    """One optimiser for each name, so that a step with it is compiled once."""
    return OPTIMIZERS[name]()


def find_schedule(
    schedule: str | Schedule, rate: float, n: int, batch_size: int, epochs: int
) -> Schedule:
    """The schedule of a name over `epochs` passes of n samples."""
    if callable(schedule):
        return schedule
    if not isinstance(schedule, str):
        raise UsageError(
            f"learning_rate must be a schedule's name or a function of the step, got {schedule!r}: a rate is given "
            "as learning_rate_init."
        )
    steps_per_epoch = -(-n // checked_batch_size(batch_size, n))
    return make_schedule(schedule, rate, steps_per_epoch=steps_per_epoch, epochs=epochs)


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
    stopped = "finished"
    with interruption() as interrupted:

        def report(epoch: Epoch) -> bool:
            nonlocal stopped
            history.append(epoch)
            answers = [watcher(epoch) for watcher in watchers]
            if any(answers):
                stopped = "callback"
            if interrupted.is_set():
                stopped = "interrupted"
            return stopped != "finished"

        minimum = minimize(
            mlp,
            x,
            targets,
            backend=backend,
            epochs=epochs,
            initial=initial,
            report=report,
            **options,
        )
    if minimum.converged and stopped == "finished":
        stopped = "converged"
    return Fit(minimum.parameters, tuple(history), stopped, interrupted.signal)
