"""Warnings that point at the line that called the estimator, however many wrappers lie between."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

#: Packages whose lines say nothing to whoever is warned.
WRAPPERS = {"anyarray_mlp", "sklearn"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the nearest line outside this library and scikit-learn, which wraps `fit` in decorators."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and package_of(frame) in WRAPPERS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def package_of(frame: FrameType) -> str:
    """The top-level package that a frame's code is in."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
