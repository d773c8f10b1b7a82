"""A backend with the same bits everywhere, built on the backend of any library."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from numpy.typing import NDArray

from anyarray_mlp.arithmetic import VERSION
from anyarray_mlp.arithmetic.probe import probe
from anyarray_mlp.arithmetic.reproducible_array import unwrap
from anyarray_mlp.backends.base import Backend, Run, Step
from anyarray_mlp.ranks.communicator import Communicator

#: (backend, library, device, dtype, slices) that have passed the probe in this process.
PROBED: set[tuple[type[Backend], str, str, str, int]] = set()


class ReproducibleBackend(Backend):
    """`plain` with reproducible arithmetic; its arrays belong to that arithmetic.

    Raises `BackendUnavailableError`, which names the property, if the library or device would break it.
    slices: 2, or 1 for faster and less accurate matrix products.
    """

    def __init__(self, plain: Backend, slices: int = 2) -> None:
        self.plain = copy.copy(plain)
        # A `Namespace` of its own arrays alone.
        xp: Any = plain.reproducible_namespace(slices)
        self.plain.xp = xp
        super().__init__(plain.device, plain.dtype, xp)
        self.name, self.flat = plain.name, plain.flat  # type: ignore[misc]
        self.arithmetic = f"reproducible {VERSION}" + (", fast" if slices == 1 else "")

        key = (type(plain), plain.name, plain.device, plain.dtype, slices)
        if key not in PROBED:
            probe(xp, self.dtype, self.asarray, self.to_host, self.jit)
            PROBED.add(key)

    def __repr__(self) -> str:
        return f"<{self.name} backend, {self.device}, {self.dtype}, {self.arithmetic}>"

    def asarray(self, host: NDArray[Any], dtype: str | None = None) -> Any:
        """A copy on the device; values too small for some libraries to keep become zero."""
        return self.xp.asarray(self.plain.asarray(host, dtype))

    def to_host(self, array: Any) -> NDArray[Any]:
        """A NumPy array."""
        return self.plain.to_host(unwrap(array))

    def on_ranks(self, communicator: Communicator) -> ReproducibleBackend:
        """This backend with exact sums that are those of all ranks."""
        plain = copy.copy(self.plain)
        xp: Any = self.xp
        plain.xp = xp.library.xp
        ranked = ReproducibleBackend(plain.on_ranks(communicator), xp.slices)
        ranked.arithmetic = self.arithmetic
        return ranked

    def compile(self, step: Step, steps: int | None = None) -> Run:
        """As the plain backend compiles it."""
        return self.plain.compile(step, steps)

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As the plain backend compiles it."""
        return self.plain.jit(function)

    def on_device(self) -> AbstractContextManager[Any]:
        """As the plain backend chooses its device."""
        return self.plain.on_device()

    def reduced_precision(self) -> tuple[str, ...]:
        """The plain backend's settings."""
        return self.plain.reduced_precision()

    def synchronize(self) -> None:
        """Wait for the device."""
        self.plain.synchronize()
