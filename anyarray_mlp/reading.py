"""What reading any file has in common."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from anyarray_mlp.errors import OutOfMemoryError

F = TypeVar("F", bound=Callable[..., Any])


def within_memory(function: F) -> F:
    """A function of a path (and more) that raises `OutOfMemoryError`, naming the path, where memory runs out."""

    @functools.wraps(function)
    def reading(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except OutOfMemoryError:
            raise
        except MemoryError:
            # Not kept as the cause: with its frames goes what was read so far.
            given = (*arguments, *options.values())
            path = next(each for each in given if isinstance(each, (str, os.PathLike)))
        raise OutOfMemoryError(
            f"{path}: memory ran out while it was read; give a smaller file, close other programs or use a "
            "larger machine"
        )

    return cast(F, reading)
