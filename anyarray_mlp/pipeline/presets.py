"""Presets: settings that go together, for those that a person does not give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from anyarray_mlp.checking.names import PRESETS as NAMES
from anyarray_mlp.checking.settings import Name, check_settings, setting
from anyarray_mlp.errors import UsageError


def forty_steps(n: int) -> int:
    """Small enough for some forty steps an epoch on few rows, large enough to be quick on many."""
    return 128 if n >= 20_000 else min(32, max(4, n // 40))


def sixteen_steps(n: int) -> int:
    """A sixteenth of the rows, 16 to 128."""
    return min(128, max(16, n // 16))


@dataclass(frozen=True)
class Preset:
    """What stands in for settings that are not given.

    Attributes
    ----------
    values : by the field of the settings; those that are not among them have the defaults of these.
    batch_size : the samples of a step, after the number of rows that a network is trained on.
    why : why one would take it, in a few words.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    batch_size: Callable[[int], int] = forty_steps
    why: str = ""


#: By name, as `checking.names` lists them; what was measured of them stands in `docs/tabular.md`.
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "plain": Preset(),
        "tabular": Preset(
            {
                "numbers": "pieces",
                "hidden_layer_sizes": (128, 128),
                "dropout": 0.1,
                "members": 4,
                "test_fraction": 0.0,
                "validation_fraction": 0.25,
                "learning_rate_init": 0.004,
                "learning_rate": "coslog4",
                "epochs": 80,
                "keep_epoch": "best",
            },
            sixteen_steps,
            "the most accurate of those measured on public tables",
        ),
    }
)


@dataclass(frozen=True)
class Base:
    """What settings start from.

    Attributes
    ----------
    preset : "plain", or "tabular": what is most accurate on tables (`docs/tabular.md`), at some ten times the time.
    """

    preset: str = setting(
        "plain",
        Name("preset", NAMES, listed=True),
        "What the flags that are not given are: plain, as this help says, or tabular, the most accurate for tables.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def values(self) -> Mapping[str, Any]:
        """The preset's settings."""
        return PRESETS[self.preset].values

    def batch_size(self, n: int) -> int:
        """The samples of a step where none are given, of n rows to train on."""
        return PRESETS[self.preset].batch_size(n)

    def beside(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The preset's settings that go beside those that a person gives, by field.

        Raises `UsageError` for a solver that has no use for them.
        """
        found = {name: value for name, value in self.values.items() if name not in given}
        if found and given.get("optimizer") == "lbfgs":
            raise UsageError(
                f"preset={self.preset!r} trains by steps, and lbfgs takes none: leave one of them out."
            )
        if given.get("standardize") is False:
            found.pop("numbers", None)
        if str(given.get("split") or "random") != "random":
            # Networks that hold out spans in between say little of the time after all of them.
            found.pop("test_fraction", None)
        return found
