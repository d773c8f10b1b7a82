"""Values that a user passes in: the checks that every entry point shares.

An error names the parameter, what it must be and what it is: "epochs must be a whole number of at least 0, got 'a'."
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: The most bytes that Linux takes in a path, and in a single name of it.
LONGEST_PATH, LONGEST_NAME = 4096, 255


def refuse(name: str, allowed: str, value: object) -> None:
    """Raise `UsageError` for a parameter that has a value other than those allowed."""
    raise UsageError(f"{name} must be {allowed}, got {shown(value)}.")


def is_boolean(value: Any) -> bool:
    """Whether a value is True or False, of Python or NumPy."""
    import numpy as np  # here and below: who only reads what settings there are does not load it

    return isinstance(value, (bool, np.bool_))


def is_whole(value: Any) -> bool:
    """Whether a value is an integer, of Python or NumPy, and not a boolean."""
    return isinstance(value, Integral) and not is_boolean(value)


def is_real(value: Any) -> bool:
    """Whether a value is a real number, not NaN and not a boolean."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:  # an integer too large for a float
        return False


def is_true(answer: Any) -> bool:
    """Whether an answer is True: Python's, or NumPy's from a comparison.

    Other truthy values do not count: a callback may well return the number that `file.write` returns.
    """
    return is_boolean(answer) and bool(answer)


def check_whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """The value as an int; `UsageError` if it is not an integer from `least` to `most`."""
    if not is_whole(value) or value < least or (most is not None and value > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        refuse(name, f"a whole number {span}", value)
    return int(value)


def check_real(name: str, value: Any, allowed: str, holds: Callable[[Any], bool]) -> float:
    """The number unchanged; `UsageError` if it is not a number, is NaN, or `holds` is false for it."""
    if not is_real(value) or not holds(value):
        refuse(name, allowed, value)
    number: float = value
    return number


def check_positive(name: str, value: Any) -> float:
    """A number above zero and finite."""
    return check_real(name, value, "positive and finite", lambda v: 0 < v < math.inf)


def check_not_negative(name: str, value: Any) -> float:
    """A number of at least zero and finite."""
    return check_real(name, value, "at least 0 and finite", lambda v: 0 <= v < math.inf)


def check_boolean(name: str, value: Any) -> bool:
    """True or False."""
    if not is_boolean(value):
        refuse(name, "True or False", value)
    return bool(value)


def check_callable(name: str, value: Any, what: str = "a function") -> None:
    """A callable that is not a class; `UsageError` otherwise."""
    if not callable(value) or isinstance(value, type):
        refuse(name, what, value)


def check_instance(name: str, value: Any, kind: type, what: str) -> None:
    """An instance of `kind`; `UsageError` otherwise. `what` says what is allowed and how to get one."""
    if not isinstance(value, kind):
        refuse(name, what, value)


def items(name: str, value: Any, what: str) -> tuple[Any, ...]:
    """The items of a list, tuple, range, column or vector; `UsageError` for text, mappings and scalars.

    `what` says what the value must be.
    """
    if isinstance(value, (str, bytes, dict, set)) or not isinstance(value, Iterable):
        refuse(name, what, value)
    if getattr(value, "ndim", 1) == 0:
        refuse(name, what, value)
    return tuple(value)


def check_path(name: str, value: Any) -> None:
    """A path that can exist: a string or an `os.PathLike`; `UsageError` otherwise."""
    path = os.fsencode(value) if isinstance(value, (str, os.PathLike)) else b""
    longest = max(map(len, path.split(os.fsencode(os.sep))))
    if not path or b"\0" in path or len(path) > LONGEST_PATH or longest > LONGEST_NAME:
        refuse(name, f"a path, of names of at most {LONGEST_NAME} bytes", value)


def checked_weight(sample_weight: Any, n: int) -> Any:
    """The sample weights as floats; `DataError` if they are not one finite number for each of n samples.

    The values of arrays other than NumPy's are not checked: that would wait for their device.
    """
    import numpy as np

    if sample_weight is None:
        return None
    shape = getattr(sample_weight, "shape", None)
    if shape is None or tuple(shape) != (n,):
        found = shown(sample_weight) if shape is None else tuple(shape)
        raise DataError(
            f"sample_weight must have shape ({n},), one for each row of x, got {found}."
        )
    if not isinstance(sample_weight, np.ndarray):
        return sample_weight
    if sample_weight.dtype.kind not in "fiub":
        raise DataError(f"sample_weight must hold numbers, got dtype {sample_weight.dtype}.")
    weight = sample_weight if sample_weight.dtype.kind == "f" else sample_weight.astype(np.float64)
    if not np.all(np.isfinite(weight)):
        row = int(np.argmin(np.isfinite(weight)))
        raise DataError(f"sample_weight holds {weight[row]} in row {row}: give finite numbers.")
    return weight


def as_array(name: str, value: Any) -> NDArray[Any]:
    """A NumPy array of lists and the like; `DataError` if their lengths differ."""
    import numpy as np

    try:
        return np.asarray(value)
    except ValueError:
        raise DataError(f"{name} must be an array, got rows of different lengths.") from None
