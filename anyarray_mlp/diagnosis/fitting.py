"""`fit` that can say why a run failed: that of `training`, watched by a `RunMonitor` if a diagnosis is asked for."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from anyarray_mlp import training
from anyarray_mlp.checking.options import options_of, refuse_unknown, with_known_options
from anyarray_mlp.checking.settings import names_of
from anyarray_mlp.checking.values import refuse
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.recipe import Recipe
from anyarray_mlp.training.records import Fit

if TYPE_CHECKING:
    from anyarray_mlp.diagnosis.details import Details


def fit(
    mlp: MLP,
    x: Any,
    targets: Any = None,
    recipe: Recipe | None = None,
    *,
    diagnose: bool | Details = False,
    **options: Any,
) -> Fit:
    """Train to the end on x (n, i) and targets, (n, k) or integer labels (n,), and return what came of it.

    x, targets : arrays of the backend or NumPy, SciPy's sparse matrices as x, DataFrames and Series of pandas and
        polars, or lists: of numbers; `train_table` takes texts too. Targets may be (n,) for a network of one output.
        Without targets, x gives batches (x, targets) or (x, targets, sample_weight), each one step: an iterable that
        can be read in each epoch (a list, a PyTorch DataLoader), or a function that makes one (a generator function).
        They come in their own order and sizes, so that `shuffle` does nothing and `batch_size` is refused.
    recipe : how to train; options that are settings of a `Recipe` take the place of its own:
        `fit(mlp, x, t, epochs=3)` is `fit(mlp, x, t, Recipe(epochs=3))`.
    diagnose : whether to look for what went wrong: the result's `diagnosis`, a `Diagnosis`, says it; if training ends
        with a `DivergedError`, that of the error does. `diagnosis.Details(column_names=...)` tells it more of the data.
    backend : a name, or what `select_backend` gives.
    validation, sample_weight, input_scale, initial, statistics : as those of `train`. If `initial` is a
        `TrainingState` to continue from, `epochs` more are run, a named schedule spans those done and those to come,
        and an `EarlyStopping` continues; otherwise it starts again.
    callbacks : one function that is told each `Epoch`, or several; one that returns True (or NumPy's True) ends
        training, no other answer does.

    Ctrl-C ends training after the steps already running, and what was learned is kept; a second one aborts.
    lbfgs has no use for the learning rates, `batch_size` and `shuffle`. Errors are those of `train`.
    """
    refuse_unknown("fit", options, [*OWN, "targets", *names_of(Recipe)])
    if diagnose is False:
        return training.fit(mlp, x, targets, recipe, **options)
    from anyarray_mlp.diagnosis.details import Details
    from anyarray_mlp.diagnosis.monitor import RunMonitor

    if diagnose is not True and not isinstance(diagnose, Details):
        refuse("diagnose", "True, False or diagnosis.Details(column_names=...)", diagnose)
    details = diagnose if isinstance(diagnose, Details) else None
    observe = partial(RunMonitor, details=details)
    return training.fit(mlp, x, targets, recipe, observe=observe, **options)


def with_options_of(mine: inspect.Signature, other: inspect.Signature) -> inspect.Signature:
    """A signature with the named options of another one, whose `observe` is what this one's `diagnose` is for."""
    theirs = [
        p for p in other.parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "observe"
    ]
    *parameters, rest = mine.parameters.values()
    return mine.replace(parameters=[*parameters, *theirs, rest])


fit.__signature__ = with_options_of(  # type: ignore[attr-defined]
    inspect.signature(fit), inspect.signature(training.fit)
)
fit = with_known_options(fit)
#: The options that `fit` takes itself, each with its default.
OWN = options_of(fit)
