"""The exceptions of the package, each with its exit code on the command line; severities of findings.

AnyArrayMLPError                       1  unexpected
├── UsageError (ValueError)            2  an invalid parameter or flag
├── DivergedError (ArithmeticError, ValueError)  3  the loss or the weights became non-finite
├── DataError (ValueError)            65  a table, image file or label that cannot be used
├── ModelFileError (ValueError)       65  a model file that is damaged, altered or of a newer version
├── BackendUnavailableError (RuntimeError)  69  an array library or a device that is missing
├── OutOfMemoryError (MemoryError)    71  host or device memory ran out
├── OutputExistsError (FileExistsError)  73  the output already exists
├── StorageError (OSError)            74  a file could not be read or written
└── LockedError (RuntimeError)        75  another process holds the directory

A message is one line: what is wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

__all__ = [
    "AnyArrayMLPError",
    "BackendUnavailableError",
    "DataError",
    "DivergedError",
    "LockedError",
    "ModelFileError",
    "OutOfMemoryError",
    "OutputExistsError",
    "Severity",
    "StorageError",
    "UnknownCategoryError",
    "UnknownCategoryWarning",
    "UsageError",
]

#: How severe a finding of `diagnosis` or `backprop` is, worst first.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class AnyArrayMLPError(Exception):
    """Base class of every error that the package raises on purpose."""

    exit_code = 1


class UsageError(AnyArrayMLPError, ValueError):
    """An invalid parameter or flag, or an invalid combination of them."""

    exit_code = 2


class DivergedError(AnyArrayMLPError, ArithmeticError, ValueError):
    """Training produced a loss or weights that are not finite.

    `parameters` holds the last finite ones as a flat host vector (p,), or None; `step_losses` the losses of the
    epoch that broke, or None; `diagnosis` what `fit(..., diagnose=True)` found, or None.
    """

    exit_code = 3
    diagnosis: Any = None

    def __init__(self, message: str, parameters: Any = None, step_losses: Any = None) -> None:
        super().__init__(message)
        self.parameters = parameters
        self.step_losses = step_losses


class DataError(AnyArrayMLPError, ValueError):
    """Data that cannot be read or used."""

    exit_code = 65


class UnknownCategoryError(DataError):
    """A category that the model was not trained on."""


class UnknownCategoryWarning(UserWarning):
    """Categories that the model was not trained on count as gaps."""


class ModelFileError(AnyArrayMLPError, ValueError):
    """A model file that is damaged, altered or written by a newer version."""

    exit_code = 65


class BackendUnavailableError(AnyArrayMLPError, RuntimeError):
    """An array library or a device that was asked for and is missing."""

    exit_code = 69


class OutOfMemoryError(AnyArrayMLPError, MemoryError):
    """Host or device memory ran out."""

    exit_code = 71


class OutputExistsError(AnyArrayMLPError, FileExistsError):
    """The output already exists and would be overwritten."""

    exit_code = 73


class StorageError(AnyArrayMLPError, OSError):
    """A file or folder could not be read or written."""

    exit_code = 74


class LockedError(AnyArrayMLPError, RuntimeError):
    """Another process holds the directory."""

    exit_code = 75


def in_a_line(error: BaseException) -> str:
    """The type and first line (cut to 300 characters) of another library's error, to quote in a message of ours."""
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *(line[:300] for line in lines[:1])])


@contextmanager
def others_as_usage(message: Callable[[str], str]) -> Iterator[None]:
    """Raises another library's error as a `UsageError`, whose message is made of the error in a line; ours pass."""
    try:
        yield
    except AnyArrayMLPError:
        raise
    except Exception as error:
        raise UsageError(message(in_a_line(error))) from error
