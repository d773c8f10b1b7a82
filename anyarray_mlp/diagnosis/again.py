"""`Again`: makes a run on arrays again, with other settings, for as long as there is time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from anyarray_mlp import streams, training
from anyarray_mlp.backends import Backend
from anyarray_mlp.diagnosis.changes import new_values
from anyarray_mlp.diagnosis.held_out import balancing, row_scores
from anyarray_mlp.diagnosis.rows import HostRows, evenly
from anyarray_mlp.diagnosis.targets import as_classes
from anyarray_mlp.diagnosis.trying import Ran
from anyarray_mlp.errors import DivergedError, UsageError
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training import Epoch, Recipe
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.monitor import RunMonitor

#: The fewest epochs that a short run is to have time for; the fewest rows that it trains on.
FEWEST_EPOCHS, FEWEST_ROWS = 3, 200


class Clock:
    """A callback that ends a run before the epoch that would take it over its time."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.started = time.monotonic()
        self.last = self.started
        self.epochs = 0
        self.cut = False

    def __call__(self, epoch: Epoch) -> bool:
        now = time.monotonic()
        self.epochs += 1
        self.cut = now - self.started + (now - self.last) > self.limit
        self.last = now
        return self.cut

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started


def seed_of(seed: int, place: int) -> int:
    """The seed of a trial: the run's own first, then others that it decides."""
    if place == 0:
        return seed
    return int(streams.generator("trial seed", seed, place).integers(2**31))


@dataclass(frozen=True, eq=False)
class Job:
    """All that a short run is given; `known` are the rows (n, i), targets and weights that it may train on."""

    mlp: MLP
    known: tuple[Any, Any, Any]
    validation: tuple[Any, Any]
    recipe: Recipe
    backend: Backend
    input_scale: float | None
    initial: Any
    balanced: bool

    def run(self, limit: float, epoch_seconds: float) -> Ran:
        """Train for as long as there is time, on fewer rows if an epoch would take too long, and judge the outcome."""
        x, targets, weight = thinned(self.known, limit / FEWEST_EPOCHS / max(epoch_seconds, 1e-9))
        clock = Clock(limit)
        given: dict[str, Any] = {"backend": self.backend, "input_scale": self.input_scale}
        try:
            result = training.fit(
                self.mlp,
                x,
                targets,
                self.recipe,
                validation=self.validation,
                sample_weight=weight,
                initial=self.initial,
                callbacks=[clock],
                **given,
            )
        except DivergedError:
            parameters = None
        else:
            parameters = result.parameters
            if result.stopped == "interrupted":
                raise KeyboardInterrupt
        held, wanted = (HostRows(self.backend, part).whole() for part in self.validation)
        classes = as_classes(wanted, self.mlp)
        rows = np.zeros(len(wanted))  # of a run that diverged
        if parameters is not None:
            outputs = training.predict(self.mlp, parameters, held, **given)
            rows = row_scores(outputs, wanted, classes)
        weights = np.ones(len(rows))
        if self.balanced and classes is not None:
            weights = balancing(classes)
        return Ran(rows, weights, clock.epochs, clock.seconds, clock.cut)


def thinned(known: tuple[Any, Any, Any], share: float) -> tuple[Any, Any, Any]:
    """Evenly spread rows, about this share of them; those of a device are left as they are."""
    x, targets, weight = known
    n = x.shape[0]
    if share >= 1.0 or not isinstance(x, np.ndarray) or not isinstance(targets, np.ndarray):
        return known
    rows = evenly(n, max(FEWEST_ROWS, int(share * n)))
    return x[rows], targets[rows], None if weight is None else np.asarray(weight)[rows]


@dataclass(frozen=True, eq=False)
class Again:
    """Makes the run that a monitor watched again, with the settings of the network and the recipe that a change has."""

    mlp: MLP
    known: tuple[Any, Any, Any]
    validation: tuple[Host, Host] | None
    recipe: Recipe
    backend: Backend
    input_scale: float | None
    initial: Any
    current: dict[str, Any]
    balanced: bool
    epoch_seconds: float

    @classmethod
    def of(cls, monitor: RunMonitor, balanced: bool) -> Again:
        """What makes a monitor's run again."""
        last = monitor.epochs[-1] if monitor.epochs else None
        return cls(
            monitor.mlp,
            monitor.known,
            monitor.given_validation,
            monitor.recipe,
            monitor.backend,
            monitor.input_scale,
            monitor.given_initial,
            monitor.settings.current(),
            balanced,
            0.0 if last is None else last.seconds / len(monitor.epochs),
        )

    def __call__(self, change: Mapping[str, Any], seed: int, limit: float) -> Ran:
        if self.validation is None:
            raise UsageError("there are no validation rows to judge a cure on: give validation=.")
        new = new_values(self.current, change)
        of_recipe = {f.name: new.pop(f.name) for f in fields(Recipe) if f.name in new}
        recipe = replace(self.recipe, **of_recipe, seed=seed_of(self.recipe.seed, seed))
        mlp = changed_network(self.mlp, new) if new else self.mlp
        initial = self.initial
        if "initializer" in of_recipe or mlp.sizes != self.mlp.sizes:
            initial = None
        job = Job(
            mlp,
            self.known,
            self.validation,
            recipe,
            self.backend,
            self.input_scale,
            initial,
            self.balanced,
        )
        return job.run(limit, self.epoch_seconds)


def changed_network(mlp: MLP, new: dict[str, Any]) -> MLP:
    """The network with other hidden layers, activations, output, loss or dropout; `UsageError` for what is none."""
    unknown = new.keys() - {"hidden_layer_sizes", "activation", "output", "loss", "dropout"}
    if unknown:
        raise UsageError(f"{', '.join(sorted(unknown))}: settings of a table, and this is none.")
    hidden = new.get("hidden_layer_sizes", tuple(mlp.sizes[1:-1]))
    same = len(hidden) == len(mlp.sizes) - 2
    activation = mlp.activation if same else (*mlp.activation, "relu")[0]
    dropout = mlp.dropout if same else float(np.max(mlp.dropout, initial=0.0))
    return MLP(
        (mlp.sizes[0], *hidden, mlp.sizes[-1]),
        new.get("activation", activation),
        new.get("output", mlp.output),
        new.get("loss", mlp.loss),
        new.get("dropout", dropout),
    )
