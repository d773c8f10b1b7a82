"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

BACKEND_NAMES = ("numpy", "cupy", "torch", "jax", "array_api_strict")


class Sizes(click.ParamType):  # type: ignore[type-arg]  # generic in the latest versions only
    """Numbers of units separated by commas: 300,75; "none" or an empty text for no hidden layer."""

    name = "sizes"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if value in ("", "none"):
            return ()
        try:
            sizes = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of sizes: give integers as in 300,75.", param, ctx)
        if min(sizes) < 1:
            self.fail(f"{value!r} has a layer without units: give positive integers.", param, ctx)
        return sizes


class Names(click.ParamType):  # type: ignore[type-arg]
    """One name, or several separated by commas."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...] | str:
        if isinstance(value, tuple):
            return value
        parts = tuple(part.strip() for part in str(value).split(","))
        return parts[0] if len(parts) == 1 else parts


class Number(click.ParamType):  # type: ignore[type-arg]
    """A finite number, at least (or above) a bound."""

    name = "number"

    def __init__(self, low: float, high: float = math.inf, open_low: bool = False) -> None:
        self.low, self.high, self.open_low = low, high, open_low

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        bounds = f"{'above' if self.open_low else 'at least'} {self.low:g}"
        bounds += f" and below {self.high:g}" if self.high < math.inf else ""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is no number: give one that is {bounds}.", param, ctx)
        low_enough = number > self.low if self.open_low else number >= self.low
        if not (low_enough and number < self.high):
            self.fail(f"{value!r} is out of range: give a number that is {bounds}.", param, ctx)
        return number


SIZES = Sizes()
NAMES = Names()
POSITIVE = Number(0.0, open_low=True)
NON_NEGATIVE = Number(0.0)
FRACTION = Number(0.0, 1.0)
COUNT = click.IntRange(min=1)


def backend_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--device, --backend and --dtype."""
    for option in (
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float64"]),
            default="float32",
            show_default=True,
        ),
        click.option(
            "--backend",
            type=click.Choice(BACKEND_NAMES),
            help="Array library; the best one for the device by default.",
        ),
        click.option(
            "--device",
            default="cpu",
            show_default=True,
            metavar="cpu|cuda|cuda:N|auto",
            help="Where to compute.",
        ),
    ):
        function = option(function)
    return function


def target_option(default: str) -> Decorator:
    """--target; `default` says what it is where it is left out."""
    return click.option(
        "--target",
        multiple=True,
        help=f"Target column of a table: its name or its place; {default} by default. Again for each further one.",
    )


json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, for machines."
)
