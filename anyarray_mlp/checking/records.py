"""Checks of values from a file: type, range and which keys a table must have, in one place.

A `Check` takes a value and its place, such as "preprocessing.columns[2].scale", and raises `RecordError` if the value
is not allowed there. Values are JSON's, nothing is converted, and no value decides how much is allocated. So the text
and numbers of a file from somebody else are validated before any other code sees them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import reprlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from anyarray_mlp.errors import ModelFileError

LARGEST = 2**63 - 1
SURROGATES = re.compile("[\ud800-\udfff]")
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class RecordError(ValueError):
    """A value that is not allowed in its place: names the place, the value and what is allowed there.

    `remedy` is what to do about it, if that is not what one does about a broken file.
    """

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.remedy = remedy


def below(place: str, key: str) -> str:
    """The place of a table's key, which may be any text."""
    plain = re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", key, re.ASCII)
    return f"{place}.{key}" if plain else f"{place}[{reprlib.repr(key)}]"


@contextlib.contextmanager
def model_file(
    source: str, remedy: str = "fetch the file again or train the model again"
) -> Iterator[None]:
    """Turn a `RecordError` into the `ModelFileError` that names the file and the remedy."""
    try:
        yield
    except RecordError as error:
        raise ModelFileError(
            f"{source} cannot be used: {error}; {error.remedy or remedy}"
        ) from None


@dataclasses.dataclass(frozen=True)
class Check:
    """What is allowed in words, the test of a value, and the checks of its items."""

    allowed: str
    holds: Callable[[Any], bool]
    inside: Callable[[Any, str], None] = lambda value, place: None

    def __call__(self, value: Any, place: str) -> None:
        if not self.holds(value):
            raise RecordError(f"{place} is {reprlib.repr(value)} and must be {self.allowed}")
        self.inside(value, place)

    def __or__(self, other: Check) -> Check:
        def inside(value: Any, place: str) -> None:
            (self if self.holds(value) else other).inside(value, place)

        return Check(
            f"{self.allowed} or {other.allowed}",
            lambda value: self.holds(value) or other.holds(value),
            inside,
        )


def is_finite(value: Any) -> bool:
    """Whether a value is a number within the range of a float, and not a boolean."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def integer(low: int = 0, high: int = LARGEST) -> Check:
    """An integer from `low` to `high`; booleans are not integers."""
    return Check(
        f"an integer from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def number(low: float = -math.inf, high: float = math.inf, ends: str = "[]") -> Check:
    """A finite number from `low` to `high`; `ends` says which of the two are included, as in "(]"."""

    def holds(value: Any) -> bool:
        if not is_finite(value):
            return False
        above = value >= low if ends[0] == "[" else value > low
        below = value <= high if ends[1] == "]" else value < high
        return bool(above and below)

    bounds = (
        "" if (low, high) == (-math.inf, math.inf) else f" in {ends[0]}{low:g}, {high:g}{ends[1]}"
    )
    return Check(f"a finite number{bounds}", holds)


def one_of(names: Iterable[str]) -> Check:
    """One of several texts."""
    known = tuple(names)
    return Check(
        f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known
    )


#: Text that can be written as UTF-8, so without lone surrogates.
TEXT = Check("Unicode text", lambda value: isinstance(value, str) and not SURROGATES.search(value))
TRUTH = Check("true or false", lambda value: isinstance(value, bool))
NULL = Check("null", lambda value: value is None)
#: Unlike `number`, it excludes integers: combined with `integer` it would admit those out of bounds.
FRACTION = Check(
    "a finite number with a point", lambda value: type(value) is float and math.isfinite(value)
)
ANY_NUMBER = Check("a number", lambda value: isinstance(value, float) or is_finite(value))


def list_of(item: Check, least: int = 0, most: int | None = None) -> Check:
    """A list of `least` to `most` items."""
    size = "" if (least, most) == (0, None) else f" of at least {least}"
    if most is not None:
        size = f" of {least} to {most}"

    def inside(value: Any, place: str) -> None:
        for index, each in enumerate(value):
            item(each, f"{place}[{index}]")

    return Check(
        f"a list{size}",
        lambda value: (
            isinstance(value, list) and least <= len(value) and (most is None or len(value) <= most)
        ),
        inside,
    )


def table(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A table with the `required` keys; `optional` ones are checked if present, other keys are ignored."""

    def inside(value: Any, place: str) -> None:
        for name, check in required.items():
            if name not in value:
                raise RecordError(f"{place}.{name} is missing and must be {check.allowed}")
            check(value[name], f"{place}.{name}")
        for name, check in (optional or {}).items():
            if name in value:
                check(value[name], f"{place}.{name}")

    return Check("a table", lambda value: isinstance(value, dict), inside)


def typed(hint: Any, value: Any, place: str) -> Any:
    """A JSON value as the type that a hint describes.

    hint: a dataclass, int, float, str, bool, None, Any, a union, tuple[X, ...], tuple[X, Y] or dict[str, X]. Tuples
        come from lists, and floats that are not finite from the texts "nan", "inf" and "-inf".

    Raises `RecordError` if the value does not fit.
    """
    if hint is Any:
        return value
    if hint is float:
        if isinstance(value, str) and value in NOT_FINITE:
            return NOT_FINITE[value]
        ANY_NUMBER(value, place)
        return float(value)
    if hint in SCALARS:
        SCALARS[hint](value, place)
        return value
    if dataclasses.is_dataclass(hint):
        return dataclass_of(hint, value, place)
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):  # only X | None is used
        return None if value is None else typed(inner[0], value, place)
    if kind is dict:
        ANY_TABLE(value, place)
        return {name: typed(inner[1], each, below(place, name)) for name, each in value.items()}
    if not isinstance(value, (list, tuple)):
        raise RecordError(f"{place} is {reprlib.repr(value)} and must be a list")
    hints = inner[:1] * len(value) if inner[1:] == (...,) else inner
    if len(hints) != len(value):
        raise RecordError(f"{place} has {len(value)} entries and must have {len(hints)}")
    pairs = enumerate(zip(hints, value, strict=True))
    return tuple(typed(each, item, f"{place}[{index}]") for index, (each, item) in pairs)


ANY_TABLE = table({})
SCALARS: dict[Any, Check] = {
    int: integer(-LARGEST),
    str: TEXT,
    bool: TRUTH,
    type(None): NULL,
}


def dataclass_of(kind: Any, value: Any, place: str) -> Any:
    """A dataclass instance from a table that has a key for each field without a default."""
    ANY_TABLE(value, place)
    hints = get_type_hints(kind)
    given = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            given[field.name] = typed(hints[field.name], value[field.name], f"{place}.{field.name}")
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise RecordError(f"{place}.{field.name} is missing")
    return kind(**given)
