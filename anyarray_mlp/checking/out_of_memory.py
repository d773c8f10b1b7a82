"""Out-of-memory errors: each array library reports them in its own way, and reading a file may cause one."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

from anyarray_mlp.errors import OutOfMemoryError

F = TypeVar("F", bound=Callable[..., Any])

#: NumPy and CuPy raise a MemoryError. PyTorch and JAX raise a RuntimeError that only its text tells apart:
#: PyTorch's allocators on a GPU and on a CPU (Linux, Windows), cuBLAS and cuDNN, XLA.
RAN_OUT = re.compile(
    r"out of memory|can't allocate memory|not enough memory|CU(BLAS|DNN)_STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED",
    re.IGNORECASE,
)


def exceeds_memory(size: int) -> bool:
    """Whether `size` bytes are more than this machine has.

    A system that lends more memory than it has (Linux with overcommit_memory=1, as in many virtual machines) does not
    refuse such an array: it kills the process that fills it.
    """
    try:
        return size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not tell
        return False


def out_of_memory(error: BaseException) -> OutOfMemoryError | None:
    """A one-line error with the remedy if a library's error means out of memory, else None."""
    text = str(error).strip()
    if not isinstance(error, MemoryError) and not RAN_OUT.search(text):
        return None
    # PyTorch's text continues with advice on its allocator, XLA's with a table of the largest buffers.
    said = text.partition("\n")[0].partition(". ")[0].rstrip(".")
    return OutOfMemoryError(
        f"Out of memory{f' ({said})' if said else ''}: use a smaller --batch-size or fewer rows."
    )


def within_memory(function: F) -> F:
    """A function of a path (and more) that raises `OutOfMemoryError`, naming the path, if memory runs out."""

    @functools.wraps(function)
    def reading(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except OutOfMemoryError:
            raise
        except MemoryError:
            # Not kept as the cause: dropping its frames frees what was read so far.
            given = (*arguments, *options.values())
            paths = (each for each in given if isinstance(each, (str, os.PathLike)))
            path = next(paths, "the table")
        raise OutOfMemoryError(
            f"{path}: out of memory while reading it; give a smaller file, close other programs or use a "
            "larger machine"
        )

    return cast(F, reading)
