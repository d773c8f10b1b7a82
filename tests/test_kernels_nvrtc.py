"""Every fused kernel compiled for an H100 by NVIDIA's own compiler, which needs no driver and no GPU.

Skipped where NVRTC is absent; `pip install nvidia-cuda-nvrtc` brings it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyarray_mlp import MLP
from anyarray_mlp.backends import Backend, select_backend
from anyarray_mlp.backends.replay.cuda_kernels import EXPRESSIONS, TYPES, Kernel, kernel
from anyarray_mlp.backends.replay.numpy_library import NumpyLibrary
from anyarray_mlp.backends.replay.replaying import Replay
from anyarray_mlp.network.functional import ACTIVATIONS, OUTPUTS
from anyarray_mlp.network.losses import FUSED_LOSSES, LOSSES
from anyarray_mlp.network.optimizers import OPTIMIZERS
from anyarray_mlp.training.predicting import on_device
from anyarray_mlp.training.steps import step_inputs, training_step
from benchmarks.workloads import CPU
from tests.test_backends_replay import problem, start

#: What CuPy compiles with: numbers too small are zero in float32, the rest is NVRTC's default.
OPTIONS = ("-arch=compute_90", "-ftz=true")


class Noting(NumpyLibrary):
    """Keeps the source of every kernel that `CupyLibrary` would make, and runs none."""

    elementwise = frozenset({*EXPRESSIONS, "astype"})
    fuses_groups = True
    block = 1 << 62

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, str, str], Kernel] = {}

    def emit_group(self, nodes: Any, outputs: Any, array: Any) -> list[Any]:
        source = kernel(nodes, outputs)
        self.found[source.in_params, source.out_params, source.operation] = source
        return []


@pytest.fixture(scope="module")
def nvrtc() -> ctypes.CDLL:
    """NVIDIA's runtime compiler, from its wheel."""
    spec = importlib.util.find_spec("nvidia")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    folders = [folder for place in places for folder in Path(place).glob("*/lib")]
    for folder in folders:
        compilers = sorted(folder.glob("libnvrtc.so.*"))
        if compilers:
            for builtins in folder.glob("libnvrtc-builtins.so.*"):
                ctypes.CDLL(str(builtins))
            return ctypes.CDLL(str(compilers[-1]))
    pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")


def ptx_of(nvrtc: ctypes.CDLL, source: str) -> str:
    """What a CUDA source compiles to."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    options = (ctypes.c_char_p * len(OPTIONS))(*(option.encode() for option in OPTIONS))
    status = nvrtc.nvrtcCompileProgram(program, len(options), options)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetPTX(program, text)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return text.value.decode()


def as_function(name: str, source: Kernel) -> str:
    """A kernel over contiguous arrays of one size, with the statements that CuPy is given."""
    parameters = [p.split() for p in f"{source.in_params}, {source.out_params}".split(", ") if p]
    declared = ", ".join(f"{TYPES[dtype]} *p_{name}" for dtype, name in parameters)
    references = "\n".join(f"{TYPES[dtype]} &{name} = p_{name}[i];" for dtype, name in parameters)
    return (
        f'extern "C" __global__ void {name}({declared}) {{\n'
        f"long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;\n"
        f"{references}\n{source.operation}\n}}\n"
    )


def kernels_of(
    library: Noting, mlp: MLP, optimizer: str, dtype: str, batch: int = 12, **options: Any
) -> None:
    """Note the kernels of a training step."""
    backend, rule = select_backend("numpy", dtype=dtype), OPTIMIZERS[optimizer]()
    data = tuple(on_device(backend, a) for a in problem(mlp, 60))
    step = training_step(mlp, rule, **options)
    replay = Replay(step, backend.xp, library, Backend.compile(backend, step))
    inputs = step_inputs(mlp, rule, backend, np.zeros((1, batch), np.int64), 0, [1e-3], 0)
    with np.errstate(all="ignore"):
        replay(start(backend, mlp, rule), data, inputs)
    assert None not in replay.plans.values()


def every_kernel(dtype: str) -> list[Kernel]:
    """The kernels of the benchmark's workloads, and of every activation, loss, optimiser and option."""
    library = Noting()
    for work in CPU:
        mlp = MLP((6, *work.sizes[1:-1], work.sizes[-1]), activation=work.activation)
        if mlp.layout.size < 10**5:
            kernels_of(library, mlp, "adam", dtype, work.batch)
        else:  # the same kernels, whatever the widths
            kernels_of(library, MLP((6, 12, 11, 10), activation=work.activation), "adam", dtype)
    for activation in ACTIVATIONS:
        kernels_of(library, MLP((7, 9, 6, 3), activation=activation), "sgd", dtype)
    for output, loss in (*FUSED_LOSSES, *itertools.product(OUTPUTS, LOSSES)):
        kernels_of(library, MLP((7, 9, 3), output=output, loss=loss), "sgd", dtype)
    for optimizer in OPTIMIZERS:
        mlp = MLP((7, 9, 3), dropout=0.4)
        kernels_of(library, mlp, optimizer, dtype, alpha=1e-3, clip_norm=0.5)
    return list(library.found.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_fused_kernel_compiles(dtype: str, nvrtc: ctypes.CDLL) -> None:
    """float32 stays float32, and quotients and roots are rounded as IEEE 754 has it."""
    found = every_kernel(dtype)
    assert len(found) > 40
    ptx = ptx_of(nvrtc, "".join(as_function(f"k{i}", source) for i, source in enumerate(found)))
    assert len(re.findall(r"\.entry k\d+", ptx)) == len(found)
    kind = {"float32": "f32", "float64": "f64"}[dtype]
    assert set(re.findall(rf"\bsqrt\.(\w+)[\w.]*\.{kind}", ptx)) == {"rn"}
    assert {"rn"} <= set(re.findall(rf"\bdiv\.(\w+)[\w.]*\.{kind}", ptx)) <= {"rn"}
    if dtype == "float32":
        arithmetic = re.findall(r"\b(?:add|sub|mul|div|fma|sqrt)\.rn\.f64", ptx)
        assert not arithmetic, "a float32 kernel computes in float64"
