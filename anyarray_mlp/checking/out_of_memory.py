"""Memory that runs out: every array library has its own way to say so, and reading a file may need too much."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

from anyarray_mlp.errors import OutOfMemoryError

F = TypeVar("F", bound=Callable[..., Any])

#: NumPy and CuPy raise a MemoryError. PyTorch and JAX raise a RuntimeError, to be told from others by its text:
#: PyTorch's allocators on a GPU and on a CPU (Linux, Windows), cuBLAS and cuDNN, XLA.
RAN_OUT = re.compile(
    r"out of memory|can't allocate memory|not enough memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED",
    re.IGNORECASE,
)


def out_of_memory(error: BaseException) -> OutOfMemoryError | None:
    """One line with the cure where a library's error means that memory ran out, or None where it does not."""
    text = str(error).strip()
    if not isinstance(error, MemoryError) and not RAN_OUT.search(text):
        return None
    # PyTorch goes on with advice on its allocator, XLA with a table of the largest buffers.
    said = text.partition("\n")[0].partition(". ")[0].rstrip(".")
    return OutOfMemoryError(
        f"Out of memory{f' ({said})' if said else ''}: use a smaller --batch-size or fewer rows."
    )


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
            paths = (each for each in given if isinstance(each, (str, os.PathLike)))
            path = next(paths, "the table")
        raise OutOfMemoryError(
            f"{path}: memory ran out while it was read; give a smaller file, close other programs or use a "
            "larger machine"
        )

    return cast(F, reading)
