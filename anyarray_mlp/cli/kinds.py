"""What the value of a flag may be: types that say what is wrong with a text, and what was meant."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from anyarray_mlp.checking.messages import shown
from anyarray_mlp.cli.flags import flag

if TYPE_CHECKING:
    from anyarray_mlp.checking.settings import Known


#: Where the names of a kind are listed; imported when one is checked.
TABLES = {
    "activation": ("network.functional", "ACTIVATIONS"),
    "output": ("network.functional", "OUTPUTS"),
    "loss": ("network.registry", "loss_names"),
    "initializer": ("network.initializers", "INITIALIZERS"),
    "metric": ("metrics", "METRICS"),
    "backend": ("backends", "BACKENDS"),
}


class Checked(click.ParamType):  # type: ignore[type-arg]  # generic in the latest versions only
    """A type whose `parse` turns a text into a value, or raises `ValueError` saying what is wrong and what to give.

    An empty text is no value of any type: `example` says what may stand in its place.
    """

    example = "a value"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            if not value.strip():
                raise ValueError(f"{shown(value)} is empty: give {self.example}, or leave it out.")
            if "\0" in value:
                raise ValueError(f"{shown(value)} holds a NUL character: give {self.example}.")
            if value.startswith("--") and value != "--":
                raise ValueError(f"{shown(value)} is an option: give {self.example} before it.")
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def parse(self, text: str) -> Any:
        """The value of a text."""
        return text


class Text(Checked):
    """A text that is not empty."""

    name = "text"

    def __init__(self, example: str) -> None:
        self.example = example


class PathName(Text):
    """A path, in whatever bytes the system has it."""

    name = "path"


class FileName(PathName):
    """The path of a file, and of no folder."""

    name = "file"

    def parse(self, text: str) -> str:
        if os.path.isdir(text) or not os.path.basename(text):
            raise ValueError(f"{shown(text)} is a folder: give {self.example} in it.")
        return text


class DataName(PathName):
    """What names a data set."""

    name = "data"

    def parse(self, text: str) -> str:
        if not os.path.lexists(text):
            if re.fullmatch(r"[0-9]+", text):
                raise ValueError(
                    f"{shown(text)} is no data: give {self.example}; several layers go with commas, as in "
                    f"--hidden 100,{text}."
                )
            name, equals, rest = text.partition("=")
            if equals and name.isidentifier():
                raise ValueError(f"{shown(text)} is no data: give {flag(name)} {rest} instead.")
        return text


class Sizes(Checked):
    """Numbers of units separated by commas: 300,75; "none" for no hidden layer."""

    name = "sizes"
    example = "sizes as in 300,75, or none for no hidden layer"

    def parse(self, text: str) -> tuple[int, ...]:
        if text.strip().casefold() == "none":
            return ()
        # As Python writes a list or a tuple, too.
        inner = re.sub(r"^[\[(]\s*(.*?)\s*,?\s*[\])]$", r"\1", text.strip())
        if not re.fullmatch(r"-?[0-9]+(\s*[,;\s]\s*-?[0-9]+)*", inner):
            numbers = re.findall(r"[0-9]+", inner)
            sizes = ",".join(numbers) if 1 < len(numbers) < 9 else "integers as in 300,75"
            raise ValueError(
                f"{shown(text)} is no list of sizes: give {sizes}, the units of each hidden layer."
            )
        units = tuple(integer(number) for number in re.findall(r"-?[0-9]+", inner))
        if min(units) < 1:
            raise ValueError(
                f"{shown(text)} has a layer without units: give positive integers, or none for no hidden layer."
            )
        return units


class Names(Checked):
    """One name, or several separated by commas."""

    name = "names"
    example = "a name, or several separated by commas"

    def __init__(self, repeats: bool = False) -> None:
        self.repeats = repeats

    def parse(self, text: str) -> tuple[str, ...] | str:
        parts = tuple(part.strip() for part in text.split(","))
        if not all(parts):
            raise ValueError(f"{shown(text)} has nothing between two commas: give {self.example}.")
        twice = next((part for part in parts if parts.count(part) > 1), None)
        if twice is not None and not self.repeats:
            raise ValueError(f"{shown(text)} names {shown(twice)} twice: give it once.")
        parts = tuple(map(self.each, parts))
        return parts[0] if len(parts) == 1 else parts

    def each(self, name: str) -> str:
        """One of the names."""
        return name


class Kind(Checked):
    """A name of one kind, such as "activation", ours or another library's: of its table, or of the one `given`."""

    name = "name"

    def __init__(self, kind: str, given: Known = ()) -> None:
        self.kind = kind
        self.given = given

    @property
    def known(self) -> tuple[str, ...]:
        """Every name."""
        from anyarray_mlp.checking.settings import names_in

        if self.given:
            return names_in(self.given)
        module, table = TABLES[self.kind]
        return names_in(getattr(import_module(f"anyarray_mlp.{module}"), table))

    @property
    def example(self) -> str:  # type: ignore[override]
        return f"one of {', '.join(self.known)}"

    def parse(self, text: str) -> str:
        if self.kind == "loss" and ":" in text:
            from anyarray_mlp.network.registry import find_loss

            return find_loss(text)
        return text if is_namespace(self.kind, text) else one_of(self.kind, text, self.known)


class Kinds(Names):
    """Names of one kind, one for all or one for each."""

    def __init__(self, kind: str, repeats: bool = True) -> None:
        super().__init__(repeats)
        self.kind = Kind(kind)

    @property
    def example(self) -> str:  # type: ignore[override]
        return f"{self.kind.example}, or several with commas"

    def each(self, name: str) -> str:
        return self.kind.parse(name)


def is_namespace(kind: str, text: str) -> bool:
    """Whether a backend is named as a namespace, which no list has."""
    if kind != "backend":
        return False
    from anyarray_mlp.backends import selection

    return selection.is_namespace(text)


class OneOf(click.Choice):  # type: ignore[type-arg]
    """A choice by name, ours or another library's."""

    def __init__(self, kind: str, choices: Iterable[str]) -> None:
        super().__init__(list(choices))
        self.kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return (
                value if is_namespace(self.kind, value) else one_of(self.kind, value, self.choices)
            )
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Logs(Checked):
    """Kinds of logs, separated by commas; none by default."""

    name = "kinds"
    example = "csv, tensorboard, mlflow or wandb, or several with commas"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return super().convert(value, param, ctx) or ()

    def parse(self, text: str) -> tuple[str, ...]:
        from anyarray_mlp.tracking.logs import KINDS

        kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        return tuple(one_of("log", kind, list(KINDS)) for kind in kinds)


class Number(Checked):
    """A finite number, at least (or above) a bound."""

    name = "number"

    def __init__(self, low: float, high: float = math.inf, open_low: bool = False) -> None:
        self.low, self.high, self.open_low = low, high, open_low
        self.bounds = f"{'above' if open_low else 'at least'} {low:g}"
        self.bounds += f" and below {high:g}" if high < math.inf else ""
        self.example = f"a number that is {self.bounds}"

    def parse(self, text: str) -> float:
        # float() also takes 1_000 and digits of other scripts.
        plain = re.fullmatch(r"[\s0-9a-zA-Z.+-]+", text, re.ASCII)
        try:
            number = float(text if plain else "")
        except ValueError:
            raise ValueError(
                f"{shown(text)} is no number: give one that is {self.bounds}."
            ) from None
        low_enough = number > self.low if self.open_low else number >= self.low
        if not (low_enough and number < self.high):
            raise ValueError(f"{shown(text)} is out of range: give {self.example}.")
        return number + 0.0  # not -0.0


class Integer(Checked):
    """A whole number of at least `low`."""

    name = "integer"

    def __init__(self, low: int) -> None:
        self.low = low
        self.example = f"a whole number of at least {low}"

    def parse(self, text: str) -> int:
        if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
            raise ValueError(f"{shown(text)} is no whole number: give {self.example}.")
        number = integer(text)
        if number < self.low:
            raise ValueError(f"{shown(text)} is out of range: give {self.example}.")
        return number


def integer(text: str) -> int:
    """The number of some digits; `ValueError` if there are too many for any use."""
    if len(text.strip()) > 1000:
        raise ValueError(f"{shown(text)} is too long for a number: give a smaller one.")
    return int(text)


def one_of(kind: str, text: str, known: Iterable[str]) -> str:
    """The canonical name of a text; `ValueError` with the known names and what may have been meant."""
    from anyarray_mlp.checking.names import canonical, meant

    names = tuple(known)
    found: str = canonical(kind, text, names)
    if found not in names:
        hint = misplaced(kind, text) or meant(kind, text, names)
        raise ValueError(f"{shown(text)} is not one of {', '.join(names)}{hint}.")
    return found


def misplaced(kind: str, text: str) -> str:
    """The option that a value looks to be meant for, where it is none of this kind."""
    if kind == "learning_rate" and re.fullmatch(r"[0-9.eE+-]+", text):
        return f"; the rate itself is --learning-rate-init {shown(text)[1:-1]}"
    if kind == "output" and ("." in text or os.sep in text):
        return "; this is the output's function, and the folder of the run is --out"
    return ""


class Choice(Text):
    """One of a few texts."""

    name = "text"

    def __init__(self, *choices: str) -> None:
        super().__init__(" or ".join(choices))
        self.choices = choices

    def parse(self, text: str) -> str:
        if text not in self.choices:
            raise ValueError(f"{shown(text)} is neither: give {self.example}.")
        return text
