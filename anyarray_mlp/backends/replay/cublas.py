"""Matrix products into given memory on a cuBLAS handle of our own, which a CUDA graph can capture.

CuPy refuses its own matrix products while a stream is captured. `benchmarks/gpu_graphs.py` tests it on a GPU.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

#: Bytes of cuBLAS's workspace, as NVIDIA recommends for Hopper. Set in advance, because a capture must not allocate.
WORKSPACE = 32 << 20
NO_TRANSPOSE, TRANSPOSE = 0, 1


def load_cublas() -> ctypes.CDLL:
    """The cuBLAS library that CuPy uses. Raises `ImportError` if there is none."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        return ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)
    except (ImportError, RuntimeError, OSError) as error:  # no pathfinder, or it found nothing
        for name in ("libcublas.so.13", "libcublas.so.12"):
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
        raise ImportError(f"cuBLAS was not found: {error}") from error


def layout(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int]:
    """(operation, leading dimension) of a matrix, strides in entries, that is row-major or its transpose."""
    rows, columns = shape
    if strides[1] == 1 or columns == 1:
        return NO_TRANSPOSE, max(strides[0], columns)
    if strides[0] == 1 or rows == 1:
        return TRANSPOSE, max(strides[1], rows)
    raise ValueError(f"A matrix of strides {strides} is neither row-major nor column-major.")


class Cublas:
    """A handle bound to one stream, destroyed with this object."""

    def __init__(self, stream: int, workspace: Any, library: Any = None) -> None:
        self.library = library or load_cublas()
        self.workspace = workspace
        self.handle = ctypes.c_void_p()
        self.check("cublasCreate_v2", ctypes.byref(self.handle))
        # Not at exit: the CUDA driver may already be gone, and the handle with it.
        weakref.finalize(self, self.library.cublasDestroy_v2, self.handle).atexit = False
        self.check("cublasSetStream_v2", self.handle, ctypes.c_void_p(stream))
        self.check(
            "cublasSetWorkspace_v2",
            self.handle,
            ctypes.c_void_p(workspace.data.ptr),
            ctypes.c_size_t(workspace.nbytes),
        )

    def check(self, name: str, *arguments: Any) -> None:
        """Call a function of the library; `RuntimeError` with its status if it fails."""
        status = getattr(self.library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name} failed with status {status}.")

    def product(self, a: Any, b: Any, out: Any) -> Callable[[], None]:
        """A call that computes out = a @ b, matrices or stacks of them; the matrices of `out` are row-major.

        cuBLAS is column-major: it computes the transpose, b^T a^T. A stack is one launch.
        """
        kind, letter = {4: (ctypes.c_float, "S"), 8: (ctypes.c_double, "D")}[out.itemsize]
        stacked = out.ndim == 3
        name = f"cublas{letter}gemmStridedBatched" if stacked else f"cublas{letter}gemm_v2"
        strides = [tuple(stride // m.itemsize for stride in m.strides) for m in (a, b, out)]
        (op_a, lead_a), (op_b, lead_b) = (
            layout(m.shape[-2:], stride[-2:]) for m, stride in zip((a, b), strides, strict=False)
        )
        one, zero = kind(1.0), kind(0.0)

        def matrix(m: Any, lead: int, stride: tuple[int, ...]) -> tuple[Any, ...]:
            apart = (ctypes.c_longlong(stride[0]),) if stacked else ()
            return ctypes.c_void_p(m.data.ptr), ctypes.c_int(lead), *apart

        arguments = (
            self.handle,
            ctypes.c_int(op_b),
            ctypes.c_int(op_a),
            *map(ctypes.c_int, (out.shape[-1], out.shape[-2], a.shape[-1])),
            ctypes.byref(one),
            *matrix(b, lead_b, strides[1]),
            *matrix(a, lead_a, strides[0]),
            ctypes.byref(zero),
            *matrix(out, out.shape[-1], strides[2]),
            *((ctypes.c_int(out.shape[0]),) if stacked else ()),
        )
        keep = (a, b, out, one, zero)

        def call(keep: Any = keep) -> None:
            self.check(name, *arguments)

        return call
