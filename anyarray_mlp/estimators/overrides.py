"""Subclasses written for scikit-learn's MLPs may override methods that training here does not call."""

from __future__ import annotations

from typing import Any

from anyarray_mlp.estimators.notices import warn

#: Private methods that scikit-learn's `fit` calls, and the parameters that do here what overriding them did.
INSTEAD = {
    "_init_coef": "initializer=function",
    "_initialize": "initializer=function",
    "_forward_pass": "activation=...",
    "_backprop": "loss=..., dropout=... or clip_norm=...",
    "_compute_loss_grad": "loss=...",
    "_loss_grad_lbfgs": "loss=...",
    "_fit_stochastic": "on_epoch=function or X_val, y_val",
    "_fit_lbfgs": "on_epoch=function",
    "_update_no_improvement_count": "scoring=function",
    "_score": "scoring=function",
    "_validate_input": "a transformer before it in a pipeline",
}


def warn_of_unused_overrides(estimator: Any) -> None:
    """Warn where a subclass's own method of one of these names would be passed over in silence."""
    ours = [kind for kind in type(estimator).__mro__ if kind.__module__.startswith("anyarray_mlp.")]
    for name, instead in INSTEAD.items():
        method = getattr(type(estimator), name, None)
        if method is not None and method not in [vars(kind).get(name) for kind in ours]:
            warn(
                f"{type(estimator).__name__} overrides {name}, which training does not call here: use {instead}.",
                module=__name__,
            )
