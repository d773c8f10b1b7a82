"""`Log`: what any of them is told; `log_to` makes one by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

from anyarray_mlp.checking.callers import warn_caller
from anyarray_mlp.checking.names import find_name
from anyarray_mlp.checking.options import with_known_options
from anyarray_mlp.checking.values import check_path, refuse
from anyarray_mlp.errors import BackendUnavailableError, in_a_line
from anyarray_mlp.training import Epoch


class Log:
    """A log of one run: a callback of `fit` and of the estimators (`on_epoch`), to be closed at the end of `with`.

    Each kind is a subclass, which overrides what it keeps. A log that fails on the way, as a server that goes away,
    warns and is silent from then on: training continues.
    """

    failed = False

    def __call__(self, epoch: Epoch) -> None:
        """Note an epoch's figures."""
        record = epoch.record()
        step = record.pop("epoch")
        figures = {name: value for name, value in record.items() if value is not None}
        self.attempt(lambda: self.figures(step, figures))

    def finish(
        self,
        scores: Mapping[str, float],
        model: str | os.PathLike[str] | None = None,
        diagnosis: str | None = None,
    ) -> None:
        """Note what came of the run: scores by name, the model's file, and the diagnosis as JSON."""
        self.attempt(lambda: self.results(scores, model, diagnosis))

    def attempt(self, action: Callable[[], object]) -> None:
        """Do what may fail."""
        if self.failed:
            return
        try:
            action()
        except Exception as error:
            self.failed = True
            kind = type(self).__name__
            warn_caller(f"{kind} has failed and notes no more: {in_a_line(error)}", UserWarning)

    def figures(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Note figures by name: losses, validation scores, the learning rate, seconds."""
        raise NotImplementedError

    def results(
        self,
        scores: Mapping[str, float],
        model: str | os.PathLike[str] | None = None,
        diagnosis: str | None = None,
    ) -> None:
        """What `finish` does."""

    def close(self, failed: bool = False) -> None:
        """End the log."""

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.attempt(lambda: self.close(failed=kind is not None))


#: Where the log of each kind is made.
KINDS = {
    "csv": ("csv_file", "CSVLog"),
    "tensorboard": ("tensorboard", "TensorBoardLog"),
    "mlflow": ("mlflow", "MLflowLog"),
    "wandb": ("wandb", "WandbLog"),
}


@with_known_options
def log_to(
    kind: str,
    folder: str | os.PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
) -> Log:
    """A log of a run.

    kind: "csv", "tensorboard", "mlflow" or "wandb"; the last two go where their own environment variables say
        (MLFLOW_TRACKING_URI, WANDB_MODE and the like).
    folder: where files go, and what the run is called: `curves.csv`, and `tensorboard/` for that.
    settings: by name, to be noted with the run.
    Raises `UsageError` for another kind, and `BackendUnavailableError` for a package that is missing.
    """
    found = find_name("kind", kind, KINDS)
    check_path("folder", folder)
    if settings is not None and not isinstance(settings, Mapping):
        refuse("settings", "a dict of values by name", settings)
    module, name = KINDS[found]
    make: Callable[..., Log] = getattr(import_module(f"anyarray_mlp.tracking.{module}"), name)
    try:
        return make(Path(folder), dict(settings or {}))
    except BackendUnavailableError:
        raise
    except Exception as error:  # a server that is not there, a login that is missing
        raise BackendUnavailableError(f"{found} cannot be logged to: {in_a_line(error)}") from error


def imported(module: str, install: str) -> Any:
    """A package; `BackendUnavailableError`, with the command that installs it, if it is missing."""
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise BackendUnavailableError(
            f"logging to {package} needs {package}, which is not installed: {install}"
        ) from None


def as_texts(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as texts; those that are None are left out."""
    return {name: str(value) for name, value in settings.items() if value is not None}
