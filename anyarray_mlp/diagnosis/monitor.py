"""`RunMonitor`: a callback that watches a run and says at its end what was wrong with it.

Nothing is added to a training step. A few times in a run (before it, after epochs 1, 2, 4, 8, ... and at its end) a
probe of at most 128 rows runs on the device, and one small vector is read right after the epoch's losses. Everything
else is computed once at the end, on the host. With JAX, the probe of a small network also runs on the host: compiling
it would take longer than fetching the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.options import options_of, with_known_options
from anyarray_mlp.checking.values import (
    check_callable,
    check_instance,
    checked_weight,
)
from anyarray_mlp.diagnosis.columns import RawColumns
from anyarray_mlp.diagnosis.data_summary import DataSummary, summarize_data
from anyarray_mlp.diagnosis.details import Details
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
from anyarray_mlp.diagnosis.rows import HostRows, checked_rows, evenly
from anyarray_mlp.diagnosis.targets import as_classes
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.optimizers import (
    State,
    gradient_norm,
    sgd,
)
from anyarray_mlp.training import Epoch, Fit, Recipe, StepStatistics, TrainingState, to_leaves
from anyarray_mlp.training.batches import check_scale, checked_batch_size, checked_validation
from anyarray_mlp.training.given import as_given
from anyarray_mlp.training.predicting import on_device
from anyarray_mlp.training.recipe import WITH_MOMENTUM, batch_size_of, epochs_of, recipe_of
from anyarray_mlp.training.state import fresh_state
from anyarray_mlp.typing import Array, Host, Leaves

#: Rows of a probe.
PROBE_ROWS = 128
#: With at most so many parameters, a probe is not worth compiling.
FETCHED = 1_000_000


@with_known_options
class RunMonitor:
    """Watches one run: pass it to `fit` as a callback with the same recipe and data, then call `finish`.

    recipe, data = Recipe(epochs=50), {"backend": backend, "validation": (xv, tv)}
    monitor = RunMonitor(mlp, x, targets, recipe, **data)
    print(monitor.finish(fit(mlp, x, targets, recipe, callbacks=[monitor], **data)).summary())

    `fit(..., diagnose=True)` does just that. Parameters are those of `training.fit`. If `statistics` are gathered for
    another, it is not known how many gradients were clipped. `details` are what it may be told beside.
    """

    def __init__(
        self,
        mlp: MLP,
        x: Host,
        targets: Host,
        recipe: Recipe | None = None,
        *,
        backend: str | Backend | None = None,
        validation: tuple[Host, Host] | None = None,
        sample_weight: Host | None = None,
        input_scale: float | None = None,
        initial: Host | TrainingState | None = None,
        statistics: StepStatistics | None = None,
        details: Details | None = None,
        **options: Any,
    ) -> None:
        recipe = recipe_of("RunMonitor", recipe, options, OWN)
        if not isinstance(backend, Backend):
            backend = select_backend(backend)
        check_network(mlp)
        x, targets, sample_weight, validation, *_ = as_given(
            mlp, x, targets, sample_weight, validation
        )
        mlp.check_shapes(x, targets)  # the values are looked at where training begins
        check_scale(input_scale)
        validation = checked_validation(mlp, validation, MLP.check_shapes)
        if statistics is not None:
            check_callable("statistics", statistics)
        if details is None:
            details = Details()
        check_instance("details", details, Details, "diagnosis.Details(column_names=...) or None")
        self.details = details
        self.mlp = mlp
        self.backend = backend
        self.input_scale = input_scale
        self.column_names = details.column_names
        self.class_names = tuple(details.class_names)
        self.sources = tuple(details.sources)
        self.other_statistics = statistics
        self.by_steps = not recipe.by_lbfgs
        self.optimizer = recipe.step_optimizer() if self.by_steps else sgd()
        self.weight: Host | None = None
        self.known = x, targets, sample_weight
        self.given_initial = initial
        weight = checked_weight(sample_weight, x.shape[0])
        if weight is not None:
            self.weight = np.asarray(HostRows(backend, weight).whole(), dtype=np.float64)
        self.validation_is_later = details.validation_is_later
        self.recipe = recipe
        self.settings = self.settings_of(recipe, x.shape[0], details.table)
        self.keep_rows(x, targets, validation, details.held_out)
        if initial is None:
            initial = mlp.initialize(recipe.seed, recipe.initializer)
        of_steps = self.optimizer if self.by_steps else None
        self.initial = fresh_state(mlp, of_steps, initial).parameters
        moments = self.optimizer.start(self.mlp.layout)
        state = initial if isinstance(initial, TrainingState) else None
        self.start = state or TrainingState(self.initial, moments, 0, 0)
        self.prepare_probe(details.probe_on_device)
        self.probes: list[Probe] = []
        self.look(*self.moved(self.start), self.start.epoch, self.start.step, None)
        self.epochs: list[Epoch] = []
        self.clipped: list[NDArray[np.bool_]] = []

    def settings_of(self, recipe: Recipe, n: int, table: Mapping[str, Any]) -> Settings:
        """What findings may go by of the network and the recipe."""
        mlp = self.mlp
        return Settings(
            sizes=tuple(mlp.sizes),
            activation=tuple(mlp.activation),
            output=mlp.output,
            loss=mlp.loss,
            dropout=tuple(mlp.dropout),  # type: ignore[arg-type]
            alpha=recipe.alpha,
            optimizer=self.optimizer.name if self.by_steps else "lbfgs",
            learning_rate_init=recipe.learning_rate_init,
            batch_size=checked_batch_size(batch_size_of(recipe), n) if self.by_steps else n,
            epochs=epochs_of(recipe),
            clip_norm=recipe.clip_norm,
            early_stopping=bool(recipe.early_stopping),
            shuffle=recipe.shuffle or not self.by_steps,
            weighted=self.weight is not None,
            validation_is_later=self.validation_is_later,
            keeps_best=recipe.keeps_best,
            learning_rate=named(recipe.learning_rate),
            momentum=recipe.momentum if recipe.optimizer in WITH_MOMENTUM else None,
            initializer=named(recipe.initializer),
            warm_up=recipe.warm_up,
            weight_ratio=self.weight_ratio(),
            table=dict(table),
        )

    def weight_ratio(self) -> float:
        """How many times the total weight of one class another has."""
        if self.weight is None:
            return 1.0
        targets = self.known[1]
        classes = as_classes(targets, self.mlp) if isinstance(targets, np.ndarray) else None
        if classes is None:
            return 1.0
        totals = np.bincount(classes, weights=self.weight)
        totals = totals[totals > 0]
        return float(totals.max() / totals.min()) if len(totals) > 1 else 1.0

    def keep_rows(
        self,
        x: Host,
        targets: Host,
        validation: tuple[Host, Host] | None,
        held_out: Sequence[Host],
    ) -> None:
        """Remember where the rows are; `DataError` or `UsageError` for those that do not fit together."""
        backend = self.backend
        self.x, self.targets = HostRows(backend, x), HostRows(backend, targets)
        self.given_validation = validation
        self.validation = None
        if validation:
            self.validation = HostRows(backend, validation[0]), HostRows(backend, validation[1])
        RawColumns(self.sources, x.shape[1])  # refuses what does not fit, before training
        self.held_out = [HostRows(backend, checked_rows(part, x.shape[1])) for part in held_out]
        self.test = self.held_out[0] if self.held_out else None
        if self.validation:
            self.held_out.append(self.validation[0])

    def prepare_probe(self, on_device_too: bool | None) -> None:
        """Choose where probes run, take their rows there and compile the probe."""
        mlp, backend, settings = self.mlp, self.backend, self.settings
        rows = evenly(self.x.n, PROBE_ROWS)
        probe_rows = [self.x.take(rows), self.targets.take(rows)]
        if self.weight is not None:
            probe_rows.append(self.weight[rows])
        if on_device_too is None:
            # Reproducible arithmetic has only the operations that training needs; a probe needs others.
            large = mlp.layout.size > FETCHED
            on_device_too = backend.arithmetic == "plain" and (backend.name != "jax" or large)
        self.prober = backend if on_device_too else select_backend("numpy", dtype=backend.dtype)
        self.probe_data = tuple(on_device(self.prober, a) for a in probe_rows)
        decay = settings.alpha / settings.batch_size
        parts = mlp, self.optimizer, decay, settings.clip_norm, self.input_scale
        self.run = self.prober.jit(probe_function(*parts, weighted=self.weight is not None))

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
        from anyarray_mlp.diagnosis.again import Again

        found = diagnose_run(self.record(result))
        return replace(found, rerun=Again.of(self, found.is_about_rare_classes))

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
            different=self.places_of(self.details.different),
            scales=self.details.scales,
            target_scale=self.details.target_scale,
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
            self.test,
        ).outcome(self.ended(result))
        return RunRecord(
            settings=self.settings,
            data=data,
            initial=initial_layers(self.mlp, self.initial),
            curve=self.curve(result if isinstance(result, DivergedError) else None),
            probes=tuple(self.probes),
            outcome=outcome,
            names=self.names_of(data, outcome),
        )

    def places_of(self, names: Sequence[str]) -> list[int]:
        """The places of the first inputs of some columns."""
        sources = self.sources or range(len(self.column_names))
        return [
            place
            for place, source in enumerate(sources)
            if self.column_names[source] in names and (not place or sources[place - 1] != source)
        ]

    def names_of(self, data: DataSummary, outcome: Outcome) -> Names:
        """The names and scales of the columns that findings may mention, and the classes."""
        details, columns = self.details, {}
        places = sorted(mentioned(data, outcome))
        if self.column_names:
            sources = self.sources or range(len(self.column_names))
            columns = {str(place): self.column_names[sources[place]] for place in places}
        known = {place: details.scales[place] for place in places if place < len(details.scales)}
        scales = {str(place): pair for place, pair in known.items() if pair is not None}
        return Names(columns, self.class_names, scales, details.target_scale)

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


def named(value: Any) -> str:
    """A setting's name; that of a function or object of one's own says only that."""
    return value if isinstance(value, str) else "a function"


#: What `RunMonitor` takes itself.
OWN = options_of(RunMonitor)
