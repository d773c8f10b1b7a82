"""Warnings that point at the line that called the estimator, regardless of how many wrappers are in between.

One of them is for subclasses written for scikit-learn's MLPs that override methods which training does not call here.

Warnings that scikit-learn also gives count as scikit-learn's own, so that filters with module="sklearn" keep working.
"""

from __future__ import annotations

from typing import Any

from anyarray_mlp.checking.callers import warn_caller

#: The module of scikit-learn's own warnings.
THEIRS = "sklearn.neural_network._multilayer_perceptron"


def warn(message: str, category: type[Warning] = UserWarning, module: str = THEIRS) -> None:
    """`warn_caller`; `module` is the module that warning filters see."""
    warn_caller(message, category, module)


#: Private methods that scikit-learn's `fit` calls, and the parameters that replace overriding them here.
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
    """Warn if a subclass overrides one of these methods, which would be ignored silently."""
    ours = [kind for kind in type(estimator).__mro__ if kind.__module__.startswith("anyarray_mlp.")]
    for name, instead in INSTEAD.items():
        method = getattr(type(estimator), name, None)
        if method is not None and method not in [vars(kind).get(name) for kind in ours]:
            warn(
                f"{type(estimator).__name__} overrides {name}, which training does not call here: use {instead}.",
                module=__name__,
            )
