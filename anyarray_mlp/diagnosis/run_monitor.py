"""`RunMonitor`: a callback that watches a run and says at its end what was wrong with it.

Nothing is added to a training step. A few times in a run (before it, after epochs 1, 2, 4, 8, ... and at its end) a
probe of at most 128 rows runs on the device and one small vector is read, right after the epoch's losses were;
what else is needed is worked out once at the end, on the host. Under JAX the probe of a small network runs on the
host as well: to compile it would take longer than to fetch the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.diagnosis.data_summary import (
    SUMMARY_ROWS,
    DataSummary,
    as_classes,
    association,
    evenly,
    neighbour_skill,
    skill,
    summarize_data,
)
from anyarray_mlp.diagnosis.probe import (
    Probe,
    probe_from,
    probe_function,
)
from anyarray_mlp.diagnosis.report import Diagnosis, diagnose_run
from anyarray_mlp.diagnosis.run_record import (
    Curve,
    InitialLayer,
    Names,
    Outcome,
    RunRecord,
    Settings,
)
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.inference import is_sparse
from anyarray_mlp.model import MLP
from anyarray_mlp.optimizers import Optimizer, State, gradient_norm, sgd
from anyarray_mlp.parameters import Leaves
from anyarray_mlp.training import (
    Epoch,
    Fit,
    StepStatistics,
    TrainingState,
    find_optimizer,
    fit,
    on_device,
    predict,
    to_leaves,
)

Array = Any
Host = NDArray[Any]

#: Rows of a probe, of the sample that the outcome is judged on, and of the search for neighbours.
PROBE_ROWS = 128
OUTCOME_ROWS = 512
#: Parameters up to which a probe is not worth a compilation.
FETCHED = 1_000_000
#: Skills below which nearest neighbours are asked whether the data hold more than was learned.
DOUBTFUL_TRAINING, DOUBTFUL_VALIDATION = 0.95, 0.6


class RunMonitor:
    """Watches one run: pass it to `fit` as a callback with the same options, then call `finish`.

    options = {"backend": backend, "optimizer": "adam", "epochs": 50, "validation": (xv, tv)}
    monitor = RunMonitor(mlp, x, targets, **options)
    print(monitor.finish(fit(mlp, x, targets, callbacks=[monitor], **options)).summary())

    Parameters are those of `training.fit`, of which it needs what is named here; others are of no account.
    `probe_on_device` overrules where probes run. Where `statistics` are gathered for another, it is not known how many
    gradients were clipped. `column_names` and `class_names` are what the findings call the columns of `x` and the
    classes; `one_hot` says which columns stand for a category.
    """

    def __init__(
        self,
        mlp: MLP,
        x: Array,
        targets: Array,
        *,
        backend: Backend | None = None,
        optimizer: str | Optimizer = "adam",
        learning_rate_init: float = 1e-3,
        batch_size: int = 32,
        epochs: int = 100,
        seed: int = 0,
        initial: Host | TrainingState | None = None,
        initializer: Any = "auto",
        early_stopping: Any = None,
        validation: tuple[Array, Array] | None = None,
        alpha: float = 0.0,
        clip_norm: float | None = None,
        input_scale: float | None = None,
        probe_on_device: bool | None = None,
        column_names: Sequence[str] = (),
        one_hot: Sequence[bool] = (),
        class_names: Sequence[Any] = (),
        statistics: StepStatistics | None = None,
        **others: Any,
    ) -> None:
        self.mlp = mlp
        self.backend = backend = backend or select_backend()
        self.input_scale = input_scale
        self.column_names, self.one_hot = tuple(column_names), tuple(one_hot)
        self.class_names = tuple(class_names)
        n = x.shape[0]
        batch_size = min(batch_size, n)
        self.by_steps = optimizer != "lbfgs"
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
        )
        decay = alpha / self.settings.batch_size
        parts = mlp, self.optimizer, decay, clip_norm, input_scale
        self.x, self.targets = HostRows(backend, x), HostRows(backend, targets)
        self.validation = None
        if validation:
            self.validation = HostRows(backend, validation[0]), HostRows(backend, validation[1])
        if initial is None:
            initial = mlp.initialize(seed, initializer)
        state = initial if isinstance(initial, TrainingState) else None
        self.initial = np.asarray(state.parameters if state else initial)

        rows = evenly(n, PROBE_ROWS)
        self.probe_rows = self.x.take(rows), self.targets.take(rows)
        if probe_on_device is None:
            # Reproducible arithmetic has only the operations that training needs; a probe needs others.
            large = mlp.layout.size > FETCHED
            probe_on_device = backend.arithmetic == "plain" and (backend.name != "jax" or large)
        self.prober = backend if probe_on_device else select_backend("numpy", dtype=backend.dtype)
        self.probe_data = tuple(on_device(self.prober, a) for a in self.probe_rows)
        self.run = self.prober.jit(probe_function(*parts))
        moments = tuple(np.zeros_like(self.initial) for _ in range(self.optimizer.n_moments))
        self.start = state or TrainingState(self.initial, moments, 0, 0)
        self.probes: list[Probe] = []
        self.look(*self.moved(self.start), self.start.epoch, self.start.step, None)
        self.epochs: list[Epoch] = []
        self.clipped: list[NDArray[np.bool_]] = []
        self.other_statistics = statistics

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
        rows = evenly(n, SUMMARY_ROWS)
        x, targets, full = self.x.host, self.targets.host, None
        if x is None or targets is None:
            x, targets, full = self.x.take(rows), self.targets.take(rows), n
        n_validation = self.validation[0].n if self.validation else 0
        data = summarize_data(
            self.mlp, x, targets, n_validation, self.input_scale, full, self.one_hot
        )
        return RunRecord(
            settings=self.settings,
            data=data,
            initial=initial_layers(self.mlp, self.initial),
            curve=self.curve(result if isinstance(result, DivergedError) else None),
            probes=tuple(self.probes),
            outcome=self.outcome(result),
            names=Names(self.names_of(data), self.class_names),
        )

    def names_of(self, data: DataSummary) -> dict[str, str]:
        """The names of the columns that findings may mention."""
        if not self.column_names:
            return {}
        places = {data.largest_column, *data.constant, *data.leaking}
        places.update(place for pair in data.duplicates for place in pair)
        return {str(place): self.column_names[place] for place in sorted(places)}

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

        x, targets, classes = self.sample((self.x, self.targets))
        outputs = self.outputs(host, parameters, x)
        training = skill(outputs, targets, classes)
        validation, mapping = None, 0.0
        if self.validation:
            held, truth, truths = self.sample(self.validation)
            answers = self.outputs(host, parameters, held)
            validation = skill(answers, truth, truths)
            learned = outputs
            if stopped == "early":
                # The best parameters may be the first: look at what was learned since.
                last = self.epochs[-1].snapshot().parameters
                answers, learned = self.outputs(host, last, held), self.outputs(host, last, x)
            if truths is not None and classes is not None and answers.shape[1] > 1:
                mapping = renamed_share(answers, truths) - renamed_share(learned, classes)

        neighbours = related = None
        doubtful = training < DOUBTFUL_TRAINING or (
            validation is not None and validation < DOUBTFUL_VALIDATION
        )
        if doubtful and len(x) > 20 and np.all(np.isfinite(x)) and np.all(np.isfinite(targets)):
            neighbours = neighbour_skill(x, targets, classes)
            related = association(x, targets, classes)
        return Outcome(
            stopped=stopped,
            steps=steps,
            training_skill=training,
            validation_skill=validation,
            neighbour_skill=neighbours,
            association=related,
            validation_mapping=mapping,
            predicted_counts=() if classes is None else class_counts(outputs),
            clipped=float(np.concatenate(self.clipped).mean()) if self.clipped else None,
        )

    def sample(self, data: tuple[HostRows, HostRows]) -> tuple[Host, Host, Host | None]:
        """Rows of a set, evenly spread, on the host: inputs, targets and, if there are any, classes."""
        rows = evenly(data[0].n, OUTCOME_ROWS)
        x, targets = (part.take(rows) for part in data)
        return x, targets, as_classes(targets, self.mlp)

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

    def __init__(self, backend: Backend, array: Array) -> None:
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
    if outputs.shape[1] > 1:
        return tuple(np.bincount(np.argmax(outputs, axis=1), minlength=outputs.shape[1]).tolist())
    yes = int(np.count_nonzero(outputs >= 0.5))
    return len(outputs) - yes, yes


def diagnosed_fit(
    mlp: MLP, x: Array, targets: Array, *, callbacks: Sequence[Any] = (), **options: Any
) -> tuple[Fit | None, Diagnosis]:
    """`fit` with a `RunMonitor`: what came of it, None if it diverged, and the diagnosis."""
    monitor = RunMonitor(mlp, x, targets, **options)
    if monitor.statistics is not None:
        options["statistics"] = monitor.statistics
    for name in ("probe_on_device", "column_names", "one_hot", "class_names"):
        options.pop(name, None)
    try:
        result = fit(mlp, x, targets, callbacks=[monitor, *callbacks], **options)
    except DivergedError as error:
        return None, monitor.finish(error)
    return result, monitor.finish(result)
