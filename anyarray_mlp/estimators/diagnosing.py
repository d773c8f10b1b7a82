"""The diagnosis of a fit (`diagnose=True`), its cures by the names of the estimators' parameters, and divergence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anyarray_mlp.diagnosis.changes import in_python
from anyarray_mlp.errors import DivergedError
from anyarray_mlp.estimators.notices import warn
from anyarray_mlp.estimators.placement import to_host
from anyarray_mlp.training import Epoch, Fit, Recipe, TrainingState
from anyarray_mlp.typing import Host

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis import RunMonitor
    from anyarray_mlp.estimators.fitting import Run

NON_FINITE = (
    "Solver produced non-finite parameter weights. "
    "The input data may contain large values and need to be preprocessed."
)


class DiagnosedFitWarning(UserWarning):
    """A fit's diagnosis has found an error: `estimator.diagnosis_.report()` says all that was found."""


#: What the estimators call settings of `fit`, if it is something else.
PARAMETERS = {"epochs": "max_iter", "patience": "n_iter_no_change"}
#: What they call optimisers, each with the settings that go with it.
SOLVERS: dict[str, dict[str, Any]] = {
    "adam": {"solver": "adam"},
    "lbfgs": {"solver": "lbfgs"},
    "sgd": {"solver": "sgd", "momentum": 0.0},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd"},
}


@dataclass(frozen=True)
class InParameters:
    """Writes a change as parameters of an estimator, whose names are `known`; what it lacks, as `fit` has it."""

    known: frozenset[str]

    def __call__(self, change: Mapping[str, Any]) -> str:
        renamed: dict[str, Any] = {}
        for name, value in change.items():
            if name == "optimizer" and value in SOLVERS:
                renamed |= SOLVERS[value]
            else:
                renamed[PARAMETERS.get(name, name)] = value
        if self.known.issuperset(renamed):
            return in_python(renamed)
        return f"anyarray_mlp.fit(..., {in_python(change)})"


class Watch:
    """Watches a fit for its diagnosis, if `diagnose` asks for one; else does nothing."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.monitor: RunMonitor | None = None

    def begin(self, run: Run, recipe: Recipe, initial: TrainingState | Host) -> None:
        """Look at the state or parameters (p,) that a run begins with."""
        est, data, held_out = self.estimator, run.data, run.held_out
        vars(est).pop("diagnosis_", None)  # of the fit before
        if not est.diagnose:
            return
        from anyarray_mlp.diagnosis import Details, RunMonitor

        validation: Any = None
        if held_out is not None:
            validation = to_host(held_out.x), held_out.rows.targets
        self.monitor = RunMonitor(
            run.network,
            to_host(data.x),
            data.targets,
            replace(recipe, learning_rate_init=est.learning_rate_init),
            backend=run.backend,
            validation=validation,
            sample_weight=data.weight,
            initial=initial,
            details=Details(
                column_names=tuple(map(str, getattr(est, "feature_names_in_", ()))),
                class_names=tuple(getattr(est, "classes_", ())),
            ),
        )

    def epoch(self, epoch: Epoch) -> None:
        """Note an epoch."""
        if self.monitor is not None:
            self.monitor(epoch)

    def end(self, result: Fit | DivergedError) -> bool:
        """Set the diagnosis of how it ended; whether an error was found, of which it has warned."""
        if self.monitor is None:
            return False
        found = self.monitor.finish(result)
        self.monitor = None
        write = InParameters(frozenset(self.estimator.get_params(deep=False)))
        self.estimator.diagnosis_ = found = replace(found, write=write)
        if isinstance(result, DivergedError):
            result.diagnosis = found
            return False
        first = found.first
        if first is None or first.severity != "error":
            return False
        warn(
            f"{first.told(write)} All that was found: estimator.diagnosis_.report().",
            DiagnosedFitWarning,
            __name__,
        )
        return True


def non_finite(error: DivergedError) -> DivergedError:
    """A run's divergence in scikit-learn's words, with what is known of it."""
    told = DivergedError(f"{NON_FINITE} {error}", error.parameters)
    told.diagnosis = error.diagnosis
    return told
