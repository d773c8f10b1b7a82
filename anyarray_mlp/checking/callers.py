"""Warnings that point at the line that called this package, regardless of how many wrappers are in between."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

#: Packages whose lines mean nothing to the user.
WRAPPERS = {"anyarray_mlp", "sklearn"}


def warn_caller(message: str, category: type[Warning], module: str | None = None) -> None:
    """Warn at the nearest line outside this package and scikit-learn, which wraps methods in decorators.

    `module` is the module that warning filters see; that of the line by default.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and package_of(frame) in WRAPPERS:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    seen = module or str(frame.f_globals.get("__name__", "<unknown>"))
    warnings.warn_explicit(
        message, category, frame.f_code.co_filename, frame.f_lineno, seen, registry
    )


def package_of(frame: FrameType) -> str:
    """The top-level package that a frame's code is in."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
