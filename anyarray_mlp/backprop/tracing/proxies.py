"""NumPy, `math`, `random` and `float` as the user's code sees them while a tape records.

Nothing is changed in the libraries themselves: their own Python code goes on as ever.
"""

from __future__ import annotations

import decimal
import math
import random
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from anyarray_mlp.backprop.tracing.arguments import Number, small_float, stripped, widened
from anyarray_mlp.backprop.tracing.tape import Tape, bare
from anyarray_mlp.backprop.tracing.tracer import (
    MatrixTracer,
    Recorder,
    Tracer,
    as_matrix,
    as_recorded,
    holds_tracer,
    record,
    traced,
)

#: Libraries whose functions are NumPy's: a network that uses them is run on NumPy.
LIKE_NUMPY = frozenset(["jax.numpy", "cupy", "array_api_strict", "array_api_compat.numpy"])
#: Functions that make an array of values that nothing recorded went into.
MAKERS = frozenset(
    [
        "zeros",
        "ones",
        "empty",
        "full",
        "eye",
        "identity",
        "arange",
        "linspace",
        "loadtxt",
        "genfromtxt",
    ]
)
CONVERTERS = frozenset(["array", "asarray", "asanyarray", "ascontiguousarray"])
LISTS_OF_ARRAYS = frozenset(
    ["concatenate", "stack", "vstack", "hstack", "column_stack", "row_stack", "dstack", "block"]
)
MATH = {
    name: getattr(np, {"pow": "power", "fabs": "abs"}.get(name, name))
    for name in [
        "exp",
        "tanh",
        "log",
        "sqrt",
        "sin",
        "cos",
        "pow",
        "log1p",
        "expm1",
        "log2",
        "log10",
        "sinh",
        "cosh",
        "fabs",
        "floor",
        "ceil",
        "arctan",
    ]
    if hasattr(math, name)
}
DRAWS = frozenset(
    [
        "random",
        "rand",
        "randn",
        "normal",
        "standard_normal",
        "uniform",
        "random_sample",
        "ranf",
        "sample",
        "binomial",
        "choice",
        "permutation",
        "randint",
        "integers",
        "truncated_normal",
        "multivariate_normal",
        "laplace",
        "logistic",
        "exponential",
        "beta",
        "gamma",
    ]
)


class Wrapped:
    """A function of NumPy's that also takes lists of recorded numbers."""

    def __init__(self, function: Any, call: Callable[..., Any]) -> None:
        self.function, self.call = function, call
        self.__name__ = getattr(function, "__name__", "function")
        self.__doc__ = None

    def __call__(self, *args: Any, **options: Any) -> Any:
        args = tuple(float if a is Number else a for a in args)
        options = {k: float if v is Number else v for k, v in options.items()}
        if Recorder.tape is None:
            return self.function(*stripped(args), **stripped(options))
        return self.call(self.function, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


def convert(function: Any, *args: Any, **options: Any) -> Any:
    """`np.array(value)` and its like."""
    first = args[0] if args else options.get("object")
    options = widened(options)
    if len(args) > 1:
        options, args = widened({"dtype": args[1], **options}), args[:1]
    if isinstance(first, Tracer) and function.__name__ != "array" and not options:
        return first
    if holds_tracer(first) or isinstance(first, np.ndarray):
        kept = isinstance(first, Tracer)
        if not kept and isinstance(first, np.ndarray) and first.dtype.kind not in "fiub":
            return function(*args, **options)
        return record(function.__name__, function, args, options)
    return fresh(function(*args, **options))


def fresh(made: Any) -> Any:
    """A value that nothing recorded went into, as a recorded constant."""
    tape = Recorder.tape
    if tape is None or type(made) is not np.ndarray or made.dtype.kind not in "fiub":
        return made
    return traced(made, tape.leaf("constant", made))


def make(function: Any, *args: Any, **options: Any) -> Any:
    """A new array of fixed values."""
    if "dtype" in options:
        options = widened(options)
    return fresh(function(*stripped(args), **stripped(options)))


def fill(function: Any, shape: Any, value: Any, *args: Any, **options: Any) -> Any:
    """`np.full(shape, value)` and `np.full_like(array, value)`."""
    if not isinstance(value, Tracer):
        return make(function, shape, value, *args, **options)
    size = np.shape(bare(shape)) if function is np.full_like else tuple(np.atleast_1d(shape))
    return np.broadcast_to(value, size) + 0.0


def draw(function: Any, *args: Any, **options: Any) -> Any:
    """A random draw, as a recorded value of its own."""
    tape = Recorder.tape
    made = function(*stripped(args), **stripped(options))
    if tape is None or isinstance(made, (list, tuple)):
        return made
    value = np.asarray(made)
    if value.dtype.kind not in "fiub" or (value.dtype.kind != "f" and value.ndim == 0):
        return made
    return traced(value, tape.leaf("random", value))


def call_listed(function: Any, *args: Any, **options: Any) -> Any:
    """A function whose lists of recorded numbers are made arrays first."""
    args = tuple(
        as_recorded(a) if isinstance(a, (list, tuple)) and holds_tracer(a) else a for a in args
    )
    return function(*args, **options)


class Matrix(type):
    """Makes recorded matrices instances of `np.matrix`."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, (MatrixTracer, np.matrix))


class AsMatrix(metaclass=Matrix):
    """Stands for `np.matrix`, `np.mat` and `np.asmatrix`."""

    def __new__(cls, value: Any, *ignored: Any, **options: Any) -> Any:
        return as_matrix(value)


class ModuleProxy(types.ModuleType):
    """A library's module with some of its functions wrapped."""

    def __init__(self, module: types.ModuleType, wrap: Callable[[str, Any], Any]) -> None:
        super().__init__(module.__name__)
        self.__dict__["_module"], self.__dict__["_wrap"] = module, wrap
        self.__dict__["__all__"] = list(getattr(module, "__all__", ()))

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__["_wrap"](name, getattr(self.__dict__["_module"], name))
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_module"], name, value)
        self.__dict__[name] = value


def wrap_numpy(name: str, value: Any) -> Any:
    """What the user sees of NumPy."""
    if name == "random":
        return RANDOM
    if name in ("matrix", "mat", "asmatrix"):
        return AsMatrix
    if name == "isscalar":
        return lambda v: np.isscalar(v) or (isinstance(v, Tracer) and v.ndim == 0)
    if name in CONVERTERS:
        return Wrapped(value, convert)
    if name in ("full", "full_like"):
        return Wrapped(value, fill)
    if name in MAKERS:
        return Wrapped(value, make)
    if isinstance(value, type) or not callable(value) or name in LISTS_OF_ARRAYS:
        return value
    return Wrapped(value, call_listed)


class DrawingGenerator:
    """A random generator whose draws are recorded."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.generator, name)
        if name in DRAWS and callable(found):
            return lambda *args, **options: draw(found, *args, **options)
        if callable(found):
            return lambda *args, **options: found(*stripped(args), **stripped(options))
        return found


def wrap_random(name: str, value: Any) -> Any:
    """What the user sees of `np.random`."""
    if name in ("default_rng", "RandomState"):
        return lambda *args, **options: DrawingGenerator(value(*args, **options))
    return Wrapped(value, draw) if name in DRAWS else value


def wrap_python_random(name: str, value: Any) -> Any:
    """What the user sees of `random`."""
    if name in ("random", "uniform", "gauss", "normalvariate", "triangular"):
        return Wrapped(value, draw)
    if name == "Random":
        return lambda *args: PythonGenerator(value(*args))
    return value


class PythonGenerator:
    """A `random.Random` whose real numbers are recorded."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def __getattr__(self, name: str) -> Any:
        return wrap_python_random(name, getattr(self.generator, name))


def wrap_math(name: str, value: Any) -> Any:
    """What the user sees of `math`."""
    if name not in MATH:
        return value

    def call(*args: Any) -> Any:
        known = any(isinstance(a, Tracer) for a in args)
        if not known or Recorder.tape is None:
            return value(*args)
        value(*(float(a) for a in args))  # what math refuses is refused
        return MATH[name](*args)

    return call


def wrap_decimal(name: str, value: Any) -> Any:
    """What the user sees of `decimal`."""
    return (lambda *args: value(*map(plain_number, args))) if name == "Decimal" else value


def plain_number(value: Any) -> Any:
    """A recorded number as a plain one."""
    return bare(value).item() if isinstance(value, Tracer) else value


NUMPY = ModuleProxy(np, wrap_numpy)
RANDOM = ModuleProxy(np.random, wrap_random)
PYTHON_RANDOM = ModuleProxy(random, wrap_python_random)
PYTHON_MATH = ModuleProxy(math, wrap_math)
MODULES: dict[int, types.ModuleType] = {
    id(np): NUMPY,
    id(np.random): RANDOM,
    id(random): PYTHON_RANDOM,
    id(math): PYTHON_MATH,
    id(decimal): ModuleProxy(decimal, wrap_decimal),
}


def stand_in(name: str, value: Any) -> Any:
    """What the user's name `name` for `value` means while a tape records; `value` itself if the same."""
    if isinstance(value, types.ModuleType):
        return NUMPY if value.__name__ in LIKE_NUMPY else MODULES.get(id(value), value)
    if isinstance(value, (Wrapped, Tracer)):
        return value
    found = STAND_INS.get(id(value))
    return value if found is None else found


def stand_ins() -> dict[int, Any]:
    """Functions that the user may have imported by name."""
    told: dict[int, Any] = {}
    for module, proxy in (
        (np, NUMPY),
        (np.random, RANDOM),
        (random, PYTHON_RANDOM),
        (math, PYTHON_MATH),
    ):
        for name in dir(module):
            if name.startswith("_") or name in ("mat", "bool", "test"):
                continue
            value = getattr(module, name)
            if callable(value) and (not isinstance(value, type) or value is np.matrix):
                other = getattr(proxy, name)
                if other is not value:
                    told[id(value)] = other
    return told


STAND_INS = stand_ins()
PLAIN_VECTORIZE = np.vectorize.__call__


def vectorized(self: Any, *args: Any, **options: Any) -> Any:
    """`np.vectorize(f)(array)` as one elementwise operation."""
    tape = Recorder.tape
    if tape is None or not any(isinstance(a, Tracer) for a in args):
        return PLAIN_VECTORIZE(self, *args, **options)

    def plain(*values: Any) -> Any:
        before, Recorder.tape = Recorder.tape, None
        try:
            return PLAIN_VECTORIZE(self, *values, **options)
        finally:
            Recorder.tape = before

    return record("vectorize", plain, args, {}, elementwise=True)


@contextmanager
def recording(tape: Tape) -> Iterator[Tape]:
    """Record on this tape."""
    np.vectorize.__call__ = vectorized  # type: ignore[method-assign]
    Recorder.tape = tape
    try:
        yield tape
    finally:
        Recorder.tape = None
        np.vectorize.__call__ = PLAIN_VECTORIZE  # type: ignore[method-assign]


__all__ = ["MODULES", "Number", "recording", "small_float", "stand_in"]
