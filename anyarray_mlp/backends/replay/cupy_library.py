"""How CuPy computes into given buffers, for `anyarray_mlp.backends.replay.binding`, and captures steps in a CUDA graph.

Everything runs on a stream of its own. Consecutive elementwise operations become one kernel; matrix products go
through `anyarray_mlp.backends.replay.cublas`, because CuPy's own cannot be captured.
`benchmarks/gpu_graphs.py` tests it on a GPU.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import cupy

from anyarray_mlp.backends.replay.cublas import WORKSPACE, Cublas
from anyarray_mlp.backends.replay.cuda_kernels import EXPRESSIONS, kernel
from anyarray_mlp.backends.replay.numpy_buffers import NumpyBuffers
from anyarray_mlp.backends.replay.recording import Node, Value

Call = Callable[[], Any]

REDUCTIONS = ("sum", "max", "min", "all", "any")
#: Warm-up runs before a capture: they compile the kernels and fill the memory pool.
WARM_UPS = 3


class CupyLibrary(NumpyBuffers):
    """See `library.Library`."""

    module = cupy

    elementwise = frozenset({*EXPRESSIONS, "astype"})
    #: A kernel covers an array of any size; intermediate results of a group are never stored.
    fuses_groups = True
    captures = True
    block = 1 << 62
    ahead_bytes = 1 << 26

    def __init__(self) -> None:
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.pool = cupy.cuda.MemoryPool()
        self.kernels: dict[Any, Any] = {}
        with self.stream:
            self.cublas = Cublas(self.stream.ptr, cupy.empty(WORKSPACE, cupy.uint8))

    def is_array(self, value: Any) -> bool:
        """Whether a result is an array."""
        return isinstance(value, cupy.ndarray)

    def share_memory(self, a: Any, b: Any) -> bool:
        """Whether one is a view of the other."""
        return bool(cupy.may_share_memory(a, b))

    def stand_in(self, array: Any) -> Any:
        """Zeros of the same layout."""
        return cupy.zeros_like(array, order="K")

    def quietly(self) -> AbstractContextManager[Any]:
        """CuPy does not warn of arithmetic."""
        return nullcontext()

    @contextmanager
    def running(self) -> Iterator[None]:
        """On the stream, after all work queued before it and before all work queued after it."""
        outside = cupy.cuda.get_current_stream()
        self.stream.wait_event(outside.record())
        try:
            with self.stream, cupy.cuda.using_allocator(self.pool.malloc):
                yield
        finally:
            outside.wait_event(self.stream.record())

    def is_writable(self, array: Any) -> bool:
        """CuPy's arrays always are."""
        return True

    def out_of_range(self, index: Any, n: int) -> bool:
        """Not checked, because that would wait for the device: `train` makes its indices on the host."""
        return False

    def emit(
        self, op: str, function: Callable[..., Any], args: Any, kwargs: Any, out: Any
    ) -> list[Call]:
        """Calls that compute function(*args, **kwargs) into `out`."""
        if op == "matmul" and can_multiply(args, out):
            return [self.cublas.product(args[0], args[1], out)]
        if op in REDUCTIONS and set(kwargs) <= {"axis", "keepdims"} and len(args) == 1:
            return [partial(getattr(cupy, op), args[0], out=out, **kwargs)]
        if op == "gather":
            return [partial(cupy.take, *args, axis=0, out=out)]
        return [lambda: cupy.copyto(out, function(*args, **kwargs))]

    def emit_group(
        self, nodes: list[Node], outputs: list[Value], array: Callable[[Value], Any]
    ) -> list[Call]:
        """One kernel for a group of elementwise nodes, of which `outputs` are stored."""
        source = kernel(nodes, outputs)
        key = (source.in_params, source.out_params, source.operation)
        if key not in self.kernels:
            self.kernels[key] = cupy.ElementwiseKernel(*key, f"anyarray_mlp_{len(self.kernels)}")
        arrays = [array(value) for value in (*source.inputs, *source.outputs)]
        return [partial(self.kernels[key], *arrays)]

    def capture(self, calls: list[Call]) -> Call:
        """One call that launches all of `calls` as a CUDA graph."""
        with self.running():
            for _ in range(WARM_UPS):
                for call in calls:
                    call()
            self.stream.synchronize()
            collecting = gc.isenabled()
            gc.disable()
            try:
                self.stream.begin_capture()
                try:
                    for call in calls:
                        call()
                finally:
                    graph = self.stream.end_capture()
            finally:
                if collecting:
                    gc.enable()
            graph.upload(self.stream)
        return partial(graph.launch, self.stream)


def can_multiply(args: Any, out: Any) -> bool:
    """Whether a product is one of matrices, or of stacks of as many each, into row-major ones."""
    rows = out.ndim < 2 or out.strides[-2:] == (out.shape[-1] * out.itemsize, out.itemsize)
    alike = out.ndim == 2 or all(a.ndim == 3 and a.shape[0] == out.shape[0] for a in args)
    return out.ndim in (2, 3) and rows and alike and out.dtype.kind == "f"
