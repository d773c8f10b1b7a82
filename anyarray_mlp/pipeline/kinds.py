"""What a setting of `train_table` may be: each kind checks a value, and says what it must be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.checking.values import (
    check_not_negative,
    check_path,
    check_whole,
    is_whole,
    items,
    refuse,
)
from anyarray_mlp.errors import UsageError

if TYPE_CHECKING:
    from anyarray_mlp.tables.reading import Place


@dataclass(frozen=True)
class Columns:
    """One column of a table, by name or place, or several; `flat`: the command line gives them in one text."""

    flat: bool = False

    def check(self, name: str, value: Any) -> tuple[Place, ...]:
        """The columns."""
        alone = isinstance(value, str) or is_whole(value)
        columns = (value,) if alone else items(name, value, "a column's name or place, or several")
        for column in columns:
            if not isinstance(column, str) and not is_whole(column):
                refuse(name, "a column's name or place, or several", column)
        twice = next((column for column in columns if columns.count(column) > 1), None)
        if twice is not None:
            raise UsageError(f"{name} has {shown(twice)} twice: give it once.")
        return columns


@dataclass(frozen=True)
class ColumnNames:
    """Names of columns of a table, one or several; the command line gives them in one text."""

    flat: bool = True

    def check(self, name: str, value: Any) -> tuple[str, ...]:
        """The names."""
        given = (value,) if isinstance(value, str) else items(name, value, "names of columns")
        for column in given:
            if not isinstance(column, str):
                refuse(name, "the name of a column, or several", column)
        return given


@dataclass(frozen=True)
class ColumnName:
    """The name of a column of a table; `before`: what may stand before it, and what else there may be."""

    before: str = ""
    or_else: str = ""

    def check(self, name: str, value: Any) -> str:
        """The text."""
        allowed = f"{self.before}COLUMN" if self.before else "the name of a column"
        if self.or_else:
            allowed = f"{self.or_else!r} or {allowed!r}"
        if not isinstance(value, str) or not value:
            refuse(name, allowed, value)
        text = str(value)
        if not (self.or_else and text == self.or_else) and (
            not text.startswith(self.before) or text == self.before
        ):
            refuse(name, allowed, value)
        return text


@dataclass(frozen=True)
class Source:
    """What `load` reads: a path or a table of pandas, polars or pyarrow."""

    def check(self, name: str, value: Any) -> Any:
        """A path as text; a table as a DataFrame of pandas."""
        if not isinstance(value, (str, os.PathLike)):
            from anyarray_mlp.data.frames import as_pandas

            value = as_pandas(value)
        if hasattr(value, "iloc"):
            return value
        check_path(name, value)
        return os.fspath(value)


@dataclass(frozen=True)
class Cells:
    """Texts of cells."""

    flat = True

    def check(self, name: str, value: Any) -> tuple[str, ...]:
        """The texts, of which one may come alone."""
        return tuple(
            check_text(name, each)
            for each in ((value,) if isinstance(value, str) else items(name, value, "texts"))
        )


@dataclass(frozen=True)
class Text:
    """Any text."""

    def check(self, name: str, value: Any) -> str:
        """The text."""
        return check_text(name, value)


@dataclass(frozen=True)
class Separator:
    """What stands between columns: a character, a short text, or the name of one that is hard to type."""

    def check(self, name: str, value: Any) -> str:
        """The separator."""
        text = check_text(name, value)
        text = SEPARATOR_NAMES.get(text.casefold(), text)
        if not 1 <= len(text) <= 3 or set(text) & set('\r\n"'):
            refuse(
                name, "a character such as ',', or one of comma, semicolon, tab, pipe, blank", value
            )
        return text


@dataclass(frozen=True)
class DecimalMark:
    """A point or a comma."""

    def check(self, name: str, value: Any) -> str:
        """The mark."""
        mark = {"point": ".", "comma": ","}.get(value, value) if isinstance(value, str) else ""
        if mark not in (".", ","):
            refuse(name, "'.' or ','", value)
        return mark


SEPARATOR_NAMES = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "\\t": "\t",
    "pipe": "|",
    "blank": " ",
    "space": " ",
}


def check_text(name: str, value: Any) -> str:
    """A text; `UsageError` for anything else."""
    if not isinstance(value, str):
        refuse(name, "a text", value)
    return str(value)


@dataclass(frozen=True)
class Sizes:
    """Units of the hidden layers."""

    def check(self, name: str, value: Any) -> tuple[int, ...]:
        """The numbers, of which one may come alone."""
        given = (value,) if is_whole(value) else items(name, value, "units of layers as (300, 75)")
        return tuple(check_whole(name, units, 1) for units in given)


@dataclass(frozen=True)
class ImageSize:
    """Height and width of pictures: (h, w), "HxW" or one number for both."""

    def check(self, name: str, value: Any) -> tuple[int, int]:
        """The two."""
        if isinstance(value, str):
            found = re.fullmatch(r"\s*([0-9]{1,6})(?:\s*[xX×,]\s*([0-9]{1,6}))?\s*", value)
            value = () if found is None else [int(each) for each in found.groups() if each]
        sides = [value] if is_whole(value) else items(name, value, "height and width")
        sides = [check_whole(name, side, 1) for side in sides]
        if len(sides) not in (1, 2):
            refuse(name, "height and width, as in 28x28", value)
        return int(sides[0]), int(sides[-1])


@dataclass(frozen=True)
class ImageMode:
    """Grey or colours."""

    def check(self, name: str, value: Any) -> str:
        """ "grey" or "rgb"."""
        said = {"gray": "grey", "l": "grey", "grayscale": "grey", "colour": "rgb", "color": "rgb"}
        mode = value.strip().lower() if isinstance(value, str) else ""
        mode = said.get(mode, mode)
        if mode not in ("grey", "rgb"):
            refuse(name, "'grey' or 'rgb'", value)
        return mode


@dataclass(frozen=True)
class ClassWeight:
    """ "balanced", or a weight for each label."""

    def check(self, name: str, value: Any) -> Any:
        """A mapping for a text such as "a=2,b=1"."""
        if isinstance(value, str):
            return class_weight(name, value)
        if not isinstance(value, Mapping):
            refuse(name, "'balanced' or a weight for each label", value)
        return {label: check_not_negative(name, weight) for label, weight in value.items()}


def class_weight(name: str, text: str) -> str | dict[str, float]:
    """What "balanced" or LABEL=WEIGHT,... means; `UsageError` for another text."""
    if text.strip().casefold() == "balanced":
        return "balanced"
    weights: dict[str, float] = {}
    for entry in text.split(","):
        label, separator, weight = entry.rpartition("=")
        try:
            number = check_not_negative(name, float(weight))
        except (UsageError, ValueError):
            separator = ""
        if not separator:
            raise UsageError(
                f"{name} {shown(text)} is neither 'balanced' nor LABEL=WEIGHT,... with weights of at "
                f"least 0: fix {shown(entry)}."
            )
        if label in weights:
            raise UsageError(f"{name} gives {shown(label)} two weights: give one.")
        weights[label] = number + 0.0
    return weights
