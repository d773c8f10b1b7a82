"""`fit`: training to the end, by steps or by L-BFGS, with early stopping, callbacks and signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import canonical, find_name
from anyarray_mlp.checking.options import (
    UnknownOptionError,
    options_of,
    refuse_unknown,
    with_known_options,
)
from anyarray_mlp.checking.values import (
    check_boolean,
    check_instance,
    check_positive,
    check_whole,
)
from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.initializers import Initializer
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.optimizers import OPTIMIZERS, Optimizer
from anyarray_mlp.network.schedules import Schedule, make_schedule
from anyarray_mlp.training.batches import checked_batch_size
from anyarray_mlp.training.callbacks import Callback, Watch, as_callbacks
from anyarray_mlp.training.early_stopping import EarlyStopping
from anyarray_mlp.training.lbfgs import minimize
from anyarray_mlp.training.loop import train
from anyarray_mlp.training.records import Fit, TrainingState
from anyarray_mlp.training.signals import interruption
from anyarray_mlp.training.state import fresh_state, to_vector
from anyarray_mlp.typing import Array, Host

#: Options of `train` and of `minimize` that `fit` takes as they are, each with its default: what it does not set.
SET_BY_FIT = ("schedule", "shuffles", "stop_requested", "report")
BY_STEPS = {name: each for name, each in options_of(train).items() if name not in SET_BY_FIT}
BY_LBFGS = {name: each for name, each in options_of(minimize).items() if name not in SET_BY_FIT}


@with_known_options
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
    callbacks: Callback | Sequence[Callback] | None = (),
    **options: Any,
) -> Fit:
    """Train to the end on x (n, i) and targets, (n, k) or integer labels (n,), and return what came of it.

    `backend` is a name, or what `select_backend` gives. `optimizer` is a name of `optimizers.OPTIMIZERS`, "lbfgs",
    or an `Optimizer`; `learning_rate` a name of `schedules.SCHEDULES` or a function of the step. `callbacks` is one
    function that is told each `Epoch`, or several; one that returns True (or NumPy's True) ends training, no other
    answer does. Ctrl-C (or SIGTERM, SIGHUP) ends it after the steps already running, and what was learned is kept; a
    second one aborts. The other options are those of `train`, or of `minimize` for lbfgs, which has no use for the
    learning rates, `batch_size` and `shuffle`; and so are the errors.

    Where `initial` is a `TrainingState` to go on from, `epochs` more are run, a named schedule spans those done and
    those to come, and `early_stopping` goes on; else it begins afresh.
    """
    options = checked_options("fit", optimizer, options)
    watchers = as_callbacks("callbacks", callbacks)
    if early_stopping is not None:
        what = "an EarlyStopping(monitor, patience, tol), or None"
        check_instance("early_stopping", early_stopping, EarlyStopping, what)
        watchers = [early_stopping, *watchers]
    if not isinstance(backend, Backend):
        backend = select_backend(backend)
    check_network(mlp)
    mlp.check_shapes(x, targets)  # the values are looked at where training begins
    epochs = check_whole("epochs", epochs, 0)
    batch_size = checked_batch_size(batch_size, x.shape[0])
    seed = check_whole("seed", seed, 0)
    check_boolean("shuffle", shuffle)
    check_positive("learning_rate_init", learning_rate_init)
    done = initial.epoch if isinstance(initial, TrainingState) else 0
    starts = [mlp.initialize(seed, initializer) if initial is None else initial]
    if early_stopping is not None and not isinstance(initial, TrainingState):
        early_stopping.reset()
    if is_lbfgs(optimizer):
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


def checked_options(
    function: str, optimizer: Any, options: dict[str, Any], *more: str
) -> dict[str, Any]:
    """The options beside `fit`'s own that its training takes; `UnknownOptionError`, in a function's name, for others.

    An option of the other kind of training may be given where it says nothing but its default. `more` are options of
    the function alone.
    """
    by_lbfgs = is_lbfgs(optimizer)
    taken, other = (BY_LBFGS, BY_STEPS) if by_lbfgs else (BY_STEPS, BY_LBFGS)
    idle = {name for name in options if name in other and name not in (*taken, *OWN)}
    for name in idle:
        if options[name] is not other[name]:
            place = "training by steps, and lbfgs has none" if by_lbfgs else "lbfgs alone"
            raise UnknownOptionError(
                f"{function}: {name} is an option of {place}: leave it out, or choose another optimizer."
            )
    known = [*OWN, *(name for name in taken if name not in OWN), *more]
    refuse_unknown(function, [name for name in options if name not in idle], known)
    return {name: value for name, value in options.items() if name not in idle}


def find_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """The optimiser of a name, with its default settings."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    name = find_name("optimizer", optimizer, (*OPTIMIZERS, "lbfgs"), "solver")
    return optimizer_by_name(name)


def is_lbfgs(optimizer: str | Optimizer) -> bool:
    """Whether L-BFGS is asked for, by any of its names."""
    return isinstance(optimizer, str) and canonical("solver", optimizer, ("lbfgs",)) == "lbfgs"


#: The options that `fit` takes itself, each with its default.
OWN = options_of(fit)


@cache
def optimizer_by_name(name: str) -> Optimizer:
    """One optimiser for each name, so that a step with it is compiled once."""
    return OPTIMIZERS[name]()


def find_schedule(
    schedule: str | Schedule, rate: float, n: int, batch_size: int, epochs: int
) -> Schedule:
    """The schedule of a name over `epochs` passes of n samples."""
    if callable(schedule) and not isinstance(schedule, type):
        return schedule
    if not isinstance(schedule, str):
        raise UsageError(
            f"learning_rate must be a schedule's name or a function of the step, got {shown(schedule)}: a rate is "
            "given as learning_rate_init."
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
    with interruption() as interrupted:
        watch = Watch(watchers, interrupted)
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
            if watch(epoch):
                break
    final = to_vector(mlp, backend, watch.history[-1].on_device()[0])
    return Fit(final, tuple(watch.history), watch.stopped, interrupted.signal)


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
    with interruption() as interrupted:
        watch = Watch(watchers, interrupted)
        minimum = minimize(
            mlp,
            x,
            targets,
            backend=backend,
            epochs=epochs,
            initial=initial,
            report=watch,
            **options,
        )
    stopped = watch.stopped
    if stopped == "finished" and minimum.converged:
        stopped = "converged"
    elif stopped == "finished" and minimum.stalled:
        stopped = "stalled"
    return Fit(minimum.parameters, tuple(watch.history), stopped, interrupted.signal)
