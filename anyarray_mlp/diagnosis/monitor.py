"""`RunMonitor`: a callback that watches a run and says at its end what was wrong with it.

Nothing is added to a training step. A few times in a run (before it, after epochs 1, 2, 4, 8, ... and at its end) a
probe of at most 128 rows runs on the device and one small vector is read, right after the epoch's losses were;
what else is needed is worked out once at the end, on the host. Under JAX the probe of a small network runs on the
host as well: to compile it would take longer than to fetch the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import options_of, with_known_options
from anyarray_mlp.checking.values import (
    check_boolean,
    check_callable,
    check_instance,
    check_whole,
    checked_weight,
    items,
)
from anyarray_mlp.diagnosis.data_summary import (
    FULL_CHECK,
    SUMMARY_ROWS,
    DataSummary,
    RawColumns,
    as_classes,
    association,
    evenly,
    summarize_data,
)
from anyarray_mlp.diagnosis.held_out import (
    Repeats,
    recurring,
    share_repeated,
    shift_between,
)
from anyarray_mlp.diagnosis.probe import (
    Probe,
    probe_from,
    probe_function,
)
from anyarray_mlp.diagnosis.record import (
    Curve,
    InitialLayer,
    Names,
    Outcome,
    RunRecord,
    Settings,
)
from anyarray_mlp.diagnosis.report import Diagnosis, diagnose_run
from anyarray_mlp.diagnosis.skill import Rows, neighbour_skill
from anyarray_mlp.errors import DataError, DivergedError
from anyarray_mlp.metrics import predicted_labels
from anyarray_mlp.network.mlp import MLP, check_network
from anyarray_mlp.network.optimizers import State, gradient_norm, sgd
from anyarray_mlp.training import (
    Epoch,
    Fit,
    Recipe,
    StepStatistics,
    TrainingState,
    fresh_state,
    on_device,
    predict,
    recipe_of,
    to_leaves,
)
from anyarray_mlp.training.batches import check_scale, checked_batch_size, checked_validation
from anyarray_mlp.training.predicting import is_sparse
from anyarray_mlp.training.recipe import BATCH_SIZE, EPOCHS
from anyarray_mlp.typing import Array, Host, Leaves

#: Rows of a probe, of the sample that the outcome is judged on, and of those that neighbours are looked for among.
PROBE_ROWS = 128
OUTCOME_ROWS = 512
NEIGHBOUR_ROWS = 2048
#: Rows from which a score of a part of the validation rows is worth looking at.
ENOUGH_ROWS = 20
#: Parameters up to which a probe is not worth a compilation.
FETCHED = 1_000_000
#: Skills below which nearest neighbours are asked whether the data hold more than was learned.
DOUBTFUL_TRAINING, DOUBTFUL_VALIDATION = 0.95, 0.6


@with_known_options
@dataclass(frozen=True, eq=False)
class Details:
    """What a diagnosis may be told beside what `fit` is told.

    Attributes
    ----------
    column_names : what the findings call the columns of x, or those that `sources` points to.
    sources : if a table was encoded, the place of its column that each column of x was made of; without, each column
        of x stands for itself.
    class_names : what the findings call the classes.
    held_out : more rows of the same columns, which are only asked whether a column varies (those of the validation
        set are as well).
    probe_on_device : overrules where probes run.
    """

    column_names: Sequence[str] = ()
    sources: Sequence[int] = ()
    class_names: Sequence[Any] = ()
    held_out: Sequence[Host] = ()
    probe_on_device: bool | None = None

    def __post_init__(self) -> None:
        if self.probe_on_device is not None:
            check_boolean("probe_on_device", self.probe_on_device)
        places = items("sources", self.sources, "a list of the place of each column's raw column")
        for name, value in (
            (
                "column_names",
                items("column_names", self.column_names, "a list of the columns' names"),
            ),
            ("sources", tuple(check_whole("sources", place, 0) for place in places)),
            ("class_names", items("class_names", self.class_names, "a list of the classes' names")),
            ("held_out", items("held_out", self.held_out, "a list of arrays of more rows")),
        ):
            object.__setattr__(self, name, value)


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
        mlp.check_shapes(x, targets)  # the values are looked at where training begins
        check_scale(input_scale)
        validation = checked_validation(mlp, validation)
        if statistics is not None:
            check_callable("statistics", statistics)
        if details is None:
            details = Details()
        check_instance("details", details, Details, "diagnosis.Details(column_names=...) or None")
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
        weight = checked_weight(sample_weight, x.shape[0])
        if weight is not None:
            self.weight = np.asarray(HostRows(backend, weight).whole(), dtype=np.float64)
        self.settings = self.settings_of(recipe, x.shape[0])
        self.keep_rows(x, targets, validation, details.held_out)
        if initial is None:
            initial = mlp.initialize(recipe.seed, recipe.initializer)
        of_steps = self.optimizer if self.by_steps else None
        self.initial = fresh_state(mlp, of_steps, initial).parameters
        moments = tuple(np.zeros_like(self.initial) for _ in range(self.optimizer.n_moments))
        state = initial if isinstance(initial, TrainingState) else None
        self.start = state or TrainingState(self.initial, moments, 0, 0)
        self.prepare_probe(details.probe_on_device)
        self.probes: list[Probe] = []
        self.look(*self.moved(self.start), self.start.epoch, self.start.step, None)
        self.epochs: list[Epoch] = []
        self.clipped: list[NDArray[np.bool_]] = []

    def settings_of(self, recipe: Recipe, n: int) -> Settings:
        """What findings may go by of the network and the recipe."""
        mlp = self.mlp
        batch_size = BATCH_SIZE if recipe.batch_size is None else recipe.batch_size
        return Settings(
            sizes=tuple(mlp.sizes),
            activation=tuple(mlp.activation),
            output=mlp.output,
            loss=mlp.loss,
            dropout=tuple(mlp.dropout),  # type: ignore[arg-type]
            alpha=recipe.alpha,
            optimizer=self.optimizer.name if self.by_steps else "lbfgs",
            learning_rate_init=recipe.learning_rate_init,
            batch_size=checked_batch_size(batch_size, n) if self.by_steps else n,
            epochs=EPOCHS if recipe.epochs is None else recipe.epochs,
            clip_norm=recipe.clip_norm,
            early_stopping=bool(recipe.early_stopping),
            shuffle=recipe.shuffle or not self.by_steps,
            weighted=self.weight is not None,
        )

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
        self.validation = None
        if validation:
            self.validation = HostRows(backend, validation[0]), HostRows(backend, validation[1])
        RawColumns(self.sources, x.shape[1])  # refuses what does not fit, before training
        self.held_out = [HostRows(backend, checked_rows(part, x.shape[1])) for part in held_out]
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
        """What to pass to `fit` as `statistics`: the gradient's norm at every step where gradients are clipped."""
        if self.settings.clip_norm is None or self.other_statistics is not None:
            return None
        return lambda xp, leaves, grad: (gradient_norm(xp, grad),)

    def __call__(self, epoch: Epoch) -> None:
        """Take note of an epoch."""
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
        """A state where probes run."""
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
        """The optimiser's numbers of the step after `step`, as arrays."""
        numbers = self.optimizer.scalars(
            step + 1, self.settings.learning_rate_init if rate is None else rate
        )
        return [backend.asarray(np.asarray(float(number))) for number in numbers]

    def finish(self, result: Fit | DivergedError) -> Diagnosis:
        """The diagnosis, once training has come to its end or to a loss that is not finite."""
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
        n_validation = self.validation[0].n if self.validation else 0
        data = summarize_data(
            self.mlp,
            x,
            targets,
            n_validation,
            self.input_scale,
            full,
            self.sources,
            weight,
            [part.take(part.many()) if part.host is None else part.host for part in self.held_out],
        )
        outcome = self.outcome(result)
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
        places = {
            data.largest_column,
            data.widest,
            data.narrowest,
            *data.constant,
            *data.leaking,
            *data.identifiers,
        }
        places.update(column for column, _, _ in data.sentinels)
        if outcome.shift is not None:
            places.add(outcome.shift.column)
        places.update(place for pair in data.duplicates for place in pair)
        sources = self.sources or range(len(self.column_names))
        return {str(place): self.column_names[sources[place]] for place in sorted(places)}

    def curve(self, error: DivergedError | None) -> Curve:
        """The epochs' figures; a diverged epoch adds the mean of its finite steps."""
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

    def outcome(self, result: Fit | DivergedError) -> Outcome:
        """How the run ended, on the host."""
        host = select_backend("numpy", dtype=self.backend.dtype)
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

        rows = evenly(self.x.n, OUTCOME_ROWS)
        seen = self.sample((self.x, self.targets))
        if self.weight is not None:
            seen = replace(seen, weight=self.weight[rows])
        outputs = self.outputs(host, parameters, seen.x)
        training = seen.skill(outputs)
        validation, mapping = None, 0.0
        held = answers = held_related = None
        if self.validation:
            held = self.sample(self.validation)
            held = replace(held, weight=self.weights_of(held.classes))
            answers = self.outputs(host, parameters, held.x)
            validation = held.skill(answers)
            held_related = association(answers, held.targets, held.classes)
            learned, latest = outputs, answers
            if stopped == "early":
                # The best parameters may be the first: look at what was learned since.
                last = self.epochs[-1].snapshot().parameters
                latest, learned = (self.outputs(host, last, part.x) for part in (held, seen))
            if held.classes is not None and seen.classes is not None and answers.shape[1] > 1:
                mapping = renamed_share(latest, held.classes) - renamed_share(learned, seen.classes)

        neighbours = related = held_neighbours = None
        doubtful = training < DOUBTFUL_TRAINING or (
            validation is not None and validation < DOUBTFUL_VALIDATION
        )
        finite = np.all(np.isfinite(seen.x)) and np.all(np.isfinite(seen.targets))
        if doubtful and len(seen.x) > 20 and finite:
            related = association(seen.x, seen.targets, seen.classes)
            rows = evenly(self.x.n, NEIGHBOUR_ROWS)
            targets = self.targets.take(rows)
            known = Rows(
                self.x.take(rows),
                targets,
                as_classes(targets, self.mlp),
                None if self.weight is None else self.weight[rows],
            )
            neighbours = neighbour_skill(known)
            if held is not None and (held.classes is None) == (known.classes is None):
                held_neighbours = neighbour_skill(known, held)
        judged = (seen, outputs) if held is None or answers is None else (held, answers)
        found = right_of_class(judged[1], judged[0].classes)
        return Outcome(
            stopped=stopped,
            steps=steps,
            training_skill=training,
            validation_skill=validation,
            neighbour_skill=neighbours,
            association=related,
            validation_mapping=mapping,
            predicted_counts=() if seen.classes is None else class_counts(outputs),
            clipped=float(np.concatenate(self.clipped).mean()) if self.clipped else None,
            chance=seen.chance,
            validation_chance=None if held is None else held.chance,
            rows_of_class=found[0],
            found_of_class=found[1],
            missing_classes=self.missing_classes(),
            validation_neighbour_skill=held_neighbours,
            validation_association=held_related,
            shift=None if held is None else shift_between(seen.x, held.x, self.sources),
            repeats=None if held is None or answers is None else self.repeats(held, answers),
        )

    @cached_property
    def classes(self) -> Host | None:
        """The class (n,) of each training row; None without classes."""
        return as_classes(self.targets.whole(), self.mlp)

    def weights_of(self, classes: Host | None) -> Host | None:
        """What rows of these classes count for: the mean weight of their class in training; None without weights."""
        if self.weight is None or classes is None:
            return None
        known = self.classes
        if known is None:
            return None
        k = int(max(known.max(), classes.max())) + 1
        sums = np.bincount(known, weights=self.weight, minlength=k)
        means = sums / np.maximum(np.bincount(known, minlength=k), 1)
        weight = np.where(means > 0, means, self.weight.mean())[classes]
        return weight if weight.sum() > 0 else None

    def missing_classes(self) -> tuple[tuple[int, int], ...]:
        """Classes of validation rows that no training row has, and their numbers of rows."""
        if self.validation is None:
            return ()
        held = as_classes(self.validation[1].whole(), self.mlp)
        if self.classes is None or held is None:
            return ()
        counts = np.bincount(held)
        missing = np.setdiff1d(np.flatnonzero(counts), self.classes)
        return tuple((int(code), int(counts[code])) for code in missing)

    def repeats(self, held: Rows, answers: Host) -> Repeats | None:
        """Which of a sample of validation rows are training rows as well, and how well either are predicted."""
        x = self.x.host
        if x is None or len(held.x) < ENOUGH_ROWS or x.dtype != held.x.dtype:
            return None
        again = recurring(x, held.x, allowed=0)
        among = share_repeated(x)
        if again is None or among is None:
            return None
        skills = [
            held.part(rows).skill(answers[rows]) if len(rows) >= ENOUGH_ROWS else None
            for rows in (np.flatnonzero(again), np.flatnonzero(~again))
        ]
        return Repeats(len(held.x), int(np.count_nonzero(again)), among, *skills)

    def sample(self, data: tuple[HostRows, HostRows]) -> Rows:
        """Rows of a set, evenly spread, on the host."""
        rows = evenly(data[0].n, OUTCOME_ROWS)
        x, targets = (part.take(rows) for part in data)
        return Rows(x, targets, as_classes(targets, self.mlp))

    def outputs(self, host: Backend, parameters: Host, x: Host) -> Host:
        """Outputs (n, k); zeros where they overflow."""
        with np.errstate(all="ignore"):
            outputs = predict(
                self.mlp,
                np.asarray(parameters, np.float64),
                x,
                backend=host,
                input_scale=self.input_scale,
            )
        return np.nan_to_num(outputs)


class HostRows:
    """An array on the host or on the device, or a sparse matrix, of which rows are wanted on the host, dense."""

    def __init__(self, backend: Backend, array: Any) -> None:
        self.backend = backend
        self.sparse = is_sparse(array)
        self.array = array.tocsr() if self.sparse else array
        self.n: int = array.shape[0]
        self.host: Host | None = array if isinstance(array, np.ndarray) else None

    def take(self, rows: NDArray[np.int64]) -> Host:
        """Rows, on the host."""
        if self.host is not None:
            return np.asarray(self.host[rows])
        if self.sparse:
            return np.asarray(self.array[rows].toarray())
        backend = self.backend
        return backend.to_host(backend.xp.take(self.array, backend.asarray(rows), axis=0))

    def many(self) -> NDArray[np.int64]:
        """The rows that a summary looks at: all, or evenly spread ones of many entries."""
        return evenly(self.n, max(SUMMARY_ROWS, FULL_CHECK // self.array.shape[1]))

    def whole(self) -> Host:
        """All rows, on the host."""
        return self.take(np.arange(self.n)) if self.host is None else self.host


def initial_layers(mlp: MLP, vector: Host) -> tuple[InitialLayer, ...]:
    """Scale and symmetry of initial weights."""
    parts = mlp.layout.split(np.asarray(vector, dtype=np.float64))
    weights = parts[: mlp.layout.n_layers]
    layers = []
    for layer, w in enumerate(weights):
        rms = float(np.sqrt(np.mean(w**2)))
        following = weights[layer + 1] if layer + 1 < len(weights) else None
        alike = (
            following is not None
            and w.shape[1] > 1
            and bool(np.all(w == w[:, :1]) and np.all(following == following[:1]))
        )
        layers.append(InitialLayer(rms * math.sqrt(w.shape[0]), rms * math.sqrt(w.shape[1]), alike))
    return tuple(layers)


def renamed_share(outputs: Host, classes: Host) -> float:
    """Share of rows that are predicted as what most of their class is predicted as, where that is another class."""
    k = outputs.shape[1]
    table = np.zeros((max(k, int(classes.max()) + 1), k))
    np.add.at(table, (classes, np.argmax(outputs, axis=1)), 1)
    best = table.argmax(axis=1)
    if len(set(best.tolist())) < 2:
        return 0.0
    return float(table.max(axis=1)[best != np.arange(len(best))].sum() / len(classes))


def class_counts(outputs: Host) -> tuple[int, ...]:
    """Rows predicted as each class."""
    k = max(outputs.shape[1], 2)
    return tuple(np.bincount(predicted_labels(outputs), minlength=k).tolist())


def right_of_class(outputs: Host, classes: Host | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows of each class, and how many of them are predicted as it."""
    if classes is None:
        return (), ()
    right = classes[predicted_labels(outputs) == classes]
    k = int(classes.max()) + 1
    rows, found = (np.bincount(part, minlength=k).tolist() for part in (classes, right))
    return tuple(rows), tuple(found)


def checked_rows(rows: Any, columns: int) -> Any:
    """More rows (m, columns); `DataError` where they are no such array."""
    shape = getattr(rows, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != columns:
        raise DataError(
            f"held_out must hold arrays of {columns} columns as x has, got {shown(rows)}."
        )
    return rows


#: What `RunMonitor` takes itself.
OWN = options_of(RunMonitor)
