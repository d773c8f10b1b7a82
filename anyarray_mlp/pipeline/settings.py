"""`Settings`: all that decides what becomes of raw data, each declared once, and how it is kept in `config.toml`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from anyarray_mlp.backends.placement import Placement
from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.names import NUMBERS
from anyarray_mlp.checking.options import refuse_unknown
from anyarray_mlp.checking.settings import (
    Name,
    Names,
    Number,
    Truth,
    Whole,
    check_settings,
    chosen,
    names_of,
    setting,
    settings_of,
)
from anyarray_mlp.checking.values import check_instance
from anyarray_mlp.errors import UsageError
from anyarray_mlp.network.functional import ACTIVATIONS, LOSS_NAMES, OUTPUTS
from anyarray_mlp.pipeline.kinds import (
    Cells,
    ClassWeight,
    Column,
    ColumnName,
    ColumnNames,
    Columns,
    DecimalMark,
    ImageMode,
    ImageSize,
    Separator,
    Sizes,
    Source,
    Text,
)
from anyarray_mlp.pipeline.presets import Base
from anyarray_mlp.training.recipe import Recipe, with_options

if TYPE_CHECKING:
    from anyarray_mlp.tables import Reading


@dataclass(frozen=True)
class Table:
    """What is made of the data: the columns, the encoding and the parts that they are split in.

    Attributes
    ----------
    target : the target's column, by name or place from 0, or several; the last one by default.
    drop : columns to leave out.
    header : whether a table's first line names columns; None finds out, as it does for what follows.
    separator, decimal : what stands between columns, and in numbers.
    missing : cells that are gaps besides the usual ones; with these given, no other is looked for.
    skip : the lines before the table.
    sheet : the sheet of a workbook, where several hold something.
    pixels : whether a table holds the pixels of pictures, in columns or listed in one; None finds out.
    image_size, image_mode : height and width, and "grey" or "rgb", that pictures are brought to; by default their own.
    numeric, text : columns of numbers, in which all else is a gap, and of texts.
    keep : columns to take as they are that would be left out (constants, identifiers, texts that hardly ever recur) or
        whose rare texts would count as one.
    date : columns of numbers to read as dates (years, days in digits such as 20240131, seconds and smaller units since
        1970), or COLUMN:d/m/y, COLUMN:mmddyy and the like where several forms fit.
    split : "time:COLUMN" holds out the latest rows, for testing and for validation; None and "random" draw them. The
        column is an input too, unless `drop` names it.
    group : a column whose equal values stay together, so that no group is trained on and tested or validated on.
    folds : a column that says which rows are which: train, validation and test, or numbers of folds.
    test : data whose rows are the test set, read and encoded as the rest.
    standardize : bring columns of numbers to mean 0 and deviation 1; pixels are divided by 255 in any case.
    numbers : how columns of numbers are scaled: "standard", "robust" or "pieces" (`data.Preprocessor.fit`).
    scale_target : standardise the target of a regression; None: if the output is identity.
    clamp_target : keep predictions of a regression within the targets of the rows to train on; None: if `members` are
        several.
    test_fraction, validation_fraction : share of the rows to score the final model on, and of the rest to score each
        epoch on; each of several `members` holds other rows out for that.
    class_weight : "balanced", or a weight for each label.
    """

    target: tuple[Column, ...] = setting(
        (),
        Columns(),
        "Target column of a table: its name or its place; the last by default. Again for each further one.",
        show_default=False,
    )
    drop: tuple[Column, ...] = setting(
        (), Columns(flat=True), "Columns of a table to leave out.", flag_default=None
    )
    header: bool | None = setting(None, Truth(), "Whether a table's first line names columns.")
    separator: str | None = setting(
        None,
        Separator(),
        "What stands between the columns of a table: a character, or comma, semicolon, tab, pipe, blank.",
    )
    decimal: str | None = setting(
        None, DecimalMark(), "The decimal mark of a table's numbers: . or , ."
    )
    missing: tuple[str, ...] | None = setting(
        None,
        Cells(),
        "Cells of a table that are gaps, besides the usual ones; no others are then looked for.",
    )
    skip: int | None = setting(None, Whole(), "Lines before a table.")
    sheet: str | None = setting(
        None, Text(), "The sheet of a workbook, where several hold something."
    )
    numeric: tuple[Column, ...] = setting(
        (), Columns(flat=True), "Columns of numbers, in which all else is a gap.", flag_default=None
    )
    text: tuple[Column, ...] = setting(
        (), Columns(flat=True), "Columns of texts, whatever they look like.", flag_default=None
    )
    keep: tuple[str, ...] = setting(
        (),
        ColumnNames(),
        "Columns to take as they are that would be left out: constants, identifiers, texts that hardly ever recur.",
        flag_default=None,
    )
    date: tuple[str, ...] = setting(
        (),
        ColumnNames(),
        "Columns of numbers to read as dates, or COLUMN:d/m/y, COLUMN:mmddyy and the like where several forms fit.",
        flag_default=None,
    )
    split: str | None = setting(
        None,
        ColumnName("time:", "random"),
        "time:COLUMN holds out the latest rows instead of random ones.",
    )
    group: str | None = setting(
        None,
        ColumnName(),
        "A column whose equal values stay together: no group is on both sides of a split.",
    )
    folds: str | None = setting(
        None,
        ColumnName(),
        "A column that says which rows are which: train, validation and test, or numbers of folds.",
    )
    test: Any = setting(
        None, Source(), "Data whose rows are the test set, read and encoded as the rest."
    )
    pixels: bool | None = setting(
        None,
        Truth(),
        "Whether a table holds the pixels of pictures, which are divided by 255.",
    )
    image_size: tuple[int, int] | None = setting(
        None, ImageSize(), "Height and width to bring pictures of a folder to."
    )
    image_mode: str | None = setting(None, ImageMode(), "Make pictures of a folder grey or rgb.")
    standardize: bool = setting(
        True,
        Truth(),
        "Bring columns of numbers to mean 0 and deviation 1; pixels are divided by 255.",
    )
    numbers: str = setting(
        "standard",
        Name("numbers", NUMBERS, listed=True),
        "How columns of numbers are scaled: by mean and deviation; by quartiles with a smooth clip and a mark of gaps; "
        "or so with pieces between their quantiles beside.",
    )
    scale_target: bool | None = setting(
        None,
        Truth(),
        "Standardise the target of a regression; by default where the output is identity.",
    )
    clamp_target: bool | None = setting(
        None,
        Truth(),
        "Keep predictions of a regression within the targets of training; by default of several --members.",
    )
    test_fraction: float = setting(
        0.2, Number(high=1.0), "Share of the rows to score the final model on."
    )
    validation_fraction: float = setting(
        0.1, Number(high=1.0), "Share of the rest to score each epoch on."
    )
    class_weight: str | Mapping[str, float] | None = setting(
        None, ClassWeight(), "Weights of the classes."
    )

    def __post_init__(self) -> None:
        for name in ("target", "drop", "numeric", "text", "keep", "date"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, ())
        check_settings(self)
        check_columns(self)
        ways = {
            "split": self.is_by_time,
            "group": self.group is not None,
            "folds": self.folds is not None,
        }
        given = [name for name, is_given in ways.items() if is_given]
        if len(given) > 1:
            raise UsageError(
                f"{given[0]} and {given[1]} split the rows in two ways: give one of them."
            )
        if self.folds is not None and self.test is not None:
            raise UsageError(
                "folds and test both say which rows are the test set: give one of them."
            )

    @property
    def is_by_time(self) -> bool:
        """Whether the latest rows are held out."""
        return self.split not in (None, "random")

    @property
    def splitting(self) -> str | None:
        """The column that says which rows are held out, or which of them belong together."""
        if self.split is not None and self.is_by_time:
            return self.split.removeprefix("time:")
        return self.group if self.folds is None else self.folds

    @property
    def reading(self) -> Reading:
        """How the table is to be read; a column that splits the rows is read although it is no input."""
        from anyarray_mlp.tables import Reading

        return Reading(
            self.header,
            self.separator,
            self.decimal,
            self.missing,
            self.skip,
            self.numeric,
            self.text,
            tuple(column for column in self.drop if column != self.splitting),
            sheet=self.sheet,
            pixels=self.pixels,
            image_size=self.image_size,
            image_mode=self.image_mode,
        )


#: What cannot be said of one column at once.
CONTRARY = (
    ("drop", "numeric"),
    ("drop", "text"),
    ("drop", "keep"),
    ("drop", "date"),
    ("numeric", "text"),
)


def check_columns(table: Table) -> None:
    """Raise `UsageError` where two settings contradict each other about a column."""
    named = {name: set(getattr(table, name)) for name in ("drop", "numeric", "text", "keep")}
    named["date"] = set()
    if table.date:
        from anyarray_mlp.data.roles import told_forms

        named["date"] = set(told_forms(table.date)) - {table.splitting}
    for one, other in CONTRARY:
        for column in sorted(named[one] & named[other], key=str):
            raise UsageError(
                f"{one} and {other} both name column {shown(column)}: leave it out of one of them."
            )


def find_activation(value: Any) -> str:
    """The canonical name of an activation."""
    from anyarray_mlp.network import registry

    return registry.find_activation(value)


def find_loss(value: Any) -> str:
    """The canonical name of a loss."""
    from anyarray_mlp.network import registry

    return registry.find_loss(value)


def one_of(names: Iterable[str]) -> str:
    """Names as a help text lists them: a, b or c."""
    *others, last = names
    return f"{', '.join(others)} or {last}"


@dataclass(frozen=True)
class Shape:
    """The network between the inputs and the outputs that the data have, as the arguments of `MLP`.

    Attributes
    ----------
    hidden_layer_sizes : units of the hidden layers.
    activation : one name, or one for each hidden layer.
    output : None: softmax for classes, logistic for labels, identity for numbers.
    loss : "auto" takes what belongs to the output.
    dropout : probability of dropping a hidden unit in training.
    members : networks that are trained together, each with a seed and held-out rows of its own; the model's answer is
        the mean of theirs.
    """

    hidden_layer_sizes: tuple[int, ...] = setting(
        (100,),
        Sizes(),
        "Units of the hidden layers, as 300,75; none for no hidden layer.",
        key="hidden",
    )
    activation: str | Sequence[str] = setting(
        "relu",
        Names("activation", ACTIVATIONS, alone=True, find=find_activation),
        f"{one_of(ACTIVATIONS)}; one, or one for each layer.",
    )
    output: str | None = setting(
        None,
        Name("output", OUTPUTS),
        f"{one_of(OUTPUTS)}; what fits the task by default.",
    )
    loss: str = setting(
        "auto",
        Name("loss", ("auto", *LOSS_NAMES), find=find_loss),
        f"{one_of(LOSS_NAMES)}; huber:DELTA and quantile:LEVEL; auto takes what belongs to the output.",
    )
    dropout: float = setting(
        0.0, Number(high=1.0), "Probability of dropping a hidden unit in training."
    )
    members: int = setting(
        1,
        Whole(1),
        "Networks to train together, each with held-out rows of its own; the answer is the mean of theirs.",
        show_default=False,
    )

    def __post_init__(self) -> None:
        check_settings(self)


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
