"""A held-out set: the network's outputs on it after each epoch, and their score."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse

from anyarray_mlp.backends import Backend
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError, UsageError
from anyarray_mlp.estimators.placement import dense_rows, moved, row_spans
from anyarray_mlp.network.mlp import MLP
from anyarray_mlp.training import as_inputs
from anyarray_mlp.typing import Host, Leaves, Namespace


class HeldOut:
    """Validation rows: x (n, i), targets in the form of the loss, y as the user gave it, weights (n,) or None."""

    def __init__(
        self, network: MLP, backend: Backend, x: Any, targets: Host, y: Any, weight: Host | None
    ) -> None:
        self.x = x
        self.y = y
        self.weight = weight
        self.backend = backend
        self.spans = row_spans(x, backend)
        self.resident = None if sparse.issparse(x) else [self.part(x, span) for span in self.spans]
        self.targets = [moved(backend, targets[start:stop]) for start, stop in self.spans]
        if weight is not None and math.fsum(weight) == 0:
            raise DataError(
                "The sample weights of the validation rows sum to zero, so nothing can be measured on them: "
                "use another random_state or a larger validation_fraction, or pass X_val with weights of its own."
            )
        # Not shared with other fits: it may keep the last parameters alive.
        self.run = backend.jit(measurement(network))

    def part(self, x: Any, span: tuple[int, int]) -> Any:
        """Some rows on the backend's device, dense."""
        return moved(self.backend, dense_rows(x, *span))

    def measure(self, leaves: Leaves) -> tuple[Host, float]:
        """Outputs (n, k) and the mean loss of leaves on the backend's device."""
        parts = self.resident or (self.part(self.x, span) for span in self.spans)
        results = [
            self.run(leaves, x, targets) for x, targets in zip(parts, self.targets, strict=True)
        ]
        outputs, losses = (
            np.concatenate([self.backend.to_host(part) for part in column])
            for column in zip(*results, strict=True)
        )
        return outputs, float(np.average(losses.astype(np.float64), weights=self.weight))


@lru_cache(maxsize=16)
def measurement(network: MLP) -> Callable[..., Any]:
    """(xp, leaves, x, targets) -> (outputs, losses) of a network; one function, as JAX compiles each once."""

    def measure(xp: Namespace, leaves: Leaves, x: Any, targets: Any) -> Any:
        x = as_inputs(xp, x, leaves[0].dtype, None)
        return network.predict(xp, leaves, x), network.losses(xp, leaves, x, targets)

    return measure


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
    scorer: Callable[..., float], estimator: Any, attributes: dict[str, Any], held_out: HeldOut
) -> float:
    """The score of the estimator as it would be with other fitted attributes.

    Raises `DataError` if the scorer fails and the rows lack a class.
    """
    now = estimator._in_training()
    vars(now).update(attributes)
    vars(now).pop("feature_names_in_", None)  # validation has removed the rows' names
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
