"""JAX, on the CPU or on a GPU: steps are jitted and K of them run as one `lax.scan`."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anyarray_mlp.arithmetic import PlainNamespace, ReproducibleNamespace
from anyarray_mlp.arithmetic.reproducible_array import Array as ReproducibleArray
from anyarray_mlp.backends.base import Arrays, Backend, Run, Step

#: Values of `jax_default_matmul_precision` that keep full float32 precision.
FULL_PRECISION = ("highest", "float32")
#: Bytes: XLA can use foreign memory with this alignment; NumPy's arrays usually start 16 bytes after such an address.
ALIGNMENT = 64
#: Bytes of data above which a copy costs more than gathering every batch on the host, about 6 % of an epoch.
LARGE = 1 << 27


class JaxBackend(Backend):
    """JAX arrays. float64 turns on `jax_enable_x64` for the process, because JAX has no narrower switch."""

    name = "jax"
    flat = False

    def __init__(self, device: str, dtype: str) -> None:
        import jax
        import jax.numpy as jnp

        if dtype == "float64":
            jax.config.update("jax_enable_x64", True)
        platform, _, index = device.partition(":")
        self.jax_device = jax.devices(platform)[int(index or 0)]
        overrides = {"logistic": jax.nn.sigmoid, "erf": jax.scipy.special.erf}
        if self.jax_device.platform == "gpu" and jax.config.jax_default_matmul_precision is None:
            # By default JAX multiplies float32 matrices in TF32 on a GPU.
            overrides["matmul"] = partial(jnp.matmul, precision="highest")
        super().__init__(device, dtype, PlainNamespace(jnp, self.jax_device, overrides))

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the device; integers are int32 if x64 is off."""
        import jax

        copy = np.array(host, dtype=self.device_dtype(host, dtype), order="C")
        return jax.device_put(copy, self.jax_device)

    def share(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """On the CPU, a JAX array over the array's memory if it starts at a multiple of `ALIGNMENT` bytes.

        Otherwise, or if it has to be converted, a copy; on the CPU just one copy, which JAX then uses in place.
        """
        if self.jax_device.platform != "cpu":
            return self.asarray(host, dtype)
        if not self.lies_well(host, dtype):
            copy = aligned(host.shape, self.device_dtype(host, dtype))
            np.copyto(copy, host, casting="unsafe")
            host = copy
        return self.lend(host)

    def lies_well(self, host: NDArray[Any], dtype: str | None) -> bool:
        """Whether JAX on a CPU can use an array in place."""
        fits = host.flags.c_contiguous and host.dtype == self.device_dtype(host, dtype)
        return bool(fits and host.ctypes.data % ALIGNMENT == 0)

    def device_dtype(self, host: NDArray[Any], dtype: str | None) -> np.dtype[Any]:
        """The dtype that `asarray` gives, at most 32 bits wide if x64 is off."""
        import jax

        wanted: np.dtype[Any] = jax.dtypes.canonicalize_dtype(self.host_dtype(host, dtype))
        return wanted

    def lend(self, host: NDArray[Any]) -> Any:
        """A JAX array over aligned memory."""
        import jax

        return jax.device_put(host, self.jax_device, may_alias=True)

    def streams(self, host: NDArray[Any]) -> bool:
        """On the CPU, if an array is large and would have to be copied."""
        if self.jax_device.platform != "cpu" or host.nbytes < LARGE:
            return False
        return not self.lies_well(host, "uint8" if host.dtype == np.uint8 else None)

    def gather(self, host: NDArray[Any], index: NDArray[Any], dtype: str | None = None) -> Any:
        """The rows; on the CPU, written to memory that JAX can use in place."""
        if index.size and not (index.min() >= 0 and index.max() < len(host)):
            raise IndexError(f"Rows {index.min()} to {index.max()} of {len(host)} were requested.")
        wanted = self.device_dtype(host, dtype)
        if self.jax_device.platform != "cpu" or host.dtype != wanted:
            return self.share(host[index], dtype)
        rows = aligned((*index.shape, *host.shape[1:]), wanted)
        np.take(host, index, axis=0, out=rows, mode="clip")
        return self.lend(rows)

    def to_host(self, array: Any) -> NDArray[Any]:
        """A NumPy array, writable."""
        return np.array(array)

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """One XLA program for each number of steps and batch shape, kept for later runs of the same step."""
        return scanned(step, self.xp)

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`jax.jit` with the namespace bound, compiled once for each function and set of shapes."""
        return bound(function, self.xp)

    def reproducible_namespace(self, slices: int) -> ReproducibleNamespace:
        """Reproducible arithmetic with arrays registered in JAX; turns on `jax_enable_x64` for the process."""
        import jax

        jax.config.update("jax_enable_x64", True)
        register_with_jax()
        return ReproducibleNamespace(
            self.xp,
            slices,
            compiled=True,
            view=jax.lax.bitcast_convert_type,
            barrier=jax.lax.optimization_barrier,
        )

    def reduced_precision(self) -> tuple[str, ...]:
        """JAX's matmul precision, if it was set; otherwise it is full precision here."""
        if self.dtype != "float32":
            return ()
        import jax

        setting = jax.config.jax_default_matmul_precision
        if setting is None or setting in FULL_PRECISION:
            return ()
        return (
            f"JAX multiplies float32 matrices in {setting!r}: "
            "jax.config.update('jax_default_matmul_precision', 'highest') turns it off.",
        )

    def synchronize(self) -> None:
        """Wait for dispatched work."""
        import jax

        jax.effects_barrier()
        jax.device_put(0, self.jax_device).block_until_ready()


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Uninitialised memory that JAX on a CPU can use in place."""
    nbytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + nbytes].view(dtype).reshape(shape)


@lru_cache(maxsize=64)
def scanned(step: Step, xp: Any) -> Run:
    """K steps as one `lax.scan`; the state is donated."""
    import jax

    def scan(state: Any, data: Any, inputs: Arrays) -> tuple[Any, Arrays]:
        def body(carry: Any, now: Arrays) -> tuple[Any, Arrays]:
            return step(xp, carry, data, now)

        carry, outputs = jax.lax.scan(body, state, inputs)
        return carry, outputs

    run: Run = jax.jit(scan, donate_argnums=0)
    return run


@lru_cache(maxsize=64)
def bound(function: Callable[..., Any], xp: Any) -> Callable[..., Any]:
    """`function` with the namespace bound, as one XLA program for each set of shapes."""
    import jax

    compiled: Callable[..., Any] = jax.jit(partial(function, xp))
    return compiled


@cache
def register_with_jax() -> None:
    """Let `jax.jit` and `jax.lax.scan` take and return arrays of reproducible arithmetic."""
    import jax

    jax.tree_util.register_pytree_node(
        ReproducibleArray,
        lambda array: ((array.value,), array.xp),
        lambda xp, values: ReproducibleArray(values[0], xp),
    )
