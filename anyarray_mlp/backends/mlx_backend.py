"""MLX, on the CPU or on a Mac's GPU: steps are compiled, and work is started while the next step is prepared."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace
from anyarray_mlp.arithmetic.plain import CREATION
from anyarray_mlp.arithmetic.reproducible_array import unwrap
from anyarray_mlp.arithmetic.tables import split_ln2
from anyarray_mlp.backends.base import Arrays, Backend, Run, Step
from anyarray_mlp.backends.replay.recording import leaves
from anyarray_mlp.errors import BackendUnavailableError, UsageError


class MlxBackend(Backend):
    """MLX arrays. Operations run where the context says (`on_device`), whatever arrays they are given."""

    name = "mlx"
    flat = False

    def __init__(self, device: str, dtype: str) -> None:
        import mlx.core as mx

        on_gpu = device == "gpu"
        if on_gpu and dtype == "float64":
            raise UsageError("MLX has no float64 on a GPU: use --dtype float32, or --device cpu.")
        if on_gpu and not mx.is_available(mx.gpu):
            raise BackendUnavailableError(
                "MLX finds no GPU here: use --device cpu. On a Mac with Apple silicon, pip install mlx brings Metal."
            )
        self.mlx_device = mx.gpu if on_gpu else mx.cpu
        overrides = {name: created(getattr(mx, name)) for name in CREATION} | {"astype": as_type}
        if not on_gpu:
            # MLX 0.32 has a quick exponential on the CPU, wrong by up to 63 units in the last place, above 88.4
            # infinite, and no better in float64.
            overrides["exp"] = exp
        super().__init__(device, dtype, PlainNamespace(mx, None, overrides))

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the device."""
        import mlx.core as mx

        wanted = self.host_dtype(host, dtype)
        return mx.array(
            np.asarray(host, dtype=wanted, order="C"), dtype=getattr(mx, mlx_name(wanted))
        )

    def to_host(self, array: Any) -> NDArray[Any]:
        """A NumPy copy; waits for it."""
        return np.array(array)

    def on_device(self) -> AbstractContextManager[Any]:
        """Operations within run on this device."""
        import mlx.core as mx

        context: AbstractContextManager[Any] = mx.stream(self.mlx_device)
        return context

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """A compiled step; each is started before the next is prepared, and none is waited for.

        Steps of reproducible arithmetic are not compiled: a compiler may round a product and a sum once.
        """
        import mlx.core as mx

        start: Any = mx.async_eval
        is_plain = type(self.xp) is PlainNamespace
        one = compiled(step, self.xp) if is_plain else partial(step, self.xp)

        def run(state: Any, data: Any, inputs: Arrays) -> tuple[Any, Arrays]:
            outputs = []
            with self.on_device():
                for k in range(inputs[0].shape[0]):
                    state, output = one(state, data, tuple(array[k, ...] for array in inputs))
                    start(*map(unwrap, leaves((state, output))))
                    outputs.append(output)
                return state, tuple(self.xp.stack(column) for column in zip(*outputs, strict=True))

        return run

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, on a GPU compiled once for each set of shapes; on a CPU that takes a second each."""
        one = compiled(function, self.xp) if self.device == "gpu" else partial(function, self.xp)

        def call(*arrays: Any) -> Any:
            with self.on_device():
                return one(*arrays)

        return call

    def synchronize(self) -> None:
        """Wait for work that was started."""
        import mlx.core as mx

        mx.synchronize(self.mlx_device)


def created(function: Callable[..., Any]) -> Callable[..., Any]:
    """A creation function of the standard, whose `device=` MLX does not know."""

    def create(*args: Any, device: Any = None, **options: Any) -> Any:
        return function(*args, **options)

    return create


def as_type(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """`astype` of the standard: arrays do not change, and so are never copied."""
    return x.astype(dtype)


@lru_cache(maxsize=64)
def compiled(function: Callable[..., Any], xp: Any) -> Callable[..., Any]:
    """`function` with the namespace bound, compiled by MLX for each set of shapes and dtypes."""
    import mlx.core as mx

    made: Callable[..., Any] = mx.compile(partial(function, xp))
    return made


def mlx_name(dtype: np.dtype[Any]) -> str:
    """MLX's name of a dtype."""
    return "bool_" if dtype.kind == "b" else dtype.name


class Format(NamedTuple):
    """What `exp` needs to know of a dtype.

    bits: of the fraction. bias: of the exponent. low, high: exponents beyond which nothing but 0 and infinity comes.
    terms: of the power series for arguments up to ln(2) / 2. ln_2: in two parts, of which whole multiples of the first
    are exact.
    """

    bits: int
    bias: int
    low: float
    high: float
    terms: int
    ln_2: tuple[float, float]


FORMATS = {
    "float32": Format(23, 127, -104.0, 89.0, 8, split_ln2(12, 48)),
    "float64": Format(52, 1023, -746.0, 710.0, 14, split_ln2(40, 92)),
}


def exp(x: Any) -> Any:
    """e^x to two units in the last place: 2^k e^r with a whole k, |r| <= ln(2) / 2, and e^r by its power series."""
    import mlx.core as mx

    form = FORMATS["float64" if x.dtype == mx.float64 else "float32"]
    whole = mx.int64 if x.dtype == mx.float64 else mx.int32

    def two_to(n: Any) -> Any:
        return mx.left_shift(n.astype(whole) + form.bias, form.bits).view(x.dtype)

    bounded = mx.clip(x, form.low, form.high)
    k = mx.round(bounded * (1.0 / math.log(2.0)))
    r = (bounded - k * form.ln_2[0]) - k * form.ln_2[1]
    series = r * (1.0 / math.factorial(form.terms - 1)) + 1.0 / math.factorial(form.terms - 2)
    for n in range(form.terms - 3, -1, -1):
        series = series * r + 1.0 / math.factorial(n)
    half = mx.floor(k * 0.5)  # 2^k may lie outside the normal numbers where e^x does not
    return mx.where(x == x, series * two_to(half) * two_to(k - half), x)
