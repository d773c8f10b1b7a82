"""Whether an error says that memory ran out: every array library has a way of its own to say so."""

from __future__ import annotations

import re

from anyarray_mlp.errors import OutOfMemoryError

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
