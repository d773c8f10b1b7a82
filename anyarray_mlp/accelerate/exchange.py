"""scikit-learn's estimators as ones of this package, and what these have learned back.

The state between calls is scikit-learn's alone, its optimiser included: so copies, pickles and files are its own, and
every one of its methods can continue from here.
"""

from __future__ import annotations

import inspect
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sklearn import neural_network as theirs
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.utils import check_random_state

from anyarray_mlp.estimators import MLPClassifier, MLPRegressor
from anyarray_mlp.estimators.placement import host_vector
from anyarray_mlp.estimators.progress import EpochOrder, Progress
from anyarray_mlp.network.layout import Layout
from anyarray_mlp.typing import Host

#: Fitted attributes that scikit-learn's estimators lack.
OURS_ONLY = {"converged_", "validation_loss_curve_"}
#: Those of the solvers that take steps.
OF_STEPS = {"loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"}
#: What predictions depend on.
OF_PREDICTIONS = ("coefs_", "intercepts_", "out_activation_", "n_features_in_", "feature_names_in_")
COUNT = "_no_improvement_count"

#: An estimator of this package for each of scikit-learn's that has predicted: it keeps the compiled forward pass.
PREDICTORS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def made_like(estimator: Any, placement: dict[str, str | None]) -> Any:
    """An estimator of this package with the parameters of one of scikit-learn's."""
    own: Any
    kind: Any
    own, kind = theirs.MLPRegressor, MLPRegressor
    if isinstance(estimator, theirs.MLPClassifier):
        own, kind = theirs.MLPClassifier, MLPClassifier
    names = inspect.signature(own).parameters
    return kind(**{name: getattr(estimator, name) for name in names}, **placement)


def ours_of(estimator: Any, placement: dict[str, str | None], incremental: bool) -> Any:
    """An estimator of this package that starts where one of scikit-learn's is."""
    ours = made_like(estimator, placement)
    if not (incremental or estimator.warm_start):
        return ours
    state = vars(estimator)
    fitted = {name: state[name] for name in state if name.endswith("_") or name == COUNT}
    vars(ours).update(fitted)
    for name in ("loss_curve_", "validation_scores_"):  # else they would be lengthened in both
        if fitted.get(name) is not None:
            setattr(ours, name, list(fitted[name]))
    if "_label_binarizer" in state and "classes_" in state:
        ours._label_binarizer = state["_label_binarizer"]
    if incremental and "_optimizer" in state:
        continue_with(ours, state["_optimizer"])
    return ours


def continue_with(ours: Any, optimizer: Any) -> None:
    """Let an estimator's next steps be those of scikit-learn's optimiser, whose settings it keeps."""
    of_optimizer = {
        "learning_rate_init": optimizer.learning_rate_init,
        **{
            name: getattr(optimizer, name)
            for name in ("beta_1", "beta_2", "epsilon", "momentum", "power_t")
            if hasattr(optimizer, name)
        },
    }
    vars(ours).update(of_optimizer)
    random_state = check_random_state(ours.random_state)
    progress = Progress(random_state, EpochOrder(random_state))
    if isinstance(optimizer, AdamOptimizer):
        progress.solver, progress.step = "adam", optimizer.t
        progress.moments = (host_vector(optimizer.ms), host_vector(optimizer.vs))
    else:
        ours.learning_rate, ours.nesterovs_momentum = optimizer.lr_schedule, optimizer.nesterov
        progress.solver = "nesterov" if optimizer.nesterov else "momentum"
        progress.moments = (host_vector(optimizer.velocities),)
        progress.rate, progress.rate_init = optimizer.learning_rate, optimizer.learning_rate_init
    ours._progress = progress


def take_fitted(estimator: Any, ours: Any) -> None:
    """Give scikit-learn's estimator what one of this package has learned, as its own `fit` leaves it."""
    state = {name: value for name, value in vars(ours).items() if name.endswith("_")}
    state = {name: value for name, value in state.items() if name not in OURS_ONLY}
    if ours.solver == "lbfgs":
        state = {name: value for name, value in state.items() if name not in OF_STEPS}
        for name in ("coefs_", "intercepts_"):
            state[name] = [part.astype(np.float64) for part in state[name]]
        state |= places_in_vector(ours._network.layout)
    else:
        state[COUNT] = getattr(ours, COUNT)
        state["_optimizer"] = optimizer_after(ours)
    if isinstance(ours, MLPClassifier):
        state["_label_binarizer"] = ours._label_binarizer
    state["_random_state"] = ours._progress.random_state
    for kept, name in (("_best_coefs", "coefs_"), ("_best_intercepts", "intercepts_")):
        state[kept] = [part.copy() for part in state[name]]
    vars(estimator).update(state)


def places_in_vector(layout: Layout) -> dict[str, Any]:
    """Where scikit-learn's lbfgs has weights and intercepts in its vector of all parameters."""
    n = layout.n_layers
    coefs = zip(layout.bounds[:n], layout.shapes[:n], strict=True)
    return {
        "_coef_indptr": [(*bounds, shape) for bounds, shape in coefs],
        "_intercept_indptr": list(layout.bounds[n:]),
    }


def optimizer_after(ours: Any) -> Any:
    """scikit-learn's optimiser as it would be after the steps that an estimator has taken."""
    parts = [*ours.coefs_, *ours.intercepts_]
    progress: Progress = ours._progress
    moments = [as_parts(ours._network.layout, each, parts) for each in progress.moments]
    if ours.solver == "adam":
        adam = AdamOptimizer(parts, ours.learning_rate_init, ours.beta_1, ours.beta_2, ours.epsilon)
        if moments:
            adam.t, (adam.ms, adam.vs) = progress.step, moments
            correction = np.sqrt(1 - adam.beta_2**adam.t) / (1 - adam.beta_1**adam.t)
            adam.learning_rate = adam.learning_rate_init * correction
        return adam
    settings = (ours.learning_rate, ours.momentum, ours.nesterovs_momentum, ours.power_t)
    sgd = SGDOptimizer(parts, ours.learning_rate_init, *settings)
    sgd.learning_rate = progress.rate
    if moments:
        (sgd.velocities,) = moments
    return sgd


def as_parts(layout: Layout, vector: Host, parts: list[Host]) -> list[Host]:
    """A flat vector (p,) in the shapes and the dtype of weights and intercepts."""
    return [each.astype(part.dtype) for each, part in zip(layout.split(vector), parts, strict=True)]


def predictor_of(estimator: Any, placement: dict[str, str | None]) -> Any:
    """An estimator of this package that predicts as one of scikit-learn's is now."""
    ours = PREDICTORS.get(estimator)
    if ours is None:
        ours = PREDICTORS[estimator] = made_like(estimator, placement)
    state = vars(estimator)
    present = {name: state[name] for name in OF_PREDICTIONS if name in state}
    vars(ours).update(present, activation=estimator.activation, **placement)
    return ours
