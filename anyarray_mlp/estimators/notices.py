"""Warnings that point at the line that called the estimator, however many wrappers lie between.

Among them that of subclasses, written for scikit-learn's MLPs, whose overridden methods training does not call here.

Those that scikit-learn gives too count as its own, so that filters with module="sklearn" go on to work.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any

#: Where scikit-learn's own warnings come from.
THEIRS = "sklearn.neural_network._multilayer_perceptron"
#: Packages whose lines say nothing to whoever is warned.
WRAPPERS = {"anyarray_mlp", "sklearn"}


def warn(message: str, category: type[Warning] = UserWarning, module: str = THEIRS) -> None:
    """Warn of the nearest line outside this library and scikit-learn, which wraps `fit` in decorators.

    `module` is what filters take the warning to come from.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and package_of(frame) in WRAPPERS:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        message, category, frame.f_code.co_filename, frame.f_lineno, module, registry
    )


def package_of(frame: FrameType) -> str:
    """The top-level package that a frame's code is in."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


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
