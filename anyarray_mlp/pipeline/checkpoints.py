"""`Checkpoints`: the state of a run, saved now and then, so that it can go on as if it had never stopped."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from anyarray_mlp.data import Shuffler
from anyarray_mlp.errors import DataError, ModelFileError, StorageError
from anyarray_mlp.network.schedules import restore_schedule, schedule_state
from anyarray_mlp.persistence import Checkpoint, RunFolder
from anyarray_mlp.persistence.checkpoint import checkpoint_path
from anyarray_mlp.persistence.files import exists, remove
from anyarray_mlp.pipeline.environment import environment, that_matter, versions
from anyarray_mlp.pipeline.kept import changes, deciding, in_words
from anyarray_mlp.pipeline.plan import Own, Plan
from anyarray_mlp.pipeline.preparation import Part
from anyarray_mlp.training import Epoch, TrainingState
from anyarray_mlp.training.early_stopping import BestKept
from anyarray_mlp.typing import Host

SECONDS_BETWEEN_CHECKPOINTS = 30.0

#: Why a run ended for good; None if it continues.
ENDINGS = (None, "finished", "early", "converged", "stalled", "diverged")

#: Says a line of what happens on the way.
Tell = Callable[[str], object]


class Checkpoints:
    """Saves the state of training now and then, and brings it back.

    `configuration` holds the settings of the run as `config.toml` keeps them. `tell` is called with warnings.
    `last` is the state after the last complete epoch: None for a run that has none.
    """

    def __init__(
        self, run: RunFolder, plan: Plan, configuration: dict[str, Any], tell: Tell
    ) -> None:
        self.run = run
        self.plan = plan
        self.tell = tell
        self.identity: dict[str, Any] = {
            "versions": versions(),
            "environment": environment(plan.backend, plan.model.metadata),
            "settings": deciding(configuration),
            "data": fingerprint(plan.prepared.training),
        }
        self.last: Checkpoint | None = None
        self.saved_at = time.monotonic()

    @property
    def epochs(self) -> int:
        """The number of complete epochs."""
        return 0 if self.last is None else self.last.step

    def __call__(self, epoch: Epoch) -> None:
        """Save when it is time; a run that was cut within an epoch is resumed from the epoch before."""
        if not epoch.complete:
            return
        found = epoch.snapshot()
        self.last = self.checkpoint(found if isinstance(found, tuple) else [found])
        if time.monotonic() - self.saved_at >= SECONDS_BETWEEN_CHECKPOINTS:
            self.save_last()

    def save_last(self, stopped: str | None = None) -> None:
        """Save the last complete epoch's state; `stopped` says why the run ended for good."""
        if self.last is not None:
            state = self.last.state | {"stopped": stopped}
            self.run.save_checkpoint(replace(self.last, state=state))
            self.saved_at = time.monotonic()

    def checkpoint(self, states: Sequence[TrainingState]) -> Checkpoint:
        """The state of each network, and what its early stopping and schedule remember at the same epoch."""
        networks = self.plan.networks
        each = [arrays_of(state, own.stopping) for state, own in zip(states, networks, strict=True)]
        arrays = each[0]
        if self.plan.is_bag:
            # A network may have a best epoch before another has: its own parameters then hold the place.
            arrays = {
                name: np.stack([one.get(name, one["parameters"]) for one in each])
                for name in dict.fromkeys(name for one in each for name in one)
            }
        records = [
            {
                "step": state.step,
                "order": state.order,
                "schedule": schedule_state(own.schedule),
                "early_stopping": None if own.stopping is None else own.stopping.state(),
            }
            for state, own in zip(states, networks, strict=True)
        ]
        progress = {"networks": records} if self.plan.is_bag else records[0]
        epoch = states[0].epoch
        record = self.identity | progress | {"epoch": epoch, "stopped": None}
        return Checkpoint(epoch, arrays, record)

    def restore(self) -> list[TrainingState] | None:
        """The state of each network at the newest whole checkpoint, with early stopping and schedule as they were."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self.last = self.run.load_checkpoint()
            finally:
                for warning in caught:
                    self.tell(f"warning: {warning.message}")
        if self.last is None:
            if exists(self.run.model_path):
                if not self.cut_in_first_epoch():
                    raise StorageError(
                        f"{self.run.path} has a model and no checkpoint, without which a run cannot go on: start a new "
                        "run with another --out, or give --overwrite instead of --resume"
                    )
                # It would outlive the next attempt if that is cut as early.
                remove(self.run.model_path)
            self.tell("the run has no checkpoint: it starts from its beginning")
            return None
        state, arrays = self.last.state, self.last.arrays
        source = str(checkpoint_path(self.run.home, self.last.step))
        self.check_identity(state, source)
        check_state(self.last, source, self.plan)
        records = state["networks"] if self.plan.is_bag else [state]
        n_moments = sum(name.startswith("moments.") for name in arrays)
        states = []
        for place, (own, record) in enumerate(zip(self.plan.networks, records, strict=True)):
            its = {
                name: array[place] if self.plan.is_bag else array for name, array in arrays.items()
            }
            if own.stopping is not None:
                found = record["early_stopping"]
                best = None if found["best"] is None else its["best_parameters"]
                own.stopping.restore(found, best)
            restore_schedule(own.schedule, record["schedule"])
            moments = tuple(its[f"moments.{i}"] for i in range(n_moments))
            states.append(
                TrainingState(
                    its["parameters"], moments, record["step"], state["epoch"], record["order"]
                )
            )
        return states

    def cut_in_first_epoch(self) -> bool:
        """Whether the run left metrics, but of no complete epoch: its model is that of an interruption."""
        if not exists(self.run.metrics_path):
            return False
        return all(record.get("epoch") == 0 for record in self.run.read_metrics())

    def check_identity(self, state: dict[str, Any], source: str) -> None:
        """Refuse the checkpoint of another run, and warn of what its bits may differ by."""
        if "versions" not in state:
            raise ModelFileError(
                f"{source} was written by another version of anyarray-mlp, which did not keep what a run needs to go "
                "on: start a new run with another --out"
            )
        for name, mine in self.identity.items():
            if type(state.get(name)) is not type(mine):
                raise unusable(source, f"its state holds no {name!r}")
        if difference := changes(state["versions"], self.identity["versions"]):
            raise ModelFileError(
                f"{source} was written by another version of anyarray-mlp, of which a run would go on as another one "
                f"({difference}): use that version, or start a new run with another --out"
            )
        if difference := changes(state["settings"], self.identity["settings"]):
            raise DataError(
                f"{self.run.config_path} is not what the run was started with: {difference}. Put it back, or start a "
                "new run with another --out."
            )
        if state["data"] != self.identity["data"]:
            raise DataError(
                f"The data are not those that the run in {self.run.path} was trained on: give the same file, or "
                "start a new run with another --out."
            )
        kept, mine = (
            that_matter(found, self.plan.backend)
            for found in (state["environment"], self.identity["environment"])
        )
        if difference := changes(kept, mine):
            self.tell(f"warning: {difference}: bits may differ from a run in one go")

    def ending(self, epochs: int) -> str | None:
        """Why there is nothing left to do for a run that is asked for so many epochs; None if there is something."""
        if self.last is None:
            return None
        stopped: str | None = self.last.state["stopped"]
        if stopped not in (None, "finished"):
            return stopped
        if self.plan.stopping is not None and self.plan.stopping.is_over:
            return "early"
        return "finished" if self.epochs >= epochs else None

    def rewind_metrics(self) -> None:
        """Drop the metrics of the epochs after the checkpoint, which come again."""
        told = self.run.rewind_metrics(self.epochs)
        if told < self.epochs:
            self.tell(
                f"warning: {self.run.metrics_path} lacks the epochs from {told + 1} to {self.epochs}: the run goes on "
                "without them"
            )


def unusable(source: str, what: str) -> ModelFileError:
    """The error for a checkpoint that cannot be resumed."""
    return ModelFileError(
        f"{source} cannot be resumed from: {what}; use the checkpoint before it, or start a new run with another --out"
    )


#: What a checkpoint says of each network.
OF_NETWORK = {"step", "order", "schedule", "early_stopping"}


def check_state(checkpoint: Checkpoint, source: str, plan: Plan) -> None:
    """Raise ModelFileError, naming the file, for a state that this run cannot have been in."""
    state, epoch = checkpoint.state, checkpoint.step
    recipe = plan.settings.recipe
    require = Requirement(source)

    known = {"versions", "environment", "settings", "data", "epoch", "stopped"}
    known |= {"networks"} if plan.is_bag else OF_NETWORK
    require(state.keys() == known, f"its state has other keys ({names(state.keys() ^ known)})")
    require(is_integer(state["epoch"], epoch, epoch) and epoch > 0, f"it is not of epoch {epoch}")
    records = state["networks"] if plan.is_bag else [state]
    count = len(plan.networks)
    require(
        isinstance(records, list) and len(records) == count, f"it has no state of {count} networks"
    )
    for own, record in zip(plan.networks, records, strict=True):
        if plan.is_bag:
            fits = isinstance(record, dict) and record.keys() == OF_NETWORK
            require(fits, "the state of a network has other keys")
        check_network_state(record, epoch, own, plan, require)
    require(state["stopped"] in ENDINGS, "its reason to end is unknown")
    expected = {"parameters"}
    if not recipe.by_lbfgs:
        expected |= {f"moments.{i}" for i in range(recipe.step_optimizer().n_moments)}
    kept = (record["early_stopping"] for record in records)
    if any(found and found["best"] is not None for found in kept):
        expected.add("best_parameters")
    arrays = checkpoint.arrays
    require(arrays.keys() == expected, f"it has other arrays ({names(arrays.keys() ^ expected)})")
    shape = np.shape(plan.model.parameters)
    for name, array in arrays.items():
        require(
            array.shape == shape,
            f"{name} is {array.shape} and the network has {shape[-1]} parameters"
            + (f", {count} times" if plan.is_bag else ""),
        )
        require(array.dtype in (np.float32, np.float64), f"{name} is {array.dtype}")
        require(bool(np.all(np.isfinite(array))), f"{name} is not finite")


@dataclass(frozen=True)
class Requirement:
    """Raises the error for a checkpoint, by the path `source`, that is not what it must be."""

    source: str

    def __call__(self, condition: bool, what: str) -> None:
        if not condition:
            raise unusable(self.source, what)


def check_network_state(
    record: dict[str, Any], epoch: int, own: Own, plan: Plan, require: Requirement
) -> None:
    """Raise ModelFileError for a state after an epoch that a network of this run cannot have been in."""
    recipe = plan.settings.recipe
    assert recipe.batch_size is not None
    n = len(plan.prepared.training) - (0 if own.held_out is None else len(own.held_out))
    steps = 1 if recipe.by_lbfgs else -(-n // min(recipe.batch_size, n))
    require(
        is_integer(record["step"], steps * epoch, steps * epoch),
        f"epoch {epoch} ends with step {steps * epoch}, and its step is {in_words(record['step'])}",
    )
    if recipe.by_lbfgs:
        require(record["order"] == {}, "lbfgs has no order of rows")
    else:
        try:
            Shuffler(0).restore(record["order"])
        except ModelFileError as error:
            require(False, str(error)[:200])
    for what, kept, mine in (
        ("schedule", record["schedule"], schedule_state(own.schedule)),
        ("early stopping", record["early_stopping"], own.stopping and own.stopping.state()),
    ):
        require(is_like(kept, mine, epoch), f"its state of {what} cannot be")
    if "rate" in record["schedule"]:
        rate = record["schedule"]["rate"]
        require(0 < rate <= recipe.learning_rate_init, "its learning rate cannot be")


def arrays_of(state: TrainingState, stopping: BestKept | None) -> dict[str, Host]:
    """What a checkpoint keeps of a network as arrays (p,): `best_parameters` only once there is a best epoch."""
    arrays = {"parameters": state.parameters}
    arrays |= {f"moments.{i}": moment for i, moment in enumerate(state.moments)}
    if stopping is not None and stopping.best_parameters is not None:
        arrays["best_parameters"] = stopping.best_parameters
    return arrays


def names(found: set[str]) -> str:
    """Some names of a file that anybody may have written."""
    return ", ".join(in_words(name) for name in sorted(found)[:4])


def is_integer(value: Any, low: int, high: int) -> bool:
    """Whether a value is an int, and no bool, within bounds."""
    return type(value) is int and low <= value <= high


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return (type(value) is float and math.isfinite(value)) or is_integer(value, -(2**53), 2**53)


def is_like(kept: Any, mine: Any, epoch: int) -> bool:
    """Whether what a schedule or early stopping keeps can be of this run: the same keys, finite numbers, counts of
    epochs; what is None before the first epoch may be a number."""
    if not isinstance(mine, dict):
        return kept is None
    if not isinstance(kept, dict) or kept.keys() != mine.keys():
        return False
    return all(
        is_integer(kept[name], 0, epoch)
        if type(value) is int
        else is_number(kept[name]) or kept[name] is value is None
        for name, value in mine.items()
    )


def fingerprint(training: Part) -> str:
    """A digest of the training rows as the network sees them."""
    digest = hashlib.sha256(np.ascontiguousarray(training.x).data)
    digest.update(repr(training.x.shape).encode())
    digest.update("\n".join(map(str, training.y.ravel().tolist())).encode())
    return digest.hexdigest()
