"""The test bed: array libraries made stricter than they are, so that a machine without a GPU finds GPU faults.

Each `Bed` makes one kind of `Backend`. What a library can do is declared once, in `anyarray_mlp.backends.BACKENDS`,
and skips follow from it (`@pytest.mark.needs`). What each bed catches:

| bed | catches |
|---|---|
| numpy | - |
| numpy-readonly | writing into data that belongs to the caller |
| strict | anything outside the standard, arrays of two devices, implicit waits for the device, masks |
| cupy-like | work outside `with cupy.cuda.Device(i)`: creation functions ignore `device=`, as array-api-compat's do |
| jax-eager | writing into arrays, slices, or views |
| jax | branches on values, shapes that depend on data, implicit transfers |
| jax-device2 | arrays created on another device than the rest |
| torch | types that do not mix, integer indices of the wrong width |
| torch-meta | anything that reads a value: there are none |
| cupy, torch-cuda, jax-cuda | the real thing, where there is a GPU |
| any other library of `BACKENDS` | what it does on the CPU |
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import pytest
import sklearn

from anyarray_mlp.backends import BACKENDS, Backend, select_backend
from anyarray_mlp.backends.cupy_backend import CupyBackend
from anyarray_mlp.backends.jax_backend import JaxBackend
from anyarray_mlp.backends.numpy_backend import NumpyBackend
from anyarray_mlp.backends.strict_backend import StrictBackend
from anyarray_mlp.backends.torch_backend import TorchBackend
from anyarray_mlp.errors import BackendUnavailableError

#: Libraries whose absence is a failure instead of a skip: ANYARRAY_MLP_EXPECT=numpy,torch,...
EXPECTED = frozenset(filter(None, os.environ.get("ANYARRAY_MLP_EXPECT", "").split(",")))

#: What tests need beside libraries, and may be expected like one: onnxruntime, a C compiler, vl-convert, MPI,
#: extras of that name.
PROGRAMS = ("onnx", "cc", "vega", "mpi", "serve", "tune", "tensorboard")


@dataclass(frozen=True)
class Bed:
    """One kind of backend.

    `make(dtype)` builds it; `library` must be installed and `device` be there. What a test may ask for with
    `@pytest.mark.needs(...)` follows from the library's capabilities, less what this bed `lacks`:

    values : arrays hold numbers, which `to_host` can read.
    writable : arrays can be written in place.
    eager : operations run when they are called, outside `jit` as well.
    """

    name: str
    library: str
    make: Callable[[str], Backend]
    lacks: frozenset[str] = frozenset()
    device: str = "cpu"

    @property
    def capabilities(self) -> frozenset[str]:
        """What a test may rely on."""
        immutable = () if BACKENDS[self.library].writable else ("writable",)
        return NEEDS - self.lacks - {*immutable}

    def missing(self) -> str | None:
        """Why this bed cannot be had here, or None."""
        if importlib.util.find_spec(BACKENDS[self.library].module) is None:
            return f"{self.library} is not installed"
        if self.device == "cuda":
            try:
                select_backend(self.library, "cuda")
            except BackendUnavailableError as error:
                return str(error)
        return None

    def require(self) -> None:
        """Skip the running test, or fail it where the library is expected, unless this bed can be had."""
        missing = self.missing()
        if missing is not None:
            unless_expected(
                f"{self.library}-cuda" if self.device == "cuda" else self.library, missing
            )


def require_library(name: str) -> None:
    """Skip the running test, or fail it where the library is expected, unless it is installed."""
    if importlib.util.find_spec(BACKENDS[name].module) is None:
        unless_expected(name, f"{name} is not installed")


def unless_expected(name: str, reason: str) -> None:
    """Skip the running test; fail it where `name` is expected."""
    (pytest.fail if name in EXPECTED else pytest.skip)(reason)


#: For what scikit-learn does otherwise, or not at all, before 1.9.
since_scikit_learn_1_9 = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
    reason="scikit-learn before 1.9 differs here",
)

#: What a test may need.
NEEDS = frozenset({"values", "writable", "eager"})


# --- NumPy, read-only ---


class ReadOnlyNumpyBackend(NumpyBackend):
    """NumPy arrays that cannot be written; the state of a compiled run, which is used up, can."""

    def asarray(self, host: Any, dtype: str | None = None) -> Any:
        array = super().asarray(host, dtype)
        array.flags.writeable = False
        return array

    def compile(self, step: Any, steps: int | None = None) -> Any:
        run = super().compile(step, steps)
        return lambda state, data, inputs: run(writable(state), data, inputs)


def writable(nest: Any) -> Any:
    return tuple(map(writable, nest)) if isinstance(nest, tuple) else nest.copy()


# --- array-api-strict with a tripwire ---

SYNCS = (
    "__bool__",
    "__float__",
    "__int__",
    "__index__",
    "__complex__",
    "__array__",
    "__buffer__",
    "__dlpack__",
    "to_device",
)


@contextlib.contextmanager
def tripwire() -> Iterator[None]:
    """Inside, whatever would wait for a device or move data off it raises, and the standard is at its strictest."""
    import array_api_strict

    def trip(name: str) -> Callable[..., Any]:
        def raises(self: Any, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError(f"{name} waits for the device inside a step")

        return raises

    array_class = type(array_api_strict.asarray(0.0))
    flags = {"boolean_indexing": False, "data_dependent_shapes": False}
    with contextlib.ExitStack() as stack:
        stack.enter_context(array_api_strict.ArrayAPIStrictFlags(**flags))
        for name in SYNCS:
            if hasattr(array_class, name):
                stack.enter_context(mock.patch.object(array_class, name, trip(name)))
        yield


class TripwireStrictBackend(StrictBackend):
    """array-api-strict, with the tripwire up while compiled functions run."""

    def jit(self, function: Any) -> Any:
        plain = super().jit(function)
        return under(tripwire, plain)

    def compile(self, step: Any, steps: int | None = None) -> Any:
        return under(tripwire, super().compile(step, steps))


def under(context: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, run inside a context."""

    def run(*args: Any) -> Any:
        with context():
            return function(*args)

    return run


# --- CuPy's treatment of devices, played by array-api-strict ---

#: The device that creation functions use, whatever they are told.
current_device: contextvars.ContextVar[int] = contextvars.ContextVar("current_device", default=0)


def fake_cupy() -> dict[str, types.ModuleType]:
    """Modules that stand in for CuPy: array-api-strict, whose creation functions ignore `device=`."""
    import array_api_strict as strict

    names = ("CPU_DEVICE", "device1", "device2")
    array_class = type(strict.asarray(0.0))

    class Device:
        """`with Device(i):` makes i the current device."""

        def __init__(self, index: int) -> None:
            self.id = index
            self.tokens: list[contextvars.Token[int]] = []

        def __enter__(self) -> Device:
            self.tokens.append(current_device.set(self.id))
            return self

        def __exit__(self, *error: object) -> None:
            current_device.reset(self.tokens.pop())

        def synchronize(self) -> None:
            """Nothing is under way."""

    def on_current(function: Callable[..., Any]) -> Callable[..., Any]:
        def create(*args: Any, device: Any = None, **kwargs: Any) -> Any:
            wanted = strict.Device(names[current_device.get()])
            if isinstance(args[0], array_class):
                args = (args[0].to_device(wanted), *args[1:])
            elif isinstance(args[0], np.ndarray):
                args = (args[0].copy(), *args[1:])
            return function(*args, device=wanted, **kwargs)

        return create

    namespace = types.ModuleType("array_api_compat.cupy")
    namespace.__dict__.update(
        {k: v for k, v in vars(strict).items() if k in strict.__all__ or not k.startswith("_")}
    )
    for name in ("arange", "asarray", "empty", "eye", "full", "linspace", "ones", "zeros"):
        setattr(namespace, name, on_current(getattr(strict, name)))
    for name in ("empty_like", "full_like", "ones_like", "zeros_like"):
        setattr(namespace, name, on_current(getattr(strict, name)))

    cupy = types.ModuleType("cupy")
    cupy.__dict__.update(vars(namespace), __name__="cupy")
    cupy.cuda = types.SimpleNamespace(Device=Device)
    cupy.asnumpy = lambda array: np.array(array.to_device(strict.Device("CPU_DEVICE")))
    special = types.ModuleType("cupyx.scipy.special")
    special.erf = lambda z: strict.asarray(
        NumpyBackend("cpu", "float64").xp.erf(cupy.asnumpy(z)), dtype=z.dtype, device=z.device
    )
    scipy = types.ModuleType("cupyx.scipy")
    scipy.special = special
    cupyx = types.ModuleType("cupyx")
    cupyx.scipy = scipy
    return {
        "cupy": cupy,
        "cupyx": cupyx,
        "cupyx.scipy": scipy,
        "cupyx.scipy.special": special,
        "array_api_compat.cupy": namespace,
    }


class CupyLikeBackend(CupyBackend):
    """`CupyBackend` over the stand-in, on its second device."""

    def __init__(self, dtype: str) -> None:
        import array_api_compat

        self.modules = fake_cupy()
        with (
            mock.patch.dict(sys.modules, self.modules),
            mock.patch.object(
                array_api_compat, "cupy", self.modules["array_api_compat.cupy"], create=True
            ),
        ):
            super().__init__("cuda:1", dtype)

    def asarray(self, host: Any, dtype: str | None = None) -> Any:
        with mock.patch.dict(sys.modules, self.modules):
            return super().asarray(host, dtype)

    def to_host(self, array: Any) -> Any:
        with mock.patch.dict(sys.modules, self.modules):
            return np.array(super().to_host(array))

    def compile(self, step: Any, steps: int | None = None) -> Any:
        """The plain loop on the device: there is no graph to capture."""
        return under(lambda: self.cuda_device, Backend.compile(self, step, steps))


# --- JAX ---


class EagerJaxBackend(JaxBackend):
    """JAX, one operation at a time."""

    compile = Backend.compile
    jit = Backend.jit


class GuardedJaxBackend(JaxBackend):
    """JAX, jitted, with implicit transfers forbidden."""

    def jit(self, function: Any) -> Any:
        return under(no_transfers, super().jit(function))

    def compile(self, step: Any, steps: int | None = None) -> Any:
        return under(no_transfers, super().compile(step, steps))


def no_transfers() -> Any:
    """Inside, JAX raises where data would move between host and device unasked."""
    import jax

    return jax.transfer_guard("disallow")


#: The beds of this file's own making.
MADE = (
    Bed("numpy", "numpy", lambda dtype: NumpyBackend("cpu", dtype)),
    Bed(
        "numpy-readonly",
        "numpy",
        lambda dtype: ReadOnlyNumpyBackend("cpu", dtype),
        lacks=frozenset({"writable"}),
    ),
    Bed("strict", "array_api_strict", lambda dtype: TripwireStrictBackend("device1", dtype)),
    Bed("cupy-like", "array_api_strict", CupyLikeBackend, lacks=frozenset({"eager"})),
    Bed("jax-eager", "jax", lambda dtype: EagerJaxBackend("cpu", dtype)),
    Bed("jax", "jax", lambda dtype: GuardedJaxBackend("cpu", dtype)),
    Bed("jax-device2", "jax", lambda dtype: JaxBackend("cpu:2", dtype)),
    Bed("torch", "torch", lambda dtype: TorchBackend("cpu", dtype)),
    Bed(
        "torch-meta",
        "torch",
        lambda dtype: TorchBackend("meta", dtype),
        lacks=frozenset({"values"}),
    ),
)


def plain_beds() -> Iterator[Bed]:
    """Libraries as they are: each on a GPU if it computes there, and on the CPU if no bed above has it."""
    for name, library in BACKENDS.items():
        if library.cpu and name not in {bed.library for bed in MADE}:
            yield Bed(name, name, lambda dtype, name=name: select_backend(name, "cpu", dtype))
        if library.cuda:
            yield Bed(
                f"{name}-cuda" if library.cpu else name,
                name,
                lambda dtype, name=name: select_backend(name, "cuda", dtype),
                lacks=frozenset({"eager"} if name == "cupy" else ()),
                device="cuda",
            )


BEDS = {bed.name: bed for bed in (*MADE, *plain_beds())}
