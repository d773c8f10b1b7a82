"""Settings and checkpoints of a run, so that it can go on as if it had never stopped."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import click
import numpy as np

from anyarray_mlp.cli.flags import flag, kept_path, to_keep
from anyarray_mlp.cli.preparation import Part
from anyarray_mlp.errors import DataError, ModelFileError, StorageError, UsageError
from anyarray_mlp.model import MLP
from anyarray_mlp.persistence import Checkpoint, RunFolder
from anyarray_mlp.schedules import Schedule, restore_schedule, schedule_state
from anyarray_mlp.training import EarlyStopping, Epoch, TrainingState

SECONDS_BETWEEN_CHECKPOINTS = 30.0

#: Settings that say where to compute and what to print rather than what to compute.
CIRCUMSTANCES = ("device", "backend", "epochs", "out", "overwrite", "resume", "as_json", "quiet")


def configuration(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as `config.toml` keeps them; those that are None are left out."""
    skipped = ("out", "overwrite", "resume", "as_json", "quiet")
    return {
        name: to_keep(value)
        for name, value in settings.items()
        if name not in skipped and value is not None
    }


def explicit_flags(context: click.Context) -> set[str]:
    """The settings that the command line names."""
    return {
        name
        for name in context.params
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def resumed_settings(
    run: RunFolder, given: dict[str, Any], context: click.Context
) -> dict[str, Any]:
    """The settings of a run, with those that may differ taken from the command line where given."""
    try:
        kept = run.read_config()
    except StorageError as error:
        raise StorageError(
            f"{run.path} has no readable config.toml: it holds no run to resume."
        ) from error
    if "data" in kept:
        kept["data"] = kept_path(kept["data"])
    settings = dict(given)
    named = explicit_flags(context)
    for name in given:
        explicit = name in named
        if (
            explicit
            and name not in (*CIRCUMSTANCES, "data")
            and given[name] != _tupled(kept.get(name))
        ):
            raise UsageError(
                f"{flag(name)} cannot change when a run goes on: it was {kept.get(name)!r}. Leave it "
                "out, or start a new run with another --out."
            )
        if not explicit and name not in ("out", "overwrite", "resume", "as_json", "quiet"):
            settings[name] = _tupled(kept.get(name))
    return settings


class Checkpoints:
    """Saves the state of training now and then, and brings it back."""

    def __init__(
        self,
        run: RunFolder,
        training: Part,
        stopping: EarlyStopping | None,
        schedule: Schedule,
    ) -> None:
        self.run = run
        self.fingerprint = fingerprint(training)
        self.stopping = stopping
        self.schedule = schedule
        self.last: Checkpoint | None = None
        self.saved_at = time.monotonic()

    def __call__(self, epoch: Epoch) -> None:
        """Save when it is time; a run that was cut within an epoch goes on from the epoch before."""
        if not epoch.complete:
            return
        self.last = self.checkpoint(epoch.snapshot())
        if time.monotonic() - self.saved_at >= SECONDS_BETWEEN_CHECKPOINTS:
            self.save_last()

    def save_last(self) -> None:
        """Save the last complete epoch's state."""
        if self.last is not None:
            self.run.save_checkpoint(self.last)
            self.saved_at = time.monotonic()

    def checkpoint(self, state: TrainingState) -> Checkpoint:
        """The state of training, and what early stopping and schedule remember at the same epoch."""
        arrays = {"parameters": state.parameters}
        arrays |= {f"moments.{i}": moment for i, moment in enumerate(state.moments)}
        record: dict[str, Any] = {
            "step": state.step,
            "epoch": state.epoch,
            "order": state.order,
            "data": self.fingerprint,
            "schedule": schedule_state(self.schedule),
        }
        if self.stopping is not None:
            record["early_stopping"] = self.stopping.state()
            if self.stopping.best_parameters is not None:
                arrays["best_parameters"] = self.stopping.best_parameters
        return Checkpoint(state.epoch, arrays, record)

    def restore(self, mlp: MLP) -> TrainingState | None:
        """The state of the newest whole checkpoint, with early stopping and schedule as they were."""
        checkpoint = self.run.load_checkpoint()
        if checkpoint is None:
            self.run.rewind_metrics(0)
            return None
        state, arrays = checkpoint.state, checkpoint.arrays
        if state.get("data") != self.fingerprint:
            raise DataError(
                f"The data are not those that the run in {self.run.path} was trained on: give the same file, or "
                "start a new run with another --out."
            )
        n_moments = sum(name.startswith("moments.") for name in arrays)
        if arrays["parameters"].shape != (mlp.layout.size,):
            raise ModelFileError(
                f"The checkpoint in {self.run.path} is of another network: start a new run with another --out."
            )
        if self.stopping is not None and "early_stopping" in state:
            self.stopping.restore(state["early_stopping"], arrays.get("best_parameters"))
        restore_schedule(self.schedule, state["schedule"])
        self.run.rewind_metrics(state["epoch"])
        return TrainingState(
            arrays["parameters"],
            tuple(arrays[f"moments.{i}"] for i in range(n_moments)),
            state["step"],
            state["epoch"],
            state["order"],
        )


def fingerprint(training: Part) -> str:
    """A digest of the training rows as the network sees them."""
    digest = hashlib.sha256(np.ascontiguousarray(training.x))
    digest.update(repr(training.x.shape).encode())
    digest.update("\n".join(map(str, training.y.ravel().tolist())).encode())
    return digest.hexdigest()


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
