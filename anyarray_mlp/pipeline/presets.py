"""Presets: settings that go together, for those that a person does not give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from anyarray_mlp.checking.names import PRESETS as NAMES
from anyarray_mlp.checking.settings import Name, check_settings, setting
from anyarray_mlp.errors import UsageError

#: From so many rows of classes on, numbers are cut into pieces; with fewer, pieces have too few each.
SOME_ROWS = 1_000
#: From so many rows on, fewer epochs do as well, and a regression is better with pieces than without.
MANY_ROWS = 3_000
#: The preset that "auto" is for a table.
OF_TABLES = "tabular"


def forty_steps(n: int) -> int:
    """Small enough for some forty steps an epoch on few rows, large enough to be quick on many."""
    return 128 if n >= 20_000 else min(32, max(4, n // 40))


def sixteen_steps(n: int) -> int:
    """A sixteenth of the rows, 16 to 128."""
    return min(128, max(16, n // 16))


class Facts(NamedTuple):
    """What a preset asks about data: how many rows are to be split, whether they are a table's, and the task."""

    rows: int
    is_table: bool
    task: str


#: What data are taken for before they are read.
LIKELY = Facts(0, True, "classification")


def numbers_of_table(facts: Facts) -> str:
    """How columns of numbers are scaled: in pieces if there are enough rows for these."""
    enough = MANY_ROWS if facts.task == "regression" else SOME_ROWS
    return "pieces" if facts.rows >= enough else "standard"


def epochs_of_table(facts: Facts) -> int:
    """The epochs, fewer on many rows, which are as many steps all the same."""
    return 40 if facts.rows >= MANY_ROWS else 80


@dataclass(frozen=True)
class Preset:
    """What stands in for settings that are not given.

    Attributes
    ----------
    values : by the field of the settings; those that are not among them have the defaults of these. A function gives
        what depends on the data.
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
                "numbers": numbers_of_table,
                "hidden_layer_sizes": (128, 128),
                "dropout": 0.1,
                "members": 4,
                "validation_fraction": 0.25,
                "learning_rate_init": 0.004,
                "learning_rate": "coslog4",
                "epochs": epochs_of_table,
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
    preset : "tabular", what is most accurate on tables (`docs/tabular.md`) at some ten times the time; "plain", one
        small network; or "auto", which is tabular for tables and plain for all else.
    """

    preset: str = setting(
        "auto",
        Name("preset", NAMES, listed=True),
        "What the flags that are not given are: plain, as this help says; tabular, the most accurate for tables; or "
        "tabular for tables and plain for all else.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def known(self, given: Mapping[str, Any], facts: Facts) -> Base:
        """The preset for data, beside the settings that a person gives, by field."""
        if self.preset != "auto":
            return self
        return Base(OF_TABLES if facts.is_table and of_one_network(given) is None else "plain")

    def why(self, given: Mapping[str, Any], facts: Facts) -> str:
        """Why `known` is what it is, in a few words; nothing of plain if there is no more to say."""
        known = self.known(given, facts).preset
        if self.preset != "auto":
            return PRESETS[known].why
        if known == "tabular":
            return f"the default for tables, {PRESETS[known].why}; preset='plain' takes a tenth of the time"
        alone = of_one_network(given)
        is_kept_from = facts.is_table and alone and OF_TABLES != "plain"
        return f"as {alone} is for one network" if is_kept_from else ""

    def values(self, facts: Facts) -> dict[str, Any]:
        """The preset's settings for data."""
        values = PRESETS[self.preset].values
        return {name: value(facts) if callable(value) else value for name, value in values.items()}

    def batch_size(self, n: int) -> int:
        """The samples of a step where none are given, of n rows to train on."""
        return PRESETS[self.preset].batch_size(n)

    def beside(self, given: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """The preset's settings for data that go beside those that a person gives, by field.

        Raises `UsageError` for a solver that has no use for them.
        """
        found = {name: value for name, value in self.values(facts).items() if name not in given}
        if found and given.get("optimizer") == "lbfgs":
            raise UsageError(
                f"preset={self.preset!r} trains by steps, and lbfgs takes none: leave one of them out."
            )
        if given.get("standardize") is False:
            found.pop("numbers", None)
        return found


def of_one_network(given: Mapping[str, Any]) -> str | None:
    """Which of the settings that a person gives several networks cannot be trained by; None if there is none."""
    if given.get("optimizer") == "lbfgs":
        return "optimizer='lbfgs'"
    if given.get("early_stopping", False) is not False:
        return "early_stopping"
    return "validation_fraction=0" if given.get("validation_fraction") == 0 else None


@dataclass(frozen=True)
class StoodIn:
    """What a preset stood in for: the settings by field, of a preset, and why it was taken."""

    values: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
