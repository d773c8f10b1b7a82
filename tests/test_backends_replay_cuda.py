"""What a CUDA graph of steps is made of, as far as a machine without a GPU can show it.

The fused kernels are compiled for the CPU by the C compiler and run under the planner; cuBLAS is played by NumPy
on the pointers it is given; a capture is played by a list of calls.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.replay.cublas import Cublas, layout, load_cublas
from anyarray_mlp.backends.replay.cuda_kernels import EXPRESSIONS, TYPES, Kernel, kernel
from anyarray_mlp.backends.replay.numpy_library import NumpyLibrary
from anyarray_mlp.backends.replay.replaying import Replay
from anyarray_mlp.network.functional import ACTIVATIONS
from anyarray_mlp.network.optimizers import OPTIMIZERS
from anyarray_mlp.training.predicting import on_device
from anyarray_mlp.training.steps import step_inputs, training_step
from tests.test_backends_replay import host, problem, start

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")


class CompiledKernels(NumpyLibrary):
    """NumPy with groups of elementwise operations in C: `CupyLibrary`'s kernels on a CPU."""

    elementwise = frozenset({*EXPRESSIONS, "astype"})
    fuses_groups = True
    block = 1 << 62

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.sources: dict[Kernel, Any] = {}
        self.compiled = 0
        self.groups = 0

    def emit_group(self, nodes: Any, outputs: Any, array: Any) -> list[Any]:
        source = kernel(nodes, outputs)
        run = compile_kernel(source, self.folder / f"kernel{self.compiled}")
        self.compiled += 1
        self.groups += len(nodes) > 1
        arrays = [array(value) for value in (*source.inputs, *source.outputs)]
        return [lambda: run(arrays)]


def compile_kernel(source: Kernel, path: Path) -> Callable[[list[Any]], None]:
    """A function of the kernel's arrays: broadcast operands, then results."""
    parameters = [p.split() for p in f"{source.in_params}, {source.out_params}".split(", ") if p]
    declared = ", ".join(f"{TYPES[t]} *p_{n}" for t, n in parameters)
    references = "".join(f"#define {n} p_{n}[i]\n" for _, n in parameters)
    # The same overloads that CUDA C++ has.
    code = (
        "#include <cmath>\n#include <cstdlib>\nusing namespace std;\n"
        f'{references}extern "C" void run(long n, {declared}) {{\n'
        f"for (long i = 0; i < n; i++) {{\n{source.operation}\n}}\n}}\n"
    )
    path.with_suffix(".cpp").write_text(code)
    subprocess.run(
        ["g++", "-O0", "-shared", "-fPIC", "-o", f"{path}.so", f"{path}.cpp"], check=True
    )
    function = ctypes.CDLL(f"{path}.so").run

    def run(arrays: list[Any]) -> None:
        results = arrays[len(source.inputs) :]
        whole = np.broadcast_shapes(*(a.shape for a in arrays))
        assert all(r.shape == whole and r.flags.c_contiguous for r in results)
        operands = [np.ascontiguousarray(np.broadcast_to(a, whole)) for a in arrays]
        operands[len(source.inputs) :] = results
        function(
            ctypes.c_long(results[0].size), *(ctypes.c_void_p(a.ctypes.data) for a in operands)
        )

    return run


def compare(library: NumpyLibrary, mlp: MLP, optimizer: str, exact: bool, **options: Any) -> Replay:
    backend, rule = select_backend("numpy", dtype="float64"), OPTIMIZERS[optimizer]()
    data = tuple(on_device(backend, a) for a in problem(mlp, 60))
    step = training_step(mlp, rule, **options)
    plain = Backend.compile(backend, step)
    replay = Replay(step, backend.xp, library, plain)
    ours, theirs = start(backend, mlp, rule), start(backend, mlp, rule)
    for done in range(0, 21, 7):
        indices = np.random.default_rng(done).integers(0, 60, (7, 12))
        inputs = step_inputs(mlp, rule, backend, indices, done, [1e-2] * 7, 0)
        ours, ours_out = replay(ours, data, inputs)
        theirs, theirs_out = plain(theirs, data, inputs)
        pairs = zip(
            host(backend, (ours, ours_out)), host(backend, (theirs, theirs_out)), strict=True
        )
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=0 if exact else 1e-10, atol=0 if exact else 1e-12)
    assert None not in replay.plans.values()
    return replay


@needs_compiler
@pytest.mark.parametrize(
    ("activation", "optimizer", "options"),
    [
        ("relu", "adam", {}),
        ("elu", "nesterov", {"alpha": 1e-3, "clip_norm": 0.1}),
    ],
)
def test_fused_kernels_compute_what_the_step_does(
    activation: str, optimizer: str, options: dict[str, float], tmp_path: Path
) -> None:
    library = CompiledKernels(tmp_path)
    compare(library, MLP((7, 9, 3), activation=activation), optimizer, exact=False, **options)
    assert library.groups > 0


@needs_compiler
def test_dropout_is_one_integer_kernel_that_wraps(tmp_path: Path) -> None:
    library = CompiledKernels(tmp_path)
    library.ahead_bytes = 0
    compare(library, MLP((7, 40, 3), dropout=0.5), "sgd", exact=False)


def test_the_whole_of_adam_is_one_kernel() -> None:
    """It reads the rate, the parameters, the gradient and the moments, and stores parameters and moments."""
    found: list[Kernel] = []

    class Noting(NumpyLibrary):
        elementwise = frozenset({*EXPRESSIONS, "astype"})
        fuses_groups = True
        block = 1 << 62

        def emit_group(self, nodes: Any, outputs: Any, array: Any) -> list[Any]:
            found.append(kernel(nodes, outputs))
            return []

    backend, mlp, rule = select_backend("numpy"), MLP((7, 9, 3)), OPTIMIZERS["adam"]()
    data = tuple(on_device(backend, a) for a in problem(mlp, 60))
    step = training_step(mlp, rule)
    inputs = step_inputs(mlp, rule, backend, np.zeros((1, 12), np.int64), 0, [1e-3], 0)
    with np.errstate(all="ignore"):
        replay = Replay(step, backend.xp, Noting(), Backend.compile(backend, step))
        replay(start(backend, mlp, rule), data, inputs)
    adam = [k for k in found if any(v.spec.shape == (mlp.layout.size,) for v in k.outputs)]
    assert [(len(k.inputs), len(k.outputs)) for k in adam] == [(5, 3)]


def test_every_activation_has_expressions() -> None:
    """No activation falls back to operations that are not fused."""
    backend = select_backend("numpy")
    for activation in ACTIVATIONS:
        mlp, rule = MLP((7, 9, 3), activation=activation), OPTIMIZERS["sgd"]()
        replay = backend.compile(training_step(mlp, rule))
        data = tuple(on_device(backend, a) for a in problem(mlp, 60))
        inputs = step_inputs(mlp, rule, backend, np.zeros((1, 12), np.int64), 0, [1e-3], 0)
        replay(start(backend, mlp, rule), data, inputs)
        (plan,) = replay.plans.values()
        ops = {node.op for group in plan.groups for node in group}
        known = {*EXPRESSIONS, "matmul", "sum", "max", "concat", "gather", "astype"}
        assert ops <= known, activation


class Captured(NumpyLibrary):
    """Capture as a GPU does it: warm-up runs, then the same calls on the same memory."""

    captures = True
    launches = 0

    def capture(self, calls: list[Any]) -> Any:
        for _ in range(3):
            for call in calls:
                call()

        def launch() -> None:
            self.launches += 1
            for call in calls:
                call()

        return launch


def test_a_captured_run_is_launched_and_its_warm_up_leaves_no_trace() -> None:
    library = Captured()
    compare(library, MLP((7, 9, 3)), "adam", exact=True)
    assert library.launches == 3


def test_a_capture_that_fails_is_reported_and_done_without() -> None:
    class Failing(Captured):
        def capture(self, calls: list[Any]) -> Any:
            calls[0]()
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.warns(UserWarning, match="No CUDA graph .*not permitted"):
        compare(Failing(), MLP((7, 9, 3)), "adam", exact=True)


class FakeCublas:
    """cuBLAS's functions on host pointers, by NumPy, column-major as the real ones."""

    def __init__(self) -> None:
        self.stream: Any = None
        self.destroyed = 0

    def cublasCreate_v2(self, handle: Any) -> int:
        return 0

    def cublasDestroy_v2(self, handle: Any) -> int:
        self.destroyed += 1
        return 0

    def cublasSetStream_v2(self, handle: Any, stream: Any) -> int:
        self.stream = stream.value
        return 0

    def cublasSetWorkspace_v2(self, handle: Any, pointer: Any, size: Any) -> int:
        return 0

    def cublasSgemm_v2(self, *arguments: Any) -> int:
        return self.gemm(np.float32, ctypes.c_float, *arguments)

    def cublasDgemm_v2(self, *arguments: Any) -> int:
        return self.gemm(np.float64, ctypes.c_double, *arguments)

    def cublasSgemmStridedBatched(self, *arguments: Any) -> int:
        return self.batched(self.cublasSgemm_v2, 4, *arguments)

    def cublasDgemmStridedBatched(self, *arguments: Any) -> int:
        return self.batched(self.cublasDgemm_v2, 8, *arguments)

    def batched(self, gemm: Any, size: int, *arguments: Any) -> int:
        """One product after the other, the pointers moved on by the strides."""
        *head, a, lda, stride_a, b, ldb, stride_b, beta, c, ldc, stride_c, count = arguments
        for place in range(count.value):

            def at(pointer: Any, stride: Any, place: int = place) -> Any:
                return ctypes.c_void_p(pointer.value + place * stride.value * size)

            gemm(
                *head, at(a, stride_a), lda, at(b, stride_b), ldb, beta, at(c, stride_c), ldc
            )  # fmt: skip
        return 0

    def gemm(self, dtype: Any, kind: Any, handle: Any, *arguments: Any) -> int:
        op_a, op_b, m, n, k = (a.value for a in arguments[:5])
        _, a, lda, b, ldb, _, c, ldc = arguments[5:]

        def matrix(pointer: Any, op: int, rows: int, columns: int, lead: int) -> Any:
            stored = (rows, columns) if op == 0 else (columns, rows)
            flat = np.ctypeslib.as_array(
                ctypes.cast(pointer, ctypes.POINTER(kind)), ((stored[1] - 1) * lead + stored[0],)
            )
            size = np.dtype(dtype).itemsize
            view = np.lib.stride_tricks.as_strided(flat, stored, (size, size * lead))
            return view if op == 0 else view.T

        product = matrix(a, op_a, m, k, lda.value) @ matrix(b, op_b, k, n, ldb.value)
        matrix(c, 0, m, n, ldc.value)[...] = product
        return 0


class Pointed(np.ndarray):
    """A NumPy array with CuPy's `data.ptr`."""

    @property
    def data(self) -> Any:  # type: ignore[override]
        return SimpleNamespace(ptr=self.ctypes.data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("shape", [(5, 7, 3), (1, 4, 2), (4, 1, 2), (3, 4, 1), (1, 1, 1)])
def test_products_by_cublas(shape: Any, transposed: Any, dtype: Any) -> None:
    m, k, n = shape
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int, flip: bool) -> Any:
        stored = rng.standard_normal((columns, rows) if flip else (rows, columns)).astype(dtype)
        return (stored.T if flip else stored).view(Pointed)

    a, b = matrix(m, k, transposed[0]), matrix(k, n, transposed[1])
    out = np.zeros((m, n), dtype).view(Pointed)
    library = FakeCublas()
    cublas = Cublas(17, np.empty(8, np.uint8).view(Pointed), library)
    cublas.product(a, b, out)()
    assert library.stream == 17
    np.testing.assert_allclose(np.asarray(out), np.asarray(a) @ np.asarray(b), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True)])
def test_stacks_of_products_by_cublas(transposed: Any, dtype: Any) -> None:
    """Three products, into a part of each row of a gradient (3, 40)."""
    rng = np.random.default_rng(0)

    def stack(rows: int, columns: int, flip: bool) -> Any:
        shape = (3, columns, rows) if flip else (3, rows, columns)
        stored = rng.standard_normal(shape).astype(dtype)
        return (stored.mT if flip else stored).view(Pointed)

    a, b = stack(5, 7, transposed[0]), stack(7, 4, transposed[1])
    whole = np.zeros((3, 40), dtype)
    out = whole[:, 10:30].reshape(3, 5, 4)
    assert np.shares_memory(out, whole)
    cublas = Cublas(17, np.empty(8, np.uint8).view(Pointed), FakeCublas())
    cublas.product(a, b, out.view(Pointed))()
    np.testing.assert_allclose(out, np.asarray(a) @ np.asarray(b), rtol=1e-4, atol=1e-6)
    assert not np.any(whole[:, :10])
    assert not np.any(whole[:, 30:])


def test_the_handle_lives_as_long_as_its_products() -> None:
    library = FakeCublas()
    a = np.ones((2, 2), np.float32).view(Pointed)
    product = Cublas(17, np.empty(8, np.uint8).view(Pointed), library).product(a, a, a.copy())
    gc.collect()
    assert library.destroyed == 0
    del product
    gc.collect()
    assert library.destroyed == 1


def test_a_matrix_without_unit_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="neither row-major"):
        layout((4, 4), (8, 2))


def test_no_cublas_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuda.pathfinder raises a RuntimeError, and ctypes an OSError."""

    def load(name: str) -> None:
        raise RuntimeError(f"Failure finding {name}")

    def missing(path: str) -> None:
        raise OSError(f"{path}: cannot open shared object file")

    finder = SimpleNamespace(load_nvidia_dynamic_lib=load)
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(pathfinder=finder))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", finder)
    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(ImportError, match="cuBLAS was not found: Failure finding cublas"):
        load_cublas()


def test_a_failing_call_of_cublas_names_itself() -> None:
    class Broken(FakeCublas):
        def cublasCreate_v2(self, handle: Any) -> int:
            return 1

    with pytest.raises(RuntimeError, match="cublasCreate_v2 failed with status 1"):
        Cublas(0, np.empty(8, np.uint8).view(Pointed), Broken())
