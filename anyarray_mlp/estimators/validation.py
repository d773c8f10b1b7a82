"""A held-out set: the network's outputs on it after each epoch, and their score."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.estimators.placement import moved
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training.predicting import ForwardPass, LabelledRows
from anyarray_mlp.typing import Host, Leaves


class HeldOut:
    """Validation rows: x (n, i), targets in the form of the loss, y as the user gave it, weights (n,) or None."""

    def __init__(
        self, network: MLP, backend: Backend, x: Any, targets: Host, y: Any, weight: Host | None
    ) -> None:
        self.x = x
        self.y = y
        self.weight = weight
        if weight is not None and math.fsum(weight) == 0:
            raise DataError(
                "The sample weights of the validation rows sum to zero, so nothing can be measured on them: "
                "use another random_state or a larger validation_fraction, or pass X_val with weights of its own."
            )
        # Not shared with other fits: it may hold on to the parameters that it was last given.
        self.rows = LabelledRows(ForwardPass(network, backend, move=moved), x, targets)

    def measure(self, leaves: Leaves) -> tuple[Host, float]:
        """Outputs (n, k) and the mean loss of leaves on the backend's device, in one forward pass."""
        outputs, losses = self.rows.measure(leaves)
        return outputs, float(np.average(losses.astype(np.float64), weights=self.weight))


def scorer_of(scoring: Any, estimator: Any) -> Callable[..., float]:
    """The scorer of a name (`sklearn.metrics.get_scorer_names`) or a callable (estimator, X, y) -> float."""
    if callable(scoring):
        chosen: Callable[..., float] = scoring
        return chosen
    from sklearn.metrics import get_scorer, get_scorer_names

    if scoring not in get_scorer_names():
        raise UsageError(
            f"The 'scoring' parameter of {type(estimator).__name__} must be 'loss', one of scikit-learn's "
            f"scorers (sklearn.metrics.get_scorer_names()), a callable or None. Got {shown(scoring)} instead."
        )
    named: Callable[..., float] = get_scorer(scoring)
    return named


def score_with(
    scorer: Callable[..., float],
    estimator: Any,
    attributes: dict[str, Any],
    held_out: HeldOut,
    outputs: Host,
) -> float:
    """The score of the estimator as it would be with other fitted attributes.

    `outputs` are those of the held-out rows: scikit-learn's scorers, which ask for predictions of these rows, need no
    pass of their own. A function of the user's may do what it likes, and is given none.

    Raises `DataError` if the scorer fails and the rows lack a class.
    """
    now = estimator._in_training()
    vars(now).update(attributes)
    vars(now).pop("feature_names_in_", None)  # the rows were validated, and lost their names
    if hasattr(scorer, "_score_func"):
        now._answered = held_out.x, outputs
    weight = {}
    if held_out.weight is not None and takes_weight(scorer):
        weight = {"sample_weight": held_out.weight}
    try:
        score = scorer(now, held_out.x, held_out.y, **weight)
    except ValueError as error:
        if not hasattr(scorer, "_score_func"):  # the user's own function: its errors pass through
            raise
        missing = np.setdiff1d(getattr(estimator, "classes_", ()), held_out.y)
        if np.ndim(held_out.y) != 1 or len(missing) == 0:
            raise
        raise DataError(
            f"The scorer failed on the {held_out.x.shape[0]} held-out rows, which lack the class(es) "
            f"{missing.tolist()}: {error} Use scoring='loss', or pass X_val and y_val with rows of every class."
        ) from error
    if not np.isscalar(score) or np.asarray(score).dtype.kind not in "fiub":
        raise UsageError(f"scoring must return a number, got {shown(score)}.")
    return float(score)  # type: ignore[arg-type]


def takes_weight(scorer: Callable[..., float]) -> bool:
    """Whether a scorer, or the metric it was made from, takes `sample_weight`."""
    try:
        parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    except ValueError:  # a built-in function may have no signature
        return False
    return "sample_weight" in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )
