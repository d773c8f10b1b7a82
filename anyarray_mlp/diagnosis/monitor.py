"""`RunMonitor`: a callback that watches a run and says at its end what was wrong with it.

Nothing is added to a training step. A few times in a run (before it, after epochs 1, 2, 4, 8, ... and at its end) a
probe of at most 128 rows runs on the device, and one small vector is read right after the epoch's losses. Everything
else is computed once at the end, on the host. With JAX, the probe of a small network also runs on the host: compiling
it would take longer than fetching the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import (
    check_boolean,
    check_callable,
    check_instance,
    check_positive,
    check_whole,
    checked_weight,
    items,
)
from anyarray_mlp.diagnosis.columns import RawColumns
from anyarray_mlp.diagnosis.data_summary import DataSummary, summarize_data
from anyarray_mlp.diagnosis.outcome import Ended, RunData, initial_layers, mentioned
from anyarray_mlp.diagnosis.probe import (
    Probe,
    probe_from,
    probe_function,
)
from anyarray_mlp.diagnosis.record import (
    Curve,
    Names,
    Outcome,
    RunRecord,
    Settings,
)
from anyarray_mlp.diagnosis.report import Diagnosis, diagnose_run
from anyarray_mlp.diagnosis.rows import HostRows, evenly
from anyarray_mlp.errors import DataError, DivergedError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.optimizers import Optimizer, State, gradient_norm, sgd
from anyarray_mlp.training import (
    EarlyStopping,
    Epoch,
    Fit,
    StepStatistics,
    TrainingState,
    as_callbacks,
    checked_options,
    find_optimizer,
    fit,
    fresh_state,
    is_lbfgs,
    on_device,
    to_leaves,
)
from anyarray_mlp.training.batches import (
    check_penalties,
    check_scale,
    checked_batch_size,
    checked_validation,
)
from anyarray_mlp.typing import Array, Host, Leaves

#: Rows of a probe.
PROBE_ROWS = 128
#: With at most so many parameters, a probe is not worth compiling.
FETCHED = 1_000_000


@with_known_options
class RunMonitor:
    """Watches one run: pass it to `fit` as a callback with the same options, then call `finish`.

    options = {"backend": backend, "optimizer": "adam", "epochs": 50, "validation": (xv, tv)}
    monitor = RunMonitor(mlp, x, targets, **options)
    print(monitor.finish(fit(mlp, x, targets, callbacks=[monitor], **options)).summary())

    It takes the parameters of `training.fit` and uses those named here; what `fit` does not take is refused.
    `probe_on_device` overrides where probes run. If `statistics` are gathered for something else, the share of clipped
    gradients is unknown. `class_names` are the names of the classes in findings. If a table was encoded, `sources` has
    the place of the table's column that each column of `x` was made from, and `column_names` names the table's columns;
    without it, each column of `x` stands for itself. `held_out` are more rows of the same columns, used only to see
    whether a column varies (as the validation rows are).
    """

    def __init__(
        self,
        mlp: MLP,
        x: Host,
        targets: Host,
        *,
        backend: str | Backend | None = None,
        optimizer: str | Optimizer = "adam",
        learning_rate_init: float = 1e-3,
        batch_size: int = 32,
        epochs: int = 100,
        seed: int = 0,
        initial: Host | TrainingState | None = None,
        initializer: Any = "auto",
        early_stopping: Any = None,
        validation: tuple[Host, Host] | None = None,
        alpha: float = 0.0,
        clip_norm: float | None = None,
        input_scale: float | None = None,
        probe_on_device: bool | None = None,
        column_names: Sequence[str] = (),
        sources: Sequence[int] = (),
        held_out: Sequence[Host] = (),
        class_names: Sequence[Any] = (),
        statistics: StepStatistics | None = None,
        sample_weight: Host | None = None,
        shuffle: bool = True,
        **others: Any,
    ) -> None:
        given = {**others, "clip_norm": clip_norm, "statistics": statistics}
        checked_options("RunMonitor", optimizer, given)
        if not isinstance(backend, Backend):
            backend = select_backend(backend)
        check_network(mlp)
        mlp.check_shapes(x, targets)  # training itself checks the values
        self.mlp = mlp
        self.backend = backend
        self.input_scale = input_scale
        self.column_names = items("column_names", column_names, "a list of the columns' names")
        places = items("sources", sources, "a list of the place of each column's raw column")
        self.sources = tuple(check_whole("sources", place, 0) for place in places)
        self.class_names = items("class_names", class_names, "a list of the classes' names")
        n = x.shape[0]
        batch_size = checked_batch_size(batch_size, n)
        epochs = check_whole("epochs", epochs, 0)
        seed = check_whole("seed", seed, 0)
        check_positive("learning_rate_init", learning_rate_init)
        check_penalties(alpha, clip_norm)
        check_scale(input_scale)
        sample_weight = checked_weight(sample_weight, n)
        validation = checked_validation(mlp, validation, MLP.check_shapes)
        check_boolean("shuffle", shuffle)
        if probe_on_device is not None:
            check_boolean("probe_on_device", probe_on_device)
        if statistics is not None:
            check_callable("statistics", statistics)
        if early_stopping is not None:
            what = "an EarlyStopping(monitor, patience, tol), or None"
            check_instance("early_stopping", early_stopping, EarlyStopping, what)
        self.by_steps = not is_lbfgs(optimizer)
        self.optimizer = find_optimizer(optimizer) if self.by_steps else sgd()
        self.settings = Settings(
            sizes=tuple(mlp.sizes),
            activation=tuple(mlp.activation),
            output=mlp.output,
            loss=mlp.loss,
            dropout=tuple(mlp.dropout),  # type: ignore[arg-type]
            alpha=alpha,
            optimizer=self.optimizer.name if self.by_steps else "lbfgs",
            learning_rate_init=learning_rate_init,
            batch_size=batch_size if self.by_steps else n,
            epochs=epochs,
            clip_norm=clip_norm,
            early_stopping=early_stopping is not None,
            shuffle=shuffle or not self.by_steps,
            weighted=sample_weight is not None,
        )
        decay = alpha / self.settings.batch_size
        parts = mlp, self.optimizer, decay, clip_norm, input_scale
        self.x, self.targets = HostRows(backend, x), HostRows(backend, targets)
        self.weight: Host | None = None
        if sample_weight is not None:
            self.weight = np.asarray(HostRows(backend, sample_weight).whole(), dtype=np.float64)
        self.validation = None
        if validation:
            self.validation = HostRows(backend, validation[0]), HostRows(backend, validation[1])
        RawColumns(self.sources, x.shape[1])  # refuses what does not fit, before training
        self.held_out = [
            HostRows(backend, checked_rows(part, x.shape[1]))
            for part in items("held_out", held_out, "a list of arrays of more rows")
        ]
        if self.validation:
            self.held_out.append(self.validation[0])
        if initial is None:
            initial = mlp.initialize(seed, initializer)
        state = initial if isinstance(initial, TrainingState) else None
        self.initial = fresh_state(
            mlp, self.optimizer if self.by_steps else None, initial
        ).parameters

        rows = evenly(n, PROBE_ROWS)
        probe_rows = [self.x.take(rows), self.targets.take(rows)]
        if self.weight is not None:
            probe_rows.append(self.weight[rows])
        if probe_on_device is None:
            # Reproducible arithmetic has only the operations that training needs; a probe needs more.
            large = mlp.layout.size > FETCHED
            probe_on_device = backend.arithmetic == "plain" and (backend.name != "jax" or large)
        self.prober = backend if probe_on_device else select_backend("numpy", dtype=backend.dtype)
        self.probe_data = tuple(on_device(self.prober, a) for a in probe_rows)
        self.run = self.prober.jit(probe_function(*parts, weighted=self.weight is not None))
        moments = tuple(np.zeros_like(self.initial) for _ in range(self.optimizer.n_moments))
        self.start = state or TrainingState(self.initial, moments, 0, 0)
        self.probes: list[Probe] = []
        self.look(*self.moved(self.start), self.start.epoch, self.start.step, None)
        self.epochs: list[Epoch] = []
        self.clipped: list[NDArray[np.bool_]] = []
        self.other_statistics = statistics

    @property
    def statistics(self) -> StepStatistics | None:
        """What to pass to `fit` as `statistics`: the gradient's norm at every step, if gradients are clipped."""
        if self.settings.clip_norm is None or self.other_statistics is not None:
            return None
        return lambda xp, leaves, grad: (gradient_norm(xp, grad),)

    def __call__(self, epoch: Epoch) -> None:
        """Record an epoch."""
        self.epochs.append(epoch)
        if epoch.statistics and self.statistics is not None:
            (norms,) = epoch.statistics
            self.clipped.append(norms > self.settings.clip_norm)
        done = len(self.epochs)
        if done & (done - 1) == 0:
            self.look_after(epoch)

    def look_after(self, epoch: Epoch) -> None:
        """Probe the state that an epoch ended in."""
        fetched = self.prober is not self.backend
        state = self.moved(epoch.snapshot()) if fetched else epoch.on_device()
        self.look(*state, epoch.epoch, epoch.step, epoch.learning_rate)

    def moved(self, state: TrainingState) -> tuple[Leaves, State]:
        """A state, moved to where probes run."""
        leaves, *moments = (
            to_leaves(self.mlp, self.prober, vector)
            for vector in (state.parameters, *state.moments)
        )
        return leaves, tuple(moments)

    def look(
        self, leaves: Leaves, moments: State, epoch: int, step: int, rate: float | None
    ) -> None:
        """Probe a state."""
        scalars = self.scalars(self.prober, step, rate)
        with np.errstate(all="ignore"):
            vector = self.prober.to_host(self.run(leaves, moments, *self.probe_data, *scalars))
        self.probes.append(probe_from(vector, epoch, step))

    def scalars(self, backend: Backend, step: int, rate: float | None) -> list[Array]:
        """The optimiser's numbers for the step after `step`, as arrays."""
        numbers = self.optimizer.scalars(
            step + 1, self.settings.learning_rate_init if rate is None else rate
        )
        return [backend.asarray(np.asarray(float(number))) for number in numbers]

    def finish(self, result: Fit | DivergedError) -> Diagnosis:
        """The diagnosis, once training has ended or diverged."""
        return diagnose_run(self.record(result))

    def record(self, result: Fit | DivergedError) -> RunRecord:
        """Everything that was seen."""
        broken = isinstance(result, DivergedError)
        last = self.epochs[-1] if self.epochs else None
        if last is not None and not broken and self.probes[-1].step != last.step:
            self.look_after(last)
        n = self.x.n
        rows = self.x.many()
        x, targets, full = self.x.host, self.targets.host, None
        weight = self.weight
        if x is None or targets is None:
            x, targets, full = self.x.take(rows), self.targets.take(rows), n
            weight = None if weight is None else weight[rows]
        data = summarize_data(
            self.mlp,
            x,
            targets,
            input_scale=self.input_scale,
            n=full,
            sources=self.sources,
            weight=weight,
            held_out=[
                part.take(part.many()) if part.host is None else part.host for part in self.held_out
            ],
        )
        if self.validation:
            data = replace(data, n_validation=self.validation[0].n)
        outcome = RunData(
            self.mlp,
            select_backend("numpy", dtype=self.backend.dtype),
            self.x,
            self.targets,
            self.weight,
            self.validation,
            self.input_scale,
            self.sources,
        ).outcome(self.ended(result))
        return RunRecord(
            settings=self.settings,
            data=data,
            initial=initial_layers(self.mlp, self.initial),
            curve=self.curve(result if isinstance(result, DivergedError) else None),
            probes=tuple(self.probes),
            outcome=outcome,
            names=Names(self.names_of(data, outcome), self.class_names),
        )

    def names_of(self, data: DataSummary, outcome: Outcome) -> dict[str, str]:
        """The names of the columns that findings may mention."""
        if not self.column_names:
            return {}
        sources = self.sources or range(len(self.column_names))
        return {
            str(place): self.column_names[sources[place]]
            for place in sorted(mentioned(data, outcome))
        }

    def curve(self, error: DivergedError | None) -> Curve:
        """The epochs' figures; a diverged epoch adds the mean of its finite losses."""
        epochs = self.epochs
        losses = [epoch.step_losses for epoch in epochs]
        mean_losses = [epoch.loss for epoch in epochs]
        rates = [epoch.learning_rate for epoch in epochs]
        if error is not None and error.step_losses is not None:
            finite = error.step_losses[np.isfinite(error.step_losses)]
            if len(finite):
                losses.append(finite)
                mean_losses.append(float(finite.mean()))
                rates.append(rates[-1] if rates else self.settings.learning_rate_init)
        return Curve(
            loss=tuple(mean_losses),
            validation_loss=tuple(
                e.validation_loss for e in epochs if e.validation_loss is not None
            ),
            learning_rate=tuple(rates),
            noise=tuple(float(steps.std() / max(abs(steps.mean()), 1e-300)) for steps in losses),
        )

    def ended(self, result: Fit | DivergedError) -> Ended:
        """How training ended, with finite parameters."""
        steps = self.epochs[-1].step if self.epochs else self.start.step
        if isinstance(result, DivergedError):
            stopped = "diverged"
            if result.step_losses is not None:
                steps += int(np.argmin(np.isfinite(result.step_losses))) + 1
        else:
            stopped = result.stopped
        parameters = self.initial if result.parameters is None else result.parameters
        if not np.all(np.isfinite(parameters)):
            parameters = self.initial
        kept_best = stopped == "early" and self.validation is not None
        return Ended(
            stopped,
            steps,
            parameters,
            latest=self.epochs[-1].snapshot().parameters if kept_best else None,
            clipped=float(np.concatenate(self.clipped).mean()) if self.clipped else None,
        )


def checked_rows(rows: Any, columns: int) -> Any:
    """More rows (m, columns); `DataError` if they are not such an array."""
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != columns:
        raise DataError(
            f"held_out must hold arrays of {columns} columns as x has, got {shown(rows)}."
        )
    return rows


#: What the monitor takes besides the options of `fit`.
OF_MONITOR = ("probe_on_device", "column_names", "sources", "held_out", "class_names")


@with_known_options
def diagnosed_fit(
    mlp: MLP, x: Host, targets: Host, *, callbacks: Sequence[Any] = (), **options: Any
) -> tuple[Fit | None, Diagnosis]:
    """`fit` with a `RunMonitor`: the result, None if it diverged, and the diagnosis."""
    checked_options("diagnosed_fit", options.get("optimizer"), options, *OF_MONITOR)
    watchers = as_callbacks("callbacks", callbacks)
    monitor = RunMonitor(mlp, x, targets, **options)
    if monitor.statistics is not None:
        options["statistics"] = monitor.statistics
    for name in OF_MONITOR:
        options.pop(name, None)
    try:
        result = fit(mlp, x, targets, callbacks=[monitor, *watchers], **options)
    except DivergedError as error:
        return None, monitor.finish(error)
    return result, monitor.finish(result)
