"""Warnings that point at the line that called the estimator, however many wrappers lie between.

Those that scikit-learn gives too count as its own, so that filters with module="sklearn" go on to work.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType

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
