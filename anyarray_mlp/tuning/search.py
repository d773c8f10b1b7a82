"""The search: candidates drawn by Optuna, those that lag behind given up, all of them kept in a file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyarray_mlp.errors import BackendUnavailableError, DivergedError, UsageError
from anyarray_mlp.streams import bit_generator
from anyarray_mlp.tuning.candidates import Judge, StoppedError
from anyarray_mlp.tuning.space import FIXED, SECOND, Draw, sizes

#: The candidate that changes nothing, by this name among its attributes.
DEFAULT = "default"


def library() -> Any:
    """The package `optuna`; `BackendUnavailableError` with the remedy if there is none."""
    try:
        import optuna
    except ImportError:
        raise BackendUnavailableError(
            "tune searches by optuna, which is not installed: pip install 'anyarray-mlp[tune]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@dataclass(frozen=True)
class Tried:
    """One candidate: its change of the settings, and its validation loss; None if it was given up."""

    number: int
    change: dict[str, Any]
    value: float | None


@dataclass(frozen=True)
class Found:
    """What a search came to: the settings as they are, and the best candidate that changes them, if any."""

    default: Tried
    best: Tried | None
    tried: int
    given_up: int

    @property
    def chosen(self) -> dict[str, Any]:
        """The change that the search ends with: none unless it has beaten the settings as they are."""
        return self.best.change if self.best is not None and self.beaten else {}

    @property
    def beaten(self) -> bool:
        """Whether the best candidate is better than the settings as they are."""
        before = math.inf if self.default.value is None else self.default.value
        return self.best is not None and (self.best.value or 0.0) < before


class Search:
    """A search that is kept in a file, and continues from it.

    judge : what candidates come to.
    draws : what is drawn of each candidate, by the field of the settings.
    fixed : what every candidate has besides.
    """

    def __init__(
        self, judge: Judge, draws: Mapping[str, Draw], fixed: Mapping[str, Any], path: Path
    ) -> None:
        self.optuna = library()
        self.judge = judge
        self.draws = draws
        self.fixed = {name: value for name, value in FIXED.items() if name in fixed}
        journal = self.optuna.storages.journal
        storage = self.optuna.storages.JournalStorage(journal.JournalFileBackend(str(path)))
        seed = bit_generator("search", judge.base.recipe.seed).random_raw() >> 32
        self.study = self.optuna.create_study(
            storage=storage,
            study_name="tune",
            load_if_exists=True,
            sampler=self.optuna.samplers.TPESampler(seed=int(seed), n_startup_trials=8),
            pruner=self.optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=8),
        )

    def check_same(self, settings: dict[str, Any], differences: Callable[..., str]) -> None:
        """Remember the settings of a new search; `UsageError` if this one was begun with others."""
        kept = self.study.user_attrs.get("settings")
        if kept is None:
            self.study.set_user_attr("settings", settings)
        elif kept != settings:
            raise UsageError(
                f"A search cannot continue with other settings ({differences(kept, settings)}): give those of "
                "before, or another --out."
            )

    def run(
        self,
        seconds: float | None,
        most: int | None,
        told: Callable[[Tried], object],
    ) -> Found:
        """Try candidates for so many seconds, or until so many have been tried, and say what was found.

        The settings as they are come first, and always to their end.
        """
        states = self.optuna.trial.TrialState
        for trial in self.study.get_trials(
            states=(states.RUNNING,)
        ):  # of a search that was cut off
            self.study.tell(trial.number, state=states.FAIL)
        began = time.monotonic()
        done = self.count
        if not any(DEFAULT in trial.user_attrs for trial in self.finished()):
            self.attempt(self.study.ask(), {}, math.inf, told, is_default=True)
            if most is None or done() < most:
                self.study.enqueue_trial(self.second(), skip_if_exists=True)
        deadline = math.inf if seconds is None else began + seconds
        while time.monotonic() < deadline and (most is None or done() < most):
            trial = self.study.ask()
            change = {**self.fixed, **{name: draw(trial) for name, draw in self.draws.items()}}
            self.attempt(trial, change, deadline, told)
        return self.found()

    def attempt(
        self,
        trial: Any,
        change: dict[str, Any],
        deadline: float,
        told: Callable[[Tried], object],
        is_default: bool = False,
    ) -> None:
        """Try a candidate and tell what it came to."""
        trial.set_user_attr("change", change)
        if is_default:
            trial.set_user_attr(DEFAULT, True)

        def lags(epoch: int, loss: float) -> bool:
            trial.report(loss, epoch)
            if is_default:
                return False
            return trial.should_prune() or time.monotonic() > deadline

        states = self.optuna.trial.TrialState
        try:
            value, _ = self.judge.value(change, lags)
        except (StoppedError, DivergedError):
            self.study.tell(trial, state=states.PRUNED)
            told(Tried(trial.number, change, None))
        else:
            self.study.tell(trial, value)
            told(Tried(trial.number, change, value))

    def second(self) -> dict[str, Any]:
        """What the tabular preset would be drawn as."""
        drawn = {name for name in self.draws if name != "hidden_layer_sizes"}
        if "hidden_layer_sizes" in self.draws:
            drawn |= {"layers", "width"}
        found = {name: value for name, value in SECOND.items() if name in drawn}
        if "batch_size" in drawn:
            rows = self.judge.rows()
            found["batch_size"] = max(size for size in sizes(rows) if size <= max(16, rows // 16))
        return found

    def finished(self) -> list[Any]:
        """The trials that came to an end."""
        states = self.optuna.trial.TrialState
        found: list[Any] = self.study.get_trials(states=(states.COMPLETE, states.PRUNED))
        return found

    def count(self) -> int:
        """How many candidates have been tried."""
        return len(self.finished())

    def found(self) -> Found:
        """What has been found so far."""
        trials = self.finished()
        complete = [tried_of(trial) for trial in trials if trial.state.name == "COMPLETE"]
        (default,) = (tried_of(trial) for trial in trials if DEFAULT in trial.user_attrs)
        others = [tried for tried in complete if tried.number != default.number]
        best = min(others, key=lambda tried: tried.value or 0.0, default=None)
        return Found(default, best, len(trials), len(trials) - len(complete))


def tried_of(trial: Any) -> Tried:
    """A candidate as it was kept: JSON has lists for tuples."""
    change = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in trial.user_attrs["change"].items()
    }
    value = trial.value if trial.state.name == "COMPLETE" else None
    return Tried(trial.number, change, value)
