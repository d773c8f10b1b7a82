"""`Placement`: where and how exactly a run is computed, as settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anyarray_mlp.backends.base import Backend
from anyarray_mlp.backends.selection import BACKENDS, DTYPES, parse_device, select_backend
from anyarray_mlp.checking.settings import Name, Truth, check_settings, setting


@dataclass(frozen=True)
class Device:
    """The text cpu, cuda, cuda:N or auto."""

    def check(self, name: str, value: Any) -> str:
        """The text."""
        parse_device(value)
        return str(value)


@dataclass(frozen=True)
class Placement:
    """Where a run is computed: as the arguments of `select_backend`, of which `backend` may be the answer."""

    device: str = setting("cpu", Device(), "Where to compute.")
    backend: str | Backend | None = setting(
        None,
        Name(
            "backend",
            tuple(BACKENDS),
            lambda value: isinstance(value, Backend),
            "a name or what select_backend gives, got {value}",
            listed=True,
        ),
        "Array library; the best one for the device by default.",
    )
    dtype: str = setting("float32", Name("dtype", tuple(DTYPES), listed=True))
    reproducible: bool | str = setting(
        False,
        Truth(str, "False, True or 'fast'", switch=True),
        "The same bits on every backend and machine.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def select(self) -> Backend:
        """The backend; errors as those of `select_backend`."""
        if isinstance(self.backend, Backend):
            return self.backend
        return select_backend(
            self.backend,
            self.device,
            self.dtype,
            reproducible=self.reproducible,  # type: ignore[arg-type]
        )
