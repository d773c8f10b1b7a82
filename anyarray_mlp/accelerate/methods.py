"""The methods of scikit-learn's MLPs that are replaced, and when their own are used all the same."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.neural_network import BernoulliRBM, MLPClassifier, MLPRegressor
from sklearn.neural_network import _multilayer_perceptron as theirs

from anyarray_mlp.accelerate import workers
from anyarray_mlp.accelerate.exchange import ours_of, predictor_of, take_fitted
from anyarray_mlp.backends import select_backend
from anyarray_mlp.errors import UsageError, in_a_line
from anyarray_mlp.estimators.constraints import CONSTRAINTS
from anyarray_mlp.estimators.notices import INSTEAD

BASE = theirs.BaseMultilayerPerceptron


@dataclass(frozen=True)
class Installed:
    """Where to compute, and scikit-learn's own methods by class and name."""

    placement: dict[str, str | None]
    own: dict[tuple[type, str], Any]


#: What is installed in this process: nothing, or one.
INSTALLED: list[Installed] = []
#: What has been said on stderr: each thing once.
SAID: set[str] = set()


def replace_methods(device: str | None, backend: str | None, dtype: str | None) -> None:
    """Replace the methods, or change where they compute; errors as `install` says."""
    placement = {"device": device, "backend": backend, "dtype": dtype}
    for name, value in placement.items():
        if not CONSTRAINTS[name].holds(value):
            raise UsageError(
                f"{name} must be {CONSTRAINTS[name].allowed}, got {value!r}."
                f"{CONSTRAINTS[name].hint(value)}"
            )
    select_backend(backend, device or ("cuda" if backend == "cupy" else "cpu"), dtype or "float64")
    replacements: dict[tuple[type, str], Callable[..., Any]] = {
        (BASE, "_fit"): fit,
        (BASE, "_forward_pass_fast"): outputs,
        (BernoulliRBM, "fit"): fit_other,
    }
    own = INSTALLED[0].own if INSTALLED else {key: getattr(*key) for key in replacements}
    INSTALLED[:] = [Installed(placement, own)]
    for (kind, name), function in replacements.items():
        setattr(kind, name, functools.wraps(own[kind, name])(function))
    workers.register((MLPClassifier, MLPRegressor), placement)


def restore_methods() -> None:
    """Undo `replace_methods`."""
    for installed in INSTALLED:
        for (kind, name), method in installed.own.items():
            setattr(kind, name, method)
        workers.unregister((MLPClassifier, MLPRegressor))
    INSTALLED.clear()
    SAID.clear()


def fit(self: Any, X: Any, y: Any, sample_weight: Any = None, incremental: bool = False) -> Any:
    """Train with this package; with scikit-learn's own method if that cannot be."""
    installed = INSTALLED[0]
    by_theirs = functools.partial(
        installed.own[BASE, "_fit"], self, X, y, sample_weight, incremental
    )
    if not isinstance(self, (MLPClassifier, MLPRegressor)):
        return by_theirs()
    reason = own_needed(self, incremental)
    if reason:
        say(self, reason)
        return by_theirs()
    drawn_from = generator(self.random_state)
    before = drawn_from.get_state()
    ours = ours_of(self, installed.placement, incremental)
    try:
        with config_context(array_api_dispatch=False):
            train(ours, X, y, sample_weight, incremental)
    except Warning:  # that a filter has turned into an error, once all is fitted
        take_fitted(self, ours)
        raise
    except Exception as error:
        # The script's own mistake, of which scikit-learn's words tell; or what this package alone refuses.
        drawn_from.set_state(before)
        result = by_theirs()
        say(self, in_a_line(error))
        return result
    take_fitted(self, ours)
    return self


def train(ours: Any, X: Any, y: Any, sample_weight: Any, incremental: bool) -> None:
    """`fit` or `partial_fit` of an estimator of this package."""
    method = ours.partial_fit if incremental else ours.fit
    method(X, y, sample_weight)


def outputs(self: Any, X: Any, check_input: bool = True) -> Any:
    """Outputs (n, k) of X (n, i), by this package."""
    installed = INSTALLED[0]
    by_theirs = functools.partial(installed.own[BASE, "_forward_pass_fast"], self, X, check_input)
    if not isinstance(self, (MLPClassifier, MLPRegressor)):
        return by_theirs()
    try:
        with config_context(array_api_dispatch=False):
            return predictor_of(self, installed.placement)._forward_pass_fast(X)
    except Exception as error:
        result = by_theirs()
        say(self, in_a_line(error))
        return result


def fit_other(self: Any, X: Any, y: Any = None) -> Any:
    """scikit-learn's own `fit`, and a word that it is that."""
    say(self, "only MLPClassifier and MLPRegressor are accelerated")
    return INSTALLED[0].own[BernoulliRBM, "fit"](self, X, y)


def own_needed(estimator: Any, incremental: bool) -> str:
    """Why scikit-learn's own method must train an estimator; empty if it need not."""
    home = MLPClassifier if isinstance(estimator, MLPClassifier) else MLPRegressor
    for name in (*INSTEAD, "_forward_pass_fast"):
        if getattr(type(estimator), name, None) is not getattr(home, name, None):
            return f"it overrides {name}"
    continues = hasattr(estimator, "coefs_") and (incremental or estimator.warm_start)
    if continues and estimator.early_stopping and estimator.solver != "lbfgs":
        return "it continues with early stopping"
    if incremental and estimator.early_stopping:
        return "partial_fit with early stopping"
    return ""


def generator(random_state: Any) -> np.random.RandomState:
    """The generator that a fit draws from: its state is what a second try starts with."""
    if isinstance(random_state, np.random.RandomState):
        return random_state
    return np.random.mtrand._rand


def say(estimator: Any, reason: str) -> None:
    """Say once on stderr that an estimator runs with scikit-learn's own methods, and why."""
    text = f"anyarray_mlp.accelerate: {type(estimator).__name__} runs with scikit-learn's own code: {reason}"
    if text not in SAID:
        SAID.add(text)
        print(text, file=sys.stderr)
