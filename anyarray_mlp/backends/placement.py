"""`Placement`: where and how exactly a run is computed, as settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyarray_mlp.backends.selection import (
    BACKENDS,
    DTYPES,
    find_backend,
    parse_device,
    select_backend,
)
from anyarray_mlp.checking.settings import Name, Truth, check_settings, setting
from anyarray_mlp.checking.values import refuse

if TYPE_CHECKING:
    from anyarray_mlp.backends.base import Backend


def is_backend(value: Any) -> bool:
    """Whether a value is a backend."""
    from anyarray_mlp.backends.base import Backend

    return isinstance(value, Backend)


def is_text(value: Any) -> bool:
    """Whether a value is a text."""
    return isinstance(value, str)


@dataclass(frozen=True)
class Device:
    """The text cpu, cuda, cuda:N or auto."""

    def check(self, name: str, value: Any) -> str:
        """The text."""
        parse_device(value)
        return str(value)


#: What a text of memory may end in, and what it is in bytes.
UNITS = {"": 1, "b": 1} | {
    f"{letter}{end}": base ** (power + 1)
    for power, letter in enumerate("kmgt")
    for end, base in (("", 1000), ("b", 1000), ("ib", 1024))
}


def bytes_in(text: str) -> int | None:
    """The bytes that a text such as 500MB or 2 GiB says; None if it says none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if found is None or found[2] not in UNITS:
        return None
    return int(float(found[1]) * UNITS[found[2]])


@dataclass(frozen=True)
class Memory:
    """An amount of memory: a number of bytes, or a text such as 500MB."""

    def check(self, name: str, value: Any) -> int:
        """The bytes."""
        found: Any = bytes_in(value) if isinstance(value, str) else value
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            refuse(name, "an amount of memory, such as '500MB' or '2GB'", value)
        return int(found)


@dataclass(frozen=True)
class Placement:
    """Where a run is computed: as the arguments of `select_backend`, of which `backend` may be the answer."""

    device: str = setting("cpu", Device(), "Where to compute.")
    backend: str | Backend | None = setting(
        None,
        Name(
            "backend",
            BACKENDS,
            is_backend,
            "a name or what select_backend gives, got {value}",
            listed=True,
            find=find_backend,
        ),
        "Array library; the best one for the device by default.",
    )
    dtype: str = setting("float32", Name("dtype", DTYPES, listed=True))
    reproducible: bool | str = setting(
        False,
        Truth(is_text, "False, True or 'fast'", switch=True),
        "The same bits on every backend and machine.",
    )
    memory: int | str | None = setting(
        None,
        Memory(),
        "Memory that the data may take, as 500MB or 2GB; rows of a larger file stay on disk. By default half of what "
        "is free.",
        show_default=False,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def select(self) -> Backend:
        """The backend; errors as those of `select_backend`."""
        if self.backend is not None and not isinstance(self.backend, str):
            return self.backend
        return select_backend(
            self.backend,
            self.device,
            self.dtype,
            reproducible=self.reproducible,  # type: ignore[arg-type]
        )
