"""`Settings`: all that decides what becomes of raw data, by name and as flags and `config.toml` have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from anyarray_mlp.backends.placement import Placement
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.options import refuse_unknown
from anyarray_mlp.checking.settings import (
    Name,
    Truth,
    chosen,
    names_of,
    settings_of,
)
from anyarray_mlp.checking.values import check_instance
from anyarray_mlp.errors import UsageError
from anyarray_mlp.pipeline.kinds import (
    Cells,
    ClassWeight,
    ColumnNames,
    Columns,
    ImageSize,
    Source,
)
from anyarray_mlp.pipeline.presets import Base
from anyarray_mlp.pipeline.shape import Shape
from anyarray_mlp.pipeline.table import Table
from anyarray_mlp.training.recipe import Recipe, with_options


@dataclass(frozen=True)
class Settings:
    """All that decides what a run from raw data comes to; a recipe without epochs has those of a table.

    `base` says which preset the others were made from, and stands in for a batch size that nobody gave.
    """

    base: Base = field(default_factory=Base)
    table: Table = field(default_factory=Table)
    shape: Shape = field(default_factory=Shape)
    recipe: Recipe = field(default_factory=Recipe)
    placement: Placement = field(default_factory=Placement)

    def __post_init__(self) -> None:
        if self.recipe.epochs is None:
            default = next(each for each in settings_of(Recipe) if each.field == "epochs").default
            object.__setattr__(self, "recipe", replace(self.recipe, epochs=default))
        if self.shape.members > 1:
            check_members(self.shape.members, self.recipe)

    @property
    def clamps(self) -> bool:
        """Whether predictions of a regression are kept within the targets of training."""
        given = self.table.clamp_target
        return self.shape.members > 1 if given is None else given

    @classmethod
    def of(cls, function: str, recipe: Recipe | None, options: dict[str, Any]) -> Settings:
        """The settings of a recipe and of options by name; `UnknownOptionError`, in a function's name, for others.

        A preset stands in for those that are not among them; a recipe gives those that are not its defaults.
        """
        refuse_unknown(function, options, [*OWN, *names_of(*SECTIONS.values())])
        base = Base(**chosen(options, names_of(Base)))
        of_recipe = {} if recipe is None else changed(recipe)
        options = {**base.beside({**of_recipe, **options}), **options}
        parts = {
            name: kind(**chosen(options, names_of(kind)))
            for name, kind in SECTIONS.items()
            if name != "recipe"
        }
        if recipe is None:
            recipe = Recipe(**chosen(options, names_of(Recipe)))
        else:
            check_instance("recipe", recipe, Recipe, "a Recipe, such as Recipe(epochs=50)")
            recipe = with_options(recipe, chosen(options, names_of(Recipe)))
        return cls(recipe=recipe, **parts)

    @classmethod
    def from_keys(cls, kept: Mapping[str, Any]) -> Settings:
        """The settings by the keys that the command line and `config.toml` have for them."""
        parts = {
            name: kind(
                **{each.field: kept[each.key] for each in settings_of(kind) if each.key in kept}
            )
            for name, kind in SECTIONS.items()
        }
        return cls(**parts)

    def to_keys(self) -> dict[str, Any]:
        """The settings as the command line has them; `UsageError` for what it has no words for."""
        found: dict[str, Any] = {}
        for section in fields(self):
            part = getattr(self, section.name)
            for each in settings_of(part):
                value = getattr(part, each.field)
                if each.key:
                    found[each.key] = as_text(each.field, value, each.kind)
                elif value != each.default and each.field != "metrics":
                    raise without_words(each.field, value)
        return found


def changed(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe that are not its defaults."""
    check_instance("recipe", recipe, Recipe, "a Recipe, such as Recipe(epochs=50)")
    values = {each.name: (getattr(recipe, each.name), each.default) for each in fields(recipe)}
    return {
        name: value for name, (value, default) in values.items() if value is not default != value
    }


def check_members(members: int, recipe: Recipe) -> None:
    """Raise `UsageError` for a recipe that several networks cannot be trained by in step."""
    why = ""
    if recipe.by_lbfgs:
        why = "lbfgs takes no steps"
    elif recipe.early_stopping:
        why = "early_stopping ends one before the others: keep_epoch='best' keeps the best epoch of each"
    if why:
        raise UsageError(f"members={members} are trained in step, and {why}. Else give members=1.")


SECTIONS: dict[str, Any] = {
    "base": Base,
    "table": Table,
    "shape": Shape,
    "recipe": Recipe,
    "placement": Placement,
}
#: What `train_table` takes beside settings.
OWN = ("data", "recipe", "diagnose", "out", "overwrite", "callbacks")


def as_text(name: str, value: Any, kind: Any) -> Any:
    """A setting as a flag gives it; `UsageError` for one that no flag can give."""
    if isinstance(kind, Truth):
        if isinstance(value, str):
            raise without_words(name, value)
        return value if value is None else bool(value)
    if isinstance(kind, ClassWeight) and isinstance(value, Mapping):
        if any("," in str(label) for label in value):
            raise without_words(name, value)
        return ",".join(f"{label}={weight}" for label, weight in value.items())
    if isinstance(kind, Source) and hasattr(value, "iloc"):
        return "DataFrame"
    if isinstance(kind, ImageSize):
        return value if value is None else f"{value[0]}x{value[1]}"
    if isinstance(kind, (Columns, ColumnNames, Cells)):
        if value is None:
            return None
        columns = tuple(map(str, value))
        if not kind.flat:
            return columns
        return columns[0] if len(columns) == 1 else columns or None
    if isinstance(kind, Name) and not isinstance(value, (str, type(None))):
        raise without_words(name, value)
    return value


def without_words(name: str, value: Any) -> UsageError:
    """The error for a setting that a run's folder cannot keep."""
    return UsageError(
        f"A run's folder keeps settings as the command line has them, and that has no words for {name}="
        f"{shown(value)}: leave out= away, and save the result's model."
    )


def keys_of_settings() -> dict[str, str]:
    """The key of each setting, by its name."""
    return {
        each.field: each.key for kind in SECTIONS.values() for each in settings_of(kind) if each.key
    }
